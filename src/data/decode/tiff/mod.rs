//! TIFF: the first image of a file, in strips or tiles, its samples together or in planes; not compressed, or by LZW,
//! deflate or PackBits, with or without the predictor; grey, RGB, CMYK or a palette, with or without further samples.
//! Its orientation is applied, as Pillow does for this format. Other kinds are refused by name.

mod directory;
mod image;
mod strips;

use super::decoded::{Decoded, Outcome, Remark};
use directory::Directory;
use image::{BLACK_IS_ZERO, Image, PALETTE};

pub(super) fn decode(bytes: &[u8]) -> Outcome<Decoded> {
    let directory = Directory::first(bytes)?;
    let image = Image::new(&directory, bytes.len())?;
    let palette = match image.photometric {
        PALETTE => directory.palette(image.bits)?,
        _ => Vec::new(),
    };
    let rows = strips::read(bytes, &directory, &image)?;
    let mut pixels = Vec::with_capacity(3 * image.width * image.height);
    let mut samples = vec![0; image.width * image.samples];
    for row in rows.chunks_exact(image.row_bytes()) {
        unpack(row, image.bits, directory.big_endian, &mut samples);
        for pixel in samples.chunks_exact(image.samples) {
            pixels.extend(image.colour(pixel, &palette));
        }
    }
    let (width, height, pixels) =
        oriented(directory.number(274)?.unwrap_or(1), image.width, image.height, pixels);
    let deep_grey = image.bits == 16 && image.photometric == BLACK_IS_ZERO;
    Ok(Decoded { width, height, pixels, remark: deep_grey.then_some(Remark::DeepGrey) })
}

/// The samples of a row of bytes.
fn unpack(row: &[u8], bits: usize, big_endian: bool, samples: &mut [u16]) {
    match bits {
        16 => {
            for (to, &from) in samples.iter_mut().zip(row.as_chunks().0) {
                *to = if big_endian { u16::from_be_bytes(from) } else { u16::from_le_bytes(from) };
            }
        }
        8 => samples.iter_mut().zip(row).for_each(|(to, &from)| *to = from.into()),
        _ => {
            let in_byte = 8 / bits;
            for (x, to) in samples.iter_mut().enumerate() {
                let byte = row[x / in_byte] >> (8 - bits - bits * (x % in_byte));
                *to = (byte & ((1 << bits) - 1)).into();
            }
        }
    }
}

/// The image as its orientation (1 to 8) says that it stands.
fn oriented(orientation: usize, width: usize, height: usize, pixels: Vec<u8>) -> (usize, usize, Vec<u8>) {
    let (across, down) = if (5..=8).contains(&orientation) { (height, width) } else { (width, height) };
    let from: fn(usize, usize, usize, usize) -> (usize, usize) = match orientation {
        2 => |x, y, right, _| (right - x, y),
        3 => |x, y, right, bottom| (right - x, bottom - y),
        4 => |x, y, _, bottom| (x, bottom - y),
        5 => |x, y, _, _| (y, x),
        6 => |x, y, _, bottom| (y, bottom - x),
        7 => |x, y, right, bottom| (right - y, bottom - x),
        8 => |x, y, right, _| (right - y, x),
        _ => return (width, height, pixels),
    };
    let source = pixels.as_chunks::<3>().0;
    let places = (0..down).flat_map(|y| (0..across).map(move |x| (x, y)));
    let turned = places.flat_map(|(x, y)| {
        let (x, y) = from(x, y, width - 1, height - 1);
        source[y * width + x]
    });
    (across, down, turned.collect())
}
