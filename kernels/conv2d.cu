// Convolution on FMA units, forward and backward to the input: every shape, every group, f32 sums of every number format.
//
//   y[k] = then(Σ over taps that meet the map, Σ over inputs c of the group, W[tap][c][k] · x[pixel under tap][c])
//
// A block computes TK outputs × SLABS·64 images of one pixel of the result, as a product over the reduction (taps × inputs,
// one after the other, 16 at a time): W 16 × TK and x 16 × 64·SLABS go through two buffers in shared memory, the next ones are
// fetched into registers meanwhile. A thread holds MK outputs × 4·SLABS images (f32) or × 8 (16-bit).
//
//   tile            threads  shared   registers (f32, sm_80)   FMA of the main loop's instructions
//   128 × 128         256    32 KB    145                      74 %
//    64 × 128         128    24 KB    179                      66 %
//    16 × 128          64    18 KB    177                      40 %
//
// Grid: tiles of outputs fastest, then pixels, then slabs: x is read from device memory once. Taps on padding cost nothing.
// FLOPs: 2 · valid taps · inputs · outputs · images. Bytes: x and W once per tile that needs them, y once.
#include "epilogue.cuh"
#include "taps.cuh"

// Mirrors `Conv` of src/backend/cuda/conv2d.rs.
struct Conv {
    const void* x;
    const float* w;  // [group][tap][input][outputs, padded to a multiple of 4]
    void* y;
    Place from, to;
    uint32_t groups, inputs, outputs, padded;  // of a group
    uint32_t r, s, stride, pad, backward;
    uint32_t slabs;
    Then then;
};
static_assert(sizeof(Conv) == 176);

constexpr int CHUNK = 16;  // of the reduction

template <typename T, int TK_, int MK_, int SLABS_> struct Shape {
    static constexpr int TK = TK_, MK = MK_, SLABS = SLABS_, TN = SLABS * 64;
    static constexpr int VEC = Row<T>::VEC;
    // Threads along the images, and vectors of a thread, one slab apart.
    static constexpr int TX = sizeof(T) == 4 ? 16 : 8 * SLABS, VECTORS = sizeof(T) == 4 ? SLABS : 1;
    static constexpr int THREADS = TK / MK * TX;
    static constexpr int X_LOADS = CHUNK * TN / 4 / THREADS, W_LOADS = (CHUNK * TK / 4 + THREADS - 1) / THREADS;
};

// Four elements as f32.
__device__ __forceinline__ float4 four(const float* p) { return *reinterpret_cast<const float4*>(p); }
template <typename T> __device__ __forceinline__ float4 four(const T* p) {
    struct alignas(8) Quad {
        T v[4];
    };
    const Quad q = *reinterpret_cast<const Quad*>(p);
    return {to_float(q.v[0]), to_float(q.v[1]), to_float(q.v[2]), to_float(q.v[3])};
}

// Part q of the reduction of a pixel: which row of W, which pixel and channel of x.
struct Reduction {
    Axis down, right;
    uint32_t length;

    __device__ __forceinline__ Reduction(const Conv& p, uint32_t pixel) {
        const int i = static_cast<int>(pixel / p.to.w), j = static_cast<int>(pixel % p.to.w);
        down = axis(p.backward, i, p.r, p.stride, p.pad, p.from.h);
        right = axis(p.backward, j, p.s, p.stride, p.pad, p.from.w);
        length = static_cast<uint32_t>(down.count * right.count) * p.inputs;
    }

    __device__ __forceinline__ void at(const Conv& p, uint32_t q, uint32_t& row, uint32_t& pixel, uint32_t& input) const {
        const int tap = static_cast<int>(q / p.inputs);
        input = q % p.inputs;
        const int a = tap / right.count, b = tap % right.count;
        const int r = down.first + a * down.tap_step, s = right.first + b * right.tap_step;
        row = static_cast<uint32_t>(r * static_cast<int>(p.s) + s) * p.inputs + input;
        pixel = static_cast<uint32_t>((down.source + a * down.source_step) * static_cast<int>(p.from.w) + right.source +
                                      b * right.source_step);
    }
};

