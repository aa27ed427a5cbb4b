// Sum of n values: a grid-stride loop, shuffles within warps, shared memory between them.
// Grid: any. Block: a multiple of 32, up to 1024. Writes one partial sum per block to `partial`.

template <typename T>
__device__ T warp_sum(T value) {
    for (int offset = 16; offset > 0; offset /= 2) value += __shfl_down_sync(0xffffffff, value, offset);
    return value;
}

template <typename T>
__device__ void block_sum(const T* input, T* partial, unsigned n) {
    __shared__ T sums[32];
    T sum = 0;
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) sum += input[i];
    sum = warp_sum(sum);
    unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    if (lane == 0) sums[warp] = sum;
    __syncthreads();
    if (warp == 0) {
        sum = lane < blockDim.x / 32 ? sums[lane] : 0;
        sum = warp_sum(sum);
        if (lane == 0) partial[blockIdx.x] = sum;
    }
}

extern "C" __global__ void sum_f32(const float* input, float* partial, unsigned n) { block_sum(input, partial, n); }
extern "C" __global__ void sum_f64(const double* input, double* partial, unsigned n) { block_sum(input, partial, n); }
extern "C" __global__ void sum_u64(const unsigned long long* input, unsigned long long* partial, unsigned n) {
    block_sum(input, partial, n);
}

// The tree in shared memory alone, as textbooks begin. Block: a power of two, up to 1024.
extern "C" __global__ void sum_tree_i32(const int* input, int* partial, unsigned n) {
    __shared__ int values[1024];
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    values[threadIdx.x] = i < n ? input[i] : 0;
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) values[threadIdx.x] += values[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) partial[blockIdx.x] = values[0];
}
