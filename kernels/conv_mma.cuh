// Convolutions of 16-bit values on matrix units: the parts of the kernels of conv_mma.cu.
//
// A pixel of the result is a sum of products W_tap[K×C] · X_tap[C×N] over the taps that meet the map. A block computes a
// tile of K × N of one pixel, in steps of 32 input channels of one tap:
//
//   for step in valid taps × chunks of 32 channels:        // the loaders run STAGES − 1 steps ahead
//       wait for the step's copies; barrier
//       begin to copy step + STAGES − 1: W 64 bytes × K rows, X 128 bytes × 32 rows × slabs
//       each warp: sum[64×64] += W[64×32] · X[32×64]
//   result = then(sum), 32 rows at a time through shared memory
//
// In shared memory a row of W is 64 bytes, four pieces of 16, piece p at p ^ ((row / 2) & 3); a row of X is 128 bytes, eight
// pieces, piece p at p ^ (row & 7): eight rows at one piece lie in different banks, both for copies and for ldmatrix.
#pragma once

#include "epilogue.cuh"
#include "mma.cuh"
#include "taps.cuh"
#include "weights.cuh"

// Mirrors `Parameters` of src/backend/cuda/conv_mma.rs.
struct ConvMma {
    const void* x;
    const void* w;           // working weights (weights.cuh)
    void* y;
    const uint32_t* pixels;  // pixels of the result, those with the most taps first
    Place from, to;
    uint32_t outputs, chunks;  // of the working weights
    uint32_t height, width;    // pixels of the result: those of `to`, or by `residues` fewer along each axis
    uint32_t residues;         // 1; or the result's (a·residues + b)·c + channel is pixel (i·residues + a, j·residues + b)
    uint32_t r, s, stride, pad, backward;
    uint32_t slabs;
    uint32_t unused;
    Then then;
};
static_assert(sizeof(ConvMma) == 192);

constexpr int ROW = SLAB * 2;              // bytes of a row of 64 images
constexpr int CHUNK = WORKING_CHUNK;       // input channels of a step
constexpr int W_ROW = CHUNK * 2;           // bytes of a chunk of one output's weights
constexpr int SLAB_BYTES = CHUNK * ROW;    // of a step's values
constexpr int STAGED_ROW = SLAB * 4;       // bytes of a row of results on their way out

// Warps of 16·FRAGMENTS outputs × 64 images: GK × GN of them make a group, and GR groups share a block's reduction.
template <int FRAGMENTS_, int GK_, int GN_, int GR_, int STAGES_>
struct Tile {
    static constexpr int FRAGMENTS = FRAGMENTS_, GK = GK_, GN = GN_, GR = GR_, STAGES = STAGES_;
    static constexpr int WARP_K = 16 * FRAGMENTS, K = WARP_K * GK, SLABS = GN;
    static constexpr int WARPS = GK * GN, GROUP = 32 * WARPS, THREADS = GROUP * GR;
    static constexpr int W_BYTES = K * W_ROW, STAGE = W_BYTES + SLABS * SLAB_BYTES;
    static constexpr int PIPELINE = GR * STAGES * STAGE;
    // Results leave through shared memory, up to 32 rows of f32 per warp at a time.
    static constexpr int STAGED_FRAGMENTS = FRAGMENTS % 2 == 0 ? 2 : 1;
    static constexpr int STAGED = 16 * STAGED_FRAGMENTS * STAGED_ROW;
    static constexpr int SHARED = PIPELINE > GR * WARPS * STAGED ? PIPELINE : GR * WARPS * STAGED;
};

// How values enter: DENSE where C is a multiple of 32 and channels are neighbours; RAGGED for any C and step; PACKED for
// few channels, whose taps and channels together are one reduction.
enum class Source { DENSE, RAGGED, PACKED };

