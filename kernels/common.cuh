// What all kernels share: how values lie in memory, and how a result is stored.
//
// Activations lie in slabs of 64 images, [slab][H][W][rows of a pixel][64]: a row is 64 images of one channel of one
// pixel, contiguous. Slabs are always full here; the lanes of a last slab that hold no image hold finite numbers, and are
// seen by no count, loss, statistic or parameter gradient.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

using half = __half;
using bf16 = __nv_bfloat16;

// Images of a slab: lanes of a row.
constexpr uint32_t SLAB = 64;

// Where a value lies in its buffer: channel k of pixel p is row p·pixel + offset + k·step of its slab.
// Mirrors `abi::Place`.
struct Place {
    uint32_t h, w, c;
    uint32_t pixel, offset, step;
};
static_assert(sizeof(Place) == 24);

// The row of channel `channel` of pixel `pixel` of slab `slab`, counted over the buffer; 64 elements each.
__device__ __forceinline__ size_t row_of(const Place& at, uint32_t slab, uint32_t pixel, uint32_t channel) {
    return (static_cast<size_t>(slab) * (at.h * at.w) + pixel) * at.pixel + at.offset + channel * at.step;
}

// The last step of a result: a rectifier, whose derivative is 1 where an element's bit is set and `below` elsewhere, or its
// backward.
enum Sign : uint8_t {
    SIGN_NONE = 0,
    SIGN_RECTIFY = 1,       // v above 0, below·v elsewhere; at most CAP where `capped`
    SIGN_RECTIFY_SAVE = 2,  // the same, and bit i of bits[row] says whether 0 < v (< CAP) for image i
    SIGN_MASK = 3,          // v where the bit is set, else below·v: +0.0 where `below` is 0
};

// The most that a capped rectifier lets through.
constexpr float CAP = 6.0f;

// What happens to a result before it is stored: act(result·scale + shift + add + what stands there), each part where it
// is asked for. Mirrors `abi::Then`.
struct Then {
    const float* scale;  // per channel of the result, or null
    const float* shift;  // per channel of the result, or null
    const void* add;     // a value of the same shape in the same number format, or null
    uint64_t* bits;      // one word per row of the written buffer; read or written as `sign` says
    Place add_place;
    uint8_t sign, accumulate, capped, unused;
    float below;
};
static_assert(sizeof(Then) == 64);

template <typename T> __device__ __forceinline__ float to_float(T v);
template <> __device__ __forceinline__ float to_float(float v) { return v; }
template <> __device__ __forceinline__ float to_float(half v) { return __half2float(v); }
template <> __device__ __forceinline__ float to_float(bf16 v) { return __bfloat162float(v); }

template <typename T> __device__ __forceinline__ T from_float(float v);
template <> __device__ __forceinline__ float from_float<float>(float v) { return v; }
template <> __device__ __forceinline__ half from_float<half>(float v) { return __float2half_rn(v); }
template <> __device__ __forceinline__ bf16 from_float<bf16>(float v) { return __float2bfloat16_rn(v); }
