// Twins of the textbook kernels with a mistake each, which the checks must find.
#include "mma.cuh"

// No barrier between the writes of one warp and the reads of another.
extern "C" __global__ void missing_syncthreads(const int* input, int* output) {
    __shared__ int tile[256];
    tile[threadIdx.x] = 0;
    __syncthreads();
    tile[threadIdx.x] = input[threadIdx.x];
    output[threadIdx.x] = tile[255 - threadIdx.x];
}

// The copy is used before it is waited for.
extern "C" __global__ void missing_wait(const int4* input, int* output) {
    __shared__ int4 tile[32];
    copy_16(shared_address(&tile[threadIdx.x]), &input[threadIdx.x], 16);
    commit();
    output[threadIdx.x] = tile[threadIdx.x].x;
}

// One element too many.
extern "C" __global__ void off_by_one(const float* input, float* output, unsigned n) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i <= n) output[i] = 2.0f * input[i];
}

// Half of a warp waits at another barrier than the other half.
extern "C" __global__ void divergent_barrier(int* output) {
    output[threadIdx.x] = 0;
    if (threadIdx.x % 32 < 16) {
        __syncthreads();
        output[threadIdx.x] = 1;
    }
    __syncthreads();
    output[threadIdx.x ^ 1] += 1;
}

// A tile that is only partly written.
extern "C" __global__ void uninitialized_tile(const int* input, int* output) {
    __shared__ int tile[64];
    if (threadIdx.x < 31) tile[threadIdx.x] = input[threadIdx.x];
    __syncthreads();
    output[threadIdx.x] = tile[threadIdx.x];
}

// The shuffle names lanes that have left.
extern "C" __global__ void absent_lanes(int* output) {
    if (threadIdx.x >= 24) output[threadIdx.x] = 0;
    else output[threadIdx.x] = __shfl_sync(0xffffffff, threadIdx.x, 30);
}