// Waits for the threads of a group.
template <typename S>
__device__ __forceinline__ void group_barrier(int group) {
    if constexpr (S::WARPS == 1) {
        __syncwarp();
    } else if constexpr (S::GR == 1) {
        __syncthreads();
    } else {
        asm volatile("bar.sync %0, %1;" ::"r"(group + 1), "n"(S::GROUP) : "memory");
    }
}

// Pieces of 16 bytes are what is copied; a 32-bit count of them reaches 64 GB.
constexpr int PIECE = 16;

__device__ __forceinline__ const char* piece(const void* base, uint32_t at) {
    return static_cast<const char*>(base) + static_cast<size_t>(at) * PIECE;
}

// An asynchronous copy has room for offsets of −2048 to 2047 from a global address: addresses stand in the middle.
constexpr int BIAS = 2048;

// What a thread copies of the weights of a step: every warp consecutive pieces, eight rows at a time.
template <typename S>
struct WeightCopies {
    static constexpr int PIECES = (S::K * 4 + S::GROUP - 1) / S::GROUP;
    static constexpr bool SPARE = S::K * 4 % S::GROUP != 0;  // warps without a piece
    static_assert(S::K % (PIECES * 8) == 0);

    const void* w;
    uint32_t at;  // the next piece
    uint32_t to;
    bool has_piece;

    __device__ __forceinline__ WeightCopies(const ConvMma& p, uint32_t shared, int thread, uint32_t k0) : w(p.w) {
        const int row = (thread / 32 * PIECES * 32 + thread % 32) / 4;
        at = (k0 + row) * (W_ROW / PIECE) + thread % 4 + BIAS / PIECE;
        to = shared + row * W_ROW + (((thread & 3) ^ ((row >> 1) & 3)) << 4);
        asm volatile("" : "+r"(to));  // kept, not computed again in every step
        has_piece = row < S::K;
    }

    template <int STAGE>
    __device__ __forceinline__ void copy() const {
        if (!SPARE || has_piece) copy_pieces<STAGE>(piece(w, at));
    }

    template <int STAGE, int I = 0>
    __device__ __forceinline__ void copy_pieces(const char* from) const {
        if constexpr (I < PIECES) {
            copy_async<STAGE * S::STAGE + I * 32 * PIECE, I * 32 * PIECE - BIAS>(to, from);
            copy_pieces<STAGE, I + 1>(from);
        }
    }
};

// Which values a thread copies: a piece of every ROW_STEP-th row of one slab.
template <typename S>
struct ValuePieces {
    static constexpr int PIECES = 8 / S::GK;
    static constexpr int ROW_STEP = CHUNK / PIECES;

    int in_slab, row, piece;
    uint32_t slab;
    uint32_t to, to_odd;  // of rows row + 2i·ROW_STEP, and of those between

    __device__ __forceinline__ ValuePieces(const ConvMma& p, uint32_t shared, int thread, uint32_t slab0) {
        constexpr int PER_SLAB = S::GROUP / S::SLABS;
        static_assert(PER_SLAB == 8 * ROW_STEP);
        in_slab = thread / PER_SLAB, row = thread % PER_SLAB / 8, piece = thread % 8;
        // A slab beyond the last is the last once more; its results are thrown away.
        slab = min(slab0 + in_slab, p.slabs - 1);
        to = shared + S::W_BYTES + in_slab * SLAB_BYTES + row * ROW + ((piece ^ (row & 7)) << 4);
        to_odd = ROW_STEP % 8 == 0 ? to : to ^ 64;
        asm volatile("" : "+r"(to), "+r"(to_odd));
    }
};

// Copies steps over valid taps × chunks of channels.
template <typename S, Source SOURCE>
struct Loader {
    static constexpr bool RAGGED = SOURCE == Source::RAGGED;
    using Pieces = ValuePieces<S>;

