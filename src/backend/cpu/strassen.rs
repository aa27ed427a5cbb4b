//! 1×1 convolutions by Strassen's method: seven products of half the size in place of eight.
//!
//! A 1×1 convolution is one large product Y = W · X. W is cut into halves of written and of read channels, X into
//! halves of read channels (1, 2) and pairs of pixels (p, q) of one row of the map. Winograd's form of the method, in
//! the order in which it runs; a sum `acc` stays in registers from line to line, t and u are rows of scratch:
//! ```text
//! acc  = W11 · Xp1                     t = acc
//! acc += W12 · Xp2                     Yp1 = acc
//! acc  = t + (W21 + W22 − W11) · (Xq2 − Xq1 + Xp1)             t = acc
//! acc += (W11 − W21) · (Xq2 − Xq1)                             u = acc
//! acc += W22 · (Xp2 − Xq2 + Xq1 − Xp1)                         Yp2 = acc
//! acc  = (W21 + W22) · (Xq1 − Xp1)                             u += acc, acc += t
//! acc += (W12 + W11 − W21 − W22) · Xq2                         Yq1 = acc, Yq2 = u
//! ```
//! The sums of weights are made when they are packed, those of X once per pair of pixels and vector pair of images;
//! both are small beside the products from 128 channels on. Only pixels of one image meet: an image's result depends
//! on no other image.

use super::convolve::{Convolve, Scratch, Weights};
use super::epilogue::{Ahead, Output};
use super::layout::{Aligned, LANES, Layout};
use super::masters::{Masters, Run};
use super::microkernel::add_run;
use super::simd::{Isa, Kernel, Level, dispatch};
use super::value::{Epilogue, Source, Target};
use crate::filter::Mask;
use crate::graph::conv::{ConvShape, Direction};
use std::ops::Range;

/// Products, and sums of X that are made for them.
const PRODUCTS: usize = 7;
const SUMS: usize = 4;

/// Bytes of input, sums included, that panels pass over again and again: about half of a 1 MB L2 cache.
const BLOCK_BYTES: usize = 448 << 10;

/// Two written pixels, and the pixels that they read.
#[derive(Clone, Copy)]
struct Pair {
    written: [usize; 2],
    read: [usize; 2],
}

/// Written channels of both halves that one register tile computes: `channel..channel + kb` and the same in the
/// second half.
#[derive(Clone, Copy)]
struct Panel {
    channel: usize,
    kb: usize,
}

impl Panel {
    fn rows(&self) -> Range<usize> {
        self.channel..self.channel + self.kb
    }
}

/// A 1×1 convolution in one direction.
pub struct Strassen {
    level: Level,
    direction: Direction,
    /// Height and width of the read and of the written map.
    read: (usize, usize),
    written: (usize, usize),
    /// Pixels between neighbours that meet a weight, on either map.
    read_step: usize,
    write_step: usize,
    /// Half of the read and of the written channels.
    c: usize,
    k: usize,
    panels: Vec<Panel>,
    /// `[panel][W11 W12 W21 W22][c][KB]`
    masters: Masters,
    /// `[panel][product][c][KB]`
    packed: Aligned,
}

impl Strassen {
    /// Plans a convolution; `None` where it isn't 1×1, or channels or pixels can't be halved, or too few.
    pub fn new(shape: ConvShape, direction: Direction, level: Level) -> Option<Self> {
        if !Self::fits(&shape) {
            return None;
        }
        let stride = shape.stride;
        let (input, output) = ((shape.h, shape.w), shape.output());
        let (read, written, c, k, read_step, write_step) = match direction {
            Direction::Forward => (input, output, shape.c, shape.k, stride, 1),
            Direction::BackwardInput => (output, input, shape.k, shape.c, 1, stride),
        };
        let (c, k) = (c / 2, k / 2);
        let (tallest, lowest) = heights(level);
        let count = k.div_ceil(tallest);
        let edge = |i: usize| i * k / count;
        let panels: Vec<Panel> =
            (0..count).map(|i| Panel { channel: edge(i), kb: edge(i + 1) - edge(i) }).collect();
        if panels.iter().any(|panel| panel.kb < lowest) {
            return None;
        }
        Some(Strassen {
            level,
            direction,
            read,
            written,
            read_step,
            write_step,
            c,
            k,
            panels,
            masters: Masters::new(level, 4 * c * k, shape.k),
            packed: Aligned::zeros(PRODUCTS * c * k),
        })
    }

