//! Planes of samples to RGB pixels: smaller planes are enlarged, then the colours converted, row by row.
//!
//! Planes of half the width or height are enlarged by libjpeg's "fancy" rule: the nearer sample counts three times as
//! much as the farther one, in each direction; others are repeated. The conversion is JFIF's in 16-bit fixed point.
//! CMYK becomes RGB as in Pillow, which takes the inks of every such file for inverted, as Adobe writes them.

use super::super::decoded::without;
use super::frame::{Colours, Component, Frame};

/// Pixels that are converted at once: so many that the compiler makes vector code of it.
const AT_ONCE: usize = 16;

/// The frame's samples as `[height, width, 3]`.
pub(super) fn pixels(frame: &Frame, colours: Colours) -> Vec<u8> {
    let mut pixels = Vec::with_capacity(3 * frame.width * frame.height);
    let mut rows = frame.components.iter().map(|_| Vec::new()).collect::<Vec<_>>();
    let mut line = vec![[0; 3]; frame.width.next_multiple_of(AT_ONCE)];
    for y in 0..frame.height {
        for (component, row) in frame.components.iter().zip(&mut rows) {
            enlarge(component, frame.across / component.across, frame.down / component.down, y, row);
            row.resize(row.len().next_multiple_of(AT_ONCE), 0);
        }
        convert(&rows, colours, &mut line);
        pixels.extend_from_slice(line[..frame.width].as_flattened());
    }
    pixels
}

/// Row `y` of the image from a plane that is `across` times narrower and `down` times lower; it may be longer than
/// the image is wide.
fn enlarge(component: &Component, across: usize, down: usize, y: usize, row: &mut Vec<u8>) {
    let line = |y: usize| &component.samples[8 * component.stride * y..][..component.width];
    // The row before or after, whichever is nearer; at the edges the row itself.
    let other = |y: usize| match y % 2 {
        0 => line((y / 2).saturating_sub(1)),
        _ => line((y / 2 + 1).min(component.height - 1)),
    };
    row.clear();
    match (across, down) {
        (1, 1) => row.extend_from_slice(line(y)),
        (2, 1) if component.width > 2 => {
            let line = line(y);
            row.resize(2 * component.width, 0);
            widen(line, row, |near, far| (3 * near + far + 1) >> 2, |near, far| (3 * near + far + 2) >> 2);
        }
        (1, 2) => {
            let rounding = 1 + (y % 2) as u16;
            let pairs = line(y / 2).iter().zip(other(y));
            row.extend(
                pairs.map(|(&near, &far)| ((3 * u16::from(near) + u16::from(far) + rounding) >> 2) as u8),
            );
        }
        (2, 2) if component.width > 2 => {
            let pairs = line(y / 2).iter().zip(other(y));
            let sums: Vec<_> = pairs.map(|(&near, &far)| 3 * u16::from(near) + u16::from(far)).collect();
            row.resize(2 * component.width, 0);
            widen(&sums, row, |near, far| (3 * near + far + 8) >> 4, |near, far| (3 * near + far + 7) >> 4);
        }
        _ => row.extend(line(y / down).iter().flat_map(|&sample| std::iter::repeat_n(sample, across))),
    }
}

/// Doubles a row of at least two values: `left` and `right` make the two samples from a value and the one beyond.
fn widen<T: Copy + Into<u32>>(
    from: &[T],
    to: &mut [u8],
    left: impl Fn(u32, u32) -> u32,
    right: impl Fn(u32, u32) -> u32,
) {
    let (pairs, last) = (to.as_chunks_mut::<2>().0, from.len() - 1);
    let value = |x: usize| from[x].into();
    pairs[0] = [left(value(0), value(0)) as u8, right(value(0), value(1)) as u8];
    pairs[last] = [left(value(last), value(last - 1)) as u8, right(value(last), value(last)) as u8];
    let around = from.iter().zip(&from[1..]).zip(&from[2..]);
    for (pair, ((&before, &here), &after)) in pairs[1..last].iter_mut().zip(around) {
        let (before, here, after) = (before.into(), here.into(), after.into());
        *pair = [left(here, before) as u8, right(here, after) as u8];
    }
}

/// One row of RGB from the rows of the components.
fn convert(rows: &[Vec<u8>], colours: Colours, line: &mut [[u8; 3]]) {
    match (colours, rows) {
        (Colours::Grey, [grey, ..]) => {
            for (pixel, &grey) in line.iter_mut().zip(grey) {
                *pixel = [grey; 3];
            }
        }
        (Colours::Rgb, [red, green, blue, ..]) => {
            for (((pixel, &red), &green), &blue) in line.iter_mut().zip(red).zip(green).zip(blue) {
                *pixel = [red, green, blue];
            }
        }
        (Colours::YCbCr | Colours::Ycck, [y, cb, cr, ..]) => {
            let parts = line.as_chunks_mut().0.iter_mut().zip(y.as_chunks().0);
            for (((pixels, y), cb), cr) in parts.zip(cb.as_chunks().0).zip(cr.as_chunks().0) {
                to_rgb(y, cb, cr, pixels);
            }
        }
        (Colours::Cmyk, [cyan, magenta, yellow, ..]) => {
            for (((pixel, &cyan), &magenta), &yellow) in line.iter_mut().zip(cyan).zip(magenta).zip(yellow) {
                *pixel = [255 - cyan, 255 - magenta, 255 - yellow];
            }
        }
        _ => {}
    }
    if let [_, _, _, black] = rows {
        for (pixel, &light) in line.iter_mut().zip(black) {
            *pixel = pixel.map(|ink| without(ink, light));
        }
    }
}

/// JFIF's conversion: `R = Y + 1.402 Cr`, `G = Y - 0.344136 Cb - 0.714136 Cr`, `B = Y + 1.772 Cb`, with 16 bits of
/// fraction. Whole parts of the factors are apart, so that 16 bits hold the rest, as vector code likes it.
fn to_rgb(y: &[u8; AT_ONCE], cb: &[u8; AT_ONCE], cr: &[u8; AT_ONCE], pixels: &mut [[u8; 3]; AT_ONCE]) {
    const HALF: i32 = 1 << 15;
    let [mut red, mut green, mut blue] = [[0; AT_ONCE]; 3];
    for i in 0..AT_ONCE {
        let (y, cb, cr) = (i32::from(y[i]), i32::from(cb[i]) - 128, i32::from(cr[i]) - 128);
        red[i] = (y + cr + ((26_345 * cr + HALF) >> 16)).clamp(0, 255) as u8;
        green[i] = (y - cr + ((-22_554 * cb + 18_734 * cr + HALF) >> 16)).clamp(0, 255) as u8;
        blue[i] = (y + 2 * cb + ((-14_942 * cb + HALF) >> 16)).clamp(0, 255) as u8;
    }
    for (i, pixel) in pixels.iter_mut().enumerate() {
        *pixel = [red[i], green[i], blue[i]];
    }
}
