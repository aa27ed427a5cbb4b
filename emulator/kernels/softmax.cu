// Softmax of every row of `rows` × `columns`, a warp to a row. Block: (32, any). Grid: rows / blockDim.y, rounded up.
extern "C" __global__ void softmax(const float* input, float* output, unsigned rows, unsigned columns) {
    unsigned row = blockIdx.x * blockDim.y + threadIdx.y, lane = threadIdx.x;
    if (row >= rows) return;
    const float* in = input + (size_t)row * columns;
    float* out = output + (size_t)row * columns;
    float largest = __int_as_float(0xff800000);
    for (unsigned i = lane; i < columns; i += 32) largest = fmaxf(largest, in[i]);
    for (int offset = 16; offset > 0; offset /= 2)
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffff, largest, offset));
    float sum = 0.0f;
    for (unsigned i = lane; i < columns; i += 32) {
        float e = expf(in[i] - largest);
        out[i] = e;
        sum += e;
    }
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffff, sum, offset);
    float scale = 1.0f / sum;
    for (unsigned i = lane; i < columns; i += 32) out[i] *= scale;
}
