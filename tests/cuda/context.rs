//! What happens when something goes wrong on a device: the first error stays and is told, nothing that follows is done, and
//! memory is given back all the same.

use crate::driver;
use synfilter::Error;
use synfilter::backend::cuda::buffer::Buffer;
use synfilter::backend::cuda::context::{Context, Facts};
use synfilter::backend::cuda::launch::Grid;
use synfilter::backend::cuda::recording::Recording;

/// More than any device has.
const TOO_MUCH: usize = 1 << 50;

/// What is told of a device on which something went wrong.
#[track_caller]
fn told(context: &Context) -> String {
    match context.synchronize() {
        Err(Error::Device(what)) => what,
        other => panic!("expected an error of the device, found {other:?}"),
    }
}

#[test]
fn the_first_error_stays() {
    let context = driver::context();
    let mut kept = Buffer::of(&context, &[1_u32, 2, 3]);
    drop(Buffer::new(&context, TOO_MUCH));
    let what = told(&context);
    assert!(what.starts_with(&format!("cuda:0: allocating {TOO_MUCH} bytes: CUDA_ERROR_")), "{what}");
    // What follows is not done, and changes nothing of what is told.
    kept.write(&[4_u32, 5, 6]);
    assert_eq!(Buffer::new(&context, 4).address(), 0);
    // SAFETY: a kernel that does not exist does nothing.
    unsafe { context.launch("elementwise", "no_such_kernel", Grid::line(1, 32), &0_u32) };
    assert_eq!(told(&context), what);
    assert_eq!(kept.read::<u32>().unwrap_err().to_string(), what);
    // It is this context's alone.
    assert_eq!(Buffer::of(&driver::context(), &[7_u32]).read::<u32>().unwrap(), [7]);
}

#[test]
fn launches_that_cannot_be() {
    let refused = |module, kernel, grid, needle: &str| {
        let context = driver::context();
        // SAFETY: refused before anything runs.
        unsafe { context.launch(module, kernel, grid, &0_u32) };
        let what = told(&context);
        assert!(what.contains(kernel) && what.contains(needle), "{what}");
    };
    refused("elementwise", "no_such_kernel", Grid::line(1, 32), "CUDA_ERROR_NOT_FOUND");
    refused("elementwise", "map_f32", Grid::line(1 << 31, 32), "more than a launch can have");
    let flat = Grid { blocks: [1, 65_536, 1], threads: 32, shared: 0 };
    refused("elementwise", "map_f32", flat, "more than a launch can have");
    refused("elementwise", "map_f32", Grid::line(1, 2048), "CUDA_ERROR_INVALID_VALUE");
    refused(
        "elementwise",
        "map_f32",
        Grid { shared: 1 << 20, ..Grid::line(1, 32) },
        "CUDA_ERROR_INVALID_VALUE",
    );
    let context = driver::context();
    // SAFETY: a grid without blocks does nothing.
    unsafe { context.launch("elementwise", "map_f32", Grid::line(0, 32), &0_u32) };
    context.synchronize().unwrap();
    // SAFETY: refused before anything runs.
    unsafe { context.launch("no_such_file", "kernel", Grid::line(1, 32), &0_u32) };
    assert!(told(&context).contains("kernels/no_such_file.cu: not built in"));
}

#[test]
fn memory_is_given_back_after_an_error() {
    let context = driver::context();
    let free = || Facts::of(0).expect("a device that tells").free;
    let buffer = Buffer::zeros(&context, 64 << 20);
    drop(Buffer::new(&context, TOO_MUCH));
    let before = free();
    drop(buffer);
    if !driver::on_gpu() {
        // Others use the device meanwhile, but not for half as much.
        assert!(free() >= before + (32 << 20), "{before} bytes free before, {} after", free());
    }
    told(&context);
}

/// A stream that is left recording would refuse the whole thread what must not happen meanwhile, such as freeing memory.
#[test]
fn a_recording_in_which_something_fails() {
    let context = driver::context();
    let (mut buffer, mut recording) = (Buffer::of(&context, &[9_u32; 8]), None);
    Recording::run(&mut recording, &context, || buffer.zero());
    Recording::run(&mut recording, &context, || drop(Buffer::new(&context, TOO_MUCH)));
    assert!(told(&context).contains("allocating"), "{}", told(&context));
    assert!(matches!(recording, Some(Recording::Warm(_))));
    assert_eq!(Buffer::of(&driver::context(), &[7_u32]).read::<u32>().unwrap(), [7]);
}

#[test]
fn recordings_run_again() {
    let context = driver::context();
    let (mut from, mut to) = (Buffer::zeros(&context, 12), Buffer::zeros(&context, 12));
    let mut recording = None;
    for round in 1_u32..5 {
        let numbers = [round, round + 1, round + 2];
        from.write(&numbers);
        Recording::run(&mut recording, &context, || to.copy_from(&from));
        assert_eq!(to.read::<u32>().unwrap(), numbers, "round {round}");
        assert_eq!(matches!(recording, Some(Recording::Graph(..))), round > 1);
    }
}

#[test]
fn devices_that_cannot_run_the_kernels() {
    let facts = Facts {
        ordinal: 0,
        name: "a device".to_owned(),
        compute: (8, 6),
        memory: 0,
        free: 0,
        multiprocessors: 1,
        driver: 12_040,
        bandwidth: None,
    };
    assert_eq!(facts.unfit("12.4.131", "compute_80"), None);
    assert_eq!(facts.unfit("11.8.89", "compute_86"), None);
    let old = "a driver for CUDA 12.4, expected 13.0 or newer";
    assert_eq!(facts.unfit("13.0.88", "compute_80").as_deref(), Some(old));
    let small = "compute capability 8.6, expected that of compute_90a or more";
    assert_eq!(facts.unfit("12.4.131", "compute_90a").as_deref(), Some(small));
    assert_eq!(Facts { compute: (10, 0), ..facts }.unfit("12.4.131", "compute_90"), None);
}
