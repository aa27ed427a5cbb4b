//! Convolution on the CPU: what is computed, what is done as a result is stored, and the seam that every
//! algorithm (direct, Winograd, Karatsuba, stem, Strassen, depthwise) stands behind.

pub use crate::graph::conv::{ConvShape, Direction};

use super::layout::{Aligned, Layout};
use crate::filter::Mask;
use std::ops::Range;

/// The weights that an algorithm keeps: masters as they stand in the checkpoint, and for the backward direction a
/// factor per output channel `k` (the batch norm's scale) that is multiplied in.
#[derive(Clone, Copy)]
pub struct Weights<'a> {
    /// `[k, c / groups, r, s]`.
    pub oihw: &'a [f32],
    /// Factor per output channel `k`, or none.
    pub scale: Option<&'a [f32]>,
}

/// A value that is read.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The whole buffer.
    pub data: &'a [f32],
    /// How the value lies in it.
    pub layout: Layout,
}

impl Source<'_> {
    /// Panics unless the layout fits its buffer and rows have `lanes` lanes, 16 to 64: what kernels rely on.
    pub fn check(&self, lanes: usize) {
        let l = &self.layout;
        assert!(l.lanes == lanes && matches!(lanes, 16 | 32 | 48 | 64), "lanes of a read value");
        assert!(l.c == 0 || l.offset + (l.c - 1) * l.step < l.pixel, "layout of a read value");
        assert!(l.buffer_len() <= self.data.len(), "buffer of a read value");
    }
}

/// Map rows of a value that are written.
pub struct Target<'a> {
    /// The part of the buffer that holds `rows`: `layout.rows(rows)`.
    pub data: &'a mut [f32],
    /// How the value lies in the whole buffer.
    pub layout: Layout,
    /// The map rows that are computed.
    pub rows: Range<usize>,
}

/// What happens to a sum before it is stored, in this order.
#[derive(Default)]
pub struct Epilogue<'a> {
    /// × factor per written channel.
    pub scale: Option<&'a [f32]>,
    /// + term per written channel.
    pub shift: Option<&'a [f32]>,
    /// + another value of the written value's map and channels (the residual).
    pub add: Option<Source<'a>>,
    /// + what stands in the output already.
    pub accumulate: bool,
    /// Then this.
    pub act: Act<'a>,
}

/// The last step of an [`Epilogue`]. Sign bits: one u16 per 16 lanes, bit = lane; the words of buffer row `i` start at
/// `i · lanes / 16`, in the order of the written buffer's rows (its [`Layout`]).
#[derive(Default)]
pub enum Act<'a> {
    /// Nothing.
    #[default]
    None,
    /// max(v, 0).
    Relu,
    /// max(v, 0), and the bits v > 0. The slice covers the same map rows as the output slice.
    ReluSave(&'a mut [u16]),
    /// v where the bit is set, else +0.0: the backward of ReLU. The slice covers the same map rows as the output slice.
    Mask(&'a [u16]),
}

/// Working memory of one thread, kept from call to call.
#[derive(Default)]
pub struct Scratch {
    /// Transformed inputs and the like.
    pub a: Aligned,
    /// Products before their output transform and the like.
    pub b: Aligned,
}

/// One algorithm for one convolution in one direction, with weights packed its own way.
pub trait Convolve: Send + Sync {
    /// Takes new weights, and keeps them all until [`Convolve::pack`] says otherwise.
    fn load(&mut self, weights: Weights);

    /// Puts a mask into force on the weights of the output channels `channels` (a sub-range of `0..k`); those of all
    /// others count. It looks at the loaded weights, not at scaled ones; a dropped weight counts as +0.0, also after
    /// scaling, so that the result equals, bit for bit, loading a copy with zeros in its place. Called once per masked
    /// variant: one stream over the weights, or over those of the channels and whatever is packed with them; no
    /// allocation.
    fn pack(&mut self, mask: Mask, channels: Range<usize>);

    /// Bytes of packed weights that one [`Convolve::pack`] of these channels writes where no others are masked.
    fn packed_bytes(&self, channels: Range<usize>) -> usize;

    /// Output rows are computed in groups of this many; a range given to [`Convolve::run`] starts at a multiple
    /// of it and ends at one or at the last row.
    fn row_granularity(&self) -> usize {
        1
    }

    /// Computes map rows `y.rows` of the written value; both layouts have the same number of lanes, and sign bits cover
    /// the same rows as `y.data`.
    fn run(&self, x: Source, y: Target, epilogue: Epilogue, scratch: &mut Scratch);
}
