//! The one seam: what a device must be able to do for a tape, a sweep and a training run.
//!
//! Values lie in slabs of 64 images, `[slab][H][W][C][image]`; [`Batch`] says how many images there are and
//! [`Place`] which rows of a pixel a value takes. A device owns its buffers; every operation names what it
//! reads and what it writes, and writes all of it (or adds, where [`Then::accumulate`] says so).

pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod device;
pub mod open;

use crate::error::Result;
use crate::filter::Mask;
use crate::graph::Pool;
use crate::graph::conv::{ConvShape, Direction};
use crate::graph::place::Place;
use cpu::optimizer::{Adam, Sgd};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Images in a full slab.
pub const SLAB: usize = 64;

/// How many images a run holds, in slabs of 64 of which the last may be narrower (a multiple of 16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Batch {
    /// Number of images.
    pub images: usize,
}

/// One slab of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slab {
    /// Its first image, and so its first lane, counted over the batch.
    pub start: usize,
    /// Lanes, 16 to 64.
    pub lanes: usize,
    /// Lanes that hold images; the others are seen by no count, loss, statistic or gradient.
    pub images: usize,
}

impl Batch {
    /// The slabs, in order.
    pub fn slabs(self) -> impl ExactSizeIterator<Item = Slab> + Clone {
        (0..self.images.div_ceil(SLAB)).map(move |i| {
            let images = (self.images - i * SLAB).min(SLAB);
            Slab { start: i * SLAB, lanes: images.next_multiple_of(16), images }
        })
    }

    /// Lanes of all slabs together: floats per row.
    pub fn lanes(self) -> usize {
        self.slabs().map(|s| s.lanes).sum()
    }
}

/// A value that is read.
pub struct Input<'a, B: Backend + ?Sized> {
    /// Its buffer.
    pub data: &'a B::Values,
    /// Where it lies in it.
    pub place: Place,
}

/// A value that is written.
pub struct Output<'a, B: Backend + ?Sized> {
    /// Its buffer.
    pub data: &'a mut B::Values,
    /// Where it lies in it.
    pub place: Place,
}

/// What happens to a result before it is stored: `act(result·scale + shift + add + what stands there)`.
pub struct Then<'a, B: Backend + ?Sized> {
    /// Factor per channel.
    pub scale: Option<&'a B::Floats>,
    /// Term per channel.
    pub shift: Option<&'a B::Floats>,
    /// Another value of the same shape.
    pub add: Option<Input<'a, B>>,
    /// Whether to add to what stands in the output.
    pub accumulate: bool,
    /// The last step.
    pub sign: Sign<'a, B>,
}

impl<B: Backend + ?Sized> Default for Then<'_, B> {
    fn default() -> Self {
        Then { scale: None, shift: None, add: None, accumulate: false, sign: Sign::None }
    }
}

/// ReLU and its backward; one bit per element of the written buffer.
pub enum Sign<'a, B: Backend + ?Sized> {
    /// Nothing.
    None,
    /// max(v, 0).
    Relu,
    /// max(v, 0), remembering where v > 0.
    ReluSave(&'a mut B::Bits),
    /// v where the bit is set, else +0.0.
    Mask(&'a B::Bits),
}

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
pub struct Standard<'a, B: Backend + ?Sized> {
    /// Mean per channel, in pixel units.
    pub mean: &'a B::Floats,
    /// Standard deviation per channel, in pixel units; positive.
    pub std: &'a B::Floats,
}

/// One step of the fast gradient sign method.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fgsm {
    /// ε, in pixel units.
    pub eps: f32,
    /// Whether the adversarial image is clipped to [0, 1].
    pub clamp: bool,
}

/// Where projected gradient descent starts: at the image itself, or at clip(x + noise).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PgdStart {
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

/// One step of projected gradient descent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PgdStep {
    /// The most that a pixel moves altogether: ε, in pixel units.
    pub eps: f32,
    /// How far it moves in this step: α, in pixel units.
    pub alpha: f32,
    /// Whether adversarial images are clipped to [0, 1].
    pub clamp: bool,
}

