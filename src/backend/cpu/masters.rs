//! Packed weights under a mask: the masters stand in packing order once, so that a masked variant is one vectorised stream.

use super::convolve::Weights;
use super::layout::{Aligned, LANES};
use super::simd::{Isa, Kernel, Level, dispatch};
use crate::filter::Mask;
use std::ops::Range;

/// Weights in packing order, all of them and as masked.
pub struct Masters {
    level: Level,
    len: usize,
    /// The loaded weights, what a mask looks at; left empty where there is no factor, as `full` is the same.
    raw: Aligned,
    /// The loaded weights times their factor.
    full: Aligned,
    /// `full` with +0.0 for dropped weights; empty until a mask drops something.
    masked: Aligned,
    /// Whether `masked` is in force, and not `full`.
    is_masked: bool,
    /// Output channels, and those whose weights in `masked` are not those of `full`, if it is in force.
    all: Range<usize>,
    touched: Range<usize>,
}

/// Evenly spaced places of packed weights.
pub struct Run {
    /// The first of them.
    pub first: usize,
    /// How many there are.
    pub count: usize,
    /// From each to the next.
    pub step: usize,
}

/// Takes note that `mask` will be in force on `channels` in the place of what was in force on `masked`; returns the channels
/// that have to be restored first.
pub fn still_masked(masked: &mut Range<usize>, mask: Mask, channels: &Range<usize>) -> Range<usize> {
    let before = std::mem::replace(masked, if mask == Mask::ALL { 0..0 } else { channels.clone() });
    let covered = channels.start <= before.start && before.end <= channels.end;
    if covered { 0..0 } else { before }
}

impl Masters {
    /// Room for `len` weights of `outputs` output channels, zeros until they are loaded.
    pub fn new(level: Level, len: usize, outputs: usize) -> Self {
        let (raw, full, masked) =
            (Aligned::default(), Aligned::zeros(len.next_multiple_of(LANES)), Aligned::default());
        Masters { level, len, raw, full, masked, is_masked: false, all: 0..outputs, touched: 0..0 }
    }

    /// Takes new weights. `order(i)` hands each weight's (output channel, OIHW index) to its argument, in packing order.
    pub fn load(&mut self, weights: Weights, order: impl FnOnce(&mut Loader)) {
        assert_eq!(weights.oihw.len(), self.len, "number of weights");
        self.is_masked = false;
        let full = &mut self.full[..self.len];
        let raw = match weights.scale {
            Some(_) => &mut self.raw.reserve_len(full.len().next_multiple_of(LANES))[..self.len],
            None => {
                self.raw = Aligned::default();
                &mut []
            }
        };
        let mut loader = Loader { weights, raw, full, at: 0 };
        order(&mut loader);
        assert_eq!(loader.at, self.len, "weights in packing order");
    }

    /// Puts a mask into force on the weights of the output channels `channels`; those of all others count. `places` tells
    /// where those of a channel are. Returns the channels whose weights may have changed.
    pub fn pack(
        &mut self,
        mask: Mask,
        channels: Range<usize>,
        places: impl Fn(usize, &mut dyn FnMut(Run)),
    ) -> [Range<usize>; 2] {
        let all = self.all.clone();
        let raw = if self.raw.is_empty() { &*self.full } else { &*self.raw };
        if channels == all || mask == Mask::ALL && !self.is_masked {
            self.is_masked = mask != Mask::ALL;
            self.touched = all.clone();
            if self.is_masked {
                let masked = self.masked.reserve_len(self.full.len());
                let kernel = Apply { mask, raw, full: &self.full, masked };
                // SAFETY: a level is only ever one of this machine's; the three slices are equally long.
                unsafe { dispatch(self.level, kernel) }
            }
            return [0..0, all];
        }
        let whole = !self.is_masked || self.touched == all;
        let masked = self.masked.reserve_len(self.full.len());
        let mut stale = still_masked(&mut self.touched, mask, &channels);
        if whole {
            masked.copy_from_slice(&self.full);
            self.is_masked = true;
            stale = 0..0;
        }
        for channel in stale.clone() {
            places(channel, &mut |run| {
                for at in (run.first..).step_by(run.step).take(run.count) {
                    masked[at] = self.full[at];
                }
            });
        }
        for channel in channels.clone() {
            places(channel, &mut |run| {
                for at in (run.first..).step_by(run.step).take(run.count) {
                    masked[at] = if mask.keeps(raw[at]) { self.full[at] } else { 0.0 };
                }
            });
        }
        if whole { [0..0, all] } else { [stale, channels] }
    }

    /// The weights in force.
    pub fn in_force(&self) -> &[f32] {
        let all = if self.is_masked { &self.masked } else { &self.full };
        &all[..self.len]
    }

    /// Bytes that [`Masters::pack`] of these channels writes where no others are masked.
    pub fn bytes(&self, channels: Range<usize>) -> usize {
        4 * self.len / self.all.len().max(1) * channels.len()
    }
}

/// Puts weights into packing order.
pub struct Loader<'a> {
    weights: Weights<'a>,
    raw: &'a mut [f32],
    full: &'a mut [f32],
    at: usize,
}

impl Loader<'_> {
    /// Passes over `n` weights that no output depends on.
    pub fn skip(&mut self, n: usize) {
        self.at += n;
    }

    /// Appends the weight with this OIHW index, which belongs to output channel `k`.
    #[inline(always)]
    pub fn push(&mut self, k: usize, index: usize) {
        let weight = self.weights.oihw[index];
        self.full[self.at] = match self.weights.scale {
            Some(scale) => {
                self.raw[self.at] = weight;
                // A zero stays +0.0 whatever the factor's sign, as a dropped weight does.
                weight * scale[k] + 0.0
            }
            None => weight,
        };
        self.at += 1;
    }
}

/// masked = full where the mask keeps raw, else +0.0. All slices are equally long, a multiple of 16.
struct Apply<'a> {
    mask: Mask,
    raw: &'a [f32],
    full: &'a [f32],
    masked: &'a mut [f32],
}

impl Kernel for Apply<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let flip = if self.mask.keep_inside { 0 } else { u16::MAX };
        let raw = self.raw.chunks_exact(LANES);
        for ((raw, full), masked) in
            raw.zip(self.full.chunks_exact(LANES)).zip(self.masked.chunks_exact_mut(LANES))
        {
            // SAFETY: each chunk is sixteen floats; the caller promises the instruction set.
            unsafe {
                let w = I::load(raw.as_ptr());
                let inside = !I::gt(I::splat(self.mask.lo), w) & I::gt(I::splat(self.mask.hi), w);
                I::store(masked.as_mut_ptr(), I::keep(inside ^ flip, I::load(full.as_ptr())));
            }
        }
    }
}
