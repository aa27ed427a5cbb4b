//! The strips or tiles of a TIFF image, expanded and put together to rows.

use super::super::decoded::{Outcome, TRUNCATED, check_size, one_line};
use super::directory::Directory;
use super::image::Image;
use flate2::read::ZlibDecoder;
use std::borrow::Cow;
use std::io::Read;
use weezl::{BitOrder, LzwStatus, decode::Decoder};

/// How the bytes of a strip or tile are to be taken.
struct Coding {
    compression: usize,
    /// Bits come from the lowest up.
    reversed: bool,
    /// Samples are differences to those before.
    differences: bool,
    big_endian: bool,
    bits: usize,
    /// Samples that stand together.
    together: usize,
}

/// The rows of the image, each of [`Image::row_bytes`], one after the other.
pub(super) fn read(bytes: &[u8], directory: &Directory, image: &Image) -> Outcome<Vec<u8>> {
    let planes = match directory.number(284)?.unwrap_or(1) {
        2 if image.samples > 1 => image.samples,
        _ => 1,
    };
    let coding = Coding::new(directory, image, image.samples / planes)?;
    let tiles = directory.number(322)?;
    let (width, height, offsets, lengths) = match tiles {
        Some(width) => (width, directory.number(323)?.ok_or("tiles without a height")?, 324, 325),
        None => (image.width, directory.number(278)?.unwrap_or(image.height).min(image.height), 273, 279),
    };
    check_size(width, height, coding.together * image.bits, bytes.len())?;
    let offsets = directory.numbers(offsets)?.ok_or("no image data")?;
    let lengths = directory.numbers(lengths)?.unwrap_or_default();
    let (across, down) = (image.width.div_ceil(width), image.height.div_ceil(height));
    let row_bytes = (width * coding.together * image.bits).div_ceil(8);
    // Bytes from pixel to pixel, and of a part of one; samples of less than a byte stand alone.
    let (step, part) = match image.bits {
        8 | 16 => (image.samples * image.bits / 8, coding.together * image.bits / 8),
        _ => (1, 1),
    };
    if tiles.is_some() && !(width * image.bits).is_multiple_of(8) {
        return Err("tiles that end within a byte".into());
    }
    let mut rows = vec![0; image.row_bytes() * image.height];
    for index in 0..planes * across * down {
        let (plane, at) = (index / (across * down), index % (across * down));
        let (x, y) = (at % across * width, at / across * height);
        let offset = *offsets.get(index).ok_or(TRUNCATED)?;
        let data = bytes.get(offset..).ok_or(TRUNCATED)?;
        let data = match lengths.get(index) {
            // What is not compressed is as long as its pixels; Pillow does not look at the lengths then.
            Some(&length) if coding.compression != 1 => data.get(..length).ok_or(TRUNCATED)?,
            _ => data,
        };
        let high = if tiles.is_some() { height } else { height.min(image.height - y) };
        let mut chunk = coding.expand(data, row_bytes * high)?;
        let from_byte = x * step * image.bits.min(8) / 8 + plane * part;
        for (y, row) in (y..image.height).zip(chunk.chunks_exact_mut(row_bytes)) {
            coding.undo_differences(row);
            let to = &mut rows[y * image.row_bytes()..(y + 1) * image.row_bytes()][from_byte..];
            if step == part {
                let length = to.len().min(row.len());
                to[..length].copy_from_slice(&row[..length]);
                continue;
            }
            for (to, from) in to.chunks_mut(step).zip(row.chunks_exact(part)) {
                to[..part].copy_from_slice(from);
            }
        }
    }
    Ok(rows)
}

