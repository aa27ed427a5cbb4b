//! A stream of a CUDA device as a [`Backend`]: every operation is a launch or two on it.

use super::abi;
use super::batch_norm::{self, Moments, Tensors, Terms};
use super::buffer::Buffer;
use super::context::Context;
use super::filter::Weights;
use super::format::Format;
use super::image::Source;
use super::loss::Found;
use super::optimizer::{self, Tensor};
use super::pool::Way;
use super::recording::Recording;
use super::value::{Count, View};
use super::{dropout, elementwise, image, loss, pgd, pool, weight_grad};
use crate::backend::{
    Adversarial, Backend, Batch, DropoutKey, Fgsm, ImageBatch, Input, NormGradients, NormTensors, Optimizer,
    Output, PgdStart, PgdStep, PixelData, SLAB, Sign, Standard, Statistics, Then, Verdicts,
};
use crate::error::Result;
use crate::filter::Mask;
use crate::graph::Pool;
use crate::graph::conv::{ConvShape, Direction};
use crate::graph::place::Place;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// A stream of a CUDA device, on which is computed in one number format.
pub struct Cuda<T> {
    context: Arc<Context>,
    /// Sums over parts of a weight gradient.
    scratch: Mutex<Option<Buffer>>,
    /// Sums over parts of the rows of a channel.
    sums: Buffer,
    format: PhantomData<fn() -> T>,
}

/// Images and labels on the device.
pub struct DeviceImages {
    pixels: Buffer,
    bytes: bool,
    labels: Buffer,
}

/// What was found of each image, on the device.
pub struct DeviceVerdicts {
    loss: Buffer,
    correct: Buffer,
    images: usize,
}

/// Images of an evaluation that go through a network together.
const IMAGES_PER_RUN: usize = 2048;

/// Of the free memory, the part that values may take: the rest is for weights and for other programs.
const MEMORY_SHARE: f64 = 0.85;

impl<T: Format> Cuda<T> {
    /// Opens device `ordinal`.
    ///
    /// # Errors
    /// As [`Context::open`].
    pub fn open(ordinal: usize) -> Result<Self> {
        Ok(Self::on(Context::open(ordinal)?))
    }

    fn on(context: Arc<Context>) -> Self {
        let sums = batch_norm::room(&context);
        Cuda { context, scratch: Mutex::default(), sums, format: PhantomData }
    }

    /// The device.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    fn rows(rows: usize, batch: Batch) -> usize {
        rows * Count::of(batch.images).slabs
    }
}

fn input<T: Format>(x: &Input<Cuda<T>>) -> View {
    View { address: x.data.address(), place: x.place }
}

fn output<T: Format>(y: &Output<Cuda<T>>) -> View {
    View { address: y.data.address(), place: y.place }
}

fn adversarial<T: Format>(images: &Adversarial<Cuda<T>>) -> pgd::At {
    pgd::At { pixels: images.pixels.address(), z: output(&images.z) }
}

fn address(buffer: Option<&Buffer>) -> u64 {
    buffer.map_or(0, Buffer::address)
}

fn moments<T: Format>(statistics: &Statistics<Cuda<T>>) -> Moments {
    Moments { mean: statistics.mean.address(), var: statistics.var.address() }
}

/// As kernels take it.
fn then<T: Format>(then: Then<Cuda<T>>) -> abi::Then {
    let (sign, bits) = match then.sign {
        Sign::None => (0, 0),
        Sign::Relu => (1, 0),
        Sign::ReluSave(bits) => (2, bits.address()),
        Sign::Mask(bits) => (3, bits.address()),
    };
    let (add, add_place) = match &then.add {
        Some(add) => (add.data.address(), add.place.into()),
        None => (0, bytemuck::Zeroable::zeroed()),
    };
    abi::Then {
        scale: address(then.scale),
        shift: address(then.shift),
        add,
        bits,
        add_place,
        sign,
        accumulate: u32::from(then.accumulate),
    }
}

fn source<T: Format>(images: &DeviceImages, norm: &Standard<Cuda<T>>) -> Source {
    let DeviceImages { pixels, bytes, .. } = images;
    Source { pixels: pixels.address(), bytes: *bytes, mean: norm.mean.address(), std: norm.std.address() }
}

