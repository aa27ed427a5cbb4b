// Means over windows, and over the whole map.
//
//   mean_pool:           y = mean over the window
//   mean_pool_backward:  dx = then(Σ dy / count over the windows that contain this element)      a gather, in row order
//   avg_pool:            y = mean over the map
//   avg_pool_backward:   dx = then(dy · 1/pixels)                                                eight pixels a thread
//
// Windows are square with stride and padding, or adaptive: of k along an axis of n, window i reaches from ⌊i·n/k⌋ to before
// ⌈(i + 1)·n/k⌉. Padding counts in a mean as far as it surrounds the map, or not at all. Grid: enough threads for 16 (f32)
// or 8 (f16, bf16) per row of the result, or, for avg_pool_backward, per eight pixels of a channel of it. Block: 256
// threads, no shared memory. Registers (sm_80): 34 to 54. Bytes: a window per result, or a gradient per window over an
// element; L1 and L2 keep what they share; with the whole map each value once. FLOPs: two per value that is read.
// Overwrites; backward as `then` says.
#include "epilogue.cuh"

// Mirrors `MeanPool` of src/backend/cuda/mean.rs.
struct MeanPool {
    const void* x;  // forward: the input; backward: dy
    void* y;        // forward: the result; backward: dx
    Place from, to;
    uint32_t kernel, stride, pad, slabs;
    uint32_t adaptive, count_pad;
    Then then;
};
static_assert(sizeof(MeanPool) == 152);

// One axis: n inputs, k results. As `Axis` of src/graph/pool.rs.
struct Axis {
    uint32_t n, k;
};

struct Span {
    uint32_t first, end;
};

__device__ __forceinline__ uint32_t less(uint32_t a, uint32_t b) { return a > b ? a - b : 0; }
__device__ __forceinline__ uint32_t ceil_div(uint32_t a, uint32_t b) { return (a + b - 1) / b; }

// The inputs of a window.
__device__ __forceinline__ Span inputs_of(const MeanPool& p, Axis axis, uint32_t out) {
    if (p.adaptive) return {out * axis.n / axis.k, ceil_div((out + 1) * axis.n, axis.k)};
    const uint32_t start = out * p.stride;
    return {less(start, p.pad), min(less(start + p.kernel, p.pad), axis.n)};
}

// The windows that contain an input.
__device__ __forceinline__ Span windows_of(const MeanPool& p, Axis axis, uint32_t input) {
    if (p.adaptive) return {input * axis.k / axis.n, ceil_div((input + 1) * axis.k, axis.n)};
    const uint32_t at = input + p.pad;
    return {ceil_div(less(at + 1, p.kernel), p.stride), min(at / p.stride + 1, axis.k)};
}

// How many elements along the axis a mean is over.
__device__ __forceinline__ uint32_t count_of(const MeanPool& p, Axis axis, uint32_t out) {
    if (!p.adaptive && p.count_pad) {
        const uint32_t start = out * p.stride;
        return min(start + p.kernel, axis.n + 2 * p.pad) - start;
    }
    const Span span = inputs_of(p, axis, out);
    return span.end - span.first;
}

__device__ __forceinline__ float share_of(uint32_t count) { return __fdiv_rn(1.0f, static_cast<float>(count)); }

template <typename T> __device__ __forceinline__ void mean_pool(const MeanPool& p) {
    constexpr int VEC = Row<T>::VEC;
    const Item item = item_of<T>(p.to, p.slabs);
    if (!item.live) return;
    const Axis down = {p.from.h, p.to.h}, right = {p.from.w, p.to.w};
    const uint32_t i = item.pixel / p.to.w, j = item.pixel % p.to.w;
    const Span rows = inputs_of(p, down, i), columns = inputs_of(p, right, j);
    float sum[VEC] = {};
    for (uint32_t row = rows.first; row < rows.end; row++) {
        for (uint32_t column = columns.first; column < columns.end; column++) {
            float v[VEC];
            load_row(static_cast<const T*>(p.x), row_of(p.from, item.slab, row * p.from.w + column, item.channel),
                     item.part, v);
#pragma unroll
            for (int k = 0; k < VEC; k++) sum[k] = __fadd_rn(sum[k], v[k]);
        }
    }
    const float share = share_of(count_of(p, down, i) * count_of(p, right, j));
#pragma unroll
    for (int k = 0; k < VEC; k++) sum[k] = __fmul_rn(sum[k], share);
    store_row(static_cast<T*>(p.y), row_of(p.to, item.slab, item.pixel, item.channel), item.part, sum);
}

