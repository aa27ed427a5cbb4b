//! Kernels through their launchers, each against the oracle: on a GPU, or on the software device of emulator/
//! (`cuda-emulator run -- cargo test --features cuda --test cuda`).

mod conv_mma;
mod support;
