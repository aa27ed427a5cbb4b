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
//! A convolution of stride 2 is one of stride 1 over the input's four phases (every other pixel, every other row), each a
//! set of channels of its own: space to depth. The phases are a matter of addresses; nothing is copied. Backward, the
//! written map has the phases. The backward of a stride-1 convolution is a forward one with transposed channels,
//! rotated taps and the complementary padding.
//!
//! The stride between points is padded by a line, so that the same row of all points does not fall into one set of the
//! first-level cache.

use super::conv2d::{ConvShape, Convolve, Direction, Epilogue, Scratch, Source, Target, Weights};
use super::epilogue::Output;
use super::layout::{Aligned, LANES, Layout};
use super::microkernel::tile;
use super::simd::{Isa, Kernel, Level, dispatch};
use crate::filter::Mask;
use std::iter;
use std::marker::PhantomData;
use std::ops::Range;

/// Points of one axis, and pixels that a tile reads along it, are at most this many.
pub const MAX_POINTS: usize = 8;
/// Taps of one axis are at most this many.
pub const MAX_TAPS: usize = 4;
/// Outputs of a tile along one axis are at most this many.
pub const MAX_TILE: usize = 4;

/// Transforms of one axis: a correlation of [`Form::TAPS`] taps with up to [`Form::TILE`] outputs.
pub trait Form: Send + Sync + 'static {
    /// Taps.
    const TAPS: usize;
    /// Outputs of a full tile.
    const TILE: usize;
    /// Points of a full tile.
    const POINTS: usize;

    /// Whether it can be used where an axis has `read` and `written` pixels and `pad` zeros before the read ones.
    fn fits(read: usize, written: usize, pad: usize) -> bool;

    /// Pixels that a tile of `m` outputs reads.
    fn extent(m: usize) -> usize;

    /// The first pixel it reads lies this much before its first output, where the padding is `pad`.
    fn shift(pad: usize) -> usize;

    /// Points that a tile of `m` outputs uses.
    fn point_count(m: usize) -> usize;

    /// Their numbers.
    fn points(m: usize) -> [u8; MAX_POINTS];

    /// The weight transform G, point by tap.
    fn weights() -> [[f64; MAX_TAPS]; MAX_POINTS];

    /// The used points of the pixels of a tile of `M` outputs.
    ///
    /// # Safety
    /// The machine has `I`'s instruction set.
    unsafe fn input<I: Isa, const M: usize>(d: &[I::V; MAX_POINTS]) -> [I::V; MAX_POINTS];

    /// The outputs of a tile of `M` from its used points.
    ///
    /// # Safety
    /// The machine has `I`'s instruction set.
    unsafe fn output<I: Isa, const M: usize>(p: &[I::V; MAX_POINTS]) -> [I::V; MAX_TILE];
}

/// Written channels that one register tile computes.
#[derive(Clone, Copy, Debug)]
struct Panel {
    first: usize,
    kb: usize,
    product: unsafe fn(Level, Product),
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
            read_step,
            write_step,
            shift: F::shift(pad),
            taps,
            panels: panels(outputs, level),
            masters: Aligned::zeros(channels * outputs * t2 + LANES),
            read_scale: vec![1.0; channels],
            write_scale: Aligned::zeros(outputs + LANES),
            packed: Aligned::default(),
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

    /// Phase (row, column) and channel of a virtual channel.
    fn phase(virtual_channel: usize, channels: usize, step: usize) -> (usize, usize, usize) {
        let phase = virtual_channel / channels;
        (phase / step, phase % step, virtual_channel % channels)
    }

    /// Index of a weight in `[k, c, r, s]` for a written and a read virtual channel and a tap of each axis.
    fn master(&self, output: usize, channel: usize, tap: (usize, usize)) -> Option<usize> {
        let (wy, wx, k) = Self::phase(output, self.k, self.write_step);
        let (ry, rx, c) = Self::phase(channel, self.c, self.read_step);
        let (t, s) = (self.taps[wy + ry][tap.0]?, self.taps[wx + rx][tap.1]?);
        let (k, c, inner) = match self.direction {
            Direction::Forward => (k, c, self.c),
            Direction::BackwardInput => (c, k, self.k),
        };
        let size = self.taps.iter().flatten().flatten().max().map_or(0, |last| last + 1);
        Some(((k * inner + c) * size + t) * size + s)
    }
}

