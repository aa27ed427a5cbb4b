//! What a device computes through the `Backend` trait against the naive oracle. The list of cases is generic: every device
//! runs the very same one (tests/cuda has it for CUDA).

mod cases;

use cases::{F32, conforms};
use synfilter::backend::cpu::device::Cpu;
use synfilter::backend::cpu::select::ConvMode;
use synfilter::backend::cpu::simd::Level;

/// Random cases of each operation.
const CASES: u64 = 25;

#[test]
fn cpu_direct() {
    conforms(&Cpu::new(ConvMode::Direct, false), F32, CASES);
}

#[test]
fn cpu_auto_on_all_threads() {
    conforms(&Cpu::new(ConvMode::Auto, true), F32, CASES);
}

/// The operations that are no convolutions have the same source at every SIMD level, which is compiled for each.
#[test]
fn cpu_at_every_level() {
    for level in Level::available() {
        conforms(&Cpu { level, conv: ConvMode::Direct, spread: false }, F32, 6);
    }
}
