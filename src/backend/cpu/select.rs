//! Which algorithm computes which convolution.

use super::conv2d::{ConvShape, Convolve, Direction};
use super::depthwise::Depthwise;
use super::direct::Direct;
use super::simd::Level;

/// How convolutions are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvMode {
    /// The direct method everywhere.
    Direct,
    /// What measured fastest for the shape.
    Auto,
}

/// The convolution of `shape` in `direction`.
pub fn build(shape: ConvShape, direction: Direction, level: Level, _mode: ConvMode) -> Box<dyn Convolve> {
    if shape.groups > 1 && shape.c == shape.groups && shape.k == shape.groups {
        return Box::new(Depthwise::new(shape, direction, level));
    }
    Box::new(Direct::new(shape, direction, level))
}
