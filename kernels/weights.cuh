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
    // Backward to few channels: `residues`² neighbouring pixels of the result (a multiple of the stride each way) are one, and
    // each (row a, column b, c) of them an output of a forward convolution, whose tap u of pixel i reads pixel
    // i·residues / stride + u + first of the source. There tap r of the master serves all a with a + pad − r a multiple of
    // the stride: a weight has (residues / stride)² places.
    FORM_RESIDUES = 3,
};

constexpr uint32_t WORKING_CHUNK = 32;
constexpr uint32_t WORKING_PAD = 128 * WORKING_CHUNK;

// Mirrors `abi::Working`.
struct Working {
    uint32_t form;
    uint32_t k, c, s;                // of the master: outputs, inputs, taps of a row
    uint32_t outputs, chunks, taps;  // of the working weights
    uint32_t stride, pad;            // FORM_RESIDUES, as the others below
    uint32_t residues;
    int32_t first;  // source of tap 0 for pixel 0
    uint32_t side;  // taps along each axis
};
static_assert(sizeof(Working) == 48);

// How many places a weight has.
__device__ __forceinline__ uint32_t working_places(const Working& at) {
    const uint32_t each_way = at.form == FORM_RESIDUES ? at.residues / at.stride : 1;
    return each_way * each_way;
}

// One of two axes of FORM_RESIDUES: which of the residues, and which tap.
struct Residue {
    uint32_t at, tap;

    __device__ __forceinline__ Residue(const Working& working, uint32_t tap_of_master, uint32_t place) {
        const int stride = static_cast<int>(working.stride);
        const int before = static_cast<int>(tap_of_master) - static_cast<int>(working.pad);
        const int residue = (before % stride + stride) % stride + static_cast<int>(place) * stride;
        at = static_cast<uint32_t>(residue);
        tap = static_cast<uint32_t>((residue - before) / stride - working.first);
    }
};

// Index of a weight of the master among the working weights; `place` of its places.
__device__ __forceinline__ size_t working_index(const Working& at, uint32_t k, uint32_t c, uint32_t r, uint32_t s,
                                                uint32_t place) {
    uint32_t tap = r * at.s + s, output = k, input = c;
    if (at.form == FORM_BACKWARD) {
        output = c, input = k;
    } else if (at.form == FORM_PACKED) {
        input = tap * at.c + c, tap = 0;
    } else if (at.form == FORM_RESIDUES) {
        const uint32_t each_way = at.residues / at.stride;
        const Residue down(at, r, place / each_way), right(at, s, place % each_way);
        tap = down.tap * at.side + right.tap;
        output = (down.at * at.residues + right.at) * at.c + c, input = k;
    }
    return ((static_cast<size_t>(tap) * at.chunks + input / WORKING_CHUNK) * at.outputs + output) * WORKING_CHUNK +
           input % WORKING_CHUNK;
}
