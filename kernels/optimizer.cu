// One optimiser step on one tensor, in PyTorch's order of operations and with the CPU's roundings (src/backend/cpu/
// optimizer.rs), so that both give the same bits.
//
//   adam:  g += decay·w; m += (1 − β₁)(g − m); s = s·β₂ + (1 − β₂)·g·g; w += size·m / (√s / root + ε)
//   sgd:   g += decay·w; v = v·momentum + g; w −= lr·(nesterov ? g + momentum·v : v)
//
// f32. Grid: one thread for 4 parameters, 16 bytes of each buffer; block: 256 threads, no shared memory. Registers (sm_80): 34
// (adam), 28 (sgd). Bytes: 28 (adam) or 20 per parameter. FLOPs: 13 or 6 per parameter. Overwrites.
#include <cstdint>

constexpr int VEC = 4;

// Mirrors `Step` of src/backend/cuda/optimizer.rs.
struct Step {
    float* weights;
    const float* gradient;
    float* first;
    float* second;
    uint64_t len;
    float decay;
    float beta2, new_mean, new_square, root, epsilon;  // Adam
    float momentum;                                    // SGD
    float size;                                        // −lr / (1 − β₁ᵗ), or lr
    uint32_t nesterov, unused;
};
static_assert(sizeof(Step) == 80);

struct alignas(16) Four {
    float v[VEC];
};

// Parameters `at` and the three after it, as far as there are any.
__device__ __forceinline__ Four load(const float* from, uint64_t at, uint64_t len) {
    Four four = {};
    if (at + VEC <= len) return *reinterpret_cast<const Four*>(from + at);
#pragma unroll
    for (int i = 0; i < VEC; i++) {
        if (at + i < len) four.v[i] = from[at + i];
    }
    return four;
}

__device__ __forceinline__ void store(float* to, uint64_t at, uint64_t len, const Four& four) {
    if (at + VEC <= len) {
        *reinterpret_cast<Four*>(to + at) = four;
        return;
    }
#pragma unroll
    for (int i = 0; i < VEC; i++) {
        if (at + i < len) to[at + i] = four.v[i];
    }
}

extern "C" __global__ void __launch_bounds__(256) adam(const __grid_constant__ Step p) {
    const uint64_t at = (static_cast<uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * VEC;
    if (at >= p.len) return;
    Four w = load(p.weights, at, p.len), m = load(p.first, at, p.len), s = load(p.second, at, p.len);
    const Four gradient = load(p.gradient, at, p.len);
#pragma unroll
    for (int i = 0; i < VEC; i++) {
        const float g = __fadd_rn(gradient.v[i], __fmul_rn(p.decay, w.v[i]));
        m.v[i] = __fadd_rn(m.v[i], __fmul_rn(p.new_mean, __fsub_rn(g, m.v[i])));
        s.v[i] = __fadd_rn(__fmul_rn(s.v[i], p.beta2), __fmul_rn(__fmul_rn(p.new_square, g), g));
        const float below = __fadd_rn(__fdiv_rn(__fsqrt_rn(s.v[i]), p.root), p.epsilon);
        w.v[i] = __fadd_rn(w.v[i], __fdiv_rn(__fmul_rn(p.size, m.v[i]), below));
    }
    store(p.first, at, p.len, m);
    store(p.second, at, p.len, s);
    store(p.weights, at, p.len, w);
}

extern "C" __global__ void __launch_bounds__(256) sgd(const __grid_constant__ Step p) {
    const uint64_t at = (static_cast<uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * VEC;
    if (at >= p.len) return;
    Four w = load(p.weights, at, p.len), v = load(p.first, at, p.len);
    const Four gradient = load(p.gradient, at, p.len);
#pragma unroll
    for (int i = 0; i < VEC; i++) {
        const float g = __fadd_rn(gradient.v[i], __fmul_rn(p.decay, w.v[i]));
        v.v[i] = __fadd_rn(__fmul_rn(v.v[i], p.momentum), g);
        const float ahead = p.nesterov ? __fadd_rn(g, __fmul_rn(p.momentum, v.v[i])) : v.v[i];
        w.v[i] = __fsub_rn(w.v[i], __fmul_rn(p.size, ahead));
    }
    store(p.first, at, p.len, v);
    store(p.weights, at, p.len, w);
}
