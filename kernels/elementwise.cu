// Elementwise operations.
//
//   map:        y = then(x)                                 scale, shift, rectifiers, sums, copies; overwrites or accumulates
//   mask:       y = bit ? y : below·y                       a whole buffer; +0 where `below` is 0
//   copy_bits:  bits of one value into those of another     or all set, where the source keeps none
//
// Grid: enough threads for 16 (f32) or 8 (f16, bf16) per row of 64 images. Block: 256 threads, no shared memory.
// Registers (sm_80): 30 (map), 14 (the others).
// Bytes: each operand once. FLOPs: at most four per element.
#include "epilogue.cuh"

// Mirrors `Map` of src/backend/cuda/elementwise.rs.
struct Map {
    const void* x;
    void* y;
    Place from, to;
    uint32_t slabs, unused;
    Then then;
};
static_assert(sizeof(Map) == 136);

template <typename T> __device__ __forceinline__ void map(const Map& p) {
    const Item item = item_of<T>(p.to, p.slabs);
    float v[Row<T>::VEC] = {};
    size_t row = 0, add_row = 0;
    if (item.live) {
        row = row_of(p.to, item.slab, item.pixel, item.channel);
        if (p.then.add) add_row = row_of(p.then.add_place, item.slab, item.pixel, item.channel);
        load_row(static_cast<const T*>(p.x), row_of(p.from, item.slab, item.pixel, item.channel), item.part, v);
    }
    finish(p.then, v, static_cast<T*>(p.y), row, add_row, item.channel, item.part, item.live);
}

// Mirrors `MaskRows` of src/backend/cuda/elementwise.rs.
struct MaskRows {
    void* y;
    const uint64_t* bits;
    uint64_t rows;
    float below;
    uint32_t unused;
};
static_assert(sizeof(MaskRows) == 32);

template <typename T> __device__ __forceinline__ void mask_rows(const MaskRows& p) {
    const size_t thread = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    const size_t row = thread / Row<T>::THREADS;
    const int part = static_cast<int>(thread % Row<T>::THREADS);
    if (row >= p.rows) return;
    Pack<T> pack = load_pack(static_cast<T*>(p.y), row, part);
    const uint32_t bits = load_bits<T>(p.bits, row, part);
#pragma unroll
    for (int i = 0; i < Row<T>::VEC; i++) {
        pack.v[i] = (bits >> i & 1) ? pack.v[i] : from_float<T>(slope_times(p.below, to_float(pack.v[i])));
    }
    reinterpret_cast<Pack<T>*>(p.y)[row * Row<T>::THREADS + part] = pack;
}

// Mirrors `CopyBits` of src/backend/cuda/elementwise.rs.
struct CopyBits {
    const uint64_t* from_bits;  // or null
    uint64_t* to_bits;
    Place from, to;
    uint32_t slabs, unused;
};
static_assert(sizeof(CopyBits) == 72);

extern "C" __global__ void __launch_bounds__(256) copy_bits(const __grid_constant__ CopyBits p) {
    const uint32_t index = blockIdx.x * blockDim.x + threadIdx.x, rest = index / p.to.c, pixels = p.to.h * p.to.w;
    const uint32_t channel = index % p.to.c, pixel = rest % pixels, slab = rest / pixels;
    if (slab >= p.slabs) return;
    const uint64_t bits = p.from_bits ? p.from_bits[row_of(p.from, slab, pixel, channel)] : ~0ull;
    p.to_bits[row_of(p.to, slab, pixel, channel)] = bits;
}

#define INSTANCE(T, suffix)                                                                            \
    extern "C" __global__ void __launch_bounds__(256) map_##suffix(const __grid_constant__ Map p) {    \
        map<T>(p);                                                                                     \
    }                                                                                                  \
    extern "C" __global__ void __launch_bounds__(256)                                                  \
        mask_rows_##suffix(const __grid_constant__ MaskRows p) {                                       \
        mask_rows<T>(p);                                                                               \
    }
FOR_EACH_FORMAT(INSTANCE)
