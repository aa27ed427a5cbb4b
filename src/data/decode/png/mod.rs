//! PNG of any colour type and depth: its chunks, and its rows to RGB.
//!
//! What is wrong with a file is got over just where Pillow does so (without its `LOAD_TRUNCATED_IMAGES`): check values are
//! held to up to the image data and not from there on; the end may be missing, but no chunk before it may be cut;
//! compressed data that end properly may be of fewer rows, the others are zero. Colours that a palette does not give are
//! black. Ancillary chunks are passed over, whatever is in them. The decoder is the program's own because the `png`
//! library refuses most of these.

mod rows;

use super::decoded::{Decoded, Outcome, Remark, TRUNCATED, check_size};
use flate2::Crc;
use rows::Grid;

const SIGNATURE: usize = 8;

/// What a pixel is made of.
#[derive(Clone, Copy)]
enum Colours {
    Grey,
    Rgb,
    Palette,
    GreyAlpha,
    Rgba,
}

/// What the header says.
struct Header {
    grid: Grid,
    colours: Colours,
    /// Bits of a sample.
    depth: u8,
}

pub(super) fn decode(bytes: &[u8]) -> Outcome<Decoded> {
    let File { header, palette, data, cut, mut oddity } = File::read(bytes)?;
    let Header { grid, colours, depth } = header;
    let Grid { width, height, bits, .. } = grid;
    check_size(width, height, bits, bytes.len())?;
    let mut pixels = vec![[0; 3]; width * height];
    if let Colours::Palette = colours {
        pixels.fill(palette.first().copied().unwrap_or_default());
    }
    let whole = rows::read(grid, &data, cut, |place, row| {
        let to = pixels.iter_mut().skip(place.first).step_by(place.step).take(place.pixels);
        write_row(row, colours, depth, &palette, to);
    })?;
    if !whole {
        oddity = Some("its data end early, and the rest is taken for zeros");
    }
    let deep_grey = matches!((colours, depth), (Colours::Grey, 16));
    let remark = oddity.map(Remark::Oddity).or(deep_grey.then_some(Remark::DeepGrey));
    Ok(Decoded { width, height, pixels: pixels.into_flattened(), remark })
}

/// Writes the pixels of a row to `to`, of which there are as many.
fn write_row<'a>(
    row: &[u8],
    colours: Colours,
    depth: u8,
    palette: &[[u8; 3]],
    to: impl Iterator<Item = &'a mut [u8; 3]>,
) {
    // Of a sample; the first is the upper one.
    let bytes = usize::from(depth / 8);
    match (colours, depth) {
        (Colours::Grey | Colours::Palette, 1..8) => {
            let in_byte = usize::from(8 / depth);
            let most = 255 >> (8 - depth);
            for (x, to) in to.enumerate() {
                let place = 8 - depth - depth * (x % in_byte) as u8;
                let value = row[x / in_byte] >> place & most;
                *to = match colours {
                    Colours::Palette => palette.get(usize::from(value)).copied().unwrap_or_default(),
                    _ => [value * (255 / most); 3],
                };
            }
        }
        (Colours::Palette, _) => {
            for (to, &index) in to.zip(row) {
                *to = palette.get(usize::from(index)).copied().unwrap_or_default();
            }
        }
        (Colours::Grey, 16) => {
            for (to, &value) in to.zip(row.as_chunks().0) {
                *to = [u16::from_be_bytes(value).min(255) as u8; 3];
            }
        }
        (Colours::Grey | Colours::GreyAlpha, _) => {
            let samples = if let Colours::Grey = colours { 1 } else { 2 };
            to.zip(row.chunks_exact(samples * bytes)).for_each(|(to, pixel)| *to = [pixel[0]; 3]);
        }
        (Colours::Rgb | Colours::Rgba, _) => {
            let samples = if let Colours::Rgb = colours { 3 } else { 4 };
            for (to, pixel) in to.zip(row.chunks_exact(samples * bytes)) {
                *to = [0, 1, 2].map(|sample| pixel[sample * bytes]);
            }
        }
    }
}

/// The parts of a file that matter for its pixels.
struct File<'a> {
    header: Header,
    palette: Vec<[u8; 3]>,
    /// The contents of the chunks of image data, as far as they are there.
    data: Vec<&'a [u8]>,
    /// Whether the last of them is cut.
    cut: bool,
    oddity: Option<&'static str>,
}

