//! An array of images to planes of bytes, `[N, C, H, W]`.
//!
//! Integers are pixels from 0 to 255. Floats are either pixel space, 0 to 1, or 0 to 255; anything else (images that
//! were normalised already) is refused. Floats are rounded to the 256 values that images have here, which is told.
//! Only the images that are taken are kept. Which range floats are in, all of them say, so they are all gone through.

use super::container::Container;
use super::labels::integer;
use super::npy::{Element, Spec};
use super::rows;
use crate::data::listed::{Few, Rows};
use crate::error::Result;
use half::{bf16, f16};

/// Floats whose greatest is above 1 and not above this are neither in 0 to 1 nor plainly in 0 to 255, unless they are
/// whole.
const DIM: f64 = 32.0;

/// The images of an array `[N, C, H, W]`, `[N, H, W, C]` (C is 1 or 3) or `[N, H, W]`.
pub(super) struct Pixels {
    container: Container,
    index: usize,
    /// Extent and stride (in elements) of N, C, H and W.
    axes: [(usize, usize); 4],
}

impl Pixels {
    /// The array at a position in a file, which must have `count` images.
    pub(super) fn new(container: Container, index: usize, count: usize) -> Result<Self> {
        container.bytes(index)?;
        let spec = &container.specs()[index];
        if !spec.element.is_number() {
            return Err(container.fault(index, "images: integers from 0 to 255, or floats", spec.describe()));
        }
        let axes = axes(spec).map_err(|expected| container.fault(index, expected, spec.describe()))?;
        if axes[0].0 != count {
            let expected = format!("{count} images, as many as labels");
            return Err(container.fault(index, expected, axes[0].0));
        }
        Ok(Pixels { container, index, axes })
    }
}

impl Rows for Pixels {
    fn read(mut self: Box<Self>, chosen: &[usize]) -> Result<Few> {
        let spec = self.container.specs()[self.index].clone();
        let [count, channels, height, width] = self.axes.map(|(extent, _)| extent);
        let mut kept = chosen.to_vec();
        kept.sort_unstable();
        kept.dedup();
        let value = value_of(&spec);
        let size = spec.element.size().filter(|&size| size > 0).unwrap_or(1);

        let mut range = Range::default();
        let float = !spec.element.is_integer();
        let bytes = if float {
            let look =
                |part: &[u8]| part.chunks_exact(size).try_for_each(|element| range.add(value(element)));
            rows::all(&mut self.container, self.index, count, &kept, look)?
        } else {
            let bytes = rows::chosen(&mut self.container, self.index, count, &kept)?;
            bytes.chunks_exact(size).for_each(|element| drop(range.add(value(element))));
            bytes
        };
        let Range { low, high, whole, .. } = range;
        // A rounding above 1 is no other range.
        let unit = float && high <= 1.0 + 1e-6;
        if low < 0.0 || high > 255.0 || float && !unit && !whole && high < DIM {
            let expected =
                "pixels from 0 to 255, or floats from 0 to 1 (images as they were before any normalisation)";
            return Err(self.container.fault(self.index, expected, format!("numbers from {low} to {high}")));
        }
        let mut notes = Vec::new();
        let name = spec.name.escape_debug();
        if !unit && high < DIM {
            notes.push(format!("`{name}`: the greatest pixel is {high} of 255"));
        }

        // Among the images that are kept: those of Fortran's order lie side by side, element by element.
        let strides = match (spec.fortran, self.axes.map(|(_, stride)| stride)) {
            (false, strides) => strides,
            (true, [_, c, h, w]) => {
                [1, c / count * kept.len(), h / count * kept.len(), w / count * kept.len()]
            }
        };
        let shape = [channels, height, width];
        let in_order = strides == [channels * height * width, height * width, width, 1];
        if spec.element == Element::Uint(1) && in_order && kept == chosen {
            return Ok(Few { shape, pixels: bytes, notes });
        }
        let factor = if unit { 255.0 } else { 1.0 };
        let [along_n, along_c, along_h, along_w] = strides;
        let mut pixels = Vec::with_capacity(chosen.len() * channels * height * width);
        let mut off = 0f64;
        for image in chosen {
            let n = kept.partition_point(|other| other < image);
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
            notes.push(format!("`{name}`: floats from {scale}{rounding}"));
        }
        Ok(Few { shape, pixels, notes })
    }
}

/// What is known of the numbers that were looked at.
struct Range {
    low: f64,
    high: f64,
    /// Whether all are whole.
    whole: bool,
    count: usize,
}

impl Default for Range {
    fn default() -> Self {
        Range { low: f64::INFINITY, high: f64::NEG_INFINITY, whole: true, count: 0 }
    }
}

impl Range {
    /// Looks at a number; `Err` says which one is not finite.
    fn add(&mut self, value: f64) -> std::result::Result<(), String> {
        if !value.is_finite() {
            return Err(format!("{value} at element {}", self.count));
        }
        (self.low, self.high) = (self.low.min(value), self.high.max(value));
        self.whole &= value.fract() == 0.0;
        self.count += 1;
        Ok(())
    }
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

/// How an element, which is a number, is read.
fn value_of(spec: &Spec) -> impl Fn(&[u8]) -> f64 + use<> {
    let (element, big_endian) = (spec.element.clone(), spec.big_endian);
    move |bytes: &[u8]| {
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
    }
}
