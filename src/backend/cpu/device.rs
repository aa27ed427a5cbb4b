//! The CPU as a [`Backend`]: splits every operation into slabs and map rows, and hands those to the kernels.

use super::batch_norm::{self, InputGradient};
use super::conv2d::{Act, ConvShape, Convolve, Direction, Epilogue, Scratch, Source, Target, Weights};
use super::layout::{Aligned, Layout};
use super::select::{self, ConvMode};
use super::simd::Level;
use super::weight_grad::{GradSlab, WeightGrad};
use super::{dropout, elementwise, image, loss, pgd, pool};
use crate::backend::{
    Adversarial, Backend, Batch, DropoutKey, Fgsm, ImageBatch, Input, Noise, NormGradients, NormTensors,
    Optimizer, Output, PgdStart, PgdStep, PixelData, SLAB, Sign, Slab, Standard, Statistics, Then, Verdicts,
};
use crate::error::Result;
use crate::filter::Mask;
use crate::graph::place::Place;
use crate::graph::{NORM_EPS, Pool};
use rayon::prelude::*;
use std::cell::{Cell, RefCell};
use std::ops::Range;

/// The CPU.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    /// The instruction set.
    pub level: Level,
    /// How convolutions are computed.
    pub conv: ConvMode,
    /// Whether one operation spreads over the threads of the current rayon pool (training), or runs on the calling
    /// thread because many runs go on at once (sweeps).
    pub spread: bool,
}

/// A convolution's weights, packed for both directions.
pub struct CpuFilter {
    forward: Box<dyn Convolve>,
    backward: Option<Box<dyn Convolve>>,
}

/// Some map rows of one slab of a value that is written.
struct Part<'a> {
    slab: Slab,
    layout: Layout,
    rows: Range<usize>,
    data: &'a mut [f32],
    /// Sign bits to be saved.
    save: Option<&'a mut [u16]>,
    /// Winners to be remembered, or nothing.
    winners: Option<&'a mut [u8]>,
}

/// What the parts of a value that is written are cut from.
struct Whole<'a> {
    place: Place,
    data: &'a mut [f32],
    save: Option<&'a mut Vec<u16>>,
    winners: Option<&'a mut Vec<u8>>,
}

/// Parameters that one thread moves at a time.
const OPTIMIZER_PART: usize = 1 << 15;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
    /// Transposed inputs of weight gradients, taken out while they are in use.
    static PANELS: Cell<Vec<Aligned>> = Cell::default();
}

impl Cpu {
    /// The best this machine has.
    pub fn new(conv: ConvMode, spread: bool) -> Self {
        Cpu { level: Level::best(), conv, spread }
    }

    /// The same, spread or not.
    pub(crate) fn at(self, spread: bool) -> Self {
        Cpu { spread, ..self }
    }

    /// Calls `work` for every part of `out`, each a range of map rows that starts at a multiple of `granularity`.
    fn parts(&self, batch: Batch, granularity: usize, whole: Whole, work: impl Fn(Part) + Sync + Send) {
        let Whole { place, data, save, winners } = whole;
        let slabs = batch.slabs().len();
        let groups = place.h.div_ceil(granularity);
        let per_slab =
            if self.spread { (4 * rayon::current_num_threads()).div_ceil(slabs).min(groups) } else { 1 };
        let height = groups.div_ceil(per_slab) * granularity;
        let mut parts = Vec::with_capacity(slabs * per_slab);
        let mut data = Remaining(data);
        let mut save = save.map(|s| Remaining(&mut s[..]));
        let mut winners = winners.map(|w| Remaining(&mut w[..]));
        for slab in batch.slabs() {
            let layout = layout(place, slab);
            let mut row = 0;
            while row < place.h {
                let rows = row..(row + height).min(place.h);
                let len = layout.rows(rows.clone()).len();
                let dense = rows.len() * place.w * place.c * slab.lanes;
                parts.push(Part {
                    slab,
                    layout,
                    data: data.take(len),
                    save: save.as_mut().map(|s| s.take(len / 16)),
                    winners: winners.as_mut().map(|w| w.take(dense)),
                    rows,
                });
                row += height;
            }
        }
        if self.spread && parts.len() > 1 {
            parts.into_par_iter().for_each(work);
        } else {
            parts.into_iter().for_each(work);
        }
    }

