// C = A · B in f32, row-major, any sizes. A block of 16 × 16 threads computes 64 × 64 of C, a thread 4 × 4, in steps of
// 16 along k, through shared memory. Grid: (n / 64, m / 64), rounded up.
extern "C" __global__ void matmul_f32(const float* a, const float* b, float* c, unsigned m, unsigned n, unsigned k) {
    __shared__ float a_tile[16][68], b_tile[16][64];
    unsigned tx = threadIdx.x, ty = threadIdx.y, t = ty * 16 + tx;
    unsigned row0 = blockIdx.y * 64, column0 = blockIdx.x * 64;
    float sum[4][4] = {};
    for (unsigned k0 = 0; k0 < k; k0 += 16) {
        for (unsigned i = 0; i < 4; i++) {
            unsigned row = t / 16 + 16 * i, column = t % 16;
            bool inside = row0 + row < m && k0 + column < k;
            a_tile[column][row] = inside ? a[(row0 + row) * k + k0 + column] : 0.0f;
            unsigned depth = t / 64 + 4 * i, along = t % 64;
            inside = k0 + depth < k && column0 + along < n;
            b_tile[depth][along] = inside ? b[(k0 + depth) * n + column0 + along] : 0.0f;
        }
        __syncthreads();
        for (unsigned kk = 0; kk < 16; kk++) {
            float x[4], y[4];
            for (unsigned i = 0; i < 4; i++) x[i] = a_tile[kk][ty * 4 + i];
            for (unsigned j = 0; j < 4; j++) y[j] = b_tile[kk][tx + 16 * j];
            for (unsigned i = 0; i < 4; i++)
                for (unsigned j = 0; j < 4; j++) sum[i][j] = fmaf(x[i], y[j], sum[i][j]);
        }
        __syncthreads();
    }
    for (unsigned i = 0; i < 4; i++)
        for (unsigned j = 0; j < 4; j++) {
            unsigned row = row0 + ty * 4 + i, column = column0 + tx + 16 * j;
            if (row < m && column < n) c[row * n + column] = sum[i][j];
        }
}

// The plainest tile: 32 × 32 threads, one element each; its traffic is easy to count by hand. Sizes are multiples of 32.
extern "C" __global__ void matmul_tile32(const float* a, const float* b, float* c, unsigned n, unsigned k) {
    __shared__ float a_tile[32][32], b_tile[32][32];
    unsigned x = threadIdx.x, y = threadIdx.y, row = blockIdx.y * 32 + y, column = blockIdx.x * 32 + x;
    float sum = 0.0f;
    for (unsigned k0 = 0; k0 < k; k0 += 32) {
        a_tile[y][x] = a[row * k + k0 + x];
        b_tile[y][x] = b[(k0 + y) * n + column];
        __syncthreads();
#pragma unroll
        for (unsigned i = 0; i < 32; i++) sum = fmaf(a_tile[y][i], b_tile[i][x], sum);
        __syncthreads();
    }
    c[row * n + column] = sum;
}
