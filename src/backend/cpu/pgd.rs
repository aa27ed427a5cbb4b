//! Projected gradient descent in the maximum norm, in pixel space (Madry et al. 2018): where it starts, and its steps.
//!
//! Pixels between steps lie as a dense value does, `[pixel][channel][image]`, and are never rounded to anything but f32.
//! Every operation is rounded once and in the order of torchattacks' `PGD`.

use super::conv2d::Source;
use super::elementwise;
use super::image::{Change, Normalisation, Pixels, along_sign, clip, convert};
use super::launch::{check, same_shape};
use super::layout::{LANES, Layout};
use super::simd::{Isa, Level};
use crate::backend::{Noise, PgdStart, PgdStep};
use crate::random::{Random, unit};

/// x₀ and its z, of a whole slab; the noise's first image is the slab's.
pub fn start(
    level: Level,
    images: Pixels,
    norm: Normalisation,
    start: PgdStart,
    pixels: &mut [f32],
    z: &mut [f32],
    layout: Layout,
) {
    let dense = dense(layout, pixels);
    convert(level, images, norm, Start { start, pixels, dense }, z, layout);
}

/// One step.
#[derive(Clone, Copy)]
pub struct Step<'a> {
    /// How far.
    pub step: PgdStep,
    /// Gradient of the loss by z, whose signs are those by pixels; the sign of zero and of NaN is 0.
    pub gradient: Source<'a>,
}

impl Step<'_> {
    /// From the `pixels` of a whole slab, which are overwritten, to the next and their z.
    pub fn apply(
        &self,
        level: Level,
        images: Pixels,
        norm: Normalisation,
        pixels: &mut [f32],
        z: &mut [f32],
        layout: Layout,
    ) {
        check(&self.gradient);
        same_shape(self.gradient.layout, layout);
        let dense = dense(layout, pixels);
        convert(level, images, norm, Descent { step: *self, pixels, dense }, z, layout);
    }
}

/// How the pixels of a slab with that map lie.
fn dense(layout: Layout, pixels: &[f32]) -> Layout {
    let dense = Layout { pixel: layout.c, offset: 0, step: 1, ..layout };
    assert_eq!(pixels.len(), dense.buffer_len(), "pixels of {layout:?}");
    dense
}

struct Start<'a> {
    start: PgdStart,
    pixels: &'a mut [f32],
    dense: Layout,
}

impl Change for Start<'_> {
    #[inline(always)]
    unsafe fn apply<I: Isa, const NV: usize>(
        &mut self,
        mut x: [I::V; NV],
        pixel: usize,
        channel: usize,
        valid: &[u16; 4],
    ) -> [I::V; NV] {
        // SAFETY: the caller promises that pixel and channel lie in the pixels, and the instruction set.
        unsafe {
            if let Some(noise) = &self.start.noise {
                for v in 0..NV {
                    let lanes = noise_of(noise, self.dense, pixel, channel, LANES * v);
                    x[v] = I::add(x[v], I::keep(valid[v], I::load(lanes.as_ptr())));
                }
                if self.start.clamp {
                    x = clip::<I, NV>(x);
                }
            }
            store::<I, NV>(self.pixels, self.dense.at(pixel, channel), x);
            x
        }
    }
}

/// The noise of sixteen images from `lane` on.
#[inline(always)]
fn noise_of(noise: &Noise, map: Layout, pixel: usize, channel: usize, lane: usize) -> [f32; LANES] {
    let (channels, size) = (map.c as u64, (map.h * map.w) as u64);
    std::array::from_fn(|i| {
        let image = noise.first_image + (lane + i) as u64;
        let element = (image * channels + channel as u64) * size + pixel as u64;
        (2.0 * unit(Random::bits_at(noise.seed, Noise::STREAM, element)) - 1.0) * noise.eps
    })
}

struct Descent<'a> {
    step: Step<'a>,
    pixels: &'a mut [f32],
    dense: Layout,
}

impl Change for Descent<'_> {
    #[inline(always)]
    unsafe fn apply<I: Isa, const NV: usize>(
        &mut self,
        mut x: [I::V; NV],
        pixel: usize,
        channel: usize,
        valid: &[u16; 4],
    ) -> [I::V; NV] {
        let Step { step, gradient } = &self.step;
        let at = self.dense.at(pixel, channel);
        // SAFETY: the caller promises that pixel and channel lie in pixels and gradient, and the instruction set.
        unsafe {
            let last = elementwise::load::<I, NV>(self.pixels.as_ptr().add(at));
            let moved = along_sign::<I, NV>(last, gradient, pixel, channel, step.alpha, valid);
            let (most, least) = (I::splat(step.eps), I::splat(-step.eps));
            for v in 0..NV {
                // In this order a NaN stays one.
                let delta = I::min(most, I::max(least, I::sub(moved[v], x[v])));
                x[v] = I::add(x[v], delta);
            }
            if step.clamp {
                x = clip::<I, NV>(x);
            }
            store::<I, NV>(self.pixels, at, x);
            x
        }
    }
}

/// Puts lanes into pixels.
///
/// # Safety
/// A row of that many lanes begins at `at`; the machine has `I`'s instruction set.
#[inline(always)]
unsafe fn store<I: Isa, const NV: usize>(pixels: &mut [f32], at: usize, x: [I::V; NV]) {
    // SAFETY: as the caller promises.
    unsafe {
        for (v, &x) in x.iter().enumerate() {
            I::store(pixels.as_mut_ptr().add(at + LANES * v), x);
        }
    }
}
