//! The seam that every algorithm of a convolution (direct, Winograd, Karatsuba, stem, Strassen, depthwise) stands behind.

use super::layout::Aligned;
use super::value::{Epilogue, Source, Target};
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
