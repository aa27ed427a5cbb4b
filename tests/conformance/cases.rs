//! The cases: random shapes, strides, paddings, groups, batch sizes and places, each against the naive oracle.

#[path = "functions.rs"]
mod functions;

use common::compare::{Tolerance, assert_close};
use common::oracle::{self, BatchNorm, Conv, Map, MaxPool};
use synfilter::backend::{
    Adversarial, AttackStart, AttackStep, Backend, Batch, ImageBatch, Input, Noise, NormGradients, Output,
    PixelData, Sign, Standard, Statistics, Then,
};
use synfilter::filter::{FilterKind, Mask};
use synfilter::graph::conv::{ConvShape, Direction};
use synfilter::graph::place::Place;
use synfilter::graph::{Mean, NORM_EPS, Pool, Rectifier, Shape};
use synfilter::random::Random;

/// One kind of operation, checked on random cases.
type Case<B> = fn(&mut Bench<B>);

/// How a device stores values.
#[derive(Clone, Copy)]
pub struct Format {
    /// To the nearest number of the format.
    pub round: fn(f32) -> f32,
    /// The largest relative error of that.
    pub unit: f64,
}

/// f32.
pub const F32: Format = Format { round: |v| v, unit: 0.0 };

/// Runs `cases` random cases of each operation on a device.
pub fn conforms<B: Backend>(device: &B, format: Format, cases: u64) {
    let operations: [(&str, Case<B>); 13] = [
        ("convolution", convolution),
        ("elementwise", elementwise),
        ("batch norm", batch_norm),
        ("max pool", max_pool),
        ("average pool", average_pool),
        ("cross-entropy", cross_entropy),
        ("images", images),
        ("sign bits", sign_bits),
        ("projected gradient descent", descent),
        ("activation", functions::activation),
        ("rectifier", functions::rectifier),
        ("product", functions::product),
        ("means over windows", functions::means),
    ];
    for (stream, (name, case)) in operations.into_iter().enumerate() {
        for seed in 0..cases {
            let mut random = Random::new(seed, stream as u64);
            let batch = Batch { images: 1 + random.below(150) as usize };
            let what = format!("{name}, case {seed}, {} images", batch.images);
            case(&mut Bench { device, format, random, batch, what });
        }
    }
}

/// Where one case is tried: a device, a batch, random numbers.
struct Bench<'b, B: Backend> {
    device: &'b B,
    format: Format,
    random: Random,
    batch: Batch,
    what: String,
}

/// A value on the device and what it is in f64.
struct Value<B: Backend> {
    data: B::Values,
    place: Place,
    map: Map,
}

impl<B: Backend> Value<B> {
    fn input(&self) -> Input<'_, B> {
        Input { data: &self.data, place: self.place }
    }
}

