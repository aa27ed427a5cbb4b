// Activations that are steps of their own.
//
//   activate:           y = f(x)
//   activate_backward:  dx = then(f′(x)·dy)
//
// Which f: activation.cuh. Grid: enough threads for 16 (f32) or 8 (f16, bf16) per row of 64 images. Block: 256 threads, no
// shared memory. Registers (sm_80): 23 to 40. Bytes: each operand once. FLOPs: up to some 40 per element; all threads take
// the same way through the table. Overwrites; backward as `then` says.
#include "activation.cuh"
#include "epilogue.cuh"

// Mirrors `Activate` of src/backend/cuda/activation.rs.
struct Activate {
    const void* x;
    const void* dy;  // backward alone
    void* y;         // forward: the result; backward: dx
    Place x_at, dy_at, to;
    uint32_t function;
    float slope;
    uint32_t slabs, unused;
    Then then;
};
static_assert(sizeof(Activate) == 176);

template <typename T, bool BACKWARD> __device__ __forceinline__ void activate(const Activate& p) {
    constexpr int VEC = Row<T>::VEC;
    const Item item = item_of<T>(p.to, p.slabs);
    float v[VEC] = {};
    size_t row = 0, add_row = 0;
    if (item.live) {
        row = row_of(p.to, item.slab, item.pixel, item.channel);
        load_row(static_cast<const T*>(p.x), row_of(p.x_at, item.slab, item.pixel, item.channel), item.part, v);
        if (BACKWARD) {
            if (p.then.add) add_row = row_of(p.then.add_place, item.slab, item.pixel, item.channel);
            float dy[VEC];
            load_row(static_cast<const T*>(p.dy), row_of(p.dy_at, item.slab, item.pixel, item.channel), item.part, dy);
#pragma unroll
            for (int i = 0; i < VEC; i++) v[i] = times(derivative_of(p.function, p.slope, v[i]), dy[i]);
        } else {
#pragma unroll
            for (int i = 0; i < VEC; i++) v[i] = value_of(p.function, p.slope, v[i]);
        }
    }
    if (BACKWARD) {
        finish(p.then, v, static_cast<T*>(p.y), row, add_row, item.channel, item.part, item.live);
    } else if (item.live) {
        store_row(static_cast<T*>(p.y), row, item.part, v);
    }
}

#define INSTANCE(T, suffix)                                                                                     \
    extern "C" __global__ void __launch_bounds__(256) activate_##suffix(const __grid_constant__ Activate p) {   \
        activate<T, false>(p);                                                                                  \
    }                                                                                                           \
    extern "C" __global__ void __launch_bounds__(256)                                                           \
        activate_backward_##suffix(const __grid_constant__ Activate p) {                                        \
        activate<T, true>(p);                                                                                   \
    }
FOR_EACH_FORMAT(INSTANCE)
