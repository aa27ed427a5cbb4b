//! Values as kernels of this backend take them: what is read, what is written, and what happens to a result on its way.

use super::layout::Layout;
use crate::graph::Rectifier;
use std::ops::Range;

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
    /// The rectifier.
    Rectify(Rectifier),
    /// The same, and the bits where its derivative is 1. The slice covers the same map rows as the output slice.
    RectifySave(Rectifier, &'a mut [u16]),
    /// v where the bit is set, else this factor times v (+0.0 where the factor is 0): the backward of a rectifier. The slice
    /// covers the same map rows as the output slice.
    Mask(&'a [u16], f32),
}