impl<B: Backend> Bench<'_, B> {
    fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.random.below((most - least + 1) as u32) as usize
    }

    fn chance(&mut self) -> bool {
        self.random.below(2) == 1
    }

    /// Normal numbers, as the format stores them.
    fn normals(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| (self.format.round)(self.random.normal())).collect()
    }

    fn shape(&mut self) -> Shape {
        Shape { c: self.between(1, 24), h: self.between(1, 9), w: self.between(1, 9) }
    }

    /// A value that fills its buffer, or is some of its channels.
    fn place(&mut self, Shape { c, h, w }: Shape) -> Place {
        let step = self.between(1, 2);
        match self.chance() {
            true => Place::dense(Shape { c, h, w }),
            false => Place { h, w, c, pixel: c * step + 3, offset: self.between(0, 3), step },
        }
    }

    /// Normal numbers.
    fn value(&mut self, shape: Shape) -> Value<B> {
        let numbers = self.normals(self.batch.images * shape.c * shape.h * shape.w);
        let place = self.place(shape);
        let mut data = self.filled(place, 1e4);
        self.load(&numbers, &mut data, place);
        Value { data, place, map: Map::new([self.batch.images, shape.c, shape.h, shape.w], &numbers) }
    }

    /// A gradient, whose lanes beyond the batch hold zeros.
    fn gradient(&mut self, shape: Shape) -> Value<B> {
        let mut value = self.value(shape);
        let mut data = self.filled(value.place, 0.0);
        let numbers: Vec<f32> = value.map.data.iter().map(|&v| v as f32).collect();
        self.load(&numbers, &mut data, value.place);
        value.data = data;
        value
    }

    /// Writes `[images, C, H, W]` as it is.
    fn load(&self, numbers: &[f32], data: &mut B::Values, place: Place) {
        load(self.device, self.batch, numbers, data, place);
    }

    /// A buffer of one number, in lanes without an image too.
    fn filled(&self, place: Place, number: f32) -> B::Values {
        let mut data = self.device.values(place.rows(), self.batch);
        let (all, place) = (self.lanes(), whole(place));
        load(self.device, all, &vec![number; all.images * place.rows()], &mut data, place);
        data
    }

    /// The batch with an image in every lane.
    fn lanes(&self) -> Batch {
        Batch { images: self.batch.lanes() }
    }

    fn nchw(&self, data: &B::Values, place: Place) -> Vec<f32> {
        self.device.download_nchw(self.batch, Input { data, place }).expect("a device that works")
    }

    fn floats(&self, data: &B::Floats) -> Vec<f32> {
        self.device.download(data).expect("a device that works")
    }

    /// All of a buffer.
    fn all(&self, data: &B::Values, place: Place) -> Vec<f32> {
        let x = Input { data, place: whole(place) };
        self.device.download_nchw(self.lanes(), x).expect("a device that works")
    }

    /// What `work` writes into a buffer that holds other values already, which it leaves alone.
    fn written(&mut self, shape: Shape, work: impl FnOnce(&B, Output<B>)) -> Vec<f32> {
        let place = self.place(shape);
        self.written_to(place, work)
    }

    fn written_to(&mut self, place: Place, work: impl FnOnce(&B, Output<B>)) -> Vec<f32> {
        const OTHER: f32 = 12.5;
        let mut data = self.filled(place, OTHER);
        work(self.device, Output { data: &mut data, place });
        let all = self.all(&data, place);
        let others = place.pixel - place.c;
        let left = all.iter().filter(|&&v| v == OTHER).count();
        assert!(
            left >= others * place.h * place.w * self.batch.lanes(),
            "{}: a row of another value was changed",
            self.what
        );
        self.nchw(&data, place)
    }

    /// Compares with a tolerance for sums of `terms` products in f32, relative to the largest element.
    fn close(&self, what: &str, actual: &[f32], expected: &[f64], terms: usize) {
        let scale = expected.iter().fold(1.0, |m: f64, v| m.max(v.abs()));
        let tolerance = Tolerance::f32_roundings(8.0 + 2.0 * (terms as f64).sqrt(), scale);
        // Operands and results are rounded to the format a few times, sums of products once per operand.
        let tolerance = tolerance.plus(8.0 * self.format.unit * scale);
        assert_close(format!("{}: {what}", self.what), actual, expected, tolerance);
    }
}

/// All rows of the buffer of a value.
fn whole(place: Place) -> Place {
    Place::dense(Shape { c: place.pixel, h: place.h, w: place.w })
}

/// Writes `[images, C, H, W]` as it is.
fn load<B: Backend>(device: &B, batch: Batch, numbers: &[f32], data: &mut B::Values, place: Place) {
    let labels = vec![0; batch.images];
    let images = device.images(ImageBatch { pixels: PixelData::Floats(numbers), labels: &labels });
    let (mean, std) = (device.floats(place.c), device.upload(&vec![1.0; place.c]));
    let norm = Standard { mean: &mean, std: &std };
    device.load_images(batch, &images, norm, Output { data, place });
}

