// C = A · B on matrix units, C in f32. A is m × k, row-major, rows `lda` apart.
//
// A block of 128 threads computes 128 × 128 of C, each of its four warps 64 × 64. Slices of 32 of k (16 of tf32) arrive by
// cp.async in a ring of three stages; ldmatrix takes them to registers. Rows of A are 64 bytes: their 16-byte chunks
// are swapped by (row / 2) % 4, so that the eight rows of an ldmatrix lie in different banks; rows of B (256 bytes) by
// row % 8. Grid: (n / 128, m / 128), rounded up. Dynamic shared memory: 3 · 16 KiB.
#include "mma.cuh"

constexpr int STAGES = 3, TILE = 128, ROW_BYTES = 64, STAGE_BYTES = 2 * TILE * ROW_BYTES;

extern __shared__ __align__(128) char stages[];

__device__ inline int clamp_bytes(int elements, int size) { return min(max(elements * size, 0), 16); }

// A tile of 128 rows of 64 bytes: rows from `row0`, elements from `k0`.
template <int SIZE>
__device__ void load_rows(unsigned to, const char* from, int row0, int rows, int k0, int k, int ld) {
    for (int i = threadIdx.x; i < TILE * 4; i += 128) {
        int row = i / 4, chunk = i % 4, column = k0 + chunk * (16 / SIZE);
        int bytes = row0 + row < rows ? clamp_bytes(k - column, SIZE) : 0;
        const char* source = bytes > 0 ? from + ((size_t)(row0 + row) * ld + column) * SIZE : from;
        copy_16(to + row * ROW_BYTES + (chunk ^ (row / 2 & 3)) * 16, source, bytes);
    }
}

// A tile of 32 rows of 128 halves.
__device__ void load_columns(unsigned to, const char* from, int k0, int k, int column0, int n, int ld) {
    for (int i = threadIdx.x; i < 32 * 16; i += 128) {
        int row = i / 16, chunk = i % 16, column = column0 + chunk * 8;
        int bytes = k0 + row < k ? clamp_bytes(n - column, 2) : 0;
        const char* source = bytes > 0 ? from + ((size_t)(k0 + row) * ld + column) * 2 : from;
        copy_16(to + row * 256 + (chunk ^ (row & 7)) * 16, source, bytes);
    }
}

__device__ inline unsigned row_address(unsigned tile, int row, int chunk) {
    return tile + row * ROW_BYTES + (chunk ^ (row / 2 & 3)) * 16;
}

__device__ void store(const float (&sum)[4][8][4], float* c, int row0, int column0, int m, int n) {
    int lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 8; j++)
#pragma unroll
            for (int r = 0; r < 4; r++) {
                int row = row0 + i * 16 + lane / 4 + r / 2 * 8, column = column0 + j * 8 + lane % 4 * 2 + r % 2;
                if (row < m && column < n) c[(size_t)row * n + column] = sum[i][j][r];
            }
}

enum Kind { F16, BF16 };

