//! 3×3 kernels of stride 1 and padding 1 on 2×2 maps: 9 products in place of the direct method's 16.
//!
//! Along one axis, two outputs see only two inputs, through a 2×2 Toeplitz matrix of the three taps:
//! ```text
//! y0 = w1 x0 + w2 x1 = m0 + m1      m0 = w1 (x0 + x1)
//! y1 = w0 x0 + w1 x1 = m0 + m2      m1 = (w2 − w1) x1      m2 = (w0 − w1) x0
//! ```
//! Karatsuba's identity, transposed; three products is the least possible, and nine for the two axes together.

use super::bilinear::{Bilinear, Form, MAX_POINTS, MAX_TAPS, MAX_TILE};
use super::simd::Isa;

/// The 2×2 Toeplitz form; the padding is part of it.
pub struct Toeplitz;

/// A 3×3 convolution on 2×2 maps.
pub type Karatsuba = Bilinear<Toeplitz>;

impl Form for Toeplitz {
    const TAPS: usize = 3;
    const TILE: usize = 2;
    const POINTS: usize = 3;

    fn fits(read: usize, written: usize, pad: usize) -> bool {
        (read, written, pad) == (2, 2, 1)
    }

    fn extent(_m: usize) -> usize {
        2
    }

    fn shift(_pad: usize) -> usize {
        0
    }

    fn point_count(_m: usize) -> usize {
        3
    }

    fn points(_m: usize) -> [u8; MAX_POINTS] {
        [0, 1, 2, 0, 0, 0, 0, 0]
    }

    const WEIGHTS: [[f32; MAX_TAPS]; MAX_POINTS] = {
        let mut matrix = [[0.0; MAX_TAPS]; MAX_POINTS];
        matrix[0] = [0.0, 1.0, 0.0, 0.0];
        matrix[1] = [0.0, -1.0, 1.0, 0.0];
        matrix[2] = [1.0, -1.0, 0.0, 0.0];
        matrix
    };

    #[inline(always)]
    unsafe fn input<I: Isa, const M: usize>(d: &[I::V; MAX_POINTS]) -> [I::V; MAX_POINTS] {
        let mut v = *d;
        // SAFETY: the caller promises the instruction set.
        v[0] = unsafe { I::add(d[0], d[1]) };
        v[1] = d[1];
        v[2] = d[0];
        v
    }

    #[inline(always)]
    unsafe fn output<I: Isa, const M: usize>(p: &[I::V; MAX_POINTS]) -> [I::V; MAX_TILE] {
        // SAFETY: the caller promises the instruction set.
        unsafe { [I::add(p[0], p[1]), I::add(p[0], p[2]), p[0], p[0]] }
    }
}
