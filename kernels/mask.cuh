// The one predicate of a synaptic filter: which weights a variant keeps.
#pragma once

#include <cstdint>

// Weights with lo <= w < hi, or all others. Mirrors `abi::Mask`; decided on f32 masters, never on halves.
struct Mask {
    float lo, hi;
    uint32_t keep_inside;
};
static_assert(sizeof(Mask) == 12);

__device__ __forceinline__ bool keeps(const Mask& mask, float w) {
    return (mask.lo <= w && w < mask.hi) == (mask.keep_inside != 0);
}
