//! Depthwise convolution: every channel has its own small kernel, so rows of images stream through once.
//!
//! ```text
//! y[pixel][channel][lanes] = Σ over valid taps:  w[channel][tap] · x[pixel of the tap][channel][lanes]
//! ```
//! As in [`super::direct`], the tap table makes both directions one kernel. Weights are packed `[C][tap]`.

use super::convolve::{Convolve, Scratch, Weights};
use super::epilogue::Output;
use super::layout::{LANES, Layout};
use super::masters::{Masters, Run};
use super::simd::{Isa, Kernel, Level, dispatch};
use super::taps::Taps;
use super::value::{Epilogue, Source, Target};
use crate::filter::Mask;
use crate::graph::conv::{ConvShape, Direction};
use std::ops::Range;

/// A depthwise convolution in one direction.
pub struct Depthwise {
    level: Level,
    c: usize,
    /// Height and width of the read map.
    read: (usize, usize),
    /// Height and width of the written map.
    written: (usize, usize),
    taps: Taps,
    weights: Masters,
}

impl Depthwise {
    /// Plans a convolution with `c == k == groups`; weights come with [`Convolve::load`].
    pub fn new(shape: ConvShape, direction: Direction, level: Level) -> Self {
        assert!(shape.c == shape.groups && shape.k == shape.groups, "one kernel per channel");
        let (input, output) = ((shape.h, shape.w), shape.output());
        let (read, written) = match direction {
            Direction::Forward => (input, output),
            Direction::BackwardInput => (output, input),
        };
        let taps = Taps::new(&shape, direction);
        let weights = Masters::new(level, shape.weights(), shape.k);
        Depthwise { level, c: shape.c, read, written, taps, weights }
    }
}

impl Convolve for Depthwise {
    fn load(&mut self, weights: Weights) {
        let (c, order) = (self.c, &self.taps.order);
        self.weights.load(weights, |loader| {
            for channel in 0..c {
                order.iter().for_each(|tap| loader.push(channel, channel * order.len() + tap));
            }
        });
    }

    fn pack(&mut self, mask: Mask, channels: Range<usize>) {
        let count = self.taps.order.len();
        self.weights
            .pack(mask, channels, |channel, each| each(Run { first: channel * count, count, step: 1 }));
    }

    fn packed_bytes(&self, channels: Range<usize>) -> usize {
        self.weights.bytes(channels)
    }

    fn run(&self, x: Source, y: Target, epilogue: Epilogue, _scratch: &mut Scratch) {
        let (xl, yl, rows) = (x.layout, y.layout, y.rows.clone());
        assert_eq!((xl.h, xl.w, xl.c), (self.read.0, self.read.1, self.c), "shape of the read value");
        assert_eq!(
            (yl.h, yl.w, yl.c),
            (self.written.0, self.written.1, self.c),
            "shape of the written value"
        );
        x.check(yl.lanes);
        let output = Output::new(y, epilogue);
        let pixels = rows.start * yl.w..rows.end * yl.w;
        let work = Work {
            taps: &self.taps,
            pixels,
            weights: self.weights.in_force(),
            x: x.data,
            xl,
            output: *output,
        };
        // SAFETY: a level is only ever one of this machine's; both layouts were checked against the planned shape,
        // for which the tap table and the weights were made.
        unsafe { dispatch(self.level, work) }
    }
}

/// All channels of some written pixels.
struct Work<'a> {
    taps: &'a Taps,
    pixels: Range<usize>,
    weights: &'a [f32],
    x: &'a [f32],
    xl: Layout,
    output: Output<'a>,
}

impl Kernel for Work<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.xl.lanes / LANES {
                1 => self.pixels::<I, 1>(),
                2 => self.pixels::<I, 2>(),
                3 => self.pixels::<I, 3>(),
                _ => self.pixels::<I, 4>(),
            }
        }
    }
}

impl Work<'_> {
    /// # Safety
    /// The machine has `I`'s instruction set, rows have `16 · NV` lanes, and the table belongs to these layouts.
    #[inline(always)]
    unsafe fn pixels<I: Isa, const NV: usize>(&self) {
        let taps = self.taps.order.len();
        let step = self.xl.step * self.xl.lanes;
        // SAFETY: the table names taps of the packed weights and pixels of the read value; the caller promises the rest.
        unsafe {
            for pixel in self.pixels.clone() {
                let runs = self.taps.single.of(pixel);
                for channel in 0..self.xl.c {
                    let weights = self.weights.as_ptr().add(channel * taps);
                    let x = self.x.as_ptr().add(channel * step);
                    let mut sums = [I::splat(0.0); NV];
                    for run in runs {
                        let weight = I::splat_at(weights.add(run.tap as usize));
                        let x = x.add(self.xl.at(run.pixel as usize, 0));
                        for (v, sum) in sums.iter_mut().enumerate() {
                            *sum = I::fma(weight, I::load(x.add(16 * v)), *sum);
                        }
                    }
                    self.output.row::<I, NV>(pixel, channel, 0, sums);
                }
            }
        }
    }
}
