//! Which algorithm computes a convolution: rules read off measurements.
//!
//! `cargo bench --bench conv` times every candidate of every convolution of the networks, in both directions, with the
//! epilogues of the networks; `SYNFILTER_RECORD=1` keeps the table. What it showed on AVX-512 (Zen 5), as multiples of the
//! FMA ceiling in the direct method's multiply-adds, direct reaching 0.85 to 0.95:
//!
//! * 3×3, stride 1, maps of 3×3 and more: Winograd 1.3 to 2.4;
//! * the same on 2×2 maps: Karatsuba 1.5 to 1.6;
//! * 7×7, stride 2: F(4×4, 4×4) on the phases of the input, 1.7 for three channels.

use super::conv2d::{ConvShape, Convolve, Direction};
use super::depthwise::Depthwise;
use super::direct::Direct;
use super::karatsuba::Karatsuba;
use super::simd::Level;
use super::stem::Stem;
use super::winograd::Winograd;
use crate::Error;
use std::str::FromStr;

/// Which algorithms may be chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ConvMode {
    /// Direct and depthwise alone.
    Direct,
    /// Whatever measured fastest.
    #[default]
    Auto,
}

impl FromStr for ConvMode {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "direct" => Ok(ConvMode::Direct),
            "auto" => Ok(ConvMode::Auto),
            _ => Err(Error::usage(format!("convolutions: expected direct or auto, found `{name}`"))),
        }
    }
}

/// An algorithm for a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// [`Direct`], for every shape.
    Direct,
    /// [`Depthwise`], where every channel is a group.
    Depthwise,
    /// [`Winograd`], for 3×3 kernels of stride 1.
    Winograd,
    /// [`Karatsuba`], for 3×3 kernels of stride 1 and padding 1 on 2×2 maps.
    Karatsuba,
    /// [`Stem`], for 7×7 kernels of stride 2.
    Stem,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 5] =
        [Algorithm::Direct, Algorithm::Depthwise, Algorithm::Winograd, Algorithm::Karatsuba, Algorithm::Stem];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Direct => "direct",
            Algorithm::Depthwise => "depthwise",
            Algorithm::Winograd => "winograd",
            Algorithm::Karatsuba => "karatsuba",
            Algorithm::Stem => "stem",
        }
    }

    /// Plans a convolution; `None` where the algorithm can't do it.
    pub fn plan(self, shape: ConvShape, direction: Direction, level: Level) -> Option<Box<dyn Convolve>> {
        let depthwise = shape.groups == shape.c && shape.groups == shape.k;
        Some(match self {
            Algorithm::Direct => Box::new(Direct::new(shape, direction, level)),
            Algorithm::Depthwise if depthwise => Box::new(Depthwise::new(shape, direction, level)),
            Algorithm::Depthwise => return None,
            Algorithm::Winograd if shape.stride == 1 => Box::new(Winograd::new(shape, direction, level)?),
            Algorithm::Winograd => return None,
            Algorithm::Karatsuba => Box::new(Karatsuba::new(shape, direction, level)?),
            Algorithm::Stem if shape.r == 7 => Box::new(Stem::new(shape, direction, level)?),
            Algorithm::Stem => return None,
        })
    }
}

/// The algorithm for a convolution on slabs of `lanes` images.
pub fn choose(
    shape: ConvShape,
    direction: Direction,
    lanes: usize,
    level: Level,
    mode: ConvMode,
) -> Algorithm {
    let ConvShape { c, k, h, w, r, s, stride, pad, groups } = shape;
    let smallest = h.min(w);
    if groups > 1 && groups == c && groups == k {
        return Algorithm::Depthwise;
    }
    if mode == ConvMode::Direct || groups != 1 || r != s {
        return Algorithm::Direct;
    }
    let _ = (lanes, level, direction);
    match (r, stride, pad) {
        (3, 1, 1) if (h, w) == (2, 2) => Algorithm::Karatsuba,
        (3, 1, 0..=2) if smallest >= 3 => Algorithm::Winograd,
        (7, 2, 3) if c >= 3 => Algorithm::Stem,
        _ => Algorithm::Direct,
    }
}

/// [`choose`], planned.
pub fn build(
    shape: ConvShape,
    direction: Direction,
    lanes: usize,
    level: Level,
    mode: ConvMode,
) -> Box<dyn Convolve> {
    let chosen = choose(shape, direction, lanes, level, mode).plan(shape, direction, level);
    chosen.unwrap_or_else(|| Box::new(Direct::new(shape, direction, level)))
}
