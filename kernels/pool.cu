// Max pooling.
//
//   max_pool:           y = max over the window; winners[element] = which of its kernel² places won, if asked for
//   max_pool_backward:  dx = then(Σ dy over the windows that this element won)     a gather, in row order
//
// Padding never wins; of equal maxima the first in row order does; a NaN wins only as the first of its window. Winners lie
// densely, [slab][pixel][C][64] bytes. Grid: enough threads for 16 (f32) or 8 (16-bit) per row of the result. Block: 256
// threads, no shared memory. Registers (sm_80): 39 (max_pool), 48 (max_pool_backward). Bytes: a window per result, and
// backward as many gradients and winners per element as there are windows over it; L1 and L2 keep what they share. FLOPs: at
// most one per value that is read. Overwrites; backward as `then` says.
#include "epilogue.cuh"

// Mirrors `MaxPool` of src/backend/cuda/pool.rs.
struct MaxPool {
    const void* x;     // forward: the input; backward: dy
    void* y;           // forward: the result; backward: dx
    uint8_t* winners;  // or null
    Place from, to;
    uint32_t kernel, stride, pad, slabs;
    Then then;
};
static_assert(sizeof(MaxPool) == 152);

template <typename T> struct alignas(Row<T>::VEC) Bytes {
    uint8_t v[Row<T>::VEC];
};

template <typename T> __device__ __forceinline__ size_t winner_at(const Place& out, const Item& item, uint32_t pixel) {
    const size_t row = (static_cast<size_t>(item.slab) * (out.h * out.w) + pixel) * out.c + item.channel;
    return row * Row<T>::THREADS + item.part;
}

template <typename T> __device__ __forceinline__ void max_pool(const MaxPool& p) {
    constexpr int VEC = Row<T>::VEC;
    const Item item = item_of<T>(p.to, p.slabs);
    if (!item.live) return;
    const int top = static_cast<int>(item.pixel / p.to.w * p.stride) - static_cast<int>(p.pad);
    const int left = static_cast<int>(item.pixel % p.to.w * p.stride) - static_cast<int>(p.pad);
    float best[VEC];
    Bytes<T> winner = {};
    bool first = true;
    for (int r = 0; r < static_cast<int>(p.kernel); r++) {
        const int row = top + r;
        if (row < 0 || row >= static_cast<int>(p.from.h)) continue;
        for (int s = 0; s < static_cast<int>(p.kernel); s++) {
            const int column = left + s;
            if (column < 0 || column >= static_cast<int>(p.from.w)) continue;
            float v[VEC];
            load_row(static_cast<const T*>(p.x), row_of(p.from, item.slab, row * p.from.w + column, item.channel),
                     item.part, v);
            const uint8_t place = static_cast<uint8_t>(r * p.kernel + s);
#pragma unroll
            for (int i = 0; i < VEC; i++) {
                if (first || v[i] > best[i]) {
                    best[i] = v[i];
                    winner.v[i] = place;
                }
            }
            first = false;
        }
    }
    store_row(static_cast<T*>(p.y), row_of(p.to, item.slab, item.pixel, item.channel), item.part, best);
    if (p.winners) reinterpret_cast<Bytes<T>*>(p.winners)[winner_at<T>(p.to, item, item.pixel)] = winner;
}

// Windows that contain `at` along an axis: those from `first` to before `end`.
struct Windows {
    uint32_t first, end;
};

__device__ __forceinline__ Windows windows_of(uint32_t at, const MaxPool& p, uint32_t outputs) {
    const uint32_t end = at + p.pad + 1, start = end > p.kernel ? end - p.kernel : 0;
    return {(start + p.stride - 1) / p.stride, min((at + p.pad) / p.stride + 1, outputs)};
}

template <typename T> __device__ __forceinline__ void max_pool_backward(const MaxPool& p) {
    constexpr int VEC = Row<T>::VEC;
    const Item item = item_of<T>(p.to, p.slabs);
    float sum[VEC] = {};
    size_t row = 0, add_row = 0;
    if (item.live) {
        row = row_of(p.to, item.slab, item.pixel, item.channel);
        if (p.then.add) add_row = row_of(p.then.add_place, item.slab, item.pixel, item.channel);
        const uint32_t i = item.pixel / p.to.w, j = item.pixel % p.to.w;
        const Windows down = windows_of(i, p, p.from.h), right = windows_of(j, p, p.from.w);
        for (uint32_t a = down.first; a < down.end; a++) {
            for (uint32_t b = right.first; b < right.end; b++) {
                const uint32_t pixel = a * p.from.w + b;
                const uint8_t place =
                    static_cast<uint8_t>((i + p.pad - a * p.stride) * p.kernel + (j + p.pad - b * p.stride));
                const Bytes<T> winner = reinterpret_cast<const Bytes<T>*>(p.winners)[winner_at<T>(p.from, item, pixel)];
                float dy[VEC];
                load_row(static_cast<const T*>(p.x), row_of(p.from, item.slab, pixel, item.channel), item.part, dy);
#pragma unroll
                for (int k = 0; k < VEC; k++) sum[k] += winner.v[k] == place ? dy[k] : 0.0f;
            }
        }
    }
    finish(p.then, sum, static_cast<T*>(p.y), row, add_row, item.channel, item.part, item.live);
}

#define INSTANCE(T, suffix)                                                                                         \
    extern "C" __global__ void __launch_bounds__(256) max_pool_##suffix(const __grid_constant__ MaxPool p) {        \
        max_pool<T>(p);                                                                                             \
    }                                                                                                               \
    extern "C" __global__ void __launch_bounds__(256)                                                               \
        max_pool_backward_##suffix(const __grid_constant__ MaxPool p) {                                             \
        max_pool_backward<T>(p);                                                                                    \
    }
FOR_EACH_FORMAT(INSTANCE)
