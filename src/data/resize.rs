//! torchvision's evaluation transform: `Resize(R)`, then `CenterCrop(S)`, with R = ⌊S·8/7⌋ (256 for 224).
//!
//! The shorter side becomes R, the longer one ⌊R·long/short⌋. The filter is the triangle (bilinear), widened by
//! the scale when shrinking, so that it averages all pixels (Pillow's and torchvision's antialiased resize).
//! The resizer's fixed-point weights are coarser than Pillow's: up to one value in a hundred differs, by 1 of 255
//! (most where Pillow's exact value lies near a half).
//! The crop begins at half the surplus, halves rounded to even, as Python's `round` does.

use super::decode::Rgb;
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use std::borrow::Cow;

/// Resizes and crops to `size`×`size`; `size` is at least 1. The error is the resizer's own message.
pub(super) fn resize_and_crop(image: &Rgb, size: usize) -> Result<Rgb, String> {
    let (width, height) = resized(image.width, image.height, size * 8 / 7);
    // Rows first, then columns, each rounded to 8 bits, as in Pillow (from 13 on it takes columns first where that is
    // cheaper); the resizer by itself takes columns first, which changes a tenth of the values by 1.
    let rows = resize(&image.pixels, (image.width, image.height), (width, image.height))?;
    let both = resize(&rows, (width, image.height), (width, height))?;
    Ok(center_crop(&both, width, height, size))
}

/// Resizes `[H, W, 3]` pixels; sizes are (width, height).
fn resize(pixels: &[u8], from: (usize, usize), to: (usize, usize)) -> Result<Cow<'_, [u8]>, String> {
    if from == to {
        return Ok(Cow::Borrowed(pixels));
    }
    let as_u32 = |side: usize| u32::try_from(side).map_err(|_| format!("a side of {side} pixels"));
    // The typed views have the resizer compiled for this one pixel type instead of all thirteen.
    let source = TypedImageRef::<U8x3>::from_buffer(as_u32(from.0)?, as_u32(from.1)?, pixels)
        .map_err(|error| error.to_string())?;
    let mut resized = vec![0; 3 * to.0 * to.1];
    let mut target = TypedImage::<U8x3>::from_buffer(as_u32(to.0)?, as_u32(to.1)?, &mut resized)
        .map_err(|error| error.to_string())?;
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new().resize_typed(&source, &mut target, &options).map_err(|error| error.to_string())?;
    Ok(Cow::Owned(resized))
}

/// Width and height after the shorter side became `short`.
fn resized(width: usize, height: usize, short: usize) -> (usize, usize) {
    if width <= height { (short, short * height / width) } else { (short * width / height, short) }
}

fn center_crop(pixels: &[u8], width: usize, height: usize, size: usize) -> Rgb {
    let (left, top) = (half_to_even(width - size), half_to_even(height - size));
    let rows = pixels.chunks_exact(3 * width).skip(top).take(size);
    let cropped = rows.flat_map(|row| &row[3 * left..3 * (left + size)]).copied().collect();
    Rgb { width: size, height: size, pixels: cropped }
}

/// n / 2, a half rounded to the even neighbour.
fn half_to_even(n: usize) -> usize {
    n / 2 + usize::from(n % 4 == 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_offsets_are_torchvisions() {
        assert_eq!(resized(500, 375, 256), (341, 256));
        assert_eq!(resized(375, 500, 256), (256, 341));
        assert_eq!(resized(64, 64, 73), (73, 73));
        // Python: [round(n / 2) for n in range(8)]
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7].map(half_to_even), [0, 0, 1, 2, 2, 2, 3, 4]);
    }

    #[test]
    fn a_flat_image_stays_flat() {
        let image = Rgb { width: 50, height: 31, pixels: [10, 200, 255].repeat(50 * 31) };
        for size in [1, 6, 7, 28, 64] {
            let out = resize_and_crop(&image, size).unwrap();
            assert_eq!((out.width, out.height), (size, size));
            assert_eq!(out.pixels, [10, 200, 255].repeat(size * size));
        }
    }
}
