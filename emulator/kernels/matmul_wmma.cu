// C = A · B with the fragments of nvcuda::wmma: one warp to 16 × 16 of C. Sizes are multiples of 16. Grid: (n / 16, m / 16).
#include <mma.h>
using namespace nvcuda;

// A and C row-major, B column-major; C is also scaled: c = alpha · A · B + beta · c.
extern "C" __global__ void matmul_wmma_f16(const __half* a, const __half* b, float* c, unsigned n, unsigned k,
                                           float alpha, float beta) {
    wmma::fragment<wmma::matrix_a, 16, 16, 16, __half, wmma::row_major> x;
    wmma::fragment<wmma::matrix_b, 16, 16, 16, __half, wmma::col_major> y;
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum, old;
    unsigned row = blockIdx.y * 16, column = blockIdx.x * 16;
    wmma::fill_fragment(sum, 0.0f);
    for (unsigned i = 0; i < k; i += 16) {
        wmma::load_matrix_sync(x, a + row * k + i, k);
        wmma::load_matrix_sync(y, b + column * k + i, k);
        wmma::mma_sync(sum, x, y, sum);
    }
    wmma::load_matrix_sync(old, c + row * n + column, n, wmma::mem_row_major);
    for (int i = 0; i < sum.num_elements; i++) sum.x[i] = alpha * sum.x[i] + beta * old.x[i];
    wmma::store_matrix_sync(c + row * n + column, sum, n, wmma::mem_row_major);
}

// A column-major, B row-major, through shared memory, C column-major.
extern "C" __global__ void matmul_wmma_s8(const signed char* a, const signed char* b, int* c, unsigned m, unsigned n,
                                          unsigned k) {
    __shared__ __align__(32) signed char x_tile[16 * 32], y_tile[16 * 16];
    wmma::fragment<wmma::matrix_a, 16, 16, 16, signed char, wmma::col_major> x;
    wmma::fragment<wmma::matrix_b, 16, 16, 16, signed char, wmma::row_major> y;
    wmma::fragment<wmma::accumulator, 16, 16, 16, int> sum;
    unsigned row = blockIdx.y * 16, column = blockIdx.x * 16;
    wmma::fill_fragment(sum, 0);
    for (unsigned i = 0; i < k; i += 16) {
        for (unsigned t = threadIdx.x; t < 256; t += 32) {
            x_tile[t / 16 * 32 + t % 16] = a[(i + t / 16) * m + row + t % 16];
            y_tile[t] = b[(i + t / 16) * n + column + t % 16];
        }
        __syncwarp();
        wmma::load_matrix_sync(x, x_tile, 32);
        wmma::load_matrix_sync(y, y_tile, 16);
        wmma::mma_sync(sum, x, y, sum);
        __syncwarp();
    }
    wmma::store_matrix_sync(c + column * m + row, sum, m, wmma::mem_col_major);
}
