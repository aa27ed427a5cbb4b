// Blocks that wait for each other: launch cooperatively.

// A barrier of the whole grid by hand: the last block to arrive lets a new phase begin.
__device__ void grid_barrier(unsigned* arrived, volatile unsigned* phase) {
    __syncthreads();
    if (threadIdx.x == 0) {
        unsigned now = *phase;
        __threadfence();
        if (atomicAdd(arrived, 1) == gridDim.x - 1) {
            *arrived = 0;
            __threadfence();
            *phase = now + 1;
        } else {
            while (*phase == now) {
            }
        }
        __threadfence();
    }
    __syncthreads();
}

// `rounds` steps of x[i] = x[i - 1] + x[i + 1] around a ring of n = all threads, from one buffer to the other.
extern "C" __global__ void ring(unsigned* a, unsigned* b, unsigned* arrived, unsigned* phase, unsigned rounds) {
    unsigned n = gridDim.x * blockDim.x, i = blockIdx.x * blockDim.x + threadIdx.x;
    volatile unsigned* from = a;
    volatile unsigned* to = b;
    for (unsigned r = 0; r < rounds; r++) {
        to[i] = from[(i + n - 1) % n] + from[(i + 1) % n];
        grid_barrier(arrived, phase);
        volatile unsigned* t = from;
        from = to;
        to = t;
    }
}

// The last block to finish adds up what all have written.
extern "C" __global__ void last_block(const unsigned* input, unsigned* partial, unsigned* done, unsigned* total,
                                      unsigned n) {
    __shared__ bool last;
    __shared__ unsigned sum;
    if (threadIdx.x == 0) sum = 0;
    __syncthreads();
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) atomicAdd(&sum, input[i]);
    __syncthreads();
    if (threadIdx.x == 0) {
        partial[blockIdx.x] = sum;
        __threadfence();
        last = atomicInc(done, gridDim.x - 1) == gridDim.x - 1;
        sum = 0;
    }
    __syncthreads();
    if (!last) return;
    for (unsigned block = threadIdx.x; block < gridDim.x; block += blockDim.x)
        atomicAdd(&sum, ((volatile unsigned*)partial)[block]);
    __syncthreads();
    if (threadIdx.x == 0) *total = sum;
}
