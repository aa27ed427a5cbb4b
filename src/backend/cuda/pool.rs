//! Max pooling and global average pooling: kernels/pool.cu.

use super::abi::{self, size};
use super::context::Context;
use super::format::Format;
use super::value::{Count, PLAIN, View, instance, over_rows, rows};
use crate::graph::Pool;
use bytemuck::{Pod, Zeroable};

/// `MaxPool` of kernels/pool.cu.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct MaxPool {
    x: u64,
    y: u64,
    winners: u64,
    from: abi::Place,
    to: abi::Place,
    kernel: u32,
    stride: u32,
    pad: u32,
    slabs: u32,
    then: abi::Then,
}

/// `AvgPool` of kernels/pool.cu.
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

const _: () = assert!(size_of::<MaxPool>() == 152 && size_of::<AvgPool>() == 136);

/// Which way a pool is gone through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From x to y.
    Forward,
    /// From dy to dx.
    Backward,
}

/// Max pool, or its backward; `winners` is the address of a byte per element of the pooled value, 0 for none.
///
/// # Safety
/// The addresses are those of buffers of `count` images as the places, the pool and `then` say.
pub unsafe fn max<T: Format>(
    context: &Context,
    count: Count,
    (pool, way): (Pool, Way),
    x: View,
    y: View,
    winners: u64,
    then: abi::Then,
) {
    let parameters = MaxPool {
        x: x.address,
        y: y.address,
        winners,
        from: x.place.into(),
        to: y.place.into(),
        kernel: size(pool.kernel),
        stride: size(pool.stride),
        pad: size(pool.pad),
        slabs: size(count.slabs),
        then,
    };
    let kernel = instance::<T>(if way == Way::Forward { "max_pool" } else { "max_pool_backward" });
    let Some(grid) = over_rows::<T>(context, rows(y.place, count)) else { return };
    // SAFETY: the structure is the kernel's; its addresses are as the caller promises.
    unsafe { context.launch("pool", &kernel, grid, &parameters) };
}

/// Pixels that a thread writes one gradient of a mean to.
const STRIP: usize = 8;

/// Mean over the map, or its backward.
///
/// # Safety
/// The addresses are those of buffers of `count` images as the places and `then` say.
pub unsafe fn average<T: Format>(
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
    unsafe { context.launch("pool", &instance::<T>(kernel), grid, &parameters) };
}
