//! Max pooling: kernels/pool.cu.

use super::abi::{self, size};
use super::context::Context;
use super::format::Format;
use super::value::{Count, View, instance, over_rows, rows};
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

const _: () = assert!(size_of::<MaxPool>() == 152);

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
