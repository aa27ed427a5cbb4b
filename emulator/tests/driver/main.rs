//! Programs that drive the shared library through the driver API, as they would NVIDIA's: unchanged cudarc, and calls
//! with hostile arguments. Every program is a process of its own, which finds the library through LD_LIBRARY_PATH.

mod captures;
mod child;
mod cudarc_programs;
mod environment;
mod hostile;
mod kernels;
