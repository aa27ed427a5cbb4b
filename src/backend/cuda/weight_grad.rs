//! Gradients of weights and biases: kernels/weight_grad.cu.

use super::abi::{self, size};
use super::buffer::Buffer;
use super::context::Context;
use super::format::Format;
use super::launch::Grid;
use super::value::{Count, View, instance};
use crate::graph::conv::ConvShape;
use bytemuck::{Pod, Zeroable};
use std::sync::Arc;

/// `WeightGrad` of kernels/weight_grad.cu.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct WeightGrad {
    x: u64,
    dy: u64,
    out: u64,
    from: abi::Place,
    to: abi::Place,
    groups: u32,
    inputs: u32,
    outputs: u32,
    r: u32,
    s: u32,
    stride: u32,
    pad: u32,
    slabs: u32,
    images: u32,
    part_pixels: u32,
    weights: u64,
}

/// `AddParts` of kernels/weight_grad.cu.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct AddParts {
    parts: u64,
    out: u64,
    weights: u64,
    count: u32,
    unused: u32,
}

const _: () = assert!(size_of::<WeightGrad>() == 120 && size_of::<AddParts>() == 32);

/// Outputs and inputs of a block's tile.
const TILE: usize = 64;
/// The most bytes that sums over parts of the pixels may take.
const MOST_SCRATCH: usize = 64 << 20;

/// Gradient of the weights, into `dw` (f32, `[k, c / groups, r, s]`). `scratch` grows where parts need room.
///
/// # Safety
/// The addresses are those of buffers of `count` images as the places say, and of a number per weight.
pub unsafe fn weights<T: Format>(
    context: &Arc<Context>,
    count: Count,
    shape: ConvShape,
    [x, dy]: [View; 2],
    dw: u64,
    scratch: &mut Option<Buffer>,
) {
    let ConvShape { c, k, r, s, stride, pad, groups, .. } = shape;
    let (inputs, outputs, taps, len) = (c / groups, k / groups, r * s, shape.weights());
    let pixels = dy.place.h * dy.place.w;
    let depthwise = groups == c && groups == k;
    let tiles = outputs.div_ceil(TILE) * inputs.div_ceil(TILE);
    // As many parts as give every multiprocessor a few blocks.
    let wanted = (4 * context.multiprocessors()).div_ceil(tiles * taps * groups);
    let parts = if depthwise { 1 } else { wanted.min(pixels).min(MOST_SCRATCH / (4 * len)).max(1) };
    let part_pixels = pixels.div_ceil(parts);
    let parts = pixels.div_ceil(part_pixels);
    let mut parameters = WeightGrad {
        x: x.address,
        dy: dy.address,
        out: dw,
        from: x.place.into(),
        to: dy.place.into(),
        groups: size(groups),
        inputs: size(inputs),
        outputs: size(outputs),
        r: size(r),
        s: size(s),
        stride: size(stride),
        pad: size(pad),
        slabs: size(count.slabs),
        images: size(count.images),
        part_pixels: size(part_pixels),
        weights: len as u64,
    };
    if depthwise {
        let kernel = instance::<T>("depthwise_weight_grad");
        // SAFETY: the structure is the kernel's; its addresses are as the caller promises.
        unsafe { context.launch("weight_grad", &kernel, Grid::line(len, 256), &parameters) };
        return;
    }
    if parts > 1 {
        let bytes = 4 * len * parts;
        let room = scratch.take().filter(|room| room.bytes() >= bytes);
        let room = scratch.insert(room.unwrap_or_else(|| Buffer::new(context, bytes)));
        parameters.out = room.address();
    }
    let grid = Grid { blocks: [tiles, taps * groups, parts], threads: 256, shared: 0 };
    // SAFETY: as above; the scratch has room for all parts.
    unsafe { context.launch("weight_grad", &instance::<T>("weight_grad"), grid, &parameters) };
    if parts > 1 {
        let add =
            AddParts { parts: parameters.out, out: dw, weights: len as u64, count: size(parts), unused: 0 };
        // SAFETY: as above.
        unsafe { context.launch("weight_grad", "add_parts", Grid::over(len, 256), &add) };
    }
}

/// Gradient of the bias, into `db`.
///
/// # Safety
/// The addresses are those of a buffer of `count` images as the place says, and of a number per channel.
pub unsafe fn bias<T: Format>(context: &Context, count: Count, dy: View, db: u64) {
    let parameters = WeightGrad {
        dy: dy.address,
        out: db,
        to: dy.place.into(),
        slabs: size(count.slabs),
        images: size(count.images),
        ..WeightGrad::zeroed()
    };
    let grid = Grid::line(dy.place.c, 256);
    // SAFETY: as the caller promises.
    unsafe { context.launch("weight_grad", &instance::<T>("bias_grad"), grid, &parameters) };
}