/// Splits channels into the fewest panels that fit the register tile, as even as can be.
fn panels(outputs: usize, level: Level) -> Vec<Panel> {
    let tallest = match level {
        Level::Avx512 => 14,
        Level::Avx2 => 6,
        Level::Portable => 3,
    };
    let count = outputs.div_ceil(tallest);
    let edge = |i: usize| i * outputs / count;
    let panel = |i: usize| {
        let kb = edge(i + 1) - edge(i);
        Panel { first: edge(i), kb, product: product_of(kb) }
    };
    (0..count).map(panel).collect()
}

impl<F: Form> Convolve for Bilinear<F> {
    fn load(&mut self, weights: Weights) {
        let (channels, t) = (self.channels(), F::TAPS);
        let mut at = 0;
        for panel in 0..self.panels.len() {
            let Panel { first, kb, .. } = self.panels[panel];
            for channel in 0..channels {
                for tap in 0..t * t {
                    for output in first..first + kb {
                        let from = self.master(output, channel, (tap / t, tap % t));
                        self.masters[at] = from.map_or(0.0, |from| weights.oihw[from]);
                        at += 1;
                    }
                }
            }
        }
        let factor = |k: usize| weights.scale.map_or(1.0, |scale| scale[k]);
        let forward = self.direction == Direction::Forward;
        for (channel, scale) in self.read_scale.iter_mut().enumerate() {
            *scale = if forward { 1.0 } else { factor(channel) };
        }
        for output in 0..self.outputs() {
            self.write_scale[output] = if forward { factor(output) } else { 1.0 };
        }
        self.pack(Mask::ALL);
    }

    fn pack(&mut self, mask: Mask) {
        let point_stride = self.point_stride();
        let kernel = Pack::<F> {
            mask,
            channels: self.channels(),
            panels: &self.panels,
            masters: self.masters.as_ptr(),
            read_scale: &self.read_scale,
            write_scale: self.write_scale.as_ptr(),
            packed: self.packed.as_mut_ptr(),
            point_stride,
            form: PhantomData,
        };
        // SAFETY: the level was found available by whoever chose it; `new` gave the buffers the sizes that Pack names.
        unsafe { dispatch(self.level, kernel) }
    }

    fn packed_bytes(&self) -> usize {
        4 * self.packed.len()
    }

    fn row_granularity(&self) -> usize {
        F::TILE * self.write_step
    }

