//! Gradients of a convolution's weights and bias.
//!
//! ```text
//! dW[k, c, r, s] = Σ over slabs, pixels and images:  dy[pixel, k, image] · x[pixel · stride + (r, s) − pad, c, image]
//! ```
//! Taps that fall on padding are never touched. Two algorithms:
//!
//! - **Panels**, for dense convolutions: x is transposed once into panels of 32 channels, `[panel][pixel][image][32]`. Then
//!   the gradient of a tap is an ordinary matrix product whose inner dimension is (pixel, image): 13 output channels of dy,
//!   broadcast one image at a time, times two vectors of channels, in 26 accumulators. One tile holds 416 sums, so dy
//!   and the panels are read seldom enough for L2, and there is no horizontal sum. Lanes that are no image are skipped.
//! - **Rows**, for the first layer and for grouped or depthwise convolutions: a vector is 16 images, and each product of
//!   a row of dy and a row of x is added to 16 partial sums, which are summed up at the end of a map row.
//!
//! Partial sums go to memory once per map row and tap, which also keeps rounding errors small. Every weight has its own
//! fixed order of summation: how output channels are spread over threads does not change a bit.

use super::elementwise::load;
use super::launch::{check, launch, per_width};
use super::layout::Layout;
use super::simd::{Isa, Kernel, Level};
use super::value::Source;
use crate::graph::conv::ConvShape;
use std::ops::Range;

/// Channels of a panel.
const WIDTH: usize = 32;

/// Output channels of a tile at most.
const TILE: usize = 13;

/// From this number of input channels on, panels are the faster way.
const PANEL_CHANNELS: usize = 12;

/// The weight gradient of one convolution.
#[derive(Clone, Copy, Debug)]
pub struct WeightGrad {
    shape: ConvShape,
    level: Level,
}

/// What one slab of a batch contributes.
#[derive(Clone, Copy)]
pub struct GradSlab<'a> {
    /// Gradient of the output; zero in lanes that are no image.
    pub dy: Source<'a>,
    /// Input of the convolution; finite in lanes that are no image.
    pub x: Source<'a>,
    /// What [`WeightGrad::pack`] made of `x`.
    pub panels: &'a [f32],
    /// Lanes that are images.
    pub images: usize,
}

impl WeightGrad {
    /// For a convolution.
    pub fn new(level: Level, shape: ConvShape) -> Self {
        assert!(
            shape.groups > 0 && shape.c.is_multiple_of(shape.groups) && shape.k.is_multiple_of(shape.groups)
        );
        WeightGrad { shape, level }
    }

    /// Floats that [`WeightGrad::pack`] writes for a slab of `images` images; 0 where x is read as it is.
    pub fn panels_len(&self, images: usize) -> usize {
        let ConvShape { c, h, w, groups, .. } = self.shape;
        if groups > 1 || c < PANEL_CHANNELS {
            return 0;
        }
        h * w * padded_images(images) * c.next_multiple_of(16)
    }

    /// Transposes the input of one slab, for all output channels; `panels` has [`WeightGrad::panels_len`] floats.
    pub fn pack(&self, x: Source, images: usize, panels: &mut [f32]) {
        self.check_input(&x, images);
        assert_eq!(panels.len(), self.panels_len(images), "panels");
        if panels.is_empty() {
            return;
        }
        // SAFETY: the source was checked, and the panels have room for all of its pixels, images and channels.
        unsafe { launch(self.level, Pack { shape: self.shape, x, images: padded_images(images), panels }) }
    }