    /// Whether channels and pixels of a convolution can be halved.
    pub fn fits(shape: &ConvShape) -> bool {
        let &ConvShape { c, k, r, s, stride, pad, groups, .. } = shape;
        (r, s, groups, pad) == (1, 1, 1, 0)
            && stride <= 2
            && c.is_multiple_of(2 * LANES)
            && k.is_multiple_of(2 * LANES)
            && shape.output().1.is_multiple_of(2)
    }

    /// Output channels of the convolution.
    fn outputs(&self) -> usize {
        match self.direction {
            Direction::Forward => 2 * self.k,
            Direction::BackwardInput => 2 * self.c,
        }
    }

    /// Where the blocks of a panel hold weights of these output channels, in whole vectors; either half of the channels
    /// meets the other in the products.
    fn places(&self, panel: &Panel, channels: &Range<usize>) -> [Range<usize>; 2] {
        let half = self.outputs() / 2;
        let halves = [
            channels.start.min(half)..channels.end.min(half),
            channels.start.max(half) - half..channels.end.max(half) - half,
        ];
        match self.direction {
            Direction::Forward => {
                let meets =
                    |part: &Range<usize>| part.start.max(panel.channel) < part.end.min(panel.rows().end);
                [0..if halves.iter().any(meets) { self.c * panel.kb } else { 0 }, 0..0]
            }
            Direction::BackwardInput => halves.map(|part| {
                let (start, end) = (part.start * panel.kb, part.end * panel.kb);
                if start == end { 0..0 } else { start / LANES * LANES..end.next_multiple_of(LANES) }
            }),
        }
    }

    /// Makes the products' weights of these output channels from the masters in force.
    fn combine(&mut self, channels: Range<usize>) {
        let (mut from, mut to) = (self.masters.in_force(), 0);
        for panel in &self.panels {
            let len = self.c * panel.kb;
            let (blocks, rest) = from.split_at(4 * len);
            from = rest;
            for places in self.places(panel, &channels) {
                let products = &mut self.packed[to..to + PRODUCTS * len];
                // SAFETY: a level is only ever one of this machine's; c is a multiple of 16.
                unsafe { dispatch(self.level, Combine { blocks, products, len, places }) }
            }
            to += PRODUCTS * len;
        }
    }

    /// Pairs of written pixels in a map row, and whether any pixel of the row reads something.
    fn pairs(&self, row: usize) -> impl Iterator<Item = Pair> {
        // Both maps have the pixels of the convolution's output that meet, one of them others between.
        let meeting = match self.direction {
            Direction::Forward => self.written.1,
            Direction::BackwardInput => self.read.1,
        };
        let (width, half) = (self.written.1, meeting / 2);
        let (read_row, any) = (row / self.write_step * self.read_step, row.is_multiple_of(self.write_step));
        let at =
            move |i: usize| (row * width + i * self.write_step, read_row * self.read.1 + i * self.read_step);
        (0..if any { half } else { 0 }).map(move |i| {
            let (p, q) = (at(i), at(i + half));
            Pair { written: [p.0, q.0], read: [p.1, q.1] }
        })
    }
}

/// Greatest and least height of a register tile.
fn heights(level: Level) -> (usize, usize) {
    match level {
        Level::Avx512 => (14, 12),
        Level::Avx2 => (6, 5),
        Level::Portable => (3, 2),
    }
}

