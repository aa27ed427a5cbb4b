// A convolution's weights, from the f32 master [K][C/groups][R][S] into the form in which kernels read them, with the mask
// of a synaptic filter on the way: a weight that the mask drops is +0. Overwrites in place; no other copy of the weights
// is made. The mask is decided on the master, so that every number format keeps the same weights.
//
//   pack_fma:     f32, [group][tap][input][output], outputs padded to a multiple of 4       for conv2d.cu, depthwise.cu
//   pack_matrix:  f16 or bf16, the forms of weights.cuh                                      for conv_mma.cu
//
// Backward to the input, inputs and outputs change places, and each weight is multiplied by its output channel's `scale`.
// Grid: one thread per weight of the master; block: 256 threads. Bytes: the master and the working weights once.
#include "common.cuh"
#include "mask.cuh"
#include "weights.cuh"

// Mirrors `Pack` of src/backend/cuda/filter.rs.
struct Pack {
    const float* master;
    const float* scale;  // per output channel, or null
    void* working;
    uint32_t* kept;      // how many the mask keeps, added up; or null
    Mask mask;
    uint32_t weights;
    uint32_t k, c, taps;  // of the master: outputs, inputs of a group, R·S
    uint32_t groups, padded, backward, unused[2];
    Working at;
};
static_assert(sizeof(Pack) == 128);

// Counts the weights that are kept: integers, so that the order of addition does not matter.
__device__ __forceinline__ void count(uint32_t* kept, bool keep) {
    if (!kept) return;
    const uint32_t word = __ballot_sync(0xffffffffu, keep);
    if (threadIdx.x % 32 == 0 && word != 0) atomicAdd(kept, __popc(word));
}

__device__ __forceinline__ float masked(const Pack& p, uint32_t i, uint32_t k, bool& keep) {
    const float w = p.master[i];
    keep = keeps(p.mask, w);
    if (!keep) return 0.0f;
    return p.scale ? w * p.scale[k] : w;
}

extern "C" __global__ void __launch_bounds__(256) pack_fma(const __grid_constant__ Pack p) {
    const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    bool keep = false;
    if (i < p.weights) {
        const uint32_t tap = i % p.taps, c = i / p.taps % p.c, k = i / p.taps / p.c;
        const uint32_t of_group = p.k / p.groups, group = k / of_group, output = k % of_group;
        const float w = masked(p, i, k, keep);
        const size_t first = group * p.taps + tap;
        const size_t at = p.backward ? (first * of_group + output) * p.padded + c : (first * p.c + c) * p.padded + output;
        static_cast<float*>(p.working)[at] = w;
    }
    count(p.kept, keep);
}

template <typename T> __device__ __forceinline__ void pack_matrix(const Pack& p) {
    const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    bool keep = false;
    if (i < p.weights) {
        const uint32_t tap = i % p.taps, c = i / p.taps % p.c, k = i / p.taps / p.c;
        const float w = masked(p, i, k, keep);
        for (uint32_t place = 0; place < working_places(p.at); place++) {
            const size_t at = working_index(p.at, k, c, tap / p.at.s, tap % p.at.s, place);
            static_cast<T*>(p.working)[at] = from_float<T>(w);
        }
    }
    count(p.kept, keep);
}

#define INSTANCE(T, suffix)                                                                                  \
    extern "C" __global__ void __launch_bounds__(256) pack_matrix_##suffix(const __grid_constant__ Pack p) { \
        pack_matrix<T>(p);                                                                                   \
    }
INSTANCE(half, f16)
INSTANCE(bf16, bf16)
