//! The CPU backend: rows of images, one SIMD lane per image.
//!
//! Every kernel works on one *slab*: up to 64 images, stored pixel by pixel, channel by channel, image
//! innermost (see [`layout`]). Kernels are serial; callers spread slabs, or row ranges of a slab, over threads.

pub mod bilinear;
pub mod conv2d;
pub mod depthwise;
pub mod direct;
pub mod epilogue;
pub mod karatsuba;
pub mod layout;
pub mod masters;
pub mod microkernel;
pub mod select;
pub mod simd;
pub mod stem;
pub mod taps;
pub mod toom;
pub mod winograd;
