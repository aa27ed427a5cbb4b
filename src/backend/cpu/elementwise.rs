//! Elementwise steps: one stream over the rows of a value, with everything that an [`Epilogue`] can do.
//!
//! ReLU, residual addition, batch normalisation as scale and shift, the backward of ReLU by sign bits, and copies
//! between layouts (concatenation, split, channel shuffle) are all [`map`] with other settings.

use super::epilogue::Output;
use super::launch::{check, launch, per_width, same_shape};
use super::layout::Layout;
use super::simd::{Isa, Kernel, Level};
use super::value::{Epilogue, Source, Target};
use std::ops::Range;

/// y = act(x · scale + shift + add [+ y]) for the map rows of `y`.
pub fn map(level: Level, x: Source, y: Target, epilogue: Epilogue) {
    check(&x);
    same_shape(x.layout, y.layout);
    let rows = y.rows.clone();
    let output = Output::new(y, epilogue);
    // SAFETY: both values were checked to lie in their buffers; the rows are those of the target.
    unsafe { launch(level, Map { x, rows, output: *output }) }
}

/// Copies the sign bits of map rows `rows` of a value from one buffer's bits to another's. Both slices cover those rows.
pub fn copy_bits(from: &[u16], fl: Layout, to: &mut [u16], tl: Layout, rows: Range<usize>) {
    same_shape(fl, tl);
    assert_eq!(from.len(), fl.rows(rows.clone()).len() / 16, "sign bits to read");
    assert_eq!(to.len(), tl.rows(rows.clone()).len() / 16, "sign bits to write");
    let words = fl.lanes / 16;
    for pixel in 0..rows.len() * fl.w {
        if fl.step == 1 && tl.step == 1 {
            let (f, t) = (fl.at(pixel, 0) / 16, tl.at(pixel, 0) / 16);
            to[t..][..fl.c * words].copy_from_slice(&from[f..][..fl.c * words]);
            continue;
        }
        for c in 0..fl.c {
            let (f, t) = (fl.at(pixel, c) / 16, tl.at(pixel, c) / 16);
            to[t..][..words].copy_from_slice(&from[f..][..words]);
        }
    }
}

struct Map<'a> {
    x: Source<'a>,
    rows: Range<usize>,
    output: Output<'a>,
}

impl Kernel for Map<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        // SAFETY: the caller's conditions, with the number of vectors per row as a constant.
        unsafe { per_width!(self.x.layout.lanes, I, map_rows, self) }
    }
}

#[inline(always)]
unsafe fn map_rows<I: Isa, const NV: usize>(k: Map) {
    let xl = k.x.layout;
    for pixel in k.rows.start * xl.w..k.rows.end * xl.w {
        for c in 0..xl.c {
            // SAFETY: pixel and channel lie in both checked values.
            unsafe {
                let x = k.x.data.as_ptr().add(xl.at(pixel, c));
                k.output.row::<I, NV>(pixel, c, 0, load::<I, NV>(x));
            }
        }
    }
}

/// The vectors of one row.
///
/// # Safety
/// The machine has `I`'s instruction set; `p` is valid for `16 · NV` floats.
#[inline(always)]
pub(super) unsafe fn load<I: Isa, const NV: usize>(p: *const f32) -> [I::V; NV] {
    // A loop: the closure of `array::from_fn` would be a function without the instruction set, and slow to compile.
    // SAFETY: as the caller promises.
    unsafe {
        let mut row = [I::splat(0.0); NV];
        for (v, lanes) in row.iter_mut().enumerate() {
            *lanes = I::load(p.add(16 * v));
        }
        row
    }
}
