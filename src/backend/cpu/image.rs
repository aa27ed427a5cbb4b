//! Between images as data sets hold them, `[n, C, H, W]`, and slabs: normalisation (for attacks see
//! [`attack`](super::attack)).
//!
//! Pixel space is [0, 1]; the network sees z = (pixel − mean) / std. All of it is in the order of operations of
//! torchvision's `ToTensor` and `Normalize`, one rounding each, so values equal PyTorch's bit for bit.

use super::launch::{check, launch, per_width, valid_bits};
use super::layout::{LANES, Layout};
use super::simd::{Isa, Kernel, Level};
use super::value::Source;
use std::ops::Range;

/// Images `[n, C, H, W]` of one slab, `n` at most its lanes; the lanes beyond are black.
#[derive(Clone, Copy, Debug)]
pub enum Pixels<'a> {
    /// 0..=255; pixel space is this divided by 255.
    U8(&'a [u8]),
    /// Pixel space itself.
    F32(&'a [f32]),
}

/// Mean and standard deviation per channel, in pixel space; deviations are greater than zero.
#[derive(Clone, Copy, Debug)]
pub struct Normalisation<'a> {
    /// Mean per channel.
    pub mean: &'a [f32],
    /// Standard deviation per channel.
    pub std: &'a [f32],
}

/// z = (pixel − mean) / std of a whole slab.
pub fn load(level: Level, pixels: Pixels, norm: Normalisation, z: &mut [f32], layout: Layout) {
    convert(level, pixels, norm, Unchanged, z, layout);
}

/// The first `n` images of a slab as `[n, C, H, W]`.
pub fn to_nchw(x: Source, n: usize) -> Vec<f32> {
    check(&x);
    let l = x.layout;
    assert!(n <= l.lanes, "{n} images in {} lanes", l.lanes);
    let mut images = Vec::with_capacity(n * l.c * l.h * l.w);
    for image in 0..n {
        for c in 0..l.c {
            images.extend((0..l.h * l.w).map(|pixel| x.data[l.at(pixel, c) + image]));
        }
    }
    images
}

/// Number of images that `values` values are.
fn count(values: usize, layout: Layout) -> usize {
    let image = layout.c * layout.h * layout.w;
    assert!(image > 0 && values.is_multiple_of(image), "{values} values of images of {image}");
    assert!(values / image <= layout.lanes, "{} images in {} lanes", values / image, layout.lanes);
    values / image
}

/// What is done to pixels before they are normalised.
pub(super) trait Change {
    /// The lanes of one channel of a pixel, changed; `valid` are those that hold an image.
    ///
    /// # Safety
    /// Pixel and channel lie in the values that the change reads and writes; the machine has `I`'s instruction set.
    unsafe fn apply<I: Isa, const NV: usize>(
        &mut self,
        x: [I::V; NV],
        pixel: usize,
        channel: usize,
        valid: &[u16; 4],
    ) -> [I::V; NV];
}

/// Nothing.
struct Unchanged;

impl Change for Unchanged {
    #[inline(always)]
    unsafe fn apply<I: Isa, const NV: usize>(
        &mut self,
        x: [I::V; NV],
        _: usize,
        _: usize,
        _: &[u16; 4],
    ) -> [I::V; NV] {
        x
    }
}

/// From pixels of either kind, changed.
pub(super) fn convert(
    level: Level,
    pixels: Pixels,
    norm: Normalisation,
    change: impl Change,
    z: &mut [f32],
    layout: Layout,
) {
    assert_eq!([norm.mean.len(), norm.std.len()], [layout.c; 2], "normalisation per channel");
    check(&Source { data: z, layout });
    // SAFETY: the target was checked to lie in its buffer, and what the change reads and writes by its maker; `count` checks
    // the images against the layout.
    unsafe {
        match pixels {
            Pixels::U8(values) => {
                let images = count(values.len(), layout);
                launch(level, Convert { values, images, norm, change, z, layout });
            }
            Pixels::F32(values) => {
                let images = count(values.len(), layout);
                launch(level, Convert { values, images, norm, change, z, layout });
            }
        }
    }
}

/// Pixels of an image that are read together: a cache line of bytes. Images can be a multiple of 4 KiB apart, where few of
/// their lines fit into L1 at the same time.
const RUN: usize = 64;

/// A run of pixels of each of 16 images.
type Images<T> = [[T; RUN]; LANES];

/// The same, pixel by pixel.
type Lanes<T> = [[T; LANES]; RUN];

/// A pixel as data sets hold it.
trait Pixel: Copy + Default {
    /// From images to lanes.
    fn transpose(images: &Images<Self>, lanes: &mut Lanes<Self>);
    /// Sixteen pixels in pixel space.
    ///
    /// # Safety
    /// The machine has `I`'s instruction set.
    unsafe fn value<I: Isa>(lanes: &[Self; LANES]) -> I::V;
}

impl Pixel for f32 {
    #[inline(always)]
    fn transpose(images: &Images<f32>, lanes: &mut Lanes<f32>) {
        scalar_transpose(images, lanes);
    }

