//! Convolution by fewer products: transform the input, multiply point by point, transform back.
//!
//! ```text
//! per tile of the written map, and per group of lanes
//!   V[point][channel]  = Bᵀ d B          from the tile's input pixels           (input stage)
//!   M[point][k]        = Σ_c U[point][k][c] · V[point][c]                        (product stage: the register tile)
//!   Y[pixel][k]        = Aᵀ M A, then the epilogue                               (output stage)
//! with U = G g Gᵀ from the weights, kept packed [point][panel][channel][KB]
//! ```
//! What the three matrices are is a [`Form`]'s matter; both axes use the same one. A row of the slab is a vector of
//! images, so the transforms are plain vector arithmetic without a shuffle.
//!
//! A convolution of stride 2 is one of stride 1 over the input's four phases (every other pixel, every other row),
//! each a set of channels of its own: space to depth. The phases are a matter of addresses; nothing is copied.
//! Backward, the written map has the phases. The backward of a stride-1 convolution is a forward one with transposed
//! channels, rotated taps and the complementary padding.
//!
//! The stride between points is padded by a line, so that the same row of all points does not fall into one set of
//! the first-level cache.

mod form;
mod panel;
mod product;
mod transforms;

pub use form::{Form, MAX_POINTS, MAX_TAPS, MAX_TILE, combination};

use super::convolve::{Convolve, Scratch, Weights};
use super::epilogue::Output;
use super::layout::{Aligned, LANES};
use super::masters::still_masked;
use super::simd::{Level, dispatch};
use super::value::{Epilogue, Source, Target};
use crate::filter::Mask;
use crate::graph::conv::{ConvShape, Direction};
use panel::{Panel, panels, phase_of};
use product::Product;
use std::marker::PhantomData;
use std::ops::Range;
use transforms::{Finish, Input, Pack};

/// Up to so many channels, each panel passes over all points and is finished before the next one.
const FEW_CHANNELS: usize = 64;

/// Written channels whose products are held before their output transform, where there are more.
const PRODUCT_BLOCK: usize = 64;

/// The points that a tile uses.
struct Used {
    /// Their numbers, row · POINTS + column, in the order in which they are kept.
    numbers: [usize; MAX_POINTS * MAX_POINTS],
    count: usize,
}

impl Used {
    fn of<F: Form>(size: (usize, usize)) -> Self {
        let mut used = Used { numbers: [0; MAX_POINTS * MAX_POINTS], count: 0 };
        for &row in &F::points(size.0)[..F::point_count(size.0)] {
            for &column in &F::points(size.1)[..F::point_count(size.1)] {
                used.numbers[used.count] = usize::from(row) * F::POINTS + usize::from(column);
                used.count += 1;
            }
        }
        used
    }
}

/// One convolution in one direction by the form `F`.
pub struct Bilinear<F> {
    level: Level,
    direction: Direction,
    /// Height and width of the read and the written map.
    read: (usize, usize),
    written: (usize, usize),
    /// Channels read and written, without phases.
    c: usize,
    k: usize,
    /// Height and width of the kernel.
    kernel: usize,
    /// Phases along an axis: 2 on the input's side of a stride-2 convolution.
    read_step: usize,
    write_step: usize,
    /// First virtual pixel read, before the first virtual output of a tile.
    shift: usize,
    /// Kernel tap for [phase][virtual tap] of an axis.
    taps: [[Option<usize>; MAX_TAPS]; 2],
    panels: Vec<Panel>,
    /// Weights as loaded, `[panel][channel][tap][KB]`, and the factor of each read and of each written channel.
    masters: Aligned,
    read_scale: Vec<f32>,
    write_scale: Aligned,
    /// Transformed weights, `[point][panel][channel][KB]`.
    packed: Aligned,
    /// Output channels of the convolution, and those of which a mask is in force.
    all: Range<usize>,
    masked: Range<usize>,
    form: PhantomData<F>,
}

impl<F: Form> Bilinear<F> {
    /// Plans a convolution of one group whose kernel is square and, seen phase by phase, has the form's taps;
    /// `None` where it isn't.
    pub fn new(shape: ConvShape, direction: Direction, level: Level) -> Option<Self> {
        let s = shape.stride;
        if shape.groups != 1 || shape.r != shape.s || s > 2 || shape.pad >= shape.r {
            return None;
        }
        let before = shape.pad.div_ceil(s);
        let virtual_taps = before + (shape.r - 1 - shape.pad) / s + 1;
        if virtual_taps != F::TAPS {
            return None;
        }
        let mut taps = [[None; MAX_TAPS]; 2];
        for (phase, taps) in taps.iter_mut().enumerate().take(s) {
            for (u, tap) in taps.iter_mut().enumerate().take(virtual_taps) {
                *tap = (s * u + phase + shape.pad).checked_sub(s * before).filter(|&t| t < shape.r);
            }
        }
        let (input, output) = ((shape.h, shape.w), shape.output());
        let plan = match direction {
            Direction::Forward => (input, output, shape.c, shape.k, s, 1, before),
            Direction::BackwardInput => {
                taps.iter_mut().for_each(|taps| taps[..virtual_taps].reverse());
                (output, input, shape.k, shape.c, 1, s, virtual_taps - 1 - before)
            }
        };
        let (read, written, c, k, read_step, write_step, pad) = plan;
        if !F::fits(read.0, written.0, pad) || !F::fits(read.1, written.1, pad) {
            return None;
        }
        let channels = c * read_step * read_step;
        let outputs = k * write_step * write_step;
        let t2 = F::TAPS * F::TAPS;
        let mut plan = Bilinear {
            level,
            direction,
            read,
            written,
            c,
            k,
            kernel: shape.r,
            read_step,
            write_step,
            shift: F::shift(pad),
            taps,
            panels: panels(outputs, level),
            masters: Aligned::zeros(channels * outputs * t2 + LANES),
            read_scale: vec![1.0; channels],
            write_scale: Aligned::zeros(outputs + LANES),
            packed: Aligned::default(),
            all: 0..shape.k,
            masked: 0..0,
            form: PhantomData,
        };
        plan.packed = Aligned::zeros(F::POINTS * F::POINTS * plan.point_stride());
        Some(plan)
    }

