//! kernels/batch_norm.cu.

use crate::in_every_format;
use crate::twins::{Ending, On, Operation, Rounded, agree, normals, places};
use synfilter::backend::cuda::device::Cuda;
use synfilter::backend::{Backend, Device, Input, NormGradients, NormTensors, Output, Statistics, Train};
use synfilter::graph::Shape;
use synfilter::graph::place::Place;

/// Images and maps such that a channel is one part, several, and several with an unfinished one.
fn shapes() -> [(Shape, usize); 4] {
    [
        (Shape { c: 7, h: 2, w: 3 }, 70),
        (Shape { c: 2, h: 9, w: 10 }, 150),
        (Shape { c: 1, h: 16, w: 17 }, 64),
        (Shape { c: 600, h: 1, w: 1 }, 3),
    ]
}

/// The values of channel `c` of `[images, C, H, W]`.
fn channel(numbers: &[f32], shape: Shape, c: usize) -> impl Iterator<Item = f64> + Clone {
    let plane = shape.h * shape.w;
    let images = numbers.chunks_exact(shape.c * plane);
    images.flat_map(move |image| &image[c * plane..(c + 1) * plane]).map(|&v| f64::from(v))
}

fn close(what: &str, actual: f32, expected: f64, limit: f64) {
    let off = (f64::from(actual) - expected).abs();
    assert!(off <= limit, "{what}: {actual:e}, expected {expected:e}, off by {off:e}, limit {limit:e}");
}

fn statistics<T: Rounded>(cuda: &Cuda<T>) {
    for (shape, images) in shapes() {
        // Around 0, far from it, all alike, and with one value far off the others, which comes first.
        for (kind, offset, spread) in [(0, 0.0, 1.0), (1, 1000.0, 2.0), (2, 0.3, 0.0), (3, 1.0, 0.01)] {
            let mut x: Vec<f32> = normals(kind, images * shape.c * shape.h * shape.w)
                .into_iter()
                .map(|v| T::round(offset + spread * v))
                .collect();
            if kind == 3 {
                x.chunks_exact_mut(shape.h * shape.w).take(shape.c).for_each(|plane| plane[0] = -500.0);
            }
            let on = On::cuda(cuda, images);
            for place in places(shape) {
                let data = on.value(&x, place);
                let mut found = Statistics { mean: cuda.floats(shape.c), var: cuda.floats(shape.c) };
                cuda.norm_statistics(on.batch, Input { data: &data, place }, &mut found);
                let (mean, var) = (on.floats(&found.mean), on.floats(&found.var));
                for c in 0..shape.c {
                    let what = format!("{shape:?}, {images} images, kind {kind}, channel {c}, {}", T::NAME);
                    let values = channel(&x, shape, c);
                    let count = values.clone().count() as f64;
                    let m = values.clone().sum::<f64>() / count;
                    let v = values.map(|v| (v - m).powi(2)).sum::<f64>() / count;
                    // A rounding of the result and of what 32 values leave behind: relative to the mean, and to the
                    // deviations, wherever the values lie.
                    let unit = f64::from(f32::EPSILON);
                    close(&format!("{what}: mean"), mean[c], m, unit * (m.abs() + v.sqrt()));
                    close(&format!("{what}: variance"), var[c], v, 4.0 * unit * v + (unit * m).powi(2));
                }
            }
        }
    }
}

#[test]
fn statistics_are_those_of_the_images() {
    in_every_format!(statistics);
}

fn gradients<T: Rounded>(cuda: &Cuda<T>) {
    for (shape, images) in shapes() {
        let len = images * shape.c * shape.h * shape.w;
        let (x, dy) = (normals(1, len), normals(2, len));
        let [x, dy] = [x, dy].map(|numbers| numbers.into_iter().map(T::round).collect::<Vec<f32>>());
        let (mean, var) =
            (normals(3, shape.c), normals(4, shape.c).iter().map(|v| v * v).collect::<Vec<f32>>());
        let on = On::cuda(cuda, images);
        let [dense, sparse] = places(shape);
        for (at, dy_at) in [(dense, sparse), (sparse, dense)] {
            let (values, gradients) = (on.value(&x, at), on.value(&dy, dy_at));
            let known = Statistics { mean: cuda.upload(&mean), var: cuda.upload(&var) };
            let (mut weight, mut bias) = (cuda.floats(shape.c), cuda.floats(shape.c));
            let (values, gradients) =
                (Input { data: &values, place: at }, Input { data: &gradients, place: dy_at });
            cuda.norm_gradients(on.batch, values, gradients, &known, &mut weight, &mut bias);
            let (weight, bias) = (on.floats(&weight), on.floats(&bias));
            for c in 0..shape.c {
                let what = format!("{shape:?}, {images} images, channel {c}, {}", T::NAME);
                let inverse = 1.0 / (f64::from(var[c]) + f64::from(synfilter::graph::NORM_EPS)).sqrt();
                let products = channel(&dy, shape, c)
                    .zip(channel(&x, shape, c))
                    .map(|(dy, x)| dy * (x - f64::from(mean[c])) * inverse);
                let sums = channel(&dy, shape, c);
                // Sums of 32 in f32, so their roundings are those of a dozen additions of the largest terms.
                let limit = |terms: &mut dyn Iterator<Item = f64>| {
                    12.0 * f64::from(f32::EPSILON) * terms.map(|v| v * v).sum::<f64>().sqrt().max(1e-6)
                };
                let limits = (limit(&mut products.clone()), limit(&mut sums.clone()));
                close(&format!("{what}: γ"), weight[c], products.sum(), limits.0);
                close(&format!("{what}: β"), bias[c], sums.sum(), limits.1);
            }
        }
    }
}