    int steps;  // of this group
    WeightCopies<S> weights;
    Pieces pieces;
    const void* x;
    uint32_t at;                  // the next piece of values
    int chunks, chunk;            // of a tap; left of this tap
    int taps, tap;                // of a line of taps; left of this line
    int w_chunk, w_tap, w_line;   // pieces to the next chunk; from behind the last chunk; from behind the last tap
    int x_chunk, x_tap, x_line;
    int row_step;                 // pieces from one channel to the next
    int inputs;                   // channels from this thread's first one on

    __device__ __forceinline__ Loader(const ConvMma& p, uint32_t shared, int thread, uint32_t k0, uint32_t slab0,
                                      uint32_t pixel, int group)
        : weights(p, shared, thread, k0), pieces(p, shared, thread, slab0), x(p.x) {
        const bool backward = p.backward != 0;
        const Axis v = axis(backward, pixel / p.width, p.r, p.stride, p.pad, p.from.h);
        const Axis h = axis(backward, pixel % p.width, p.s, p.stride, p.pad, p.from.w);
        chunks = p.chunks;
        taps = h.count;
        const int all = v.count * taps * chunks;
        const int begin = all * group / S::GR;
        steps = all * (group + 1) / S::GR - begin;

        const int width = p.from.w, pixel_step = p.from.pixel * (ROW / PIECE);
        // DENSE knows the step, but a constant would make ptxas keep one address per piece.
        row_step = p.from.step * (ROW / PIECE);
        x_chunk = CHUNK * row_step;
        x_tap = h.source_step * pixel_step - chunks * x_chunk;
        x_line = (v.source_step * width - taps * h.source_step) * pixel_step;
        w_chunk = p.outputs * (W_ROW / PIECE);
        w_tap = (h.tap_step - 1) * chunks * w_chunk;
        w_line = (v.tap_step * static_cast<int>(p.s) - taps * h.tap_step) * chunks * w_chunk;

        // A group may begin within a tap.
        const int before = steps == 0 ? 0 : begin / chunks;
        const int line = steps == 0 ? 0 : before / taps;
        const int at_chunk = begin - before * chunks, at_tap = before - line * taps;
        chunk = chunks - at_chunk;
        tap = taps - at_tap;
        const int first = (v.first + line * v.tap_step) * static_cast<int>(p.s) + h.first + at_tap * h.tap_step;
        const int source = (v.source + line * v.source_step) * width + h.source + at_tap * h.source_step;
        weights.at += (first * chunks + at_chunk) * w_chunk;
        at = static_cast<uint32_t>(row_of(p.from, pieces.slab, source, at_chunk * CHUNK + pieces.row)) * (ROW / PIECE) +
             pieces.piece + (RAGGED ? 0 : BIAS / PIECE);
        inputs = static_cast<int>(p.from.c) - at_chunk * CHUNK - pieces.row;

        // Every copy moves on first.
        weights.at -= w_chunk;
        at -= x_chunk;
        inputs += CHUNK;
    }

    __device__ __forceinline__ void next_tap() {
        chunk = chunks;
        inputs += chunks * CHUNK;
        weights.at += w_tap;
        at += x_tap;
        if (--tap == 0) {
            tap = taps;
            weights.at += w_line;
            at += x_line;
        }
    }

    template <int STAGE>
    __device__ __forceinline__ void copy_step() {
        if (chunk == 0) next_tap();
        chunk--;
        weights.at += w_chunk;
        at += x_chunk;
        inputs -= CHUNK;
        weights.template copy<STAGE>();
        copy_values<STAGE>(piece(x, at));
    }

    template <int STAGE, int I = 0>
    __device__ __forceinline__ void copy_values(const char* from) const {
        if constexpr (I < Pieces::PIECES) {
            constexpr int OFFSET = I * Pieces::ROW_STEP * ROW, TO = STAGE * S::STAGE + OFFSET;
            const uint32_t to = I % 2 ? pieces.to_odd : pieces.to;
            if constexpr (RAGGED) {
                const bool inside = inputs > I * Pieces::ROW_STEP;
                copy_async_or_zero<TO>(to, piece(x, inside ? at + I * Pieces::ROW_STEP * row_step : 0), inside);
            } else {
                copy_async<TO, OFFSET - BIAS>(to, from);
            }
            copy_values<STAGE, I + 1>(from);
        }
    }
};