// The launchers' conditions hold throughout: buffers were made by this backend for a batch, places are those of the program
// that they were made for, and a program neither reads what a step writes nor gives buffers of other batches.
impl<T: Format> Backend for Cuda<T> {
    type Values = Buffer;
    type Floats = Buffer;
    type Bits = Buffer;
    type Bytes = Buffer;
    type Filter = Weights;
    type Images<'a> = DeviceImages;
    type DeviceVerdicts = DeviceVerdicts;
    type Pending = DeviceVerdicts;
    type Recording = Recording;

    const VALUE_BYTES: usize = T::BYTES;
    const CONCURRENT: bool = false;
    const IN_FLIGHT: usize = usize::MAX;
    const GRADIENT_SCALE: f32 = T::GRADIENT_SCALE;

    fn images_per_run(&self) -> usize {
        IMAGES_PER_RUN
    }

    fn memory(&self) -> Option<usize> {
        self.context.free_memory().map(|free| (free as f64 * MEMORY_SHARE) as usize)
    }

    fn queue(&self) -> Option<Self> {
        self.context.queue().map(Self::on)
    }

    fn after(&self, other: &Self) {
        self.context.after(&other.context);
    }

    fn queues_to_fill(&self, recording: &Recording) -> usize {
        recording.fill().queues()
    }

    fn values(&self, rows: usize, batch: Batch) -> Buffer {
        Buffer::zeros(&self.context, Self::rows(rows, batch) * SLAB * T::BYTES)
    }

    fn bits(&self, rows: usize, batch: Batch) -> Buffer {
        Buffer::zeros(&self.context, Self::rows(rows, batch) * size_of::<u64>())
    }

    fn bytes(&self, rows: usize, batch: Batch) -> Buffer {
        Buffer::zeros(&self.context, Self::rows(rows, batch) * SLAB)
    }

    fn floats(&self, len: usize) -> Buffer {
        Buffer::zeros(&self.context, len * size_of::<f32>())
    }

    fn upload(&self, data: &[f32]) -> Buffer {
        Buffer::of(&self.context, data)
    }

    fn write(&self, buffer: &mut Buffer, data: &[f32]) {
        buffer.write(data);
    }

    fn copy(&self, from: &Buffer, to: &mut Buffer) {
        to.copy_from(from);
    }

    fn download(&self, buffer: &Buffer) -> Result<Vec<f32>> {
        buffer.read()
    }

    fn download_nchw(&self, batch: Batch, x: Input<Self>) -> Result<Vec<f32>> {
        let Place { h, w, c, .. } = x.place;
        let out = Buffer::new(&self.context, batch.images * c * h * w * size_of::<f32>());
        // SAFETY: as above; `out` has a number per element.
        unsafe { image::download::<T>(&self.context, Count::of(batch.images), input(&x), out.address()) };
        out.read()
    }

