//! NVIDIA GPUs, through the CUDA driver.
//!
//! Kernels are written in kernels/*.cu, compiled to PTX when the program is built, and loaded when they are first used.
//! What one backend begins runs in the order of its stream; [`Device::queue`](super::Device::queue) makes one with another
//! stream. A file here has the name of the kernel file that it launches:
//!
//! ```text
//! device, infer, train
//!        ─> filter ─> conv2d (also depthwise), conv_mma (also conv_strip) ─> conv_plan ─> tiles
//!        ─> weight_grad, elementwise, activation, product, batch_norm, pool, mean, dropout, loss, image, optimizer
//!              └─> launch ─> context ─> driver          buffer: memory; recording: CUDA graphs; abi: structures of kernels
//!                                             fill: how full launches make the device
//! ```

pub mod abi;
pub mod activation;
pub mod batch_norm;
pub mod buffer;
pub mod context;
pub mod conv2d;
pub mod conv_mma;
pub mod conv_plan;
pub mod device;
pub mod dropout;
pub mod elementwise;
pub mod fill;
pub mod filter;
pub mod format;
pub mod image;
mod infer;
pub mod launch;
pub mod loss;
pub mod mean;
pub mod optimizer;
pub mod pool;
pub mod product;
pub mod recording;
pub mod tiles;
mod train;
pub mod value;
pub mod weight_grad;

/// What build.rs compiled.
pub mod kernels {
    include!(concat!(env!("OUT_DIR"), "/kernels.rs"));
}
