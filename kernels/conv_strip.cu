// Convolutions with 3×3 kernels and stride 1 on strips of four pixels: f16 and bf16 on matrix units, both directions.
//
// The formula is that of conv_mma.cu. A block computes K outputs of four neighbouring pixels of a row for the 64 images of one
// slab; a warp has one of the pixels, and 64 outputs. In a step (one row of taps, 32 channels) six pixels of the source enter
// shared memory and serve three taps of four pixels: half of what a tile of one pixel copies.
//
//   for step in valid rows of taps × chunks of 32 channels:
//       wait for the step's copies; barrier; begin to copy the next step
//       each warp, for d in 0..3 where pixel + d is on the map: sum[64×64] += W_d[64×32] · X_(pixel + d)[32×64]
//
// Columns that are not on the map are neither copied nor multiplied. C is a multiple of 32, channels are neighbours; any K.
// y is overwritten, or added to where `then` says so. The order of every sum is fixed.
//
// Grid: tiles of K fastest, then strips (those with the most taps first), then slabs.
//
//   kernel  threads  stages  shared KiB  registers      in the main loop: HMMA / all instructions
//                                        sm_80  sm_90   sm_80             sm_90
//   128     256      2       96          212    215     384/622 = 61.7 %  384/638 = 60.2 %
//   64      128      2       72          212    214     384/658 = 58.4 %  384/674 = 57.0 %
//
// No spills, no stack frame, no bank conflicts. A step copies 192·K bytes of weights and up to 24 KiB of values for
// 3·32·K·256 multiply-adds: 64 per byte for 128, 42.7 for 64. How to see it: conv_mma.cu.
#include "conv_mma.cuh"

constexpr int STRIP = 4;                // pixels
constexpr int TAPS = 3;                 // along a row
constexpr int COLUMNS = STRIP + TAPS - 1;

template <int GK_>
struct StripTile : Tile<4, GK_, STRIP, 1, 2> {
    static constexpr int W_TAP = StripTile::K * W_ROW, X_AT = TAPS * W_TAP;
    static constexpr int STAGE = X_AT + COLUMNS * SLAB_BYTES;
    static constexpr int SHARED = 2 * STAGE;
    static_assert(SHARED >= StripTile::WARPS * StripTile::STAGED);
};

template <typename S>
struct StripLoader {
    static constexpr int W_PIECES = S::K * 4 / S::GROUP;  // of a tap: neighbours of a warp, eight rows apart
    static constexpr int X_PIECES = 256 / S::GROUP;       // of a column, ROW_STEP rows apart
    static constexpr int ROW_STEP = CHUNK / X_PIECES;

    const void* w;
    const void* x;
    uint32_t w_at, x_at, w_to, x_to;
    int steps, chunks, chunk;
    int w_chunk, w_line, w_tap;  // pieces to the next chunk; from behind the last chunk; to the next of three taps
    int x_chunk, x_line, x_column;
    uint32_t columns;            // bit i: column i is on the map

    __device__ __forceinline__ StripLoader(const ConvMma& p, uint32_t shared, int thread, uint32_t k0, uint32_t slab,
                                           int row, int column)
        : w(p.w), x(p.x) {
        const bool backward = p.backward != 0;
        const Axis v = axis(backward, row, p.r, 1, p.pad, p.from.h);
        chunks = chunk = p.chunks;
        steps = v.count * chunks;
        const int width = p.from.w;
        x_column = p.from.pixel * (ROW / PIECE);
        x_chunk = CHUNK * static_cast<int>(p.from.step) * (ROW / PIECE);
        x_line = v.source_step * width * x_column - chunks * x_chunk;
        w_chunk = p.outputs * (W_ROW / PIECE);
        w_line = (TAPS - 1) * chunks * w_chunk;
        w_tap = (backward ? -chunks : chunks) * w_chunk;

        columns = 0;
#pragma unroll
        for (int i = 0; i < COLUMNS; i++) columns |= (column + i >= 0 && column + i < width) << i;

        const int w_row = (thread / 32 * W_PIECES * 32 + thread % 32) / 4;
        const int first = v.first * TAPS + (backward ? TAPS - 1 : 0);
        w_at = (first * chunks * p.outputs + k0 + w_row) * (W_ROW / PIECE) + thread % 4 + BIAS / PIECE;
        w_to = shared + w_row * W_ROW + (((thread & 3) ^ ((w_row >> 1) & 3)) << 4);
        const int x_row = thread / 8;
        // Column 0 may lie before the map: arithmetic on pieces wraps.
        x_at = (static_cast<uint32_t>(row_of(p.from, slab, v.source * width, x_row)) + column * p.from.pixel) *
                   (ROW / PIECE) +
               thread % 8;
        x_to = shared + S::X_AT + x_row * ROW + (((thread & 7) ^ (x_row & 7)) << 4);
        asm volatile("" : "+r"(w_to), "+r"(x_to));  // kept, not computed again in every step

        // Every copy moves on first.
        w_at -= w_chunk;
        x_at -= x_chunk;
    }

