// printf of the device.
extern "C" int printf(const char*, ...);

extern "C" __global__ void print(const float* values) {
    int i = threadIdx.x;
    printf("block %u thread %d: %f %5.2e %x %s %lld%%\n", blockIdx.x, i, values[i], values[i], i * 4096, i & 1 ? "odd" : "even",
           (long long)i * 10000000000LL);
}