// Copies steps over taps and channels together: input (r·S + s)·C + c is channel c under tap (r, s), or 0 where that tap
// does not meet the map. A table in shared memory says where each of them lies.
template <typename S>
struct Loader<S, Source::PACKED> {
    using Pieces = ValuePieces<S>;

    int steps;
    WeightCopies<S> weights;
    Pieces pieces;
    const void* x;
    uint32_t at;      // this thread's piece of the slab's first row
    const int* rows;  // in the table: this thread's first row of the next step
    int w_step;

    // Fills the table: rows of the slab, −1 for 0.
    __device__ __forceinline__ static int* tabulate(const ConvMma& p, char* shared, uint32_t pixel) {
        int* table = reinterpret_cast<int*>(shared + S::SHARED);
        for (int i = threadIdx.x; i < static_cast<int>(p.chunks) * CHUNK; i += S::THREADS) {
            const int tap = i / static_cast<int>(p.from.c), c = i % static_cast<int>(p.from.c);
            const int r = tap / static_cast<int>(p.s), s = tap % static_cast<int>(p.s);
            const int h = static_cast<int>(pixel / p.width * p.stride) + r - static_cast<int>(p.pad);
            const int w = static_cast<int>(pixel % p.width * p.stride) + s - static_cast<int>(p.pad);
            const bool inside = r < static_cast<int>(p.r) && h >= 0 && h < static_cast<int>(p.from.h) && w >= 0 &&
                                w < static_cast<int>(p.from.w);
            table[i] = inside ? static_cast<int>(row_of(p.from, 0, h * p.from.w + w, c)) : -1;
        }
        __syncthreads();
        return table;
    }

    __device__ __forceinline__ Loader(const ConvMma& p, uint32_t shared, int thread, uint32_t k0, uint32_t slab0,
                                      const int* table)
        : weights(p, shared, thread, k0), pieces(p, shared, thread, slab0), x(p.x) {
        steps = p.chunks;
        rows = table + pieces.row;
        w_step = p.outputs * (W_ROW / PIECE);
        at = pieces.slab * (p.from.h * p.from.w) * p.from.pixel * (ROW / PIECE) + pieces.piece;
    }

    template <int STAGE>
    __device__ __forceinline__ void copy_step() {
        weights.template copy<STAGE>();
        weights.at += w_step;
        copy_values<STAGE>();
        rows += CHUNK;
    }

    template <int STAGE, int I = 0>
    __device__ __forceinline__ void copy_values() const {
        if constexpr (I < Pieces::PIECES) {
            const int row = rows[I * Pieces::ROW_STEP];
            copy_async_or_zero<STAGE * S::STAGE + I * Pieces::ROW_STEP * ROW>(
                I % 2 ? pieces.to_odd : pieces.to, piece(x, at + max(row, 0) * (ROW / PIECE)), row >= 0);
            copy_values<STAGE, I + 1>();
        }
    }
};

// Where a warp's fragments of a step lie in the first stage.
struct Fragments {
    uint32_t w[2], x[4];

    template <typename S>
    __device__ __forceinline__ static Fragments of(uint32_t shared, int warp_k, int warp_n, int lane,
                                                   int x_at = S::W_BYTES) {
        Fragments at;
        const int row = lane & 15;
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int piece = i * 2 + (lane >> 4);
            at.w[i] = shared + (warp_k * S::WARP_K + row) * W_ROW + ((piece ^ ((row >> 1) & 3)) << 4);
            asm volatile("" : "+r"(at.w[i]));
        }
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int piece = j * 2 + (lane >> 4);
            at.x[j] = shared + x_at + warp_n * SLAB_BYTES + row * ROW + ((piece ^ (row & 7)) << 4);
            asm volatile("" : "+r"(at.x[j]));
        }
        return at;
    }
};

