//! Max pooling; for means see [`mean`](super::mean).
//!
//! Padding never wins a maximum; of equal maxima the first in row order wins, and takes the gradient. A NaN wins only
//! as the first of its window. Backward gathers: each input pixel sums over the windows that contain it, in row
//! order, so that map rows can be computed independently and always with the same result.

use super::elementwise::load;
use super::epilogue::Output;
use super::launch::{check, launch, per_width};
use super::layout::Layout;
use super::simd::{Isa, Kernel, Level};
use super::value::{Epilogue, Source, Target};
use crate::graph::Pool;
use std::ops::Range;

/// Windows reach no further than a byte can tell places apart.
const MOST: usize = 16;

/// Checks that a pool's maps fit, and that a byte can tell the places of its windows apart.
fn fits(pool: Pool, input: Layout, output: Layout) {
    assert!((1..=MOST).contains(&pool.kernel) && pool.stride >= 1, "{pool:?}");
    assert!(pool.pad <= pool.kernel / 2 && output.h.min(output.w) >= 1, "{pool:?}");
    assert_eq!((output.h, output.w), (pool.output(input.h), pool.output(input.w)), "output map of {pool:?}");
    assert_eq!((input.c, input.lanes), (output.c, output.lanes), "channels and lanes");
}

/// Maxima for the map rows of `y`. `index`, if asked for, takes for each element which of the window's `kernel²`
/// places won (row by row), densely `[pixel][channel][lane]` for the same map rows.
pub fn max_forward(level: Level, pool: Pool, x: Source, y: Target, index: Option<&mut [u8]>) {
    check(&x);
    fits(pool, x.layout, y.layout);
    let rows = y.rows.clone();
    if let Some(index) = &index {
        assert_eq!(index.len(), rows.len() * y.layout.w * y.layout.c * y.layout.lanes, "winners");
    }
    let output = Output::new(y, Epilogue::default());
    // SAFETY: values and winners were checked to have the size that the pool and the rows ask for.
    unsafe { launch(level, MaxForward { pool, x, rows, output: *output, index }) }
}

/// Gradient of the input for the map rows of `dx`, from the whole `dy` and all winners.
pub fn max_backward(level: Level, pool: Pool, dy: Source, index: &[u8], dx: Target, epilogue: Epilogue) {
    check(&dy);
    fits(pool, dx.layout, dy.layout);
    let l = dy.layout;
    assert_eq!(index.len(), l.h * l.w * l.c * l.lanes, "winners");
    let rows = dx.rows.clone();
    let output = Output::new(dx, epilogue);
    // SAFETY: values and winners were checked to have the size that the pool and the rows ask for.
    unsafe { launch(level, MaxBackward { pool, dy, rows, output: *output, index }) }
}

/// Rows of a pixel that are asked for in advance: the pixels of a window lie too far apart for the machine to follow.
const AHEAD: usize = 16;

struct MaxForward<'a> {
    pool: Pool,
    x: Source<'a>,
    rows: Range<usize>,
    output: Output<'a>,
    index: Option<&'a mut [u8]>,
}

impl Kernel for MaxForward<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        // SAFETY: the caller's conditions, with the number of vectors per row as a constant.
        unsafe { per_width!(self.x.layout.lanes, I, max_rows, self) }
    }
}