    /// dW of output channels `k`: `[k.len(), c / groups, r, s]`, overwritten.
    pub fn weights(&self, batch: &[GradSlab], k: Range<usize>, dw: &mut [f32]) {
        let s = self.shape;
        for slab in batch {
            self.check_input(&slab.x, slab.images);
            self.check_output(&slab.dy, slab.x.layout.lanes, &k);
            assert_eq!(slab.panels.len(), self.panels_len(slab.images), "panels");
        }
        let per_k = s.c / s.groups * s.r * s.s;
        assert_eq!(dw.len(), k.len() * per_k, "weight gradient");
        if self.panels_len(1) > 0 {
            // SAFETY: all slabs were checked to have the shape, dw to have room for the channels.
            unsafe { launch(self.level, Panels { shape: s, batch, k, dw }) }
        } else {
            dw.fill(0.0);
            // SAFETY: as above.
            unsafe { launch(self.level, Rows { shape: s, batch, k, dw }) }
        }
    }

    /// Gradient of the bias of output channels `k`, overwritten: the sum of dy.
    pub fn bias(&self, batch: &[GradSlab], k: Range<usize>, db: &mut [f32]) {
        assert_eq!(db.len(), k.len(), "bias gradient");
        for slab in batch {
            self.check_output(&slab.dy, slab.x.layout.lanes, &k);
        }
        // SAFETY: all slabs were checked to have the channels.
        unsafe { launch(self.level, Bias { batch, first: k.start, db }) }
    }

    fn check_input(&self, x: &Source, images: usize) {
        check(x);
        let (s, l) = (self.shape, x.layout);
        assert_eq!((l.h, l.w, l.c), (s.h, s.w, s.c), "input of {s:?}");
        assert!(images <= l.lanes, "{images} images in {} lanes", l.lanes);
    }

    fn check_output(&self, dy: &Source, lanes: usize, k: &Range<usize>) {
        check(dy);
        let (s, l) = (self.shape, dy.layout);
        assert_eq!(((l.h, l.w), l.c, l.lanes), (s.output(), s.k, lanes), "output of {s:?}");
        assert!(k.start <= k.end && k.end <= s.k, "output channels {k:?} of {}", s.k);
    }
}

/// Images of a slab in a panel: a multiple of the transposition's block.
fn padded_images(images: usize) -> usize {
    images.next_multiple_of(4)
}

/// Outputs along an axis whose tap `t` falls on the input, and the input of the first of them.
#[inline(always)]
fn valid(t: usize, input: usize, output: usize, stride: usize, pad: usize) -> (Range<usize>, usize) {
    let start = pad.saturating_sub(t).div_ceil(stride);
    let end = if input + pad > t { ((input + pad - t - 1) / stride + 1).min(output) } else { 0 };
    if start < end { (start..end, start * stride + t - pad) } else { (0..0, 0) }
}

/// Whether a tap falls on the input for any output.
fn met(s: ConvShape, tap: usize) -> bool {
    let (oh, ow) = s.output();
    let some = |t, input, output| !valid(t, input, output, s.stride, s.pad).0.is_empty();
    some(tap / s.s, s.h, oh) && some(tap % s.s, s.w, ow)
}

struct Pack<'a> {
    shape: ConvShape,
    x: Source<'a>,
    images: usize,
    panels: &'a mut [f32],
}

impl Kernel for Pack<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let (s, l) = (self.shape, self.x.layout);
        // Whether any tap meets a row or column: with a stride above the kernel size, many pixels are never read.
        let met = |i: usize, kernel: usize| {
            (0..kernel).any(|t| i + s.pad >= t && (i + s.pad - t).is_multiple_of(s.stride))
        };
        let mut to = self.panels.as_mut_ptr();
        for first in (0..l.c).step_by(WIDTH) {
            let width = (l.c - first).next_multiple_of(16).min(WIDTH);
            for pixel in 0..l.h * l.w {
                if met(pixel / l.w, s.r) && met(pixel % l.w, s.s) {
                    // SAFETY: a panel holds `images` rows of `width` floats per pixel.
                    unsafe { pack_pixel(&self.x, pixel, first, self.images, width, to) }
                }
                // SAFETY: one past the end at most.
                to = unsafe { to.add(self.images * width) };
            }
        }
    }
}

