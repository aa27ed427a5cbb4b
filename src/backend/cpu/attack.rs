//! Attacks in the maximum norm, in pixel space: where they start, and their steps. One step as large as the ball is FGSM
//! (Goodfellow, Shlens and Szegedy 2015), several smaller ones are projected gradient descent (Madry et al. 2018).
//!
//! Pixels between steps lie as a dense value does, `[pixel][channel][image]`, and are never rounded to anything but f32.
//! Every operation is rounded once and in the order of torchattacks' `PGD`.

use super::elementwise;
use super::image::{Change, Normalisation, Pixels, convert};
use super::launch::{check, same_shape};
use super::layout::{LANES, Layout};
use super::simd::{Isa, Level};
use super::value::Source;
use crate::backend::{AttackStart, AttackStep, Noise};
use crate::random::{Random, unit};

/// x₀, if it is asked for, and its z, of a whole slab; the noise's first image is the slab's.
pub fn start(
    level: Level,
    images: Pixels,
    norm: Normalisation,
    start: AttackStart,
    pixels: Option<&mut [f32]>,
    z: &mut [f32],
    layout: Layout,
) {
    let dense = dense(layout, pixels.as_deref());
    convert(level, images, norm, Start { start, pixels, dense }, z, layout);
}

/// One step.
#[derive(Clone, Copy)]
pub struct Step<'a> {
    /// How far.
    pub step: AttackStep,
    /// Gradient of the loss by z, whose signs are those by pixels; the sign of zero and of NaN is 0.
    pub gradient: Source<'a>,
}

impl Step<'_> {
    /// From the `pixels` of a whole slab, which are overwritten, to the next and their z; without them, from the images
    /// themselves to z alone.
    pub fn apply(
        &self,
        level: Level,
        images: Pixels,
        norm: Normalisation,
        pixels: Option<&mut [f32]>,
        z: &mut [f32],
        layout: Layout,
    ) {
        check(&self.gradient);
        same_shape(self.gradient.layout, layout);
        let dense = dense(layout, pixels.as_deref());
        convert(level, images, norm, Descent { step: *self, pixels, dense }, z, layout);
    }
}

/// How the pixels of a slab with that map lie.
fn dense(layout: Layout, pixels: Option<&[f32]>) -> Layout {
    let dense = Layout { pixel: layout.c, offset: 0, step: 1, ..layout };
    assert!(pixels.is_none_or(|p| p.len() == dense.buffer_len()), "pixels of {layout:?}");
    dense
}

struct Start<'a> {
    start: AttackStart,
    pixels: Option<&'a mut [f32]>,
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
            store::<I, NV>(&mut self.pixels, self.dense.at(pixel, channel), x);
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
    pixels: Option<&'a mut [f32]>,
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
            let last = match &self.pixels {
                Some(pixels) => elementwise::load::<I, NV>(pixels.as_ptr().add(at)),
                None => x,
            };
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
            store::<I, NV>(&mut self.pixels, at, x);
            x
        }
    }
}

/// x + size · sign(gradient), where there is an image.
///
/// # Safety
/// Pixel and channel lie in the gradient; the machine has `I`'s instruction set.
#[inline(always)]
unsafe fn along_sign<I: Isa, const NV: usize>(
    mut x: [I::V; NV],
    gradient: &Source,
    pixel: usize,
    channel: usize,
    size: f32,
    valid: &[u16; 4],
) -> [I::V; NV] {
    // SAFETY: as the caller promises.
    unsafe {
        let (zero, size) = (I::splat(0.0), I::splat(size));
        let g = elementwise::load::<I, NV>(gradient.data.as_ptr().add(gradient.layout.at(pixel, channel)));
        for v in 0..NV {
            let up = I::keep(I::gt(g[v], zero) & valid[v], size);
            let down = I::keep(I::gt(zero, g[v]) & valid[v], size);
            x[v] = I::add(x[v], I::sub(up, down));
        }
        x
    }
}

/// x clipped to [0, 1]; a NaN stays one.
///
/// # Safety
/// The machine has `I`'s instruction set.
#[inline(always)]
unsafe fn clip<I: Isa, const NV: usize>(x: [I::V; NV]) -> [I::V; NV] {
    // SAFETY: as the caller promises. Where an operand is a NaN, minimum and maximum are the second.
    unsafe { x.map(|x| I::min(I::splat(1.0), I::max(I::splat(0.0), x))) }
}

/// Puts lanes into pixels, where there are any.
///
/// # Safety
/// A row of that many lanes begins at `at`; the machine has `I`'s instruction set.
#[inline(always)]
unsafe fn store<I: Isa, const NV: usize>(pixels: &mut Option<&mut [f32]>, at: usize, x: [I::V; NV]) {
    let Some(pixels) = pixels else { return };
    // SAFETY: as the caller promises.
    unsafe {
        for (v, &x) in x.iter().enumerate() {
            I::store(pixels.as_mut_ptr().add(at + LANES * v), x);
        }
    }
}
