//! NVIDIA GPUs, through the CUDA driver.
//!
//! Kernels are written in kernels/*.cu, compiled to PTX when the program is built, and loaded when they are first used.
//! Everything runs in the order of one stream. A file here has the name of the kernel file that it launches:
//!
//! ```text
//! device ─> conv2d, conv_mma, depthwise, weight_grad, filter, elementwise, batch_norm, pool, dropout, loss, image, optimizer
//!              └─> launch ─> context ─> driver          buffer: memory; recording: CUDA graphs; abi: structures of kernels
//! ```

pub mod abi;
pub mod buffer;
pub mod context;
pub mod conv_mma;
pub mod launch;
pub mod recording;
pub mod tiles;

/// What build.rs compiled.
pub mod kernels {
    include!(concat!(env!("OUT_DIR"), "/kernels.rs"));
}
