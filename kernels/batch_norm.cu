// Batch normalisation with the statistics of the batch, forward and backward.
//
//   statistics:    mean and biased variance of a channel over all pixels of all images
//   coefficients:  scale = γ / √(var + ε), shift = β + (term − mean)·scale
//   gradients:     dγ = Σ dy·x̂, dβ = Σ dy                                  x̂ = (x − mean) / √(var + ε)
//   backward:      dx = then(γ / √(var + ε) · (dy − dβ/N − x̂·dγ/N))          lanes without an image become 0
//   update:        running ← (1 − momentum)·running + momentum·batch        the variance with Bessel's correction
//
// (Ioffe and Szegedy 2015.) statistics and gradients: one block of 256 threads per channel. It reads a channel twice, first
// for the mean, then for the squared deviations from it; sums of a thread are f32 of deviations from the channel's first
// value, those of a block f64, in a fixed order. backward: as an elementwise operation. Sums read x (and dy) 2 (1) times.
#include "epilogue.cuh"

constexpr int THREADS = 256;

// Mirrors `Sums` of src/backend/cuda/batch_norm.rs.
struct Sums {
    const void* x;
    const void* dy;  // gradients only
    Place at, dy_at;
    const float* mean;
    const float* var;
    float* first;   // mean; Σ dy·x̂
    float* second;  // variance; Σ dy
    uint32_t slabs, images;
    float epsilon;
    uint32_t unused;
};
static_assert(sizeof(Sums) == 112);

// The sum over the block, in a fixed order; every thread gets it.
__device__ __forceinline__ double block_sum(double v) {
    __shared__ double sums[THREADS];
    __syncthreads();
    sums[threadIdx.x] = v;
    __syncthreads();
#pragma unroll
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        __syncthreads();
    }
    return sums[0];
}

// Calls `work(row of x, part, lanes with an image)` for the rows of a channel that this thread has.
template <typename T, typename Work>
__device__ __forceinline__ void each_row(const Sums& p, uint32_t channel, const Work& work) {
    const uint32_t pixels = p.at.h * p.at.w, rows = pixels * p.slabs;
    constexpr uint32_t PER_ROW = Row<T>::THREADS;
    const int part = static_cast<int>(threadIdx.x % PER_ROW);
    for (uint32_t i = threadIdx.x / PER_ROW; i < rows; i += THREADS / PER_ROW) {
        const uint32_t slab = i / pixels, pixel = i % pixels;
        const int valid = static_cast<int>(p.images) - static_cast<int>(slab * SLAB) - part * Row<T>::VEC;
        if (valid > 0) work(slab, pixel, part, valid);
    }
}

template <typename T> __device__ __forceinline__ void statistics(const Sums& p) {
    const uint32_t channel = blockIdx.x;
    const T* x = static_cast<const T*>(p.x);
    const double count = static_cast<double>(p.at.h * p.at.w) * p.images;
    const float pivot = to_float(x[row_of(p.at, 0, 0, channel) * SLAB]);
    float sum = 0.0f;
    each_row<T>(p, channel, [&](uint32_t slab, uint32_t pixel, int part, int valid) {
        float v[Row<T>::VEC];
        load_row(x, row_of(p.at, slab, pixel, channel), part, v);
#pragma unroll
        for (int i = 0; i < Row<T>::VEC; i++) sum += i < valid ? v[i] - pivot : 0.0f;
    });
    const double mean = static_cast<double>(pivot) + block_sum(sum) / count;
    const float middle = static_cast<float>(mean);
    float squares = 0.0f;
    each_row<T>(p, channel, [&](uint32_t slab, uint32_t pixel, int part, int valid) {
        float v[Row<T>::VEC];
        load_row(x, row_of(p.at, slab, pixel, channel), part, v);
#pragma unroll
        for (int i = 0; i < Row<T>::VEC; i++) {
            const float d = i < valid ? v[i] - middle : 0.0f;
            squares += d * d;
        }
    });
    const double rest = mean - middle;
    const double variance = block_sum(squares) / count - rest * rest;
    if (threadIdx.x == 0) {
        p.first[channel] = middle;
        p.second[channel] = static_cast<float>(variance > 0.0 ? variance : (variance == variance ? 0.0 : variance));
    }
}

template <typename T> __device__ __forceinline__ void gradients(const Sums& p) {
    const uint32_t channel = blockIdx.x;
    const float mean = p.mean[channel], inverse = 1.0f / sqrtf(p.var[channel] + p.epsilon);
    float product = 0.0f, sum = 0.0f;
    each_row<T>(p, channel, [&](uint32_t slab, uint32_t pixel, int part, int valid) {
        float v[Row<T>::VEC], dy[Row<T>::VEC];
        load_row(static_cast<const T*>(p.x), row_of(p.at, slab, pixel, channel), part, v);
        load_row(static_cast<const T*>(p.dy), row_of(p.dy_at, slab, pixel, channel), part, dy);
#pragma unroll
        for (int i = 0; i < Row<T>::VEC; i++) {
            const float g = i < valid ? dy[i] : 0.0f;
            sum += g;
            product += g * ((v[i] - mean) * inverse);
        }
    });
    const double products = block_sum(product);
    const double all = block_sum(sum);
    if (threadIdx.x == 0) {
        p.first[channel] = static_cast<float>(products);
        p.second[channel] = static_cast<float>(all);
    }
}

