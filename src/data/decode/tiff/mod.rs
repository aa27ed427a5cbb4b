//! TIFF: the first image of a file, in strips or tiles, its samples together or in planes; not compressed, or by LZW,
//! deflate or PackBits, with or without the predictor; grey, RGB, CMYK or a palette, with or without further samples.
//! Its orientation is applied, as Pillow does for this format. Other kinds are refused by name.

mod directory;
mod strips;

use super::{Decoded, Outcome, Remark, check_size, without};
use directory::Directory;

/// What the samples of a pixel are, by the number that TIFF gives it.
const WHITE_IS_ZERO: usize = 0;
const BLACK_IS_ZERO: usize = 1;
const RGB: usize = 2;
const PALETTE: usize = 3;
const CMYK: usize = 5;

/// What a directory says of its image.
struct Image {
    width: usize,
    height: usize,
    /// Bits of a sample: 1, 2, 4, 8 or 16.
    bits: usize,
    /// Samples of a pixel.
    samples: usize,
    /// What they are, and whether the first sample beyond the colours is an alpha that they were multiplied by.
    photometric: usize,
    multiplied: bool,
}

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

impl Image {
    fn new(directory: &Directory, file_size: usize) -> Outcome<Self> {
        let width = directory.number(256)?.ok_or("no width")?;
        let height = directory.number(257)?.ok_or("no height")?;
        let samples = directory.number(277)?.unwrap_or(1);
        let photometric = directory.number(262)?.unwrap_or(WHITE_IS_ZERO);
        let depths = directory.numbers(258)?.unwrap_or_else(|| vec![1]);
        let bits = depths.first().copied().unwrap_or(1);
        if depths.iter().any(|&other| other != bits) {
            return Err("samples of several depths, which are not read".into());
        }
        let extra = directory.numbers(338)?.unwrap_or_default();
        let signed = directory.numbers(339)?.is_some_and(|formats| formats.iter().any(|&format| format != 1));
        if signed && !(photometric == BLACK_IS_ZERO && bits == 8 && directory.number(339)? == Some(2)) {
            return Err("samples that are signed or fractions, which are not read".into());
        }
        let (colours, name) = match photometric {
            WHITE_IS_ZERO | BLACK_IS_ZERO => (1, "grey"),
            RGB => (3, "RGB"),
            PALETTE => (1, "palette"),
            CMYK => (4, "CMYK"),
            6 => return Err("YCbCr samples, which are not read".into()),
            8..=10 => return Err("Lab samples, which are not read".into()),
            other => return Err(format!("samples of kind {other}, which are not read")),
        };
        let readable = match (photometric, bits) {
            (BLACK_IS_ZERO | RGB, 8 | 16) | (WHITE_IS_ZERO | PALETTE | CMYK, 8) => true,
            (WHITE_IS_ZERO | BLACK_IS_ZERO | PALETTE, 1 | 2 | 4) => samples == 1,
            _ => false,
        };
        if !readable || !(colours..=colours + 3).contains(&samples) {
            return Err(format!("{samples} {name} samples of {bits} bits, which are not read"));
        }
        let multiplied = extra.first() == Some(&1);
        if multiplied && (photometric, bits) != (RGB, 8) {
            return Err("an alpha channel that the samples were multiplied by, which is not read".into());
        }
        check_size(width, height, samples * bits, file_size)?;
        Ok(Self { width, height, bits, samples, photometric, multiplied })
    }

    /// Bytes of a row of the image.
    fn row_bytes(&self) -> usize {
        (self.width * self.samples * self.bits).div_ceil(8)
    }

    /// The colour that the samples of a pixel mean.
    fn colour(&self, pixel: &[u16], palette: &[[u8; 3]]) -> [u8; 3] {
        let byte = |sample: &u16| if self.bits == 16 { (sample >> 8) as u8 } else { *sample as u8 };
        match (self.photometric, pixel) {
            (PALETTE, [index, ..]) => palette.get(usize::from(*index)).copied().unwrap_or_default(),
            (RGB, [red, green, blue, alpha, ..]) if self.multiplied => {
                [red, green, blue].map(|colour| match *alpha {
                    0 => 0,
                    alpha => (255 * u32::from(*colour) / u32::from(alpha)).min(255) as u8,
                })
            }
            (RGB, [red, green, blue, ..]) => [red, green, blue].map(byte),
            (CMYK, [cyan, magenta, yellow, black, ..]) => {
                [cyan, magenta, yellow].map(|ink| without(byte(ink), 255 - byte(black)))
            }
            // Pillow does not scale 16-bit grey.
            (_, [grey, ..]) if self.bits == 16 => [(*grey).min(255) as u8; 3],
            (kind, [grey, ..]) => {
                let grey = byte(grey) * (255 / ((1u16 << self.bits) - 1) as u8);
                [if kind == WHITE_IS_ZERO { 255 - grey } else { grey }; 3]
            }
            _ => [0; 3],
        }
    }
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
