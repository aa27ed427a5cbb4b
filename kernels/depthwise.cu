// Depthwise convolution, forward and backward to the input: every channel has its own R×S weights.
//
//   y[c] = then(Σ over taps that meet the map, w[c][tap] · x[pixel under tap][c])
//
// A thread computes four neighbouring pixels of a row of the map, 16 bytes of images each, and reads every pixel of the source
// that they need once per tap row: 18 loads for the 36 products of a 3×3 of stride 1. Grid: enough threads for the images of
// a row, channels, strips, slabs; block: 256 threads, no shared memory. Registers (sm_80): 46 (f32), 64
// (16-bit). Bytes: x 1.5 · R times from the caches, once from memory; y once. FLOPs: 2 · valid taps per element.
#include "epilogue.cuh"

// Mirrors `Depthwise` of src/backend/cuda/conv2d.rs.
struct Depthwise {
    const void* x;
    const float* w;  // [c][tap][padded]: one number each
    void* y;
    Place from, to;
    uint32_t padded, r, s, stride, pad, backward;
    uint32_t slabs, unused;
    Then then;
};
static_assert(sizeof(Depthwise) == 168);

constexpr int STRIP = 4;

template <typename T> __device__ __forceinline__ void depthwise(const Depthwise& p) {
    constexpr int VEC = Row<T>::VEC;
    const uint32_t thread = blockIdx.x * blockDim.x + threadIdx.x, index = thread / Row<T>::THREADS;
    const int part = static_cast<int>(thread % Row<T>::THREADS);
    const uint32_t strips = (p.to.w + STRIP - 1) / STRIP;
    const uint32_t channel = index % p.to.c, strip = index / p.to.c % strips, line = index / p.to.c / strips;
    const uint32_t slab = line / p.to.h;
    const int i = static_cast<int>(line % p.to.h), j = static_cast<int>(strip * STRIP);
    const bool live = slab < p.slabs;
    const int stride = static_cast<int>(p.stride), pad = static_cast<int>(p.pad), taps = static_cast<int>(p.s);
    float sum[STRIP][VEC] = {};
    // Columns of the source that the strip reads.
    const int last = min(j + STRIP, static_cast<int>(p.to.w)) - 1;
    const int first_column = p.backward ? max(0, (j + pad - taps + stride) / stride) : max(0, j * stride - pad);
    const int end_column = min(static_cast<int>(p.from.w),
                               p.backward ? (last + pad) / stride + 1 : last * stride - pad + taps);
    for (int r = 0; live && r < static_cast<int>(p.r); r++) {
        int row = i * stride + r - pad;
        if (p.backward) {
            row = i + pad - r;
            if (row < 0 || row % stride != 0) continue;
            row /= stride;
        }
        if (row < 0 || row >= static_cast<int>(p.from.h)) continue;
        const float* weights = p.w + (static_cast<size_t>(channel) * p.r + r) * p.s * p.padded;
        for (int column = first_column; column < end_column; column++) {
            float v[VEC];
            const uint32_t pixel = static_cast<uint32_t>(row) * p.from.w + column;
            load_row(static_cast<const T*>(p.x), row_of(p.from, slab, pixel, channel), part, v);
#pragma unroll
            for (int o = 0; o < STRIP; o++) {
                const int s = p.backward ? j + o + pad - column * stride : column - (j + o) * stride + pad;
                if (s < 0 || s >= taps) continue;
                const float weight = weights[static_cast<size_t>(s) * p.padded];
#pragma unroll
                for (int k = 0; k < VEC; k++) sum[o][k] = fmaf(weight, v[k], sum[o][k]);
            }
        }
    }
#pragma unroll
    for (int o = 0; o < STRIP; o++) {
        const bool there = live && j + o < static_cast<int>(p.to.w);
        const uint32_t pixel = static_cast<uint32_t>(i) * p.to.w + j + o;
        size_t row = 0, add_row = 0;
        if (there) {
            row = row_of(p.to, slab, pixel, channel);
            if (p.then.add) add_row = row_of(p.then.add_place, slab, pixel, channel);
        }
        finish(p.then, sum[o], static_cast<T*>(p.y), row, add_row, channel, part, there);
    }
}

#define INSTANCE(T, suffix)                                                                                        \
    extern "C" __global__ void __launch_bounds__(256) depthwise_##suffix(const __grid_constant__ Depthwise p) {    \
        depthwise<T>(p);                                                                                           \
    }
FOR_EACH_FORMAT(INSTANCE)