    /// Channels that a product sums over.
    fn channels(&self) -> usize {
        self.c * self.read_step * self.read_step
    }

    /// Channels that a product writes.
    fn outputs(&self) -> usize {
        self.k * self.write_step * self.write_step
    }

    /// Floats between points of the packed weights; the last panel's stores run over by less than a vector.
    fn point_stride(&self) -> usize {
        (self.channels() * self.outputs()).next_multiple_of(LANES) + LANES
    }

    /// Written and read virtual channels of the weights of some output channels.
    fn part(&self, channels: Range<usize>) -> (Range<usize>, Range<usize>) {
        match self.direction {
            Direction::Forward => (channels, 0..self.channels()),
            Direction::BackwardInput => (0..self.outputs(), channels),
        }
    }

    /// Transforms the weights of some output channels, and what is packed with them.
    fn repack(&mut self, mask: Mask, channels: Range<usize>) {
        let whole = channels == self.all;
        let (written, read) = self.part(channels);
        let kernel = Pack::<F> {
            mask,
            written,
            read,
            whole,
            channels: self.channels(),
            panels: &self.panels,
            masters: self.masters.as_ptr(),
            read_scale: &self.read_scale,
            write_scale: self.write_scale.as_ptr(),
            packed: self.packed.as_mut_ptr(),
            point_stride: self.point_stride(),
            form: PhantomData,
        };
        // SAFETY: the level was found available by whoever chose it; `new` gave the buffers the sizes that Pack names.
        unsafe { dispatch(self.level, kernel) }
    }

    /// Index of the first tap of a kernel in `[k, c, r, s]`, for a written and a read virtual channel, and their
    /// phase.
    fn kernel_of(&self, output: usize, channel: usize) -> (usize, usize) {
        let (wy, wx, k) = phase_of(output, self.k, self.write_step);
        let (ry, rx, c) = phase_of(channel, self.c, self.read_step);
        let (k, c, inner) = match self.direction {
            Direction::Forward => (k, c, self.c),
            Direction::BackwardInput => (c, k, self.k),
        };
        ((k * inner + c) * self.kernel * self.kernel, 2 * (wy + ry) + wx + rx)
    }

    /// Where the virtual taps of each phase stand in a kernel, row by row.
    fn offsets(&self) -> [[Option<usize>; MAX_TAPS * MAX_TAPS]; 4] {
        std::array::from_fn(|phase| {
            std::array::from_fn(|tap| {
                let (row, column) = (tap / F::TAPS, tap % F::TAPS);
                let row = *self.taps[phase / 2].get(row)?;
                Some(row? * self.kernel + self.taps[phase % 2][column]?)
            })
        })
    }
}

impl<F: Form> Convolve for Bilinear<F> {
    fn load(&mut self, weights: Weights) {
        let (channels, taps) = (self.channels(), F::TAPS * F::TAPS);
        let offsets = self.offsets();
        let mut masters = std::mem::take(&mut self.masters);
        let target = &mut masters[..];
        let mut at = 0;
        for panel in 0..self.panels.len() {
            let Panel { first, kb, .. } = self.panels[panel];
            for channel in 0..channels {
                for i in 0..kb {
                    let (kernel, phase) = self.kernel_of(first + i, channel);
                    for (tap, offset) in offsets[phase][..taps].iter().enumerate() {
                        let weight = offset.map_or(0.0, |offset| weights.oihw[kernel + offset]);
                        target[at + tap * kb + i] = weight;
                    }
                }
                at += taps * kb;
            }
        }
        self.masters = masters;
        let factor = |k: usize| weights.scale.map_or(1.0, |scale| scale[k]);
        let forward = self.direction == Direction::Forward;
        for (channel, scale) in self.read_scale.iter_mut().enumerate() {
            *scale = if forward { 1.0 } else { factor(channel) };
        }
        for output in 0..self.outputs() {
            self.write_scale[output] = if forward { factor(output) } else { 1.0 };
        }
        self.pack(Mask::ALL, self.all.clone());
    }

