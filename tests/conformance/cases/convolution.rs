//! Convolutions.

use super::bench::Bench;
use common::oracle::{self, Conv, Map};
use synfilter::backend::{Backend, Sign, Then};
use synfilter::filter::{FilterKind, Mask};
use synfilter::graph::conv::{ConvShape, Direction};
use synfilter::graph::{Rectifier, Shape};

/// Forward with scale, shift, sum and ReLU, masked weights; backward to the input; gradients of weight and bias.
pub fn convolution<B: Backend>(bench: &mut Bench<B>) {
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
    let expected = product.map(|i, v| {
        let channel = product.channel(i);
        let v = v * f64::from(scale[channel]) + f64::from(shift[channel]) + residual.map.data[i];
        v.max(0.0)
    });
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
