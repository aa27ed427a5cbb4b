//! GIF (the first frame) and WebP, by libraries. Lossy WebP, too, comes out as Pillow's libwebp has it, bit for bit.

use super::decoded::{Decoded, Outcome, TRUNCATED, check_size, one_line};
use gif::{ColorOutput, DecodeOptions, MemoryLimit};
use image_webp::WebPDecoder;
use std::io::Cursor;

pub(super) fn decode_webp(bytes: &[u8]) -> Outcome<Decoded> {
    // libwebp decodes nothing of a file that is shorter than it says; the library may not miss what is cut.
    let claimed = bytes.get(4..).and_then(|rest| rest.first_chunk()).map(|&size| u32::from_le_bytes(size));
    if claimed.is_none_or(|claimed| u64::from(claimed) + 8 > bytes.len() as u64) {
        return Err(TRUNCATED.into());
    }
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(one_line)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    check_size(width, height, 0, bytes.len())?;
    let mut buffer = vec![0; decoder.output_buffer_size().ok_or("more pixels than memory")?];
    decoder.read_image(&mut buffer).map_err(one_line)?;
    let pixels = match decoder.has_alpha() {
        true => buffer.as_chunks::<4>().0.iter().flat_map(|p| [p[0], p[1], p[2]]).collect(),
        false => buffer,
    };
    Ok(Decoded { width, height, pixels, remark: None })
}

pub(super) fn decode_gif(bytes: &[u8]) -> Outcome<Decoded> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.set_memory_limit(MemoryLimit::Unlimited);
    options.check_frame_consistency(true);
    options.allow_unknown_blocks(true);
    let mut decoder = options.read_info(Cursor::new(bytes)).map_err(one_line)?;
    let (width, height) = (usize::from(decoder.width()), usize::from(decoder.height()));
    check_size(width, height, 8, bytes.len())?;
    let palette = decoder.global_palette().map(<[u8]>::to_vec);
    let frame = decoder.read_next_frame().map_err(one_line)?.ok_or("no image in it")?;
    let palette = frame.palette.as_ref().or(palette.as_ref());
    // What the frame leaves free has the transparent colour, or the first.
    let mut indices = vec![frame.transparent.unwrap_or(0); width * height];
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let rows = frame.buffer.chunks_exact(usize::from(frame.width).max(1));
    for (to, from) in indices.chunks_exact_mut(width).skip(top).zip(rows) {
        to.iter_mut().skip(left).zip(from).for_each(|(to, from)| *to = *from);
    }
    let colour = |index: &u8| match palette {
        // As in Pillow, a colour that the file does not give is black.
        Some(palette) => palette.as_chunks().0.get(usize::from(*index)).copied().unwrap_or_default(),
        None => [*index; 3],
    };
    Ok(Decoded { width, height, pixels: indices.iter().flat_map(colour).collect(), remark: None })
}