    fn pack(&mut self, mask: Mask, channels: Range<usize>) {
        let stale = still_masked(&mut self.masked, mask, &channels);
        for (mask, channels) in [(Mask::ALL, stale), (mask, channels)] {
            self.repack(mask, channels);
        }
    }

    fn packed_bytes(&self, channels: Range<usize>) -> usize {
        if channels == self.all {
            return 4 * self.packed.len();
        }
        let (written, read) = self.part(channels);
        let panels = self.panels.iter().filter(|panel| panel.meets(&written));
        4 * F::POINTS * F::POINTS * read.len() * panels.map(|panel| panel.kb).sum::<usize>()
    }

    fn row_granularity(&self) -> usize {
        F::TILE * self.write_step
    }

    fn run(&self, x: Source, y: Target, epilogue: Epilogue, scratch: &mut Scratch) {
        x.check(y.layout.lanes);
        let (xl, rows) = (x.layout, y.rows.clone());
        assert_eq!((xl.h, xl.w, xl.c), (self.read.0, self.read.1, self.c), "shape of the read value");
        let yl = y.layout;
        assert_eq!(
            (yl.h, yl.w, yl.c),
            (self.written.0, self.written.1, self.k),
            "shape of the written value"
        );
        let whole = |row: usize| row.is_multiple_of(self.row_granularity()) || row == yl.h;
        assert!(whole(rows.start) && whole(rows.end), "row granularity");
        let output = Output::new(y, epilogue);
        let row = xl.lanes;
        let vectors = row / LANES;
        let stride = self.channels() * row + LANES;
        let widest = self.panels.iter().map(|panel| panel.kb).max().unwrap_or(0);
        let block = if self.channels() > FEW_CHANNELS { PRODUCT_BLOCK.max(widest) } else { widest };
        let product_stride = block * row + LANES;
        let points = F::POINTS * F::POINTS;
        let v = scratch.a.reserve_len(points * stride).as_mut_ptr();
        let m = scratch.b.reserve_len(points * product_stride).as_mut_ptr();
        let step = self.write_step;
        let (height, width) = (self.written.0.div_ceil(step), self.written.1.div_ceil(step));
        for ty in (rows.start / step..rows.end.div_ceil(step)).step_by(F::TILE) {
            for tx in (0..width).step_by(F::TILE) {
                let size = (F::TILE.min(height - ty), F::TILE.min(width - tx));
                let used = Used::of::<F>(size);
                let input = Input::<F> {
                    x: x.data.as_ptr(),
                    layout: xl,
                    step: self.read_step,
                    origin: (ty as isize - self.shift as isize, tx as isize - self.shift as isize),
                    size,
                    v,
                    stride,
                    form: PhantomData,
                };
                // SAFETY: the level is available; the layout fits the buffer, and v has room for all points.
                unsafe { dispatch(self.level, input) }
                let mut panels = &self.panels[..];
                while let Some(first) = panels.first() {
                    let fits = |panel: &&Panel| panel.first + panel.kb - first.first <= block;
                    let (now, later) = panels.split_at(panels.iter().take_while(fits).count());
                    panels = later;
                    self.multiply(now, &used, (v, stride), (m, product_stride), vectors);
                    let finish = Finish::<F> {
                        m,
                        stride: product_stride,
                        lanes: row,
                        size,
                        origin: (ty, tx),
                        step,
                        map: self.written,
                        first: first.first,
                        count: now.iter().map(|panel| panel.kb).sum(),
                        modulus: self.k,
                        output: *output,
                        form: PhantomData,
                    };
                    // SAFETY: the level is available; the tile's pixels lie in the target's rows.
                    unsafe { dispatch(self.level, finish) }
                }
            }
        }
    }
}

impl<F: Form> Bilinear<F> {
    /// The product stage of neighbouring panels. One panel passes over all points in one call; several take turns at
    /// each point, whose V stays in the cache meanwhile.
    fn multiply(
        &self,
        panels: &[Panel],
        used: &Used,
        (v, v_stride): (*const f32, usize),
        (m, m_stride): (*mut f32, usize),
        vectors: usize,
    ) {
        let (turns, count) = if panels.len() == 1 { (1, used.count) } else { (used.count, 1) };
        let (channels, u_stride) = (self.channels(), self.point_stride());
        for at in 0..turns {
            for panel in panels {
                let u = self.packed.as_ptr().wrapping_add(channels * panel.first);
                let product = Product {
                    u,
                    numbers: &used.numbers[at..at + count],
                    u_stride,
                    v: v.wrapping_add(at * v_stride),
                    v_stride,
                    channels,
                    m: m.wrapping_add((panel.first - panels[0].first) * vectors * LANES + at * m_stride),
                    m_stride,
                    vectors,
                    next: u.wrapping_add(channels * panel.kb + used.numbers[at] * u_stride),
                };
                // SAFETY: the level is available; u, v and m cover all points, channels and panels.
                unsafe { (panel.product)(self.level, product) }
            }
        }
    }
}
