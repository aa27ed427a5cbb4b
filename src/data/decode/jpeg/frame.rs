//! What the segments before the image data say: the frame with its components, tables, and the colours meant.

use super::super::decoded::{MAX_SIDE, Outcome};
use super::block::{Block, ZIGZAG};
use super::huffman::{self, Definition, Huffman};
use super::transform;

/// How the samples of the components are to be understood.
#[derive(Clone, Copy, Default)]
pub(super) enum Colours {
    #[default]
    Grey,
    Rgb,
    YCbCr,
    Cmyk,
    Ycck,
}

/// Tables and marks, each kept until another of its kind comes.
#[derive(Default)]
pub(super) struct Tables {
    quantisation: [Option<[u16; 64]>; 4],
    dc: [Option<Definition>; 4],
    ac: [Option<Definition>; 4],
    pub restart_interval: u32,
    jfif: bool,
    /// The colour transform that Adobe's segment names.
    adobe: Option<u8>,
}

impl Tables {
    pub fn quantisation(&mut self, mut segment: &[u8]) -> Outcome<()> {
        const SHORT: &str = "a quantisation segment of a wrong length";
        while let Some((&head, rest)) = segment.split_first() {
            let bytes = if head < 16 { 1 } else { 2 };
            let (steps, rest) = rest.split_at_checked(64 * bytes).ok_or(SHORT)?;
            let table =
                self.quantisation.get_mut(usize::from(head & 15)).ok_or("a quantisation table above 3")?;
            let table = table.insert([0; 64]);
            for (step, place) in steps.chunks_exact(bytes).zip(ZIGZAG) {
                table[usize::from(place)] = step.iter().fold(0, |value, &byte| value << 8 | u16::from(byte));
            }
            segment = rest;
        }
        Ok(())
    }

    pub fn huffman(&mut self, mut segment: &[u8]) -> Outcome<()> {
        const SHORT: &str = "a Huffman segment of a wrong length";
        while let Some((&head, rest)) = segment.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or(SHORT)?;
            let count = counts.iter().map(|&count| usize::from(count)).sum::<usize>();
            let (values, rest) = rest.split_at_checked(count).filter(|_| count <= 256).ok_or(SHORT)?;
            let tables = if head & 16 == 0 { &mut self.dc } else { &mut self.ac };
            let table = tables.get_mut(usize::from(head & !16)).ok_or("a Huffman table above 3")?;
            *table = Some(Definition { counts: *counts, values: values.to_vec().into() });
            segment = rest;
        }
        Ok(())
    }

    pub fn restart_interval(&mut self, segment: &[u8]) -> Outcome<()> {
        let interval: [u8; 2] = segment.try_into().map_err(|_| "a restart segment of a wrong length")?;
        self.restart_interval = u32::from(u16::from_be_bytes(interval));
        Ok(())
    }

    /// An application segment: JFIF's and Adobe's tell the colours.
    pub fn application(&mut self, marker: u8, segment: &[u8]) {
        if marker == 0xe0 && segment.len() >= 14 && segment.starts_with(b"JFIF\0") {
            self.jfif = true;
        }
        if marker == 0xee && segment.starts_with(b"Adobe") {
            self.adobe = segment.get(11).copied().or(self.adobe);
        }
    }

    /// The table of DC sizes with this number, made for decoding.
    pub fn dc_table(&self, number: u8, progressive: bool) -> Outcome<Huffman> {
        Huffman::new(definition(&self.dc, &huffman::DC, number, progressive)?, true)
    }

    /// The table of runs and sizes of the other coefficients with this number, made for decoding.
    pub fn ac_table(&self, number: u8, progressive: bool) -> Outcome<Huffman> {
        Huffman::new(definition(&self.ac, &huffman::AC, number, progressive)?, false)
    }

    /// The colours of a frame, as libjpeg takes them.
    pub fn colours(&self, frame: &Frame) -> Colours {
        let ids: Vec<u8> = frame.components.iter().map(|component| component.id).collect();
        match (ids.as_slice(), self.adobe) {
            ([_], _) => Colours::Grey,
            ([_, _, _], _) if self.jfif => Colours::YCbCr,
            ([_, _, _], Some(0)) | (b"RGB", None) => Colours::Rgb,
            ([_, _, _], _) => Colours::YCbCr,
            (_, None | Some(0)) => Colours::Cmyk,
            (_, Some(_)) => Colours::Ycck,
        }
    }
}

/// The file's own table, or the proposed one; a progressive file must have its own.
fn definition<'a>(
    own: &'a [Option<Definition>; 4],
    proposed: &'a [Definition; 2],
    number: u8,
    progressive: bool,
) -> Outcome<&'a Definition> {
    let number = usize::from(number);
    let own = own.get(number).and_then(Option::as_ref);
    let table = own.or_else(|| proposed.get(number).filter(|_| !progressive));
    table.ok_or_else(|| format!("a missing Huffman table {number}"))
}

