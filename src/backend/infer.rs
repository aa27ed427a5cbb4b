//! What runs of a trained network take: forward, and back to the images.

use super::{Adversarial, AttackStart, AttackStep, Batch, Device, Input, Output, Standard, Then};
use crate::filter::Mask;
use crate::graph::conv::{ConvShape, Direction};
use crate::graph::place::Place;
use crate::graph::{Activation, Mean, Pool};
use std::ops::Range;

/// Operations of a network whose parameters stay as they are: its values, and gradients by values.
pub trait Infer: Device {
    /// Room for a convolution's weights; `backward` says whether gradients to the input will be asked for.
    fn filter(&self, shape: ConvShape, backward: bool) -> Self::Filter;
    /// Takes weights `[k, c / groups, r, s]`, and for the backward direction a factor per output channel.
    fn load_filter(&self, filter: &mut Self::Filter, weights: &Self::Floats, scale: Option<&Self::Floats>);
    /// Of the weights of the output channels `channels`, lets only those count that `mask` keeps, in place. All weights of
    /// all other channels count, whatever an earlier mask dropped.
    fn mask_filter(&self, filter: &mut Self::Filter, mask: Mask, channels: Range<usize>);
    /// Gives this queue weights of its own in `filter`, all of which count: from now on its masks are for its runs alone. A
    /// device with one queue has nothing to do.
    fn own_filter(&self, filter: &mut Self::Filter);
    /// Takes [`Infer::own_filter`] back; so does [`Infer::load_filter`].
    fn share_filter(&self, filter: &mut Self::Filter);
    /// Bytes of weights that one [`Infer::mask_filter`] of these channels writes where no others are masked.
    fn filter_bytes(&self, filter: &Self::Filter, channels: Range<usize>) -> usize;
    /// z = (pixel − mean) / std per channel; mean and standard deviation in pixel units, pixels in [0, 1].
    fn load_images(&self, batch: Batch, images: &Self::Images<'_>, norm: Standard<Self>, out: Output<Self>);

    /// Where an attack starts: z of the images, or of clip(x + noise). What stands in the pixels of `to` is overwritten.
    fn attack_start(
        &self,
        batch: Batch,
        images: &Self::Images<'_>,
        norm: Standard<Self>,
        start: AttackStart,
        to: Adversarial<Self>,
    );
    /// One step of an attack in the maximum norm: z of xₜ₊₁ = clip(x + δ), δ = xₜ + α·sign(gradient) − x brought into
    /// [−ε, ε], from the gradient by z (whose signs are those by x). The pixels of `at` are xₜ and become xₜ₊₁; where there
    /// are none, xₜ is the image itself. So FGSM is one step with α = ε.
    fn attack_step(
        &self,
        batch: Batch,
        images: &Self::Images<'_>,
        norm: Standard<Self>,
        gradient: Input<Self>,
        step: AttackStep,
        at: Adversarial<Self>,
    );

    /// Convolution, or its backward to the input.
    fn conv(
        &self,
        batch: Batch,
        filter: &Self::Filter,
        direction: Direction,
        x: Input<Self>,
        out: Output<Self>,
        then: Then<Self>,
    );
    /// `then` applied to x: scale and shift, ReLU, sums and copies.
    fn map(&self, batch: Batch, x: Input<Self>, out: Output<Self>, then: Then<Self>);
    /// Applies sign bits to all rows of a buffer that have some, as [`Sign::Mask`](super::Sign::Mask) does: a buffer that
    /// gradients of several values share may be longer than the bits of one of them.
    fn mask(&self, buffer: &mut Self::Values, bits: &Self::Bits, below: f32);
    /// Sign bits of a copied value: those of its source, or all set where the source keeps none.
    fn copy_bits(&self, batch: Batch, from: Option<(&Self::Bits, Place)>, to: (&mut Self::Bits, Place));
    /// A batch norm, behind a term per channel if there is one, as a factor and a term:
    /// γ/√(var + ε) and β + (term − mean)·γ/√(var + ε).
    fn norm_coefficients(
        &self,
        norm: NormTensors<Self>,
        term: Option<&Self::Floats>,
        scale: &mut Self::Floats,
        shift: &mut Self::Floats,
    );
    /// Max pool; `winners` remembers which element of each window won (the first in row order on ties).
    fn max_pool(
        &self,
        batch: Batch,
        pool: Pool,
        x: Input<Self>,
        out: Output<Self>,
        winners: Option<&mut Self::Bytes>,
    );
    /// Backward of the max pool.
    fn max_pool_backward(
        &self,
        batch: Batch,
        pool: Pool,
        dy: Input<Self>,
        winners: &Self::Bytes,
        dx: Output<Self>,
        then: Then<Self>,
    );
    /// Means over windows; the shape of `out` says how many.
    fn avg_pool(&self, batch: Batch, mean: Mean, x: Input<Self>, out: Output<Self>);
    /// Backward of the means.
    fn avg_pool_backward(
        &self,
        batch: Batch,
        mean: Mean,
        dy: Input<Self>,
        dx: Output<Self>,
        then: Then<Self>,
    );
    /// f(x), element by element.
    fn activate(&self, batch: Batch, function: Activation, x: Input<Self>, out: Output<Self>);
    /// Its backward: f′(x)·dy.
    fn activate_backward(
        &self,
        batch: Batch,
        function: Activation,
        x: Input<Self>,
        dy: Input<Self>,
        dx: Output<Self>,
        then: Then<Self>,
    );
    /// x·factor, element by element; a factor with a 1×1 map is that of every pixel.
    fn product(&self, batch: Batch, x: Input<Self>, factor: Input<Self>, out: Output<Self>, then: Then<Self>);
    /// Σ x·y over the map of each channel of each image, to a 1×1 map.
    fn product_sum(&self, batch: Batch, x: Input<Self>, y: Input<Self>, out: Output<Self>, then: Then<Self>);
    /// Softmax cross-entropy of every image; `gradient` receives (softmax − one-hot)·factor.
    fn cross_entropy(
        &self,
        batch: Batch,
        logits: Input<Self>,
        images: &Self::Images<'_>,
        gradient: Option<(Output<Self>, f32)>,
        verdicts: &mut Self::DeviceVerdicts,
    );
}

/// The four tensors of a batch norm, per channel.
pub struct NormTensors<'a, B: Device + ?Sized> {
    /// γ.
    pub weight: &'a B::Floats,
    /// β.
    pub bias: &'a B::Floats,
    /// Mean, running or of a batch.
    pub mean: &'a B::Floats,
    /// Biased variance, running or of a batch.
    pub var: &'a B::Floats,
}