// Mirrors `NormBackward` of src/backend/cuda/batch_norm.rs.
struct NormBackward {
    const void* x;
    const void* dy;
    void* dx;
    Place at, dy_at, to;
    const float* mean;
    const float* var;
    const float* gamma;
    const float* d_gamma;
    const float* d_beta;
    uint32_t slabs, images;
    float epsilon, count;
    Then then;
};
static_assert(sizeof(NormBackward) == 216);

template <typename T> __device__ __forceinline__ void backward(const NormBackward& p) {
    constexpr int VEC = Row<T>::VEC;
    const Item item = item_of<T>(p.to, p.slabs);
    float v[VEC] = {};
    size_t row = 0, add_row = 0;
    if (item.live) {
        row = row_of(p.to, item.slab, item.pixel, item.channel);
        if (p.then.add) add_row = row_of(p.then.add_place, item.slab, item.pixel, item.channel);
        const float inverse = 1.0f / sqrtf(p.var[item.channel] + p.epsilon), mean = p.mean[item.channel];
        const float a = p.gamma[item.channel] * inverse;
        const float b = -a * inverse * (p.d_gamma[item.channel] / p.count), c = -a * (p.d_beta[item.channel] / p.count);
        float x[VEC], dy[VEC];
        load_row(static_cast<const T*>(p.x), row_of(p.at, item.slab, item.pixel, item.channel), item.part, x);
        load_row(static_cast<const T*>(p.dy), row_of(p.dy_at, item.slab, item.pixel, item.channel), item.part, dy);
        const int valid = static_cast<int>(p.images) - static_cast<int>(item.slab * SLAB) - item.part * VEC;
#pragma unroll
        for (int i = 0; i < VEC; i++) v[i] = i < valid ? a * dy[i] + b * (x[i] - mean) + c : 0.0f;
    }
    finish(p.then, v, static_cast<T*>(p.dx), row, add_row, item.channel, item.part, item.live);
}

// Mirrors `Coefficients` of src/backend/cuda/batch_norm.rs.
struct Coefficients {
    const float* gamma;
    const float* beta;
    const float* mean;
    const float* var;
    const float* term;  // or null
    float* scale;
    float* shift;
    uint32_t channels;
    float epsilon;
};
static_assert(sizeof(Coefficients) == 64);

// In the order of the CPU's operations, one rounding each.
extern "C" __global__ void __launch_bounds__(256) coefficients(const __grid_constant__ Coefficients p) {
    const uint32_t c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= p.channels) return;
    const float scale = __fdiv_rn(p.gamma[c], __fsqrt_rn(__fadd_rn(p.var[c], p.epsilon)));
    float shift = __fsub_rn(p.beta[c], __fmul_rn(p.mean[c], scale));
    if (p.term) shift = __fadd_rn(shift, __fmul_rn(scale, p.term[c]));
    p.scale[c] = scale;
    p.shift[c] = shift;
}

// Mirrors `UpdateRunning` of src/backend/cuda/batch_norm.rs.
struct UpdateRunning {
    const float* mean;
    const float* var;
    float* running_mean;
    float* running_var;
    uint32_t channels;
    float momentum, unbiased;
    uint32_t unused;
};
static_assert(sizeof(UpdateRunning) == 48);

extern "C" __global__ void __launch_bounds__(256) update_running(const __grid_constant__ UpdateRunning p) {
    const uint32_t c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= p.channels) return;
    const float old = __fsub_rn(1.0f, p.momentum);
    const float var = __fmul_rn(p.var[c], p.unbiased);
    p.running_mean[c] = __fadd_rn(__fmul_rn(old, p.running_mean[c]), __fmul_rn(p.momentum, p.mean[c]));
    p.running_var[c] = __fadd_rn(__fmul_rn(old, p.running_var[c]), __fmul_rn(p.momentum, var));
}

#define INSTANCE(T, suffix)                                                                                          \
    extern "C" __global__ void __launch_bounds__(256) norm_statistics_##suffix(const __grid_constant__ Sums p) {     \
        statistics<T>(p);                                                                                            \
    }                                                                                                                \
    extern "C" __global__ void __launch_bounds__(256) norm_gradients_##suffix(const __grid_constant__ Sums p) {      \
        gradients<T>(p);                                                                                             \
    }                                                                                                                \
    extern "C" __global__ void __launch_bounds__(256) norm_backward_##suffix(const __grid_constant__ NormBackward p) { \
        backward<T>(p);                                                                                              \
    }
FOR_EACH_FORMAT(INSTANCE)
