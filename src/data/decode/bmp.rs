//! BMP of 1, 4, 8, 16, 24 or 32 bits, not compressed or by runs (RLE4, RLE8), with the colour masks that Pillow knows.

use super::decoded::{Decoded, Outcome, TRUNCATED, check_size};

/// The kinds of compression: none, runs of 8 and of 4 bits, none with colour masks.
const NONE: u32 = 0;
const RUNS_8: u32 = 1;
const RUNS_4: u32 = 2;
const MASKS: u32 = 3;

/// How a pixel is stored.
enum Layout {
    /// Colours by index.
    Palette(Vec<[u8; 3]>),
    /// 5, 5 (or 6) and 5 bits in two bytes: the largest green.
    Short(u16),
    /// Which of the bytes of a pixel are red, green and blue.
    Bytes([usize; 3]),
}

pub(super) fn decode(bytes: &[u8]) -> Outcome<Decoded> {
    let header = usize::try_from(u32_at(bytes, 14)?).map_err(|_| TRUNCATED)?;
    let (width, height, bits, compression, colours, top_down, entry) = match header {
        12 => (u16_at(bytes, 18)?.into(), u16_at(bytes, 20)?.into(), u16_at(bytes, 24)?, NONE, 0, false, 3),
        40 | 52 | 56 | 64 | 108 | 124 => {
            let height = u32_at(bytes, 22)?;
            // A negative height: the rows come from top to bottom.
            let top_down = height >> 24 == 0xff;
            let height = if top_down { height.wrapping_neg() } else { height };
            let (bits, compression) = (u16_at(bytes, 28)?, u32_at(bytes, 30)?);
            (u32_at(bytes, 18)?, height, bits, compression, u32_at(bytes, 46)?, top_down, 4)
        }
        other => return Err(format!("a header of {other} bytes")),
    };
    let (width, height) = (width as usize, height as usize);
    check_size(width, height, usize::from(bits), bytes.len())?;
    let mut after_header = 14 + header;
    let mut bits = bits;
    let stride = (width * usize::from(bits)).div_ceil(32) * 4;
    let layout = match (bits, compression) {
        (1, NONE) | (4, NONE | RUNS_4) | (8, NONE | RUNS_8) => {
            let colours = if colours == 0 { 1 << bits } else { colours.min(65_536) as usize };
            let palette = bytes.get(after_header..after_header + entry * colours).ok_or(TRUNCATED)?;
            after_header += entry * colours;
            let palette: Vec<_> = palette.chunks_exact(entry).map(|c| [c[2], c[1], c[0]]).collect();
            match (is_grey(&palette), colours, compression) {
                // Pillow takes such a file for one of 1 bit, whatever it is.
                (true, 1 | 2, NONE) => {
                    bits = 1;
                    Layout::Palette(vec![[0; 3], [255; 3]])
                }
                (true, ..) if compression != NONE || bits == 8 => {
                    Layout::Palette((0..=255).map(|grey| [grey; 3]).collect())
                }
                (true, ..) => {
                    return Err(format!(
                        "a palette of plain greys with {bits} bits per pixel, which Pillow misreads"
                    ));
                }
                _ => Layout::Palette(palette),
            }
        }
        (16, NONE) => Layout::Short(31),
        (24, NONE) | (32, NONE) => Layout::Bytes([2, 1, 0]),
        (16 | 24 | 32, MASKS) => {
            let masks = [u32_at(bytes, 54)?, u32_at(bytes, 58)?, u32_at(bytes, 62)?];
            if header == 40 {
                after_header += 12;
            }
            masked(bits, masks)?
        }
        (bits, compression) => return Err(format!("{bits} bits per pixel with compression {compression}")),
    };
    let start = match u32_at(bytes, 10)? as usize {
        0 => after_header,
        // Some writers forget the palette here.
        start if start == 14 + header && bits <= 8 => after_header,
        start => start,
    };
    let data = bytes.get(start..).ok_or(TRUNCATED)?;
    let runs;
    let (data, bits, stride) = if matches!(compression, RUNS_4 | RUNS_8) {
        runs = expand(data, start, compression == RUNS_4, width, width * height)?;
        (runs.as_slice(), 8, width)
    } else {
        (data, usize::from(bits), stride)
    };
    let mut pixels = Vec::new();
    for y in 0..height {
        let row = if top_down { y } else { height - 1 - y } * stride;
        // The last row may lack its filling.
        let row = data.get(row..row + (width * bits).div_ceil(8)).ok_or(TRUNCATED)?;
        write_row(row, bits, width, &layout, &mut pixels);
    }
    Ok(Decoded { width, height, pixels, remark: None })
}

