//! The rows of a PNG file: inflated, and their filters undone.

use super::super::decoded::{Outcome, TRUNCATED};
use flate2::{Decompress, FlushDecompress, Status};

/// How pixels lie in the data.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    pub width: usize,
    pub height: usize,
    /// Bits of a pixel.
    pub bits: usize,
    pub interlaced: bool,
}

impl Grid {
    /// Width and height as files write them.
    pub fn size(&self) -> [u8; 8] {
        let mut size = [0; 8];
        for (to, side) in size.as_chunks_mut().0.iter_mut().zip([self.width, self.height]) {
            *to = (side as u32).to_be_bytes();
        }
        size
    }
}

/// The passes of an interlaced image: first column and row, steps between columns and rows.
const PASSES: [[usize; 4]; 7] =
    [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];

/// Where the pixels of a row lie in an image.
pub(super) struct Place {
    pub first: usize,
    /// From one to the next.
    pub step: usize,
    pub pixels: usize,
}

/// Gives each row to `put`, its place and its bytes. `Ok(false)` if the compressed data ended properly before all rows were
/// there. `cut` says that the last of the data is cut, which is an error unless the image ends in it.
pub(super) fn read(
    grid: Grid,
    data: &[&[u8]],
    cut: bool,
    mut put: impl FnMut(Place, &[u8]),
) -> Outcome<bool> {
    let Grid { width, height, bits, interlaced } = grid;
    let mut inflater = Inflater { state: Decompress::new(true), chunks: data.iter(), chunk: &[] };
    let passes = if interlaced { &PASSES[..] } else { &[[0, 0, 1, 1]] };
    for &[x, y, across, down] in passes {
        let pixels = width.saturating_sub(x).div_ceil(across);
        if pixels == 0 {
            continue;
        }
        // The filter, then the bytes.
        let mut row = vec![0; 1 + (pixels * bits).div_ceil(8)];
        let mut before = row.clone();
        for y in (y..height).step_by(down) {
            if !inflater.fill(&mut row)? {
                return Ok(false);
            }
            undo(row[0], &mut row[1..], &before[1..], bits.div_ceil(8))?;
            put(Place { first: y * width + x, step: across, pixels }, &row[1..]);
            std::mem::swap(&mut row, &mut before);
        }
    }
    if cut && inflater.chunks.len() > 0 {
        return Err(TRUNCATED.into());
    }
    inflater.check()?;
    Ok(true)
}

/// Undoes the filter of a row. `before` is the row before, `step` the bytes from a sample to the one that it is told by.
fn undo(filter: u8, row: &mut [u8], before: &[u8], step: usize) -> Outcome<()> {
    let left = |row: &[u8], at: usize| at.checked_sub(step).map_or(0, |at| row[at]);
    match filter {
        0 => {}
        1 => (step..row.len()).for_each(|at| row[at] = row[at].wrapping_add(row[at - step])),
        2 => row.iter_mut().zip(before).for_each(|(here, up)| *here = here.wrapping_add(*up)),
        3 => {
            for (at, &up) in before.iter().enumerate() {
                let mean = (u16::from(left(row, at)) + u16::from(up)) / 2;
                row[at] = row[at].wrapping_add(mean as u8);
            }
        }
        4 => {
            for (at, &up) in before.iter().enumerate() {
                let near = nearest(left(row, at), up, left(before, at));
                row[at] = row[at].wrapping_add(near);
            }
        }
        other => return Err(format!("an unknown filter, {other}")),
    }
    Ok(())
}

/// Paeth's choice: which of the three is nearest to `left + up - corner`.
fn nearest(left: u8, up: u8, corner: u8) -> u8 {
    let [l, u, c] = [left, up, corner].map(i16::from);
    let (to_left, to_up, to_corner) = ((u - c).abs(), (l - c).abs(), (l + u - 2 * c).abs());
    if to_left <= to_up && to_left <= to_corner {
        left
    } else if to_up <= to_corner {
        up
    } else {
        corner
    }
}

/// Inflates the contents of chunks one after the other.
struct Inflater<'a> {
    state: Decompress,
    chunks: std::slice::Iter<'a, &'a [u8]>,
    /// What is left of the present one.
    chunk: &'a [u8],
}

impl Inflater<'_> {
    /// Fills `out`; `Ok(false)` if the compressed data end properly before.
    fn fill(&mut self, mut out: &mut [u8]) -> Outcome<bool> {
        while !out.is_empty() {
            let (made, status) = self.step(out)?;
            out = &mut std::mem::take(&mut out)[made..];
            match status {
                Status::StreamEnd => return Ok(out.is_empty()),
                // Something may still be within the inflater when a chunk is used up.
                _ if made == 0 && self.chunk.is_empty() => {
                    self.chunk = self.chunks.next().ok_or(TRUNCATED)?
                }
                _ => {}
            }
        }
        Ok(true)
    }

    /// Looks at what follows the last byte that was wanted: the check value, if it is there, must be right.
    fn check(&mut self) -> Outcome<()> {
        self.step(&mut [0]).map(drop)
    }

    /// One call of the inflater: how many bytes it made, and where it is.
    fn step(&mut self, out: &mut [u8]) -> Outcome<(usize, Status)> {
        const BROKEN: &str = "broken compressed data";
        let (read, written) = (self.state.total_in(), self.state.total_out());
        let status = self.state.decompress(self.chunk, out, FlushDecompress::None).map_err(|_| BROKEN)?;
        let (read, written) = (self.state.total_in() - read, self.state.total_out() - written);
        if read == 0 && written == 0 && !self.chunk.is_empty() && !matches!(status, Status::StreamEnd) {
            return Err(BROKEN.into());
        }
        self.chunk = self.chunk.get(read as usize..).unwrap_or_default();
        Ok((written as usize, status))
    }
}
