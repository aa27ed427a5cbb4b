//! Which taps of a kernel fall on the map, for every written pixel: what makes forward and backward-to-input alike.

use crate::graph::conv::{ConvShape, Direction};

/// Neighbouring taps of one written pixel.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Position of the first tap in the packing order.
    pub tap: u32,
    /// Read pixel of the first tap; the others follow it.
    pub pixel: u32,
    /// How many.
    pub taps: u32,
}

/// Runs of all written pixels: those of pixel `p` are `runs[starts[p]..starts[p + 1]]`.
pub struct Table {
    runs: Vec<Run>,
    starts: Vec<u32>,
}

impl Table {
    /// The runs of a written pixel.
    #[inline(always)]
    pub fn of(&self, pixel: usize) -> &[Run] {
        &self.runs[self.starts[pixel] as usize..self.starts[pixel + 1] as usize]
    }
}

/// The valid taps of a convolution in one direction.
pub struct Taps {
    /// Position in the packing order to r·S + s.
    pub order: Vec<usize>,
    /// By position in the packing order: whether any written pixel has the tap. On small maps most fall on padding.
    pub used: Vec<bool>,
    /// One by one.
    pub single: Table,
    /// With neighbours along a row of the map joined.
    pub joined: Table,
}

impl Taps {
    /// Lists them.
    pub fn new(shape: &ConvShape, direction: Direction) -> Self {
        let (input, output) = ((shape.h, shape.w), shape.output());
        let (read, written) = match direction {
            Direction::Forward => (input, output),
            Direction::BackwardInput => (output, input),
        };
        let rows = axis(direction, shape.r, shape.stride, shape.pad, read.0, written.0);
        let columns = axis(direction, shape.s, shape.stride, shape.pad, read.1, written.1);
        let (single, joined) = tables(&rows, &columns, shape.s, read.1);
        let of_columns = packing_order(direction, shape.s, shape.stride);
        let of_rows = packing_order(direction, shape.r, shape.stride);
        let order = of_rows.iter().flat_map(|r| of_columns.iter().map(move |s| r * shape.s + s)).collect();
        let mut used = vec![false; shape.r * shape.s];
        single.runs.iter().for_each(|run| used[run.tap as usize] = true);
        Taps { order, used, single, joined }
    }
}

/// The order in which the taps of one axis are packed, such that taps that lie side by side on the read map are
/// neighbours: as they are when the input is read; when the output is read, from last to first within a parity.
fn packing_order(direction: Direction, kernel: usize, stride: usize) -> Vec<usize> {
    match direction {
        Direction::Forward => (0..kernel).collect(),
        Direction::BackwardInput => (0..stride)
            .flat_map(|parity| (parity..kernel).step_by(stride).collect::<Vec<_>>().into_iter().rev())
            .collect(),
    }
}

/// Valid taps of each written coordinate along one axis: (position in the packing order, read coordinate).
fn axis(
    direction: Direction,
    kernel: usize,
    stride: usize,
    pad: usize,
    read: usize,
    written: usize,
) -> Vec<Vec<(usize, usize)>> {
    let order = packing_order(direction, kernel, stride);
    let reads = |at: usize, tap: usize| -> Option<usize> {
        let read = match direction {
            // y[o] reads x[o·stride + tap − pad].
            Direction::Forward => (at * stride + tap).checked_sub(pad)?,
            // x[i] was read by y[o] where o·stride = i + pad − tap.
            Direction::BackwardInput => {
                let scaled = (at + pad).checked_sub(tap)?;
                (scaled % stride == 0).then_some(scaled / stride)?
            }
        };
        Some(read)
    };
    (0..written)
        .map(|at| {
            let taps = order.iter().enumerate();
            taps.filter_map(|(place, &tap)| Some((place, reads(at, tap).filter(|&r| r < read)?))).collect()
        })
        .collect()
}

/// The product of both axes' taps, one by one and with neighbours along a row joined.
fn tables(
    rows: &[Vec<(usize, usize)>],
    columns: &[Vec<(usize, usize)>],
    s: usize,
    read_w: usize,
) -> (Table, Table) {
    let new = || Table { runs: Vec::new(), starts: vec![0] };
    let (mut single, mut joined) = (new(), new());
    for row in rows {
        for column in columns {
            for &(r, y) in row {
                let mut last: Option<Run> = None;
                for &(c, x) in column {
                    let tap = Run { tap: (r * s + c) as u32, pixel: (y * read_w + x) as u32, taps: 1 };
                    single.runs.push(tap);
                    last = match last {
                        Some(run) if run.tap + run.taps == tap.tap && run.pixel + run.taps == tap.pixel => {
                            Some(Run { taps: run.taps + 1, ..run })
                        }
                        other => {
                            joined.runs.extend(other);
                            Some(tap)
                        }
                    };
                }
                joined.runs.extend(last);
            }
            single.starts.push(single.runs.len() as u32);
            joined.starts.push(joined.runs.len() as u32);
        }
    }
    (single, joined)
}
