//! Kernels with a mistake each, which must be reported as what it is.

use crate::gpu::{Gpu, shape};
use crate::{arguments, load};
use cuda_emulator::exec::LaunchError;
use cuda_emulator::fault::{Fault, FaultKind};

fn first_fault(gpu: &Gpu, kernel: &str, threads: u32, arguments: &[Vec<u8>]) -> Fault {
    match gpu.try_launch(kernel, &shape([1, 1, 1], [threads, 1, 1]), arguments) {
        Err(LaunchError::Faults { faults, .. }) => faults[0].clone(),
        other => panic!("{kernel}: {other:?}"),
    }
}

#[test]
fn a_missing_barrier() {
    let gpu = load("planted");
    let (input, output) = (gpu.upload(&[1i32; 256]), gpu.allocate(1024));
    let fault = first_fault(&gpu, "missing_syncthreads", 256, arguments![input, output]);
    assert_eq!(fault.kind, FaultKind::SharedRace, "{fault}");
    assert_eq!(fault.kernel, "missing_syncthreads");
}

#[test]
fn a_copy_that_is_not_waited_for() {
    let gpu = load("planted");
    let (input, output) = (gpu.upload(&[1i32; 128]), gpu.allocate(128));
    let fault = first_fault(&gpu, "missing_wait", 32, arguments![input, output]);
    assert_eq!(fault.kind, FaultKind::AsyncCopyHazard, "{fault}");
}

#[test]
fn one_element_too_many() {
    let gpu = load("planted");
    // Allocations are padded to 256 bytes or more: the element behind 64 is outside.
    let (input, output) = (gpu.upload(&[1f32; 64]), gpu.allocate(256));
    let fault = first_fault(&gpu, "off_by_one", 128, arguments![input, output, 64u32]);
    assert_eq!(fault.kind, FaultKind::OutOfBounds, "{fault}");
    assert_eq!(fault.thread, [64, 0, 0]);
    assert!(fault.address == Some(input + 256) || fault.address == Some(output + 256), "{fault}");
    gpu.launch("off_by_one", 1, 128, arguments![input, output, 63u32]);
}

#[test]
fn a_barrier_that_half_a_warp_misses() {
    let gpu = load("planted");
    let fault = first_fault(&gpu, "divergent_barrier", 32, arguments![gpu.allocate(128)]);
    assert_eq!(fault.kind, FaultKind::BarrierDivergence, "{fault}");
}

#[test]
fn a_tile_that_is_not_all_written() {
    let gpu = load("planted");
    let (input, output) = (gpu.upload(&[1i32; 64]), gpu.allocate(256));
    let fault = first_fault(&gpu, "uninitialized_tile", 64, arguments![input, output]);
    assert_eq!(fault.kind, FaultKind::Uninitialized, "{fault}");
    assert_eq!(fault.thread, [31, 0, 0]);
}

#[test]
fn a_shuffle_from_lanes_that_left() {
    let gpu = load("planted");
    let fault = first_fault(&gpu, "absent_lanes", 32, arguments![gpu.allocate(128)]);
    assert_eq!(fault.kind, FaultKind::InactiveLane, "{fault}");
}
