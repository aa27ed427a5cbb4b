// Images as data sets hold them, [images][C][H][W], steps of attacks on them, and values.
//
//   load:         x₀ = x, or clip(x + noise)                                         noise = (2u − 1)·ε, u of src/random.rs
//   attack_step:  xₜ₊₁ = clip(x + max(−ε, min(ε, xₜ + α·sign(gradient) − x)))        sign of 0 and of NaN is 0
//   both:         z = (xₜ − mean) / std, in the number format of values              bytes are 255ths
//   download:     [images][C][H][W] f32 of a value
//
// One step of α = ε from the images themselves is FGSM, several smaller ones projected gradient descent (Madry et al. 2018).
// xₜ lies in [slab][H·W][C][64] and is f32 in every format; it is kept only where another step follows. Every operation is
// rounded once and in the order of the CPU's (src/backend/cpu/image.rs, attack.rs), so that f32 equals it bit for bit. Grid,
// block and shared memory: see image.cuh. A thread of the first two has four images of a row whatever the format, so that
// rows of f32 are read and written whole. Registers (sm_80): 32 to 48. Bytes: images, gradients, values once, xₜ once each
// way. FLOPs: 8 per element of a step, divisions among them; some 100 integer operations per element of noise. Overwrites.
#include "image.cuh"
#include "philox.cuh"

// Mirrors `Load` of src/backend/cuda/image.rs.
struct Load {
    const void* images;
    const float* mean;
    const float* std;
    const void* gradient;
    float* pixels;  // xₜ, or null: then a step starts at the images, and what comes of it is z alone
    void* z;
    Place at, gradient_at;
    uint64_t first_image;
    uint32_t count;
    uint32_t seed_low, seed_high;
    float eps, alpha;
    uint32_t clamp, noise, unused;
};
static_assert(sizeof(Load) == 136);

// Images of a thread.
constexpr uint32_t FOUR = Row<float>::VEC;
constexpr uint32_t NOISE_STREAM = 0xFFFFFFFFu;  // both halves of `Noise::STREAM`

template <typename T> struct alignas(FOUR * sizeof(T)) Quad {
    T v[FOUR];
};

template <typename T> __device__ __forceinline__ Quad<T>* quad(const void* buffer, size_t row, uint32_t part) {
    return reinterpret_cast<Quad<T>*>(static_cast<T*>(const_cast<void*>(buffer)) + row * SLAB + part * FOUR);
}

template <typename T, typename P, bool STEP> __device__ __forceinline__ void load(const Load& p) {
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
            if (p.pixels) x = *pixels;
            gradient = *quad<T>(p.gradient, row_of(p.gradient_at, slab, pixel, channel), part);
        }
#pragma unroll
        for (uint32_t j = 0; j < FOUR; j++) {
            const uint32_t lane = part * FOUR + j, number = slab * SLAB + lane;
            const bool image = number < p.count;
            const float original = tile[in_tile<float>(column, lane)];
            if (STEP) {
                const float moved = along_sign(p.pixels ? x.v[j] : original, image ? to_float(gradient.v[j]) : 0.0f, p.alpha);
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
        if (p.pixels) *pixels = x;
        *quad<T>(p.z, row_of(p.at, slab, pixel, channel), part) = z;
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

#define KERNEL(name, T, P, STEP)                                                                      \
    extern "C" __global__ void __launch_bounds__(THREADS) name(const __grid_constant__ Load p) {       \
        load<T, P, STEP>(p);                                                                           \
    }
#define INSTANCE(T, suffix)                                                                                       \
    KERNEL(load_bytes_##suffix, T, uint8_t, false)                                                                \
    KERNEL(load_floats_##suffix, T, float, false)                                                                 \
    KERNEL(attack_step_bytes_##suffix, T, uint8_t, true)                                                          \
    KERNEL(attack_step_floats_##suffix, T, float, true)                                                           \
    extern "C" __global__ void __launch_bounds__(THREADS) download_##suffix(const __grid_constant__ Download p) { \
        download<T>(p);                                                                                           \
    }
FOR_EACH_FORMAT(INSTANCE)
