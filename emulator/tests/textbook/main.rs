//! Textbook kernels (../kernels/*.cu, compiled by nvcc to ../ptx/*.ptx) against the host, with all checks on.

mod calls;
mod gpu;
mod matmul;
mod parallel;
mod planted;
mod transpose;

use cuda_emulator::exec::Settings;

/// A device with the module of a file of kernels; every check is on.
fn load(name: &str) -> gpu::Gpu {
    gpu::Gpu::with(name, Settings { instruction_limit: Some(1 << 32), ..Settings::default() })
}
