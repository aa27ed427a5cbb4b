//! How the matrix kernels compute one direction of a convolution: how weights lie, in which order pixels go, which kernel and
//! which tile.

use super::abi::{Working, size};
use super::launch::Grid;
use super::tiles::{Launch, Strips, TILES, Tile};
use crate::graph::conv::{ConvShape, Direction};
use crate::graph::place::Place;
use bytemuck::Zeroable;
use std::cmp::Reverse;

/// Input channels of a step.
const CHUNK: usize = 32;
/// Zeroed elements behind the working weights: a tile of outputs may read past the last one. `WORKING_PAD` of
/// kernels/weights.cuh.
const PAD: usize = 128 * CHUNK;
/// Channels up to which taps and channels are one reduction, and outputs up to which the narrow tile is used.
const FEW: usize = 16;
/// Outputs that neighbouring pixels of few channels may be together.
const MANY_RESIDUES: usize = 48;
/// Length of the table of a packed reduction.
const PACKED: usize = 2048;

/// Pixels of a strip, and taps along each axis of the kernels that run on strips.
const STRIP: usize = 4;
const STRIP_TAPS: usize = 3;

/// `Form` of kernels/weights.cuh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Forward = 0,
    Backward = 1,
    Packed = 2,
    Residues = 3,
}

/// One direction of a convolution, as the matrix kernels compute it.
#[derive(Clone, Debug)]
pub struct ConvPlan {
    /// How its working weights lie.
    pub working: Working,
    form: Form,
    /// Pixels of the result along each axis; `residues` times fewer than those of the map.
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) residues: usize,
    pub(super) vertical: Axis,
    pub(super) horizontal: Axis,
    /// Pixels of the result, those with the most taps first.
    order: Vec<u32>,
    /// Steps of a pixel's reduction, on average.
    steps: f64,
    /// First pixels of strips, those with the most taps first; none where the kernels for strips do not apply.
    strip_order: Vec<u32>,
    strips: Option<Strips>,
}

/// Which kernel computes a launch.
pub struct Chosen {
    /// The file that it is in, without its ending.
    pub module: &'static str,
    /// Its name, without the number format.
    pub name: String,
    /// Blocks and what each of them takes.
    pub grid: Grid,
}

/// How pixels of the result read those of the source along one axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) backward: bool,
    pub(super) taps: usize,
    pub(super) stride: usize,
    pub(super) pad: usize,
    /// Pixels of the source.
    size: usize,
}

impl Axis {
    /// Taps that meet the source for pixel `at` of the result.
    fn count(self, at: usize) -> usize {
        let meets = |tap: &usize| match self.backward {
            false => (at * self.stride + tap).checked_sub(self.pad).is_some_and(|i| i < self.size),
            true => (at + self.pad)
                .checked_sub(*tap)
                .is_some_and(|i| i % self.stride == 0 && i / self.stride < self.size),
        };
        (0..self.taps).filter(meets).count()
    }
}

impl ConvPlan {
    /// How to compute one direction of `shape`, or nothing where it has groups.
    pub fn new(shape: ConvShape, direction: Direction) -> Option<Self> {
        let ConvShape { c, k, h, w, r, s, stride, pad, groups } = shape;
        if groups != 1 {
            return None;
        }
        let (oh, ow) = shape.output();
        let backward = direction == Direction::BackwardInput;
        let (inputs, outputs) = if backward { (k, c) } else { (c, k) };
        let axis = |taps, size| Axis { backward, taps, stride, pad, size };
        let mut plan = ConvPlan {
            working: Working::zeroed(),
            form: if backward { Form::Backward } else { Form::Forward },
            height: if backward { h } else { oh },
            width: if backward { w } else { ow },
            residues: 1,
            vertical: axis(r, if backward { oh } else { h }),
            horizontal: axis(s, if backward { ow } else { w }),
            order: Vec::new(),
            steps: 0.0,
            strip_order: Vec::new(),
            strips: None,
        };
        let (mut outputs, mut inputs, mut taps, mut first) = (outputs, inputs, r * s, 0);
        let packed = (r * s * c).div_ceil(CHUNK);
        let across = h.max(w).next_multiple_of(stride);
        let fits = |side: &usize| outputs * side * side <= MANY_RESIDUES && *side <= across;
        if let Some(residues) = (1..=4).rev().map(|n| n * stride).find(fits).filter(|_| backward) {
            // Pixel i·residues + a of the result reads pixel i·residues / stride + e under tap a + pad − e·stride.
            let [all, step, pad] = [residues, stride, pad].map(usize::cast_signed);
            first = (pad - (r.max(s).cast_signed() - 1) + step - 1).div_euclid(step).min(0);
            let last = (all - 1 + pad) / step;
            let axis = |size| Axis {
                backward: false,
                taps: (last - first + 1).unsigned_abs(),
                stride: residues / stride,
                pad: first.unsigned_abs(),
                size,
            };
            plan.residues = residues;
            (plan.vertical, plan.horizontal) = (axis(oh), axis(ow));
            (plan.height, plan.width) = (h.div_ceil(residues), w.div_ceil(residues));
            plan.form = Form::Residues;
            outputs *= residues * residues;
            taps = plan.vertical.taps * plan.horizontal.taps;
        } else if !backward && c <= FEW && packed < r * s && packed * CHUNK <= PACKED {
            plan.form = Form::Packed;
            (inputs, taps) = (r * s * c, 1);
        }
        plan.working = Working {
            form: plan.form as u32,
            k: size(k),
            c: size(c),
            s: size(s),
            outputs: size(outputs),
            chunks: size(inputs.div_ceil(CHUNK)),
            taps: size(taps),
            stride: size(stride),
            pad: size(pad),
            residues: size(plan.residues),
            first: i32::try_from(first).expect("a tap"),
            side: size(plan.vertical.taps),
        };
        plan.put_in_order(inputs.div_ceil(CHUNK));
        Some(plan)
    }

