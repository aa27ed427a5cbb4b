// Dot products of bytes with dp4a, and bit tricks that have instructions of their own.
#include <cuda_fp16.h>

extern "C" __global__ void dot_i8(const int* a, const int* b, int* out, unsigned words, unsigned n) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    int sum = 0;
    for (unsigned j = 0; j < words; j++) sum = __dp4a(a[i * words + j], b[i * words + j], sum);
    out[i] = sum;
}

extern "C" __global__ void bit_tricks(const unsigned* a, const unsigned* b, unsigned* out, unsigned n) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    unsigned x = a[i], y = b[i], r = 0;
    r = r * 33 + __popc(x);
    r = r * 33 + __clz(x);
    r = r * 33 + __ffs(y);
    r = r * 33 + __brev(x);
    r = r * 33 + __byte_perm(x, y, 0x5140);
    r = r * 33 + __funnelshift_l(x, y, y);
    r = r * 33 + __umulhi(x, y);
    r = r * 33 + (unsigned)__mulhi((int)x, (int)y);
    r = r * 33 + __vabsdiffu4(x, y);
    r = r * 33 + (y ? x / y : 0) + (y ? x % y : 0);
    r = r * 33 + __usad(x, y, 7u);
    r = r * 33 + (unsigned)((((unsigned long long)x << 32 | y) * 0x9e3779b97f4a7c15ull) >> 40);
    out[i] = r;
}

// out = a·x + y on pairs of halves, then a maximum with zero; the sum over the block of the products, in f32.
extern "C" __global__ void axpy_half2(const __half2* x, const __half2* y, __half2* out, float* sums, float a, unsigned n) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    __half2 scale = __float2half2_rn(a), value = __float2half2_rn(0.0f);
    if (i < n) {
        value = __hmax2(__hfma2(scale, x[i], y[i]), __float2half2_rn(0.0f));
        out[i] = value;
    }
    float2 wide = __half22float2(value);
    float sum = wide.x + wide.y;
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_down_sync(0xffffffff, sum, offset);
    if (threadIdx.x % 32 == 0) atomicAdd(&sums[blockIdx.x], sum);
}
