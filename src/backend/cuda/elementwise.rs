//! Elementwise operations: kernels/elementwise.cu.

use super::abi::{self, size};
use super::context::Context;
use super::format::Format;
use super::launch::Grid;
use super::value::{Count, View, instance, over_rows, rows, threads_of_row};
use crate::graph::place::Place;
use bytemuck::{Pod, Zeroable};

/// `Map` of kernels/elementwise.cu.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Map {
    x: u64,
    y: u64,
    from: abi::Place,
    to: abi::Place,
    slabs: u32,
    unused: u32,
    then: abi::Then,
}

/// `MaskRows` of kernels/elementwise.cu.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct MaskRows {
    y: u64,
    bits: u64,
    rows: u64,
    below: f32,
    unused: u32,
}

/// `CopyBits` of kernels/elementwise.cu.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct CopyBits {
    from_bits: u64,
    to_bits: u64,
    from: abi::Place,
    to: abi::Place,
    slabs: u32,
    unused: u32,
}

const _: () = assert!(size_of::<Map>() == 136 && size_of::<MaskRows>() == 32 && size_of::<CopyBits>() == 72);

/// y = then(x), element by element.
///
/// # Safety
/// The addresses are those of buffers of `count` images as the places and `then` say.
pub unsafe fn map<T: Format>(context: &Context, count: Count, x: View, y: View, then: abi::Then) {
    let parameters = Map {
        x: x.address,
        y: y.address,
        from: x.place.into(),
        to: y.place.into(),
        slabs: size(count.slabs),
        unused: 0,
        then,
    };
    let Some(grid) = over_rows::<T>(context, rows(y.place, count)) else { return };
    // SAFETY: the structure is the kernel's; its addresses are as the caller promises.
    unsafe { context.launch("elementwise", &instance::<T>("map"), grid, &parameters) };
}

/// Multiplies the elements of a buffer of `rows` rows whose bit is not set by `below`; with 0 they become +0.0.
///
/// # Safety
/// The addresses are those of a buffer of that many rows and of its sign bits.
pub unsafe fn mask<T: Format>(context: &Context, y: u64, bits: u64, below: f32, rows: usize) {
    let parameters = MaskRows { y, bits, rows: rows as u64, below, unused: 0 };
    let grid = Grid::over(rows * threads_of_row::<T>(), 256);
    // SAFETY: as the caller promises.
    unsafe { context.launch("elementwise", &instance::<T>("mask_rows"), grid, &parameters) };
}

/// Sign bits of a value, from those of another, or all set.
///
/// # Safety
/// The addresses are those of sign bits of buffers of `count` images as the places say.
pub unsafe fn copy_bits(context: &Context, count: Count, from: Option<(u64, Place)>, to: (u64, Place)) {
    let parameters = CopyBits {
        from_bits: from.map_or(0, |(address, _)| address),
        to_bits: to.0,
        from: from.map_or(to.1, |(_, place)| place).into(),
        to: to.1.into(),
        slabs: size(count.slabs),
        unused: 0,
    };
    let grid = Grid::over(rows(to.1, count), 256);
    // SAFETY: as the caller promises.
    unsafe { context.launch("elementwise", "copy_bits", grid, &parameters) };
}
