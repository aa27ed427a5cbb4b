//! The transforms: of weights when they are packed, of a tile's input, and of its products.

use super::super::epilogue::Output;
use super::super::layout::{LANES, Layout};
use super::super::simd::{Isa, Kernel};
use super::form::{Form, MAX_POINTS, MAX_TAPS, MAX_TILE};
use super::panel::{Panel, phase_of};
use super::product::prefetch_to_write;
use crate::filter::Mask;
use std::marker::PhantomData;
use std::ops::Range;

/// Packed weights are asked for this many floats before they are written.
const AHEAD: usize = 8 * LANES;

/// The weight transform: of all panels, or of what is packed with some channels.
///
/// `masters` has `channels · taps² · KB` floats per panel and one vector more, `packed` has `channels · KB` floats
/// per panel at each multiple of `point_stride` and one vector more, `write_scale` one vector more than written
/// channels.
pub struct Pack<'a, F> {
    pub mask: Mask,
    /// The written and read channels whose weights the mask is for. Their panels, and of these the read channels, are
    /// written; weights of other written channels all count.
    pub written: Range<usize>,
    pub read: Range<usize>,
    /// Whether that is everything.
    pub whole: bool,
    pub channels: usize,
    pub panels: &'a [Panel],
    pub masters: *const f32,
    pub read_scale: &'a [f32],
    pub write_scale: *const f32,
    pub packed: *mut f32,
    pub point_stride: usize,
    pub form: PhantomData<F>,
}

impl<F: Form> Kernel for Pack<'_, F> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        // SAFETY: the struct's conditions: every load and store below starts inside a panel and overruns it by less than
        // one vector; what a store spoils behind its KB floats is written later, or is the vector of room. Where not
        // everything is written, nothing behind the KB floats is.
        unsafe {
            let (lo, hi) = (I::splat(self.mask.lo), I::splat(self.mask.hi));
            let flip = if self.mask.keep_inside { 0 } else { u16::MAX };
            for panel in self.panels.iter().filter(|panel| panel.meets(&self.written)) {
                let others = (0..panel.kb).filter(|i| !self.written.contains(&(panel.first + i)));
                let others = others.fold(0u16, |bits, i| bits | 1 << i);
                let write_scale = I::load(self.write_scale.add(panel.first));
                for channel in self.read.clone() {
                    let first = panel.first * self.channels + channel * panel.kb;
                    let from = self.masters.add(first * F::TAPS * F::TAPS);
                    let scale = I::mul(write_scale, I::splat(*self.read_scale.get_unchecked(channel)));
                    let mut half = [[I::splat(0.0); MAX_TAPS]; MAX_POINTS];
                    for column in 0..F::TAPS {
                        let mut g = [I::splat(0.0); MAX_TAPS];
                        for (row, g) in g.iter_mut().enumerate().take(F::TAPS) {
                            let w = I::load(from.add((row * F::TAPS + column) * panel.kb));
                            let inside = !I::gt(lo, w) & I::gt(hi, w);
                            *g = I::mul(I::keep(inside ^ flip | others, w), scale);
                        }
                        let u = F::weights::<I>(&g);
                        for (point, half) in half.iter_mut().enumerate().take(F::POINTS) {
                            half[column] = u[point];
                        }
                    }
                    let mut point = self.packed.add(first);
                    for half in half.iter().take(F::POINTS) {
                        for u in F::weights::<I>(half).iter().take(F::POINTS) {
                            prefetch_to_write(point.wrapping_add(AHEAD));
                            if self.whole {
                                I::store(point, *u);
                            } else {
                                let mut values = [0.0f32; LANES];
                                I::store(values.as_mut_ptr(), *u);
                                point.copy_from_nonoverlapping(values.as_ptr(), panel.kb);
                            }
                            point = point.wrapping_add(self.point_stride);
                        }
                    }
                }
            }
        }
    }
}

