//! PNG of any colour type and depth.

use super::{Decoded, Outcome, Remark, check_size, one_line};
use png::{BitDepth, ColorType, Decoder, Transformations};
use std::io::Cursor;

pub(super) fn decode(bytes: &[u8]) -> Outcome<Decoded> {
    let mut decoder = Decoder::new(Cursor::new(bytes));
    let header = decoder.read_header_info().map_err(one_line)?;
    let (width, height) = (header.width as usize, header.height as usize);
    let deep_grey = (header.color_type, header.bit_depth) == (ColorType::Grayscale, BitDepth::Sixteen);
    check_size(width, height, header.bits_per_pixel(), bytes.len())?;
    if !deep_grey {
        // Palette and 1, 2, 4 bits to 8 bits, 16 bits to the upper 8.
        decoder.set_transformations(Transformations::normalize_to_color8());
    }
    let mut reader = decoder.read_info().map_err(one_line)?;
    let mut buffer = vec![0; reader.output_buffer_size().ok_or("more pixels than memory")?];
    let frame = reader.next_frame(&mut buffer).map_err(one_line)?;
    buffer.truncate(frame.buffer_size());
    let pixels = match frame.color_type {
        ColorType::Rgb => buffer,
        ColorType::Rgba => buffer.as_chunks::<4>().0.iter().flat_map(|p| [p[0], p[1], p[2]]).collect(),
        ColorType::Grayscale if deep_grey => {
            let values = buffer.as_chunks().0.iter().map(|&value| u16::from_be_bytes(value).min(255) as u8);
            values.flat_map(|grey| [grey; 3]).collect()
        }
        ColorType::Grayscale => buffer.iter().flat_map(|&grey| [grey; 3]).collect(),
        ColorType::GrayscaleAlpha => {
            buffer.as_chunks::<2>().0.iter().flat_map(|pixel| [pixel[0]; 3]).collect::<Vec<_>>()
        }
        ColorType::Indexed => return Err("a palette that cannot be looked up".into()),
    };
    if pixels.len() != 3 * width * height {
        return Err(format!("{} bytes for {width}×{height} pixels", pixels.len()));
    }
    Ok(Decoded { width, height, pixels, remark: deep_grey.then_some(Remark::DeepGrey) })
}