    template <int STAGE>
    __device__ __forceinline__ void copy_step() {
        if (chunk == 0) {
            chunk = chunks;
            w_at += w_line;
            x_at += x_line;
        }
        chunk--;
        w_at += w_chunk;
        x_at += x_chunk;
        copy_tap<STAGE, 0>();
        copy_column<STAGE, 0>();
    }

    template <int STAGE, int D>
    __device__ __forceinline__ void copy_tap() const {
        if constexpr (D < TAPS) {
            copy_weights<STAGE * S::STAGE + D * S::W_TAP, 0>(piece(w, w_at + D * w_tap));
            copy_tap<STAGE, D + 1>();
        }
    }

    template <int TO, int I>
    __device__ __forceinline__ void copy_weights(const char* from) const {
        if constexpr (I < W_PIECES) {
            copy_async<TO + I * 512, I * 512 - BIAS>(w_to, from);
            copy_weights<TO, I + 1>(from);
        }
    }

    template <int STAGE, int I>
    __device__ __forceinline__ void copy_column() const {
        if constexpr (I < COLUMNS) {
            if (columns >> I & 1) copy_values<STAGE * S::STAGE + I * SLAB_BYTES, 0>(piece(x, x_at + I * x_column));
            copy_column<STAGE, I + 1>();
        }
    }

    template <int TO, int I>
    __device__ __forceinline__ void copy_values(const char* from) const {
        if constexpr (I < X_PIECES) {
            constexpr int OFFSET = I * ROW_STEP * ROW;
            static_assert(ROW_STEP % 8 == 0);
            copy_async<TO + OFFSET, 0>(x_to, from + OFFSET);
            copy_values<TO, I + 1>(from);
        }
    }
};

// A step of each of the two stages; whether there is more.
template <typename T, typename S, int STAGE>
__device__ __forceinline__ bool strip_steps(StripLoader<S>& loader, float (&sum)[4][8][4], const Fragments& at,
                                            uint32_t mine, int& left) {
    copy_wait<0>();
    __syncthreads();
    if (left > 1) loader.template copy_step<1 - STAGE>();
    copy_commit();
#pragma unroll
    for (int d = 0; d < TAPS; d++) {
        if (mine >> d & 1) {
            multiply_step<T>(sum, at, STAGE * S::STAGE + d * S::W_TAP, STAGE * S::STAGE + d * SLAB_BYTES);
        }
    }
    if (--left == 0) return false;
    if constexpr (STAGE == 0) return strip_steps<T, S, 1>(loader, sum, at, mine, left);
    return true;
}

template <typename T, typename S>
__device__ __forceinline__ void convolve_strip(const ConvMma& p) {
    extern __shared__ __align__(128) char shared[];
    const uint32_t tiles = (p.outputs + S::K - 1) / S::K;
    const uint32_t strips = (p.width + STRIP - 1) / STRIP * p.height;
    const uint32_t k0 = blockIdx.x % tiles * S::K;
    const uint32_t pixel = p.pixels[blockIdx.x / tiles % strips];
    const uint32_t slab = blockIdx.x / tiles / strips;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warp_k = warp % S::GK, warp_n = warp / S::GK;
    const int row = pixel / p.width, column = pixel % p.width;
    // Column d of pixel i is column i + d of the step: that of tap d forward, of tap 2 − d backward.
    const int pad = p.backward ? TAPS - 1 - static_cast<int>(p.pad) : static_cast<int>(p.pad);

    StripLoader<S> loader(p, shared_address(shared), threadIdx.x, k0, slab, row, column - pad);
    const Fragments at = Fragments::of<S>(shared_address(shared), warp_k, warp_n, lane, S::X_AT);
    const bool inside = column + warp_n < static_cast<int>(p.width);
    const uint32_t mine = inside ? loader.columns >> warp_n : 0;
    float sum[4][8][4] = {};
    int left = loader.steps;
    if (left > 0) {
        loader.template copy_step<0>();
        copy_commit();
        while (strip_steps<T, S, 0>(loader, sum, at, mine, left)) {
        }
    }
    // A pixel beyond the row is one of a slab that does not exist.
    write_tile<T, S, false>(p, sum, shared, k0 + warp_k * S::WARP_K, inside ? slab : p.slabs, pixel + warp_n, 0, warp,
                            lane);
}

#define INSTANCE(NAME, SHAPE)                                                                                     \
    extern "C" __global__ void __launch_bounds__(SHAPE::THREADS) NAME##_f16(const __grid_constant__ ConvMma p) {  \
        convolve_strip<half, SHAPE>(p);                                                                           \
    }                                                                                                             \
    extern "C" __global__ void __launch_bounds__(SHAPE::THREADS) NAME##_bf16(const __grid_constant__ ConvMma p) { \
        convolve_strip<bf16, SHAPE>(p);                                                                           \
    }

// Mirrored by src/backend/cuda/tiles.rs.
INSTANCE(conv_strip_128, StripTile<2>)
INSTANCE(conv_strip_64, StripTile<1>)
