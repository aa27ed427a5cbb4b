//! An array of images to planes of bytes, `[N, C, H, W]`.
//!
//! Integers are pixels from 0 to 255. Floats are either pixel space, 0 to 1, or 0 to 255; anything else (images that
//! were normalised already) is refused. Floats are rounded to the 256 values that images have here, which is told.

use super::labels::integer;
use super::npy::{Array, Element, Spec};
use crate::error::{Error, Result};
use half::{bf16, f16};
use std::path::Path;

/// Images in planes.
pub(super) struct Planes {
    pub count: usize,
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// `[N, C, H, W]`.
    pub pixels: Vec<u8>,
    /// How they came to be.
    pub notes: Vec<String>,
}

/// Floats whose greatest is above 1 and not above this are neither in 0 to 1 nor plainly in 0 to 255, unless they are
/// whole.
const DIM: f64 = 32.0;

/// The images of an array `[N, C, H, W]`, `[N, H, W, C]` (C is 1 or 3) or `[N, H, W]`.
pub(super) fn read(path: &Path, array: Array) -> Result<Planes> {
    let Array { spec, bytes } = array;
    let fault = |expected: &str, found: String| {
        Error::input(path, format_args!("array `{}`", spec.name.escape_debug()), expected, found)
    };
    let Some(value) = value_of(&spec) else {
        return Err(fault("images: integers from 0 to 255, or floats", spec.describe()));
    };
    let axes = axes(&spec).map_err(|expected| fault(expected, spec.describe()))?;
    let size = spec.element.size().filter(|&size| size > 0).unwrap_or(1);
    let [count, channels, height, width] = axes.map(|(extent, _)| extent);
    let shape = [channels, height, width];

    let (mut low, mut high, mut whole) = (f64::INFINITY, f64::NEG_INFINITY, true);
    for (index, element) in bytes.chunks_exact(size).enumerate() {
        let value = value(element);
        if !value.is_finite() {
            return Err(fault("finite numbers", format!("{value} at element {index}")));
        }
        (low, high) = (low.min(value), high.max(value));
        whole &= value.fract() == 0.0;
    }
    let float = !spec.element.is_integer();
    let expected =
        "pixels from 0 to 255, or floats from 0 to 1 (images as they were before any normalisation)";
    // A rounding above 1 is no other range.
    let unit = float && high <= 1.0 + 1e-6;
    if low < 0.0 || high > 255.0 || float && !unit && !whole && high < DIM {
        return Err(fault(expected, format!("numbers from {low} to {high}")));
    }
    let factor = if unit { 255.0 } else { 1.0 };
    let mut notes = Vec::new();
    if !unit && high < DIM {
        notes.push(format!("`{}`: the greatest pixel is {high} of 255", spec.name.escape_debug()));
    }

    let [along_n, along_c, along_h, along_w] = axes.map(|(_, stride)| stride);
    let in_order =
        [along_n, along_c, along_h, along_w] == [channels * height * width, height * width, width, 1];
    let mut pixels;
    if spec.element == Element::Uint(1) && in_order {
        pixels = bytes;
    } else {
        pixels = Vec::with_capacity(count * channels * height * width);
        let mut off = 0f64;
        for n in 0..count {
            for c in 0..channels {
                for h in 0..height {
                    for w in 0..width {
                        let at = size * (n * along_n + c * along_c + h * along_h + w * along_w);
                        let exact = value(&bytes[at..at + size]) * factor;
                        let pixel = exact.round();
                        off = off.max((exact - pixel).abs());
                        // In range: checked above.
                        pixels.push(pixel.min(255.0) as u8);
                    }
                }
            }
        }
        if float {
            let scale = if unit { "0 to 1, taken times 255" } else { "0 to 255" };
            let rounding = if off > 1e-3 { format!(" and rounded by up to {off:.2}") } else { String::new() };
            notes.push(format!("`{}`: floats from {scale}{rounding}", spec.name.escape_debug()));
        }
    }
    Ok(Planes { count, shape, pixels, notes })
}

/// Extent and stride (in elements) of N, C, H and W; or what was expected.
fn axes(spec: &Spec) -> Result<[(usize, usize); 4], &'static str> {
    let mut strides = vec![1; spec.shape.len()];
    let mut next = 1usize;
    let order: Vec<usize> =
        if spec.fortran { (0..spec.shape.len()).collect() } else { (0..spec.shape.len()).rev().collect() };
    for axis in order {
        strides[axis] = next;
        next = next.checked_mul(spec.shape[axis]).ok_or("images that fit in memory")?;
    }
    if next == 0 {
        return Err("at least one image of at least one pixel");
    }
    let axis = |at: usize| (spec.shape[at], strides[at]);
    let channels = |at: usize| matches!(spec.shape[at], 1 | 3);
    match spec.shape.len() {
        3 => Ok([axis(0), (1, 0), axis(1), axis(2)]),
        4 => match (channels(1), channels(3)) {
            (true, false) => Ok([axis(0), axis(1), axis(2), axis(3)]),
            (false, true) => Ok([axis(0), axis(3), axis(1), axis(2)]),
            (true, true) => {
                Err("channels (1 or 3) either in the second dimension or in the last: here both could be")
            }
            (false, false) => Err("1 or 3 channels, in the second dimension or in the last"),
        },
        2 => Err(
            "images of shape [N, C, H, W], [N, H, W, C] or [N, H, W] (flattened images have lost their sides)",
        ),
        _ => Err("images of shape [N, C, H, W], [N, H, W, C] or [N, H, W]"),
    }
}

/// How an element is read; `None` for what is no number.
fn value_of(spec: &Spec) -> Option<impl Fn(&[u8]) -> f64> {
    let (element, big_endian) = (spec.element.clone(), spec.big_endian);
    element.is_number().then_some(move |bytes: &[u8]| {
        if let Element::Int(_) | Element::Uint(_) = element {
            return integer(bytes, matches!(element, Element::Int(_)), big_endian) as f64;
        }
        let bits = integer(bytes, false, big_endian) as u64;
        match element {
            Element::Bfloat16 => bf16::from_bits(bits as u16).to_f64(),
            Element::Float(2) => f16::from_bits(bits as u16).to_f64(),
            Element::Float(4) => f64::from(f32::from_bits(bits as u32)),
            _ => f64::from_bits(bits),
        }
    })
}
