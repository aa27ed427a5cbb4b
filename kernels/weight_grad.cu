// Gradients of a convolution's weights [K][C/groups][R][S] and bias [K], f32.
//
//   dW[k][c][tap] = Σ over pixels of the result, Σ over images, dy[k] · x[pixel under tap][c]        db[k] = Σ dy[k]
//
//   weight_grad:   a block computes 64 outputs × 64 inputs of one tap over a part of the pixels: a product whose reduction runs
//                  along the images, 32 at a time through 16.6 KB of shared memory, transposed on the way in. 256 threads,
//                  4×4 sums each. Parts are added by `add_parts`, in their order.
//   depthwise_weight_grad, bias_grad:  a block of 256 threads per weight (per channel).
//
// Lanes without an image count as zero. Grid of weight_grad: (tiles of outputs × tiles of inputs, taps × groups, parts).
// Registers (sm_80): 48 (weight_grad), 32 (add_parts), 29 (depthwise_weight_grad), 19 (bias_grad); 65 % of weight_grad's main
// loop are FMAs. FLOPs: 2 · valid taps · inputs · outputs · images. Bytes: dy once per tile of inputs and
// tap, x per tile of outputs and tap. Overwrites.
#include "epilogue.cuh"

// Mirrors `WeightGrad` of src/backend/cuda/weight_grad.rs.
struct WeightGrad {
    const void* x;
    const void* dy;
    float* out;  // [part][K][C/groups][R][S]
    Place from, to;
    uint32_t groups, inputs, outputs;  // of a group
    uint32_t r, s, stride, pad;
    uint32_t slabs, images, part_pixels;
    uint64_t weights;
};
static_assert(sizeof(WeightGrad) == 120);

constexpr int TILE = 64, REDUCTION = 32, PITCH = TILE + 1, THREADS = 256;

template <typename T> __device__ __forceinline__ void weight_grad(const WeightGrad& p) {
    __shared__ float a[REDUCTION * PITCH], b[REDUCTION * PITCH];
    const uint32_t k_tiles = (p.outputs + TILE - 1) / TILE;
    const uint32_t k0 = blockIdx.x % k_tiles * TILE, c0 = blockIdx.x / k_tiles * TILE;
    const uint32_t tap = blockIdx.y % (p.r * p.s), group = blockIdx.y / (p.r * p.s);
    const int r = static_cast<int>(tap / p.s), s = static_cast<int>(tap % p.s);
    const uint32_t pixels = p.to.h * p.to.w, first = blockIdx.z * p.part_pixels, end = min(first + p.part_pixels, pixels);
    const int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
    float sum[4][4] = {};
    for (uint32_t pixel = first; pixel < end; pixel++) {
        const int row = static_cast<int>(pixel / p.to.w * p.stride) + r - static_cast<int>(p.pad);
        const int column = static_cast<int>(pixel % p.to.w * p.stride) + s - static_cast<int>(p.pad);
        if (row < 0 || row >= static_cast<int>(p.from.h) || column < 0 || column >= static_cast<int>(p.from.w)) continue;
        const uint32_t source = static_cast<uint32_t>(row) * p.from.w + column;
        for (uint32_t start = 0; start < p.images; start += REDUCTION) {
            const uint32_t slab = start / SLAB, lane = start % SLAB;
            __syncthreads();
            // Eight threads read four images each of a row: along the row in memory, along the images' columns here.
#pragma unroll
            for (int i = 0; i < TILE * REDUCTION / 4 / THREADS; i++) {
                const uint32_t at = threadIdx.x + i * THREADS, line = at / 8, image = at % 8 * 4;
                const auto read = [&](const void* from, const Place& place, uint32_t where, uint32_t channel, bool there,
                                      float* to) {
#pragma unroll
                    for (int j = 0; j < 4; j++) {
                        const bool valid = there && start + image + j < p.images;
                        const size_t index = valid ? row_of(place, slab, where, channel) * SLAB + lane + image + j : 0;
                        to[(image + j) * PITCH + line] = valid ? to_float(static_cast<const T*>(from)[index]) : 0.0f;
                    }
                };
                read(p.dy, p.to, pixel, group * p.outputs + k0 + line, k0 + line < p.outputs, a);
                read(p.x, p.from, source, group * p.inputs + c0 + line, c0 + line < p.inputs, b);
            }
            __syncthreads();
#pragma unroll 8
            for (int q = 0; q < REDUCTION; q++) {
                float left[4], right[4];
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    left[i] = a[q * PITCH + ty + 16 * i];
                    right[i] = b[q * PITCH + tx + 16 * i];
                }
#pragma unroll
                for (int i = 0; i < 4; i++) {
#pragma unroll
                    for (int j = 0; j < 4; j++) sum[i][j] = fmaf(left[i], right[j], sum[i][j]);
                }
            }
        }
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const uint32_t k = k0 + ty + 16 * i;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const uint32_t c = c0 + tx + 16 * j;
            if (k < p.outputs && c < p.inputs) {
                const size_t at = (static_cast<size_t>(group * p.outputs + k) * p.inputs + c) * (p.r * p.s) + tap;
                p.out[blockIdx.z * p.weights + at] = sum[i][j];
            }
        }
    }
}

