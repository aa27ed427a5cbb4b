// The random numbers of src/random.rs: Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011).
#pragma once

#include <cstdint>

// 64 bits in two words.
struct Halves {
    uint32_t low, high;
};

// Number `at` of sequence `stream` of `seed`: `Random::bits_at`.
__device__ __forceinline__ uint32_t philox_word(Halves stream, Halves seed, uint64_t at) {
    const uint64_t block = at / 4;
    uint32_t c0 = static_cast<uint32_t>(block), c1 = static_cast<uint32_t>(block >> 32);
    uint32_t c2 = stream.low, c3 = stream.high;
    uint32_t k0 = seed.low, k1 = seed.high;
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
    const uint32_t word = static_cast<uint32_t>(at % 4);
    return word < 2 ? (word == 0 ? c0 : c1) : (word == 2 ? c2 : c3);
}

// The float in [0, 1) that the upper 24 bits of a word stand for.
__device__ __forceinline__ float unit(uint32_t word) { return static_cast<float>(word >> 8) * (1.0f / 16777216.0f); }