fn shape_of(map: &Map) -> Shape {
    Shape { c: map.shape[1], h: map.shape[2], w: map.shape[3] }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

/// `map · scale + shift + add`, per channel.
fn affine(map: &Map, scale: &[f32], shift: &[f32], add: &Map) -> Map {
    let channel = |i: usize| i / (map.shape[2] * map.shape[3]) % map.shape[1];
    let term =
        |(i, v): (usize, &f64)| v * f64::from(scale[channel(i)]) + f64::from(shift[channel(i)]) + add.data[i];
    Map { shape: map.shape, data: map.data.iter().enumerate().map(term).collect() }
}

/// Forward with scale, shift, sum and ReLU, masked weights; backward to the input; gradients of weight and bias.
fn convolution<B: Backend>(bench: &mut Bench<B>) {
    let groups = [1, 1, 1, 2, 3, 8][bench.between(0, 5)];
    let depthwise = bench.between(0, 4) == 0;
    let (inputs, outputs) = if depthwise { (1, 1) } else { (bench.between(1, 20), bench.between(1, 20)) };
    let groups = if depthwise { bench.between(1, 20) } else { groups };
    let kernel = [1, 1, 3, 3, 3, 3, 5, 7][bench.between(0, 7)];
    let (stride, pad) = (bench.between(1, 2), bench.between(0, kernel / 2));
    let (h, w) = (bench.between(1, 9).max(kernel - 2 * pad), bench.between(1, 9).max(kernel - 2 * pad));
    let shape = ConvShape {
        c: inputs * groups,
        k: outputs * groups,
        h,
        w,
        r: kernel,
        s: kernel,
        stride,
        pad,
        groups,
    };
    bench.what = format!("{} {shape:?}", bench.what);
    let device = bench.device;
    let batch = bench.batch;
    let conv = Conv { stride, pad, groups };
    let (oh, ow) = shape.output();
    let (below, above) = (Shape { c: shape.c, h, w }, Shape { c: shape.k, h: oh, w: ow });
    let terms = inputs * kernel * kernel;

    let oihw = bench.normals(shape.weights());
    let scale = bench.normals(shape.k);
    let mut filter = device.filter(shape, true);
    device.load_filter(&mut filter, &device.upload(&oihw), Some(&device.upload(&scale)));
    let mask = Mask::new(FilterKind::HighPass, 0.5, 0.0);
    let masked = bench.chance();
    // Every channel, or some of them after a mask of others, which is taken back.
    let mut channels = 0..shape.k;
    if bench.chance() {
        device.mask_filter(
            &mut filter,
            Mask::new(FilterKind::LowPass, 0.2, 0.0),
            0..bench.between(1, shape.k),
        );
        let first = bench.between(0, shape.k - 1);
        channels = first..bench.between(first + 1, shape.k);
        device.mask_filter(&mut filter, Mask::ALL, channels.clone());
    }
    if masked {
        device.mask_filter(&mut filter, mask, channels.clone());
    }
    let weight = |factor: &dyn Fn(usize) -> f32| {
        let kept = oihw.iter().enumerate().map(|(i, &w)| {
            let k = i / (oihw.len() / shape.k);
            let keep = !masked || !channels.contains(&k) || mask.keeps(w);
            if keep { w * factor(k) } else { 0.0 }
        });
        Map::new([shape.k, inputs, kernel, kernel], &kept.collect::<Vec<f32>>())
    };

    let (x, residual) = (bench.value(below), bench.value(above));
    let shift = bench.normals(shape.k);
    let (factors, shifts) = (device.upload(&scale), device.upload(&shift));
    let y = bench.written(above, |device, out| {
        let then = Then {
            scale: Some(&factors),
            shift: Some(&shifts),
            add: Some(residual.input()),
            accumulate: false,
            sign: Sign::Rectify(Rectifier::RELU),
        };
        device.conv(batch, &filter, Direction::Forward, x.input(), out, then);
    });
    let product = conv.forward(&x.map, &weight(&|_| 1.0), None);
    // Transformed algorithms add roundings of their own: those of a few dozen terms.
    let expected = oracle::relu(&affine(&product, &scale, &shift, &residual.map));
    bench.close("forward", &y, &expected.data, terms + 900);

    let dy = bench.gradient(above);
    let dx = bench.written(below, |device, out| {
        device.conv(batch, &filter, Direction::BackwardInput, dy.input(), out, Then::default());
    });
    let expected = conv.backward_input(&dy.map, &weight(&|k| scale[k]), x.map.shape);
    bench.close("backward to the input", &dx, &expected.data, outputs * kernel * kernel + 900);

    let mut dw = device.upload(&vec![7.0; shape.weights()]);
    let mut db = device.upload(&vec![7.0; shape.k]);
    device.conv_weight_gradient(batch, shape, x.input(), dy.input(), &mut dw, Some(&mut db));
    let terms = batch.images * oh * ow;
    let expected = conv.backward_weight(&dy.map, &x.map, weight(&|_| 1.0).shape);
    bench.close("weight gradient", &bench.floats(&dw), &expected.data, terms);
    bench.close("bias gradient", &bench.floats(&db), &oracle::bias_backward(&dy.map), terms);
}

/// Everything that may happen to a result, in its order; zeroing.
fn elementwise<B: Backend>(bench: &mut Bench<B>) {
    let shape = bench.shape();
    let (x, add) = (bench.value(shape), bench.value(shape));
    let (scale, shift) = (bench.normals(shape.c), bench.normals(shape.c));
    let (device, batch, relu) = (bench.device, bench.batch, bench.chance());
    let (factors, terms) = (device.upload(&scale), device.upload(&shift));
    let y = bench.written(shape, |device, Output { data, place }| {
        device.map(batch, x.input(), Output { data, place }, Then::default());
        let sign = if relu { Sign::Rectify(Rectifier::RELU) } else { Sign::None };
        let then = Then {
            scale: Some(&factors),
            shift: Some(&terms),
            add: Some(add.input()),
            accumulate: true,
            sign,
        };
        device.map(batch, x.input(), Output { data, place }, then);
    });
    let sum = oracle::add(&affine(&x.map, &scale, &shift, &add.map), &x.map);
    let expected = if relu { oracle::relu(&sum) } else { sum };
    bench.close("sum", &y, &expected.data, 4);

    let mut data = x.data;
    device.zero(&mut data);
    assert!(bench.all(&data, x.place).iter().all(|v| v.to_bits() == 0), "{}: zeroed", bench.what);
}

/// Statistics, and the backward pass through them.
fn batch_norm<B: Backend>(bench: &mut Bench<B>) {
    let shape = bench.shape();
    let (x, dy) = (bench.value(shape), bench.gradient(shape));
    let weight = bench.normals(shape.c);
    let (device, batch) = (bench.device, bench.batch);
    let count = batch.images * shape.h * shape.w;
    let mut statistics = Statistics { mean: device.floats(shape.c), var: device.floats(shape.c) };
    device.norm_statistics(batch, x.input(), &mut statistics);
    let mut norm = BatchNorm {
        weight: wide(&weight),
        bias: vec![0.0; shape.c],
        running_mean: vec![0.0; shape.c],
        running_var: vec![0.0; shape.c],
        momentum: 1.0,
        eps: f64::from(NORM_EPS),
    };
    if count > 1 {
        norm.forward(&x.map, true); // leaves mean and unbiased variance in the running ones
        let biased = (count - 1) as f64 / count as f64;
        let var: Vec<f64> = norm.running_var.iter().map(|v| v * biased).collect();
        bench.close("mean", &bench.floats(&statistics.mean), &norm.running_mean, count);
        bench.close("variance", &bench.floats(&statistics.var), &var, count);
    }
    let (mut d_weight, mut d_bias) = (device.floats(shape.c), device.floats(shape.c));
    device.norm_gradients(batch, x.input(), dy.input(), &statistics, &mut d_weight, &mut d_bias);
    let expected = norm.backward(&dy.map, &x.map, true);
    let factor = device.upload(&weight);
    let dx = bench.written(shape, |device, out| {
        let (x, dy) = (x.input(), dy.input());
        let gradients = NormGradients { weight: &d_weight, bias: &d_bias };
        device.norm_backward(batch, x, dy, &statistics, gradients, &factor, out, Then::default());
    });
    // Up to here x̂ is a difference of close numbers where few elements have little variance.
    let least = bench.floats(&statistics.var).iter().fold(1.0, |m: f32, &v| m.min(v + NORM_EPS));
    let terms = count + (100.0 / least) as usize;
    bench.close("gradient of γ", &bench.floats(&d_weight), &expected.dweight, terms);
    bench.close("gradient of β", &bench.floats(&d_bias), &expected.dbias, count);
    bench.close("backward", &dx, &expected.dx.data, terms);
}

/// Forward and backward; ReLU outputs among the inputs, so that there are ties.
fn max_pool<B: Backend>(bench: &mut Bench<B>) {
    let kernel = bench.between(2, 3);
    let (stride, pad, ceil) = (bench.between(1, kernel), bench.between(0, kernel / 2), bench.chance());
    let side = |bench: &mut Bench<B>| bench.between(kernel, 9);
    let shape = Shape { c: bench.between(1, 20), h: side(bench), w: side(bench) };
    let pool = Pool { kernel, stride, pad, ceil };
    bench.what = format!("{} {shape:?} {pool:?}", bench.what);
    let mut x = bench.value(shape);
    if bench.chance() {
        let positive = x.map.data.iter().map(|v| v.max(0.0)).collect();
        let (device, batch, place) = (bench.device, bench.batch, x.place);
        let mut data = bench.filled(place, 0.0);
        let then = Then { sign: Sign::Rectify(Rectifier::RELU), ..Then::default() };
        device.map(batch, x.input(), Output { data: &mut data, place }, then);
        x = Value { data, place, map: Map { shape: x.map.shape, data: positive } };
    }
    let out = Shape { c: shape.c, h: pool.output(shape.h), w: pool.output(shape.w) };
    let batch = bench.batch;
    // Winners are remembered for a value that fills its buffer.
    let mut winners = bench.device.bytes(Place::dense(out).rows(), batch);
    let y = bench.written_to(Place::dense(out), |device, out| {
        device.max_pool(batch, pool, x.input(), out, Some(&mut winners));
    });
    let (expected, origins) = MaxPool { kernel, stride, pad, ceil }.forward(&x.map);
    assert_eq!(shape_of(&expected), out, "{}", bench.what);
    assert_close(&bench.what, &y, &expected.data, Tolerance::new(0.0, 0.0));
    let again = bench.written(out, |device, out| device.max_pool(batch, pool, x.input(), out, None));
    assert_eq!(again, y, "{}: without winners", bench.what);

    let dy = bench.gradient(out);
    let dx = bench.written(shape, |device, out| {
        device.max_pool_backward(batch, pool, dy.input(), &winners, out, Then::default());
    });
    bench.close("backward", &dx, &MaxPool::backward(&dy.map, &origins, x.map.shape).data, 9);
}

fn average_pool<B: Backend>(bench: &mut Bench<B>) {
    let shape = bench.shape();
    let pooled = Shape { h: 1, w: 1, ..shape };
    let (x, dy, batch) = (bench.value(shape), bench.gradient(pooled), bench.batch);
    let y = bench.written(pooled, |device, out| device.avg_pool(batch, Mean::Adaptive, x.input(), out));
    bench.close("forward", &y, &oracle::global_avg_pool(&x.map).data, shape.h * shape.w);
    let dx = bench.written(shape, |device, out| {
        device.avg_pool_backward(batch, Mean::Adaptive, dy.input(), out, Then::default());
    });
    bench.close("backward", &dx, &oracle::global_avg_pool_backward(&dy.map, x.map.shape).data, 1);
}

/// Losses, verdicts and the gradient.
fn cross_entropy<B: Backend>(bench: &mut Bench<B>) {
    let classes = bench.between(1, 40);
    let shape = Shape { c: classes, h: 1, w: 1 };
    let (x, batch) = (bench.value(shape), bench.batch);
    let labels: Vec<u16> = (0..batch.images).map(|_| bench.random.below(classes as u32) as u16).collect();
    let factor = bench.random.uniform();
    let device = bench.device;
    let images = device.images(ImageBatch { pixels: PixelData::Bytes(&[]), labels: &labels });
    let mut found = device.verdicts(batch);
    let gradient = bench.written(shape, |device, out| {
        device.cross_entropy(batch, x.input(), &images, Some((out, factor)), &mut found);
    });
    let verdicts = device.wait(device.fetch(&mut found)).expect("a device that works");
    let indices: Vec<usize> = labels.iter().map(|&label| usize::from(label)).collect();
    bench.close("loss", &verdicts.loss, &oracle::cross_entropy(&x.map, &indices), classes);
    let expected = oracle::cross_entropy_backward(&x.map, &indices, f64::from(factor));
    bench.close("gradient", &gradient, &expected.data, classes);
    for ((row, &label), &correct) in x.map.data.chunks(classes).zip(&indices).zip(&verdicts.correct) {
        let best = (0..classes).rev().max_by(|&a, &b| row[a].total_cmp(&row[b])).expect("a class");
        assert_eq!(correct, best == label, "{}: verdict", bench.what);
    }
    device.cross_entropy(batch, x.input(), &images, None, &mut found);
    let again = device.wait(device.fetch(&mut found)).expect("a device that works");
    assert_eq!(again, verdicts, "{}: without a gradient", bench.what);
}

/// Normalisation, and one FGSM step.
fn images<B: Backend>(bench: &mut Bench<B>) {
    let shape = Shape { c: bench.between(1, 3), h: bench.between(1, 9), w: bench.between(1, 9) };
    let (batch, plane) = (bench.batch, shape.h * shape.w);
    let bytes: Vec<u8> = (0..batch.images * shape.c * plane).map(|_| bench.random.below(256) as u8).collect();
    let mean: Vec<f32> = (0..shape.c).map(|_| bench.random.uniform()).collect();
    let std: Vec<f32> = (0..shape.c).map(|_| 0.1 + bench.random.uniform()).collect();
    let labels = vec![0; batch.images];
    let images = bench.device.images(ImageBatch { pixels: PixelData::Bytes(&bytes), labels: &labels });
    let (means, deviations) = (bench.device.upload(&mean), bench.device.upload(&std));
    let norm = || Standard { mean: &means, std: &deviations };
    let z = bench.written(shape, |device, out| device.load_images(batch, &images, norm(), out));
    let normal = |i: usize, pixel: f64| {
        let c = i / plane % shape.c;
        (pixel - f64::from(mean[c])) / f64::from(std[c])
    };
    let pixel = |&byte: &u8| f64::from(byte) / 255.0;
    let expected: Vec<f64> = bytes.iter().map(pixel).enumerate().map(|(i, p)| normal(i, p)).collect();
    bench.close("normalised", &z, &expected, 1);

    let gradient = bench.gradient(shape);
    let eps = 0.3 * bench.random.uniform();
    let attack = AttackStep { eps, alpha: eps, clamp: bench.chance() };
    let z = bench.written(shape, |device, z| {
        let at = Adversarial { pixels: None, z };
        device.attack_step(batch, &images, norm(), gradient.input(), attack, at);
    });
    let moved = bytes.iter().zip(&gradient.map.data).enumerate().map(|(i, (byte, g))| {
        let step = f64::from(attack.eps) * if *g == 0.0 { 0.0 } else { g.signum() };
        let pixel = pixel(byte) + step;
        normal(i, if attack.clamp { pixel.clamp(0.0, 1.0) } else { pixel })
    });
    bench.close("adversarial", &z, &moved.collect::<Vec<_>>(), 1);
}

/// A start and a few steps of projected gradient descent; pixels are read from one step to the next.
fn descent<B: Backend>(bench: &mut Bench<B>) {
    let shape = Shape { c: bench.between(1, 3), h: bench.between(1, 9), w: bench.between(1, 9) };
    let (batch, values) = (bench.batch, shape.c * shape.h * shape.w);
    let bytes: Vec<u8> = (0..batch.images * values).map(|_| bench.random.below(256) as u8).collect();
    let labels = vec![0; batch.images];
    let images = bench.device.images(ImageBatch { pixels: PixelData::Bytes(&bytes), labels: &labels });
    let (mean, std) = (bench.device.floats(shape.c), bench.device.upload(&vec![1.0; shape.c]));
    let norm = || Standard { mean: &mean, std: &std }; // z is the pixel

    let (eps, clamp) = (0.3 * bench.random.uniform(), bench.chance());
    let (seed, first) = (u64::from(bench.random.bits()), bench.random.below(100) as usize);
    let noise = bench.chance().then_some(Noise { eps, seed, first_image: first as u64 });
    let step = AttackStep { eps, alpha: eps * bench.random.uniform(), clamp };
    let clip = |v: f64| if clamp { v.clamp(0.0, 1.0) } else { v };
    let original: Vec<f64> = bytes.iter().map(|&byte| f64::from(byte) / 255.0).collect();
    let mut numbers = Random::new(seed, Noise::STREAM);
    for _ in 0..first * values {
        numbers.bits();
    }
    let moved = |x: &f64| match noise {
        None => *x,
        Some(_) => clip(x + (2.0 * f64::from(numbers.uniform()) - 1.0) * f64::from(eps)),
    };
    let mut expected: Vec<f64> = original.iter().map(moved).collect();
    let mut pixels = bench.device.pixels(values, batch);
    let z = bench.written(shape, |device, z| {
        let to = Adversarial { pixels: Some(&mut pixels), z };
        device.attack_start(batch, &images, norm(), AttackStart { noise, clamp }, to);
    });
    bench.close("start", &z, &expected, 1);
    for number in 0..3 {
        let gradient = bench.gradient(shape);
        for ((x, original), g) in expected.iter_mut().zip(&original).zip(&gradient.map.data) {
            let direction = if *g == 0.0 { 0.0 } else { g.signum() };
            let delta = *x + f64::from(step.alpha) * direction - original;
            *x = clip(original + delta.clamp(f64::from(-eps), f64::from(eps)));
        }
        let z = bench.written(shape, |device, z| {
            let at = Adversarial { pixels: Some(&mut pixels), z };
            device.attack_step(batch, &images, norm(), gradient.input(), step, at);
        });
        bench.close(&format!("step {number}"), &z, &expected, 1);
    }
}

/// Bits saved by a ReLU, applied to a gradient as it is written and to a whole buffer; their copies.
fn sign_bits<B: Backend>(bench: &mut Bench<B>) {
    let shape = bench.shape();
    let (x, dy) = (bench.value(shape), bench.gradient(shape));
    let (device, batch, place) = (bench.device, bench.batch, bench.place(shape));
    let mut bits = device.bits(place.rows(), batch);
    let mut data = bench.filled(place, 0.0);
    let then = Then { sign: Sign::RectifySave(Rectifier::RELU, &mut bits), ..Then::default() };
    device.map(batch, x.input(), Output { data: &mut data, place }, then);
    let expected = oracle::relu_backward(&dy.map, &oracle::relu(&x.map));

    let masked = bench.written_to(place, |device, out| {
        let then = Then { sign: Sign::Mask(&bits, 0.0), ..Then::default() };
        device.map(batch, dy.input(), out, then);
    });
    assert_close(&bench.what, &masked, &expected.data, Tolerance::new(0.0, 0.0));

    let other = bench.place(shape);
    let mut copies = device.bits(other.rows(), batch);
    device.copy_bits(batch, Some((&bits, place)), (&mut copies, other));
    let mut buffer = bench.filled(other, 0.0);
    device.map(batch, dy.input(), Output { data: &mut buffer, place: other }, Then::default());
    device.mask(&mut buffer, &copies, 0.0);
    let masked = bench.nchw(&buffer, other);
    assert_close(&bench.what, &masked, &expected.data, Tolerance::new(0.0, 0.0));

    device.copy_bits(batch, None, (&mut copies, other));
    device.map(batch, dy.input(), Output { data: &mut buffer, place: other }, Then::default());
    device.mask(&mut buffer, &copies, 0.0);
    let open = bench.nchw(&buffer, other);
    assert_close(&bench.what, &open, &dy.map.data, Tolerance::new(0.0, 0.0));
}