/// Adversarial images between two steps.
pub struct Adversarial<'a, B: Backend + ?Sized> {
    /// In pixel units, as [`Backend::pixels`] made room for them.
    pub pixels: &'a mut B::Floats,
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

/// Mean and biased variance per channel over a batch, kept from a batch norm's forward for its backward.
pub struct Statistics<B: Backend + ?Sized> {
    /// Mean per channel.
    pub mean: B::Floats,
    /// Biased variance per channel.
    pub var: B::Floats,
}

/// The four tensors of a batch norm, per channel.
pub struct NormTensors<'a, B: Backend + ?Sized> {
    /// γ.
    pub weight: &'a B::Floats,
    /// β.
    pub bias: &'a B::Floats,
    /// Mean, running or of a batch.
    pub mean: &'a B::Floats,
    /// Biased variance, running or of a batch.
    pub var: &'a B::Floats,
}

/// Gradients of γ and β of one batch norm, which its input's gradient needs too.
pub struct NormGradients<'a, B: Backend + ?Sized> {
    /// Σ dy·x̂ per channel.
    pub weight: &'a B::Floats,
    /// Σ dy per channel.
    pub bias: &'a B::Floats,
}

/// Counters of one random stream: the same numbers on every device, in any layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropoutKey {
    /// Seed of the run.
    pub seed: u64,
    /// Training step.
    pub step: u64,
    /// Which dropout of the network.
    pub stream: u32,
}

/// How weights are moved by their gradient.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// Adam, as in PyTorch.
    Adam(Adam),
    /// Stochastic gradient descent, as in PyTorch.
    Sgd(Sgd),
}

/// A device, or one of its queues.
///
/// Operations run in the order in which they are called, but may still be running when a call returns. Those that
/// bring something to the host wait for it, and report what went wrong with any operation before them.
///
/// A device may have further queues, which run beside each other. A queue writes only to buffers that it made and to filters
/// of its own; what others made it reads after it has waited for them.
pub trait Backend: Sync {
    /// Values and gradients by values, in the device's number format.
    type Values: Send + Sync;
    /// Parameters, their gradients, statistics, factors per channel: f32.
    type Floats: Send + Sync;
    /// Sign bits.
    type Bits: Send + Sync;
    /// Winners of a max pool.
    type Bytes: Send + Sync;
    /// A convolution's weights, ready to run in both directions.
    type Filter: Send + Sync;
    /// Images and labels where the device reads them.
    type Images<'a>: Send + Sync;
    /// [`Verdicts`] where the device writes them.
    type DeviceVerdicts: Send + Sync;
    /// [`Verdicts`] on their way to the host.
    type Pending: Send;
    /// Operations that can be run again.
    type Recording: Send;

    /// Bytes of one element of a value.
    const VALUE_BYTES: usize;
    /// Whether runs on several threads at once make good use of the device; otherwise it gets one run after the other.
    const CONCURRENT: bool;
    /// How many networks of a sweep may be waited for at once.
    const IN_FLIGHT: usize;
    /// Factor of a loss under which its gradients by values keep to the range of the number format: a power of two.
    const GRADIENT_SCALE: f32;

    /// How many images one run should hold where nothing else decides it.
    fn images_per_run(&self) -> usize;
    /// Bytes that values may take; `None` where the device does not say.
    fn memory(&self) -> Option<usize>;

    /// Another queue of the device; `None` where it has only one, or no more.
    fn queue(&self) -> Option<Self>
    where
        Self: Sized;
    /// Lets what is begun from now on wait for all that was begun on `other`, a queue of the same device.
    fn after(&self, other: &Self);
    /// How many queues it takes to fill the device, each with runs as that of `recording`.
    fn queues_to_fill(&self, recording: &Self::Recording) -> usize;

