//! What a device computes through the `Backend` trait against the naive oracle. The list of cases is generic: every device
//! runs the very same one (tests/cuda has it for CUDA).

mod cases;

use cases::{F32, conforms};
use synfilter::backend::cpu::device::Cpu;
use synfilter::backend::cpu::select::ConvMode;
use synfilter::backend::cpu::simd::Level;

/// Random cases of each operation.
const CASES: u64 = 25;

/// The CPU at every instruction set that this machine has, however the process was told to compute.
fn at_every_level(conv: ConvMode, spread: bool) {
    for level in Level::available() {
        conforms(&Cpu { level, conv, spread }, F32, CASES);
    }
}

#[test]
fn cpu_direct() {
    at_every_level(ConvMode::Direct, false);
}

#[test]
fn cpu_auto_on_all_threads() {
    at_every_level(ConvMode::Auto, true);
}
