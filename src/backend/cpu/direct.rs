//! Direct convolution: for every written pixel, the sum over its valid taps of small matrix products.
//!
//! ```text
//! Y[pixel][K × lanes] = Σ over valid taps:  W[tap][K × C] · X[pixel of the tap][C × lanes]
//! ```
//! Forward and backward-to-input differ only in which taps a pixel has and in which of the weight's channel axes
//! is summed over, so both are one tap table, one packing and one kernel. A tap that falls on padding isn't in the table.
//!
//! Weights are packed `[group][panel][tap][C][KB]`: a panel is KB written channels, the height of the register tile.
//! Pixels are taken in blocks whose input stays in the L2 cache while all panels pass over it.
//! Taps that lie side by side on the map are packed side by side; over a dense value they are one long run of channels.

use super::convolve::{Convolve, Scratch, Weights};
use super::epilogue::Output;
use super::layout::Layout;
use super::masters::{Masters, Run};
use super::microkernel::tile_of_runs;
use super::simd::{Isa, Kernel, Level, dispatch};
use super::taps::{Table, Taps};
use super::value::{Epilogue, Source, Target};
use crate::filter::Mask;
use crate::graph::conv::{ConvShape, Direction};
use std::ops::Range;

/// Bytes of input that a block of pixels may touch: half of a 1 MB L2 cache.
const BLOCK_BYTES: usize = 256 << 10;

/// Some written channels of a group.
#[derive(Clone, Copy, Debug)]
struct Panel {
    /// First written channel, counted within the group.
    channel: usize,
    /// Channels, the height of the tile.
    kb: usize,
}

impl Panel {
    fn rows(&self) -> Range<usize> {
        self.channel..self.channel + self.kb
    }
}

/// The direct method for one convolution in one direction.
pub struct Direct {
    level: Level,
    direction: Direction,
    /// Height and width of the read map.
    read: (usize, usize),
    /// Height and width of the written map.
    written: (usize, usize),
    groups: usize,
    /// Read channels per group.
    c: usize,
    /// Written channels per group.
    k: usize,
    taps: Taps,
    panels: Vec<Panel>,
    weights: Masters,
}

impl Direct {
    /// Plans a convolution; weights come with [`Convolve::load`].
    pub fn new(shape: ConvShape, direction: Direction, level: Level) -> Self {
        let (c, k) = (shape.c / shape.groups, shape.k / shape.groups);
        let (input, output) = ((shape.h, shape.w), shape.output());
        let (read, written, c, k) = match direction {
            Direction::Forward => (input, output, c, k),
            Direction::BackwardInput => (output, input, k, c),
        };
        Direct {
            level,
            direction,
            read,
            written,
            groups: shape.groups,
            c,
            k,
            taps: Taps::new(&shape, direction),
            panels: panels(k, tallest(level)),
            weights: Masters::new(level, shape.weights(), shape.k),
        }
    }

    /// Rows of the written map whose input is about [`BLOCK_BYTES`].
    fn block_rows(&self, pixel_bytes: usize) -> usize {
        let row = self.read.1 * pixel_bytes * self.read.0 / self.written.0.max(1);
        (BLOCK_BYTES / row.max(1)).max(1)
    }
}

/// The tallest tile: with two vectors per row on AVX-512, with one elsewhere.
fn tallest(level: Level) -> usize {
    match level {
        Level::Avx512 => 14,
        Level::Avx2 => 6,
        Level::Portable => 3,
    }
}

/// Splits `k` channels into the fewest panels of at most `tallest`, as even as can be.
fn panels(k: usize, tallest: usize) -> Vec<Panel> {
    let count = k.div_ceil(tallest);
    let edge = |i: usize| i * k / count;
    (0..count).map(|i| Panel { channel: edge(i), kb: edge(i + 1) - edge(i) }).collect()
}

