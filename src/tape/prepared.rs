//! Weights in the form in which the steps of a program use them.

use crate::backend::{Backend, NormStatistics};
use crate::filter::Mask;
use crate::graph::program::{Kernel, Mode, Program, StepId};
use crate::graph::{Graph, NORM_EPS, NormParams, ParamId};
use rayon::prelude::*;

/// The weights of a program, ready to run.
///
/// Convolution weights are packed once; a mask rewrites the packed form in place and leaves the masters alone.
pub struct Prepared<B: Backend> {
    steps: Vec<PreparedStep<B>>,
    /// Length of every parameter.
    lengths: Vec<usize>,
}

struct PreparedStep<B: Backend> {
    filter: Option<B::Filter>,
    /// Factor and term per channel of what follows the kernel: running batch norm, bias.
    scale: Option<B::Floats>,
    shift: Option<B::Floats>,
    /// γ and β of a batch norm by batch statistics.
    norm: Option<Affine<B>>,
}

struct Affine<B: Backend> {
    weight: B::Floats,
    host_weight: Vec<f32>,
    host_bias: Vec<f32>,
}

impl<B: Backend> Prepared<B> {
    /// Room for the weights of a program; `backward` says whether gradients will flow through convolution inputs.
    pub fn new(backend: &B, graph: &Graph, program: &Program, backward: bool) -> Self {
        let step = |kernel: &Kernel| PreparedStep {
            filter: match kernel {
                Kernel::Conv { shape, .. } => Some(backend.filter(*shape, backward)),
                _ => None,
            },
            scale: None,
            shift: None,
            norm: None,
        };
        Prepared {
            steps: program.steps.iter().map(|s| step(&s.kernel)).collect(),
            lengths: graph.params.iter().map(|p| p.len()).collect(),
        }
    }

    /// Takes new values for all parameters, in the graph's order; every weight counts again. Buffers of an earlier
    /// load are used again. Steps are spread over the threads of the current rayon pool.
    pub fn load(&mut self, backend: &B, program: &Program, params: &[B::Floats]) {
        self.steps.par_iter_mut().zip(&program.steps).for_each(|(prepared, step)| match step.kernel {
            Kernel::Conv { weight, bias, norm, .. } => {
                let bias = bias.map(|b| backend.download(&params[b]));
                match norm {
                    Some(norm) => {
                        let (scale, shift) = running(backend, params, norm, bias.as_deref());
                        put(backend, &mut prepared.scale, &scale);
                        put(backend, &mut prepared.shift, &shift);
                    }
                    None => {
                        if let Some(bias) = bias {
                            put(backend, &mut prepared.shift, &bias);
                        }
                    }
                }
                let filter = prepared.filter.as_mut().expect("made for every convolution");
                backend.load_filter(filter, &params[weight], prepared.scale.as_ref());
            }
            Kernel::Norm(norm) if program.mode == Mode::Inference => {
                let (scale, shift) = running(backend, params, norm, None);
                put(backend, &mut prepared.scale, &scale);
                put(backend, &mut prepared.shift, &shift);
            }
            Kernel::Norm(norm) => {
                let host_weight = backend.download(&params[norm.weight]);
                let host_bias = backend.download(&params[norm.bias]);
                let weight = backend.upload(&host_weight);
                prepared.norm = Some(Affine { weight, host_weight, host_bias });
            }
            _ => {}
        });
    }

    /// Lets only the weights of a convolution step count that `mask` keeps.
    ///
    /// # Panics
    /// Where the step is no convolution.
    pub fn mask(&mut self, backend: &B, step: StepId, mask: Mask) {
        backend.mask_filter(self.steps[step].filter.as_mut().expect("a convolution"), mask);
    }

    /// Bytes of weights that one [`Prepared::mask`] of that step writes.
    pub fn mask_bytes(&self, backend: &B, step: StepId) -> usize {
        self.steps[step].filter.as_ref().map_or(0, |f| backend.filter_bytes(f))
    }

    /// Number of parameters.
    pub(super) fn params(&self) -> usize {
        self.lengths.len()
    }

    /// A buffer of the length of a parameter.
    pub(super) fn like(&self, backend: &B, param: ParamId) -> B::Floats {
        backend.upload(&vec![0.0; self.lengths[param]])
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

    pub(super) fn norm_weight(&self, step: StepId) -> &B::Floats {
        &self.steps[step].norm.as_ref().expect("a batch norm by batch statistics").weight
    }

    /// γ/√(var + ε) and β − mean·γ/√(var + ε) for the statistics of a batch.
    pub(super) fn norm_by(&self, backend: &B, step: StepId, s: &NormStatistics) -> (B::Floats, B::Floats) {
        let affine = self.steps[step].norm.as_ref().expect("a batch norm by batch statistics");
        let (scale, shift) = scale_shift(&affine.host_weight, &affine.host_bias, &s.mean, &s.var);
        (backend.upload(&scale), backend.upload(&shift))
    }
}

/// Overwrites a buffer, or makes it.
fn put<B: Backend>(backend: &B, buffer: &mut Option<B::Floats>, data: &[f32]) {
    match buffer {
        Some(buffer) => backend.write(buffer, data),
        None => *buffer = Some(backend.upload(data)),
    }
}

/// The factor and term of a batch norm by running statistics behind a convolution with `bias`.
fn running<B: Backend>(
    backend: &B,
    params: &[B::Floats],
    norm: NormParams,
    bias: Option<&[f32]>,
) -> (Vec<f32>, Vec<f32>) {
    let [weight, beta, mean, var] = norm.all().map(|p| backend.download(&params[p]));
    let (scale, mut shift) = scale_shift(&weight, &beta, &mean, &var);
    if let Some(bias) = bias {
        for ((shift, scale), bias) in shift.iter_mut().zip(&scale).zip(bias) {
            *shift += scale * bias;
        }
    }
    (scale, shift)
}

fn scale_shift(weight: &[f32], bias: &[f32], mean: &[f32], var: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let scale: Vec<f32> = weight.iter().zip(var).map(|(w, v)| w / (v + NORM_EPS).sqrt()).collect();
    let shift = scale.iter().zip(bias).zip(mean).map(|((s, b), m)| b - m * s).collect();
    (scale, shift)
}