/// Channels `first..first + width` of one pixel, zero beyond the last, as `[images][width]`.
#[inline(always)]
unsafe fn pack_pixel(x: &Source, pixel: usize, first: usize, images: usize, width: usize, to: *mut f32) {
    let l = x.layout;
    let whole = (l.c - first).min(width) / 4 * 4;
    let step = l.step * l.lanes;
    for image in (0..images).step_by(4) {
        // SAFETY: the caller promises room; channels beyond the last are not read.
        unsafe {
            let from = x.data.as_ptr().add(l.at(pixel, first) + image);
            let to = to.add(image * width);
            for c in (0..whole).step_by(4) {
                transpose(from.add(c * step), step, to.add(c), width);
            }
            for c in whole..width {
                for i in 0..4 {
                    *to.add(i * width + c) = if first + c < l.c { *from.add(c * step + i) } else { 0.0 };
                }
            }
        }
    }
}

/// Transposes four rows of four floats.
///
/// # Safety
/// `from` is valid for four floats at each of four multiples of `from_step`, and `to` likewise.
#[inline(always)]
unsafe fn transpose(from: *const f32, from_step: usize, to: *mut f32, to_step: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::*;
        // SAFETY: SSE is part of x86-64; the caller promises the floats.
        unsafe {
            let row = |i: usize| _mm_loadu_ps(from.add(i * from_step));
            let (ab_low, ab_high) = (_mm_unpacklo_ps(row(0), row(1)), _mm_unpackhi_ps(row(0), row(1)));
            let (cd_low, cd_high) = (_mm_unpacklo_ps(row(2), row(3)), _mm_unpackhi_ps(row(2), row(3)));
            _mm_storeu_ps(to, _mm_movelh_ps(ab_low, cd_low));
            _mm_storeu_ps(to.add(to_step), _mm_movehl_ps(cd_low, ab_low));
            _mm_storeu_ps(to.add(2 * to_step), _mm_movelh_ps(ab_high, cd_high));
            _mm_storeu_ps(to.add(3 * to_step), _mm_movehl_ps(cd_high, ab_high));
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    for i in 0..4 {
        for j in 0..4 {
            // SAFETY: the caller promises the floats.
            unsafe { *to.add(j * to_step + i) = *from.add(i * from_step + j) }
        }
    }
}

struct Panels<'a> {
    shape: ConvShape,
    batch: &'a [GradSlab<'a>],
    k: Range<usize>,
    dw: &'a mut [f32],
}

/// A tile's output channels, from `k` on, and its vectors: from channel `lane` of the panel that starts at channel `c`.
struct Place {
    k: usize,
    c: usize,
    lane: usize,
}

impl Kernel for Panels<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(mut self) {
        let mut sums = vec![0f32; self.shape.r * self.shape.s * TILE * WIDTH];
        let wide = I::ACCUMULATORS >= 2 * TILE;
        // Even tiles, as large as the accumulators allow.
        let most = if wide { I::ACCUMULATORS / 2 } else { I::ACCUMULATORS }.min(TILE);
        let count = self.k.len().div_ceil(most);
        let first = |tile: usize| self.k.start + tile * self.k.len() / count;
        let tiles: Vec<Range<usize>> = (0..count).map(|tile| first(tile)..first(tile + 1)).collect();
        for k in tiles {
            for c in (0..self.shape.c).step_by(WIDTH) {
                let panel = (self.shape.c - c).next_multiple_of(16).min(WIDTH);
                // SAFETY: the tile's channels lie in the checked slabs.
                unsafe {
                    if wide && panel == WIDTH {
                        self.tiles::<I, 2>(&k, Place { k: k.start, c, lane: 0 }, &mut sums);
                        continue;
                    }
                    for lane in (0..panel).step_by(16) {
                        self.tiles::<I, 1>(&k, Place { k: k.start, c, lane }, &mut sums);
                    }
                }
            }
        }
    }
}