#[inline(always)]
unsafe fn max_rows<I: Isa, const NV: usize>(k: MaxForward) {
    let (s, xl, yl) = (k.pool, k.x.layout, k.output.layout());
    let step = xl.step * xl.lanes;
    let mut winners = k.index.map_or(std::ptr::null_mut(), |index| index.as_mut_ptr());
    // The window's inputs but the first: where their channel 0 starts, and their place in the window.
    let mut taps = Vec::with_capacity(s.kernel * s.kernel);
    for oy in k.rows {
        let ys = s.inputs(oy, xl.h);
        for ox in 0..yl.w {
            let xs = s.inputs(ox, xl.w);
            taps.clear();
            for iy in ys.clone() {
                for ix in xs.clone() {
                    let place = (iy + s.pad - oy * s.stride) * s.kernel + ix + s.pad - ox * s.stride;
                    taps.push((xl.at(iy * xl.w + ix, 0), place as f32));
                }
            }
            let (first, place) = taps[0];
            for c in 0..xl.c {
                // SAFETY: the window's inputs, the output row and its winners lie in the checked buffers.
                unsafe {
                    let x = k.x.data.as_ptr().add(c * step);
                    for &(tap, _) in &taps {
                        for i in 0..NV {
                            I::prefetch(x.wrapping_add(tap + AHEAD * step + 16 * i));
                        }
                    }
                    let mut best = load::<I, NV>(x.add(first));
                    if winners.is_null() {
                        for &(tap, _) in &taps[1..] {
                            let v = load::<I, NV>(x.add(tap));
                            for i in 0..NV {
                                best[i] = I::max(v[i], best[i]);
                            }
                        }
                    } else {
                        let mut won = [I::splat(place); NV];
                        for &(tap, place) in &taps[1..] {
                            let v = load::<I, NV>(x.add(tap));
                            let place = I::splat(place);
                            for i in 0..NV {
                                let wins = I::gt(v[i], best[i]);
                                best[i] = I::select(wins, v[i], best[i]);
                                won[i] = I::select(wins, place, won[i]);
                            }
                        }
                        for (i, &won) in won.iter().enumerate() {
                            I::store_bytes(winners.add(16 * i), won);
                        }
                        winners = winners.add(16 * NV);
                    }
                    k.output.row::<I, NV>(oy * yl.w + ox, c, 0, best);
                }
            }
        }
    }
}

struct MaxBackward<'a> {
    pool: Pool,
    dy: Source<'a>,
    rows: Range<usize>,
    output: Output<'a>,
    index: &'a [u8],
}

impl Kernel for MaxBackward<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        // SAFETY: the caller's conditions, with the number of vectors per row as a constant.
        unsafe { per_width!(self.dy.layout.lanes, I, max_gradient_rows, self) }
    }
}

#[inline(always)]
unsafe fn max_gradient_rows<I: Isa, const NV: usize>(k: MaxBackward) {
    let (s, yl, xl) = (k.pool, k.dy.layout, k.output.layout());
    // The windows that contain a pixel: where their gradients and winners start, and the pixel's place in them.
    let mut windows = Vec::with_capacity(s.kernel * s.kernel);
    for iy in k.rows {
        for ix in 0..xl.w {
            windows.clear();
            for oy in s.windows(iy, yl.h) {
                for ox in s.windows(ix, yl.w) {
                    let pixel = oy * yl.w + ox;
                    let place = (iy + s.pad - oy * s.stride) * s.kernel + ix + s.pad - ox * s.stride;
                    windows.push((yl.at(pixel, 0), pixel * yl.c * yl.lanes, place as u8));
                }
            }
            for c in 0..xl.c {
                // SAFETY: the windows lie in the output map, the written row in the target's rows.
                unsafe {
                    let mut sum = [I::splat(0.0); NV];
                    for &(gradients, winners, place) in &windows {
                        let dy = k.dy.data.as_ptr().add(gradients + c * yl.step * yl.lanes);
                        for i in 0..NV {
                            I::prefetch(dy.wrapping_add(AHEAD * yl.step * yl.lanes + 16 * i));
                        }
                        let dy = load::<I, NV>(dy);
                        let won = k.index.as_ptr().add(winners + c * yl.lanes);
                        I::prefetch(won.wrapping_add(AHEAD * 16 * NV).cast());
                        for i in 0..NV {
                            let mine = I::equal_bytes(won.add(16 * i), place);
                            sum[i] = I::add(sum[i], I::keep(mine, dy[i]));
                        }
                    }
                    k.output.row::<I, NV>(iy * xl.w + ix, c, 0, sum);
                }
            }
        }
    }
}