/// Whether a palette is what Pillow takes for none: black and white, or every grey at its own place.
fn is_grey(palette: &[[u8; 3]]) -> bool {
    let expected = |index: usize| if palette.len() == 2 { 255 * index } else { index };
    palette
        .iter()
        .enumerate()
        .all(|(index, colour)| colour.iter().all(|&value| usize::from(value) == expected(index)))
}

/// The layout that colour masks mean.
fn masked(bits: u16, masks: [u32; 3]) -> Outcome<Layout> {
    let byte = |mask: u32| (0..4).find(|&byte| mask == 0xff << (8 * byte));
    match (bits, masks) {
        (16, [0x7c00, 0x3e0, 0x1f]) => return Ok(Layout::Short(31)),
        (16, [0xf800, 0x7e0, 0x1f]) => return Ok(Layout::Short(63)),
        (32, [0, 0, 0]) => return Ok(Layout::Bytes([2, 1, 0])),
        (24 | 32, [red, green, blue]) => {
            if let (Some(red), Some(green), Some(blue)) = (byte(red), byte(green), byte(blue))
                && (bits == 32 || red.max(green).max(blue) < 3)
            {
                return Ok(Layout::Bytes([red, green, blue]));
            }
        }
        _ => {}
    }
    Err(format!("colour masks {masks:x?} for {bits} bits"))
}

fn write_row(row: &[u8], bits: usize, width: usize, layout: &Layout, pixels: &mut Vec<u8>) {
    match layout {
        Layout::Palette(palette) => {
            for x in 0..width {
                let in_byte = 8 / bits;
                let index = row[x / in_byte] >> (8 - bits - bits * (x % in_byte)) & (255 >> (8 - bits));
                // As in Pillow, a colour that the file does not give is black.
                pixels.extend(palette.get(usize::from(index)).copied().unwrap_or_default());
            }
        }
        Layout::Short(green) => {
            let green_bits = green.count_ones();
            pixels.extend(row.as_chunks().0.iter().flat_map(|&pixel| {
                let pixel = u16::from_le_bytes(pixel);
                let to_8 = |value: u16, largest: u16| (value * 255 / largest) as u8;
                let red = pixel >> (5 + green_bits) & 31;
                [to_8(red, 31), to_8(pixel >> 5 & green, *green), to_8(pixel & 31, 31)]
            }));
        }
        Layout::Bytes(colours) => {
            pixels.extend(row.chunks_exact(bits / 8).flat_map(|pixel| colours.map(|colour| pixel[colour])));
        }
    }
}

/// Expands runs to `size` indices of 8 bits. `start` is where in the file the data lie: parts are aligned by that.
fn expand(data: &[u8], start: usize, half: bool, width: usize, size: usize) -> Outcome<Vec<u8>> {
    let mut indices = Vec::new();
    let (mut at, mut x) = (0, 0);
    while indices.len() < size {
        let Some(&[count, value]) = data.get(at..).and_then(|rest| rest.first_chunk()) else { break };
        at += 2;
        let count = usize::from(count);
        match (count, value) {
            (0, 0) => {
                indices.resize(indices.len().next_multiple_of(width), 0);
                x = 0;
            }
            (0, 1) => break,
            (0, 2) => {
                let Some(&[right, up]) = data.get(at..).and_then(|rest| rest.first_chunk()) else { break };
                at += 2;
                indices.resize(size.min(indices.len() + usize::from(right) + usize::from(up) * width), 0);
                x = indices.len() % width;
            }
            (0, count) => {
                // Indices as they are.
                let taken = usize::from(count).min(size - indices.len());
                let length = if half { taken.div_ceil(2) } else { taken };
                let Some(raw) = data.get(at..at + length) else { break };
                if half {
                    indices.extend(raw.iter().flat_map(|&pair| [pair >> 4, pair & 15]).take(taken));
                } else {
                    indices.extend_from_slice(raw);
                }
                x += usize::from(count);
                at += length;
                at += (start + at) % 2;
            }
            (count, value) => {
                // A run ends with its row.
                let count = count.min(width.saturating_sub(x));
                let pair = if half { [value >> 4, value & 15] } else { [value; 2] };
                indices.extend(pair.iter().cycle().take(count));
                x += count;
            }
        }
    }
    if indices.len() < size {
        return Err(TRUNCATED.into());
    }
    indices.truncate(size);
    Ok(indices)
}

fn u16_at(bytes: &[u8], at: usize) -> Outcome<u16> {
    let bytes = bytes.get(at..).and_then(|rest| rest.first_chunk());
    Ok(u16::from_le_bytes(*bytes.ok_or(TRUNCATED)?))
}

fn u32_at(bytes: &[u8], at: usize) -> Outcome<u32> {
    let bytes = bytes.get(at..).and_then(|rest| rest.first_chunk());
    Ok(u32::from_le_bytes(*bytes.ok_or(TRUNCATED)?))
}
