//! One scan: which components and coefficients it brings, and the decoding of its blocks.
//!
//! What broken data mean is libjpeg's answer throughout: codes that are in no table count as 0, coefficients past
//! the last one fall on the last, a part that ends early stays as it is until the next restart marker.

use super::super::decoded::Outcome;
use super::block::{Block, ZIGZAG};
use super::frame::{Component, Frame, Tables};
use super::huffman::Huffman;
use super::stream::Stream;

/// Blocks of an MCU (what the components of a scan have in common) at most.
const MAX_BLOCKS: usize = 10;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sequential,
    DcFirst,
    DcMore,
    AcFirst,
    AcMore,
}

/// A component's part in a scan.
struct Part {
    /// Which component of the frame.
    component: usize,
    dc: Option<Huffman>,
    ac: Option<Huffman>,
    /// The DC coefficient before.
    before: i32,
}

pub(super) struct Scan {
    kind: Kind,
    parts: Vec<Part>,
    /// The coefficients that it brings, in zigzag order, and their bits: those from `low` up, or (`refines`) this one.
    pub first: usize,
    pub last: usize,
    pub refines: u8,
    pub low: u8,
    /// Blocks that still have no more coefficients.
    empty_run: u32,
    restart_interval: u32,
    until_restart: u32,
    next_restart: u8,
    /// The last row of MCUs (of all components) in which the data had not ended.
    pub last_good_row: usize,
}

impl Scan {
    /// Reads a scan's segment and makes its tables.
    pub fn new(segment: &[u8], frame: &mut Frame, tables: &Tables) -> Outcome<Self> {
        const SHORT: &str = "a scan segment of a wrong length";
        let (&count, rest) = segment.split_first().ok_or(SHORT)?;
        let (choices, rest) = rest.split_at_checked(2 * usize::from(count)).ok_or(SHORT)?;
        let &[first, last, bits] = rest.first_chunk().filter(|_| rest.len() == 3).ok_or(SHORT)?;
        if !(1..=4).contains(&count) {
            return Err(format!("a scan of {count} components"));
        }
        let (refines, low) = (bits >> 4, bits & 15);
        let kind = match (frame.progressive, first, refines) {
            (false, ..) => Kind::Sequential,
            (true, 0, 0) => Kind::DcFirst,
            (true, 0, _) => Kind::DcMore,
            (true, _, 0) => Kind::AcFirst,
            (true, ..) => Kind::AcMore,
        };
        let possible = match kind {
            Kind::Sequential => true,
            Kind::DcFirst | Kind::DcMore => last == 0,
            Kind::AcFirst | Kind::AcMore => first <= last && last < 64 && count == 1,
        };
        if !possible || kind != Kind::Sequential && (refines != 0 && low + 1 != refines || low > 13) {
            return Err(format!("a scan of coefficients {first} to {last}, bits {refines} to {low}"));
        }
        let mut parts = Vec::new();
        for (place, &[id, choice]) in choices.as_chunks::<2>().0.iter().enumerate() {
            // As libjpeg-turbo looks for it: components may share an id, but none may come before its place.
            let component = (place..frame.components.len()).find(|&at| frame.components[at].id == id);
            let component = component.filter(|&new| parts.iter().all(|part: &Part| part.component != new));
            let component = component.ok_or_else(|| {
                format!("a scan of component {id}, which is not there, or not in this order")
            })?;
            frame.components[component].latch(tables)?;
            let wants_dc = matches!(kind, Kind::Sequential | Kind::DcFirst);
            let wants_ac = matches!(kind, Kind::Sequential | Kind::AcFirst | Kind::AcMore);
            let dc = wants_dc.then(|| tables.dc_table(choice >> 4, frame.progressive)).transpose()?;
            let ac = wants_ac.then(|| tables.ac_table(choice & 15, frame.progressive)).transpose()?;
            parts.push(Part { component, dc, ac, before: 0 });
        }
        let of = |part: &Part| &frame.components[part.component];
        if count > 1 && parts.iter().map(|part| of(part).across * of(part).down).sum::<usize>() > MAX_BLOCKS {
            return Err(format!("more than {MAX_BLOCKS} blocks that belong together"));
        }
        Ok(Self {
            kind,
            parts,
            first: usize::from(first),
            last: usize::from(last),
            refines,
            low,
            empty_run: 0,
            restart_interval: tables.restart_interval,
            until_restart: tables.restart_interval,
            next_restart: 0,
            last_good_row: 0,
        })
    }

    /// The indices of the components that it brings.
    pub fn components(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().map(|part| part.component)
    }

    /// Whether one pass over the data gives the whole image.
    pub fn is_all_of(&self, frame: &Frame) -> bool {
        !frame.progressive && self.parts.len() == frame.components.len()
    }

    /// Decodes row `row` of the image's MCUs; the components' blocks begin with row `from` of them.
    pub fn decode_row(
        &mut self,
        stream: &mut Stream,
        frame: &mut Frame,
        row: usize,
        from: usize,
    ) -> Outcome<()> {
        if let [part] = self.parts.as_slice() {
            // A component alone comes block by block, without those that only fill up.
            let component = &mut frame.components[part.component];
            let first = row * component.down;
            for block_row in first..component.blocks_down.min(first + component.down) {
                for column in 0..component.blocks_across {
                    let at = (block_row - from * component.down) * component.stride + column;
                    if self.begin_mcu(stream, row)? {
                        self.decode_block(stream, 0, &mut component.blocks[at])?;
                    }
                    stream.check()?;
                }
            }
            return Ok(());
        }
        for column in 0..frame.width.div_ceil(8 * frame.across) {
            if self.begin_mcu(stream, row)? {
                for part in 0..self.parts.len() {
                    let Component { across, down, stride, blocks, .. } =
                        &mut frame.components[self.parts[part].component];
                    for y in 0..*down {
                        for x in 0..*across {
                            let at = ((row - from) * *down + y) * *stride + column * *across + x;
                            self.decode_block(stream, part, &mut blocks[at])?;
                        }
                    }
                }
            }
            stream.check()?;
        }
        Ok(())
    }

