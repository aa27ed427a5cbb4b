//! Max pools, and the mean over the whole map; for means over windows see [`functions`](super::functions).

use super::bench::{Bench, Value, shape_of};
use common::compare::{Tolerance, assert_close};
use common::oracle::{self, Map, MaxPool};
use synfilter::backend::{Backend, Output, Sign, Then};
use synfilter::graph::place::Place;
use synfilter::graph::{Mean, Pool, Rectifier, Shape};

/// Forward and backward; ReLU outputs among the inputs, so that there are ties.
pub fn max_pool<B: Backend>(bench: &mut Bench<B>) {
    let kernel = bench.between(2, 3);
    let (stride, pad, ceil) = (bench.between(1, kernel), bench.between(0, kernel / 2), bench.chance());
    // From the smallest map that has a window, which may hang over it.
    let least = (kernel - 2 * pad).saturating_sub(if ceil { stride - 1 } else { 0 }).max(1);
    let side = |bench: &mut Bench<B>| bench.between(least, 9);
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
    let add = bench.value(shape);
    let dx = bench.written(shape, |device, out| {
        let then = Then { add: Some(add.input()), ..Then::default() };
        device.max_pool_backward(batch, pool, dy.input(), &winners, out, then);
    });
    let expected = oracle::add(&MaxPool::backward(&dy.map, &origins, x.map.shape), &add.map);
    bench.close("backward", &dx, &expected.data, 9);
}

pub fn average_pool<B: Backend>(bench: &mut Bench<B>) {
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