/// The input transform of all channels of a tile.
///
/// `x` is the whole buffer of the layout; `v` has room for `stride` floats per point.
pub struct Input<F> {
    pub x: *const f32,
    pub layout: Layout,
    /// Pixels between neighbouring pixels of a phase.
    pub step: usize,
    /// First pixel of the tile in each phase; it may lie outside the map.
    pub origin: (isize, isize),
    /// Outputs of the tile.
    pub size: (usize, usize),
    pub v: *mut f32,
    pub stride: usize,
    pub form: PhantomData<F>,
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
            // SAFETY: the instruction set is the caller's promise.
            let mut half: Half<I> = unsafe { [[I::splat(0.0); MAX_POINTS]; MAX_POINTS] };
            for c in 0..l.c {
                for lane in (0..l.lanes).step_by(LANES) {
                    let base = first + (c * channel + lane) as isize;
                    // SAFETY: only pixels on the map are read; v has room for all points.
                    unsafe {
                        match self.size.0 {
                            1 => self.vertical::<I, 1>(&mut half, base, &rows, &columns, pixel),
                            2 => self.vertical::<I, 2>(&mut half, base, &rows, &columns, pixel),
                            3 => self.vertical::<I, 3>(&mut half, base, &rows, &columns, pixel),
                            _ => self.vertical::<I, 4>(&mut half, base, &rows, &columns, pixel),
                        }
                        let to = v.add(lane);
                        let points = F::point_count(self.size.0);
                        match self.size.1 {
                            1 => self.horizontal::<I, 1>(&half, points, to),
                            2 => self.horizontal::<I, 2>(&half, points, to),
                            3 => self.horizontal::<I, 3>(&half, points, to),
                            _ => self.horizontal::<I, 4>(&half, points, to),
                        }
                    }
                }
                // SAFETY: v has `lanes` floats per channel.
                v = unsafe { v.add(l.lanes) };
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
        // The next channel is asked for while this one is transformed.
        let ahead = self.layout.step * self.layout.lanes;
        // SAFETY: only pixels whose row and column lie on the map are read.
        unsafe {
            for column in columns.clone() {
                let at = self.x.wrapping_offset(base).wrapping_add(column * pixel);
                let mut d = [I::splat(0.0); MAX_POINTS];
                for (i, d) in d.iter_mut().enumerate() {
                    if i < F::TAPS + M - 1 && rows.contains(&i) {
                        let row = at.wrapping_add(i * line);
                        *d = I::load(row);
                        I::prefetch(row.wrapping_add(ahead));
                    }
                }
                let v = F::input::<I, M>(&d);
                let count = F::point_count(M);
                half[column][..count].copy_from_slice(&v[..count]);
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
            for row in 0..points {
                let mut d = [I::splat(0.0); MAX_POINTS];
                for (column, d) in d.iter_mut().enumerate() {
                    let points = &half[column];
                    *d = points[row];
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

/// The output transform and the epilogue of some channels of a tile.
///
/// `m` has `count` rows of `lanes` at each point · `stride`; the tile's pixels on the map lie in the output's rows.
pub struct Finish<'a, F> {
    pub m: *const f32,
    pub stride: usize,
    pub lanes: usize,
    /// Outputs of the tile.
    pub size: (usize, usize),
    /// First output of the tile in each phase.
    pub origin: (usize, usize),
    /// Pixels between neighbouring pixels of a phase.
    pub step: usize,
    /// Height and width of the written map.
    pub map: (usize, usize),
    /// First virtual channel, and how many.
    pub first: usize,
    pub count: usize,
    /// Channels of a phase.
    pub modulus: usize,
    pub output: Output<'a>,
    pub form: PhantomData<F>,
}

impl<F: Form> Kernel for Finish<'_, F> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let mut lane = 0;
        // SAFETY: the struct's conditions; the lanes lie in the row.
        unsafe {
            while lane + 2 * LANES <= self.lanes {
                self.channels::<I, 2>(lane);
                lane += 2 * LANES;
            }
            if lane < self.lanes {
                self.channels::<I, 1>(lane);
            }
        }
    }
}

impl<F: Form> Finish<'_, F> {
    /// Lanes `lane..lane + 16·NV` of all channels.
    ///
    /// # Safety
    /// As for [`Finish`].
    #[inline(always)]
    unsafe fn channels<I: Isa, const NV: usize>(&self, lane: usize) {
        // SAFETY: the struct's conditions; only pixels on the map are written.
        unsafe {
            // Outside the loop: what isn't used of them is not cleared each time.
            let mut half = [[I::splat(0.0); MAX_POINTS]; MAX_TILE];
            let mut y = [[[I::splat(0.0); NV]; MAX_TILE]; MAX_TILE];
            let columns = F::point_count(self.size.1);
            for k in 0..self.count {
                let (py, px, channel) = phase_of(self.first + k, self.modulus, self.step);
                if self.output.wants_prefetch() && k + 1 < self.count {
                    let (py, px, channel) = phase_of(self.first + k + 1, self.modulus, self.step);
                    self.each_pixel(py, px, |pixel, _, _| {
                        self.output.prefetch::<I, NV>(pixel, channel, lane)
                    });
                }
                for vector in 0..NV {
                    let m = self.m.add(k * self.lanes + lane + vector * LANES);
                    match self.size.0 {
                        1 => self.vertical::<I, 1>(&mut half, m, columns),
                        2 => self.vertical::<I, 2>(&mut half, m, columns),
                        3 => self.vertical::<I, 3>(&mut half, m, columns),
                        _ => self.vertical::<I, 4>(&mut half, m, columns),
                    }
                    for (row, y) in y.iter_mut().enumerate().take(self.size.0) {
                        let half = &half[row];
                        let outputs = match self.size.1 {
                            1 => F::output::<I, 1>(half),
                            2 => F::output::<I, 2>(half),
                            3 => F::output::<I, 3>(half),
                            _ => F::output::<I, 4>(half),
                        };
                        for (column, y) in y.iter_mut().enumerate() {
                            y[vector] = outputs[column];
                        }
                    }
                }
                self.each_pixel(py, px, |pixel, row, column| {
                    self.output.row::<I, NV>(pixel, channel, lane, y[row][column]);
                });
            }
        }
    }

    /// Calls `f` with pixel, row and column of every output that lies on the map in a phase.
    #[inline(always)]
    fn each_pixel(&self, py: usize, px: usize, mut f: impl FnMut(usize, usize, usize)) {
        for row in 0..self.size.0 {
            let y = (self.origin.0 + row) * self.step + py;
            for column in 0..self.size.1 {
                let x = (self.origin.1 + column) * self.step + px;
                if y < self.map.0 && x < self.map.1 {
                    f(y * self.map.1 + x, row, column);
                }
            }
        }
    }

    /// Transforms the columns of points into rows of outputs.
    ///
    /// # Safety
    /// As for [`Finish`]; `m` is the channel's place in the first point.
    #[inline(always)]
    unsafe fn vertical<I: Isa, const M: usize>(
        &self,
        half: &mut [[I::V; MAX_POINTS]; MAX_TILE],
        m: *const f32,
        columns: usize,
    ) {
        let line = columns * self.stride;
        for column in 0..columns {
            // SAFETY: m covers all points.
            unsafe {
                let mut p = [I::splat(0.0); MAX_POINTS];
                for (i, p) in p.iter_mut().enumerate() {
                    if i < F::point_count(M) {
                        *p = I::load(m.add(i * line + column * self.stride));
                    }
                }
                let y = F::output::<I, M>(&p);
                for (row, half) in half.iter_mut().enumerate().take(M) {
                    half[column] = y[row];
                }
            }
        }
    }
}