template <typename T, typename S> __device__ __forceinline__ void convolve(const Conv& p) {
    __shared__ float4 shared_w[2][CHUNK][S::TK / 4];
    __shared__ float4 shared_x[2][CHUNK][S::TN / 4];
    const uint32_t tiles = (p.outputs + S::TK - 1) / S::TK, pixels = p.to.h * p.to.w;
    const uint32_t group = blockIdx.x / tiles % p.groups, first_output = blockIdx.x % tiles * S::TK;
    const uint32_t rest = blockIdx.x / (tiles * p.groups), pixel = rest % pixels, first_slab = rest / pixels * S::SLABS;
    const int tx = threadIdx.x % S::TX, ty = threadIdx.x / S::TX;
    const Reduction reduction(p, pixel);
    const T* x = static_cast<const T*>(p.x);
    const float* w = p.w + static_cast<size_t>(group) * p.r * p.s * p.inputs * p.padded;

    float4 next_x[S::X_LOADS], next_w[S::W_LOADS];
    const auto fetch = [&](uint32_t start) {
#pragma unroll
        for (int i = 0; i < S::X_LOADS; i++) {
            const int at = threadIdx.x + i * S::THREADS, quad = at % (S::TN / 4);
            const uint32_t q = start + at / (S::TN / 4), slab = first_slab + quad / 16;
            next_x[i] = {0.0f, 0.0f, 0.0f, 0.0f};
            if (q < reduction.length && slab < p.slabs) {
                uint32_t row, source, input;
                reduction.at(p, q, row, source, input);
                const size_t line = row_of(p.from, slab, source, group * p.inputs + input);
                next_x[i] = four(x + line * SLAB + quad % 16 * 4);
            }
        }
#pragma unroll
        for (int i = 0; i < S::W_LOADS; i++) {
            const int at = threadIdx.x + i * S::THREADS, quad = at % (S::TK / 4);
            const uint32_t q = start + at / (S::TK / 4), output = first_output + quad * 4;
            next_w[i] = {0.0f, 0.0f, 0.0f, 0.0f};
            if (at < CHUNK * S::TK / 4 && q < reduction.length && output < p.padded) {
                uint32_t row, source, input;
                reduction.at(p, q, row, source, input);
                next_w[i] = *reinterpret_cast<const float4*>(w + static_cast<size_t>(row) * p.padded + output);
            }
        }
    };
    const auto put = [&](int buffer) {
#pragma unroll
        for (int i = 0; i < S::X_LOADS; i++) {
            const int at = threadIdx.x + i * S::THREADS;
            shared_x[buffer][at / (S::TN / 4)][at % (S::TN / 4)] = next_x[i];
        }
#pragma unroll
        for (int i = 0; i < S::W_LOADS; i++) {
            const int at = threadIdx.x + i * S::THREADS;
            if (at < CHUNK * S::TK / 4) shared_w[buffer][at / (S::TK / 4)][at % (S::TK / 4)] = next_w[i];
        }
    };

    float sum[S::MK][S::VECTORS][S::VEC] = {};
    if (reduction.length > 0) {
        fetch(0);
        put(0);
    }
    __syncthreads();
    int buffer = 0;
    for (uint32_t start = 0; start < reduction.length; start += CHUNK) {
        const bool more = start + CHUNK < reduction.length;
        if (more) fetch(start + CHUNK);
#pragma unroll
        for (int q = 0; q < CHUNK; q++) {
            float weights[S::MK], values[S::VECTORS][S::VEC];
#pragma unroll
            for (int i = 0; i < S::MK / 4; i++) {
                const float4 v = shared_w[buffer][q][ty * (S::MK / 4) + i];
                weights[4 * i] = v.x, weights[4 * i + 1] = v.y, weights[4 * i + 2] = v.z, weights[4 * i + 3] = v.w;
            }
#pragma unroll
            for (int j = 0; j < S::VECTORS; j++) {
#pragma unroll
                for (int i = 0; i < S::VEC / 4; i++) {
                    const float4 v = shared_x[buffer][q][j * 16 + tx * (S::VEC / 4) + i];
                    values[j][4 * i] = v.x, values[j][4 * i + 1] = v.y;
                    values[j][4 * i + 2] = v.z, values[j][4 * i + 3] = v.w;
                }
            }
#pragma unroll
            for (int k = 0; k < S::MK; k++) {
#pragma unroll
                for (int j = 0; j < S::VECTORS; j++) {
#pragma unroll
                    for (int i = 0; i < S::VEC; i++) sum[k][j][i] = fmaf(weights[k], values[j][i], sum[k][j][i]);
                }
            }
        }
        if (more) put(buffer ^ 1);
        __syncthreads();
        buffer ^= 1;
    }

#pragma unroll
    for (int k = 0; k < S::MK; k++) {
        const uint32_t output = first_output + ty * S::MK + k, channel = group * p.outputs + output;
#pragma unroll
        for (int j = 0; j < S::VECTORS; j++) {
            const uint32_t slab = first_slab + j + (sizeof(T) == 4 ? 0 : tx / Row<T>::THREADS);
            const bool live = output < p.outputs && slab < p.slabs;
            size_t row = 0, add_row = 0;
            if (live) {
                row = row_of(p.to, slab, pixel, channel);
                if (p.then.add) add_row = row_of(p.then.add_place, slab, pixel, channel);
            }
            finish(p.then, sum[k][j], static_cast<T*>(p.y), row, add_row, channel, tx % Row<T>::THREADS, live);
        }
    }
}

#define TILE(T, suffix, TK, MK)                                                                             \
    extern "C" __global__ void __launch_bounds__((Shape<T, TK, MK, 2>::THREADS))                            \
        conv2d_##TK##_##suffix(const __grid_constant__ Conv p) {                                            \
        convolve<T, Shape<T, TK, MK, 2>>(p);                                                                \
    }
#define INSTANCE(T, suffix)  \
    TILE(T, suffix, 128, 8)  \
    TILE(T, suffix, 64, 8)   \
    TILE(T, suffix, 16, 4)
FOR_EACH_FORMAT(INSTANCE)