    fn run(&self, x: Source, y: Target, epilogue: Epilogue, scratch: &mut Scratch) {
        let (xl, rows) = (x.layout, y.rows.clone());
        assert_eq!((xl.h, xl.w, xl.c), (self.read.0, self.read.1, self.c), "shape of the read value");
        assert!(xl.buffer_len() <= x.data.len() && xl.lanes == y.layout.lanes, "layout of the read value");
        assert!(xl.offset + (xl.c - 1) * xl.step < xl.pixel, "layout of the read value");
        let yl = y.layout;
        assert_eq!(
            (yl.h, yl.w, yl.c),
            (self.written.0, self.written.1, self.k),
            "shape of the written value"
        );
        let whole = |row: usize| row.is_multiple_of(self.row_granularity()) || row == yl.h;
        assert!(whole(rows.start) && whole(rows.end), "row granularity");
        let output = Output::new(y, epilogue);
        let group = 2.min(xl.lanes / LANES);
        let row = group * LANES;
        let stride = self.channels() * row + LANES;
        let block = PRODUCT_BLOCK.min(self.outputs());
        let most = self.panels.iter().map(|panel| panel.kb).max().unwrap_or(0);
        let product_stride = (block + most) * row + LANES;
        let points = F::POINTS * F::POINTS;
        let v = scratch.a.reserve_len(points * stride).as_mut_ptr();
        let m = scratch.b.reserve_len(points * product_stride).as_mut_ptr();
        let step = self.write_step;
        for ty in (rows.start / step..rows.end.div_ceil(step)).step_by(F::TILE) {
            for tx in (0..self.written.1.div_ceil(step)).step_by(F::TILE) {
                let size = (
                    F::TILE.min(self.written.0.div_ceil(step) - ty),
                    F::TILE.min(self.written.1.div_ceil(step) - tx),
                );
                let (py, px) = (F::points(size.0), F::points(size.1));
                let mut numbers = [0; MAX_POINTS * MAX_POINTS];
                let mut count = 0;
                for &py in &py[..F::point_count(size.0)] {
                    for &px in &px[..F::point_count(size.1)] {
                        numbers[count] = py as usize * F::POINTS + px as usize;
                        count += 1;
                    }
                }
                for lane in (0..xl.lanes).step_by(row) {
                    let vectors = group.min((xl.lanes - lane) / LANES);
                    let input = Input::<F> {
                        x: x.data.as_ptr().wrapping_add(lane),
                        layout: xl,
                        step: self.read_step,
                        origin: (ty as isize - self.shift as isize, tx as isize - self.shift as isize),
                        size,
                        vectors,
                        v,
                        row,
                        stride,
                        form: PhantomData,
                    };
                    // SAFETY: the level is available; the layout fits the buffer, and v has room for all points.
                    unsafe { dispatch(self.level, input) }
                    let mut panels = &self.panels[..];
                    while let Some(first) = panels.first() {
                        let in_block = panels.iter().take_while(|p| p.first + p.kb - first.first <= block);
                        let (now, later) = panels.split_at(in_block.count().max(1));
                        panels = later;
                        let channels = now.iter().map(|panel| panel.kb).sum();
                        for panel in now {
                            let product = Product {
                                u: self.packed.as_ptr().wrapping_add(self.channels() * panel.first),
                                numbers: numbers.as_ptr(),
                                count,
                                u_stride: self.point_stride(),
                                v,
                                v_stride: stride,
                                channels: self.channels(),
                                m: m.wrapping_add((panel.first - first.first) * row),
                                m_stride: product_stride,
                                vectors,
                                row,
                            };
                            // SAFETY: the level is available; u, v and m cover all points, channels and panels.
                            unsafe { (panel.product)(self.level, product) }
                        }
                        let finish = Finish::<F> {
                            m,
                            row,
                            stride: product_stride,
                            vectors,
                            size,
                            origin: (ty, tx),
                            step,
                            map: self.written,
                            channel: first.first,
                            channels,
                            modulus: self.k,
                            lane,
                            output,
                            form: PhantomData,
                        };
                        // SAFETY: the level is available; the tile's pixels lie in the target's rows.
                        unsafe { dispatch(self.level, finish) }
                    }
                }
            }
        }
    }
}

/// Written channels whose products are held before their output transform.
const PRODUCT_BLOCK: usize = 14;

/// The weight transform of all panels.
///
/// `masters` has `channels · taps² · KB` floats per panel and one vector more, `packed` has `channels · KB` floats per panel at each
/// multiple of `point_stride` and one vector more, `write_scale` one vector more than written channels.
struct Pack<'a, F> {
    mask: Mask,
    channels: usize,
    panels: &'a [Panel],
    masters: *const f32,
    read_scale: &'a [f32],
    write_scale: *const f32,
    packed: *mut f32,
    point_stride: usize,
    form: PhantomData<F>,
}

impl<F: Form> Kernel for Pack<'_, F> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let matrix = F::weights().map(|row| row.map(|entry| entry as f32));
        // SAFETY: the struct's conditions: every load and store below starts inside a panel and overruns it by less than
        // one vector; what a store spoils behind its KB floats is written later, or is the vector of room.
        unsafe {
            let (lo, hi) = (I::splat(self.mask.lo), I::splat(self.mask.hi));
            let flip = if self.mask.keep_inside { 0 } else { u16::MAX };
            let (mut from, mut to) = (self.masters, self.packed);
            for panel in self.panels {
                let write_scale = I::load(self.write_scale.add(panel.first));
                for channel in 0..self.channels {
                    let scale = I::mul(write_scale, I::splat(*self.read_scale.get_unchecked(channel)));
                    let mut half = [[I::splat(0.0); MAX_TAPS]; MAX_POINTS];
                    for s in 0..F::TAPS {
                        let mut g = [I::splat(0.0); MAX_TAPS];
                        for r in 0..F::TAPS {
                            let w = I::load(from.add((r * F::TAPS + s) * panel.kb));
                            let inside = !I::gt(lo, w) & I::gt(hi, w);
                            g[r] = I::mul(I::keep(inside ^ flip, w), scale);
                        }
                        for p in 0..F::POINTS {
                            let mut sum = I::mul(I::splat(matrix[p][0]), g[0]);
                            for r in 1..F::TAPS {
                                sum = I::fma(I::splat(matrix[p][r]), g[r], sum);
                            }
                            half[p][s] = sum;
                        }
                    }
                    for p in 0..F::POINTS {
                        for q in 0..F::POINTS {
                            let mut sum = I::mul(I::splat(matrix[q][0]), half[p][0]);
                            for s in 1..F::TAPS {
                                sum = I::fma(I::splat(matrix[q][s]), half[p][s], sum);
                            }
                            I::store(to.add((p * F::POINTS + q) * self.point_stride), sum);
                        }
                    }
                    from = from.add(F::TAPS * F::TAPS * panel.kb);
                    to = to.add(panel.kb);
                }
            }
        }
    }
}

