//! Winograd's F(4×4, 3×3) for 3×3 kernels of stride 1: 36 products in place of 144, and its smaller tiles.
//!
//! The points 0, ±0.625, ±1.5, ∞ are better conditioned than the usual 0, ±1, ±2, ∞: about half the error. All
//! coefficients of Bᵀ are exact in f32. Where a map is not divisible by 4, the last tile has 1, 2 or 3 outputs and
//! uses 3, 4 or 5 of the six points: F(3×3) and F(2×2) with the same transformed weights.

use super::bilinear::Bilinear;
use super::toom::{Points, Toom};

/// 0, ±0.625, ±1.5 and ∞.
pub struct Winograd3;

impl Points for Winograd3 {
    const TAPS: usize = 3;
    const ZERO: bool = true;
    const PAIRS: &'static [f64] = &[0.625, 1.5];
}

/// A 3×3 convolution of stride 1 by F(4×4, 3×3).
pub type Winograd = Bilinear<Toom<Winograd3>>;
