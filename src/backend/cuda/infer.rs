//! The operations of a network on a CUDA device.

use super::batch_norm::{self, Moments, Tensors};
use super::buffer::Buffer;
use super::device::{Cuda, DeviceImages, DeviceVerdicts, address, input, output, then};
use super::filter::Weights;
use super::format::Format;
use super::image::{self, Source};
use super::loss::{self, Found};
use super::pool::{self, Way};
use super::product::{self, Of};
use super::value::Count;
use super::{activation, elementwise, mean};
use crate::backend::{
    Adversarial, AttackStart, AttackStep, Batch, Infer, Input, NormTensors, Output, SLAB, Standard, Then,
};
use crate::filter::Mask;
use crate::graph::conv::{ConvShape, Direction};
use crate::graph::place::Place;
use crate::graph::{Activation, Mean, Pool};
use std::ops::Range;

// The launchers' conditions hold throughout: buffers were made by this backend for a batch, places are those of the program
// that they were made for, and a program neither reads what a step writes nor gives buffers of other batches.
impl<T: Format> Infer for Cuda<T> {
    fn filter(&self, shape: ConvShape, backward: bool) -> Weights {
        Weights::new::<T>(&self.context, shape, backward)
    }

    fn load_filter(&self, filter: &mut Weights, weights: &Buffer, scale: Option<&Buffer>) {
        filter.load(&self.context, weights, scale);
    }

    fn mask_filter(&self, filter: &mut Weights, mask: Mask, channels: Range<usize>) {
        filter.mask(&self.context, mask, channels);
    }

    fn own_filter(&self, filter: &mut Weights) {
        filter.own(&self.context);
    }

    fn share_filter(&self, filter: &mut Weights) {
        filter.share(&self.context);
    }

    fn filter_bytes(&self, filter: &Weights, channels: Range<usize>) -> usize {
        filter.bytes(channels)
    }

    fn load_images(&self, batch: Batch, images: &DeviceImages, norm: Standard<Self>, out: Output<Self>) {
        let still = AttackStart { noise: None, clamp: false };
        self.attack_start(batch, images, norm, still, Adversarial { pixels: None, z: out });
    }

    fn attack_start(
        &self,
        batch: Batch,
        images: &DeviceImages,
        norm: Standard<Self>,
        start: AttackStart,
        to: Adversarial<Self>,
    ) {
        let (count, source) = (Count::of(batch.images), source(images, &norm));
        // SAFETY: as above; there is an f32 per element of z in its pixels.
        unsafe { image::start::<T>(&self.context, count, source, start, adversarial(&to)) };
    }

    fn attack_step(
        &self,
        batch: Batch,
        images: &DeviceImages,
        norm: Standard<Self>,
        gradient: Input<Self>,
        step: AttackStep,
        at: Adversarial<Self>,
    ) {
        let (count, source) = (Count::of(batch.images), source(images, &norm));
        // SAFETY: as above; there is an f32 per element of z in its pixels.
        unsafe {
            image::step::<T>(&self.context, count, source, input(&gradient), step, adversarial(&at));
        }
    }

    fn conv(
        &self,
        batch: Batch,
        filter: &Weights,
        direction: Direction,
        x: Input<Self>,
        out: Output<Self>,
        what: Then<Self>,
    ) {
        let count = Count::of(batch.images);
        // SAFETY: as above.
        unsafe { filter.convolve::<T>(&self.context, direction, count, input(&x), output(&out), then(what)) };
    }

    fn map(&self, batch: Batch, x: Input<Self>, out: Output<Self>, what: Then<Self>) {
        let count = Count::of(batch.images);
        // SAFETY: as above.
        unsafe { elementwise::map::<T>(&self.context, count, input(&x), output(&out), then(what)) };
    }

    fn mask(&self, buffer: &mut Buffer, bits: &Buffer, below: f32) {
        let rows = (buffer.bytes() / (SLAB * T::BYTES)).min(bits.bytes() / size_of::<u64>());
        // SAFETY: both have that many rows, bits a word for each.
        unsafe { elementwise::mask::<T>(&self.context, buffer.address(), bits.address(), below, rows) };
    }

    fn copy_bits(&self, batch: Batch, from: Option<(&Buffer, Place)>, (to, place): (&mut Buffer, Place)) {
        let from = from.map(|(bits, place)| (bits.address(), place));
        // SAFETY: as above.
        unsafe {
            elementwise::copy_bits(&self.context, Count::of(batch.images), from, (to.address(), place))
        };
    }

