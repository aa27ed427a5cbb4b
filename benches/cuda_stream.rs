//! The memory-bound kernels on a GPU, as a share of the peak bandwidth that the driver reports:
//!
//! ```text
//! cargo bench --features cuda --bench cuda_stream -- [NAME]   operations whose name has that part, or all
//! ```
//!
//! Times are those of the device, between events; bytes are those that must be read or written once. f16, 2048 images
//! (`SYNFILTER_IMAGES`), a map of 64 channels and 16×16 pixels. On the software device they mean nothing.

use half::f16;
use std::error::Error;
use synfilter::backend::cuda::device::Cuda;
use synfilter::backend::{Adam, Device, Infer, Train};
use synfilter::backend::{
    Adversarial, AttackStep, Batch, DropoutKey, ImageBatch, Input, NormGradients, Optimizer, Output,
    PixelData, Sign, Standard, Statistics, Then,
};
use synfilter::filter::Mask;
use synfilter::graph::conv::ConvShape;
use synfilter::graph::place::Place;
use synfilter::graph::{Activation, Mean, Pool, Rectifier, Shape};

/// Launches of which the mean is taken, after one that warms up.
const LAUNCHES: usize = 20;
const CHANNELS: usize = 64;
const SIDE: usize = 16;

/// What is printed of an operation.
struct Row<'a> {
    cuda: &'a Cuda<f16>,
    part: String,
    /// Bytes per second, where the driver tells.
    peak: Option<f64>,
}