    /// Deals with a restart marker where one is due; whether there are data for the next MCU.
    fn begin_mcu(&mut self, stream: &mut Stream, row: usize) -> Outcome<bool> {
        if !stream.starved {
            self.last_good_row = row;
        }
        if self.restart_interval > 0 {
            if self.until_restart == 0 {
                stream.restart(self.next_restart)?;
                self.next_restart = (self.next_restart + 1) & 7;
                self.until_restart = self.restart_interval;
                self.empty_run = 0;
                self.parts.iter_mut().for_each(|part| part.before = 0);
            }
            self.until_restart -= 1;
        }
        Ok(!stream.starved)
    }

    #[inline]
    fn decode_block(&mut self, stream: &mut Stream, part: usize, block: &mut Block) -> Outcome<()> {
        let band = Band { first: self.first, last: self.last, low: self.low };
        let part = &mut self.parts[part];
        match (self.kind, &part.dc, &part.ac) {
            (Kind::Sequential, Some(dc), Some(ac)) => {
                block[0] = next_dc(stream, dc, &mut part.before)? as i16;
                sequential_ac(stream, ac, block);
            }
            (Kind::DcFirst, Some(dc), _) => {
                block[0] = (next_dc(stream, dc, &mut part.before)? << self.low) as i16;
            }
            (Kind::DcMore, ..) => block[0] |= i16::from(stream.bit()) << self.low,
            (Kind::AcFirst, _, Some(ac)) => {
                self.empty_run = first_ac(stream, ac, block, band, self.empty_run)
            }
            (Kind::AcMore, _, Some(ac)) => self.empty_run = more_ac(stream, ac, block, band, self.empty_run),
            _ => {}
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Band {
    first: usize,
    last: usize,
    low: u8,
}

fn next_dc(stream: &mut Stream, table: &Huffman, before: &mut i32) -> Outcome<i32> {
    let size = stream.symbol(table);
    *before = before.checked_add(stream.signed(size)).ok_or("coefficients that grow without end")?;
    Ok(*before)
}

#[inline]
fn sequential_ac(stream: &mut Stream, table: &Huffman, block: &mut Block) {
    let mut place = 1;
    while place < 64 {
        if let Some((run, value)) = stream.coefficient(table) {
            place += usize::from(run);
            block[usize::from(ZIGZAG[place])] = value;
            place += 1;
            continue;
        }
        let symbol = stream.symbol(table);
        let (run, size) = (symbol >> 4, symbol & 15);
        if size == 0 && run != 15 {
            break;
        }
        place += usize::from(run);
        if size != 0 {
            block[usize::from(ZIGZAG[place])] = stream.signed(size) as i16;
        }
        place += 1;
    }
}

/// The upper bits of a band of coefficients; gives back how many more blocks have none.
fn first_ac(stream: &mut Stream, table: &Huffman, block: &mut Block, band: Band, empty_run: u32) -> u32 {
    if empty_run > 0 {
        return empty_run - 1;
    }
    let mut place = band.first;
    while place <= band.last {
        let symbol = stream.symbol(table);
        let (run, size) = (symbol >> 4, symbol & 15);
        if size == 0 && run != 15 {
            return (1 << run) + stream.following(run) - 1;
        }
        place += usize::from(run);
        if size != 0 {
            block[usize::from(ZIGZAG[place])] = (stream.signed(size) << band.low) as i16;
        }
        place += 1;
    }
    0
}

/// One more bit of a band of coefficients; gives back how many more blocks get no new ones.
fn more_ac(stream: &mut Stream, table: &Huffman, block: &mut Block, band: Band, mut empty_run: u32) -> u32 {
    let bit = 1i16 << band.low;
    let mut place = band.first;
    while empty_run == 0 && place <= band.last {
        let symbol = stream.symbol(table);
        let (run, size) = (symbol >> 4, symbol & 15);
        let mut new = 0;
        if size != 0 {
            if size != 1 {
                stream.note("a new coefficient of more than one bit");
            }
            new = if stream.following(1) == 1 { bit } else { -bit };
        } else if run != 15 {
            empty_run = (1 << run) + stream.following(run);
            break;
        }
        // Past `run` coefficients that are zero; those that are not get their bit on the way.
        let mut zeros = run;
        while place <= band.last {
            let coefficient = &mut block[usize::from(ZIGZAG[place])];
            if *coefficient != 0 {
                correct(stream, coefficient, bit);
            } else if zeros == 0 {
                break;
            } else {
                zeros -= 1;
            }
            place += 1;
        }
        if new != 0 {
            block[usize::from(ZIGZAG[place])] = new;
        }
        place += 1;
    }
    if empty_run == 0 {
        return 0;
    }
    for &place in &ZIGZAG[place..=band.last] {
        let coefficient = &mut block[usize::from(place)];
        if *coefficient != 0 {
            correct(stream, coefficient, bit);
        }
    }
    empty_run - 1
}

/// The next bit of a coefficient that has bits already.
fn correct(stream: &mut Stream, coefficient: &mut i16, bit: i16) {
    if stream.bit() && *coefficient & bit == 0 {
        *coefficient = coefficient.wrapping_add(if *coefficient >= 0 { bit } else { -bit });
    }
}