impl Convolve for Strassen {
    fn load(&mut self, weights: Weights) {
        let Strassen { c, k, direction, panels, masters, .. } = self;
        let (c, k) = (*c, *k);
        masters.load(weights, |loader| {
            for panel in panels.iter() {
                for (bottom, right) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    for read in right * c..(right + 1) * c {
                        let first = bottom * k + panel.channel;
                        for written in first..first + panel.kb {
                            match direction {
                                Direction::Forward => loader.push(written, written * 2 * c + read),
                                Direction::BackwardInput => loader.push(read, read * 2 * k + written),
                            }
                        }
                    }
                }
            }
        });
        self.combine(0..self.outputs());
    }

    fn pack(&mut self, mask: Mask, channels: Range<usize>) {
        let Strassen { direction, c, k, panels, masters, .. } = self;
        let (c, k) = (*c, *k);
        let rewritten = masters.pack(mask, channels, |channel, each| {
            for panel in panels.iter() {
                let block =
                    |bottom: usize, right: usize| 4 * c * panel.channel + (2 * bottom + right) * c * panel.kb;
                match direction {
                    // A column of two blocks of its panel.
                    Direction::Forward if panel.rows().contains(&(channel % k)) => {
                        let column = channel % k - panel.channel;
                        for right in [0, 1] {
                            let first = block(channel / k, right) + column;
                            each(Run { first, count: c, step: panel.kb });
                        }
                    }
                    Direction::Forward => {}
                    // A row of two blocks of every panel.
                    Direction::BackwardInput => {
                        for bottom in [0, 1] {
                            let first = block(bottom, channel / c) + channel % c * panel.kb;
                            each(Run { first, count: panel.kb, step: 1 });
                        }
                    }
                }
            }
        });
        rewritten.into_iter().for_each(|channels| self.combine(channels));
    }

    fn packed_bytes(&self, channels: Range<usize>) -> usize {
        let len: usize =
            self.panels.iter().flat_map(|panel| self.places(panel, &channels)).map(|p| p.len()).sum();
        self.masters.bytes(channels) + 4 * PRODUCTS * len
    }

    fn run(&self, x: Source, y: Target, epilogue: Epilogue, scratch: &mut Scratch) {
        let (xl, yl, rows) = (x.layout, y.layout, y.rows.clone());
        assert_eq!((xl.h, xl.w, xl.c), (self.read.0, self.read.1, 2 * self.c), "shape of the read value");
        assert_eq!(
            (yl.h, yl.w, yl.c),
            (self.written.0, self.written.1, 2 * self.k),
            "shape of the written value"
        );
        x.check(yl.lanes);
        let output = Output::new(y, epilogue);
        let wide = const { 2 * LANES };
        let block = (BLOCK_BYTES / (4 * wide * (4 + SUMS) * self.c)).max(1);
        let sums = scratch.a.reserve_len(block * SUMS * self.c * wide).as_mut_ptr();
        let pairs: Vec<Pair> = rows.clone().flat_map(|row| self.pairs(row)).collect();
        for lane in (0..xl.lanes).step_by(wide) {
            let vectors = (xl.lanes - lane).min(wide) / LANES;
            for pairs in pairs.chunks(block) {
                let mut weights = &self.packed[..];
                let work = Work {
                    x: x.data,
                    xl,
                    c: self.c,
                    k: self.k,
                    lane,
                    vectors,
                    pairs,
                    sums,
                    output: &output,
                    weights: &[],
                    channel: 0,
                };
                // SAFETY: a level is only ever one of this machine's; both layouts were checked against the planned
                // shape, of which the pairs are pixels; there is room for the sums of a block of pairs.
                unsafe { dispatch(self.level, Sums(&work)) };
                for panel in &self.panels {
                    let (now, rest) = weights.split_at(PRODUCTS * self.c * panel.kb);
                    weights = rest;
                    let work = Work { weights: now, channel: panel.channel, ..work };
                    work.dispatch(self.level, panel.kb);
                }
            }
        }
        if self.write_step > 1 {
            let idle = rows.flat_map(|row| (0..yl.w).map(move |column| (row, column)));
            let idle = idle.filter(|(row, column)| row % self.write_step + column % self.write_step > 0);
            for (row, column) in idle {
                // SAFETY: the level is one of this machine's; the pixel lies in the target's rows.
                unsafe { dispatch(self.level, Nothing { output: *output, pixel: row * yl.w + column }) }
            }
        }
    }
}

