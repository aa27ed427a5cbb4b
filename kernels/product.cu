// Products of two values.
//
//   product:      y = then(x · factor)        a factor with a 1×1 map is that of every pixel
//   product_sum:  y = then(Σ x · factor)      over the map, pixel by pixel; y has a 1×1 map
//
// Grid: enough threads for 16 (f32) or 8 (f16, bf16) per row of the result. Block: 256 threads, no shared memory. Registers
// (sm_80): 29 to 40. Bytes: each operand once; L1 and L2 keep a factor with a 1×1 map. FLOPs: at most two per element that
// is read. Overwrites, or adds where `then` says so.
#include "epilogue.cuh"

// Mirrors `Product` of src/backend/cuda/product.rs.
struct Product {
    const void* x;
    const void* factor;
    void* y;
    Place x_at, factor_at, to;
    uint32_t slabs, unused;
    Then then;
};
static_assert(sizeof(Product) == 168);

template <typename T> __device__ __forceinline__ void product(const Product& p) {
    constexpr int VEC = Row<T>::VEC;
    const Item item = item_of<T>(p.to, p.slabs);
    float v[VEC] = {};
    size_t row = 0, add_row = 0;
    if (item.live) {
        row = row_of(p.to, item.slab, item.pixel, item.channel);
        if (p.then.add) add_row = row_of(p.then.add_place, item.slab, item.pixel, item.channel);
        const uint32_t other = p.factor_at.h * p.factor_at.w == 1 ? 0 : item.pixel;
        float factor[VEC];
        load_row(static_cast<const T*>(p.x), row_of(p.x_at, item.slab, item.pixel, item.channel), item.part, v);
        load_row(static_cast<const T*>(p.factor), row_of(p.factor_at, item.slab, other, item.channel), item.part, factor);
#pragma unroll
        for (int i = 0; i < VEC; i++) v[i] = __fmul_rn(v[i], factor[i]);
    }
    finish(p.then, v, static_cast<T*>(p.y), row, add_row, item.channel, item.part, item.live);
}

template <typename T> __device__ __forceinline__ void product_sum(const Product& p) {
    constexpr int VEC = Row<T>::VEC;
    const Item item = item_of<T>(p.to, p.slabs);
    float sum[VEC] = {};
    size_t row = 0, add_row = 0;
    if (item.live) {
        row = row_of(p.to, item.slab, 0, item.channel);
        if (p.then.add) add_row = row_of(p.then.add_place, item.slab, 0, item.channel);
#pragma unroll 1  // four at a time would take more registers than there are
        for (uint32_t pixel = 0; pixel < p.x_at.h * p.x_at.w; pixel++) {
            float x[VEC], factor[VEC];
            load_row(static_cast<const T*>(p.x), row_of(p.x_at, item.slab, pixel, item.channel), item.part, x);
            load_row(static_cast<const T*>(p.factor), row_of(p.factor_at, item.slab, pixel, item.channel), item.part,
                     factor);
#pragma unroll
            for (int i = 0; i < VEC; i++) sum[i] = __fadd_rn(sum[i], __fmul_rn(x[i], factor[i]));
        }
    }
    finish(p.then, sum, static_cast<T*>(p.y), row, add_row, item.channel, item.part, item.live);
}

#define INSTANCE(T, suffix)                                                                                       \
    extern "C" __global__ void __launch_bounds__(256) product_##suffix(const __grid_constant__ Product p) {       \
        product<T>(p);                                                                                            \
    }                                                                                                             \
    extern "C" __global__ void __launch_bounds__(256) product_sum_##suffix(const __grid_constant__ Product p) {   \
        product_sum<T>(p);                                                                                        \
    }
FOR_EACH_FORMAT(INSTANCE)
