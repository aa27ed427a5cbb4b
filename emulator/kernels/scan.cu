// Prefix sums.

// Exclusive, of one tile of 2·blockDim.x values per block, by Blelloch's up- and down-sweep in shared memory.
// Block: a power of two, up to 512. `sums[block]` gets the sum of the tile.
extern "C" __global__ void scan_blelloch(const unsigned* input, unsigned* output, unsigned* sums, unsigned n) {
    extern __shared__ unsigned tile[];
    unsigned size = 2 * blockDim.x, base = blockIdx.x * size, t = threadIdx.x;
    for (unsigned i = t; i < size; i += blockDim.x) tile[i] = base + i < n ? input[base + i] : 0;
    unsigned offset = 1;
    for (unsigned d = size / 2; d > 0; d /= 2) {
        __syncthreads();
        if (t < d) tile[offset * (2 * t + 2) - 1] += tile[offset * (2 * t + 1) - 1];
        offset *= 2;
    }
    __syncthreads();
    if (t == 0) {
        sums[blockIdx.x] = tile[size - 1];
        tile[size - 1] = 0;
    }
    for (unsigned d = 1; d < size; d *= 2) {
        offset /= 2;
        __syncthreads();
        if (t < d) {
            unsigned left = offset * (2 * t + 1) - 1, right = offset * (2 * t + 2) - 1;
            unsigned value = tile[left];
            tile[left] = tile[right];
            tile[right] += value;
        }
    }
    __syncthreads();
    for (unsigned i = t; i < size; i += blockDim.x)
        if (base + i < n) output[base + i] = tile[i];
}

// Inclusive, over all blocks in one pass: decoupled look-back. `state` has two words per block, all zero at first,
// and `ticket` is zero: flag 1 in the upper half says that the lower half is the sum of the tile, 2 that it is the
// sum of everything up to its end. Blocks take tiles in the order in which they start. Block: 256.
extern "C" __global__ void scan_lookback(const unsigned* input, unsigned* output, unsigned long long* state,
                                         unsigned* ticket, unsigned n) {
    __shared__ unsigned tile, before, warps[8];
    if (threadIdx.x == 0) tile = atomicAdd(ticket, 1);
    __syncthreads();
    unsigned i = tile * blockDim.x + threadIdx.x, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    unsigned value = i < n ? input[i] : 0;
    for (int offset = 1; offset < 32; offset *= 2) {
        unsigned left = __shfl_up_sync(0xffffffff, value, offset);
        if (lane >= offset) value += left;
    }
    if (lane == 31) warps[warp] = value;
    __syncthreads();
    if (threadIdx.x < 8) {
        unsigned sum = warps[threadIdx.x];
        for (int offset = 1; offset < 8; offset *= 2) {
            unsigned left = __shfl_up_sync(0xff, sum, offset);
            if (threadIdx.x >= offset) sum += left;
        }
        warps[threadIdx.x] = sum;
    }
    __syncthreads();
    if (warp > 0) value += warps[warp - 1];
    if (threadIdx.x == 0) {
        unsigned own = warps[7], sum = 0;
        volatile unsigned long long* states = state;
        states[tile] = (tile == 0 ? 2ull : 1ull) << 32 | own;
        __threadfence();
        for (int other = (int)tile - 1; other >= 0;) {
            unsigned long long seen = states[other];
            unsigned flag = seen >> 32;
            if (flag == 0) continue;
            sum += (unsigned)seen;
            if (flag == 2) break;
            other--;
        }
        if (tile > 0) {
            states[tile] = 2ull << 32 | (sum + own);
            __threadfence();
        }
        before = sum;
    }
    __syncthreads();
    if (i < n) output[i] = value + before;
}