impl<'a> File<'a> {
    fn read(bytes: &'a [u8]) -> Outcome<Self> {
        let mut chunks = Chunks { rest: bytes.get(SIGNATURE..).ok_or(TRUNCATED)? };
        let (mut header, mut palette, mut frame) = (None, Vec::new(), None);
        let first = loop {
            let chunk = chunks.next().ok_or(TRUNCATED)?;
            match &chunk.name {
                b"IDAT" => break chunk,
                b"IEND" => return Err("no image data".into()),
                _ => {}
            }
            let content = chunk.content.ok_or(TRUNCATED)?;
            if chunk.check != Some(check_value(&chunk.name, content)) {
                return Err(format!("a wrong check value of its chunk {}", chunk.name.escape_ascii()));
            }
            match &chunk.name {
                b"IHDR" => header = Some(Header::of(content)?),
                b"PLTE" => palette = content.as_chunks().0.to_vec(),
                // The size of the frame that follows.
                b"fcTL" => frame = content.get(4..12),
                _ => {}
            }
        };
        let header = header.ok_or("no header")?;
        if palette.len() > 256 {
            return Err(format!("a palette of {} colours; at most 256 are read", palette.len()));
        }
        if frame.is_some_and(|frame| *frame != header.grid.size()) {
            return Err("an animation whose first image is smaller than all of it; that is not read".into());
        }
        let (mut data, mut cut, mut oddity) = (Vec::new(), false, None);
        let mut next = Some(first);
        while let Some(chunk) = next.take_if(|chunk| chunk.name == *b"IDAT") {
            match (chunk.content, chunk.check) {
                (Some(content), Some(check)) if check == check_value(b"IDAT", content) => {}
                (Some(_), Some(_)) => oddity = Some("the check value of its image data is wrong"),
                _ => {}
            }
            cut = chunk.content.is_none();
            data.push(chunk.content.unwrap_or(chunks.rest));
            next = chunk.content.and_then(|_| chunks.next());
        }
        while let Some(chunk) = next.take_if(|chunk| chunk.name != *b"IEND") {
            chunk.content.ok_or(TRUNCATED)?;
            next = chunks.next();
        }
        if next.is_none() {
            oddity = oddity.or(Some("its end is missing"));
        }
        Ok(File { header, palette, data, cut, oddity })
    }
}

impl Header {
    fn of(content: &[u8]) -> Outcome<Self> {
        let &[w3, w2, w1, w0, h3, h2, h1, h0, depth, kind, _, filtering, interlaced] =
            content.first_chunk().ok_or("a header that is too short")?;
        let (colours, samples) = match (kind, depth) {
            (0, 1 | 2 | 4 | 8 | 16) => (Colours::Grey, 1),
            (2, 8 | 16) => (Colours::Rgb, 3),
            (3, 1 | 2 | 4 | 8) => (Colours::Palette, 1),
            (4, 8 | 16) => (Colours::GreyAlpha, 2),
            (6, 8 | 16) => (Colours::Rgba, 4),
            _ => return Err(format!("colours of kind {kind} with {depth} bits")),
        };
        if filtering != 0 {
            return Err(format!("an unknown way of filtering, {filtering}"));
        }
        let grid = Grid {
            width: u32::from_be_bytes([w3, w2, w1, w0]) as usize,
            height: u32::from_be_bytes([h3, h2, h1, h0]) as usize,
            bits: samples * usize::from(depth),
            interlaced: interlaced != 0,
        };
        Ok(Header { grid, colours, depth })
    }
}

/// A piece of a file.
struct Chunk<'a> {
    name: [u8; 4],
    /// `None` if the file ends before it does.
    content: Option<&'a [u8]>,
    check: Option<u32>,
}

struct Chunks<'a> {
    rest: &'a [u8],
}

impl<'a> Chunks<'a> {
    /// The next chunk; `None` where none begins. One whose content is cut leaves what there is of it in `rest`.
    fn next(&mut self) -> Option<Chunk<'a>> {
        let (&length, rest) = self.rest.split_first_chunk()?;
        let (&name, rest) = rest.split_first_chunk::<4>()?;
        if !name.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return None;
        }
        self.rest = rest;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        let Some((content, rest)) = rest.split_at_checked(length) else {
            return Some(Chunk { name, content: None, check: None });
        };
        let check = rest.first_chunk().map(|&check| u32::from_be_bytes(check));
        self.rest = rest.get(4..).unwrap_or_default();
        Some(Chunk { name, content: Some(content), check })
    }
}

fn check_value(name: &[u8; 4], content: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(name);
    crc.update(content);
    crc.sum()
}
