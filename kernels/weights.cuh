// Where a convolution's weights lie as its matrix kernels read them: the working weights, in the number format of the
// values, [tap][chunk of 32 inputs][output][32]. What no weight of the master falls on is zero: the reduction is padded to
// whole chunks, and PAD elements stand behind the end, because a tile may read past the last output.
#pragma once

#include <cstddef>
#include <cstdint>

// How the weight of output channel k, input channel c, tap (r, s) becomes (tap, output, input).
enum Form : uint32_t {
    FORM_FORWARD = 0,   // (r·S + s, k, c)
    FORM_BACKWARD = 1,  // (r·S + s, c, k)
    FORM_PACKED = 2,    // few input channels: (0, k, (r·S + s)·C + c), one reduction over taps and channels
    // Backward to few channels: the stride² pixels of one residue are computed together, each (residue, channel) an output
    // of a convolution of stride 1 over a map stride times smaller. Tap r belongs to residue a = (r − pad) mod stride of the
    // result's row, and is tap (r − a − pad) / stride − first of that convolution.
    FORM_RESIDUES = 3,
};

constexpr uint32_t WORKING_CHUNK = 32;
constexpr uint32_t WORKING_PAD = 128 * WORKING_CHUNK;

// Mirrors `abi::Working`.
struct Working {
    uint32_t form;
    uint32_t k, c, r, s;       // of the master
    uint32_t outputs, chunks, taps;  // of the working weights
    uint32_t stride, pad;            // FORM_RESIDUES
    int32_t first;                   // FORM_RESIDUES: smallest (r − a − pad) / stride
    uint32_t side;                   // FORM_RESIDUES: taps along each axis
};
static_assert(sizeof(Working) == 48);

// Index of a weight of the master among the working weights.
__device__ __forceinline__ size_t working_index(const Working& at, uint32_t k, uint32_t c, uint32_t r, uint32_t s) {
    uint32_t tap = r * at.s + s, output = k, input = c;
    if (at.form == FORM_BACKWARD) {
        output = c, input = k;
    } else if (at.form == FORM_PACKED) {
        input = tap * at.c + c, tap = 0;
    } else if (at.form == FORM_RESIDUES) {
        const int stride = static_cast<int>(at.stride);
        const int down = static_cast<int>(r) - static_cast<int>(at.pad), right = static_cast<int>(s) - static_cast<int>(at.pad);
        const int a = (down % stride + stride) % stride, b = (right % stride + stride) % stride;
        tap = static_cast<uint32_t>((down - a) / stride - at.first) * at.side +
              static_cast<uint32_t>((right - b) / stride - at.first);
        output = static_cast<uint32_t>(a * stride + b) * at.c + c, input = k;
    }
    return ((static_cast<size_t>(tap) * at.chunks + input / WORKING_CHUNK) * at.outputs + output) * WORKING_CHUNK +
           input % WORKING_CHUNK;
}
