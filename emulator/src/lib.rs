//! A software CUDA device: runs PTX on the CPU, and checks and counts as it runs.
//!
//! Data flows one way: text → [`ptx`] (an abstract syntax tree) → [`isa`] (every instruction becomes a closure over
//! registers) → [`exec`] (warps of 32 lanes, blocks, grids) → results, [`fault`] reports and [`counters`].
//! [`memory`] holds the address spaces with their shadow; [`driver`] puts the CUDA driver API in front, for programs
//! that load `libcuda.so.1`.

pub mod counters;
pub mod driver;
pub mod exec;
pub mod fault;
pub mod isa;
pub mod memory;
pub mod ptx;
