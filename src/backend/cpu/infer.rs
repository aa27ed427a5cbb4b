//! The operations of a network on the CPU.

use super::convolve::{Scratch, Weights};
use super::device::{Cpu, CpuFilter, Remaining, Whole, layout, source};
use super::layout::{Aligned, Layout};
use super::value::Target;
use super::{activation, attack, batch_norm, elementwise, image, loss, mean, pool, product, select};
use crate::backend::{
    Adversarial, AttackStart, AttackStep, Batch, ImageBatch, Infer, Input, Noise, NormTensors, Output,
    PixelData, SLAB, Slab, Standard, Then, Verdicts,
};
use crate::filter::Mask;
use crate::graph::conv::{ConvShape, Direction};
use crate::graph::place::Place;
use crate::graph::{Activation, Mean, Pool};
use std::cell::RefCell;
use std::ops::Range;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Infer for Cpu {
    fn filter(&self, shape: ConvShape, backward: bool) -> CpuFilter {
        let build = |direction| select::build(shape, direction, SLAB, self.level, self.conv);
        CpuFilter {
            forward: build(Direction::Forward),
            backward: backward.then(|| build(Direction::BackwardInput)),
        }
    }

    fn load_filter(&self, filter: &mut CpuFilter, weights: &Aligned, scale: Option<&Aligned>) {
        filter.forward.load(Weights { oihw: weights, scale: None });
        if let Some(backward) = &mut filter.backward {
            backward.load(Weights { oihw: weights, scale: scale.map(|s| &s[..]) });
        }
    }

    fn mask_filter(&self, filter: &mut CpuFilter, mask: Mask, channels: Range<usize>) {
        filter.forward.pack(mask, channels.clone());
        if let Some(backward) = &mut filter.backward {
            backward.pack(mask, channels);
        }
    }

    fn own_filter(&self, _: &mut CpuFilter) {}

    fn share_filter(&self, _: &mut CpuFilter) {}

    fn filter_bytes(&self, filter: &CpuFilter, channels: Range<usize>) -> usize {
        let backward = filter.backward.as_ref().map_or(0, |b| b.packed_bytes(channels.clone()));
        filter.forward.packed_bytes(channels) + backward
    }

    fn load_images(&self, batch: Batch, images: &ImageBatch, norm: Standard<Self>, out: Output<Self>) {
        let norm = image::Normalisation { mean: norm.mean, std: norm.std };
        each_slab(batch, out.place, out.data, |slab, layout, data| {
            let images = slab_pixels(images, out.place, slab);
            image::load(self.level, images, norm, data, layout);
        });
    }

    fn attack_start(
        &self,
        batch: Batch,
        images: &ImageBatch,
        norm: Standard<Self>,
        start: AttackStart,
        to: Adversarial<Self>,
    ) {
        let norm = image::Normalisation { mean: norm.mean, std: norm.std };
        let place = to.z.place;
        each_slab_in_pixels(batch, to, |slab, layout, pixels, z| {
            let first_image = |noise: Noise| noise.first_image + slab.start as u64;
            let noise = start.noise.map(|noise| Noise { first_image: first_image(noise), ..noise });
            let images = slab_pixels(images, place, slab);
            attack::start(self.level, images, norm, AttackStart { noise, ..start }, pixels, z, layout);
        });
    }

    fn attack_step(
        &self,
        batch: Batch,
        images: &ImageBatch,
        norm: Standard<Self>,
        gradient: Input<Self>,
        step: AttackStep,
        at: Adversarial<Self>,
    ) {
        let norm = image::Normalisation { mean: norm.mean, std: norm.std };
        let place = at.z.place;
        each_slab_in_pixels(batch, at, |slab, layout, pixels, z| {
            let images = slab_pixels(images, place, slab);
            let step = attack::Step { step, gradient: source(&gradient, slab) };
            step.apply(self.level, images, norm, pixels, z, layout);
        });
    }

    fn conv(
        &self,
        batch: Batch,
        filter: &CpuFilter,
        direction: Direction,
        x: Input<Self>,
        out: Output<Self>,
        then: Then<Self>,
    ) {
        let convolve = match direction {
            Direction::Forward => &filter.forward,
            Direction::BackwardInput => filter.backward.as_ref().expect("made with a backward direction"),
        };
        self.write(batch, convolve.row_granularity(), out, then, |slab, target, epilogue| {
            SCRATCH.with_borrow_mut(|scratch| convolve.run(source(&x, slab), target, epilogue, scratch));
        });
    }

    fn map(&self, batch: Batch, x: Input<Self>, out: Output<Self>, then: Then<Self>) {
        self.write(batch, 1, out, then, |slab, target, epilogue| {
            elementwise::map(self.level, source(&x, slab), target, epilogue);
        });
    }

    fn mask(&self, buffer: &mut Aligned, bits: &Vec<u16>, below: f32) {
        for (lanes, bits) in buffer.chunks_exact_mut(16).zip(bits) {
            for (lane, value) in lanes.iter_mut().enumerate() {
                if bits >> lane & 1 == 0 {
                    *value = if below == 0.0 { 0.0 } else { *value * below };
                }
            }
        }
    }

    fn copy_bits(&self, batch: Batch, from: Option<(&Vec<u16>, Place)>, (to, place): (&mut Vec<u16>, Place)) {
        for slab in batch.slabs() {
            let target = layout(place, slab);
            let words =
                |place: Place| place.rows() * slab.start / 16..place.rows() * (slab.start + slab.lanes) / 16;
            let out = &mut to[words(place)];
            match from {
                Some((bits, from)) => {
                    elementwise::copy_bits(&bits[words(from)], layout(from, slab), out, target, 0..place.h);
                }
                None => {
                    for pixel in 0..place.h * place.w {
                        for c in 0..place.c {
                            let first = target.at(pixel, c) / 16;
                            out[first..first + slab.lanes / 16].fill(u16::MAX);
                        }
                    }
                }
            }
        }
    }

    fn norm_coefficients(
        &self,
        norm: NormTensors<Self>,
        term: Option<&Aligned>,
        scale: &mut Aligned,
        shift: &mut Aligned,
    ) {
        let NormTensors { weight, bias, mean, var } = norm;
        batch_norm::coefficients([weight, bias, mean, var], term.map(|t| &t[..]), scale, shift);
    }

    fn max_pool(
        &self,
        batch: Batch,
        pool: Pool,
        x: Input<Self>,
        out: Output<Self>,
        winners: Option<&mut Vec<u8>>,
    ) {
        let whole = Whole { place: out.place, data: out.data, save: None, winners };
        self.parts(batch, 1, whole, |part| {
            let target = Target { data: part.data, layout: part.layout, rows: part.rows };
            pool::max_forward(self.level, pool, source(&x, part.slab), target, part.winners);
        });
    }

    fn max_pool_backward(
        &self,
        batch: Batch,
        pool: Pool,
        dy: Input<Self>,
        winners: &Vec<u8>,
        dx: Output<Self>,
        then: Then<Self>,
    ) {
        let elements = dy.place.h * dy.place.w * dy.place.c;
        self.write(batch, 1, dx, then, |slab, target, epilogue| {
            let winners = &winners[elements * slab.start..elements * (slab.start + slab.lanes)];
            pool::max_backward(self.level, pool, source(&dy, slab), winners, target, epilogue);
        });
    }

    fn avg_pool(&self, batch: Batch, mean: Mean, x: Input<Self>, out: Output<Self>) {
        self.write(batch, 1, out, Then::default(), |slab, target, _| {
            mean::forward(self.level, mean, source(&x, slab), target);
        });
    }

    fn avg_pool_backward(
        &self,
        batch: Batch,
        mean: Mean,
        dy: Input<Self>,
        dx: Output<Self>,
        then: Then<Self>,
    ) {
        self.write(batch, 1, dx, then, |slab, target, epilogue| {
            mean::backward(self.level, mean, source(&dy, slab), target, epilogue);
        });
    }

    fn activate(&self, batch: Batch, function: Activation, x: Input<Self>, out: Output<Self>) {
        self.write(batch, 1, out, Then::default(), |slab, target, _| {
            activation::forward(self.level, function, source(&x, slab), target);
        });
    }

    fn activate_backward(
        &self,
        batch: Batch,
        function: Activation,
        x: Input<Self>,
        dy: Input<Self>,
        dx: Output<Self>,
        then: Then<Self>,
    ) {
        self.write(batch, 1, dx, then, |slab, target, epilogue| {
            let (x, dy) = (source(&x, slab), source(&dy, slab));
            activation::backward(self.level, function, x, dy, target, epilogue);
        });
    }

    fn product(
        &self,
        batch: Batch,
        x: Input<Self>,
        factor: Input<Self>,
        out: Output<Self>,
        then: Then<Self>,
    ) {
        self.write(batch, 1, out, then, |slab, target, epilogue| {
            product::product(self.level, source(&x, slab), source(&factor, slab), target, epilogue);
        });
    }

    fn product_sum(&self, batch: Batch, x: Input<Self>, y: Input<Self>, out: Output<Self>, then: Then<Self>) {
        self.write(batch, 1, out, then, |slab, target, epilogue| {
            product::sum(self.level, source(&x, slab), source(&y, slab), target, epilogue);
        });
    }

    fn cross_entropy(
        &self,
        batch: Batch,
        logits: Input<Self>,
        of: &ImageBatch,
        gradient: Option<(Output<Self>, f32)>,
        verdicts: &mut Verdicts,
    ) {
        let (mut gradient, factor) = gradient.map_or((None, 0.0), |(out, factor)| (Some(out), factor));
        for slab in batch.slabs() {
            let images = slab.start..slab.start + slab.images;
            let target = gradient.as_mut().map(|out| {
                let floats = out.place.rows() * slab.start..out.place.rows() * (slab.start + slab.lanes);
                let layout = layout(out.place, slab);
                loss::Gradient { target: Target { data: &mut out.data[floats], layout, rows: 0..1 }, factor }
            });
            let losses = &mut verdicts.loss[images.clone()];
            let x = source(&logits, slab);
            let correct =
                loss::softmax_cross_entropy(self.level, x, &of.labels[images.clone()], losses, target);
            for (lane, image) in images.enumerate() {
                verdicts.correct[image] = correct >> lane & 1 == 1;
            }
        }
    }
}