impl Panels<'_> {
    /// All taps of output channels `k` and 16 · NV input channels, from the batch into dW.
    #[inline(always)]
    unsafe fn tiles<I: Isa, const NV: usize>(&mut self, k: &Range<usize>, place: Place, sums: &mut [f32]) {
        let taps = self.shape.r * self.shape.s;
        let sums = &mut sums[..taps * k.len() * 16 * NV];
        sums.fill(0.0);
        macro_rules! of_width {
            ($($kb:literal)*) => {
                match k.len() {
                    $($kb if $kb * NV <= I::ACCUMULATORS => self.tile::<I, $kb, NV>(&place, sums),)*
                    _ => unreachable!("tiles are cut to fit the accumulators"),
                }
            };
        }
        // SAFETY: as promised by the caller; `sums` has room for the tile.
        unsafe { of_width!(1 2 3 4 5 6 7 8 9 10 11 12 13) }
        let c = place.c + place.lane;
        let valid = (16 * NV).min(self.shape.c - c);
        for (i, k) in k.clone().enumerate() {
            let dw = &mut self.dw[((k - self.k.start) * self.shape.c + c) * taps..][..valid * taps];
            // Here and not for all weights at once: this part is in L1 when the sums follow.
            dw.fill(0.0);
            for (tap, sums) in sums.chunks_exact(sums.len() / taps).enumerate() {
                // On small maps most taps fall on padding everywhere.
                if !met(self.shape, tap) {
                    continue;
                }
                let sums = &sums[i * 16 * NV..][..valid];
                for (dw, sum) in dw[tap..].iter_mut().step_by(taps).zip(sums) {
                    *dw = *sum;
                }
            }
        }
    }

    /// sums `[tap][KB][16 · NV]` of one tile over the whole batch.
    #[inline(always)]
    unsafe fn tile<I: Isa, const KB: usize, const NV: usize>(&self, place: &Place, sums: &mut [f32]) {
        let s = self.shape;
        for slab in self.batch {
            let l = slab.dy.layout;
            let images = padded_images(slab.images);
            let width = (s.c - place.c).next_multiple_of(16).min(WIDTH);
            for oy in 0..l.h {
                for r in 0..s.r {
                    let Some(iy) = (oy * s.stride + r).checked_sub(s.pad).filter(|&iy| iy < s.h) else {
                        continue;
                    };
                    for t in 0..s.s {
                        let (outputs, ix) = valid(t, s.w, l.w, s.stride, s.pad);
                        if outputs.is_empty() {
                            continue;
                        }
                        // SAFETY: the outputs and their inputs lie in dy and the panels, whose sizes were checked; `sums`
                        // has room for every tap.
                        unsafe {
                            let dy = slab.dy.data.as_ptr().add(l.at(oy * l.w + outputs.start, place.k));
                            let x = place.c * s.h * s.w * images + (iy * s.w + ix) * images * width;
                            let product = Product {
                                pixels: outputs.len(),
                                images: slab.images,
                                dy,
                                dy_pixel: l.pixel * l.lanes,
                                dy_channel: l.step * l.lanes,
                                x: slab.panels.as_ptr().add(x + place.lane),
                                x_pixel: s.stride * images * width,
                                x_image: width,
                            };
                            product.add_to::<I, KB, NV>(sums.as_mut_ptr().add((r * s.s + t) * KB * NV * 16));
                        }
                    }
                }
            }
        }
    }
}

/// A run of pixels of dy against as many of a panel.
struct Product {
    pixels: usize,
    images: usize,
    dy: *const f32,
    dy_pixel: usize,
    dy_channel: usize,
    x: *const f32,
    x_pixel: usize,
    x_image: usize,
}

