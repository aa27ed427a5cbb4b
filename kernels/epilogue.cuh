// Rows of 64 images in registers, and the end of every kernel that writes a value: `Then`.
//
// A thread holds 16 bytes of a row, so that every request is whole sectors: 4 images of f32 or 8 of a 16-bit format. The
// threads of a row are neighbours; a warp holds 2 or 4 rows.
#pragma once

#include "common.cuh"

template <typename T> struct Row {
    static constexpr int VEC = 16 / sizeof(T);           // images of a thread
    static constexpr int THREADS = SLAB / VEC;           // threads of a row
    static constexpr int HALF_THREADS = THREADS / 2;     // of 32 images: one word of sign bits
};

template <typename T> struct alignas(16) Pack {
    T v[Row<T>::VEC];
};

template <typename T> __device__ __forceinline__ Pack<T> load_pack(const T* buffer, size_t row, int part) {
    return *reinterpret_cast<const Pack<T>*>(buffer + row * SLAB + part * Row<T>::VEC);
}

template <typename T>
__device__ __forceinline__ void load_row(const T* buffer, size_t row, int part, float (&v)[Row<T>::VEC]) {
    const Pack<T> pack = load_pack(buffer, row, part);
#pragma unroll
    for (int i = 0; i < Row<T>::VEC; i++) v[i] = to_float(pack.v[i]);
}

template <typename T>
__device__ __forceinline__ void store_row(T* buffer, size_t row, int part, const float (&v)[Row<T>::VEC]) {
    Pack<T> pack;
#pragma unroll
    for (int i = 0; i < Row<T>::VEC; i++) pack.v[i] = from_float<T>(v[i]);
    *reinterpret_cast<Pack<T>*>(buffer + row * SLAB + part * Row<T>::VEC) = pack;
}

// The sign bits of the images of one thread.
template <typename T>
__device__ __forceinline__ uint32_t load_bits(const uint64_t* bits, size_t row, int part) {
    const uint32_t* words = reinterpret_cast<const uint32_t*>(bits);
    const int in_word = part % Row<T>::HALF_THREADS * Row<T>::VEC;
    return words[row * 2 + part / Row<T>::HALF_THREADS] >> in_word;
}

// Puts the sign bits of a row together and writes them; the whole warp takes part, `live` or not.
template <typename T>
__device__ __forceinline__ void store_bits(uint64_t* bits, size_t row, int part, uint32_t mine, bool live) {
    constexpr int HALF = Row<T>::HALF_THREADS;
    uint32_t word = mine << part % HALF * Row<T>::VEC;
#pragma unroll
    for (int distance = 1; distance < HALF; distance *= 2) word |= __shfl_xor_sync(0xffffffffu, word, distance);
    if (live && part % HALF == 0) reinterpret_cast<uint32_t*>(bits)[row * 2 + part / HALF] = word;
}

// below·v, and +0.0 where `below` is 0, whatever v is.
__device__ __forceinline__ float slope_times(float below, float v) { return below == 0.0f ? 0.0f : __fmul_rn(below, v); }

// act(v·scale + shift + add + what stands there), stored. The whole warp takes part; threads that are not `live` neither
// read nor write. `row` is counted over the written buffer, `add_row` over that of the other value.
template <typename T>
__device__ __forceinline__ void finish(const Then& then, float (&v)[Row<T>::VEC], T* y, size_t row, size_t add_row,
                                       uint32_t channel, int part, bool live) {
    constexpr int VEC = Row<T>::VEC;
    if (live) {
        const float scale = then.scale ? then.scale[channel] : 1.0f;
        const float shift = then.shift ? then.shift[channel] : 0.0f;
        if (then.scale || then.shift) {
            // One rounding, as on the CPU.
#pragma unroll
            for (int i = 0; i < VEC; i++) v[i] = __fmaf_rn(v[i], scale, shift);
        }
        if (then.add) {
            float other[VEC];
            load_row(static_cast<const T*>(then.add), add_row, part, other);
#pragma unroll
            for (int i = 0; i < VEC; i++) v[i] += other[i];
        }
        if (then.accumulate) {
            float other[VEC];
            load_row(y, row, part, other);
#pragma unroll
            for (int i = 0; i < VEC; i++) v[i] += other[i];
        }
        if (then.sign == SIGN_MASK) {
            const uint32_t bits = load_bits<T>(then.bits, row, part);
#pragma unroll
            for (int i = 0; i < VEC; i++) v[i] = (bits >> i & 1) ? v[i] : slope_times(then.below, v[i]);
        }
    }
    if (then.sign == SIGN_RECTIFY || then.sign == SIGN_RECTIFY_SAVE) {
        uint32_t bits = 0;
#pragma unroll
        for (int i = 0; i < VEC; i++) {
            const bool positive = v[i] > 0.0f, over = then.capped && v[i] >= CAP;
            bits |= static_cast<uint32_t>(positive && !over) << i;
            v[i] = over ? CAP : positive ? v[i] : slope_times(then.below, v[i]);
        }
        if (then.sign == SIGN_RECTIFY_SAVE) store_bits<T>(then.bits, row, part, bits, live);
    }
    if (live) store_row(y, row, part, v);
}

// Which row of which value a thread of an elementwise kernel has.
struct Item {
    uint32_t slab, pixel, channel;
    int part;
    bool live;
};

// Rows are counted channel by channel, pixel by pixel, slab by slab; THREADS neighbours share one.
template <typename T> __device__ __forceinline__ Item item_of(const Place& at, uint32_t slabs) {
    const uint32_t thread = blockIdx.x * blockDim.x + threadIdx.x;
    const uint32_t index = thread / Row<T>::THREADS, rest = index / at.c;
    const uint32_t pixels = at.h * at.w;
    Item item;
    item.part = static_cast<int>(thread % Row<T>::THREADS);
    item.channel = index % at.c;
    item.pixel = rest % pixels;
    item.slab = rest / pixels;
    item.live = item.slab < slabs;
    return item;
}

#define FOR_EACH_FORMAT(INSTANCE) \
    INSTANCE(float, f32)          \
    INSTANCE(half, f16)           \
    INSTANCE(bf16, bf16)
