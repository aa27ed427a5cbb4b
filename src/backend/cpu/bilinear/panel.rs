//! How channels are split: into panels that a register tile computes, and into phases of a convolution of stride 2.

use super::super::simd::Level;
use super::product::{Product, product_of};
use std::ops::Range;

/// Written channels that one register tile computes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panel {
    pub first: usize,
    pub kb: usize,
    pub product: unsafe fn(Level, Product),
}

impl Panel {
    /// Whether some of these channels are its own.
    pub fn meets(&self, channels: &Range<usize>) -> bool {
        self.first.max(channels.start) < (self.first + self.kb).min(channels.end)
    }
}

/// Phase (row, column) and channel of a virtual channel.
#[inline(always)]
pub(super) fn phase_of(virtual_channel: usize, channels: usize, step: usize) -> (usize, usize, usize) {
    let phase = virtual_channel / channels;
    (phase / step, phase % step, virtual_channel % channels)
}

/// Splits channels into the fewest panels that fit the register tile, as even as can be.
pub(super) fn panels(outputs: usize, level: Level) -> Vec<Panel> {
    let tallest = match level {
        Level::Avx512 => 14,
        Level::Avx2 => 6,
        Level::Portable => 3,
    };
    let count = outputs.div_ceil(tallest);
    let edge = |i: usize| i * outputs / count;
    let panel = |i: usize| {
        let kb = edge(i + 1) - edge(i);
        Panel { first: edge(i), kb, product: product_of(kb) }
    };
    (0..count).map(panel).collect()
}