// One warp's products of a step, whose weights and values lie so many bytes behind `at`.
template <typename T, int FRAGMENTS>
__device__ __forceinline__ void multiply_step(float (&sum)[FRAGMENTS][8][4], const Fragments& at, int w_offset,
                                              int x_offset) {
#pragma unroll
    for (int part = 0; part < 2; part++) {
        uint32_t w[FRAGMENTS][4], x[4][4];
#pragma unroll
        for (int i = 0; i < FRAGMENTS; i++) load_matrices(w[i], at.w[part] + w_offset + i * 16 * W_ROW);
#pragma unroll
        for (int j = 0; j < 4; j++) load_matrices_transposed(x[j], at.x[j] + x_offset + part * 16 * ROW);
#pragma unroll
        for (int i = 0; i < FRAGMENTS; i++) {
#pragma unroll
            for (int j = 0; j < 8; j++) {
                multiply<T>(sum[i][j], w[i], x[j / 2][j % 2 * 2], x[j / 2][j % 2 * 2 + 1]);
            }
        }
    }
}

template <typename S, int STAGE = 0, typename L>
__device__ __forceinline__ void begin(L& loader) {
    if constexpr (STAGE < S::STAGES - 1) {
        if (loader.steps > STAGE) loader.template copy_step<STAGE>();
        copy_commit();
        begin<S, STAGE + 1>(loader);
    }
}

// One step from each stage from STAGE on; whether there is more. The stages are unrolled: their addresses are immediates.
template <typename T, typename S, int STAGE = 0, typename L>
__device__ __forceinline__ bool round(L& loader, float (&sum)[S::FRAGMENTS][8][4], const Fragments& at, int& left,
                                      int group) {
    copy_wait<S::STAGES - 2>();
    group_barrier<S>(group);
    if (left >= S::STAGES) loader.template copy_step<(STAGE + S::STAGES - 1) % S::STAGES>();
    copy_commit();
    multiply_step<T>(sum, at, STAGE * S::STAGE, STAGE * S::STAGE);
    if (--left == 0) return false;
    if constexpr (STAGE + 1 < S::STAGES) return round<T, S, STAGE + 1>(loader, sum, at, left, group);
    return true;
}

// Where a row of results lies on its way out: two planes of eight 16-byte pieces, images 8p .. 8p + 3 and 8p + 4 .. 8p + 7,
// moved about so that neither fragments nor pieces conflict.
__device__ __forceinline__ uint32_t staged(int row, int piece, int plane) {
    return row * STAGED_ROW + plane * (STAGED_ROW / 2) + ((piece ^ (row & 7) ^ (plane << 2)) << 4);
}

// Where row k of the result of a pixel is written.
struct Target {
    uint32_t pixel, channel;
    bool inside;

    template <bool RESIDUES>
    __device__ __forceinline__ static Target of(const ConvMma& p, uint32_t pixel, uint32_t k) {
        if constexpr (!RESIDUES) return {pixel, k, k < p.outputs};
        const uint32_t residue = k / p.to.c;
        const uint32_t h = pixel / p.width * p.residues + residue / p.residues;
        const uint32_t w = pixel % p.width * p.residues + residue % p.residues;
        return {h * p.to.w + w, k % p.to.c, k < p.outputs && h < p.to.h && w < p.to.w};
    }
};