impl Product {
    /// sums[KB][16 · NV] += Σ over pixels and images: dy[KB] · x[16 · NV].
    #[inline(always)]
    unsafe fn add_to<I: Isa, const KB: usize, const NV: usize>(&self, sums: *mut f32) {
        let step = self.dy_channel;
        // SAFETY: the caller promises that every pixel, channel and image named is readable and the sums are writable.
        unsafe {
            let mut acc = [[I::splat(0.0); NV]; KB];
            for pixel in 0..self.pixels {
                let dy = self.dy.add(pixel * self.dy_pixel);
                let mut x = self.x.add(pixel * self.x_pixel);
                // Every third row has a pointer, the others an offset: few enough registers for addresses.
                let mut rows = [dy; 5];
                for (i, row) in rows.iter_mut().enumerate() {
                    *row = dy.wrapping_add(3 * i * step);
                }
                for _ in 0..self.images {
                    let lanes = load::<I, NV>(x);
                    for (k, acc) in acc.iter_mut().enumerate() {
                        let g = I::splat_at(rows[k / 3].add(k % 3 * step));
                        for (v, acc) in acc.iter_mut().enumerate() {
                            *acc = I::fma(g, lanes[v], *acc);
                        }
                    }
                    x = x.add(self.x_image);
                    for row in &mut rows {
                        *row = row.wrapping_add(1);
                    }
                }
            }
            for (k, acc) in acc.into_iter().enumerate() {
                for (v, acc) in acc.into_iter().enumerate() {
                    let sum = sums.add((k * NV + v) * 16);
                    I::store(sum, I::add(I::load(sum), acc));
                }
            }
        }
    }
}

struct Rows<'a> {
    shape: ConvShape,
    batch: &'a [GradSlab<'a>],
    k: Range<usize>,
    dw: &'a mut [f32],
}

impl Kernel for Rows<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(mut self) {
        let batch = self.batch;
        for slab in batch {
            // SAFETY: the slab was checked to have the shape.
            unsafe { per_width!(slab.x.layout.lanes, I, slab_rows, &mut self, slab) }
        }
    }
}

#[inline(always)]
unsafe fn slab_rows<I: Isa, const NV: usize>(k: &mut Rows, slab: &GradSlab) {
    let s = k.shape;
    let (yl, xl) = (slab.dy.layout, slab.x.layout);
    for oy in 0..yl.h {
        for r in 0..s.r {
            let Some(iy) = (oy * s.stride + r).checked_sub(s.pad).filter(|&iy| iy < s.h) else { continue };
            for t in 0..s.s {
                let (outputs, ix) = valid(t, s.w, yl.w, s.stride, s.pad);
                let run = RowRun {
                    dy: slab.dy.data.as_ptr(),
                    dl: yl,
                    x: slab.x.data.as_ptr(),
                    xl,
                    out: oy * yl.w + outputs.start,
                    input: iy * xl.w + ix,
                    stride: s.stride,
                    pixels: outputs.len(),
                };
                // SAFETY: the run's pixels lie in both values.
                unsafe { tap_rows::<I, NV>(k, &run, r * s.s + t) }
            }
        }
    }
}

/// Pixels `out..` of dy against pixels `input..` of x in steps of `stride`.
struct RowRun {
    dy: *const f32,
    dl: Layout,
    x: *const f32,
    xl: Layout,
    out: usize,
    input: usize,
    stride: usize,
    pixels: usize,
}

/// Adds one map row's contribution to tap `tap` of all weights.
#[inline(always)]
unsafe fn tap_rows<I: Isa, const NV: usize>(kernel: &mut Rows, run: &RowRun, tap: usize) {
    let s = kernel.shape;
    let (per_group, inputs, taps) = (s.k / s.groups, s.c / s.groups, s.r * s.s);
    let mut k = kernel.k.start;
    while k < kernel.k.end {
        let group = k / per_group;
        let left = kernel.k.end.min((group + 1) * per_group) - k;
        let depthwise = per_group == 1 && inputs == 1;
        let kb = match I::ACCUMULATORS / 3 {
            8.. if left >= 8 => 8,
            2.. if left >= 2 => 2,
            _ => 1,
        };
        let mut c = 0;
        while c < inputs {
            let cb = if inputs - c >= 3 { 3 } else { 1 };
            let dw = &mut kernel.dw[((k - kernel.k.start) * inputs + c) * taps + tap..];
            let (per_k, channel) = (inputs * taps, group * inputs + c);
            // SAFETY: the channels lie in both values, the pixels too by the caller's promise.
            unsafe {
                match (kb, cb) {
                    _ if depthwise => dw[0] += run.single::<I, NV>(k, channel),
                    (8, 3) => run.tile::<I, NV, 8, 3>(k, channel, dw, per_k, taps),
                    (8, _) => run.tile::<I, NV, 8, 1>(k, channel, dw, per_k, taps),
                    (2, 3) => run.tile::<I, NV, 2, 3>(k, channel, dw, per_k, taps),
                    (2, _) => run.tile::<I, NV, 2, 1>(k, channel, dw, per_k, taps),
                    (_, 3) => run.tile::<I, NV, 1, 3>(k, channel, dw, per_k, taps),
                    _ => run.tile::<I, NV, 1, 1>(k, channel, dw, per_k, taps),
                }
            }
            c += cb;
        }
        k += kb;
    }
}

