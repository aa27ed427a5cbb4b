//! The CPU kernels other than convolution, each against a plain f64 computation in `[n, c, h, w]` order, at every SIMD
//! level of the machine, with odd layouts, full and partly filled slabs of 16 to 64 lanes.

mod attack;
mod batch_norm;
mod elementwise;
mod image;
mod loss;
mod pool;
mod value;
mod weight_grad;
