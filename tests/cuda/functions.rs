//! kernels/activation.cu, product.cu, mean.cu.

use crate::in_every_format;
use crate::twins::{Ending, On, Operation, Rounded, agree, normals, numbers, places};
use synfilter::backend::cuda::device::Cuda;
use synfilter::backend::{Backend, Input, Output, Sign, Then};
use synfilter::graph::place::Place;
use synfilter::graph::{Activation, Mean, Pool, Rectifier, Shape};

struct Activate {
    function: Activation,
    from: Place,
    to: Place,
    ending: Ending,
}

impl Operation for Activate {
    fn run<B: Backend>(&self, on: &On<B>) -> Vec<f32> {
        let (device, batch, Activate { function, from, to, .. }) = (on.device, on.batch, self);
        let len = batch.images * from.values();
        let wide: Vec<f32> = numbers(1, len).iter().zip(normals(2, len)).map(|(v, w)| v * 4.0 * w).collect();
        let (x, dy) = (on.value(&wide, *from), on.value(&numbers(3, len), *to));
        let mut y = on.value(&normals(4, len), *to);
        let input = Input { data: &x, place: *from };
        device.activate(batch, *function, input, Output { data: &mut y, place: *to });
        let mut written = on.read(&y, *to);
        written.extend(self.ending.write(on, *from, |out, then| {
            let (x, dy) = (Input { data: &x, place: *from }, Input { data: &dy, place: *to });
            device.activate_backward(batch, *function, x, dy, out, then);
        }));
        written
    }
}

fn activate<T: Rounded>(cuda: &Cuda<T>) {
    let [dense, sparse] = places(Shape { c: 3, h: 2, w: 3 });
    let functions = [
        Activation::Relu,
        Activation::Relu6,
        Activation::LeakyRelu { slope: 0.1 },
        Activation::HardSwish,
        Activation::HardSigmoid,
        Activation::Sigmoid,
        Activation::Silu,
        Activation::Tanh,
        Activation::Elu { alpha: 1.3 },
        Activation::Gelu,
    ];
    let endings = Ending::few();
    for (i, function) in functions.into_iter().enumerate() {
        let ending = endings[i % endings.len()];
        let (from, to) = if i % 2 == 0 { (dense, sparse) } else { (sparse, dense) };
        agree(cuda, 64 + 7 * i, &format!("{function:?}"), &Activate { function, from, to, ending });
    }
}

#[test]
fn activations_are_the_cpus() {
    in_every_format!(activate);
}

struct Product {
    x: Place,
    factor: Place,
    ending: Ending,
}

impl Operation for Product {
    fn run<B: Backend>(&self, on: &On<B>) -> Vec<f32> {
        let (device, batch, Product { x: at, factor: factor_at, .. }) = (on.device, on.batch, self);
        let x = on.value(&numbers(1, batch.images * at.values()), *at);
        let dy = on.value(&normals(2, batch.images * at.values()), *at);
        let factor = on.value(&normals(3, batch.images * factor_at.values()), *factor_at);
        let x_of = || Input { data: &x, place: *at };
        let mut written = self.ending.write(on, *at, |out, then| {
            let factor = Input { data: &factor, place: *factor_at };
            device.product(batch, x_of(), factor, out, then);
        });
        let one = Place { h: 1, w: 1, ..*factor_at };
        written.extend(self.ending.write(on, one, |out, then| {
            device.product_sum(batch, x_of(), Input { data: &dy, place: *at }, out, then);
        }));
        written
    }
}

fn product<T: Rounded>(cuda: &Cuda<T>) {
    let shape = Shape { c: 5, h: 3, w: 2 };
    for (j, ending) in Ending::few().into_iter().enumerate() {
        let (x, one) = (places(shape)[j % 2], Shape { h: 1, w: 1, ..shape });
        for factor in [places(shape)[(j + 1) % 2], places(one)[j / 2 % 2]] {
            agree(cuda, 40 + 30 * j, &format!("{x:?} {factor:?}"), &Product { x, factor, ending });
        }
    }
}

#[test]
fn products_are_the_cpus() {
    in_every_format!(product);
}