// Adds up the groups' sums, and writes a warp's tile. Eight lanes share a row, eight images each.
template <typename T, typename S, bool RESIDUES>
__device__ __forceinline__ void write_tile(const ConvMma& p, const float (&sum)[S::FRAGMENTS][8][4], char* shared,
                                           uint32_t k0, uint32_t slab, uint32_t pixel, int group, int warp,
                                           int lane) {
    char* mine = shared + (group * S::WARPS + warp) * S::STAGED;
    const char* firsts = shared + warp * S::STAGED;
    constexpr int ROWS = 16 * S::STAGED_FRAGMENTS;
#pragma unroll
    for (int pass = 0; pass < S::FRAGMENTS / S::STAGED_FRAGMENTS; pass++) {
        __syncthreads();
#pragma unroll
        for (int i = 0; i < S::STAGED_FRAGMENTS; i++) {
#pragma unroll
            for (int j = 0; j < 8; j++) {
                const float(&f)[4] = sum[pass * S::STAGED_FRAGMENTS + i][j];
                const int row = i * 16 + (lane >> 2), plane = (lane & 3) >> 1, in_piece = (lane & 1) * 8;
                *reinterpret_cast<float2*>(mine + staged(row, j, plane) + in_piece) = make_float2(f[0], f[1]);
                *reinterpret_cast<float2*>(mine + staged(row + 8, j, plane) + in_piece) = make_float2(f[2], f[3]);
            }
        }
        if constexpr (S::GR == 1) {
            __syncwarp();
        } else {
            __syncthreads();
        }
#pragma unroll 1
        for (int row = group * 4 + (lane >> 3); row < ROWS; row += 4 * S::GR) {
            float v[8];
#pragma unroll
            for (int plane = 0; plane < 2; plane++) {
                float4 q = *reinterpret_cast<const float4*>(firsts + staged(row, lane & 7, plane));
#pragma unroll
                for (int g = 1; g < S::GR; g++) {
                    const float4 more = *reinterpret_cast<const float4*>(firsts + g * S::WARPS * S::STAGED +
                                                                         staged(row, lane & 7, plane));
                    q.x += more.x, q.y += more.y, q.z += more.z, q.w += more.w;
                }
                v[plane * 4] = q.x, v[plane * 4 + 1] = q.y, v[plane * 4 + 2] = q.z, v[plane * 4 + 3] = q.w;
            }
            const Target at = Target::of<RESIDUES>(p, pixel, k0 + pass * ROWS + row);
            finish<T>(p.then, v, static_cast<T*>(p.y), row_of(p.to, slab, at.pixel, at.channel),
                      row_of(p.then.add_place, slab, at.pixel, at.channel), at.channel, lane & 7,
                      at.inside && slab < p.slabs);
        }
    }
}

template <typename T, typename S, Source SOURCE, bool RESIDUES = false>
__device__ __forceinline__ void convolve(const ConvMma& p) {
    extern __shared__ __align__(128) char shared[];
    const uint32_t tiles = (p.outputs + S::K - 1) / S::K, pixels = p.height * p.width;
    const uint32_t k0 = blockIdx.x % tiles * S::K;
    const uint32_t pixel = p.pixels[blockIdx.x / tiles % pixels];
    const uint32_t slab0 = blockIdx.x / tiles / pixels * S::SLABS;
    const int group = S::GR == 1 ? 0 : threadIdx.x / S::GROUP, thread = threadIdx.x % S::GROUP;
    const int warp = thread / 32, lane = thread % 32, warp_k = warp % S::GK, warp_n = warp / S::GK;

    const uint32_t pipeline = shared_address(shared) + group * (S::STAGES * S::STAGE);
    const Fragments at = Fragments::of<S>(pipeline, warp_k, warp_n, lane);
    float sum[S::FRAGMENTS][8][4] = {};
    const auto run = [&](auto loader) {
        int left = loader.steps;
        begin<S>(loader);
        if (left == 0) return;
        while (round<T, S>(loader, sum, at, left, group)) {
        }
    };
    if constexpr (SOURCE == Source::PACKED) {
        const int* table = Loader<S, SOURCE>::tabulate(p, shared, pixel);
        run(Loader<S, SOURCE>(p, pipeline, thread, k0, slab0, table));
    } else {
        run(Loader<S, SOURCE>(p, pipeline, thread, k0, slab0, pixel, group));
    }
    write_tile<T, S, RESIDUES>(p, sum, shared, k0 + warp_k * S::WARP_K, slab0 + warp_n, pixel, group, warp, lane);
}
