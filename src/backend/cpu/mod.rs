//! The CPU backend: rows of images, one SIMD lane per image.
//!
//! Every kernel works on one *slab*: up to 64 images, stored pixel by pixel, channel by channel, image
//! innermost (see [`layout`]). Kernels are serial; [`device`] spreads slabs, or row ranges of a slab, over threads;
//! what stands behind which operation of the seam is said in `infer` and `train`.

pub mod activation;
pub mod attack;
pub mod batch_norm;
pub mod bilinear;
pub mod convolve;
pub mod depthwise;
pub mod device;
pub mod direct;
pub mod dropout;
pub mod elementwise;
pub mod epilogue;
pub mod functions;
pub mod image;
mod infer;
pub mod karatsuba;
mod launch;
pub mod layout;
pub mod level;
pub mod loss;
pub mod masters;
pub mod mean;
pub mod microkernel;
pub mod optimizer;
pub mod pool;
pub mod product;
pub mod select;
pub mod simd;
pub mod stem;
pub mod strassen;
pub mod taps;
pub mod toom;
mod train;
pub mod value;
pub mod weight_grad;
pub mod winograd;
