//! What a directory says of its image: its size, its samples, and the colours that they mean.

use super::super::decoded::{Outcome, check_size, without};
use super::directory::Directory;

/// What the samples of a pixel are, by the number that TIFF gives it.
const WHITE_IS_ZERO: usize = 0;
pub(super) const BLACK_IS_ZERO: usize = 1;
const RGB: usize = 2;
pub(super) const PALETTE: usize = 3;
const CMYK: usize = 5;

/// What a directory says of its image.
pub(super) struct Image {
    pub width: usize,
    pub height: usize,
    /// Bits of a sample: 1, 2, 4, 8 or 16.
    pub bits: usize,
    /// Samples of a pixel.
    pub samples: usize,
    /// What they are, and whether the first sample beyond the colours is an alpha that they were multiplied by.
    pub photometric: usize,
    multiplied: bool,
}

impl Image {
    pub fn new(directory: &Directory, file_size: usize) -> Outcome<Self> {
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
    pub fn row_bytes(&self) -> usize {
        (self.width * self.samples * self.bits).div_ceil(8)
    }

    /// The colour that the samples of a pixel mean.
    pub fn colour(&self, pixel: &[u16], palette: &[[u8; 3]]) -> [u8; 3] {
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