/// Calls `work` for each slab of a buffer.
fn each_slab(batch: Batch, place: Place, data: &mut Aligned, mut work: impl FnMut(Slab, Layout, &mut [f32])) {
    let mut data = Remaining(&mut data[..]);
    for slab in batch.slabs() {
        work(slab, layout(place, slab), data.take(place.rows() * slab.lanes));
    }
}

/// Calls `work` for each slab of adversarial images: their pixels and their z.
fn each_slab_in_pixels(
    batch: Batch,
    to: Adversarial<Cpu>,
    mut work: impl FnMut(Slab, Layout, Option<&mut [f32]>, &mut [f32]),
) {
    let Place { h, w, c, .. } = to.z.place;
    let mut pixels = to.pixels.map(|pixels| Remaining(&mut pixels[..]));
    each_slab(batch, to.z.place, to.z.data, |slab, layout, z| {
        work(slab, layout, pixels.as_mut().map(|p| p.take(h * w * c * slab.lanes)), z);
    });
}

/// The pixels of one slab's images.
fn slab_pixels<'a>(images: &ImageBatch<'a>, place: Place, slab: Slab) -> image::Pixels<'a> {
    let image = place.c * place.h * place.w;
    let range = image * slab.start..image * (slab.start + slab.images);
    match images.pixels {
        PixelData::Bytes(bytes) => image::Pixels::U8(&bytes[range]),
        PixelData::Floats(floats) => image::Pixels::F32(&floats[range]),
    }
}