    /// A buffer of `rows` rows for `batch`.
    fn values(&self, rows: usize, batch: Batch) -> Self::Values;
    /// Sign bits for such a buffer.
    fn bits(&self, rows: usize, batch: Batch) -> Self::Bits;
    /// A byte per element of such a buffer.
    fn bytes(&self, rows: usize, batch: Batch) -> Self::Bytes;
    /// A buffer of `len` zeros.
    fn floats(&self, len: usize) -> Self::Floats;
    /// A buffer that holds `data`.
    fn upload(&self, data: &[f32]) -> Self::Floats;
    /// Overwrites a buffer with `data` of its length.
    fn write(&self, buffer: &mut Self::Floats, data: &[f32]);
    /// Overwrites a buffer with another of its length.
    fn copy(&self, from: &Self::Floats, to: &mut Self::Floats);
    /// What a buffer holds.
    ///
    /// # Errors
    /// What went wrong on the device, now or earlier.
    fn download(&self, buffer: &Self::Floats) -> Result<Vec<f32>>;
    /// A value as `[images, C, H, W]`.
    ///
    /// # Errors
    /// As [`Backend::download`].
    fn download_nchw(&self, batch: Batch, x: Input<Self>) -> Result<Vec<f32>>;

    /// Takes images to the device.
    fn images<'a>(&self, images: ImageBatch<'a>) -> Self::Images<'a>;
    /// Room for what is found of the images of `batch`.
    fn verdicts(&self, batch: Batch) -> Self::DeviceVerdicts;
    /// Sets out to bring verdicts to the host; the buffer may be overwritten by what follows.
    fn fetch(&self, verdicts: &mut Self::DeviceVerdicts) -> Self::Pending;
    /// Waits for verdicts.
    ///
    /// # Errors
    /// As [`Backend::download`].
    fn wait(&self, pending: Self::Pending) -> Result<Verdicts>;
    /// Runs `work`, or what earlier calls with the same `recording` recorded of it: the same operations on the same
    /// buffers. `work` allocates nothing and brings nothing to the host.
    fn replayable(&self, recording: &mut Option<Self::Recording>, work: impl FnOnce());

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
    /// Takes [`Backend::own_filter`] back; so does [`Backend::load_filter`].
    fn share_filter(&self, filter: &mut Self::Filter);
    /// Bytes of weights that one [`Backend::mask_filter`] of these channels writes where no others are masked.
    fn filter_bytes(&self, filter: &Self::Filter, channels: Range<usize>) -> usize;

    /// z = (pixel − mean) / std per channel; mean and standard deviation in pixel units, pixels in [0, 1].
    fn load_images(&self, batch: Batch, images: &Self::Images<'_>, norm: Standard<Self>, out: Output<Self>);
    /// z of clip(x + ε·sign(gradient)), from the pixels and the gradient by z (whose signs are those by x).
    fn fgsm(
        &self,
        batch: Batch,
        images: &Self::Images<'_>,
        norm: Standard<Self>,
        gradient: Input<Self>,
        attack: Fgsm,
        out: Output<Self>,
    );

    /// Room for `batch` in pixel units, with `rows` values per image: f32, whatever the number format of values.
    fn pixels(&self, rows: usize, batch: Batch) -> Self::Floats;
    /// Where projected gradient descent starts.
    fn pgd_start(
        &self,
        batch: Batch,
        images: &Self::Images<'_>,
        norm: Standard<Self>,
        start: PgdStart,
        to: Adversarial<Self>,
    );
    /// One step of projected gradient descent in the maximum norm, from the pixels in `at` (xₜ), which are overwritten, and
    /// the gradient by their z: xₜ₊₁ = clip(x + δ), δ = xₜ + α·sign(gradient) − x brought into [−ε, ε]. A first step from
    /// the images themselves, with α = ε, gives the very images of [`Backend::fgsm`].
    fn pgd_step(
        &self,
        batch: Batch,
        images: &Self::Images<'_>,
        norm: Standard<Self>,
        gradient: Input<Self>,
        step: PgdStep,
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
    /// Gradient of a convolution's weights `[k, c / groups, r, s]` and bias.
    fn conv_weight_gradient(
        &self,
        batch: Batch,
        shape: ConvShape,
        x: Input<Self>,
        dy: Input<Self>,
        weight: &mut Self::Floats,
        bias: Option<&mut Self::Floats>,
    );
    /// `then` applied to x: scale and shift, ReLU, sums and copies.
    fn map(&self, batch: Batch, x: Input<Self>, out: Output<Self>, then: Then<Self>);
    /// Zeroes a buffer.
    fn zero(&self, buffer: &mut Self::Values);
    /// Applies sign bits to a whole buffer.
    fn mask(&self, buffer: &mut Self::Values, bits: &Self::Bits);
    /// Sign bits of a copied value: those of its source, or all set where the source keeps none.
    fn copy_bits(&self, batch: Batch, from: Option<(&Self::Bits, Place)>, to: (&mut Self::Bits, Place));

    /// Mean and biased variance per channel over the images of the batch.
    fn norm_statistics(&self, batch: Batch, x: Input<Self>, statistics: &mut Statistics<Self>);
    /// A batch norm, behind a term per channel if there is one, as a factor and a term:
    /// γ/√(var + ε) and β + (term − mean)·γ/√(var + ε).
    fn norm_coefficients(
        &self,
        norm: NormTensors<Self>,
        term: Option<&Self::Floats>,
        scale: &mut Self::Floats,
        shift: &mut Self::Floats,
    );
    /// Takes the statistics of a batch of `count` values per channel into the running ones:
    /// running·(1 − momentum) + batch·momentum, the variance unbiased.
    fn update_running(
        &self,
        statistics: &Statistics<Self>,
        count: usize,
        momentum: f32,
        mean: &mut Self::Floats,
        var: &mut Self::Floats,
    );
    /// Gradients of γ and β of a batch norm by batch statistics: Σ dy·x̂ and Σ dy per channel.
    fn norm_gradients(
        &self,
        batch: Batch,
        x: Input<Self>,
        dy: Input<Self>,
        statistics: &Statistics<Self>,
        weight: &mut Self::Floats,
        bias: &mut Self::Floats,
    );
    /// Gradient of its input, from those two.
    #[allow(clippy::too_many_arguments)] // the formula has this many terms
    fn norm_backward(
        &self,
        batch: Batch,
        x: Input<Self>,
        dy: Input<Self>,
        statistics: &Statistics<Self>,
        gradients: NormGradients<Self>,
        weight: &Self::Floats,
        dx: Output<Self>,
        then: Then<Self>,
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
    /// Mean over the map.
    fn avg_pool(&self, batch: Batch, x: Input<Self>, out: Output<Self>);
    /// Backward of the mean.
    fn avg_pool_backward(&self, batch: Batch, dy: Input<Self>, dx: Output<Self>, then: Then<Self>);
    /// Dropout; with dy in the place of x its own backward.
    fn dropout(
        &self,
        batch: Batch,
        p: f32,
        key: DropoutKey,
        x: Input<Self>,
        out: Output<Self>,
        then: Then<Self>,
    );
    /// Softmax cross-entropy of every image; `gradient` receives (softmax − one-hot)·factor.
    fn cross_entropy(
        &self,
        batch: Batch,
        logits: Input<Self>,
        images: &Self::Images<'_>,
        gradient: Option<(Output<Self>, f32)>,
        verdicts: &mut Self::DeviceVerdicts,
    );
    /// One optimiser step on one tensor; `step` counts from 1, `moments` are the optimiser's two states.
    fn optimize(
        &self,
        optimizer: Optimizer,
        step: u64,
        weights: &mut Self::Floats,
        gradient: &Self::Floats,
        moments: &mut [Self::Floats; 2],
    );
}

/// The least number of runs that a thread should take at once: all of them where the device runs one at a time.
pub(crate) fn grain<B: Backend>() -> usize {
    if B::CONCURRENT { 1 } else { usize::MAX }
}
