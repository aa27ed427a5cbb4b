// Calls of device functions: not inlined, through pointers, with structures, with divergent callers.

struct Pair {
    int low;
    long long high;
    float scale;
};

__device__ __noinline__ int gcd(int a, int b) {
    while (b != 0) {
        int t = a % b;
        a = b;
        b = t;
    }
    return a;
}

__device__ __noinline__ Pair widen(int a, int b) {
    Pair p;
    p.low = gcd(a, b);
    p.high = (long long)a * b;
    p.scale = (float)a / (float)b;
    return p;
}

__device__ __noinline__ float add(float a, float b) { return a + b; }
__device__ __noinline__ float subtract(float a, float b) { return a - b; }
__device__ __noinline__ float multiply(float a, float b) { return a * b; }
__device__ __noinline__ float divide(float a, float b) { return a / b; }

typedef float (*Operation)(float, float);
__device__ Operation operations[4] = {add, subtract, multiply, divide};

extern "C" __global__ void call_structures(const int* a, const int* b, int* low, long long* high, float* scale,
                                           unsigned n) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    Pair p = widen(a[i], b[i]);
    low[i] = p.low;
    high[i] = p.high;
    scale[i] = p.scale;
}

// Lanes call different functions, which one only the data says.
extern "C" __global__ void call_pointers(const unsigned char* which, const float* a, const float* b, float* out,
                                         unsigned n) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    out[i] = operations[which[i] % 4](a[i], b[i]);
}

// Local memory: an array that is indexed by data.
extern "C" __global__ void local_array(const unsigned char* order, unsigned* out, unsigned n) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    unsigned values[16];
    for (unsigned j = 0; j < 16; j++) values[j] = i * 16 + j;
    for (unsigned j = 0; j < 15; j++) {
        unsigned k = order[i * 15 + j] % 16, t = values[j];
        values[j] = values[k];
        values[k] = t;
    }
    unsigned hash = 0;
    for (unsigned j = 0; j < 16; j++) hash = hash * 31 + values[j];
    out[i] = hash;
}
