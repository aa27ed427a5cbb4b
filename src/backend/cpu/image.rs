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
    convert(pixels, norm, Fgsm { epsilon: 0.0, clamp: false }, None, z, layout);
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
    convert(pixels, norm, step, Some(gradient), z, layout);
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

/// From pixels of either kind, with a step along the sign of the gradient if there is one.
fn convert(
    pixels: Pixels,
    norm: Normalisation,
    step: Fgsm,
    gradient: Option<Source>,
    z: &mut [f32],
    layout: Layout,
) {
    assert_eq!([norm.mean.len(), norm.std.len()], [layout.c; 2], "normalisation per channel");
    check(&Source { data: z, layout });
    // `sign` is 0, 1 or 2 for a step down, none, or up.
    let finish = |x: f32, c: usize, sign: usize| {
        let moved = x + step.epsilon * (sign as f32 - 1.0);
        let x = if step.clamp { moved.clamp(0.0, 1.0) } else { moved };
        (x - norm.mean[c]) / norm.std[c]
    };
    match pixels {
        Pixels::U8(values) => {
            // Every result that 8-bit pixels can have.
            let results = |c, sign| std::array::from_fn(|byte| finish(byte as f32 / 255.0, c, sign));
            let tables: Vec<[[f32; 256]; 3]> =
                (0..layout.c).map(|c| std::array::from_fn(|sign| results(c, sign))).collect();
            let result = |c: usize, byte: u8, sign: usize| tables[c][sign][usize::from(byte)];
            transpose(values, gradient, z, layout, result);
        }
        Pixels::F32(values) => transpose(values, gradient, z, layout, |c, x, sign| finish(x, c, sign)),
    }
}

/// Pixels of 16 images that are read one image after the other before they are written one pixel after the other: images
/// can be a multiple of 4 KiB apart, where few of their lines fit into L1 together.
const RUN: usize = 64;

#[inline(always)]
fn transpose<T: Copy + Default>(
    values: &[T],
    gradient: Option<Source>,
    z: &mut [f32],
    layout: Layout,
    result: impl Fn(usize, T, usize) -> f32,
) {
    let size = layout.h * layout.w;
    let n = count(values.len(), layout);
    let mut block = [[T::default(); RUN]; 16];
    for c in 0..layout.c {
        let black = result(c, T::default(), 1);
        for start in (0..size).step_by(RUN) {
            let run = RUN.min(size - start);
            for first in (0..layout.lanes).step_by(16) {
                let images = n.saturating_sub(first).min(16);
                for (i, block) in block[..images].iter_mut().enumerate() {
                    let from = ((first + i) * layout.c + c) * size + start;
                    block[..run].copy_from_slice(&values[from..from + run]);
                }
                for (p, pixel) in (start..start + run).enumerate() {
                    let mut signs = [1usize; 16];
                    if let Some(Source { data, layout }) = gradient {
                        let at = layout.at(pixel, c) + first;
                        for (sign, &g) in signs.iter_mut().zip(&data[at..at + 16]) {
                            *sign = 1 + usize::from(g > 0.0) - usize::from(g < 0.0);
                        }
                    }
                    let at = layout.at(pixel, c) + first;
                    for (i, z) in z[at..at + 16].iter_mut().enumerate() {
                        *z = if i < images { result(c, block[i][p], signs[i]) } else { black };
                    }
                }
            }
        }
    }
}
