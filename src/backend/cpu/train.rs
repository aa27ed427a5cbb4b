//! What training takes on the CPU.

use super::batch_norm::{self, InputGradient};
use super::device::{Cpu, source};
use super::dropout;
use super::layout::Aligned;
use super::weight_grad::{GradSlab, WeightGrad};
use crate::backend::{
    Batch, DropoutKey, Input, NormGradients, Optimizer, Output, Slab, Statistics, Then, Train,
};
use crate::graph::conv::ConvShape;
use rayon::prelude::*;
use std::cell::Cell;

/// Parameters that one thread moves at a time.
const OPTIMIZER_PART: usize = 1 << 15;

thread_local! {
    /// Transposed inputs of weight gradients, taken out while they are in use.
    static PANELS: Cell<Vec<Aligned>> = Cell::default();
}

impl Train for Cpu {
    fn conv_weight_gradient(
        &self,
        batch: Batch,
        shape: ConvShape,
        x: Input<Self>,
        dy: Input<Self>,
        weight: &mut Aligned,
        bias: Option<&mut Aligned>,
    ) {
        let kernel = WeightGrad::new(self.level, shape);
        let mut buffers = PANELS.take();
        buffers.resize_with(batch.slabs().len().max(buffers.len()), Aligned::default);
        let mut panels: Vec<&mut [f32]> = batch
            .slabs()
            .zip(&mut buffers)
            .map(|(slab, buffer)| buffer.reserve_len(kernel.panels_len(slab.images)))
            .collect();
        let pack =
            |(slab, panels): (Slab, &mut &mut [f32])| kernel.pack(source(&x, slab), slab.images, panels);
        if self.spread {
            batch.slabs().collect::<Vec<_>>().into_par_iter().zip(&mut panels).for_each(pack);
        } else {
            batch.slabs().zip(&mut panels).for_each(pack);
        }
        let slabs: Vec<_> = batch
            .slabs()
            .zip(&panels)
            .map(|(slab, panels)| GradSlab {
                dy: source(&dy, slab),
                x: source(&x, slab),
                panels,
                images: slab.images,
            })
            .collect();
        let per_k = shape.weights() / shape.k;
        let size =
            if self.spread { shape.k.div_ceil(4 * rayon::current_num_threads()).max(1) } else { shape.k };
        let work = |(i, part): (usize, &mut [f32])| {
            kernel.weights(&slabs, i * size..i * size + part.len() / per_k, part);
        };
        if self.spread {
            weight.par_chunks_mut(size * per_k).enumerate().for_each(work);
        } else {
            weight.chunks_mut(size * per_k).enumerate().for_each(work);
        }
        if let Some(bias) = bias {
            kernel.bias(&slabs, 0..shape.k, bias);
        }
        PANELS.set(buffers);
    }

    fn norm_statistics(&self, batch: Batch, x: Input<Self>, statistics: &mut Statistics<Self>) {
        let slabs: Vec<_> =
            batch.slabs().map(|s| batch_norm::Slab { value: source(&x, s), images: s.images }).collect();
        let parts = self.ranges(x.place.c, |channels| {
            let mut part = (vec![0.0; channels.len()], vec![0.0; channels.len()]);
            batch_norm::statistics(self.level, &slabs, channels, &mut part.0, &mut part.1);
            part
        });
        put_together(&parts, &mut statistics.mean, &mut statistics.var);
    }

    fn update_running(
        &self,
        statistics: &Statistics<Self>,
        count: usize,
        momentum: f32,
        mean: &mut Aligned,
        var: &mut Aligned,
    ) {
        batch_norm::update_running([&statistics.mean, &statistics.var], count, momentum, mean, var);
    }

    fn norm_gradients(
        &self,
        batch: Batch,
        x: Input<Self>,
        dy: Input<Self>,
        statistics: &Statistics<Self>,
        weight: &mut Aligned,
        bias: &mut Aligned,
    ) {
        let slabs: Vec<_> = batch.slabs().map(|s| (source(&dy, s), source(&x, s))).collect();
        let inverse = batch_norm::inverse_deviation(&statistics.var);
        let parts = self.ranges(x.place.c, |channels| {
            let mut part = (vec![0.0; channels.len()], vec![0.0; channels.len()]);
            let known = [&statistics.mean[channels.clone()], &inverse[channels.clone()]];
            batch_norm::parameter_gradients(self.level, &slabs, channels, known, &mut part.0, &mut part.1);
            part
        });
        put_together(&parts, weight, bias);
    }

    fn norm_backward(
        &self,
        batch: Batch,
        x: Input<Self>,
        dy: Input<Self>,
        statistics: &Statistics<Self>,
        gradients: NormGradients<Self>,
        weight: &Aligned,
        dx: Output<Self>,
        then: Then<Self>,
    ) {
        let inverse = batch_norm::inverse_deviation(&statistics.var);
        let count = batch.images * x.place.h * x.place.w;
        let terms = [&weight[..], &statistics.mean, &inverse, gradients.weight, gradients.bias];
        let gradient = InputGradient::new(terms, count);
        self.write(batch, 1, dx, then, |slab, target, epilogue| {
            gradient.apply(self.level, source(&dy, slab), source(&x, slab), slab.images, target, epilogue);
        });
    }

    fn dropout(
        &self,
        batch: Batch,
        p: f32,
        key: DropoutKey,
        x: Input<Self>,
        out: Output<Self>,
        then: Then<Self>,
    ) {
        let dropout = dropout::Dropout { p, seed: key.seed, step: key.step as u32, layer: key.stream };
        self.write(batch, 1, out, then, |slab, target, epilogue| {
            dropout.apply(self.level, source(&x, slab), slab.start, target, epilogue);
        });
    }

    fn optimize(
        &self,
        optimizer: Optimizer,
        step: u64,
        weights: &mut Aligned,
        gradient: &Aligned,
        [first, second]: &mut [Aligned; 2],
    ) {
        // Every element is on its own, so that any split gives the same bits.
        let size = if self.spread { OPTIMIZER_PART } else { weights.len().max(1) };
        let (parts, gradients) = (weights.par_chunks_mut(size), gradient.par_chunks(size));
        match optimizer {
            Optimizer::Adam(adam) => parts
                .zip(gradients)
                .zip(first.par_chunks_mut(size).zip(second.par_chunks_mut(size)))
                .for_each(|((w, g), (m, s))| adam.step(self.level, step, w, g, m, s)),
            Optimizer::Sgd(sgd) => parts
                .zip(gradients)
                .zip(first.par_chunks_mut(size))
                .for_each(|((w, g), v)| sgd.step(self.level, w, g, v)),
        }
    }
}

/// Puts what was found of ranges of channels one after the other.
fn put_together(parts: &[(Vec<f32>, Vec<f32>)], first: &mut [f32], second: &mut [f32]) {
    let mut at = 0;
    for (a, b) in parts {
        first[at..at + a.len()].copy_from_slice(a);
        second[at..at + b.len()].copy_from_slice(b);
        at += a.len();
    }
}