    /// As [`Cpu::parts`], with an output that is a value and what happens to it.
    fn write(
        &self,
        batch: Batch,
        granularity: usize,
        out: Output<Self>,
        then: Then<Self>,
        work: impl Fn(Slab, Target, Epilogue) + Sync + Send,
    ) {
        let Then { scale, shift, add, accumulate, sign } = then;
        let (save, relu, mask) = match sign {
            Sign::None => (None, false, None),
            Sign::Relu => (None, true, None),
            Sign::ReluSave(bits) => (Some(bits), true, None),
            Sign::Mask(bits) => (None, false, Some(bits)),
        };
        let pixel = out.place.pixel;
        let whole = Whole { place: out.place, data: out.data, save, winners: None };
        self.parts(batch, granularity, whole, |part| {
            let act = match (part.save, mask) {
                (Some(bits), _) => Act::ReluSave(bits),
                (None, Some(bits)) => {
                    let first =
                        (out.place.rows() * part.slab.start + part.layout.rows(part.rows.clone()).start) / 16;
                    Act::Mask(&bits[first..first + part.data.len() / 16])
                }
                (None, None) if relu => Act::Relu,
                _ => Act::None,
            };
            debug_assert_eq!(part.layout.pixel, pixel);
            let epilogue = Epilogue {
                scale: scale.map(|s| &s[..]),
                shift: shift.map(|s| &s[..]),
                add: add.as_ref().map(|a| source(a, part.slab)),
                accumulate,
                act,
            };
            let target = Target { data: part.data, layout: part.layout, rows: part.rows };
            work(part.slab, target, epilogue);
        });
    }

    /// Calls `work` for ranges of `0..n`, and puts what it returns one after the other.
    fn ranges<T: Send>(&self, n: usize, work: impl Fn(Range<usize>) -> T + Sync) -> Vec<T> {
        if !self.spread {
            return vec![work(0..n)];
        }
        let size = n.div_ceil(4 * rayon::current_num_threads()).max(1);
        let starts: Vec<usize> = (0..n).step_by(size).collect();
        starts.into_par_iter().map(|start| work(start..(start + size).min(n))).collect()
    }
}

impl Backend for Cpu {
    type Values = Aligned;
    type Floats = Aligned;
    type Bits = Vec<u16>;
    type Bytes = Vec<u8>;
    type Filter = CpuFilter;
    type Images<'a> = ImageBatch<'a>;
    type DeviceVerdicts = Verdicts;
    type Pending = Verdicts;
    type Recording = ();

    const VALUE_BYTES: usize = size_of::<f32>();
    const CONCURRENT: bool = true;
    const IN_FLIGHT: usize = 1;
    const GRADIENT_SCALE: f32 = 1.0;

    fn images_per_run(&self) -> usize {
        SLAB
    }

    fn memory(&self) -> Option<usize> {
        None
    }

    fn queue(&self) -> Option<Self> {
        None
    }

    fn after(&self, _: &Self) {}

    fn queues_to_fill(&self, (): &()) -> usize {
        1
    }

    fn values(&self, rows: usize, batch: Batch) -> Aligned {
        Aligned::zeros(rows * batch.lanes())
    }

    fn bits(&self, rows: usize, batch: Batch) -> Vec<u16> {
        vec![0; rows * batch.lanes() / 16]
    }

    fn bytes(&self, rows: usize, batch: Batch) -> Vec<u8> {
        vec![0; rows * batch.lanes()]
    }

    fn floats(&self, len: usize) -> Aligned {
        Aligned::zeros(len)
    }

    fn upload(&self, data: &[f32]) -> Aligned {
        let mut buffer = Aligned::zeros(data.len());
        buffer.copy_from_slice(data);
        buffer
    }