template <typename T> __device__ __forceinline__ void mean_pool_backward(const MeanPool& p) {
    constexpr int VEC = Row<T>::VEC;
    const Item item = item_of<T>(p.to, p.slabs);
    float sum[VEC] = {};
    size_t row = 0, add_row = 0;
    if (item.live) {
        row = row_of(p.to, item.slab, item.pixel, item.channel);
        if (p.then.add) add_row = row_of(p.then.add_place, item.slab, item.pixel, item.channel);
        const Axis down = {p.to.h, p.from.h}, right = {p.to.w, p.from.w};
        const Span rows = windows_of(p, down, item.pixel / p.to.w), columns = windows_of(p, right, item.pixel % p.to.w);
        for (uint32_t i = rows.first; i < rows.end; i++) {
            for (uint32_t j = columns.first; j < columns.end; j++) {
                const float share = share_of(count_of(p, down, i) * count_of(p, right, j));
                float dy[VEC];
                load_row(static_cast<const T*>(p.x), row_of(p.from, item.slab, i * p.from.w + j, item.channel),
                         item.part, dy);
#pragma unroll
                for (int k = 0; k < VEC; k++) sum[k] = __fadd_rn(sum[k], __fmul_rn(dy[k], share));
            }
        }
    }
    finish(p.then, sum, static_cast<T*>(p.y), row, add_row, item.channel, item.part, item.live);
}

// Mirrors `AvgPool` of src/backend/cuda/mean.rs.
struct AvgPool {
    const void* x;
    void* y;
    Place from, to;
    uint32_t slabs, unused;
    Then then;
};
static_assert(sizeof(AvgPool) == 136);

template <typename T> __device__ __forceinline__ void avg_pool(const AvgPool& p) {
    const Item item = item_of<T>(p.to, p.slabs);
    if (!item.live) return;
    const uint32_t pixels = p.from.h * p.from.w;
    float sum[Row<T>::VEC] = {};
    for (uint32_t pixel = 0; pixel < pixels; pixel++) {
        float v[Row<T>::VEC];
        load_row(static_cast<const T*>(p.x), row_of(p.from, item.slab, pixel, item.channel), item.part, v);
#pragma unroll
        for (int i = 0; i < Row<T>::VEC; i++) sum[i] += v[i];
    }
    const float share = 1.0f / static_cast<float>(pixels);
#pragma unroll
    for (int i = 0; i < Row<T>::VEC; i++) sum[i] *= share;
    store_row(static_cast<T*>(p.y), row_of(p.to, item.slab, 0, item.channel), item.part, sum);
}

// Pixels that a thread writes one gradient to.
constexpr uint32_t STRIP = 8;

template <typename T> __device__ __forceinline__ void avg_pool_backward(const AvgPool& p) {
    constexpr int VEC = Row<T>::VEC;
    const uint32_t pixels = p.to.h * p.to.w, strips = (pixels + STRIP - 1) / STRIP;
    const uint32_t thread = blockIdx.x * blockDim.x + threadIdx.x, index = thread / Row<T>::THREADS, rest = index / p.to.c;
    const uint32_t channel = index % p.to.c, first = rest % strips * STRIP, slab = rest / strips;
    const int part = static_cast<int>(thread % Row<T>::THREADS);
    const bool live = slab < p.slabs;
    float dy[VEC] = {};
    if (live) {
        load_row(static_cast<const T*>(p.x), row_of(p.from, slab, 0, channel), part, dy);
        const float share = 1.0f / static_cast<float>(pixels);
#pragma unroll
        for (int i = 0; i < VEC; i++) dy[i] *= share;
    }
    for (uint32_t pixel = first; pixel < first + STRIP; pixel++) {
        const bool here = live && pixel < pixels;
        size_t row = 0, add_row = 0;
        if (here) {
            row = row_of(p.to, slab, pixel, channel);
            if (p.then.add) add_row = row_of(p.then.add_place, slab, pixel, channel);
        }
        float v[VEC];
#pragma unroll
        for (int i = 0; i < VEC; i++) v[i] = dy[i];
        finish(p.then, v, static_cast<T*>(p.y), row, add_row, channel, part, here);
    }
}

#define INSTANCE(T, suffix)                                                                                      \
    extern "C" __global__ void __launch_bounds__(256) mean_pool_##suffix(const __grid_constant__ MeanPool p) {   \
        mean_pool<T>(p);                                                                                         \
    }                                                                                                            \
    extern "C" __global__ void __launch_bounds__(256)                                                            \
        mean_pool_backward_##suffix(const __grid_constant__ MeanPool p) {                                        \
        mean_pool_backward<T>(p);                                                                                \
    }                                                                                                            \
    extern "C" __global__ void __launch_bounds__(256) avg_pool_##suffix(const __grid_constant__ AvgPool p) {     \
        avg_pool<T>(p);                                                                                          \
    }                                                                                                            \
    extern "C" __global__ void __launch_bounds__(256)                                                            \
        avg_pool_backward_##suffix(const __grid_constant__ AvgPool p) {                                          \
        avg_pool_backward<T>(p);                                                                                 \
    }
FOR_EACH_FORMAT(INSTANCE)