impl Coding {
    fn new(directory: &Directory, image: &Image, together: usize) -> Outcome<Self> {
        let compression = directory.number(259)?.unwrap_or(1);
        let name = match compression {
            1 | 5 | 8 | 32_773 | 32_946 => "",
            2..=4 => "fax compression",
            6 | 7 => "JPEG within TIFF",
            34_925 => "LZMA compression",
            50_000 => "Zstandard compression",
            50_001 => "WebP within TIFF",
            _ => "an unknown compression",
        };
        if !name.is_empty() {
            return Err(format!("{name} ({compression}), which is not read"));
        }
        let differences = match directory.number(317)?.unwrap_or(1) {
            2 if matches!(compression, 5 | 8 | 32_946) => true,
            3 => return Err("the predictor for fractions, which is not read".into()),
            _ => false,
        };
        if differences && image.bits < 8 {
            return Err(format!("a predictor for samples of {} bits, which is not read", image.bits));
        }
        Ok(Self {
            compression,
            reversed: directory.number(266)?.unwrap_or(1) == 2,
            differences,
            big_endian: directory.big_endian,
            bits: image.bits,
            together,
        })
    }

    /// The `size` bytes that `data` stands for.
    fn expand(&self, data: &[u8], size: usize) -> Outcome<Vec<u8>> {
        let data = match self.reversed {
            true => Cow::Owned(data.iter().map(|byte| byte.reverse_bits()).collect::<Vec<_>>()),
            false => Cow::Borrowed(data),
        };
        let mut out = Vec::new();
        match self.compression {
            1 => out.extend_from_slice(data.get(..size).ok_or(TRUNCATED)?),
            5 => {
                out.resize(size, 0);
                expand_lzw(&data, &mut out)?;
            }
            32_773 => expand_runs(&data, size, &mut out),
            _ => {
                // One byte more, so that a stream that ends here has its check sum looked at.
                let mut stream = ZlibDecoder::new(data.as_ref()).take(size as u64 + 1);
                stream.read_to_end(&mut out).map_err(one_line)?;
                out.truncate(size);
            }
        }
        if out.len() == size { Ok(out) } else { Err(TRUNCATED.into()) }
    }

    fn undo_differences(&self, row: &mut [u8]) {
        if !self.differences {
            return;
        }
        if self.bits == 8 {
            for at in self.together..row.len() {
                row[at] = row[at].wrapping_add(row[at - self.together]);
            }
            return;
        }
        let samples = row.as_chunks_mut::<2>().0;
        for at in self.together..samples.len() {
            let (before, here) = (samples[at - self.together], samples[at]);
            samples[at] = match self.big_endian {
                true => u16::from_be_bytes(before).wrapping_add(u16::from_be_bytes(here)).to_be_bytes(),
                false => u16::from_le_bytes(before).wrapping_add(u16::from_le_bytes(here)).to_le_bytes(),
            };
        }
    }
}

/// Fills `out` from LZW codes.
fn expand_lzw(mut data: &[u8], mut out: &mut [u8]) -> Outcome<()> {
    let mut decoder = Decoder::with_tiff_size_switch(BitOrder::Msb, 8);
    while !out.is_empty() {
        let done = decoder.decode_bytes(data, out);
        data = &data[done.consumed_in..];
        out = &mut std::mem::take(&mut out)[done.consumed_out..];
        match done.status {
            Ok(LzwStatus::Ok) => {}
            _ if out.is_empty() => {}
            Ok(LzwStatus::Done | LzwStatus::NoProgress) => return Err(TRUNCATED.into()),
            Err(_) => return Err("broken LZW codes".into()),
        }
    }
    Ok(())
}

/// PackBits: runs of one byte, and bytes as they are.
fn expand_runs(mut data: &[u8], size: usize, out: &mut Vec<u8>) {
    while out.len() < size
        && let Some((&count, rest)) = data.split_first()
    {
        let count = count as i8;
        match (usize::try_from(count), rest.split_first()) {
            (Ok(count), _) => {
                let (raw, rest) = rest.split_at(rest.len().min(count + 1));
                out.extend_from_slice(raw);
                data = rest;
            }
            (Err(_), _) if count == -128 => data = rest,
            (Err(_), Some((&byte, rest))) => {
                out.resize(out.len() + usize::from(count.unsigned_abs()) + 1, byte);
                data = rest;
            }
            (Err(_), None) => break,
        }
    }
    out.truncate(size);
}