    #[inline(always)]
    unsafe fn value<I: Isa>(lanes: &[f32; LANES]) -> I::V {
        // SAFETY: sixteen floats; the caller promises the instruction set.
        unsafe { I::load(lanes.as_ptr()) }
    }
}

impl Pixel for u8 {
    #[cfg(not(target_arch = "x86_64"))]
    #[inline(always)]
    fn transpose(images: &Images<u8>, lanes: &mut Lanes<u8>) {
        scalar_transpose(images, lanes);
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn transpose(images: &Images<u8>, lanes: &mut Lanes<u8>) {
        use std::arch::x86_64::*;
        for (part, lanes) in lanes.chunks_exact_mut(16).enumerate() {
            // SAFETY: SSE2 is part of x86-64; 16 pixels of 16 images from 16·part < RUN on are read and written.
            unsafe {
                let mut rows = [_mm_setzero_si128(); 16];
                for (row, image) in rows.iter_mut().zip(images) {
                    *row = _mm_loadu_si128(image.as_ptr().add(16 * part).cast());
                }
                // Each round, a perfect shuffle, turns the index (image, pixel) of 8 bits by one bit.
                for _ in 0..4 {
                    let mut shuffled = rows;
                    for i in 0..8 {
                        shuffled[2 * i] = _mm_unpacklo_epi8(rows[i], rows[i + 8]);
                        shuffled[2 * i + 1] = _mm_unpackhi_epi8(rows[i], rows[i + 8]);
                    }
                    rows = shuffled;
                }
                for (row, lanes) in rows.iter().zip(lanes) {
                    _mm_storeu_si128(lanes.as_mut_ptr().cast(), *row);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn value<I: Isa>(lanes: &[u8; LANES]) -> I::V {
        // SAFETY: sixteen bytes; the caller promises the instruction set.
        unsafe { I::div(I::load_bytes(lanes.as_ptr()), I::splat(255.0)) }
    }
}

#[inline(always)]
fn scalar_transpose<T: Copy>(images: &Images<T>, lanes: &mut Lanes<T>) {
    for (p, lanes) in lanes.iter_mut().enumerate() {
        for (lane, image) in lanes.iter_mut().zip(images) {
            *lane = image[p];
        }
    }
}

struct Convert<'a, T, C> {
    values: &'a [T],
    images: usize,
    norm: Normalisation<'a>,
    change: C,
    z: &'a mut [f32],
    layout: Layout,
}

impl<T: Pixel, C: Change> Kernel for Convert<'_, T, C> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        // SAFETY: the caller's conditions, with the number of vectors per row as a constant.
        unsafe { per_width!(self.layout.lanes, I, convert_slab, self) }
    }
}

#[inline(always)]
unsafe fn convert_slab<I: Isa, const NV: usize>(mut k: Convert<impl Pixel, impl Change>) {
    let size = k.layout.h * k.layout.w;
    // Lanes beyond the last image stay black: zeros that take no step.
    let mut images = [[[Default::default(); RUN]; LANES]; NV];
    let mut lanes = [[[Default::default(); LANES]; RUN]; NV];
    for c in 0..k.layout.c {
        for start in (0..size).step_by(RUN) {
            let run = RUN.min(size - start);
            for image in 0..k.images {
                let from = (image * k.layout.c + c) * size + start;
                let to = &mut images[image / LANES][image % LANES];
                // A whole run has a constant length, which needs no call.
                match k.values[from..].first_chunk() {
                    Some(line) if run == RUN => *to = *line,
                    _ => to[..run].copy_from_slice(&k.values[from..from + run]),
                }
            }
            for v in 0..NV {
                Pixel::transpose(&images[v], &mut lanes[v]);
            }
            // SAFETY: the run's pixels and the channel lie in the checked layouts.
            unsafe { convert_run::<I, NV, _, _>(&mut k, c, start..start + run, &lanes) }
        }
    }
}

#[inline(always)]
unsafe fn convert_run<I: Isa, const NV: usize, T: Pixel, C: Change>(
    k: &mut Convert<T, C>,
    c: usize,
    pixels: Range<usize>,
    lanes: &[Lanes<T>; NV],
) {
    let valid = valid_bits(k.images, k.layout.lanes);
    // SAFETY: pixels and channel lie in the target and in what the change reads; the machine has the instruction set.
    unsafe {
        let (mean, std) = (I::splat(k.norm.mean[c]), I::splat(k.norm.std[c]));
        for (p, pixel) in pixels.enumerate() {
            let mut x = [I::splat(0.0); NV];
            for v in 0..NV {
                x[v] = T::value::<I>(&lanes[v][p]);
            }
            let x = k.change.apply::<I, NV>(x, pixel, c, &valid);
            let z = k.z.as_mut_ptr().add(k.layout.at(pixel, c));
            for (v, &x) in x.iter().enumerate() {
                I::store(z.add(16 * v), I::div(I::sub(x, mean), std));
            }
        }
    }
}