impl RowRun {
    #[inline(always)]
    unsafe fn tile<I: Isa, const NV: usize, const KB: usize, const CB: usize>(
        &self,
        k: usize,
        c: usize,
        dw: &mut [f32],
        per_k: usize,
        per_c: usize,
    ) {
        // SAFETY: pixels and channels lie in both values.
        unsafe {
            let mut acc = [[I::splat(0.0); CB]; KB];
            for pixel in 0..self.pixels {
                let dy = self.dy.add(self.dl.at(self.out + pixel, k));
                let x = self.x.add(self.xl.at(self.input + pixel * self.stride, c));
                for lane in (0..16 * NV).step_by(16) {
                    let mut channels = [I::splat(0.0); CB];
                    for (c, channel) in channels.iter_mut().enumerate() {
                        *channel = I::load(x.add(c * self.xl.step * 16 * NV + lane));
                    }
                    for (k, acc) in acc.iter_mut().enumerate() {
                        let dy = I::load(dy.add(k * self.dl.step * 16 * NV + lane));
                        for (c, acc) in acc.iter_mut().enumerate() {
                            *acc = I::fma(dy, channels[c], *acc);
                        }
                    }
                }
            }
            for (k, acc) in acc.into_iter().enumerate() {
                for (c, acc) in acc.into_iter().enumerate() {
                    dw[k * per_k + c * per_c] += I::sum(acc);
                }
            }
        }
    }

    /// One channel against one channel, with an accumulator for each vector of a row.
    #[inline(always)]
    unsafe fn single<I: Isa, const NV: usize>(&self, k: usize, c: usize) -> f32 {
        // SAFETY: pixels and channels lie in both values.
        unsafe {
            let mut acc = [I::splat(0.0); NV];
            for pixel in 0..self.pixels {
                let dy = self.dy.add(self.dl.at(self.out + pixel, k));
                let x = self.x.add(self.xl.at(self.input + pixel * self.stride, c));
                for (v, acc) in acc.iter_mut().enumerate() {
                    *acc = I::fma(I::load(dy.add(16 * v)), I::load(x.add(16 * v)), *acc);
                }
            }
            I::sum(acc.into_iter().fold(I::splat(0.0), |sum, acc| I::add(sum, acc)))
        }
    }
}

struct Bias<'a> {
    batch: &'a [GradSlab<'a>],
    first: usize,
    db: &'a mut [f32],
}

impl Kernel for Bias<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        for (i, db) in self.db.iter_mut().enumerate() {
            let mut total = 0.0;
            for slab in self.batch {
                let (l, dy) = (slab.dy.layout, slab.dy.data.as_ptr());
                for y in 0..l.h {
                    // SAFETY: pixels and channel lie in the checked dy.
                    unsafe {
                        let mut sum = I::splat(0.0);
                        for pixel in y * l.w..(y + 1) * l.w {
                            for lane in (0..l.lanes).step_by(16) {
                                sum = I::add(sum, I::load(dy.add(l.at(pixel, self.first + i) + lane)));
                            }
                        }
                        total += f64::from(I::sum(sum));
                    }
                }
            }
            *db = total as f32;
        }
    }
}
