// Dropout: y = then(x / (1 − p)) where the element is kept, else then(0). With dy in the place of x its own backward.
//
// Element i of the batch in [image][channel][pixel] order takes word i mod 4 of Philox4x32-10 block (⌊i/4⌋, layer, step)
// under the seed as key (Salmon et al. 2011): the numbers of src/random.rs, on every device. Grid and block: as an
// elementwise operation. Registers (sm_80): 40. Bytes: x and y once; some 100 integer operations per element.
#include "epilogue.cuh"

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

__device__ __forceinline__ uint32_t philox_word(uint64_t element, const Dropout& p) {
    const uint64_t block = element / 4;
    uint32_t c0 = static_cast<uint32_t>(block), c1 = static_cast<uint32_t>(block >> 32), c2 = p.layer, c3 = p.step;
    uint32_t k0 = p.seed_low, k1 = p.seed_high;
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const uint64_t a = static_cast<uint64_t>(c0) * 0xD2511F53u, b = static_cast<uint64_t>(c2) * 0xCD9E8D57u;
        c0 = static_cast<uint32_t>(b >> 32) ^ c1 ^ k0;
        c1 = static_cast<uint32_t>(b);
        c2 = static_cast<uint32_t>(a >> 32) ^ c3 ^ k1;
        c3 = static_cast<uint32_t>(a);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    const uint32_t word = static_cast<uint32_t>(element % 4);
    return word < 2 ? (word == 0 ? c0 : c1) : (word == 2 ? c2 : c3);
}

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
            const uint32_t word = philox_word((image * p.to.c + item.channel) * pixels + item.pixel, p);
            const float unit = static_cast<float>(word >> 8) * (1.0f / 16777216.0f);
            v[i] *= unit >= p.p ? p.factor : 0.0f;
        }
    }
    finish(p.then, v, static_cast<T*>(p.y), row, add_row, item.channel, item.part, item.live);
}

#define INSTANCE(T, suffix)                                                                                  \
    extern "C" __global__ void __launch_bounds__(256) dropout_##suffix(const __grid_constant__ Dropout p) {  \
        dropout<T>(p);                                                                                       \
    }
FOR_EACH_FORMAT(INSTANCE)
