// One optimiser step on one tensor, in PyTorch's order of operations and with the CPU's roundings (src/backend/cpu/
// optimizer.rs), so that both give the same bits.
//
//   adam:  g += decay·w; m += (1 − β₁)(g − m); s = s·β₂ + (1 − β₂)·g·g; w += size·m / (√s / root + ε)
//   sgd:   g += decay·w; v = v·momentum + g; w −= lr·(nesterov ? g + momentum·v : v)
//
// f32. Grid: one thread per parameter; block: 256 threads. Bytes: 28 (Adam) or 20 per parameter. Overwrites.
#include <cstdint>

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

extern "C" __global__ void __launch_bounds__(256) adam(const __grid_constant__ Step p) {
    const uint64_t i = static_cast<uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= p.len) return;
    const float w = p.weights[i];
    const float g = __fadd_rn(p.gradient[i], __fmul_rn(p.decay, w));
    const float m = __fadd_rn(p.first[i], __fmul_rn(p.new_mean, __fsub_rn(g, p.first[i])));
    const float s = __fadd_rn(__fmul_rn(p.second[i], p.beta2), __fmul_rn(__fmul_rn(p.new_square, g), g));
    const float below = __fadd_rn(__fdiv_rn(__fsqrt_rn(s), p.root), p.epsilon);
    p.first[i] = m;
    p.second[i] = s;
    p.weights[i] = __fadd_rn(w, __fdiv_rn(__fmul_rn(p.size, m), below));
}

extern "C" __global__ void __launch_bounds__(256) sgd(const __grid_constant__ Step p) {
    const uint64_t i = static_cast<uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= p.len) return;
    const float w = p.weights[i];
    const float g = __fadd_rn(p.gradient[i], __fmul_rn(p.decay, w));
    const float v = __fadd_rn(__fmul_rn(p.first[i], p.momentum), g);
    const float ahead = p.nesterov ? __fadd_rn(g, __fmul_rn(p.momentum, v)) : v;
    p.first[i] = v;
    p.weights[i] = __fsub_rn(w, __fmul_rn(p.size, ahead));
}
