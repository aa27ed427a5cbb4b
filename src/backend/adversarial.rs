//! The steps of attacks on images.

use super::{Device, Output};

/// How pixels become the values that the first layer sees.
pub struct Standard<'a, B: Device + ?Sized> {
    /// Mean per channel, in pixel units.
    pub mean: &'a B::Floats,
    /// Standard deviation per channel, in pixel units; positive.
    pub std: &'a B::Floats,
}

/// Where an attack starts: at the image itself, or at clip(x + noise).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttackStart {
    /// The noise, if there is any.
    pub noise: Option<Noise>,
    /// Whether the image with noise is clipped to [0, 1].
    pub clamp: bool,
}

/// Uniform noise in [−ε, ε): the same for an image on every device, in any batch.
///
/// Element i, counted over the whole test set as `[images, C, H, W]`, is (2u − 1)·ε, where u in [0, 1) is number i of the
/// sequence [`Noise::STREAM`] of the seed (see [`Random`](crate::random::Random)).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// ε, in pixel units.
    pub eps: f32,
    /// The seed.
    pub seed: u64,
    /// Position of the batch's first image in the test set.
    pub first_image: u64,
}

impl Noise {
    /// The sequence that noise is drawn from; training draws from none as high.
    pub const STREAM: u64 = u64::MAX;
}

/// One step of an attack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttackStep {
    /// The most that a pixel moves altogether: ε, in pixel units.
    pub eps: f32,
    /// How far it moves in this step: α, in pixel units.
    pub alpha: f32,
    /// Whether adversarial images are clipped to [0, 1].
    pub clamp: bool,
}

/// Adversarial images between two steps.
pub struct Adversarial<'a, B: Device + ?Sized> {
    /// In pixel units, as [`Device::pixels`] made room for them, if another step is to go on from them.
    pub pixels: Option<&'a mut B::Floats>,
    /// As the first layer sees them.
    pub z: Output<'a, B>,
}
