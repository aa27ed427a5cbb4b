//! Dropout whose mask is a function of (seed, step, layer, element): nothing is stored, and backward draws the same again.
//!
//! Element `i` of the batch in `[image][channel][pixel]` order takes word `i mod 4` of Philox block
//! (⌊i/4⌋ as two words, layer, step) under the seed as key. So the mask depends neither on layouts nor on threads.

use super::epilogue::Output;
use super::launch::{check, launch, same_shape};
use super::simd::{Isa, Kernel, Level};
use super::value::{Epilogue, Source, Target};
use crate::random::{Random, unit};
use std::ops::Range;

/// One dropout of one training step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Probability that an element becomes zero, in [0, 1).
    pub p: f32,
    /// Seed of the run.
    pub seed: u64,
    /// Number of the training step.
    pub step: u32,
    /// Number of the layer.
    pub layer: u32,
}

impl Dropout {
    /// y = x / (1 − p) where the element is kept, else 0; for the map rows of `y`. Backward is the same on gradients.
    /// Lane 0 of the slab is image `first_image` of the batch.
    pub fn apply(&self, level: Level, x: Source, first_image: usize, y: Target, epilogue: Epilogue) {
        check(&x);
        same_shape(x.layout, y.layout);
        assert!((0.0..1.0).contains(&self.p), "dropout probability {}", self.p);
        let rows = y.rows.clone();
        let output = Output::new(y, epilogue);
        // SAFETY: both values were checked to lie in their buffers; the rows are those of the target.
        unsafe { launch(level, Apply { dropout: *self, x, first_image, rows, output: *output }) }
    }

    /// Whether element `element` of the batch is kept.
    #[inline(always)]
    pub fn keeps(&self, element: u64) -> bool {
        let stream = u64::from(self.step) << 32 | u64::from(self.layer);
        unit(Random::bits_at(self.seed, stream, element)) >= self.p
    }
}

struct Apply<'a> {
    dropout: Dropout,
    x: Source<'a>,
    first_image: usize,
    rows: Range<usize>,
    output: Output<'a>,
}

impl Kernel for Apply<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let l = self.x.layout;
        let pixels = l.h * l.w;
        let factor = 1.0 / (1.0 - self.dropout.p);
        for pixel in self.rows.start * l.w..self.rows.end * l.w {
            for c in 0..l.c {
                for lane in (0..l.lanes).step_by(16) {
                    let factors: [f32; 16] = std::array::from_fn(|i| {
                        let image = self.first_image + lane + i;
                        let element = ((image * l.c + c) * pixels + pixel) as u64;
                        if self.dropout.keeps(element) { factor } else { 0.0 }
                    });
                    // SAFETY: pixel, channel and lanes lie in the checked source and target.
                    unsafe {
                        let x = I::load(self.x.data.as_ptr().add(l.at(pixel, c) + lane));
                        let v = I::mul(x, I::load(factors.as_ptr()));
                        self.output.row::<I, 1>(pixel, c, lane, [v]);
                    }
                }
            }
        }
    }
}