#[test]
fn parameter_gradients_are_those_of_the_images() {
    in_every_format!(gradients);
}

struct Backward {
    from: Place,
    to: Place,
    ending: Ending,
}

impl Operation for Backward {
    fn run<B: Backend>(&self, on: &On<B>) -> Vec<f32> {
        let (device, from) = (on.device, self.from);
        let len = on.batch.images * from.c * from.h * from.w;
        let (x, dy) = (on.value(&normals(1, len), from), on.value(&normals(2, len), self.to));
        let var: Vec<f32> = normals(4, from.c).iter().map(|v| v * v).collect();
        let known = Statistics { mean: device.upload(&normals(3, from.c)), var: device.upload(&var) };
        let (weight, bias) = (device.upload(&normals(5, from.c)), device.upload(&normals(6, from.c)));
        let gamma = device.upload(&normals(7, from.c));
        self.ending.write(on, self.to, |out, then| {
            let (x, dy) = (Input { data: &x, place: from }, Input { data: &dy, place: self.to });
            let gradients = NormGradients { weight: &weight, bias: &bias };
            device.norm_backward(on.batch, x, dy, &known, gradients, &gamma, out, then);
        })
    }
}

fn backward<T: Rounded>(cuda: &Cuda<T>) {
    for (shape, images) in [(Shape { c: 7, h: 2, w: 3 }, 70), (Shape { c: 33, h: 1, w: 2 }, 64)] {
        let [dense, sparse] = places(shape);
        for ending in Ending::few() {
            let what = format!("{shape:?} {ending:?}");
            agree(cuda, images, &what, &Backward { from: dense, to: sparse, ending });
            agree(cuda, images, &what, &Backward { from: sparse, to: dense, ending });
        }
    }
    // Lanes without an image become zeros.
    let on = On::cuda(cuda, 5);
    let place = Place::dense(Shape { c: 3, h: 1, w: 2 });
    let numbers = normals(1, 30);
    let (x, dy, mut dx) = (on.value(&numbers, place), on.value(&numbers, place), on.value(&numbers, place));
    let known = Statistics { mean: cuda.upload(&[1.0; 3]), var: cuda.upload(&[1.0; 3]) };
    let (ones, gamma) = (cuda.upload(&[1.0; 3]), cuda.upload(&[2.0; 3]));
    let gradients = NormGradients { weight: &ones, bias: &ones };
    let (x, dy) = (Input { data: &x, place }, Input { data: &dy, place });
    let out = Output { data: &mut dx, place };
    cuda.norm_backward(on.batch, x, dy, &known, gradients, &gamma, out, Default::default());
    assert!(on.padding(&dx, place).iter().all(|v| v.to_bits() == 0), "gradients where there is no image");
}

#[test]
fn input_gradients_are_the_cpus() {
    in_every_format!(backward);
}

/// Coefficients with and without a term before, and the running statistics after a batch.
struct Channels(usize);

impl Operation for Channels {
    fn run<B: Backend>(&self, on: &On<B>) -> Vec<f32> {
        let (device, n) = (on.device, self.0);
        let var: Vec<f32> = normals(4, n).iter().map(|v| v * v).collect();
        let [weight, bias, mean, term] = [1, 2, 3, 5].map(|seed| device.upload(&normals(seed, n)));
        let var = device.upload(&var);
        let (mut scale, mut shift) = (device.floats(n), device.floats(n));
        let mut written = Vec::new();
        for term in [None, Some(&term)] {
            let norm = NormTensors { weight: &weight, bias: &bias, mean: &mean, var: &var };
            device.norm_coefficients(norm, term, &mut scale, &mut shift);
            written.extend([on.floats(&scale), on.floats(&shift)].concat());
        }
        let batch = Statistics { mean: scale, var: shift };
        let (mut mean, mut var) = (mean, var);
        for count in [1, 2, 12_345] {
            device.update_running(&batch, count, 0.1, &mut mean, &mut var);
            written.extend([on.floats(&mean), on.floats(&var)].concat());
        }
        written
    }
}

#[test]
fn coefficients_and_running_statistics_are_the_cpus() {
    let cuda = crate::driver::open::<f32>();
    for channels in [1, 256, 300] {
        agree(&cuda, 1, &format!("{channels} channels"), &Channels(channels));
    }
}
