// Bitonic sort of a power of two of keys: tiles of 1024 in shared memory, the steps that span tiles in global memory.

__device__ void order(unsigned& a, unsigned& b, bool ascending) {
    if ((a > b) == ascending) {
        unsigned t = a;
        a = b;
        b = t;
    }
}

// All steps of sequences up to `last` that stay within tiles; `first` = 2 begins. Grid: n / 1024. Block: 512.
extern "C" __global__ void sort_tiles(unsigned* keys, unsigned first, unsigned last) {
    __shared__ unsigned tile[1024];
    unsigned base = blockIdx.x * 1024, t = threadIdx.x;
    tile[t] = keys[base + t];
    tile[t + 512] = keys[base + t + 512];
    for (unsigned size = first; size <= last; size *= 2) {
        for (unsigned stride = size / 2 < 512 ? size / 2 : 512; stride > 0; stride /= 2) {
            __syncthreads();
            unsigned i = 2 * t - (t & (stride - 1));
            order(tile[i], tile[i + stride], ((base + i) & size) == 0);
        }
    }
    __syncthreads();
    keys[base + t] = tile[t];
    keys[base + t + 512] = tile[t + 512];
}

// One step. Grid · block: n / 2 threads.
extern "C" __global__ void sort_step(unsigned* keys, unsigned size, unsigned stride) {
    unsigned t = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned i = 2 * t - (t & (stride - 1));
    unsigned a = keys[i], b = keys[i + stride];
    order(a, b, (i & size) == 0);
    keys[i] = a;
    keys[i + stride] = b;
}
