//! Dropout: kernels/dropout.cu.

use super::abi::{self, size};
use super::context::Context;
use super::format::Format;
use super::value::{Count, View, instance, over_rows, rows};
use crate::backend::DropoutKey;
use bytemuck::{Pod, Zeroable};

/// `Dropout` of kernels/dropout.cu.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Dropout {
    x: u64,
    y: u64,
    from: abi::Place,
    to: abi::Place,
    slabs: u32,
    layer: u32,
    step: u32,
    seed_low: u32,
    seed_high: u32,
    p: f32,
    factor: f32,
    unused: u32,
    then: abi::Then,
}

const _: () = assert!(size_of::<Dropout>() == 160);

/// Dropout of probability `p`, with the numbers of `key`.
///
/// # Safety
/// The addresses are those of buffers of `count` images as the places and `then` say.
pub unsafe fn dropout<T: Format>(
    context: &Context,
    count: Count,
    p: f32,
    key: DropoutKey,
    x: View,
    y: View,
    then: abi::Then,
) {
    let parameters = Dropout {
        x: x.address,
        y: y.address,
        from: x.place.into(),
        to: y.place.into(),
        slabs: size(count.slabs),
        layer: key.stream,
        step: key.step as u32,
        seed_low: key.seed as u32,
        seed_high: (key.seed >> 32) as u32,
        p,
        factor: 1.0 / (1.0 - p),
        unused: 0,
        then,
    };
    let Some(grid) = over_rows::<T>(context, rows(y.place, count)) else { return };
    // SAFETY: the structure is the kernel's; its addresses are as the caller promises.
    unsafe { context.launch("dropout", &instance::<T>("dropout"), grid, &parameters) };
}
