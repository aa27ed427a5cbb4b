//! Images as a device takes them, the steps of attacks on them, and what a network says of them.

use super::{Device, Output};

/// Images of the host and what they show.
#[derive(Clone, Copy, Debug)]
pub struct ImageBatch<'a> {
    /// `[images, C, H, W]`.
    pub pixels: PixelData<'a>,
    /// The true class of each image.
    pub labels: &'a [u16],
}

/// The values of images.
#[derive(Clone, Copy, Debug)]
pub enum PixelData<'a> {
    /// 0..=255, of which pixel units are the 255th part.
    Bytes(&'a [u8]),
    /// Pixel units.
    Floats(&'a [f32]),
}

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

/// What softmax cross-entropy says of each image of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdicts {
    /// −log softmax of the true class.
    pub loss: Vec<f32>,
    /// Whether the true class is the arg-max (lowest index on ties).
    pub correct: Vec<bool>,
}

impl Verdicts {
    /// Adds those of the images that follow.
    pub fn append(&mut self, next: Verdicts) {
        self.loss.extend(next.loss);
        self.correct.extend(next.correct);
    }

    /// Per image: whether it was classified correctly, and its cross-entropy.
    pub fn per_image(&self) -> impl Iterator<Item = (bool, f32)> {
        self.correct.iter().copied().zip(self.loss.iter().copied())
    }
}