impl Convolve for Direct {
    fn load(&mut self, weights: Weights) {
        let Direct { groups, c, k, taps, panels, direction, weights: masters, .. } = self;
        let (groups, c, k, direction) = (*groups, *c, *k, *direction);
        masters.load(weights, |loader| {
            for group in 0..groups {
                for panel in panels.iter() {
                    for (place, &tap) in taps.order.iter().enumerate() {
                        if !taps.used[place] {
                            loader.skip(c * panel.kb);
                            continue;
                        }
                        for read in 0..c {
                            for written in panel.channel..panel.channel + panel.kb {
                                let (output, inner, inners) = match direction {
                                    Direction::Forward => (group * k + written, read, c),
                                    Direction::BackwardInput => (group * c + read, written, k),
                                };
                                loader.push(output, (output * inners + inner) * taps.order.len() + tap);
                            }
                        }
                    }
                }
            }
        });
    }

    fn pack(&mut self, mask: Mask, channels: Range<usize>) {
        let Direct { direction, c, k, taps, panels, weights, .. } = self;
        let (c, k, taps) = (*c, *k, taps.order.len());
        weights.pack(mask, channels, |channel, each| {
            let of_group = match direction {
                Direction::Forward => k,
                Direction::BackwardInput => c,
            };
            let (group, channel) = (channel / of_group, channel % of_group);
            for panel in panels.iter() {
                let first = (group * k + panel.channel) * taps * c;
                match direction {
                    // A column of its panel.
                    Direction::Forward if panel.rows().contains(&channel) => {
                        each(Run { first: first + channel - panel.channel, count: taps * c, step: panel.kb });
                    }
                    Direction::Forward => {}
                    // A row of every panel and tap.
                    Direction::BackwardInput => (0..taps).for_each(|tap| {
                        each(Run { first: first + (tap * c + channel) * panel.kb, count: panel.kb, step: 1 });
                    }),
                }
            }
        });
    }

    fn packed_bytes(&self, channels: Range<usize>) -> usize {
        self.weights.bytes(channels)
    }

    fn run(&self, x: Source, y: Target, epilogue: Epilogue, _scratch: &mut Scratch) {
        let (xl, yl, rows) = (x.layout, y.layout, y.rows.clone());
        let (groups, c, k) = (self.groups, self.c, self.k);
        assert_eq!((xl.h, xl.w, xl.c), (self.read.0, self.read.1, groups * c), "shape of the read value");
        assert_eq!(
            (yl.h, yl.w, yl.c),
            (self.written.0, self.written.1, groups * k),
            "shape of the written value"
        );
        x.check(yl.lanes);
        let output = Output::new(y, epilogue);
        // The channels of one tap are followed by those of the next one exactly if the value is dense.
        let dense = groups == 1 && xl.pixel == c * xl.step;
        let weights = self.weights.in_force();
        let step = self.block_rows(4 * xl.pixel * xl.lanes);
        let tiles = yl.lanes.div_ceil(32) * self.panels.len();
        for start in rows.clone().step_by(step) {
            let pixels = start * yl.w..(start + step).min(rows.end) * yl.w;
            let mut at = 0;
            // Where the input of the next block starts, and its lines per tile of this one.
            let row = self.read.1 * xl.pixel * xl.lanes * self.read.0 / self.written.0.max(1);
            let (after, more) = (row * (start + step), rows.end.saturating_sub(start + step).min(step));
            let mut next =
                (x.data.as_ptr().wrapping_add(after), (row * more / 16).div_ceil(tiles * pixels.len()));
            if !dense {
                next.1 = 0;
            }
            for group in 0..groups {
                for panel in &self.panels {
                    let len = self.taps.order.len() * c * panel.kb;
                    let work = Work {
                        table: if dense { &self.taps.joined } else { &self.taps.single },
                        pixels: pixels.clone(),
                        weights: &weights[at..at + len],
                        c,
                        x: x.data,
                        xl: xl.channels(group * c..(group + 1) * c),
                        channel: group * k + panel.channel,
                        output: &output,
                        next,
                    };
                    next.0 = next.0.wrapping_add(yl.lanes.div_ceil(32) * pixels.len() * next.1 * 16);
                    work.dispatch(self.level, panel.kb);
                    at += len;
                }
            }
        }
    }
}