    fn write(&self, buffer: &mut Aligned, data: &[f32]) {
        buffer.copy_from_slice(data);
    }

    fn copy(&self, from: &Aligned, to: &mut Aligned) {
        to.copy_from_slice(from);
    }

    fn download(&self, buffer: &Aligned) -> Result<Vec<f32>> {
        Ok(buffer.to_vec())
    }

    fn download_nchw(&self, batch: Batch, x: Input<Self>) -> Result<Vec<f32>> {
        Ok(batch.slabs().flat_map(|slab| image::to_nchw(source(&x, slab), slab.images)).collect())
    }

    fn images<'a>(&self, images: ImageBatch<'a>) -> ImageBatch<'a> {
        images
    }

    fn verdicts(&self, batch: Batch) -> Verdicts {
        Verdicts { loss: vec![0.0; batch.images], correct: vec![false; batch.images] }
    }

    fn fetch(&self, verdicts: &mut Verdicts) -> Verdicts {
        verdicts.clone()
    }

    fn wait(&self, pending: Verdicts) -> Result<Verdicts> {
        Ok(pending)
    }

    fn replayable(&self, _: &mut Option<()>, work: impl FnOnce()) {
        work();
    }

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

    fn fgsm(
        &self,
        batch: Batch,
        images: &ImageBatch,
        norm: Standard<Self>,
        gradient: Input<Self>,
        attack: Fgsm,
        out: Output<Self>,
    ) {
        let norm = image::Normalisation { mean: norm.mean, std: norm.std };
        let step = image::Fgsm { epsilon: attack.eps, clamp: attack.clamp };
        each_slab(batch, out.place, out.data, |slab, layout, data| {
            let images = slab_pixels(images, out.place, slab);
            image::fgsm(self.level, images, norm, step, source(&gradient, slab), data, layout);
        });
    }

    fn pixels(&self, rows: usize, batch: Batch) -> Aligned {
        Aligned::zeros(rows * batch.lanes())
    }

    fn pgd_start(
        &self,
        batch: Batch,
        images: &ImageBatch,
        norm: Standard<Self>,
        start: PgdStart,
        to: Adversarial<Self>,
    ) {
        let norm = image::Normalisation { mean: norm.mean, std: norm.std };
        let place = to.z.place;
        each_slab_in_pixels(batch, to, |slab, layout, pixels, z| {
            let first_image = |noise: Noise| noise.first_image + slab.start as u64;
            let noise = start.noise.map(|noise| Noise { first_image: first_image(noise), ..noise });
            let images = slab_pixels(images, place, slab);
            pgd::start(self.level, images, norm, PgdStart { noise, ..start }, pixels, z, layout);
        });
    }

    fn pgd_step(
        &self,
        batch: Batch,
        images: &ImageBatch,
        norm: Standard<Self>,
        gradient: Input<Self>,
        step: PgdStep,
        at: Adversarial<Self>,
    ) {
        let norm = image::Normalisation { mean: norm.mean, std: norm.std };
        let place = at.z.place;
        each_slab_in_pixels(batch, at, |slab, layout, pixels, z| {
            let images = slab_pixels(images, place, slab);
            let step = pgd::Step { step, gradient: source(&gradient, slab) };
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

    fn map(&self, batch: Batch, x: Input<Self>, out: Output<Self>, then: Then<Self>) {
        self.write(batch, 1, out, then, |slab, target, epilogue| {
            elementwise::map(self.level, source(&x, slab), target, epilogue);
        });
    }

    fn zero(&self, buffer: &mut Aligned) {
        buffer.fill(0.0);
    }

    fn mask(&self, buffer: &mut Aligned, bits: &Vec<u16>) {
        for (lanes, bits) in buffer.chunks_exact_mut(16).zip(bits) {
            for (lane, value) in lanes.iter_mut().enumerate() {
                if bits >> lane & 1 == 0 {
                    *value = 0.0;
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

    fn norm_coefficients(
        &self,
        norm: NormTensors<Self>,
        term: Option<&Aligned>,
        scale: &mut Aligned,
        shift: &mut Aligned,
    ) {
        for c in 0..norm.weight.len() {
            scale[c] = norm.weight[c] / (norm.var[c] + NORM_EPS).sqrt();
            shift[c] = norm.bias[c] - norm.mean[c] * scale[c];
            if let Some(term) = term {
                shift[c] += scale[c] * term[c];
            }
        }
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
        let inverse = inverse_deviation(statistics);
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
        let inverse = inverse_deviation(statistics);
        let count = batch.images * x.place.h * x.place.w;
        let terms = [&weight[..], &statistics.mean, &inverse, gradients.weight, gradients.bias];
        let gradient = InputGradient::new(terms, count);
        self.write(batch, 1, dx, then, |slab, target, epilogue| {
            gradient.apply(self.level, source(&dy, slab), source(&x, slab), slab.images, target, epilogue);
        });
    }

    fn max_pool(
        &self,
        batch: Batch,
        pool: Pool,
        x: Input<Self>,
        out: Output<Self>,
        winners: Option<&mut Vec<u8>>,
    ) {
        let shape = pool_shape(pool, x.place);
        let whole = Whole { place: out.place, data: out.data, save: None, winners };
        self.parts(batch, 1, whole, |part| {
            let target = Target { data: part.data, layout: part.layout, rows: part.rows };
            pool::max_forward(self.level, shape, source(&x, part.slab), target, part.winners);
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
        let shape = pool_shape(pool, dx.place);
        let elements = dy.place.h * dy.place.w * dy.place.c;
        self.write(batch, 1, dx, then, |slab, target, epilogue| {
            let winners = &winners[elements * slab.start..elements * (slab.start + slab.lanes)];
            pool::max_backward(self.level, shape, source(&dy, slab), winners, target, epilogue);
        });
    }

    fn avg_pool(&self, batch: Batch, x: Input<Self>, out: Output<Self>) {
        self.write(batch, 1, out, Then::default(), |slab, target, epilogue| {
            pool::average_forward(self.level, source(&x, slab), target, epilogue);
        });
    }

    fn avg_pool_backward(&self, batch: Batch, dy: Input<Self>, dx: Output<Self>, then: Then<Self>) {
        self.write(batch, 1, dx, then, |slab, target, epilogue| {
            pool::average_backward(self.level, source(&dy, slab), target, epilogue);
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

/// What is left of a buffer that is handed out from the front.
struct Remaining<'a, T>(&'a mut [T]);

impl<'a, T> Remaining<'a, T> {
    fn take(&mut self, len: usize) -> &'a mut [T] {
        self.0.split_off_mut(..len).expect("a buffer holds all slabs of its batch")
    }
}

/// A place in one slab.
fn layout(place: Place, slab: Slab) -> Layout {
    let Place { h, w, c, pixel, offset, step } = place;
    Layout { h, w, c, pixel, offset, step, lanes: slab.lanes }
}

/// One slab of a value.
fn source<'a>(x: &Input<'a, Cpu>, slab: Slab) -> Source<'a> {
    let rows = x.place.rows();
    let data = &x.data[rows * slab.start..rows * (slab.start + slab.lanes)];
    Source { data, layout: layout(x.place, slab) }
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
    mut work: impl FnMut(Slab, Layout, &mut [f32], &mut [f32]),
) {
    let Place { h, w, c, .. } = to.z.place;
    let mut pixels = Remaining(&mut to.pixels[..]);
    each_slab(batch, to.z.place, to.z.data, |slab, layout, z| {
        work(slab, layout, pixels.take(h * w * c * slab.lanes), z);
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

fn pool_shape(pool: Pool, input: Place) -> pool::PoolShape {
    let Pool { kernel, stride, pad, ceil } = pool;
    pool::PoolShape { h: input.h, w: input.w, kernel, stride, pad, ceil }
}

fn inverse_deviation(statistics: &Statistics<Cpu>) -> Vec<f32> {
    let mut inverse = vec![0.0; statistics.var.len()];
    batch_norm::inverse_deviation(&statistics.var, NORM_EPS, &mut inverse);
    inverse
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
