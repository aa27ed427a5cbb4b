//! First layers: a large or small kernel of stride 2 over an image of one or three channels.
//!
//! Space to depth makes a 7×7 kernel of stride 2 a 4×4 kernel of stride 1 over four times the channels (one tap of eight per axis is zero),
//! and F(4×4, 4×4) computes 16 outputs with 49 products per channel of those: 588 in place of 2,352 for three channels.
//! A 3×3 kernel of stride 2 becomes a 2×2 kernel, and F(4×4, 2×2) takes 25 products: 300 in place of 432.

use super::bilinear::Bilinear;
use super::toom::{Points, Toom};

/// Three pairs and ∞.
pub struct FourTaps;

impl Points for FourTaps {
    const TAPS: usize = 4;
    const ZERO: bool = false;
    const PAIRS: &'static [f64] = &[0.5, 1.0, 1.75];
}

/// ±0.625, ±1.5 and ∞.
pub struct TwoTaps;

impl Points for TwoTaps {
    const TAPS: usize = 2;
    const ZERO: bool = false;
    const PAIRS: &'static [f64] = &[0.625, 1.5];
}

/// A 7×7 convolution of stride 2 by F(4×4, 4×4).
pub type Stem7 = Bilinear<Toom<FourTaps>>;

/// A 3×3 convolution of stride 2 by F(4×4, 2×2).
pub type Stem3 = Bilinear<Toom<TwoTaps>>;