// The sum over the block, in a fixed order; thread 0 gets it.
__device__ __forceinline__ float block_sum(float v) {
    __shared__ float sums[THREADS];
    sums[threadIdx.x] = v;
    __syncthreads();
#pragma unroll
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        __syncthreads();
    }
    return sums[0];
}

// Σ over pixels (whose source `source_of` gives, or −1) and images of dy · x, or of dy alone.
template <typename T, typename Source>
__device__ __forceinline__ float channel_sum(const WeightGrad& p, uint32_t k, const Source& source_of, bool product) {
    constexpr uint32_t PER_ROW = Row<T>::THREADS;
    const uint32_t pixels = p.to.h * p.to.w, rows = pixels * p.slabs;
    const int part = static_cast<int>(threadIdx.x % PER_ROW);
    float sum = 0.0f;
    for (uint32_t i = threadIdx.x / PER_ROW; i < rows; i += THREADS / PER_ROW) {
        const uint32_t slab = i / pixels, pixel = i % pixels;
        const int valid = static_cast<int>(p.images) - static_cast<int>(slab * SLAB) - part * Row<T>::VEC;
        const int source = source_of(pixel);
        if (source < 0 || valid <= 0) continue;
        float dy[Row<T>::VEC], x[Row<T>::VEC];
        load_row(static_cast<const T*>(p.dy), row_of(p.to, slab, pixel, k), part, dy);
        if (product) load_row(static_cast<const T*>(p.x), row_of(p.from, slab, source, k), part, x);
#pragma unroll
        for (int j = 0; j < Row<T>::VEC; j++) sum += j < valid ? (product ? dy[j] * x[j] : dy[j]) : 0.0f;
    }
    return block_sum(sum);
}

template <typename T> __device__ __forceinline__ void depthwise_weight_grad(const WeightGrad& p) {
    const uint32_t taps = p.r * p.s, tap = blockIdx.x % taps, channel = blockIdx.x / taps;
    const auto source = [&](uint32_t pixel) {
        const int row = static_cast<int>(pixel / p.to.w * p.stride + tap / p.s) - static_cast<int>(p.pad);
        const int column = static_cast<int>(pixel % p.to.w * p.stride + tap % p.s) - static_cast<int>(p.pad);
        const bool there = row >= 0 && row < static_cast<int>(p.from.h) && column >= 0 && column < static_cast<int>(p.from.w);
        return there ? row * static_cast<int>(p.from.w) + column : -1;
    };
    const float sum = channel_sum<T>(p, channel, source, true);
    if (threadIdx.x == 0) p.out[blockIdx.x] = sum;
}

template <typename T> __device__ __forceinline__ void bias_grad(const WeightGrad& p) {
    const float sum = channel_sum<T>(p, blockIdx.x, [](uint32_t pixel) { return static_cast<int>(pixel); }, false);
    if (threadIdx.x == 0) p.out[blockIdx.x] = sum;
}

// Mirrors `AddParts` of src/backend/cuda/weight_grad.rs.
struct AddParts {
    const float* parts;
    float* out;
    uint64_t weights;
    uint32_t count, unused;
};
static_assert(sizeof(AddParts) == 32);

extern "C" __global__ void __launch_bounds__(256) add_parts(const __grid_constant__ AddParts p) {
    const uint64_t i = static_cast<uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= p.weights) return;
    float sum = 0.0f;
    for (uint32_t part = 0; part < p.count; part++) sum += p.parts[part * p.weights + i];
    p.out[i] = sum;
}

#define INSTANCE(T, suffix)                                                                                         \
    extern "C" __global__ void __launch_bounds__(256) weight_grad_##suffix(const __grid_constant__ WeightGrad p) {  \
        weight_grad<T>(p);                                                                                          \
    }                                                                                                               \
    extern "C" __global__ void __launch_bounds__(256)                                                               \
        depthwise_weight_grad_##suffix(const __grid_constant__ WeightGrad p) {                                      \
        depthwise_weight_grad<T>(p);                                                                                \
    }                                                                                                               \
    extern "C" __global__ void __launch_bounds__(256) bias_grad_##suffix(const __grid_constant__ WeightGrad p) {    \
        bias_grad<T>(p);                                                                                            \
    }
FOR_EACH_FORMAT(INSTANCE)