/// One panel over a block of pixels.
struct Work<'a> {
    table: &'a Table,
    /// Written pixels.
    pixels: Range<usize>,
    /// The panel, `[tap][c][KB]`.
    weights: &'a [f32],
    c: usize,
    x: &'a [f32],
    /// The group's channels of the read value.
    xl: Layout,
    /// First written channel.
    channel: usize,
    output: &'a Output<'a>,
    /// Input of the next block that is to be asked for: where it starts, lines per tile.
    next: (*const f32, usize),
}

impl Work<'_> {
    /// Runs the kernel whose tile is `kb` high.
    fn dispatch(self, level: Level, kb: usize) {
        macro_rules! heights {
            ($($height:literal)*) => {
                match kb {
                    // SAFETY: a level is only ever one of this machine's. `run` checked both layouts against the planned
                    // shape; the table was built for that shape; panels partition the written channels.
                    $($height => unsafe { dispatch(level, Tall::<$height>(self)) },)*
                    _ => unreachable!("panels are at most 14 high"),
                }
            };
        }
        heights!(1 2 3 4 5 6 7 8 9 10 11 12 13 14)
    }
}

/// [`Work`] with tiles `KB` high.
struct Tall<'a, const KB: usize>(Work<'a>);

impl<const KB: usize> Kernel for Tall<'_, KB> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        // SAFETY: the caller's promise; lanes are covered in full by the widths below.
        unsafe {
            if const { KB * 2 <= I::ACCUMULATORS } {
                let lanes = self.0.xl.lanes;
                // Four vectors of x beside the accumulators.
                let wide = const { KB * 4 + 4 <= I::ACCUMULATORS } && lanes == 64;
                if wide {
                    for pixel in self.0.pixels.clone() {
                        self.tile::<I, 4>(pixel, 0);
                    }
                    return;
                }
                // All pixels for a pair of vectors before the next pair.
                let pairs = lanes / 32 * 32;
                for lane in (0..pairs).step_by(32) {
                    for pixel in self.0.pixels.clone() {
                        self.tile::<I, 2>(pixel, lane);
                    }
                }
                if pairs < lanes {
                    for pixel in self.0.pixels.clone() {
                        self.tile::<I, 1>(pixel, pairs);
                    }
                }
            } else if const { KB <= I::ACCUMULATORS } {
                for pixel in self.0.pixels.clone() {
                    for lane in (0..self.0.xl.lanes).step_by(16) {
                        self.tile::<I, 1>(pixel, lane);
                    }
                }
            } else {
                unreachable!("a tile that the registers can't hold");
            }
        }
    }
}

impl<const KB: usize> Tall<'_, KB> {
    /// Channels of the panel, lanes `lane..lane + 16·NV` of one pixel.
    ///
    /// # Safety
    /// The machine has `I`'s instruction set; pixel and lanes lie in the written value.
    #[inline(always)]
    unsafe fn tile<I: Isa, const NV: usize>(&self, pixel: usize, lane: usize) {
        let Work { table, weights, c, x, xl, channel, output, .. } = &self.0;
        let runs = table.of(pixel);
        // SAFETY: runs name taps of the packed weights and pixels of the read value, of which a run of several taps
        // reads whole dense pixels; the caller promises the rest.
        unsafe {
            let pointers = runs.iter().map(|run| {
                let (tap, pixel, taps) = (run.tap as usize, run.pixel as usize, run.taps as usize);
                (weights.as_ptr().add(tap * c * KB), x.as_ptr().add(xl.at(pixel, 0) + lane), taps * c)
            });
            let tile = lane / (16 * NV) * self.0.pixels.len() + pixel - self.0.pixels.start;
            let next = self.0.next;
            let input = next.0.wrapping_add(tile * next.1 * 16);
            let later = output.ahead::<KB>(pixel, *channel, lane).with_input(input, next.1);
            let acc = tile_of_runs::<I, KB, NV>(pointers, xl.step * xl.lanes, xl.pixel * xl.lanes, later);
            output.tile::<I, KB, NV>(pixel, *channel, lane, &acc);
        }
    }
}
