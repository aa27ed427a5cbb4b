//! Batch normalisation with the statistics of the batch, forward and backward.
//!
//! ```text
//! y  = γ · x̂ + β                          x̂ = (x − mean) / √(var + ε)
//! dx = γ / √(var + ε) · (dy − Σdy/N − x̂ · Σ(dy·x̂)/N)        dγ = Σ(dy·x̂), dβ = Σdy
//! ```
//! (Ioffe and Szegedy 2015.) Sums run over all pixels of all images of the batch, N of them per channel. With running
//! statistics instead, forward and backward are a scale and a shift: [`super::elementwise::map`].
//!
//! Numerics: runs of 8 pixels are summed in f32, as deviations from the mean of their first pixel, and merged in f64 by the
//! rule of Chan, Golub and LeVeque (1979). If that pixel is far off the others, so is the variance of the run: at
//! most a factor of 9 is lost to cancellation, wherever the values lie. The order is fixed, so channels can be spread
//! over threads in any way without changing a bit.

use super::elementwise::load;
use super::epilogue::Output;
use super::launch::{check, launch, per_width, same_shape, valid_bits};
use super::layout::Layout;
use super::simd::{Isa, Kernel, Level};
use super::value::{Epilogue, Source, Target};
use crate::graph::NORM_EPS;
use std::ops::Range;

/// Pixels whose values are summed in f32 before they go to f64.
const RUN: usize = 8;

/// Channels that are summed together.
const BLOCK: usize = 4;

/// One slab of a batch: `images` of its lanes are images, the rest is filling that no statistic sees.
#[derive(Clone, Copy)]
pub struct Slab<'a> {
    /// The value.
    pub value: Source<'a>,
    /// Images; the first lanes.
    pub images: usize,
}

/// Mean and biased variance of channels `channels` over a batch (an empty one has zeros); both slices have that length.
pub fn statistics(
    level: Level,
    batch: &[Slab],
    channels: Range<usize>,
    mean: &mut [f32],
    variance: &mut [f32],
) {
    assert_eq!((mean.len(), variance.len()), (channels.len(), channels.len()), "statistics");
    for slab in batch {
        check(&slab.value);
        assert!(channels.end <= slab.value.layout.c && slab.images <= slab.value.layout.lanes);
    }
    // SAFETY: every slab was checked to lie in its buffer and to have the channels.
    unsafe { launch(level, Statistics { batch, first: channels.start, mean, variance }) }
}

/// 1 / √(var + ε) per channel.
pub fn inverse_deviation(variance: &[f32]) -> Vec<f32> {
    variance.iter().map(|&variance| 1.0 / (variance + NORM_EPS).sqrt()).collect()
}

/// Factor γ/√(var + ε) and term β + (term − mean)·factor per channel, which [`super::elementwise::map`] applies; `term` is
/// what stood before the norm, such as the bias of a convolution.
pub fn coefficients(
    [gamma, beta, mean, variance]: [&[f32]; 4],
    term: Option<&[f32]>,
    scale: &mut [f32],
    shift: &mut [f32],
) {
    for c in 0..gamma.len() {
        scale[c] = gamma[c] / (variance[c] + NORM_EPS).sqrt();
        shift[c] = beta[c] - mean[c] * scale[c];
        if let Some(term) = term {
            shift[c] += scale[c] * term[c];
        }
    }
}

/// running ← (1 − momentum) · running + momentum · new, the variance with Bessel's correction for `count` values.
pub fn update_running(
    [mean, variance]: [&[f32]; 2],
    count: usize,
    momentum: f32,
    running_mean: &mut [f32],
    running_variance: &mut [f32],
) {
    let unbiased = count as f32 / (count.max(2) - 1) as f32;
    for c in 0..mean.len() {
        running_mean[c] = (1.0 - momentum) * running_mean[c] + momentum * mean[c];
        running_variance[c] = (1.0 - momentum) * running_variance[c] + momentum * (variance[c] * unbiased);
    }
}

