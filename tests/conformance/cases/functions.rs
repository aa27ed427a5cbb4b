//! Activations, rectifiers other than ReLU, products and means over windows.

use super::bench::{Bench, shape_of, wide};
use common::activation::{self as oracle, Windows};
use common::compare::{Tolerance, assert_close};
use common::oracle::Map;
use synfilter::backend::{Backend, Output, Sign, Then};
use synfilter::graph::conv::{ConvShape, Direction};
use synfilter::graph::{Activation, Mean, Pool, Rectifier, Shape};

/// Every activation, with PyTorch's name.
fn activations() -> [(Activation, &'static str, f64); 10] {
    [
        (Activation::Relu, "relu", 0.0),
        (Activation::Relu6, "relu6", 0.0),
        (Activation::LeakyRelu { slope: 0.25 }, "leaky_relu", 0.25),
        (Activation::HardSwish, "hardswish", 0.0),
        (Activation::HardSigmoid, "hardsigmoid", 0.0),
        (Activation::Sigmoid, "sigmoid", 0.0),
        (Activation::Silu, "silu", 0.0),
        (Activation::Tanh, "tanh", 0.0),
        (Activation::Elu { alpha: 1.5 }, "elu", 1.5),
        (Activation::Gelu, "gelu", 0.0),
    ]
}

/// All of them, forward and backward, over numbers that reach every part of their curves.
pub fn activation<B: Backend>(bench: &mut Bench<B>) {
    let shape = Shape { c: bench.between(1, 5), h: bench.between(1, 4), w: bench.between(1, 4) };
    let mut x = bench.value(shape);
    let (device, batch, place) = (bench.device, bench.batch, x.place);
    // Wider by powers of two, which every format holds.
    let wider =
        device.upload(&(0..shape.c).map(|c| [4.0, 1.0, 0.25, 16.0, 2.0][c % 5]).collect::<Vec<f32>>());
    let mut data = bench.filled(place, 0.0);
    let then = Then { scale: Some(&wider), ..Then::default() };
    device.map(batch, x.input(), Output { data: &mut data, place }, then);
    let numbers = bench.nchw(&data, place);
    (x.data, x.map) = (data, Map::new(x.map.shape, &numbers));
    let (dy, add) = (bench.gradient(shape), bench.value(shape));
    for (function, name, parameter) in activations() {
        let of = |v: f64| oracle::activation(name, parameter, v);
        let y = bench.written(shape, |device, out| device.activate(batch, function, x.input(), out));
        bench.close(name, &y, &x.map.map(|_, v| of(v).0).data, 4);
        let dx = bench.written(shape, |device, out| {
            let then = Then { add: Some(add.input()), ..Then::default() };
            device.activate_backward(batch, function, x.input(), dy.input(), out, then);
        });
        let expected = x.map.map(|i, v| of(v).1 * dy.map.data[i] + add.map.data[i]);
        bench.close(&format!("{name}, backward"), &dx, &expected.data, 4);
    }
}

/// Capped and leaky rectifiers behind a convolution: values and sign bits; gradients under them, as they are written and
/// of a whole buffer.
pub fn rectifier<B: Backend>(bench: &mut Bench<B>) {
    let (c, k) = (bench.between(1, 9), bench.between(1, 20));
    let kernel = [1, 3][bench.between(0, 1)];
    let (h, w) = (bench.between(1, 6), bench.between(1, 6));
    let conv = ConvShape { c, k, h, w, r: kernel, s: kernel, stride: 1, pad: kernel / 2, groups: 1 };
    let (device, batch) = (bench.device, bench.batch);
    let weights = bench.normals(conv.weights());
    let mut filter = device.filter(conv, false);
    device.load_filter(&mut filter, &device.upload(&weights), None);
    let (x, above) = (bench.value(Shape { c, h, w }), Shape { c: k, h, w });
    // Twice as large, so that many are above the cap.
    let scale = device.upload(&vec![2.0; k]);
    let add = bench.value(above);
    let with_sum = bench.chance();
    for (rectifier, name, parameter) in [
        (Rectifier { below: 0.0, capped: true }, "relu6", 0.0),
        (Rectifier { below: 0.125, capped: false }, "leaky_relu", 0.125),
    ] {
        let place = bench.place(above);
        let run = |bench: &mut Bench<B>, sign: Sign<B>| {
            bench.written_to(place, |device, out| {
                let add = with_sum.then(|| add.input());
                let then = Then { scale: Some(&scale), add, sign, ..Then::default() };
                device.conv(batch, &filter, Direction::Forward, x.input(), out, then);
            })
        };
        let plain = run(bench, Sign::None);
        let of = |v: f32| oracle::activation(name, parameter, f64::from(v));
        let expected: Vec<f64> = plain.iter().map(|&v| of(v).0).collect();
        let y = run(bench, Sign::Rectify(rectifier));
        bench.close(name, &y, &expected, 1);
        let mut bits = device.bits(place.rows(), batch);
        let saved = run(bench, Sign::RectifySave(rectifier, &mut bits));
        assert_eq!(saved, y, "{}: {name} with sign bits", bench.what);

        let dy = bench.gradient(above);
        let expected: Vec<f64> = plain.iter().zip(&dy.map.data).map(|(&v, dy)| of(v).1 * dy).collect();
        // Products with a power of two are exact; a format that rounds may put a value on the other side of the cap.
        let near = |v: f32| (f64::from(v) - 6.0).abs() < 8.0 * bench.format.unit.max(1e-7) * 6.0;
        let sure: Vec<usize> = (0..plain.len()).filter(|&i| !near(plain[i])).collect();
        let only = |values: &[f64]| sure.iter().map(|&i| values[i]).collect::<Vec<f64>>();
        let masked = bench.written_to(place, |device, out| {
            let then = Then { sign: Sign::Mask(&bits, rectifier.below), ..Then::default() };
            device.map(batch, dy.input(), out, then);
        });
        // Half the smallest step of f16.
        let exact = Tolerance::new(3.1e-8, 0.0);
        assert_close(&bench.what, &only(&wide(&masked)), &only(&expected), exact);
        let mut buffer = bench.filled(place, 0.0);
        device.map(batch, dy.input(), Output { data: &mut buffer, place }, Then::default());
        device.mask(&mut buffer, &bits, rectifier.below);
        let masked = bench.nchw(&buffer, place);
        assert_close(&bench.what, &only(&wide(&masked)), &only(&expected), exact);
    }
}

/// Of equal maps, and with a factor per channel; the gradients of both factors.
pub fn product<B: Backend>(bench: &mut Bench<B>) {
    let shape = bench.shape();
    let one = Shape { h: 1, w: 1, ..shape };
    let (batch, area) = (bench.batch, shape.h * shape.w);
    for of in [shape, one] {
        let (x, factor) = (bench.value(shape), bench.value(of));
        let (dy, add) = (bench.gradient(shape), bench.value(shape));
        let y = bench.written(shape, |device, out| {
            let sign = Sign::Rectify(Rectifier::RELU);
            let then = Then { add: Some(add.input()), sign, ..Then::default() };
            device.product(batch, x.input(), factor.input(), out, then);
        });
        let expected = oracle::product(&x.map, &factor.map).map(|i, v| (v + add.map.data[i]).max(0.0));
        bench.close("product", &y, &expected.data, 2);
        let dx = bench.written(shape, |device, out| {
            device.product(batch, dy.input(), factor.input(), out, Then::default());
        });
        bench.close("its gradient", &dx, &oracle::product(&dy.map, &factor.map).data, 1);
    }
    let (x, dy) = (bench.value(shape), bench.gradient(shape));
    let sum = bench.written(one, |device, out| {
        device.product_sum(batch, dy.input(), x.input(), out, Then::default());
    });
    let expected = oracle::product_factor_backward(&dy.map, &x.map, [batch.images, shape.c, 1, 1]);
    bench.close("gradient of a factor per channel", &sum, &expected.data, area);
}

/// Windows with strides and padding, and windows that share the map.
pub fn means<B: Backend>(bench: &mut Bench<B>) {
    let kernel = bench.between(1, 4);
    let (stride, pad, ceil) = (bench.between(1, kernel), bench.between(0, kernel / 2), bench.chance());
    // From the smallest map that has a window, which may hang over it.
    let least = (kernel - 2 * pad).saturating_sub(if ceil { stride - 1 } else { 0 }).max(1);
    let side = |bench: &mut Bench<B>| bench.between(least, 9);
    let shape = Shape { c: bench.between(1, 20), h: side(bench), w: side(bench) };
    let (pool, count_pad) = (Pool { kernel, stride, pad, ceil }, bench.chance());
    let (h, w) = (bench.between(1, 5), bench.between(1, 5));
    for (mean, windows) in [
        (Mean::Windows { pool, count_pad }, Windows::Square { kernel, stride, pad, ceil, count_pad }),
        (Mean::Adaptive, Windows::Adaptive { h, w }),
    ] {
        let what = format!("{shape:?} {windows:?}");
        let (x, batch) = (bench.value(shape), bench.batch);
        let expected = windows.forward(&x.map);
        let pooled = shape_of(&expected);
        let y = bench.written(pooled, |device, out| device.avg_pool(batch, mean, x.input(), out));
        bench.close(&what, &y, &expected.data, 81);
        let (dy, old) = (bench.gradient(pooled), bench.value(shape));
        let dx = bench.written(shape, |device, out| {
            let then = Then { add: Some(old.input()), ..Then::default() };
            device.avg_pool_backward(batch, mean, dy.input(), out, then);
        });
        let expected = windows.backward(&dy.map, x.map.shape).map(|i, v| v + old.map.data[i]);
        bench.close(&format!("{what}, backward"), &dx, &expected.data, 25);
    }
}
