// What kernels share that read images as data sets hold them, [images][C][H][W], and write values.
//
// Grid: (tiles of 64 pixels, channels, slabs). Block: 256 threads that turn 64 images × 64 pixels in 16.6 KB of shared
// memory, so that both sides are read and written along lines.
#pragma once

#include "epilogue.cuh"

constexpr uint32_t THREADS = 256;
constexpr uint32_t TILE = 64;  // pixels

// Where lane `lane` of pixel `pixel` lies in the tile, whose pixels are an odd number of words apart. A pixel's lanes lie in
// the order in which the threads of a row take them: first lane 0 of every thread, then lane 1.
template <typename T> __device__ __forceinline__ uint32_t in_tile(uint32_t pixel, uint32_t lane) {
    return pixel * (SLAB + 1) + lane % Row<T>::VEC * Row<T>::THREADS + lane / Row<T>::VEC;
}

// The pixel of the tile that a thread of a row has in step `step`. The rows of a warp are as many pixels apart as a row has
// threads: so all 32 read different banks.
template <typename T> __device__ __forceinline__ uint32_t pixel_of_step(uint32_t step) {
    constexpr uint32_t APART = Row<T>::THREADS;
    const uint32_t turn = step * (THREADS / 32) + threadIdx.x / 32;
    return turn / APART * 32 + threadIdx.x % 32 / APART * APART + turn % APART;
}

__device__ __forceinline__ float pixel_of(uint8_t v) { return __fdiv_rn(static_cast<float>(v), 255.0f); }
__device__ __forceinline__ float pixel_of(float v) { return v; }

// Reads the block's pixels of 64 images into its tile; lanes without an image are black.
template <typename T, typename P>
__device__ __forceinline__ void turn(float (&tile)[TILE * (SLAB + 1)], const P* pixels, uint32_t images, const Place& at) {
    const uint32_t size = at.h * at.w, first = blockIdx.x * TILE, channel = blockIdx.y, slab = blockIdx.z;
    constexpr uint32_t READS = TILE * SLAB / THREADS;
    const uint32_t column = threadIdx.x % TILE, from = first + column;
    P read[READS];
#pragma unroll
    for (uint32_t i = 0; i < READS; i++) {
        const uint32_t image = slab * SLAB + threadIdx.x / TILE + i * (THREADS / TILE);
        read[i] = P(0);
        if (image < images && from < size) {
            read[i] = pixels[(static_cast<size_t>(image) * at.c + channel) * size + from];
        }
    }
#pragma unroll
    for (uint32_t i = 0; i < READS; i++) {
        tile[in_tile<T>(column, threadIdx.x / TILE + i * (THREADS / TILE))] = pixel_of(read[i]);
    }
    __syncthreads();
}

// x + size·sign(gradient); the sign of 0 and of NaN is 0.
__device__ __forceinline__ float along_sign(float x, float gradient, float size) {
    const float up = gradient > 0.0f ? size : 0.0f, down = gradient < 0.0f ? size : 0.0f;
    return __fadd_rn(x, __fsub_rn(up, down));
}

// x brought into [least, most]; in this form a NaN stays one.
__device__ __forceinline__ float brought_into(float x, float least, float most) {
    x = x < least ? least : x;
    return x > most ? most : x;
}

__device__ __forceinline__ float clip(float x) { return brought_into(x, 0.0f, 1.0f); }