/// The input transform of all channels of a tile and a group of lanes.
///
/// `x` points to the first lane of the buffer's first row, `v` has room for `stride` floats per point.
struct Input<F> {
    x: *const f32,
    layout: Layout,
    /// Pixels between neighbouring pixels of a phase.
    step: usize,
    /// First pixel of the tile in each phase; it may lie outside the map.
    origin: (isize, isize),
    /// Outputs of the tile.
    size: (usize, usize),
    vectors: usize,
    v: *mut f32,
    /// Floats from one channel to the next.
    row: usize,
    stride: usize,
    form: PhantomData<F>,
}

impl<F: Form> Input<F> {
    /// The pixels of a tile, of `extent`, that lie on the map in the phase `phase`.
    fn inside(&self, origin: isize, extent: usize, phase: usize, map: usize) -> Range<usize> {
        let step = self.step as isize;
        let on_map = |i: usize| (0..map as isize).contains(&((origin + i as isize) * step + phase as isize));
        let start = (0..extent).find(|&i| on_map(i)).unwrap_or(extent);
        start..(start..extent).find(|&i| !on_map(i)).unwrap_or(extent)
    }
}

/// Intermediate results of a two-dimensional transform, `[column][point]`.
type Half<I> = [[<I as Isa>::V; MAX_POINTS]; MAX_POINTS];

impl<F: Form> Kernel for Input<F> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let l = self.layout;
        let (pixel, channel) = (l.pixel * l.lanes * self.step, l.step * l.lanes);
        let mut v = self.v;
        for phase in 0..self.step * self.step {
            let (py, px) = (phase / self.step, phase % self.step);
            let rows = self.inside(self.origin.0, F::extent(self.size.0), py, l.h);
            let columns = self.inside(self.origin.1, F::extent(self.size.1), px, l.w);
            let step = self.step as isize;
            let y = self.origin.0 * step + py as isize;
            let x = self.origin.1 * step + px as isize;
            let first = (y * l.w as isize + x) * (l.pixel * l.lanes) as isize + (l.offset * l.lanes) as isize;
            for c in 0..l.c {
                for vector in 0..self.vectors {
                    let base = first + (c * channel + vector * LANES) as isize;
                    // SAFETY: only pixels on the map are read, and only lanes of the group; v has room for all points.
                    unsafe {
                        let mut half: Half<I> = [[I::splat(0.0); MAX_POINTS]; MAX_POINTS];
                        match self.size.0 {
                            1 => self.vertical::<I, 1>(&mut half, base, &rows, &columns, pixel),
                            2 => self.vertical::<I, 2>(&mut half, base, &rows, &columns, pixel),
                            3 => self.vertical::<I, 3>(&mut half, base, &rows, &columns, pixel),
                            _ => self.vertical::<I, 4>(&mut half, base, &rows, &columns, pixel),
                        }
                        let to = v.add(vector * LANES);
                        let points = F::point_count(self.size.0);
                        match self.size.1 {
                            1 => self.horizontal::<I, 1>(&half, points, to),
                            2 => self.horizontal::<I, 2>(&half, points, to),
                            3 => self.horizontal::<I, 3>(&half, points, to),
                            _ => self.horizontal::<I, 4>(&half, points, to),
                        }
                    }
                }
                // SAFETY: v has `row` floats per channel.
                v = unsafe { v.add(self.row) };
            }
        }
    }
}