    fn images<'a>(&self, images: ImageBatch<'a>) -> DeviceImages {
        let (pixels, bytes) = match images.pixels {
            PixelData::Bytes(bytes) => (Buffer::of(&self.context, bytes), true),
            PixelData::Floats(floats) => (Buffer::of(&self.context, floats), false),
        };
        DeviceImages { pixels, bytes, labels: Buffer::of(&self.context, images.labels) }
    }

    fn verdicts(&self, batch: Batch) -> DeviceVerdicts {
        let slabs = Count::of(batch.images).slabs;
        DeviceVerdicts {
            loss: Buffer::zeros(&self.context, slabs * SLAB * size_of::<f32>()),
            correct: Buffer::zeros(&self.context, slabs * size_of::<u64>()),
            images: batch.images,
        }
    }

    fn fetch(&self, verdicts: &mut DeviceVerdicts) -> DeviceVerdicts {
        let mut kept = DeviceVerdicts {
            loss: Buffer::new(&self.context, verdicts.loss.bytes()),
            correct: Buffer::new(&self.context, verdicts.correct.bytes()),
            images: verdicts.images,
        };
        kept.loss.copy_from(&verdicts.loss);
        kept.correct.copy_from(&verdicts.correct);
        kept
    }

    fn wait(&self, pending: DeviceVerdicts) -> Result<Verdicts> {
        let mut loss = pending.loss.read::<f32>()?;
        loss.truncate(pending.images);
        let words = pending.correct.read::<u64>()?;
        let correct = (0..pending.images).map(|i| words[i / SLAB] >> (i % SLAB) & 1 == 1).collect();
        Ok(Verdicts { loss, correct })
    }

    fn replayable(&self, recording: &mut Option<Recording>, work: impl FnOnce()) {
        Recording::run(recording, &self.context, work);
    }

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
        let (count, source) = (Count::of(batch.images), source(images, &norm));
        // SAFETY: as above.
        unsafe { image::load::<T>(&self.context, count, source, None, output(&out)) };
    }

    fn fgsm(
        &self,
        batch: Batch,
        images: &DeviceImages,
        norm: Standard<Self>,
        gradient: Input<Self>,
        attack: Fgsm,
        out: Output<Self>,
    ) {
        let (count, source) = (Count::of(batch.images), source(images, &norm));
        let attack = Some((attack, input(&gradient)));
        // SAFETY: as above.
        unsafe { image::load::<T>(&self.context, count, source, attack, output(&out)) };
    }

    fn pixels(&self, rows: usize, batch: Batch) -> Buffer {
        Buffer::zeros(&self.context, Self::rows(rows, batch) * SLAB * size_of::<f32>())
    }

    fn pgd_start(
        &self,
        batch: Batch,
        images: &DeviceImages,
        norm: Standard<Self>,
        start: PgdStart,
        to: Adversarial<Self>,
    ) {
        let (count, source) = (Count::of(batch.images), source(images, &norm));
        // SAFETY: as above; there is an f32 per element of z in its pixels.
        unsafe { pgd::start::<T>(&self.context, count, source, start, adversarial(&to)) };
    }

    fn pgd_step(
        &self,
        batch: Batch,
        images: &DeviceImages,
        norm: Standard<Self>,
        gradient: Input<Self>,
        step: PgdStep,
        at: Adversarial<Self>,
    ) {
        let (count, source) = (Count::of(batch.images), source(images, &norm));
        // SAFETY: as above; there is an f32 per element of z in its pixels.
        unsafe {
            pgd::step::<T>(&self.context, count, source, input(&gradient), step, adversarial(&at));
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

    fn map(&self, batch: Batch, x: Input<Self>, out: Output<Self>, what: Then<Self>) {
        let count = Count::of(batch.images);
        // SAFETY: as above.
        unsafe { elementwise::map::<T>(&self.context, count, input(&x), output(&out), then(what)) };
    }

    fn zero(&self, buffer: &mut Buffer) {
        buffer.zero();
    }

    fn mask(&self, buffer: &mut Buffer, bits: &Buffer) {
        let rows = buffer.bytes() / (SLAB * T::BYTES);
        // SAFETY: as above; there is a word of bits per row.
        unsafe { elementwise::mask::<T>(&self.context, buffer.address(), bits.address(), rows) };
    }

    fn copy_bits(&self, batch: Batch, from: Option<(&Buffer, Place)>, (to, place): (&mut Buffer, Place)) {
        let from = from.map(|(bits, place)| (bits.address(), place));
        // SAFETY: as above.
        unsafe {
            elementwise::copy_bits(&self.context, Count::of(batch.images), from, (to.address(), place))
        };
    }

    fn norm_statistics(&self, batch: Batch, x: Input<Self>, statistics: &mut Statistics<Self>) {
        let count = Count::of(batch.images);
        // SAFETY: as above; statistics have a number per channel.
        unsafe {
            batch_norm::statistics::<T>(&self.context, count, input(&x), moments(statistics), &self.sums)
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

    fn avg_pool(&self, batch: Batch, x: Input<Self>, out: Output<Self>) {
        let count = Count::of(batch.images);
        // SAFETY: as above.
        unsafe { pool::average::<T>(&self.context, count, Way::Forward, input(&x), output(&out), None) };
    }

    fn avg_pool_backward(&self, batch: Batch, dy: Input<Self>, dx: Output<Self>, what: Then<Self>) {
        let (count, what) = (Count::of(batch.images), Some(then(what)));
        // SAFETY: as above.
        unsafe { pool::average::<T>(&self.context, count, Way::Backward, input(&dy), output(&dx), what) };
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