impl Row<'_> {
    /// Times `work`, which must move `bytes`.
    fn of(&self, name: &str, bytes: usize, mut work: impl FnMut()) -> Result<(), Box<dyn Error>> {
        if !name.contains(&self.part) {
            return Ok(());
        }
        work();
        let seconds = self.cuda.context().timed(|| (0..LAUNCHES).for_each(|_| work()))? / LAUNCHES as f64;
        let rate = bytes as f64 / seconds;
        let share = self.peak.map_or("?".into(), |peak| format!("{:.0} %", 100.0 * rate / peak));
        println!(
            "| {name} | {:.1} | {:.1} | {:.0} | {share} |",
            bytes as f64 / 1e6,
            seconds * 1e6,
            rate / 1e9
        );
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let part = std::env::args().skip(1).find(|a| !a.starts_with("--")).unwrap_or_default();
    let images = std::env::var("SYNFILTER_IMAGES").ok().map_or(Ok(2048), |text| text.parse())?;
    let cuda = Cuda::<f16>::open(0)?;
    let facts = cuda.context().facts()?;
    println!("{}, {images} images\n", facts.name);
    println!("| operation | MB | µs | GB/s | of the peak |\n|---|---|---|---|---|");
    let row = Row { cuda: &cuda, part, peak: facts.bandwidth };

    let batch = Batch { images };
    let place = Place::dense(Shape { c: CHANNELS, h: SIDE, w: SIDE });
    let half = Place { h: SIDE / 2, w: SIDE / 2, ..place };
    let one = Place { h: 1, w: 1, ..place };
    let value = |place: Place| cuda.values(place.rows(), batch);
    let (x, add, mut y) = (value(place), value(place), value(place));
    let (mut pooled, mut mean) = (value(half), value(one));
    let per_channel = || cuda.upload(&[0.5; CHANNELS]);
    let (scale, shift) = (per_channel(), per_channel());
    let (mut bits, mut winners) = (cuda.bits(place.rows(), batch), cuda.bytes(half.rows(), batch));
    let bytes = |place: Place| 2 * place.rows() * images;
    let (all, signs) = (bytes(place), place.rows() * images / 8);
    let input = |data, place| Input { data, place };

    row.of("scale, shift, sum, ReLU with signs", 3 * all + signs, || {
        let then = Then {
            scale: Some(&scale),
            shift: Some(&shift),
            add: Some(input(&add, place)),
            sign: Sign::RectifySave(Rectifier::RELU, &mut bits),
            ..Then::default()
        };
        cuda.map(batch, input(&x, place), Output { data: &mut y, place }, then);
    })?;
    row.of("copy under signs", 2 * all + signs, || {
        let then = Then { sign: Sign::Mask(&bits, 0.0), ..Then::default() };
        cuda.map(batch, input(&x, place), Output { data: &mut y, place }, then);
    })?;
    let pool = Pool { kernel: 3, stride: 2, pad: 1, ceil: false };
    let winning = half.rows() * images;
    row.of("max pool 3/2 with winners", all + bytes(half) + winning, || {
        let out = Output { data: &mut pooled, place: half };
        cuda.max_pool(batch, pool, input(&x, place), out, Some(&mut winners));
    })?;
    row.of("max pool 3/2, backward", all + bytes(half) + winning, || {
        let out = Output { data: &mut y, place };
        cuda.max_pool_backward(batch, pool, input(&pooled, half), &winners, out, Then::default());
    })?;
    row.of("average pool", all + bytes(one), || {
        cuda.avg_pool(batch, Mean::Adaptive, input(&x, place), Output { data: &mut mean, place: one });
    })?;
    row.of("average pool, backward", all + bytes(one), || {
        cuda.avg_pool_backward(
            batch,
            Mean::Adaptive,
            input(&mean, one),
            Output { data: &mut y, place },
            Then::default(),
        );
    })?;
    let mut averages = value(half);
    let window = Pool { kernel: 2, stride: 2, pad: 0, ceil: false };
    row.of("mean over windows 2/2", all + bytes(half), || {
        let windows = Mean::Windows { pool: window, count_pad: true };
        cuda.avg_pool(batch, windows, input(&x, place), Output { data: &mut averages, place: half });
    })?;
    row.of("SiLU", 2 * all, || {
        cuda.activate(batch, Activation::Silu, input(&x, place), Output { data: &mut y, place });
    })?;
    row.of("SiLU, backward", 3 * all, || {
        let (x, dy, out) = (input(&x, place), input(&add, place), Output { data: &mut y, place });
        cuda.activate_backward(batch, Activation::Silu, x, dy, out, Then::default());
    })?;
    let factor = value(one);
    row.of("product with a factor per channel", 2 * all + bytes(one), || {
        let out = Output { data: &mut y, place };
        cuda.product(batch, input(&x, place), input(&factor, one), out, Then::default());
    })?;
    let mut d_factor = value(one);
    row.of("gradient of such a factor", 2 * all + bytes(one), || {
        let out = Output { data: &mut d_factor, place: one };
        cuda.product_sum(batch, input(&x, place), input(&add, place), out, Then::default());
    })?;
    let mut known = Statistics { mean: per_channel(), var: per_channel() };
    row.of("batch norm, statistics", all, || cuda.norm_statistics(batch, input(&x, place), &mut known))?;
    let (mut d_gamma, mut d_beta) = (per_channel(), per_channel());
    row.of("batch norm, gradients of γ and β", 2 * all, || {
        let (x, dy) = (input(&x, place), input(&add, place));
        cuda.norm_gradients(batch, x, dy, &known, &mut d_gamma, &mut d_beta);
    })?;
    row.of("batch norm, backward", 3 * all, || {
        let gradients = NormGradients { weight: &d_gamma, bias: &d_beta };
        let (x, dy, out) = (input(&x, place), input(&add, place), Output { data: &mut y, place });
        cuda.norm_backward(batch, x, dy, &known, gradients, &scale, out, Then::default());
    })?;
    let labels = vec![1; images];
    let pixels: Vec<u8> = (0..images * place.rows()).map(|i| (i % 251) as u8).collect();
    let on_device = cuda.images(ImageBatch { pixels: PixelData::Bytes(&pixels), labels: &labels });
    row.of("FGSM step from bytes", pixels.len() + 2 * all, || {
        let (norm, attack) =
            (Standard { mean: &shift, std: &scale }, AttackStep { eps: 0.1, alpha: 0.1, clamp: true });
        let at = Adversarial { pixels: None, z: Output { data: &mut y, place } };
        cuda.attack_step(batch, &on_device, norm, input(&x, place), attack, at);
    })?;
    let (mut found, mut gradient) = (cuda.verdicts(batch), value(one));
    row.of("cross-entropy with gradient", 2 * bytes(one) + 4 * images, || {
        let gradient = Output { data: &mut gradient, place: one };
        cuda.cross_entropy(batch, input(&mean, one), &on_device, Some((gradient, 1.0)), &mut found);
    })?;
    let (norm, step) =
        (|| Standard { mean: &shift, std: &scale }, AttackStep { eps: 0.1, alpha: 0.02, clamp: true });
    let mut moving = cuda.pixels(place.rows(), batch);
    row.of("step of PGD from bytes", pixels.len() + 2 * all + 8 * place.rows() * images, || {
        let at = Adversarial { pixels: Some(&mut moving), z: Output { data: &mut y, place } };
        cuda.attack_step(batch, &on_device, norm(), input(&x, place), step, at);
    })?;
    row.of("dropout", 2 * all, || {
        let (key, out) = (DropoutKey { seed: 1, step: 2, stream: 3 }, Output { data: &mut y, place });
        cuda.dropout(batch, 0.5, key, input(&x, place), out, Then::default());
    })?;
    let shape = ConvShape { c: 512, k: 512, h: 4, w: 4, r: 3, s: 3, stride: 1, pad: 1, groups: 1 };
    let mut filter = cuda.filter(shape, true);
    let moved = 2 * 4 * shape.weights() + cuda.filter_bytes(&filter, 0..shape.k);
    row.of("512×512×3×3 weights under a mask, both directions", moved, || {
        cuda.mask_filter(&mut filter, Mask { lo: 0.0, hi: 1.0, keep_inside: true }, 0..shape.k);
    })?;
    let numbers = || cuda.floats(shape.weights());
    let (mut weights, gradient, mut moments) = (numbers(), numbers(), [numbers(), numbers()]);
    row.of("Adam on 512×512×3×3 weights", 28 * shape.weights(), || {
        cuda.optimize(Optimizer::Adam(Adam::new(1e-3)), 1, &mut weights, &gradient, &mut moments);
    })?;
    Ok(())
}
