// Tables in constant memory, one that the module fills and one that the host does; a global variable of the module.

__constant__ float coefficients[8] = {1.0f, -0.5f, 0.25f, -0.125f, 0.0625f, -0.03125f, 0.015625f, -0.0078125f};
__constant__ unsigned table[256];
__device__ unsigned launches = 5;
__device__ const char text[] = "constant";

extern "C" __global__ void polynomial(const float* input, float* output, unsigned n) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i == 0) launches++;
    if (i >= n) return;
    float x = input[i], y = 0.0f;
    for (int j = 7; j >= 0; j--) y = fmaf(y, x, coefficients[j]);
    output[i] = y;
}

// CRC-32 of rows of `length` bytes.
extern "C" __global__ void crc(const unsigned char* rows, unsigned* output, unsigned length, unsigned n) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    unsigned c = 0xffffffff;
    for (unsigned j = 0; j < length; j++) c = table[(c ^ rows[i * length + j]) & 0xff] ^ c >> 8;
    output[i] = ~c ^ (unsigned)text[i % 8];
}
