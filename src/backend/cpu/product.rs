//! Products of two values, element by element or with one factor per channel of an image, and the gradient of such a factor.

use super::elementwise::load;
use super::epilogue::Output;
use super::launch::{check, launch, per_width, same_shape};
use super::layout::Layout;
use super::simd::{Isa, Kernel, Level};
use super::value::{Epilogue, Source, Target};
use std::ops::Range;

/// x·factor for the map rows of `y`; a factor with a 1×1 map is that of every pixel.
pub fn product(level: Level, x: Source, factor: Source, y: Target, epilogue: Epilogue) {
    check(&x);
    check(&factor);
    same_shape(x.layout, y.layout);
    let spread = factor.layout.h * factor.layout.w == 1;
    let map = if spread { Layout { h: 1, w: 1, ..x.layout } } else { x.layout };
    same_shape(map, factor.layout);
    let rows = y.rows.clone();
    let output = Output::new(y, epilogue);
    // SAFETY: all values were checked to lie in their buffers; the rows are those of the target.
    unsafe { launch(level, Product { x, factor, spread, rows, output: *output }) }
}

/// Σ x·y over the map, pixel by pixel: `out` is 1×1.
pub fn sum(level: Level, x: Source, y: Source, out: Target, epilogue: Epilogue) {
    check(&x);
    check(&y);
    same_shape(x.layout, y.layout);
    same_shape(Layout { h: 1, w: 1, ..x.layout }, out.layout);
    assert_eq!(out.rows, 0..1, "rows of a 1×1 map");
    let output = Output::new(out, epilogue);
    // SAFETY: all values were checked to lie in their buffers.
    unsafe { launch(level, Sum { x, y, output: *output }) }
}

struct Product<'a> {
    x: Source<'a>,
    factor: Source<'a>,
    spread: bool,
    rows: Range<usize>,
    output: Output<'a>,
}

impl Kernel for Product<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        // SAFETY: the caller's conditions, with the number of vectors per row as a constant.
        unsafe { per_width!(self.x.layout.lanes, I, product_rows, self) }
    }
}

#[inline(always)]
unsafe fn product_rows<I: Isa, const NV: usize>(k: Product) {
    let (xl, fl) = (k.x.layout, k.factor.layout);
    for pixel in k.rows.start * xl.w..k.rows.end * xl.w {
        let other = if k.spread { 0 } else { pixel };
        for c in 0..xl.c {
            // SAFETY: pixel and channel lie in the checked values.
            unsafe {
                let mut v = load::<I, NV>(k.x.data.as_ptr().add(xl.at(pixel, c)));
                let factor = load::<I, NV>(k.factor.data.as_ptr().add(fl.at(other, c)));
                for (v, factor) in v.iter_mut().zip(factor) {
                    *v = I::mul(*v, factor);
                }
                k.output.row::<I, NV>(pixel, c, 0, v);
            }
        }
    }
}

struct Sum<'a> {
    x: Source<'a>,
    y: Source<'a>,
    output: Output<'a>,
}

impl Kernel for Sum<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        // SAFETY: the caller's conditions, with the number of vectors per row as a constant.
        unsafe { per_width!(self.x.layout.lanes, I, sums, self) }
    }
}

#[inline(always)]
unsafe fn sums<I: Isa, const NV: usize>(k: Sum) {
    let (xl, yl) = (k.x.layout, k.y.layout);
    for c in 0..xl.c {
        // SAFETY: every pixel of every channel lies in the checked values.
        unsafe {
            let mut sum = [I::splat(0.0); NV];
            for pixel in 0..xl.h * xl.w {
                let x = load::<I, NV>(k.x.data.as_ptr().add(xl.at(pixel, c)));
                let y = load::<I, NV>(k.y.data.as_ptr().add(yl.at(pixel, c)));
                for i in 0..NV {
                    sum[i] = I::add(sum[i], I::mul(x[i], y[i]));
                }
            }
            k.output.row::<I, NV>(0, c, 0, sum);
        }
    }
}
