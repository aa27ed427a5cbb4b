//! Batch norms by the statistics of the batch.

use super::bench::{Bench, wide};
use common::oracle::BatchNorm;
use synfilter::backend::{Backend, NormGradients, Statistics, Then};
use synfilter::graph::NORM_EPS;

/// Statistics, and the backward pass through them.
pub fn batch_norm<B: Backend>(bench: &mut Bench<B>) {
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