    /// Fills in the orders of pixels and of strips, and what they cost.
    fn put_in_order(&mut self, chunks: usize) {
        let rows: Vec<usize> = (0..self.height).map(|i| self.vertical.count(i)).collect();
        let columns: Vec<usize> = (0..self.width).map(|i| self.horizontal.count(i)).collect();
        let taps_of = |&pixel: &u32| rows[pixel as usize / self.width] * columns[pixel as usize % self.width];
        self.order = (0..size(self.height * self.width)).collect();
        self.order.sort_by_key(|pixel| Reverse(taps_of(pixel)));
        let (vertical, horizontal): (usize, usize) = (rows.iter().sum(), columns.iter().sum());
        self.steps = match self.form {
            Form::Packed => chunks as f64,
            _ => (vertical * horizontal * chunks) as f64 / self.order.len() as f64,
        };
        let taps = [self.vertical.taps, self.horizontal.taps, self.horizontal.stride];
        let per_row = self.width.div_ceil(STRIP);
        let plain =
            matches!(self.form, Form::Forward | Form::Backward) && taps == [STRIP_TAPS, STRIP_TAPS, 1];
        if !plain || self.horizontal.pad >= STRIP_TAPS || self.working.outputs as usize <= FEW {
            return;
        }
        let first = |strip: usize| size(strip / per_row * self.width + strip % per_row * STRIP);
        self.strip_order = (0..self.height * per_row).map(first).collect();
        self.strip_order.sort_by_key(|&pixel| Reverse(rows[pixel as usize / self.width]));
        self.strips = Some(Strips {
            count: self.strip_order.len(),
            steps: (vertical * chunks) as f64 / self.height as f64,
            share: horizontal as f64 / (per_row * STRIP * STRIP_TAPS) as f64,
        });
    }

    /// Number of working weights, with what a tile may read behind them.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        let Working { taps, chunks, outputs, .. } = self.working;
        taps as usize * chunks as usize * outputs as usize * CHUNK + PAD
    }

    /// Whether values at `from` are copied without looking at every channel.
    fn is_dense(from: Place) -> bool {
        from.c.is_multiple_of(CHUNK) && from.step == 1
    }

    /// Tiles that can compute a result from a value at `from`.
    pub fn tiles(&self, from: Place) -> Vec<Tile> {
        match self.form {
            Form::Packed => vec![Tile::K64N256, Tile::K64N128],
            Form::Residues if self.working.outputs as usize > FEW => vec![Tile::K48N256, Tile::K48N128],
            _ if self.working.outputs as usize <= FEW => vec![Tile::K16N128],
            _ if self.strips.is_some() && Self::is_dense(from) => {
                [&TILES[..], &[Tile::K128P4, Tile::K64P4]].concat()
            }
            _ => TILES.to_vec(),
        }
    }

    /// The best of them for `slabs` slabs, as far as is known.
    pub fn tile(&self, from: Place, slabs: usize, multiprocessors: usize) -> Tile {
        // The wider one unless more of its slabs do not exist.
        let wide = slabs.next_multiple_of(4) == slabs.next_multiple_of(2);
        match self.form {
            Form::Packed if wide => Tile::K64N256,
            Form::Packed => Tile::K64N128,
            Form::Residues if self.working.outputs as usize > FEW && wide => Tile::K48N256,
            Form::Residues if self.working.outputs as usize > FEW => Tile::K48N128,
            _ if self.working.outputs as usize <= FEW => Tile::K16N128,
            _ => Tile::choose(Launch {
                outputs: self.working.outputs as usize,
                pixels: self.order.len(),
                slabs,
                steps: self.steps,
                strips: self.strips.filter(|_| Self::is_dense(from)),
                multiprocessors,
            }),
        }
    }

    /// The kernel for one of [`ConvPlan::tiles`].
    pub fn kernel(&self, tile: Tile, from: Place, slabs: usize) -> Chosen {
        let (module, source) = match (self.form, tile) {
            (_, Tile::K128P4 | Tile::K64P4) => ("conv_strip", ""),
            (Form::Packed, _) => ("conv_mma", "_packed"),
            (_, Tile::K16N128) | (Form::Residues, _) => ("conv_mma", "_few"),
            _ if Self::is_dense(from) => ("conv_mma", "_dense"),
            _ => ("conv_mma", "_ragged"),
        };
        let (outputs, chunks) = (self.working.outputs as usize, self.working.chunks as usize);
        let pixels = if tile.pixels() > 1 { self.strip_order.len() } else { self.order.len() };
        let blocks = outputs.div_ceil(tile.outputs()) * pixels * slabs.div_ceil(tile.slabs());
        let table = if self.form == Form::Packed { chunks * CHUNK * 4 } else { 0 };
        let (threads, shared) = (size(tile.threads()), size(tile.shared() + table));
        let name = format!("{module}_{}{source}", tile.name());
        Chosen { module, name, grid: Grid { blocks: [blocks, 1, 1], threads, shared } }
    }

    /// Pixels of the result, and first pixels of strips, in the order of their work.
    pub(super) fn orders(&self) -> [&[u32]; 2] {
        [&self.order, &self.strip_order]
    }
}
