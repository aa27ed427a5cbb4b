// output[x][y] = input[y][x] for a matrix of `rows` × `columns`. Grid: tiles of 32 × 32. Block: 32 × 8.

// Reads along rows, writes along columns: every lane of a store hits a sector of its own.
extern "C" __global__ void transpose_naive(const float* input, float* output, unsigned rows, unsigned columns) {
    unsigned x = blockIdx.x * 32 + threadIdx.x;
    for (unsigned j = 0; j < 32; j += 8) {
        unsigned y = blockIdx.y * 32 + threadIdx.y + j;
        if (x < columns && y < rows) output[x * rows + y] = input[y * columns + x];
    }
}

// Through shared memory: reads and writes along rows. Without padding a column of the tile is a single bank.
template <int PITCH>
__device__ void transpose(const float* input, float* output, unsigned rows, unsigned columns) {
    __shared__ float tile[32][PITCH];
    unsigned x = blockIdx.x * 32 + threadIdx.x;
    for (unsigned j = 0; j < 32; j += 8) {
        unsigned y = blockIdx.y * 32 + threadIdx.y + j;
        if (x < columns && y < rows) tile[threadIdx.y + j][threadIdx.x] = input[y * columns + x];
    }
    __syncthreads();
    unsigned y = blockIdx.y * 32 + threadIdx.x;
    for (unsigned j = 0; j < 32; j += 8) {
        x = blockIdx.x * 32 + threadIdx.y + j;
        if (x < columns && y < rows) output[x * rows + y] = tile[threadIdx.x][threadIdx.y + j];
    }
}

extern "C" __global__ void transpose_tile(const float* input, float* output, unsigned rows, unsigned columns) {
    transpose<32>(input, output, rows, columns);
}

extern "C" __global__ void transpose_padded(const float* input, float* output, unsigned rows, unsigned columns) {
    transpose<33>(input, output, rows, columns);
}