// B is k × n, row-major, rows `ldb` apart.
template <Kind KIND>
__device__ void matmul_16(const void* a, const void* b, float* c, int m, int n, int k, int lda, int ldb) {
    unsigned base = shared_address(stages);
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int row0 = blockIdx.y * TILE, column0 = blockIdx.x * TILE, warp_row = warp / 2 * 64, warp_column = warp % 2 * 64;
    int slices = (k + 31) / 32;
    float sum[4][8][4] = {};

    auto fetch = [&](int slice) {
        unsigned stage = base + slice % STAGES * STAGE_BYTES;
        if (slice < slices) {
            load_rows<2>(stage, (const char*)a, row0, m, slice * 32, k, lda);
            load_columns(stage + TILE * ROW_BYTES, (const char*)b, slice * 32, k, column0, n, ldb);
        }
        commit();
    };
    for (int s = 0; s < STAGES - 1; s++) fetch(s);
    for (int s = 0; s < slices; s++) {
        wait<STAGES - 2>();
        __syncthreads();
        fetch(s + STAGES - 1);
        unsigned a_tile = base + s % STAGES * STAGE_BYTES, b_tile = a_tile + TILE * ROW_BYTES;
#pragma unroll
        for (int step = 0; step < 2; step++) {
            unsigned x[4][4], y[4][4];
#pragma unroll
            for (int i = 0; i < 4; i++)
                load_matrices(x[i], row_address(a_tile, warp_row + i * 16 + lane % 16, step * 2 + lane / 16));
#pragma unroll
            for (int j = 0; j < 4; j++) {
                int row = step * 16 + lane % 16, chunk = warp_column / 8 + j * 2 + lane / 16;
                load_matrices_transposed(y[j], b_tile + row * 256 + (chunk ^ (row & 7)) * 16);
            }
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int j = 0; j < 8; j++) {
                    unsigned b0 = y[j / 2][j % 2 * 2], b1 = y[j / 2][j % 2 * 2 + 1];
                    if (KIND == F16) mma_f16(sum[i][j], x[i], b0, b1);
                    else mma_bf16(sum[i][j], x[i], b0, b1);
                }
        }
    }
    store(sum, c, row0 + warp_row, column0 + warp_column, m, n);
}

extern "C" __global__ void __launch_bounds__(128)
matmul_f16(const void* a, const void* b, float* c, int m, int n, int k, int lda, int ldb) {
    matmul_16<F16>(a, b, c, m, n, k, lda, ldb);
}

extern "C" __global__ void __launch_bounds__(128)
matmul_bf16(const void* a, const void* b, float* c, int m, int n, int k, int lda, int ldb) {
    matmul_16<BF16>(a, b, c, m, n, k, lda, ldb);
}

// tf32: B is n × k, row-major (columns of B one after the other), since ldmatrix transposes nothing but halves.
extern "C" __global__ void __launch_bounds__(128)
matmul_tf32(const float* a, const float* b, float* c, int m, int n, int k, int lda, int ldb) {
    unsigned base = shared_address(stages);
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int row0 = blockIdx.y * TILE, column0 = blockIdx.x * TILE, warp_row = warp / 2 * 64, warp_column = warp % 2 * 64;
    int slices = (k + 15) / 16;
    float sum[4][8][4] = {};

    auto fetch = [&](int slice) {
        unsigned stage = base + slice % STAGES * STAGE_BYTES;
        if (slice < slices) {
            load_rows<4>(stage, (const char*)a, row0, m, slice * 16, k, lda);
            load_rows<4>(stage + TILE * ROW_BYTES, (const char*)b, column0, n, slice * 16, k, ldb);
        }
        commit();
    };
    for (int s = 0; s < STAGES - 1; s++) fetch(s);
    for (int s = 0; s < slices; s++) {
        wait<STAGES - 2>();
        __syncthreads();
        fetch(s + STAGES - 1);
        unsigned a_tile = base + s % STAGES * STAGE_BYTES, b_tile = a_tile + TILE * ROW_BYTES;
#pragma unroll
        for (int step = 0; step < 2; step++) {
            unsigned x[4][4], y[4][4];
#pragma unroll
            for (int i = 0; i < 4; i++)
                load_matrices(x[i], row_address(a_tile, warp_row + i * 16 + lane % 16, step * 2 + lane / 16));
#pragma unroll
            for (int j = 0; j < 4; j++) {
                int row = warp_column + j * 16 + lane % 8 + lane / 16 * 8;
                load_matrices(y[j], row_address(b_tile, row, step * 2 + lane / 8 % 2));
            }
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int j = 0; j < 8; j++)
                    mma_tf32(sum[i][j], x[i], y[j / 2][j % 2 * 2], y[j / 2][j % 2 * 2 + 1]);
        }
    }
    store(sum, c, row0 + warp_row, column0 + warp_column, m, n);
}
