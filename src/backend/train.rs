//! What training takes beyond [`Infer`]: gradients of parameters, batch norm by the statistics of a batch, dropout, and how
//! weights are moved.

use super::{Batch, Device, Infer, Input, Output, Then};
use crate::graph::conv::ConvShape;
use serde::{Deserialize, Serialize};

/// Operations of a network that is trained.
pub trait Train: Infer {
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
    /// Mean and biased variance per channel over the images of the batch.
    fn norm_statistics(&self, batch: Batch, x: Input<Self>, statistics: &mut Statistics<Self>);
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

/// Mean and biased variance per channel over a batch, kept from a batch norm's forward for its backward.
pub struct Statistics<B: Device + ?Sized> {
    /// Mean per channel.
    pub mean: B::Floats,
    /// Biased variance per channel.
    pub var: B::Floats,
}

/// Gradients of γ and β of one batch norm, which its input's gradient needs too.
pub struct NormGradients<'a, B: Device + ?Sized> {
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

/// Adam (Kingma and Ba 2015) with L2 weight decay.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adam {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the mean square.
    pub epsilon: f64,
    /// Factor of the parameter that is added to its gradient.
    pub weight_decay: f64,
}

impl Adam {
    /// PyTorch's defaults with a learning rate.
    pub fn new(lr: f64) -> Self {
        Adam { lr, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

/// Stochastic gradient descent with momentum and L2 weight decay.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sgd {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the velocity; 0 is plain descent.
    pub momentum: f64,
    /// Whether the step looks ahead along the velocity.
    pub nesterov: bool,
    /// Factor of the parameter that is added to its gradient.
    pub weight_decay: f64,
}
