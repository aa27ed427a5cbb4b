//! First layers: a 7×7 kernel of stride 2 over an image of one or three channels.
//!
//! Space to depth makes a 7×7 kernel of stride 2 a 4×4 kernel of stride 1 over four times the channels (one tap of
//! eight per axis is zero), and F(4×4, 4×4) computes 16 outputs with 49 products per channel of those: 588 in place
//! of 2,352 for three channels. For 3×3 kernels of stride 2 the like, F(4×4, 2×2), reached 0.55 of the FMA ceiling
//! in the direct method's multiply-adds, and the direct method 0.82 to 0.92; they are left to it.

use super::bilinear::Bilinear;
use super::toom::{Points, Toom};

/// ±0.375, ±0.875, ±2 and ∞: the best of all triples of multiples of 1/8 up to 3, with half the error of ±0.5, ±1,
/// ±1.75.
pub struct FourTaps;

impl Points for FourTaps {
    const TAPS: usize = 4;
    const ZERO: bool = false;
    const PAIRS: &'static [f64] = &[0.375, 0.875, 2.0];
}

/// A 7×7 convolution of stride 2 by F(4×4, 4×4).
pub type Stem = Bilinear<Toom<FourTaps>>;
