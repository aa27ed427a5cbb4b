// Images as data sets hold them, [images][C][H][W], and values.
//
//   load:      z = (pixel − mean) / std                                      bytes are 255ths
//   attack:    z of clip(pixel + ε·sign(gradient), 0, 1)                     FGSM; sign of 0 and of NaN is 0
//   download:  [images][C][H][W] f32 of a value
//
// Every operation is rounded once and in the order of the CPU's (src/backend/cpu/image.rs), so that f32 equals it bit for
// bit. Grid: (tiles of 64 pixels, channels, slabs). Block: 256 threads that turn 64 images × 64 pixels in 16.6 KB of shared
// memory, so that both sides are read and written along lines. Registers (sm_80): 32 (download) to 48. Bytes: pixels, values
// and gradients once. FLOPs: 2 to 6 per element, divisions among them. Overwrites.
#include "image.cuh"

// Mirrors `Load` of src/backend/cuda/image.rs.
struct Load {
    const void* pixels;
    const float* mean;
    const float* std;
    const void* gradient;  // null: no attack
    void* z;
    Place at, gradient_at;
    uint32_t images;
    float eps;
    uint32_t clamp, unused;
};
static_assert(sizeof(Load) == 104);

template <typename T, typename P> __device__ __forceinline__ void load(const Load& p) {
    __shared__ float tile[TILE * (SLAB + 1)];
    const uint32_t size = p.at.h * p.at.w, first = blockIdx.x * TILE, channel = blockIdx.y, slab = blockIdx.z;
    turn<T>(tile, static_cast<const P*>(p.pixels), p.images, p.at);
    const float mean = p.mean[channel], std = p.std[channel];
    T* z = static_cast<T*>(p.z);
    const T* gradient = static_cast<const T*>(p.gradient);
    const int part = static_cast<int>(threadIdx.x % Row<T>::THREADS);
    constexpr uint32_t STEPS = TILE * Row<T>::THREADS / THREADS;
#pragma unroll
    for (uint32_t step = 0; step < STEPS; step++) {
        const uint32_t column = pixel_of_step<T>(step), pixel = first + column;
        if (pixel >= size) continue;
        float v[Row<T>::VEC], g[Row<T>::VEC] = {};
        if (gradient) load_row(gradient, row_of(p.gradient_at, slab, pixel, channel), part, g);
#pragma unroll
        for (int j = 0; j < Row<T>::VEC; j++) {
            const uint32_t lane = part * Row<T>::VEC + j;
            float x = tile[in_tile<T>(column, lane)];
            if (gradient) {
                const bool image = slab * SLAB + lane < p.images;
                x = along_sign(x, image ? g[j] : 0.0f, p.eps);
                if (p.clamp) x = clip(x);
            }
            v[j] = __fdiv_rn(__fsub_rn(x, mean), std);
        }
        store_row(z, row_of(p.at, slab, pixel, channel), part, v);
    }
}

// Mirrors `Download` of src/backend/cuda/image.rs.
struct Download {
    const void* x;
    float* out;
    Place at;
    uint32_t images, unused;
};
static_assert(sizeof(Download) == 48);

template <typename T> __device__ __forceinline__ void download(const Download& p) {
    __shared__ float tile[TILE * (SLAB + 1)];
    const uint32_t size = p.at.h * p.at.w, first = blockIdx.x * TILE, channel = blockIdx.y, slab = blockIdx.z;
    const int part = static_cast<int>(threadIdx.x % Row<T>::THREADS);
    constexpr uint32_t STEPS = TILE * Row<T>::THREADS / THREADS;
#pragma unroll
    for (uint32_t step = 0; step < STEPS; step++) {
        const uint32_t column = pixel_of_step<T>(step), pixel = first + column;
        if (pixel >= size) continue;
        float v[Row<T>::VEC];
        load_row(static_cast<const T*>(p.x), row_of(p.at, slab, pixel, channel), part, v);
#pragma unroll
        for (int j = 0; j < Row<T>::VEC; j++) tile[in_tile<T>(column, part * Row<T>::VEC + j)] = v[j];
    }
    __syncthreads();
    const uint32_t column = threadIdx.x % TILE, to = first + column;
    if (to >= size) return;
#pragma unroll
    for (uint32_t i = 0; i < TILE * SLAB / THREADS; i++) {
        const uint32_t lane = threadIdx.x / TILE + i * (THREADS / TILE), image = slab * SLAB + lane;
        if (image < p.images) {
            p.out[(static_cast<size_t>(image) * p.at.c + channel) * size + to] = tile[in_tile<T>(column, lane)];
        }
    }
}

#define INSTANCE(T, suffix)                                                                                       \
    extern "C" __global__ void __launch_bounds__(THREADS) load_bytes_##suffix(const __grid_constant__ Load p) {   \
        load<T, uint8_t>(p);                                                                                      \
    }                                                                                                             \
    extern "C" __global__ void __launch_bounds__(THREADS) load_floats_##suffix(const __grid_constant__ Load p) {  \
        load<T, float>(p);                                                                                        \
    }                                                                                                             \
    extern "C" __global__ void __launch_bounds__(THREADS) download_##suffix(const __grid_constant__ Download p) { \
        download<T>(p);                                                                                           \
    }
FOR_EACH_FORMAT(INSTANCE)
