//! Weights in the form in which the steps of a program use them.

use crate::backend::{Infer, NormTensors, Standard, Statistics, grain};
use crate::filter::Mask;
use crate::graph::program::{Kernel, Program, StepId};
use crate::graph::{Graph, NormParams, ParamId};
use rayon::prelude::*;
use std::ops::Range;

/// The weights of a program, ready to run.
///
/// Convolution weights are packed once; a mask rewrites the packed form in place and leaves the masters alone.
pub struct Prepared<B: Infer> {
    steps: Vec<PreparedStep<B>>,
    /// Length of every parameter.
    lengths: Vec<usize>,
    /// What stands before the first layer, per channel and in pixel units.
    mean: B::Floats,
    std: B::Floats,
}

struct PreparedStep<B: Infer> {
    filter: Option<B::Filter>,
    /// Factor and term per channel of what follows the kernel: running batch norm, bias.
    scale: Option<B::Floats>,
    shift: Option<B::Floats>,
    /// γ and β of a batch norm by batch statistics.
    weight: Option<B::Floats>,
    bias: Option<B::Floats>,
}

impl<B: Infer> Prepared<B> {
    /// Room for the weights of a program; `backward` says whether gradients will flow through convolution inputs.
    /// Images are normalised by `mean` and `std`, per channel and in pixel units.
    pub fn new(
        backend: &B,
        graph: &Graph,
        program: &Program,
        backward: bool,
        [mean, std]: [&[f32]; 2],
    ) -> Self {
        let step = |kernel: &Kernel| PreparedStep {
            filter: match kernel {
                Kernel::Conv { shape, .. } => Some(backend.filter(*shape, backward)),
                _ => None,
            },
            scale: None,
            shift: None,
            weight: None,
            bias: None,
        };
        Prepared {
            steps: program.steps.iter().map(|s| step(&s.kernel)).collect(),
            lengths: graph.params.iter().map(|p| p.len()).collect(),
            mean: backend.upload(mean),
            std: backend.upload(std),
        }
    }

    /// Takes new values for all parameters, in the graph's order; every weight counts again. Buffers of an earlier
    /// load are used again. Steps are spread over the threads of the current rayon pool.
    pub fn load(&mut self, backend: &B, program: &Program, params: &[B::Floats]) {
        let lengths = &self.lengths;
        let copied = |param: ParamId, to: &mut Option<B::Floats>| {
            backend.copy(&params[param], to.get_or_insert_with(|| backend.floats(lengths[param])));
        };
        let steps = self.steps.par_iter_mut().with_min_len(grain::<B>());
        steps.zip(&program.steps).for_each(|(prepared, step)| match step.kernel {
            Kernel::Conv { weight, bias, norm, .. } => {
                match (norm, bias) {
                    (Some(norm), bias) => prepared.running(backend, lengths, params, norm, bias),
                    (None, Some(bias)) => copied(bias, &mut prepared.shift),
                    (None, None) => {}
                }
                let filter = prepared.filter.as_mut().expect("made for every convolution");
                backend.load_filter(filter, &params[weight], prepared.scale.as_ref());
            }
            Kernel::RunningNorm(norm) => {
                prepared.running(backend, lengths, params, norm, None);
            }
            Kernel::Norm(norm) => {
                copied(norm.weight, &mut prepared.weight);
                copied(norm.bias, &mut prepared.bias);
            }
            _ => {}
        });
    }

    /// Lets only the weights of some output channels of a convolution step count that `mask` keeps, and all of all others:
    /// see [`Infer::mask_filter`].
    ///
    /// # Panics
    /// Where the step is no convolution.
    pub fn mask(&mut self, backend: &B, step: StepId, mask: Mask, channels: Range<usize>) {
        backend.mask_filter(self.steps[step].filter.as_mut().expect("a convolution"), mask, channels);
    }

    /// Gives `queue` weights of its own of a convolution step, all of which count: see [`Infer::own_filter`].
    ///
    /// # Panics
    /// As [`Prepared::mask`].
    pub fn own(&mut self, queue: &B, step: StepId) {
        queue.own_filter(self.steps[step].filter.as_mut().expect("a convolution"));
    }

    /// Takes [`Prepared::own`] back.
    ///
    /// # Panics
    /// As [`Prepared::mask`].
    pub fn share(&mut self, queue: &B, step: StepId) {
        queue.share_filter(self.steps[step].filter.as_mut().expect("a convolution"));
    }

    /// Bytes of weights that one [`Prepared::mask`] of these channels of that step writes.
    pub fn mask_bytes(&self, backend: &B, step: StepId, channels: Range<usize>) -> usize {
        self.steps[step].filter.as_ref().map_or(0, |f| backend.filter_bytes(f, channels))
    }

    /// Number of parameters.
    pub(super) fn params(&self) -> usize {
        self.lengths.len()
    }

    /// A buffer of the length of a parameter.
    pub(super) fn like(&self, backend: &B, param: ParamId) -> B::Floats {
        backend.floats(self.lengths[param])
    }

    /// How images are normalised.
    pub(super) fn standard(&self) -> Standard<'_, B> {
        Standard { mean: &self.mean, std: &self.std }
    }

    pub(super) fn filter(&self, step: StepId) -> &B::Filter {
        self.steps[step].filter.as_ref().expect("a convolution")
    }

    pub(super) fn scale(&self, step: StepId) -> Option<&B::Floats> {
        self.steps[step].scale.as_ref()
    }

    pub(super) fn shift(&self, step: StepId) -> Option<&B::Floats> {
        self.steps[step].shift.as_ref()
    }

    /// γ of a batch norm by batch statistics.
    pub(super) fn norm_weight(&self, step: StepId) -> &B::Floats {
        self.steps[step].weight.as_ref().expect("a batch norm by batch statistics")
    }

    /// A batch norm by the statistics of a batch, as factor and term.
    pub(super) fn norm_by(
        &self,
        backend: &B,
        step: StepId,
        statistics: &Statistics<B>,
        [scale, shift]: &mut [B::Floats; 2],
    ) {
        let bias = self.steps[step].bias.as_ref().expect("a batch norm by batch statistics");
        let Statistics { mean, var } = statistics;
        let norm = NormTensors { weight: self.norm_weight(step), bias, mean, var };
        backend.norm_coefficients(norm, None, scale, shift);
    }
}

impl<B: Infer> PreparedStep<B> {
    /// Factor and term of a batch norm by running statistics behind a convolution with `bias`.
    fn running(
        &mut self,
        backend: &B,
        lengths: &[usize],
        params: &[B::Floats],
        norm: NormParams,
        bias: Option<ParamId>,
    ) {
        let [weight, beta, mean, var] = norm.all().map(|p| &params[p]);
        let channels = || backend.floats(lengths[norm.weight]);
        let (scale, shift) =
            (self.scale.get_or_insert_with(channels), self.shift.get_or_insert_with(channels));
        let norm = NormTensors { weight, bias: beta, mean, var };
        backend.norm_coefficients(norm, bias.map(|b| &params[b]), scale, shift);
    }
}
