// Iterations until |z| > 2: neighbouring lanes leave the loop at different times. Block and grid: 2-D, any.
extern "C" __global__ void mandelbrot(unsigned* iterations, unsigned width, unsigned height, unsigned limit) {
    unsigned x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    double re = -2.25 + 3.0 * x / width, im = -1.25 + 2.5 * y / height, a = 0.0, b = 0.0;
    unsigned n = 0;
    while (n < limit) {
        double a2 = a * a, b2 = b * b;
        if (a2 + b2 > 4.0) break;
        b = fma(2.0 * a, b, im);
        a = a2 - b2 + re;
        n++;
    }
    iterations[y * width + x] = n;
}
