//! Which algorithm computes a convolution: rules read off measurements.
//!
//! `cargo bench --bench conv` times every candidate of every convolution of the networks at 32×32 and 64×64 inputs, on
//! slabs of 64 images, in both directions, with the epilogues of the networks; `SYNFILTER_RECORD=1` keeps the table. On
//! AVX-512 (Zen 5, two threads, other work running beside it, so that figures vary by a quarter and more), as multiples
//! of the FMA ceiling in the direct method's multiply-adds:
//!
//! * 3×3, stride 1, maps of 4×4 and more: Winograd 1.8 to 2.3 from 64 channels, 1.5 to 2.0 with 16 or 32 on one side;
//!   1.4 to 1.6 on 3×3 maps; direct 0.9 to 0.95 where both were timed in one run;
//! * the same on 2×2 maps: Karatsuba 1.0 to 1.6, always ahead of Winograd;
//! * 7×7, stride 2, three channels: [`Stem`] 1.4 to 1.6 on 32×32 images against 0.8 to 0.9 of direct; on 64×64 images
//!   0.4 to 0.9 against 0.25 to 0.45;
//! * 1×1 with 256 channels and more on both sides (Zen 4): [`Strassen`] 1.00 to 1.07 against 0.91 to 0.98 of direct;
//!   with 128 on one side both take equally long, with 64 Strassen takes longer.
//!
//! Measured and not kept: 3×3 kernels of stride 2 over the four phases of the input by F(4×4, 2×2), 0.63 to 1.14 against
//! 0.95 to 1.00 of direct.
//!
//! What that bench does not cover was looked at once, on one thread without an epilogue: 3×3 kernels with 4 channels or
//! fewer on one side (Winograd 0.2 to 0.7, direct 0.4 to 0.9), one-channel stems, narrower slabs, and AVX2 and portable code.

use super::convolve::Convolve;
use super::depthwise::Depthwise;
use super::direct::Direct;
use super::karatsuba::Karatsuba;
use super::simd::Level;
use super::stem::Stem;
use super::strassen::Strassen;
use super::winograd::Winograd;
use crate::Error;
use crate::graph::conv::{ConvShape, Direction};
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
    /// [`Strassen`], for 1×1 kernels.
    Strassen,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 6] = [
        Algorithm::Direct,
        Algorithm::Depthwise,
        Algorithm::Winograd,
        Algorithm::Karatsuba,
        Algorithm::Stem,
        Algorithm::Strassen,
    ];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Direct => "direct",
            Algorithm::Depthwise => "depthwise",
            Algorithm::Winograd => "winograd",
            Algorithm::Karatsuba => "karatsuba",
            Algorithm::Stem => "stem",
            Algorithm::Strassen => "strassen",
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
            Algorithm::Strassen => Box::new(Strassen::new(shape, direction, level)?),
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
    if groups > 1 && groups == c && groups == k {
        return Algorithm::Depthwise;
    }
    if mode == ConvMode::Direct || groups != 1 || r != s {
        return Algorithm::Direct;
    }
    match (r, stride) {
        (3, 1) if (h, w, pad) == (2, 2, 1) => Algorithm::Karatsuba,
        // Little to gain on 3×3 maps, and nothing where the register tile is one vector wide.
        (3, 1) if h.max(w) == 3 && lanes == 16 && c.min(k) <= 16 => Algorithm::Direct,
        // The transforms cost as c + k, the products as c · k.
        (3, 1) if pad <= 2 && h.min(w) >= 3 && c * k >= 6 * (c + k) => Algorithm::Winograd,
        // Four virtual channels are too few to hide the transforms behind 32 registers' products.
        (7, 2) if c == 1 && direction == Direction::Forward && level == Level::Avx512 => Algorithm::Direct,
        (7, 2) if pad < 7 && c <= 4 => Algorithm::Stem,
        (1, _) if c.min(k) >= 256 && lanes >= 32 && Strassen::fits(&shape) => Algorithm::Strassen,
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
