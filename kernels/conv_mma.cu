// Convolutions of f16 and bf16 values on matrix units, forward and backward to the input.
//
//   y[k, o] = then(Σ over taps t that meet the map, channels c: W_t[k, c] · x[c, source(o, t)])
//   forward: source = o·stride + t − pad; backward: (o + pad − t) / stride where that is whole
//
// How: conv_mma.cuh. x, y and what `then` adds are 16-bit values of any place; W are working weights (weights.cuh); sums are
// f32. y is overwritten, or added to where `then` says so. The order of every sum is fixed: results are the same from run to
// run, whatever the grid.
//
// Grid: tiles of K fastest, then pixels (those with the most taps first), then tiles of slabs: a slab is read from device
// memory once. Kernels are named conv_mma_<K>x<N>_<how values enter>_<format>; N / 64 slabs make a tile.
//   dense   C is a multiple of 32 and channels are neighbours
//   ragged  any C, any step from one channel to the next
//   packed  few input channels (a stem forward): taps and channels are one reduction
//   few     few outputs; and backward to few channels (a stem), where neighbouring pixels of the result are computed together,
//           so that a value that is read serves all of them
//
//   kernel         threads  stages  shared   registers   in the main loop: HMMA / all instructions
//                                   KiB      sm_80 sm_90 sm_80                 sm_90
//   128x256 dense  256      3       72       209   214   192/346 = 55.5 %      192/351 = 54.7 %
//   128x128 dense  128      4       64       209   213   256/468 = 54.7 %      256/475 = 53.9 %
//   64x256 dense   128      4       80       210   214   256/476 = 53.8 %      256/483 = 53.0 %
//   64x128 dense   64       4       48       210   214   256/484 = 52.9 %      256/491 = 52.1 %
//   64x64 dense    128      3       96       211   212   192/405 = 47.4 %      192/405 = 47.4 %
//   ragged: up to 216 registers, 38 to 48 %. packed: 201, 33 %. few: 48x256 157, 35 %; 16x128 72, 16 %
//
// No spills, no stack frame. A step (32 channels of a tap) of a tile copies 64·K + 64·N bytes and multiplies 32·K·N pairs:
// 128x256 42.7 multiply-adds per byte from the L2 cache, 128x128 32, 64x256 25.6, 64x128 21.3, 64x64 16.
// On the software device, over all tests: no bank conflicts; of the sectors that are read and written, 97 to 100 % is used.
// To see it: kernels/gates.py;
// CUDA_EMULATOR_PROFILE=profile.json cargo test --features cuda --test cuda conv_mma
#include "conv_mma.cuh"

#define INSTANCE(NAME, SHAPE, SOURCE, RESIDUES)                                                                   \
    extern "C" __global__ void __launch_bounds__(SHAPE::THREADS) NAME##_f16(const __grid_constant__ ConvMma p) {  \
        convolve<half, SHAPE, SOURCE, RESIDUES>(p);                                                               \
    }                                                                                                             \
    extern "C" __global__ void __launch_bounds__(SHAPE::THREADS) NAME##_bf16(const __grid_constant__ ConvMma p) { \
        convolve<bf16, SHAPE, SOURCE, RESIDUES>(p);                                                               \
    }
#define DENSE_AND_RAGGED(NAME, SHAPE)                   \
    INSTANCE(NAME##_dense, SHAPE, Source::DENSE, false) \
    INSTANCE(NAME##_ragged, SHAPE, Source::RAGGED, false)

// Mirrored by src/backend/cuda/tiles.rs.
using T128x256 = Tile<4, 2, 4, 1, 3>;
using T128x128 = Tile<4, 2, 2, 1, 4>;
using T64x256 = Tile<4, 1, 4, 1, 4>;
using T64x128 = Tile<4, 1, 2, 1, 4>;
using T64x64 = Tile<4, 1, 1, 4, 3>;  // small batches and maps: four warps share the reduction
using T48x256 = Tile<3, 1, 4, 1, 4>;  // few outputs
using T48x128 = Tile<3, 1, 2, 1, 4>;
using T16x128 = Tile<1, 1, 2, 1, 4>;

DENSE_AND_RAGGED(conv_mma_128x256, T128x256)
DENSE_AND_RAGGED(conv_mma_128x128, T128x128)
DENSE_AND_RAGGED(conv_mma_64x256, T64x256)
DENSE_AND_RAGGED(conv_mma_64x128, T64x128)
DENSE_AND_RAGGED(conv_mma_64x64, T64x64)
INSTANCE(conv_mma_64x256_packed, T64x256, Source::PACKED, false)
INSTANCE(conv_mma_64x128_packed, T64x128, Source::PACKED, false)
INSTANCE(conv_mma_48x256_few, T48x256, Source::RAGGED, true)
INSTANCE(conv_mma_48x128_few, T48x128, Source::RAGGED, true)
INSTANCE(conv_mma_16x128_few, T16x128, Source::RAGGED, true)