/// dβ = Σ dy and dγ = Σ dy · x̂ of channels `channels`; all slices have that length. Pairs are slabs of (dy, x); dy is zero
/// in lanes that are no image.
pub fn parameter_gradients(
    level: Level,
    batch: &[(Source, Source)],
    channels: Range<usize>,
    [mean, inverse_deviation]: [&[f32]; 2],
    d_gamma: &mut [f32],
    d_beta: &mut [f32],
) {
    let n = channels.len();
    assert_eq!([mean.len(), inverse_deviation.len(), d_gamma.len(), d_beta.len()], [n; 4], "per channel");
    for (dy, x) in batch {
        check(dy);
        check(x);
        same_shape(dy.layout, x.layout);
        assert!(channels.end <= x.layout.c);
    }
    let sums = Sums { batch, first: channels.start, mean, inverse_deviation, d_gamma, d_beta };
    // SAFETY: every slab was checked to lie in its buffer and to have the channels.
    unsafe { launch(level, sums) }
}

/// dx as a · dy + b · (x − mean) + c per channel: made once per layer and step, used for every slab.
#[derive(Clone, Debug, Default)]
pub struct InputGradient {
    /// a, b, mean, c of one channel.
    coefficients: Vec<[f32; 4]>,
}

impl InputGradient {
    /// From γ, mean, 1 / √(var + ε), dγ and dβ of all channels, and the number N of values per channel.
    pub fn new([gamma, mean, inverse, d_gamma, d_beta]: [&[f32]; 5], count: usize) -> Self {
        let n = count as f32;
        let coefficients = (0..gamma.len()).map(|c| {
            let a = gamma[c] * inverse[c];
            [a, -a * inverse[c] * (d_gamma[c] / n), mean[c], -a * (d_beta[c] / n)]
        });
        InputGradient { coefficients: coefficients.collect() }
    }

    /// dx for the map rows of `dx`; lanes from `images` on become zero.
    pub fn apply(&self, level: Level, dy: Source, x: Source, images: usize, dx: Target, epilogue: Epilogue) {
        check(&dy);
        check(&x);
        same_shape(dy.layout, x.layout);
        same_shape(dx.layout, x.layout);
        assert_eq!(self.coefficients.len(), x.layout.c, "channels");
        let bits = valid_bits(images, x.layout.lanes);
        let rows = dx.rows.clone();
        let output = Output::new(dx, epilogue);
        let kernel = Apply { coefficients: &self.coefficients, dy, x, bits, rows, output: *output };
        // SAFETY: all values were checked to lie in their buffers and to have the same shape.
        unsafe { launch(level, kernel) }
    }
}

struct Statistics<'a> {
    batch: &'a [Slab<'a>],
    first: usize,
    mean: &'a mut [f32],
    variance: &'a mut [f32],
}

/// What is known of one channel: how far its mean and its sum of squared deviations have got.
type Moments<const B: usize> = [[f64; 2]; B];

impl Kernel for Statistics<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let mut done = 0;
        while done < self.mean.len() {
            let width = if self.mean.len() - done >= BLOCK { BLOCK } else { 1 };
            let (mean, variance) = (&mut self.mean[done..][..width], &mut self.variance[done..][..width]);
            // SAFETY: the channels lie in every slab of the batch.
            unsafe {
                if width == BLOCK {
                    moments::<I, BLOCK>(self.batch, self.first + done, mean, variance);
                } else {
                    moments::<I, 1>(self.batch, self.first + done, mean, variance);
                }
            }
            done += width;
        }
    }
}

#[inline(always)]
unsafe fn moments<I: Isa, const B: usize>(
    batch: &[Slab],
    channel: usize,
    mean: &mut [f32],
    variance: &mut [f32],
) {
    let mut moments: Moments<B> = [[0.0; 2]; B];
    let mut count = 0.0;
    for slab in batch {
        let (layout, x) = (slab.value.layout, slab.value.data.as_ptr());
        let pixels = layout.h * layout.w;
        if slab.images == 0 {
            continue;
        }
        for start in (0..pixels).step_by(RUN) {
            let run = Run { layout, pixels: start..(start + RUN).min(pixels), channel, images: slab.images };
            // SAFETY: the run's pixels and channels lie in the slab.
            unsafe { per_block!(layout.lanes, I, B, merge_run, x, run, &mut count, &mut moments) }
        }
    }
    for (c, [m, squares]) in moments.into_iter().enumerate() {
        mean[c] = m as f32;
        // Rounding can leave a constant channel just below zero.
        variance[c] = (squares.max(0.0) / f64::max(count, 1.0)) as f32;
    }
}

