//! What training takes on a CUDA device.

use super::batch_norm::{self, Moments, Terms};
use super::buffer::Buffer;
use super::device::{Cuda, input, output, then};
use super::dropout;
use super::format::Format;
use super::optimizer::{self, Tensor};
use super::value::Count;
use super::weight_grad;
use crate::backend::{Batch, DropoutKey, Input, NormGradients, Optimizer, Output, Statistics, Then, Train};
use crate::graph::conv::ConvShape;
use std::sync::PoisonError;

// The launchers' conditions hold throughout: buffers were made by this backend for a batch, places are those of the program
// that they were made for, and a program neither reads what a step writes nor gives buffers of other batches.
impl<T: Format> Train for Cuda<T> {
    fn conv_weight_gradient(
        &self,
        batch: Batch,
        shape: ConvShape,
        x: Input<Self>,
        dy: Input<Self>,
        weight: &mut Buffer,
        bias: Option<&mut Buffer>,
    ) {
        let (count, dy) = (Count::of(batch.images), input(&dy));
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: as above; gradients are as long as weights and bias.
        unsafe {
            let values = [input(&x), dy];
            weight_grad::weights::<T>(&self.context, count, shape, values, weight.address(), &mut scratch);
            if let Some(bias) = bias {
                weight_grad::bias::<T>(&self.context, count, dy, bias.address());
            }
        }
    }

    fn norm_statistics(&self, batch: Batch, x: Input<Self>, statistics: &mut Statistics<Self>) {
        let count = Count::of(batch.images);
        // SAFETY: as above; statistics have a number per channel.
        unsafe {
            batch_norm::statistics::<T>(&self.context, count, input(&x), moments(statistics), &self.sums)
        };
    }

    fn update_running(
        &self,
        statistics: &Statistics<Self>,
        count: usize,
        momentum: f32,
        mean: &mut Buffer,
        var: &mut Buffer,
    ) {
        let channels = mean.bytes() / size_of::<f32>();
        let running = Moments { mean: mean.address(), var: var.address() };
        // SAFETY: all of them have a number per channel.
        unsafe {
            batch_norm::update_running(&self.context, channels, moments(statistics), running, count, momentum)
        };
    }

    fn norm_gradients(
        &self,
        batch: Batch,
        x: Input<Self>,
        dy: Input<Self>,
        statistics: &Statistics<Self>,
        weight: &mut Buffer,
        bias: &mut Buffer,
    ) {
        let (count, of) = (Count::of(batch.images), moments(statistics));
        let (values, out) = ([input(&x), input(&dy)], [weight.address(), bias.address()]);
        // SAFETY: as above; gradients have a number per channel.
        unsafe { batch_norm::gradients::<T>(&self.context, count, values, of, out, &self.sums) };
    }

    fn norm_backward(
        &self,
        batch: Batch,
        x: Input<Self>,
        dy: Input<Self>,
        statistics: &Statistics<Self>,
        gradients: NormGradients<Self>,
        weight: &Buffer,
        dx: Output<Self>,
        what: Then<Self>,
    ) {
        let terms = Terms {
            moments: moments(statistics),
            gamma: weight.address(),
            d_gamma: gradients.weight.address(),
            d_beta: gradients.bias.address(),
        };
        let (count, values) = (Count::of(batch.images), [input(&x), input(&dy), output(&dx)]);
        // SAFETY: as above.
        unsafe { batch_norm::backward::<T>(&self.context, count, values, terms, then(what)) };
    }

    fn dropout(
        &self,
        batch: Batch,
        p: f32,
        key: DropoutKey,
        x: Input<Self>,
        out: Output<Self>,
        what: Then<Self>,
    ) {
        let count = Count::of(batch.images);
        // SAFETY: as above.
        unsafe { dropout::dropout::<T>(&self.context, count, p, key, input(&x), output(&out), then(what)) };
    }

    fn optimize(
        &self,
        optimizer: Optimizer,
        step: u64,
        weights: &mut Buffer,
        gradient: &Buffer,
        [first, second]: &mut [Buffer; 2],
    ) {
        let tensor = Tensor {
            weights: weights.address(),
            gradient: gradient.address(),
            moments: [first.address(), second.address()],
            len: weights.bytes() / size_of::<f32>(),
        };
        // SAFETY: gradient and states are as long as the weights.
        unsafe { optimizer::step(&self.context, optimizer, step, tensor) };
    }
}

fn moments<T: Format>(statistics: &Statistics<Cuda<T>>) -> Moments {
    Moments { mean: statistics.mean.address(), var: statistics.var.address() }
}
