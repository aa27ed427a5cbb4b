//! Average pooling: means over windows, forward and backward.
//!
//! A mean sums its window in row order; backward gathers: each input pixel sums over the windows that contain it, in row
//! order, so that map rows can be computed independently and always with the same result.

use super::elementwise::load;
use super::epilogue::Output;
use super::launch::{check, launch, per_width, same_shape};
use super::layout::Layout;
use super::simd::{Isa, Kernel, Level};
use super::value::{Epilogue, Source, Target};
use crate::graph::Mean;
use crate::graph::pool::Axis;
use std::ops::Range;

/// The windows of a mean along both axes.
#[derive(Clone, Copy)]
struct Windows {
    down: Axis,
    right: Axis,
}

impl Windows {
    fn new(mean: Mean, input: Layout, output: Layout) -> Self {
        same_shape(Layout { h: 1, w: 1, ..input }, Layout { h: 1, w: 1, ..output });
        let axis = |n, k| match mean {
            Mean::Windows { pool, .. } => {
                assert!(pool.stride >= 1 && k >= 1 && k == pool.output(n), "{mean:?}");
                assert!(pool.pad <= pool.kernel / 2, "{mean:?}");
                Axis { mean, n, k }
            }
            Mean::Adaptive => {
                assert!(n >= 1 && k >= 1, "maps of {n} and {k}");
                Axis { mean, n, k }
            }
        };
        Windows { down: axis(input.h, output.h), right: axis(input.w, output.w) }
    }

    /// 1 / the number of elements that a window's mean is over.
    fn share(&self, oy: usize, ox: usize) -> f32 {
        1.0 / (self.down.count(oy) * self.right.count(ox)) as f32
    }
}

/// Means for the map rows of `y`.
pub fn forward(level: Level, mean: Mean, x: Source, y: Target) {
    check(&x);
    let windows = Windows::new(mean, x.layout, y.layout);
    let rows = y.rows.clone();
    let output = Output::new(y, Epilogue::default());
    // SAFETY: both values were checked to lie in their buffers, and their maps to be those of the windows.
    unsafe { launch(level, Forward { windows, x, rows, output: *output }) }
}

/// Gradient of the input for the map rows of `dx`, from the whole `dy`.
pub fn backward(level: Level, mean: Mean, dy: Source, dx: Target, epilogue: Epilogue) {
    check(&dy);
    let windows = Windows::new(mean, dx.layout, dy.layout);
    let rows = dx.rows.clone();
    let output = Output::new(dx, epilogue);
    // SAFETY: both values were checked to lie in their buffers, and their maps to be those of the windows.
    unsafe { launch(level, Backward { windows, dy, rows, output: *output }) }
}

/// Rows that are asked for in advance, where a channel of all pixels comes before the next one: the pixels of a window lie
/// too far apart for the machine to follow.
const AHEAD: usize = 4;

struct Forward<'a> {
    windows: Windows,
    x: Source<'a>,
    rows: Range<usize>,
    output: Output<'a>,
}

impl Kernel for Forward<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        // SAFETY: the caller's conditions, with the number of vectors per row as a constant.
        unsafe { per_width!(self.x.layout.lanes, I, means, self) }
    }
}

#[inline(always)]
unsafe fn means<I: Isa, const NV: usize>(k: Forward) {
    let (xl, yl) = (k.x.layout, k.output.layout());
    let step = xl.step * xl.lanes;
    // The window's inputs: where their channel 0 starts.
    let mut taps = Vec::new();
    for oy in k.rows {
        for ox in 0..yl.w {
            taps.clear();
            for iy in k.windows.down.inputs(oy) {
                taps.extend(k.windows.right.inputs(ox).map(|ix| xl.at(iy * xl.w + ix, 0)));
            }
            let share = k.windows.share(oy, ox);
            for c in 0..xl.c {
                // SAFETY: the window's inputs lie in the checked source, the written row in the target's rows.
                unsafe {
                    let x = k.x.data.as_ptr().add(c * step);
                    let mut sum = [I::splat(0.0); NV];
                    for &tap in &taps {
                        for i in 0..NV {
                            I::prefetch(x.wrapping_add(tap + AHEAD * step + 16 * i));
                        }
                        let x = load::<I, NV>(x.add(tap));
                        for i in 0..NV {
                            sum[i] = I::add(sum[i], x[i]);
                        }
                    }
                    for sum in sum.iter_mut() {
                        *sum = I::mul(*sum, I::splat(share));
                    }
                    k.output.row::<I, NV>(oy * yl.w + ox, c, 0, sum);
                }
            }
        }
    }
}

struct Backward<'a> {
    windows: Windows,
    dy: Source<'a>,
    rows: Range<usize>,
    output: Output<'a>,
}

impl Kernel for Backward<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        // SAFETY: the caller's conditions, with the number of vectors per row as a constant.
        unsafe { per_width!(self.dy.layout.lanes, I, gradients, self) }
    }
}

#[inline(always)]
unsafe fn gradients<I: Isa, const NV: usize>(k: Backward) {
    let (yl, xl) = (k.dy.layout, k.output.layout());
    // The windows that contain a pixel: where their gradients start, and the share that it has in their means.
    let mut windows = Vec::new();
    for iy in k.rows {
        for ix in 0..xl.w {
            windows.clear();
            for oy in k.windows.down.windows(iy) {
                let of = |ox: usize| (yl.at(oy * yl.w + ox, 0), k.windows.share(oy, ox));
                windows.extend(k.windows.right.windows(ix).map(of));
            }
            for c in 0..xl.c {
                // SAFETY: the windows lie in the checked source, the written row in the target's rows.
                unsafe {
                    // Starting from the first keeps the sign of a zero.
                    let mut sum = [I::splat(0.0); NV];
                    for (number, &(at, share)) in windows.iter().enumerate() {
                        let dy = load::<I, NV>(k.dy.data.as_ptr().add(at + c * yl.step * yl.lanes));
                        for i in 0..NV {
                            let part = I::mul(dy[i], I::splat(share));
                            sum[i] = if number == 0 { part } else { I::add(sum[i], part) };
                        }
                    }
                    k.output.row::<I, NV>(iy * xl.w + ix, c, 0, sum);
                }
            }
        }
    }
}