    fn norm_coefficients(
        &self,
        norm: NormTensors<Self>,
        term: Option<&Buffer>,
        scale: &mut Buffer,
        shift: &mut Buffer,
    ) {
        let of = Tensors {
            gamma: norm.weight.address(),
            beta: norm.bias.address(),
            moments: Moments { mean: norm.mean.address(), var: norm.var.address() },
            term: address(term),
        };
        let channels = norm.weight.bytes() / size_of::<f32>();
        // SAFETY: all of them have a number per channel.
        unsafe { batch_norm::coefficients(&self.context, channels, of, [scale.address(), shift.address()]) };
    }

    fn max_pool(
        &self,
        batch: Batch,
        pool: Pool,
        x: Input<Self>,
        out: Output<Self>,
        winners: Option<&mut Buffer>,
    ) {
        let (count, winners) = (Count::of(batch.images), address(winners.as_deref()));
        let way = (pool, Way::Forward);
        // SAFETY: as above; there is a byte per element for the winners.
        unsafe {
            let plain = super::value::PLAIN;
            pool::max::<T>(&self.context, count, way, input(&x), output(&out), winners, plain);
        }
    }

    fn max_pool_backward(
        &self,
        batch: Batch,
        pool: Pool,
        dy: Input<Self>,
        winners: &Buffer,
        dx: Output<Self>,
        what: Then<Self>,
    ) {
        let (count, winners, way) = (Count::of(batch.images), winners.address(), (pool, Way::Backward));
        // SAFETY: as above.
        unsafe {
            pool::max::<T>(&self.context, count, way, input(&dy), output(&dx), winners, then(what));
        }
    }

    fn avg_pool(&self, batch: Batch, mean: Mean, x: Input<Self>, out: Output<Self>) {
        let (count, what) = (Count::of(batch.images), (mean, Way::Forward));
        // SAFETY: as above.
        unsafe { mean::mean::<T>(&self.context, count, what, input(&x), output(&out), None) };
    }

    fn avg_pool_backward(
        &self,
        batch: Batch,
        mean: Mean,
        dy: Input<Self>,
        dx: Output<Self>,
        what: Then<Self>,
    ) {
        let (count, way) = (Count::of(batch.images), (mean, Way::Backward));
        // SAFETY: as above.
        unsafe { mean::mean::<T>(&self.context, count, way, input(&dy), output(&dx), Some(then(what))) };
    }

    fn activate(&self, batch: Batch, function: Activation, x: Input<Self>, out: Output<Self>) {
        let count = Count::of(batch.images);
        // SAFETY: as above.
        unsafe { activation::activate::<T>(&self.context, count, function, input(&x), None, output(&out)) };
    }

    fn activate_backward(
        &self,
        batch: Batch,
        function: Activation,
        x: Input<Self>,
        dy: Input<Self>,
        dx: Output<Self>,
        what: Then<Self>,
    ) {
        let (count, back) = (Count::of(batch.images), Some((input(&dy), then(what))));
        // SAFETY: as above.
        unsafe { activation::activate::<T>(&self.context, count, function, input(&x), back, output(&dx)) };
    }

    fn product(
        &self,
        batch: Batch,
        x: Input<Self>,
        factor: Input<Self>,
        out: Output<Self>,
        what: Then<Self>,
    ) {
        let (count, both) = (Count::of(batch.images), [input(&x), input(&factor)]);
        // SAFETY: as above.
        unsafe {
            product::product::<T>(&self.context, count, Of::Elements, both, output(&out), then(what));
        }
    }

    fn product_sum(&self, batch: Batch, x: Input<Self>, y: Input<Self>, out: Output<Self>, what: Then<Self>) {
        let (count, both) = (Count::of(batch.images), [input(&x), input(&y)]);
        // SAFETY: as above.
        unsafe { product::product::<T>(&self.context, count, Of::Map, both, output(&out), then(what)) };
    }

    fn cross_entropy(
        &self,
        batch: Batch,
        logits: Input<Self>,
        images: &DeviceImages,
        gradient: Option<(Output<Self>, f32)>,
        verdicts: &mut DeviceVerdicts,
    ) {
        let gradient = gradient.map(|(out, factor)| (output(&out), factor));
        let found = Found { loss: verdicts.loss.address(), correct: verdicts.correct.address() };
        let (count, labels) = (Count::of(batch.images), images.labels.address());
        // SAFETY: as above; there is a label per image, and room for what is found of each.
        unsafe { loss::cross_entropy::<T>(&self.context, count, input(&logits), labels, gradient, found) };
    }
}

fn adversarial<T: Format>(images: &Adversarial<Cuda<T>>) -> image::At {
    image::At { pixels: address(images.pixels.as_deref()), z: output(&images.z) }
}

fn source<T: Format>(images: &DeviceImages, norm: &Standard<Cuda<T>>) -> Source {
    let DeviceImages { pixels, bytes, .. } = images;
    Source { pixels: pixels.address(), bytes: *bytes, mean: norm.mean.address(), std: norm.std.address() }
}
