//! What kernels and their launchers know of a number format.

use super::conv_mma::Half;
use crate::backend::format::NumberFormat;
use half::{bf16, f16};

/// A number format of values; sums are f32 in all of them.
pub trait Format: Send + Sync + 'static {
    /// Which one it is.
    const FORMAT: NumberFormat;
    /// Its name, and the end of its kernels' names.
    const NAME: &'static str = Self::FORMAT.name();
    /// Bytes of an element.
    const BYTES: usize = Self::FORMAT.bytes();
    /// Which of the formats of matrix units it is.
    const HALF: Option<Half>;
    /// Factor of a loss under which its gradients keep to the format's range. Gradients by values of a summed
    /// cross-entropy lie around and below 1: f16 has 16 powers of two above that, and 24 below.
    const GRADIENT_SCALE: f32;
}

impl Format for f32 {
    const FORMAT: NumberFormat = NumberFormat::F32;
    const HALF: Option<Half> = None;
    const GRADIENT_SCALE: f32 = 1.0;
}

impl Format for f16 {
    const FORMAT: NumberFormat = NumberFormat::F16;
    const HALF: Option<Half> = Some(Half::F16);
    const GRADIENT_SCALE: f32 = 512.0;
}

impl Format for bf16 {
    const FORMAT: NumberFormat = NumberFormat::Bf16;
    const HALF: Option<Half> = Some(Half::Bf16);
    const GRADIENT_SCALE: f32 = 1.0;
}
