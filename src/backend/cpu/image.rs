//! Between images as data sets hold them, `[n, C, H, W]`, and slabs: normalisation, and the FGSM step.
//!
//! Pixel space is [0, 1]; the network sees z = (pixel − mean) / std. All of it is in the order of operations of
//! torchvision's `ToTensor` and `Normalize`, one rounding each, so values equal PyTorch's bit for bit.

use super::conv2d::Source;
use super::launch::check;
use super::layout::Layout;

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

/// An FGSM step (Goodfellow, Shlens and Szegedy 2015).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fgsm {
    /// ε in pixel space.
    pub epsilon: f32,
    /// Whether the result is clipped to [0, 1].
    pub clamp: bool,
}

/// z = (pixel − mean) / std of a whole slab.
pub fn load(pixels: Pixels, norm: Normalisation, z: &mut [f32], layout: Layout) {
    let zero = |_: usize, _: usize, _: usize| 1;
    convert(pixels, norm, Fgsm { epsilon: 0.0, clamp: false }, zero, z, layout);
}

/// z = (clip(pixel + ε · sign(gradient), 0, 1) − mean) / std of a whole slab. `gradient` is the gradient of the loss in z,
/// whose sign is that in pixel space; the sign of zero and of NaN is 0.
pub fn fgsm(
    pixels: Pixels,
    norm: Normalisation,
    step: Fgsm,
    gradient: Source,
    z: &mut [f32],
    layout: Layout,
) {
    check(&gradient);
    super::launch::same_shape(gradient.layout, layout);
    let sign = |pixel: usize, c: usize, lane: usize| {
        let g = gradient.data[gradient.layout.at(pixel, c) + lane];
        1 + usize::from(g > 0.0) - usize::from(g < 0.0)
    };
    convert(pixels, norm, step, sign, z, layout);
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

/// Writes images `[n, C, H, W]` into the first lanes of a slab, and zeros into the others.
pub fn from_nchw(images: &[f32], x: &mut [f32], layout: Layout) {
    let pixels = layout.h * layout.w;
    let n = count(images.len(), layout);
    for pixel in 0..pixels {
        for c in 0..layout.c {
            let row = &mut x[layout.at(pixel, c)..][..layout.lanes];
            for (image, value) in row.iter_mut().enumerate() {
                *value = if image < n { images[(image * layout.c + c) * pixels + pixel] } else { 0.0 };
            }
        }
    }
}

/// Number of images that `values` values are.
fn count(values: usize, layout: Layout) -> usize {
    let image = layout.c * layout.h * layout.w;
    assert!(image > 0 && values.is_multiple_of(image), "{values} values of images of {image}");
    assert!(values / image <= layout.lanes, "{} images in {} lanes", values / image, layout.lanes);
    values / image
}

/// Pixels that are transposed together: 16 lanes of 64 bytes each stay in L1.
const RUN: usize = 64;

/// The common loop. `sign` is 0, 1 or 2 for a step down, none, or up.
#[inline(always)]
fn convert(
    pixels: Pixels,
    norm: Normalisation,
    step: Fgsm,
    sign: impl Fn(usize, usize, usize) -> usize,
    z: &mut [f32],
    layout: Layout,
) {
    assert_eq!([norm.mean.len(), norm.std.len()], [layout.c; 2], "normalisation per channel");
    check(&Source { data: z, layout });
    let size = layout.h * layout.w;
    let n = match pixels {
        Pixels::U8(values) => count(values.len(), layout),
        Pixels::F32(values) => count(values.len(), layout),
    };
    for c in 0..layout.c {
        let (mean, std) = (norm.mean[c], norm.std[c]);
        let finish = |x: f32, sign: usize| {
            let moved = x + step.epsilon * (sign as f32 - 1.0);
            let x = if step.clamp { moved.clamp(0.0, 1.0) } else { moved };
            (x - mean) / std
        };
        // Every result that 8-bit pixels can have.
        let table: [[f32; 256]; 3] =
            std::array::from_fn(|sign| std::array::from_fn(|byte| finish(byte as f32 / 255.0, sign)));
        for start in (0..size).step_by(RUN) {
            let run = start..(start + RUN).min(size);
            for first in (0..layout.lanes).step_by(16) {
                for pixel in run.clone() {
                    let at = layout.at(pixel, c) + first;
                    let row = &mut z[at..at + 16];
                    for (i, value) in row.iter_mut().enumerate() {
                        let lane = first + i;
                        let from = (lane * layout.c + c) * size + pixel;
                        *value = match pixels {
                            _ if lane >= n => table[1][0],
                            Pixels::U8(values) => table[sign(pixel, c, lane)][usize::from(values[from])],
                            Pixels::F32(values) => finish(values[from], sign(pixel, c, lane)),
                        };
                    }
                }
            }
        }
    }
}
