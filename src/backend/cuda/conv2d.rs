//! Convolutions on FMA units: kernels/conv2d.cu and, for depthwise ones, kernels/depthwise.cu.

use super::abi::{self, size};
use super::buffer::Buffer;
use super::context::Context;
use super::format::Format;
use super::launch::Grid;
use super::value::{Count, View, instance, threads_of_row};
use crate::graph::conv::{ConvShape, Direction};
use bytemuck::{Pod, Zeroable};
use std::sync::Arc;

/// `Conv` of kernels/conv2d.cu.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Conv {
    x: u64,
    w: u64,
    y: u64,
    from: abi::Place,
    to: abi::Place,
    groups: u32,
    inputs: u32,
    outputs: u32,
    padded: u32,
    r: u32,
    s: u32,
    stride: u32,
    pad: u32,
    backward: u32,
    slabs: u32,
    then: abi::Then,
}

/// `Depthwise` of kernels/depthwise.cu.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Depthwise {
    x: u64,
    w: u64,
    y: u64,
    from: abi::Place,
    to: abi::Place,
    padded: u32,
    r: u32,
    s: u32,
    stride: u32,
    pad: u32,
    backward: u32,
    slabs: u32,
    unused: u32,
    then: abi::Then,
}

const _: () = assert!(size_of::<Conv>() == 176 && size_of::<Depthwise>() == 168);

/// Slabs of a tile.
const SLABS: usize = 2;
/// Pixels of a thread of the depthwise kernel.
const STRIP: usize = 4;

/// One direction of a convolution on FMA units.
pub struct ConvFma {
    shape: ConvShape,
    direction: Direction,
    /// Outputs of a group, padded for reads of 16 bytes.
    pub padded: usize,
    /// The working weights, f32: `[group][tap][input][padded]`.
    pub weights: Buffer,
}

impl ConvFma {
    /// Room for the working weights of one direction of `shape`.
    pub fn new(context: &Arc<Context>, shape: ConvShape, direction: Direction) -> Self {
        let mut conv = ConvFma { shape, direction, padded: 0, weights: Buffer::new(context, 0) };
        let (inputs, outputs) = conv.channels();
        conv.padded = outputs.next_multiple_of(4);
        let len = shape.groups * shape.r * shape.s * inputs * conv.padded;
        conv.weights = Buffer::zeros(context, 4 * len);
        conv
    }

    /// The same with working weights of its own, all zero, made on another stream.
    pub fn twin(&self, context: &Arc<Context>) -> Self {
        ConvFma { weights: Buffer::zeros(context, self.weights.bytes()), ..*self }
    }

    /// Inputs and outputs of a group.
    fn channels(&self) -> (usize, usize) {
        let ConvShape { c, k, groups, .. } = self.shape;
        match self.direction {
            Direction::Forward => (c / groups, k / groups),
            Direction::BackwardInput => (k / groups, c / groups),
        }
    }

    /// Computes y from x.
    ///
    /// # Safety
    /// The addresses are those of buffers of `count` images as the places and `then` say.
    pub unsafe fn launch<T: Format>(
        &self,
        context: &Context,
        count: Count,
        x: View,
        y: View,
        then: abi::Then,
    ) {
        let ConvShape { c, k, r, s, stride, pad, groups, .. } = self.shape;
        let (inputs, outputs) = self.channels();
        let backward = u32::from(self.direction == Direction::BackwardInput);
        let pixels = y.place.h * y.place.w;
        if groups == c && groups == k {
            let lines = y.place.c * y.place.w.div_ceil(STRIP) * y.place.h * count.slabs;
            let parameters = Depthwise {
                x: x.address,
                w: self.weights.address(),
                y: y.address,
                from: x.place.into(),
                to: y.place.into(),
                padded: size(self.padded),
                r: size(r),
                s: size(s),
                stride: size(stride),
                pad: size(pad),
                backward,
                slabs: size(count.slabs),
                unused: 0,
                then,
            };
            let grid = Grid::over(lines * threads_of_row::<T>(), 256);
            // SAFETY: the structure is the kernel's; the weights are of the shape, the rest as the caller promises.
            unsafe { context.launch("depthwise", &instance::<T>("depthwise"), grid, &parameters) };
            return;
        }
        let parameters = Conv {
            x: x.address,
            w: self.weights.address(),
            y: y.address,
            from: x.place.into(),
            to: y.place.into(),
            groups: size(groups),
            inputs: size(inputs),
            outputs: size(outputs),
            padded: size(self.padded),
            r: size(r),
            s: size(s),
            stride: size(stride),
            pad: size(pad),
            backward,
            slabs: size(count.slabs),
            then,
        };
        // Outputs of a tile, and its threads.
        let (tile, threads) = match outputs {
            65.. => (128, 256),
            17.. => (64, 128),
            _ => (16, 64),
        };
        let blocks = outputs.div_ceil(tile) * groups * pixels * count.slabs.div_ceil(SLABS);
        let kernel = instance::<T>(&format!("conv2d_{tile}"));
        // SAFETY: as above.
        unsafe { context.launch("conv2d", &kernel, Grid::line(blocks, threads), &parameters) };
    }
}
