//! Where values lie: a buffer holds the rows of one value, or of several that interleave.

use super::Shape;
use std::ops::Range;

/// Where a value lies in its buffer: channel `k` of pixel `p` is row `p·pixel + offset + k·step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Height of the map.
    pub h: usize,
    /// Width of the map.
    pub w: usize,
    /// Channels of the value.
    pub c: usize,
    /// Rows per pixel of the buffer.
    pub pixel: usize,
    /// Row of channel 0.
    pub offset: usize,
    /// Rows from one channel to the next.
    pub step: usize,
}

impl Place {
    /// A value that fills its buffer.
    pub fn dense(shape: Shape) -> Self {
        Place { h: shape.h, w: shape.w, c: shape.c, pixel: shape.c, offset: 0, step: 1 }
    }

    /// Channels `range` of this value.
    pub fn channels(self, range: Range<usize>) -> Self {
        debug_assert!(range.end <= self.c);
        Place { c: range.len(), offset: self.offset + range.start * self.step, ..self }
    }

    /// Rows of the value.
    pub fn values(self) -> usize {
        self.h * self.w * self.c
    }

    /// Rows of the whole buffer.
    pub fn rows(self) -> usize {
        self.h * self.w * self.pixel
    }
}