impl<F: Form> Input<F> {
    /// Transforms the columns that lie on the map; `half` is zero elsewhere.
    ///
    /// # Safety
    /// As for [`Input`]; `base` is the offset from `x` of the tile's first pixel, `pixel` the floats between pixels.
    #[inline(always)]
    unsafe fn vertical<I: Isa, const M: usize>(
        &self,
        half: &mut Half<I>,
        base: isize,
        rows: &Range<usize>,
        columns: &Range<usize>,
        pixel: usize,
    ) {
        let line = pixel * self.layout.w;
        // SAFETY: only pixels whose row and column lie on the map are read.
        unsafe {
            for column in columns.clone() {
                let at = self.x.wrapping_offset(base).wrapping_add(column * pixel);
                let mut d = [I::splat(0.0); MAX_POINTS];
                for (i, d) in d.iter_mut().enumerate() {
                    if i < F::TAPS + M - 1 && rows.contains(&i) {
                        *d = I::load(at.wrapping_add(i * line));
                    }
                }
                half[column] = F::input::<I, M>(&d);
            }
        }
    }

    /// Transforms the rows of points and stores them.
    ///
    /// # Safety
    /// As for [`Input`]; `to` is the channel's place in the first point.
    #[inline(always)]
    unsafe fn horizontal<I: Isa, const M: usize>(&self, half: &Half<I>, points: usize, to: *mut f32) {
        // SAFETY: v has room for all points.
        unsafe {
            let count = F::point_count(M);
            let mut to = to;
            for p in 0..points {
                let mut d = [I::splat(0.0); MAX_POINTS];
                for (d, column) in d.iter_mut().zip(half) {
                    *d = column[p];
                }
                let v = F::input::<I, M>(&d);
                for v in v.iter().take(count) {
                    I::store(to, *v);
                    to = to.wrapping_add(self.stride);
                }
            }
        }
    }
}

/// One panel of the product stage, at `count` points.
///
/// For each of them, u has `channels · KB` floats at the point's number · `u_stride`, v has `channels` rows at its position · `v_stride`,
/// and m has room for KB rows at its position · `m_stride`.
#[derive(Clone, Copy)]
struct Product {
    u: *const f32,
    numbers: *const usize,
    count: usize,
    u_stride: usize,
    v: *const f32,
    v_stride: usize,
    channels: usize,
    m: *mut f32,
    m_stride: usize,
    vectors: usize,
    row: usize,
}

/// [`Product`] for panels of KB.
struct ProductOf<const KB: usize>(Product);

impl<const KB: usize> Kernel for ProductOf<KB> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let p = self.0;
        for i in 0..p.count {
            // SAFETY: the conditions of Product.
            unsafe {
                let u = p.u.add(*p.numbers.add(i) * p.u_stride);
                let (mut v, mut m) = (p.v.add(i * p.v_stride), p.m.add(i * p.m_stride));
                let mut left = p.vectors;
                while left >= 2 && 2 * KB <= I::ACCUMULATORS {
                    store::<I, KB, 2>(tile::<I, KB, 2>(iter::once((u, v)), p.channels, p.row), m, p.row);
                    (v, m, left) = (v.add(2 * LANES), m.add(2 * LANES), left - 2);
                }
                while left >= 1 && KB <= I::ACCUMULATORS {
                    store::<I, KB, 1>(tile::<I, KB, 1>(iter::once((u, v)), p.channels, p.row), m, p.row);
                    (v, m, left) = (v.add(LANES), m.add(LANES), left - 1);
                }
            }
        }
    }
}

/// Stores a register tile.
///
/// # Safety
/// The machine has `I`'s instruction set; `m` has room for KB rows.
#[inline(always)]
unsafe fn store<I: Isa, const KB: usize, const NV: usize>(acc: [[I::V; NV]; KB], m: *mut f32, row: usize) {
    for (k, acc) in acc.iter().enumerate() {
        for (v, acc) in acc.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { I::store(m.add(k * row + v * LANES), *acc) }
        }
    }
}

/// The product stage of a panel of `kb` channels.
fn product_of(kb: usize) -> unsafe fn(Level, Product) {
    /// # Safety
    /// The level is available; the conditions of [`Product`].
    unsafe fn of<const KB: usize>(level: Level, product: Product) {
        // SAFETY: the caller's promise.
        unsafe { dispatch(level, ProductOf::<KB>(product)) }
    }
    match kb {
        1 => of::<1>,
        2 => of::<2>,
        3 => of::<3>,
        4 => of::<4>,
        5 => of::<5>,
        6 => of::<6>,
        7 => of::<7>,
        8 => of::<8>,
        9 => of::<9>,
        10 => of::<10>,
        11 => of::<11>,
        12 => of::<12>,
        13 => of::<13>,
        _ => of::<14>,
    }
}

