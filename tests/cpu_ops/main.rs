//! What the list of tests/conformance leaves to the CPU's own kernels, at every SIMD level of the machine: that any split of
//! the work gives the same bits, and values at the edges of the numbers.

mod attack;
mod batch_norm;
mod elementwise;
mod image;
mod loss;
mod pool;
mod value;
mod weight_grad;
