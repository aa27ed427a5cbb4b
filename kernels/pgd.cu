// Projected gradient descent in the maximum norm (Madry et al. 2018), on images as data sets hold them, [images][C][H][W].
//
//   start:  x₀ = x, or clip(x + noise)                                         noise = (2u − 1)·ε, u of src/random.rs
//   step:   xₜ₊₁ = clip(x + max(−ε, min(ε, xₜ + α·sign(gradient) − x)))        sign of 0 and of NaN is 0
//   both:   z = (xₜ − mean) / std, in the number format of values
//
// xₜ lies in [slab][H·W][C][64] and is f32 in every format. Every operation is rounded once and in the order of the CPU's
// (src/backend/cpu/pgd.rs), so that f32 equals it bit for bit. Grid, block and shared memory: see image.cuh. A thread has
// four images of a row whatever the format, so that rows of f32 are read and written whole. Registers (sm_80): 32 to 48.
// Bytes: images, gradients, values once, xₜ once each way. FLOPs: 8 per element of a step; some 100 integer operations per
// element of noise. Overwrites.
#include "image.cuh"
#include "philox.cuh"

// Mirrors `Pgd` of src/backend/cuda/pgd.rs.
struct Pgd {
    const void* images;
    const float* mean;
    const float* std;
    const void* gradient;
    float* pixels;
    void* z;
    Place at, gradient_at;
    uint64_t first_image;
    uint32_t count;
    uint32_t seed_low, seed_high;
    float eps, alpha;
    uint32_t clamp, noise, unused;
};
static_assert(sizeof(Pgd) == 136);

// Images of a thread.
constexpr uint32_t FOUR = Row<float>::VEC;
constexpr uint32_t NOISE_STREAM = 0xFFFFFFFFu;  // both halves of `Noise::STREAM`

template <typename T> struct alignas(FOUR * sizeof(T)) Quad {
    T v[FOUR];
};

template <typename T> __device__ __forceinline__ Quad<T>* quad(const void* buffer, size_t row, uint32_t part) {
    return reinterpret_cast<Quad<T>*>(static_cast<T*>(const_cast<void*>(buffer)) + row * SLAB + part * FOUR);
}

template <typename T, typename P, bool STEP> __device__ __forceinline__ void descend(const Pgd& p) {
    __shared__ float tile[TILE * (SLAB + 1)];
    const uint32_t size = p.at.h * p.at.w, first = blockIdx.x * TILE, channel = blockIdx.y, slab = blockIdx.z;
    turn<float>(tile, static_cast<const P*>(p.images), p.count, p.at);
    const float mean = p.mean[channel], std = p.std[channel];
    const uint32_t part = threadIdx.x % Row<float>::THREADS;
    constexpr uint32_t TURNS = TILE * Row<float>::THREADS / THREADS;
#pragma unroll
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        const uint32_t column = pixel_of_step<float>(turn), pixel = first + column;
        if (pixel >= size) continue;
        Quad<float>* pixels = quad<float>(p.pixels, (static_cast<size_t>(slab) * size + pixel) * p.at.c + channel, part);
        Quad<float> x = {};
        Quad<T> gradient = {}, z;
        if (STEP) {
            x = *pixels;
            gradient = *quad<T>(p.gradient, row_of(p.gradient_at, slab, pixel, channel), part);
        }
#pragma unroll
        for (uint32_t j = 0; j < FOUR; j++) {
            const uint32_t lane = part * FOUR + j, number = slab * SLAB + lane;
            const bool image = number < p.count;
            const float original = tile[in_tile<float>(column, lane)];
            if (STEP) {
                const float moved = along_sign(x.v[j], image ? to_float(gradient.v[j]) : 0.0f, p.alpha);
                x.v[j] = __fadd_rn(original, brought_into(__fsub_rn(moved, original), -p.eps, p.eps));
                if (p.clamp) x.v[j] = clip(x.v[j]);
            } else {
                x.v[j] = original;
                if (p.noise && image) {
                    const uint64_t element = ((p.first_image + number) * p.at.c + channel) * size + pixel;
                    const uint32_t word =
                        philox_word({NOISE_STREAM, NOISE_STREAM}, {p.seed_low, p.seed_high}, element);
                    const float noise = __fmul_rn(__fsub_rn(__fmul_rn(2.0f, unit(word)), 1.0f), p.eps);
                    x.v[j] = __fadd_rn(original, noise);
                    if (p.clamp) x.v[j] = clip(x.v[j]);
                }
            }
            z.v[j] = from_float<T>(__fdiv_rn(__fsub_rn(x.v[j], mean), std));
        }
        *pixels = x;
        *quad<T>(p.z, row_of(p.at, slab, pixel, channel), part) = z;
    }
}

#define KERNEL(name, T, P, STEP)                                                                      \
    extern "C" __global__ void __launch_bounds__(THREADS) name(const __grid_constant__ Pgd p) {        \
        descend<T, P, STEP>(p);                                                                        \
    }
#define INSTANCE(T, suffix)                             \
    KERNEL(pgd_start_bytes_##suffix, T, uint8_t, false) \
    KERNEL(pgd_start_floats_##suffix, T, float, false)  \
    KERNEL(pgd_step_bytes_##suffix, T, uint8_t, true)   \
    KERNEL(pgd_step_floats_##suffix, T, float, true)
FOR_EACH_FORMAT(INSTANCE)