/// Pixels of a slab, from channel `channel` on, that are summed in one go.
struct Run {
    layout: Layout,
    pixels: Range<usize>,
    channel: usize,
    images: usize,
}

/// Floats from a row to the one that is asked for meanwhile: in the next block of channels where a map is small, in
/// the next pixel but one where it is large. Pixels lie too far apart for the machine to follow.
fn ahead(l: &Layout, block: usize) -> usize {
    if l.h * l.w <= 32 { block * l.step * l.lanes } else { 2 * l.pixel * l.lanes }
}

#[inline(always)]
unsafe fn merge_run<I: Isa, const NV: usize, const B: usize>(
    x: *const f32,
    run: Run,
    count: &mut f64,
    moments: &mut Moments<B>,
) {
    let l = run.layout;
    let bits = valid_bits(run.images, l.lanes);
    let number = (run.pixels.len() * run.images) as f64;
    let (first, step) = (l.at(0, run.channel), l.step * l.lanes);
    // SAFETY: the machine has the instruction set; the pixels and channels lie in the slab.
    unsafe {
        let zero = [I::splat(0.0); B];
        let (mut pivots, mut sums, mut squares) = (zero, zero, zero);
        let start = x.add(first + run.pixels.start * l.pixel * l.lanes);
        for (c, pivot) in pivots.iter_mut().enumerate() {
            let x = load::<I, NV>(start.add(c * step));
            let mut sum = I::keep(bits[0], x[0]);
            for v in 1..NV {
                sum = I::add(sum, I::keep(bits[v], x[v]));
            }
            *pivot = I::splat(I::sum(sum) / run.images as f32);
        }
        let mut row = start;
        let ahead = ahead(&l, B);
        for _ in run.pixels.clone() {
            for c in 0..B {
                let x = row.add(c * step);
                for v in 0..NV {
                    I::prefetch(x.wrapping_add(ahead + 16 * v));
                }
                let x = load::<I, NV>(x);
                for v in 0..NV {
                    let deviation = I::keep(bits[v], I::sub(x[v], pivots[c]));
                    sums[c] = I::add(sums[c], deviation);
                    squares[c] = I::fma(deviation, deviation, squares[c]);
                }
            }
            row = row.wrapping_add(l.pixel * l.lanes);
        }
        let total = *count + number;
        let (share, cross) = (number / total, *count * number / total);
        for (c, [mean, sum]) in moments.iter_mut().enumerate() {
            let offset = f64::from(I::sum(sums[c])) / number;
            // All lanes are the pivot; a sixteenth of their sum is exact.
            let delta = f64::from(I::sum(pivots[c]) / 16.0) + offset - *mean;
            *mean += delta * share;
            *sum += f64::from(I::sum(squares[c])) - offset * offset * number + delta * delta * cross;
        }
        *count = total;
    }
}

struct Sums<'a> {
    batch: &'a [(Source<'a>, Source<'a>)],
    first: usize,
    mean: &'a [f32],
    inverse_deviation: &'a [f32],
    d_gamma: &'a mut [f32],
    d_beta: &'a mut [f32],
}

impl Kernel for Sums<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(mut self) {
        let mut done = 0;
        while done < self.mean.len() {
            // SAFETY: the channels lie in every slab of the batch.
            unsafe {
                if self.mean.len() - done >= BLOCK {
                    self.block::<I, BLOCK>(done);
                    done += BLOCK;
                } else {
                    self.block::<I, 1>(done);
                    done += 1;
                }
            }
        }
    }
}

