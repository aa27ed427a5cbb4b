//! The one seam: what a device must be able to do for a tape, a sweep and a training run.
//!
//! Values lie in slabs of 64 images, `[slab][H][W][C][image]`; [`Batch`] says how many images there are and
//! [`Place`] which rows of a pixel a value takes. A device owns its buffers; every operation names what it
//! reads and what it writes, and writes all of it (or adds, where [`Then::accumulate`] says so).

pub mod cpu;

use crate::filter::Mask;
use crate::graph::Pool;
use crate::graph::conv::{ConvShape, Direction};
use crate::graph::place::Place;
use cpu::optimizer::{Adam, Sgd};
use serde::{Deserialize, Serialize};

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
    pub data: &'a B::Floats,
    /// Where it lies in it.
    pub place: Place,
}

/// A value that is written.
pub struct Output<'a, B: Backend + ?Sized> {
    /// Its buffer.
    pub data: &'a mut B::Floats,
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

/// Images and how they are normalised: z = (pixel − mean) / std, per channel, pixels in [0, 1].
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'a> {
    /// `[images, C, H, W]`.
    pub data: PixelData<'a>,
    /// Mean per channel, in pixel units.
    pub mean: &'a [f32],
    /// Standard deviation per channel, in pixel units; positive.
    pub std: &'a [f32],
}

/// The values of images.
#[derive(Clone, Copy, Debug)]
pub enum PixelData<'a> {
    /// 0..=255, of which pixel units are the 255th part.
    Bytes(&'a [u8]),
    /// Pixel units.
    Floats(&'a [f32]),
}

/// One step of the fast gradient sign method.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fgsm {
    /// ε, in pixel units.
    pub eps: f32,
    /// Whether the adversarial image is clipped to [0, 1].
    pub clamp: bool,
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

/// Batch statistics of one batch norm, kept from its forward for its backward.
#[derive(Clone, Debug, Default)]
pub struct NormStatistics {
    /// Mean per channel.
    pub mean: Vec<f32>,
    /// Biased variance per channel.
    pub var: Vec<f32>,
}

/// Gradients of γ and β of one batch norm, which its input's gradient needs too.
#[derive(Clone, Debug, Default)]
pub struct NormGradients {
    /// Σ dy·x̂ per channel.
    pub weight: Vec<f32>,
    /// Σ dy per channel.
    pub bias: Vec<f32>,
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

/// A device.
pub trait Backend: Sync {
    /// Values, gradients, parameters.
    type Floats: Send + Sync;
    /// Sign bits.
    type Bits: Send + Sync;
    /// Winners of a max pool.
    type Bytes: Send + Sync;
    /// A convolution's weights, ready to run in both directions.
    type Filter: Send + Sync;

    /// How many images one run should hold where nothing else decides it.
    fn images_per_run(&self) -> usize;

    /// A buffer of `rows` rows for `batch`.
    fn floats(&self, rows: usize, batch: Batch) -> Self::Floats;
    /// Sign bits for such a buffer.
    fn bits(&self, rows: usize, batch: Batch) -> Self::Bits;
    /// A byte per element of such a buffer.
    fn bytes(&self, rows: usize, batch: Batch) -> Self::Bytes;
    /// A buffer that holds `data`.
    fn upload(&self, data: &[f32]) -> Self::Floats;
    /// Overwrites a buffer with `data` of its length.
    fn write(&self, buffer: &mut Self::Floats, data: &[f32]);
    /// What a buffer holds.
    fn download(&self, buffer: &Self::Floats) -> Vec<f32>;
    /// A value as `[images, C, H, W]`.
    fn download_nchw(&self, batch: Batch, x: Input<Self>) -> Vec<f32>;

    /// Room for a convolution's weights; `backward` says whether gradients to the input will be asked for.
    fn filter(&self, shape: ConvShape, backward: bool) -> Self::Filter;
    /// Takes weights `[k, c / groups, r, s]`, and for the backward direction a factor per output channel.
    fn load_filter(&self, filter: &mut Self::Filter, weights: &Self::Floats, scale: Option<&Self::Floats>);
    /// Lets only the weights that `mask` keeps count, in place.
    fn mask_filter(&self, filter: &mut Self::Filter, mask: Mask);
    /// Bytes of weights that one [`Backend::mask_filter`] writes.
    fn filter_bytes(&self, filter: &Self::Filter) -> usize;

    /// z = (pixel − mean) / std.
    fn load_images(&self, batch: Batch, pixels: Pixels, out: Output<Self>);
    /// z of clip(x + ε·sign(gradient)), from the pixels and the gradient by z (whose signs are those by x).
    fn fgsm(&self, batch: Batch, pixels: Pixels, gradient: Input<Self>, attack: Fgsm, out: Output<Self>);

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
    fn zero(&self, buffer: &mut Self::Floats);
    /// Applies sign bits to a whole buffer.
    fn mask(&self, buffer: &mut Self::Floats, bits: &Self::Bits);
    /// Sign bits of a copied value: those of its source, or all set where the source keeps none.
    fn copy_bits(&self, batch: Batch, from: Option<(&Self::Bits, Place)>, to: (&mut Self::Bits, Place));

    /// Mean and biased variance per channel over the images of the batch.
    fn norm_statistics(&self, batch: Batch, x: Input<Self>) -> NormStatistics;
    /// Gradients of γ and β of a batch norm by batch statistics: Σ dy·x̂ and Σ dy per channel.
    fn norm_gradients(
        &self,
        batch: Batch,
        x: Input<Self>,
        dy: Input<Self>,
        statistics: &NormStatistics,
    ) -> NormGradients;
    /// Gradient of its input, from those two.
    #[allow(clippy::too_many_arguments)] // the formula has this many terms
    fn norm_backward(
        &self,
        batch: Batch,
        x: Input<Self>,
        dy: Input<Self>,
        statistics: &NormStatistics,
        gradients: &NormGradients,
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
        labels: &[u16],
        gradient: Option<(Output<Self>, f32)>,
    ) -> Verdicts;
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
