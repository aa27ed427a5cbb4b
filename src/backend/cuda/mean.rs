//! Means over windows and over the whole map: kernels/mean.cu.

use super::abi::{self, size};
use super::context::Context;
use super::format::Format;
use super::pool::Way;
use super::value::{Count, PLAIN, View, instance, over_rows, rows};
use crate::graph::{Mean, Pool};
use bytemuck::{Pod, Zeroable};

/// `AvgPool` of kernels/mean.cu.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct AvgPool {
    x: u64,
    y: u64,
    from: abi::Place,
    to: abi::Place,
    slabs: u32,
    unused: u32,
    then: abi::Then,
}

/// `MeanPool` of kernels/mean.cu.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct MeanPool {
    x: u64,
    y: u64,
    from: abi::Place,
    to: abi::Place,
    kernel: u32,
    stride: u32,
    pad: u32,
    slabs: u32,
    adaptive: u32,
    count_pad: u32,
    then: abi::Then,
}

const _: () = assert!(size_of::<AvgPool>() == 136 && size_of::<MeanPool>() == 152);

/// Means, or their backward.
///
/// # Safety
/// The addresses are those of buffers of `count` images as the places, the mean and `then` say.
pub unsafe fn mean<T: Format>(
    context: &Context,
    count: Count,
    (mean, way): (Mean, Way),
    x: View,
    y: View,
    then: Option<abi::Then>,
) {
    let pooled = if way == Way::Forward { y.place } else { x.place };
    if mean == Mean::Adaptive && pooled.h * pooled.w == 1 {
        // SAFETY: as the caller promises.
        return unsafe { of_map::<T>(context, count, way, x, y, then) };
    }
    let (pool, adaptive, count_pad) = match mean {
        Mean::Windows { pool, count_pad } => (pool, false, count_pad),
        Mean::Adaptive => (Pool { kernel: 1, stride: 1, pad: 0, ceil: false }, true, false),
    };
    let parameters = MeanPool {
        x: x.address,
        y: y.address,
        from: x.place.into(),
        to: y.place.into(),
        kernel: size(pool.kernel),
        stride: size(pool.stride),
        pad: size(pool.pad),
        slabs: size(count.slabs),
        adaptive: u32::from(adaptive),
        count_pad: u32::from(count_pad),
        then: then.unwrap_or(PLAIN),
    };
    let kernel = instance::<T>(if way == Way::Forward { "mean_pool" } else { "mean_pool_backward" });
    let Some(grid) = over_rows::<T>(context, rows(y.place, count)) else { return };
    // SAFETY: the structure is the kernel's; its addresses are as the caller promises.
    unsafe { context.launch("mean", &kernel, grid, &parameters) };
}

/// Pixels that a thread writes one gradient of a mean to.
const STRIP: usize = 8;

/// Mean over the whole map, or its backward.
///
/// # Safety
/// The addresses are those of buffers of `count` images as the places and `then` say.
unsafe fn of_map<T: Format>(
    context: &Context,
    count: Count,
    way: Way,
    x: View,
    y: View,
    then: Option<abi::Then>,
) {
    let parameters = AvgPool {
        x: x.address,
        y: y.address,
        from: x.place.into(),
        to: y.place.into(),
        slabs: size(count.slabs),
        unused: 0,
        then: then.unwrap_or(PLAIN),
    };
    let (kernel, rows) = match way {
        Way::Forward => ("avg_pool", y.place.c * count.slabs),
        Way::Backward => {
            let strips = (y.place.h * y.place.w).div_ceil(STRIP);
            ("avg_pool_backward", y.place.c * strips * count.slabs)
        }
    };
    let Some(grid) = over_rows::<T>(context, rows) else { return };
    // SAFETY: as the caller promises.
    unsafe { context.launch("mean", &instance::<T>(kernel), grid, &parameters) };
}
