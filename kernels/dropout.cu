// Dropout: y = then(x / (1 − p)) where the element is kept, else then(0). With dy in the place of x its own backward.
//
// Element i of the batch in [image][channel][pixel] order takes word i mod 4 of Philox4x32-10 block (⌊i/4⌋, layer, step)
// under the seed as key (Salmon et al. 2011): the numbers of src/random.rs, on every device. Grid and block: as an
// elementwise operation. Registers (sm_80): 40. Bytes: x and y once; some 100 integer operations per element.
#include "epilogue.cuh"
#include "philox.cuh"

// Mirrors `Dropout` of src/backend/cuda/dropout.rs.
struct Dropout {
    const void* x;
    void* y;
    Place from, to;
    uint32_t slabs, layer, step, seed_low, seed_high;
    float p, factor;
    uint32_t unused;
    Then then;
};
static_assert(sizeof(Dropout) == 160);

template <typename T> __device__ __forceinline__ void dropout(const Dropout& p) {
    constexpr int VEC = Row<T>::VEC;
    const Item item = item_of<T>(p.to, p.slabs);
    float v[VEC] = {};
    size_t row = 0, add_row = 0;
    if (item.live) {
        row = row_of(p.to, item.slab, item.pixel, item.channel);
        if (p.then.add) add_row = row_of(p.then.add_place, item.slab, item.pixel, item.channel);
        load_row(static_cast<const T*>(p.x), row_of(p.from, item.slab, item.pixel, item.channel), item.part, v);
        const uint64_t pixels = p.to.h * p.to.w;
#pragma unroll
        for (int i = 0; i < VEC; i++) {
            const uint64_t image = item.slab * SLAB + item.part * VEC + i;
            const uint64_t element = (image * p.to.c + item.channel) * pixels + item.pixel;
            const uint32_t word = philox_word({p.layer, p.step}, {p.seed_low, p.seed_high}, element);
            v[i] *= unit(word) >= p.p ? p.factor : 0.0f;
        }
    }
    finish(p.then, v, static_cast<T*>(p.y), row, add_row, item.channel, item.part, item.live);
}

#define INSTANCE(T, suffix)                                                                                  \
    extern "C" __global__ void __launch_bounds__(256) dropout_##suffix(const __grid_constant__ Dropout p) {  \
        dropout<T>(p);                                                                                       \
    }
FOR_EACH_FORMAT(INSTANCE)