/// One component: a plane of samples, in blocks of 8×8, perhaps fewer than the image has pixels.
pub(super) struct Component {
    pub id: u8,
    /// The sampling factors: blocks of this component in an MCU, in each direction.
    pub across: usize,
    pub down: usize,
    /// Which quantisation table.
    table: usize,
    /// The steps, from the first scan on that has the component; what is redefined later counts no more.
    pub steps: Option<[u16; 64]>,
    /// Samples that are part of the image.
    pub width: usize,
    pub height: usize,
    /// Blocks that hold these.
    pub blocks_across: usize,
    pub blocks_down: usize,
    /// Blocks in a row of `blocks`: a whole multiple of `across`.
    pub stride: usize,
    /// The coefficients: of the whole component (its rows a whole multiple of `down`), or of `down` rows at a time.
    pub blocks: Vec<Block>,
    /// The samples, `8 * stride` in a row.
    pub samples: Vec<u8>,
}

impl Component {
    /// Rows of blocks in all, with those that only fill up.
    pub fn rows(&self) -> usize {
        self.blocks_down.next_multiple_of(self.down)
    }

    /// Makes room for the samples of all blocks, middle grey for components that no scan brings.
    pub fn allocate_samples(&mut self) {
        self.samples = vec![128; 64 * self.stride * self.blocks_down];
    }

    /// Transforms row `row` of the blocks, which `block` gives by their column, to samples; rows that only fill up
    /// are passed over.
    pub fn write_row(&mut self, row: usize, block: impl Fn(&Self, usize) -> Block) {
        let Some(steps) = self.steps.filter(|_| row < self.blocks_down) else { return };
        let mut samples = std::mem::take(&mut self.samples);
        let stride = 8 * self.stride;
        for column in 0..self.blocks_across {
            let at = 8 * row * stride + 8 * column;
            transform::write_block(&block(self, column), &steps, &mut samples[at..], stride);
        }
        self.samples = samples;
    }

    /// Fixes the steps, if no scan did so before.
    pub fn latch(&mut self, tables: &Tables) -> Outcome<()> {
        if self.steps.is_none() {
            let table = tables.quantisation.get(self.table).copied().flatten();
            self.steps = Some(table.ok_or("a missing quantisation table")?);
        }
        Ok(())
    }
}

pub(super) struct Frame {
    pub width: usize,
    pub height: usize,
    pub progressive: bool,
    pub components: Vec<Component>,
    /// The largest sampling factors.
    pub across: usize,
    pub down: usize,
}

impl Frame {
    /// Rows of MCUs, in scans of several components.
    pub fn rows(&self) -> usize {
        self.height.div_ceil(8 * self.down)
    }

    /// Reads a frame segment. `file_size` bounds what is allocated: every block takes at least one bit.
    pub fn new(segment: &[u8], progressive: bool, file_size: usize) -> Outcome<Self> {
        const SHORT: &str = "a frame segment of a wrong length";
        let (&[bits, h1, h0, w1, w0, count], parts) = segment.split_first_chunk().ok_or(SHORT)?;
        let (width, height) =
            (usize::from(w1) << 8 | usize::from(w0), usize::from(h1) << 8 | usize::from(h0));
        if bits != 8 {
            return Err(format!("{bits} bits per sample; 8 are read"));
        }
        if parts.len() != 3 * usize::from(count) {
            return Err(SHORT.into());
        }
        if !matches!(count, 1 | 3 | 4) {
            return Err(format!("{count} components; 1, 3 or 4 are read"));
        }
        if width == 0 || height == 0 {
            return Err("an image without pixels".into());
        }
        if width > MAX_SIDE || height > MAX_SIDE {
            return Err(format!("{width}×{height} pixels; at most {MAX_SIDE}×{MAX_SIDE} are read"));
        }
        let parts = parts.as_chunks::<3>().0;
        let factors = || parts.iter().map(|part| (usize::from(part[1] >> 4), usize::from(part[1] & 15)));
        if factors().any(|(across, down)| !(1..=4).contains(&across) || !(1..=4).contains(&down)) {
            return Err("a sampling factor that is not 1 to 4".into());
        }
        let across = factors().map(|(across, _)| across).max().unwrap_or(1);
        let down = factors().map(|(_, down)| down).max().unwrap_or(1);
        let component = |&[id, factors, table]: &[u8; 3]| {
            let (own_across, own_down) = (usize::from(factors >> 4), usize::from(factors & 15));
            let (width, height) = ((width * own_across).div_ceil(across), (height * own_down).div_ceil(down));
            let (blocks_across, blocks_down) = (width.div_ceil(8), height.div_ceil(8));
            Component {
                id,
                across: own_across,
                down: own_down,
                table: usize::from(table),
                steps: None,
                width,
                height,
                blocks_across,
                blocks_down,
                stride: blocks_across.next_multiple_of(own_across),
                blocks: Vec::new(),
                samples: Vec::new(),
            }
        };
        let components: Vec<_> = parts.iter().map(component).collect();
        let blocks = components.iter().map(|c| c.blocks_across * c.blocks_down).sum::<usize>();
        if blocks / 8 > file_size {
            return Err(format!("a truncated file: {file_size} bytes cannot hold {width}×{height} pixels"));
        }
        if components.iter().any(|c| across % c.across != 0 || down % c.down != 0) {
            return Err("planes whose sizes are no whole parts of the image's; those are not read".into());
        }
        Ok(Self { width, height, progressive, components, across, down })
    }
}