/// The epilogue of a pixel that no product reaches.
struct Nothing<'a> {
    output: Output<'a>,
    pixel: usize,
}

impl Kernel for Nothing<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let l = self.output.layout();
        for channel in 0..l.c {
            for lane in (0..l.lanes).step_by(LANES) {
                // SAFETY: the caller promises that the pixel lies in the target.
                unsafe { self.output.row::<I, 1>(self.pixel, channel, lane, [I::splat(0.0)]) }
            }
        }
    }
}

/// The seven factors from the four blocks of a panel, each of `len` weights, a multiple of 16.
struct Combine<'a> {
    blocks: &'a [f32],
    products: &'a mut [f32],
    len: usize,
    /// Whole vectors of each block.
    places: Range<usize>,
}

impl Kernel for Combine<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Combine { blocks, products, len, places } = self;
        assert!(len.is_multiple_of(LANES) && blocks.len() == 4 * len && products.len() == PRODUCTS * len);
        assert!(places.start.is_multiple_of(LANES) && places.end.is_multiple_of(LANES) && places.end <= len);
        for i in places.step_by(LANES) {
            let (from, to) = (blocks[i..].as_ptr(), products[i..].as_mut_ptr());
            // SAFETY: all blocks have a vector at `i`.
            unsafe {
                let (w11, w12) = (I::load(from), I::load(from.add(len)));
                let (w21, w22) = (I::load(from.add(2 * len)), I::load(from.add(3 * len)));
                let bottom = I::add(w21, w22);
                let rest = I::sub(bottom, w11);
                let factors = [w11, w12, rest, I::sub(w11, w21), w22, bottom, I::sub(w12, rest)];
                for (j, factor) in factors.into_iter().enumerate() {
                    I::store(to.add(j * len), factor);
                }
            }
        }
    }
}

/// One panel over a block of pairs; `sums` has `[pair][sum][c]` rows of 32 lanes.
#[derive(Clone, Copy)]
struct Work<'a> {
    x: &'a [f32],
    xl: Layout,
    /// Half of the read and of the written channels.
    c: usize,
    k: usize,
    lane: usize,
    vectors: usize,
    pairs: &'a [Pair],
    sums: *mut f32,
    output: &'a Output<'a>,
    /// `[product][c][KB]`
    weights: &'a [f32],
    channel: usize,
}

impl Work<'_> {
    /// The sums of a pair.
    fn sums_of(&self, pair: usize) -> *mut f32 {
        self.sums.wrapping_add(pair * SUMS * self.c * 2 * LANES)
    }

    /// Runs the kernel whose tile is `kb` high.
    fn dispatch(self, level: Level, kb: usize) {
        macro_rules! heights {
            ($($height:literal)*) => {
                match kb {
                    // SAFETY: a level is only ever one of this machine's; `run` checked the rest.
                    $($height => unsafe { dispatch(level, Tall::<$height>(self)) },)*
                    _ => unreachable!("heights that `new` admits"),
                }
            };
        }
        heights!(2 3 5 6 12 13 14)
    }
}

/// The sums of X of a block of pairs.
struct Sums<'a>(&'a Work<'a>);

impl Kernel for Sums<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let w = self.0;
        let step = w.xl.step * w.xl.lanes;
        for (i, pair) in w.pairs.iter().enumerate() {
            let [p, q] = pair.read.map(|pixel| w.x.as_ptr().wrapping_add(w.xl.at(pixel, 0) + w.lane));
            let to = w.sums_of(i);
            for channel in 0..w.c {
                for vector in 0..w.vectors {
                    let (first, second) =
                        (channel * step + vector * LANES, (channel + w.c) * step + vector * LANES);
                    let to = to.wrapping_add(channel * 2 * LANES + vector * LANES);
                    let sum = w.c * 2 * LANES;
                    // SAFETY: both pixels have 2 · c channels; `sums` has room for every pair.
                    unsafe {
                        let (p1, p2) = (I::load(p.add(first)), I::load(p.add(second)));
                        let (q1, q2) = (I::load(q.add(first)), I::load(q.add(second)));
                        let across = I::sub(q1, p1);
                        let rest = I::sub(q2, across);
                        I::store(to, rest);
                        I::store(to.add(sum), I::sub(q2, q1));
                        I::store(to.add(2 * sum), I::sub(p2, rest));
                        I::store(to.add(3 * sum), across);
                    }
                }
            }
        }
    }
}