/// The output transform and the epilogue of some channels of a tile.
///
/// `m` has `channels` rows at each point · `stride`; the tile's pixels on the map lie in the output's rows.
struct Finish<'a, F> {
    m: *const f32,
    row: usize,
    stride: usize,
    vectors: usize,
    size: (usize, usize),
    /// First output of the tile in each phase.
    origin: (usize, usize),
    /// Pixels between neighbouring pixels of a phase.
    step: usize,
    /// Height and width of the written map.
    map: (usize, usize),
    /// First virtual channel, and how many.
    channel: usize,
    channels: usize,
    /// Channels of a phase.
    modulus: usize,
    lane: usize,
    output: Output<'a>,
    form: PhantomData<F>,
}

impl<F: Form> Kernel for Finish<'_, F> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        for k in 0..self.channels {
            // SAFETY: the struct's conditions.
            unsafe {
                match self.vectors {
                    1 => self.channel::<I, 1>(k),
                    _ => self.channel::<I, 2>(k),
                }
            }
        }
    }
}

impl<F: Form> Finish<'_, F> {
    /// Channel `k` of the products.
    ///
    /// # Safety
    /// As for [`Finish`]; NV vectors are in use.
    #[inline(always)]
    unsafe fn channel<I: Isa, const NV: usize>(&self, k: usize) {
        // SAFETY: the struct's conditions.
        unsafe {
            let mut half: [Half<I>; NV] = [[[I::splat(0.0); MAX_POINTS]; MAX_POINTS]; NV];
            for (vector, half) in half.iter_mut().enumerate() {
                let m = self.m.add(k * self.row + vector * LANES);
                let columns = F::point_count(self.size.1);
                match self.size.0 {
                    1 => self.vertical::<I, 1>(half, m, columns),
                    2 => self.vertical::<I, 2>(half, m, columns),
                    3 => self.vertical::<I, 3>(half, m, columns),
                    _ => self.vertical::<I, 4>(half, m, columns),
                }
            }
            match self.size.1 {
                1 => self.horizontal::<I, NV, 1>(&half, k),
                2 => self.horizontal::<I, NV, 2>(&half, k),
                3 => self.horizontal::<I, NV, 3>(&half, k),
                _ => self.horizontal::<I, NV, 4>(&half, k),
            }
        }
    }

    /// Transforms the columns of points.
    ///
    /// # Safety
    /// As for [`Finish`]; `m` is the channel's place in the first point.
    #[inline(always)]
    unsafe fn vertical<I: Isa, const M: usize>(&self, half: &mut Half<I>, m: *const f32, columns: usize) {
        let line = columns * self.stride;
        for (column, half) in half.iter_mut().enumerate().take(columns) {
            // SAFETY: m covers all points.
            unsafe {
                let mut p = [I::splat(0.0); MAX_POINTS];
                for (i, p) in p.iter_mut().enumerate() {
                    if i < F::point_count(M) {
                        *p = I::load(m.add(i * line + column * self.stride));
                    }
                }
                half[..MAX_TILE].copy_from_slice(&F::output::<I, M>(&p));
            }
        }
    }

    /// Transforms the rows, finishes and stores them.
    ///
    /// # Safety
    /// As for [`Finish`].
    #[inline(always)]
    unsafe fn horizontal<I: Isa, const NV: usize, const M: usize>(&self, half: &[Half<I>; NV], k: usize) {
        let (py, px, channel) = Bilinear::<F>::phase(self.channel + k, self.modulus, self.step);
        for row in 0..self.size.0 {
            let at_y = (self.origin.0 + row) * self.step + py;
            // SAFETY: the instruction set is the caller's promise; pixels lie on the map, in the target's rows.
            unsafe {
                let mut y = [[I::splat(0.0); MAX_TILE]; NV];
                for (y, half) in y.iter_mut().zip(half) {
                    let mut p = [I::splat(0.0); MAX_POINTS];
                    for (p, column) in p.iter_mut().zip(half) {
                        *p = column[row];
                    }
                    *y = F::output::<I, M>(&p);
                }
                for i in 0..M {
                    let at_x = (self.origin.1 + i) * self.step + px;
                    if at_y < self.map.0 && at_x < self.map.1 {
                        let mut v = [I::splat(0.0); NV];
                        for (v, y) in v.iter_mut().zip(&y) {
                            *v = y[i];
                        }
                        self.output.row::<I, NV>(at_y * self.map.1 + at_x, channel, self.lane, v);
                    }
                }
            }
        }
    }
}
