// Images as data sets hold them, [images][C][H][W], and values.
//
//   load:      z = (pixel − mean) / std                                      bytes are 255ths
//   attack:    z of clip(pixel + ε·sign(gradient), 0, 1)                     FGSM; sign of 0 and of NaN is 0
//   download:  [images][C][H][W] f32 of a value
//
// Every operation is rounded once and in the order of the CPU's (src/backend/cpu/image.rs), so that f32 equals it bit for
// bit. Grid: (tiles of 64 pixels, channels, slabs). Block: 256 threads that turn 64 images × 64 pixels in 16.6 KB of shared
// memory, so that both sides are read and written along lines. Bytes: pixels and values once. Overwrites.
#include "epilogue.cuh"

constexpr uint32_t TILE = 64;       // pixels
constexpr uint32_t PITCH = SLAB + 1;

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

__device__ __forceinline__ float pixel_of(uint8_t v) { return __fdiv_rn(static_cast<float>(v), 255.0f); }
__device__ __forceinline__ float pixel_of(float v) { return v; }

template <typename T, typename P> __device__ __forceinline__ void load(const Load& p) {
    __shared__ float tile[TILE * PITCH];
    const uint32_t size = p.at.h * p.at.w, first = blockIdx.x * TILE, channel = blockIdx.y, slab = blockIdx.z;
    const P* pixels = static_cast<const P*>(p.pixels);
    for (uint32_t i = threadIdx.x; i < TILE * SLAB; i += blockDim.x) {
        const uint32_t lane = i / TILE, pixel = first + i % TILE, image = slab * SLAB + lane;
        float v = 0.0f;  // lanes without an image are black
        if (image < p.images && pixel < size) {
            v = pixel_of(pixels[(static_cast<size_t>(image) * p.at.c + channel) * size + pixel]);
        }
        tile[i % TILE * PITCH + lane] = v;
    }
    __syncthreads();
    const float mean = p.mean[channel], std = p.std[channel];
    T* z = static_cast<T*>(p.z);
    const T* gradient = static_cast<const T*>(p.gradient);
    constexpr uint32_t PER_ROW = Row<T>::THREADS;
    for (uint32_t i = threadIdx.x; i < TILE * PER_ROW; i += blockDim.x) {
        const uint32_t pixel = first + i / PER_ROW;
        const int part = static_cast<int>(i % PER_ROW);
        if (pixel >= size) continue;
        float v[Row<T>::VEC], g[Row<T>::VEC] = {};
        if (gradient) load_row(gradient, row_of(p.gradient_at, slab, pixel, channel), part, g);
#pragma unroll
        for (int j = 0; j < Row<T>::VEC; j++) {
            const uint32_t lane = part * Row<T>::VEC + j;
            float x = tile[i / PER_ROW * PITCH + lane];
            if (gradient) {
                const bool image = slab * SLAB + lane < p.images;
                const float up = image && g[j] > 0.0f ? p.eps : 0.0f, down = image && g[j] < 0.0f ? p.eps : 0.0f;
                x = __fadd_rn(x, __fsub_rn(up, down));
                if (p.clamp) {
                    x = x < 0.0f ? 0.0f : x;  // in this form a NaN stays one
                    x = x > 1.0f ? 1.0f : x;
                }
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
    __shared__ float tile[TILE * PITCH];
    const uint32_t size = p.at.h * p.at.w, first = blockIdx.x * TILE, channel = blockIdx.y, slab = blockIdx.z;
    for (uint32_t i = threadIdx.x; i < TILE * SLAB; i += blockDim.x) {
        const uint32_t pixel = first + i / SLAB, lane = i % SLAB;
        if (pixel < size) {
            const T v = static_cast<const T*>(p.x)[row_of(p.at, slab, pixel, channel) * SLAB + lane];
            tile[i / SLAB * PITCH + lane] = to_float(v);
        }
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < TILE * SLAB; i += blockDim.x) {
        const uint32_t lane = i / TILE, pixel = first + i % TILE, image = slab * SLAB + lane;
        if (image < p.images && pixel < size) {
            p.out[(static_cast<size_t>(image) * p.at.c + channel) * size + pixel] = tile[i % TILE * PITCH + lane];
        }
    }
}

#define INSTANCE(T, suffix)                                                                                   \
    extern "C" __global__ void __launch_bounds__(256) load_bytes_##suffix(const __grid_constant__ Load p) {   \
        load<T, uint8_t>(p);                                                                                  \
    }                                                                                                         \
    extern "C" __global__ void __launch_bounds__(256) load_floats_##suffix(const __grid_constant__ Load p) {  \
        load<T, float>(p);                                                                                    \
    }                                                                                                         \
    extern "C" __global__ void __launch_bounds__(256) download_##suffix(const __grid_constant__ Download p) { \
        download<T>(p);                                                                                       \
    }
FOR_EACH_FORMAT(INSTANCE)
