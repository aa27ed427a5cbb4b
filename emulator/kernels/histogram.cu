// counts[b] += the number of bytes equal to b: atomics in shared memory, then one atomic per block and bin.
// Grid and block: any.
extern "C" __global__ void histogram(const unsigned char* input, unsigned* counts, unsigned n) {
    __shared__ unsigned bins[256];
    for (unsigned i = threadIdx.x; i < 256; i += blockDim.x) bins[i] = 0;
    __syncthreads();
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        atomicAdd(&bins[input[i]], 1);
    __syncthreads();
    for (unsigned i = threadIdx.x; i < 256; i += blockDim.x)
        if (bins[i] != 0) atomicAdd(&counts[i], bins[i]);
}

// Sum, minimum, maximum, bitwise or and xor, by atomics on global memory; `changed` counts successful exchanges of a
// lock that all threads take in turn.
extern "C" __global__ void atomics(const int* input, int* out, unsigned long long* total, int* lock, int* guarded,
                                   unsigned n) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    int value = input[i];
    atomicAdd(&out[0], value);
    atomicMin(&out[1], value);
    atomicMax(&out[2], value);
    atomicOr(&out[3], value);
    atomicXor(&out[4], value);
    atomicAnd(&out[5], value | 1);
    atomicAdd(total, (unsigned long long)(long long)value);
    if (i % 7 == 0) {
        bool done = false;
        while (!done) {
            if (atomicCAS(lock, 0, 1) == 0) {
                __threadfence();
                *(volatile int*)guarded += value;
                __threadfence();
                atomicExch(lock, 0);
                done = true;
            }
        }
    }
}