struct Means {
    mean: Mean,
    from: Place,
    to: Place,
    ending: Ending,
}

impl Operation for Means {
    fn run<B: Backend>(&self, on: &On<B>) -> Vec<f32> {
        let (device, batch, Means { mean, from, to, .. }) = (on.device, on.batch, self);
        let x = on.value(&normals(4, batch.images * from.values()), *from);
        let dy = on.value(&normals(5, batch.images * to.values()), *to);
        let mut y = on.value(&normals(6, batch.images * to.values()), *to);
        let input = Input { data: &x, place: *from };
        device.avg_pool(batch, *mean, input, Output { data: &mut y, place: *to });
        let mut written = on.read(&y, *to);
        written.extend(self.ending.write(on, *from, |out, then| {
            device.avg_pool_backward(batch, *mean, Input { data: &dy, place: *to }, out, then);
        }));
        written
    }
}

fn means<T: Rounded>(cuda: &Cuda<T>) {
    let windows = |kernel, stride, pad, ceil, count_pad| Mean::Windows {
        pool: Pool { kernel, stride, pad, ceil },
        count_pad,
    };
    let (h, w) = (6, 5);
    let endings = Ending::few();
    for (j, (mean, down, right)) in [
        (windows(2, 2, 0, false, true), 3, 2),
        (windows(3, 1, 1, false, false), 6, 5),
        (windows(3, 2, 1, true, true), 4, 3),
        (Mean::Adaptive, 4, 3),
        (Mean::Adaptive, 7, 1),
    ]
    .into_iter()
    .enumerate()
    {
        let (from, to) = (Shape { c: 3, h, w }, Shape { c: 3, h: down, w: right });
        let (from, to) = (places(from)[j % 2], places(to)[j / 2 % 2]);
        let ending = endings[j % endings.len()];
        agree(cuda, 50 + 20 * j, &format!("{mean:?}"), &Means { mean, from, to, ending });
    }
}

#[test]
fn means_are_the_cpus() {
    in_every_format!(means);
}

/// Rectifiers that are no ReLU, at the end of a copy: values, bits, and gradients under them.
struct Bend {
    rectifier: Rectifier,
    from: Place,
    to: Place,
}

impl Operation for Bend {
    fn run<B: Backend>(&self, on: &On<B>) -> Vec<f32> {
        let (device, batch, Bend { rectifier, from, to }) = (on.device, on.batch, self);
        let len = batch.images * from.values();
        let wide: Vec<f32> = numbers(1, len).iter().map(|v| v * 6.0).collect();
        let (x, mut y) = (on.value(&wide, *from), on.value(&normals(2, len), *to));
        let mut bits = device.bits(to.rows(), batch);
        let x = || Input { data: &x, place: *from };
        let mut written = Vec::new();
        for save in [false, true] {
            let sign = match save {
                true => Sign::RectifySave(*rectifier, &mut bits),
                false => Sign::Rectify(*rectifier),
            };
            device.map(batch, x(), Output { data: &mut y, place: *to }, Then { sign, ..Then::default() });
            written.extend(on.read(&y, *to));
        }
        let sign = Sign::Mask(&bits, rectifier.below);
        device.map(batch, x(), Output { data: &mut y, place: *to }, Then { sign, ..Then::default() });
        let masked = on.read(&y, *to);
        // From numbers of the format on both sides: the CPU's are not rounded between two operations.
        let mut y = on.value(&masked, *to);
        written.extend(masked);
        device.mask(&mut y, &bits, 0.3);
        written.extend(on.read(&y, *to));
        written
    }
}

fn bend<T: Rounded>(cuda: &Cuda<T>) {
    let [dense, sparse] = places(Shape { c: 5, h: 3, w: 2 });
    for (from, to) in [(dense, sparse), (sparse, dense)] {
        for (below, capped) in [(0.0, true), (0.2, false), (-1.5, false)] {
            let rectifier = Rectifier { below, capped };
            agree(cuda, 101, &format!("{rectifier:?}"), &Bend { rectifier, from, to });
        }
    }
}

#[test]
fn rectifiers_are_the_cpus() {
    in_every_format!(bend);
}