impl Sums<'_> {
    #[inline(always)]
    unsafe fn block<I: Isa, const B: usize>(&mut self, done: usize) {
        let mut sums: Moments<B> = [[0.0; 2]; B];
        let mut means = [0.0; B];
        means.copy_from_slice(&self.mean[done..done + B]);
        for (dy, x) in self.batch {
            let pixels = x.layout.h * x.layout.w;
            for start in (0..pixels).step_by(RUN) {
                let pixels = start..(start + RUN).min(pixels);
                let channel = self.first + done;
                // SAFETY: the run's pixels and channels lie in both values of the slab.
                unsafe {
                    per_block!(x.layout.lanes, I, B, sum_run, dy, x, pixels, channel, &means, &mut sums)
                }
            }
        }
        for (c, [dy, product]) in sums.into_iter().enumerate() {
            self.d_beta[done + c] = dy as f32;
            self.d_gamma[done + c] = (product * f64::from(self.inverse_deviation[done + c])) as f32;
        }
    }
}

#[inline(always)]
unsafe fn sum_run<I: Isa, const NV: usize, const B: usize>(
    dy: &Source,
    x: &Source,
    pixels: Range<usize>,
    channel: usize,
    means: &[f32; B],
    sums: &mut Moments<B>,
) {
    // SAFETY: the pixels and channels lie in both values.
    unsafe {
        let mut gradients = [I::splat(0.0); B];
        let mut products = [I::splat(0.0); B];
        let (g_ahead, x_ahead) = (ahead(&dy.layout, B), ahead(&x.layout, B));
        for pixel in pixels {
            for c in 0..B {
                let g = dy.data.as_ptr().add(dy.layout.at(pixel, channel + c));
                let x = x.data.as_ptr().add(x.layout.at(pixel, channel + c));
                for v in 0..NV {
                    I::prefetch(g.wrapping_add(g_ahead + 16 * v));
                    I::prefetch(x.wrapping_add(x_ahead + 16 * v));
                }
                let (g, x) = (load::<I, NV>(g), load::<I, NV>(x));
                for v in 0..NV {
                    gradients[c] = I::add(gradients[c], g[v]);
                    products[c] = I::fma(g[v], I::sub(x[v], I::splat(means[c])), products[c]);
                }
            }
        }
        for c in 0..B {
            sums[c][0] += f64::from(I::sum(gradients[c]));
            sums[c][1] += f64::from(I::sum(products[c]));
        }
    }
}

struct Apply<'a> {
    coefficients: &'a [[f32; 4]],
    dy: Source<'a>,
    x: Source<'a>,
    bits: [u16; 4],
    rows: Range<usize>,
    output: Output<'a>,
}

impl Kernel for Apply<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        // SAFETY: the caller's conditions, with the number of vectors per row as a constant.
        unsafe { per_width!(self.x.layout.lanes, I, apply_rows, self) }
    }
}

#[inline(always)]
unsafe fn apply_rows<I: Isa, const NV: usize>(k: Apply) {
    let (gl, xl) = (k.dy.layout, k.x.layout);
    for pixel in k.rows.start * xl.w..k.rows.end * xl.w {
        for (channel, coefficients) in k.coefficients.iter().enumerate() {
            // SAFETY: pixel and channel lie in the three checked values.
            unsafe {
                let [a, b, mean, c] = *coefficients;
                let (a, b, mean, c) = (I::splat(a), I::splat(b), I::splat(mean), I::splat(c));
                let mut v = load::<I, NV>(k.dy.data.as_ptr().add(gl.at(pixel, channel)));
                let x = load::<I, NV>(k.x.data.as_ptr().add(xl.at(pixel, channel)));
                for i in 0..NV {
                    let dx = I::fma(b, I::sub(x[i], mean), I::fma(a, v[i], c));
                    v[i] = I::keep(k.bits[i], dx);
                }
                k.output.row::<I, NV>(pixel, channel, 0, v);
            }
        }
    }
}

/// As [`per_width`], with the number of channels as a further constant.
macro_rules! per_block {
    ($lanes:expr, $isa:ident, $block:ident, $f:ident, $($arg:expr),*) => {
        match $lanes / 16 {
            1 => $f::<$isa, 1, $block>($($arg),*),
            2 => $f::<$isa, 2, $block>($($arg),*),
            3 => $f::<$isa, 3, $block>($($arg),*),
            _ => $f::<$isa, 4, $block>($($arg),*),
        }
    };
}
use per_block;