/// [`Work`] with tiles KB high.
struct Tall<'a, const KB: usize>(Work<'a>);

impl<const KB: usize> Kernel for Tall<'_, KB> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        for pair in 0..self.0.pairs.len() {
            // SAFETY: the caller's promise; the vectors of the work are covered by the widths below.
            unsafe {
                if const { KB > I::ACCUMULATORS || 3 * KB < I::ACCUMULATORS } {
                    unreachable!("a tile of another instruction set");
                } else if const { 2 * KB <= I::ACCUMULATORS } && self.0.vectors == 2 {
                    self.tile::<I, 2>(pair, 0);
                } else {
                    for vector in 0..self.0.vectors {
                        self.tile::<I, 1>(pair, vector);
                    }
                }
            }
        }
    }
}

impl<const KB: usize> Tall<'_, KB> {
    /// All four results of a pair, NV vectors from `vector` on.
    ///
    /// # Safety
    /// The machine has `I`'s instruction set; the pair and the vectors are of the work.
    #[inline(always)]
    unsafe fn tile<I: Isa, const NV: usize>(&self, pair: usize, vector: usize) {
        let Work { x, xl, c, k, output, channel, .. } = self.0;
        let lane = self.0.lane + vector * LANES;
        let Pair { written: [p, q], read } = self.0.pairs[pair];
        let step = xl.step * xl.lanes;
        let [from_p, from_q] = read.map(|pixel| x.as_ptr().wrapping_add(xl.at(pixel, 0) + lane));
        let sums = self.0.sums_of(pair).wrapping_add(vector * LANES).cast_const();
        let sum = |i: usize| (sums.wrapping_add(i * c * 2 * LANES), 2 * LANES);
        let factors = [
            (from_p, step),
            (from_p.wrapping_add(c * step), step),
            sum(0),
            sum(1),
            sum(2),
            sum(3),
            (from_q.wrapping_add(c * step), step),
        ];
        // SAFETY: the panel has `c · KB` weights per product; X, its sums and the target have the channels and lanes.
        unsafe {
            let zero = [[I::splat(0.0); NV]; KB];
            let (mut acc, mut t, mut u) = (zero, zero, zero);
            let mut weights = self.0.weights.as_ptr();
            for i in 0..=PRODUCTS {
                // The result that is finished after this product.
                let result = match i {
                    1 => Some((p, channel)),
                    4 => Some((p, channel + k)),
                    6 => Some((q, channel)),
                    7 => Some((q, channel + k)),
                    _ => None,
                };
                match i {
                    2 => acc = t,
                    5 => acc = zero,
                    7 => acc = u,
                    _ => {}
                }
                if let Some(&(x, step)) = factors.get(i) {
                    let later = match i {
                        0 => output.ahead::<KB>(p, channel, lane),
                        3 => output.ahead::<KB>(p, channel + k, lane),
                        5 => output.ahead::<KB>(q, channel, lane),
                        6 => output.ahead::<KB>(q, channel + k, lane),
                        _ => Ahead::NOTHING,
                    };
                    add_run::<I, KB, NV>(&mut acc, weights, x, c, step, later);
                    weights = weights.add(c * KB);
                }
                match i {
                    0 | 2 => t = acc,
                    3 => u = acc,
                    5 => {
                        for (k, row) in acc.iter_mut().enumerate() {
                            for (v, acc) in row.iter_mut().enumerate() {
                                u[k][v] = I::add(u[k][v], *acc);
                                *acc = I::add(*acc, t[k][v]);
                            }
                        }
                    }
                    _ => {}
                }
                if let Some((pixel, channel)) = result {
                    output.tile::<I, KB, NV>(pixel, channel, lane, &acc);
                }
            }
        }
    }
}
