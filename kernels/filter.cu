// A convolution's weights, from the f32 master [K][C/groups][R][S] into the form in which kernels read them, with the mask
// of a synaptic filter on the way: a weight that the mask drops is +0. Overwrites in place; no other copy of the weights
// is made. The mask is decided on the master, so that every number format keeps the same weights. A mask of some output
// channels packs these alone.
//
//   pack_fma:     f32, [group][tap][input][output], outputs padded to a multiple of 4       for conv2d.cu, depthwise.cu
//   pack_matrix:  f16 or bf16, the forms of weights.cuh                                      for conv_mma.cu, conv_strip.cu
//
// Backward to the input, inputs and outputs change places, and each weight is multiplied by its output channel's `scale`.
// Both sides are read and written along lines: a block turns a tile of 32 output channels × `columns` weights of each (whole
// kernels of up to 32 inputs, where they are small) in shared memory. Grid: (tiles of columns, tiles of output channels).
// Block: 256 threads; shared memory: 32 · (columns | 1) floats, at most 41 KB. Registers (sm_80): 31. Bytes: the master and
// the working weights once.
#include "common.cuh"
#include "mask.cuh"
#include "weights.cuh"

constexpr uint32_t THREADS = 256;
constexpr uint32_t TILE_K = 32;

// Mirrors `Pack` of src/backend/cuda/filter.rs.
struct Pack {
    const float* master;
    const float* scale;  // per output channel, or null
    void* working;
    uint32_t* kept;      // how many the mask keeps, added up; or null
    Mask mask;
    uint32_t columns;
    uint32_t k, c, taps;  // of the master: outputs, inputs of a group, R·S
    uint32_t groups, padded, backward;
    uint32_t first, end;  // output channels that are packed; all others stay as they are
    Working at;
};
static_assert(sizeof(Pack) == 128);

// Adds up over the block, then over the grid: integers, so that the order of addition does not matter.
__device__ __forceinline__ void count(uint32_t* kept, uint32_t mine) {
    __shared__ uint32_t of_block;
    if (threadIdx.x == 0) of_block = 0;
    __syncthreads();
    const uint32_t of_warp = __reduce_add_sync(0xffffffffu, mine);
    if (threadIdx.x % 32 == 0) atomicAdd(&of_block, of_warp);
    __syncthreads();
    if (threadIdx.x == 0) atomicAdd(kept, of_block);
}

// Calls `write(k, c, tap, weight)` for every weight of the block's tile. Threads of a warp have successive outputs of one
// input and tap where `along_outputs`, else successive inputs of one output and tap, or successive taps after the last input.
template <typename Write>
__device__ __forceinline__ void turn(const Pack& p, bool along_outputs, const Write& write) {
    extern __shared__ float tile[];
    const uint32_t pitch = p.columns | 1, width = p.c * p.taps;
    const uint32_t first_k = p.first + blockIdx.y * TILE_K, first = blockIdx.x * p.columns;
    const uint32_t ks = min(TILE_K, p.end - first_k), columns = min(p.columns, width - first);
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    uint32_t kept = 0;
    for (uint32_t row = warp; row < ks; row += THREADS / 32) {
        const float* master = p.master + static_cast<size_t>(first_k + row) * width + first;
        const float scale = p.scale ? p.scale[first_k + row] : 1.0f;
        for (uint32_t column = lane; column < columns; column += 32) {
            const float w = master[column];
            const bool keep = keeps(p.mask, w);
            kept += keep;
            tile[row * pitch + column] = !keep ? 0.0f : p.scale ? w * scale : w;
        }
    }
    if (p.kept) count(p.kept, kept);
    __syncthreads();
    if (along_outputs) {
        if (lane >= ks) return;
        for (uint32_t column = warp; column < columns; column += THREADS / 32) {
            write(first_k + lane, (first + column) / p.taps, (first + column) % p.taps, tile[lane * pitch + column]);
        }
        return;
    }
    // Inputs that the tile has, perhaps not with all their taps.
    const uint32_t first_c = first / p.taps, cs = (first + columns - 1) / p.taps + 1 - first_c;
    for (uint32_t row = warp; row < ks; row += THREADS / 32) {
        for (uint32_t i = lane; i < cs * p.taps; i += 32) {
            const uint32_t c = first_c + i % cs, tap = i / cs, column = c * p.taps + tap - first;
            if (column < columns) write(first_k + row, c, tap, tile[row * pitch + column]);
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) pack_fma(const __grid_constant__ Pack p) {
    const uint32_t of_group = p.k / p.groups;
    turn(p, !p.backward, [&](uint32_t k, uint32_t c, uint32_t tap, float w) {
        const uint32_t group = k / of_group, output = k % of_group;
        const size_t first = group * p.taps + tap;
        const size_t at = p.backward ? (first * of_group + output) * p.padded + c : (first * p.c + c) * p.padded + output;
        static_cast<float*>(p.working)[at] = w;
    });
}

template <typename T> __device__ __forceinline__ void pack_matrix(const Pack& p) {
    const bool along_outputs = p.at.form == FORM_BACKWARD || p.at.form == FORM_RESIDUES;
    turn(p, along_outputs, [&](uint32_t k, uint32_t c, uint32_t tap, float w) {
        for (uint32_t place = 0; place < working_places(p.at); place++) {
            const size_t at = working_index(p.at, k, c, tap / p.at.s, tap % p.at.s, place);
            static_cast<T*>(p.working)[at] = from_float<T>(w);
        }
    });
}

#define INSTANCE(T, suffix)                                                                                      \
    extern "C" __global__ void __launch_bounds__(THREADS) pack_matrix_##suffix(const __grid_constant__ Pack p) { \
        pack_matrix<T>(p);                                                                                       \
    }
INSTANCE(half, f16)
INSTANCE(bf16, bf16)
