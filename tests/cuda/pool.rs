//! kernels/pool.cu.

use crate::in_every_format;
use crate::twins::{Ending, On, Operation, Rounded, agree, normals, numbers, places};
use synfilter::backend::cuda::device::Cuda;
use synfilter::backend::{Backend, Input, Output};
use synfilter::graph::place::Place;
use synfilter::graph::{Mean, Pool, Shape};

struct Max {
    pool: Pool,
    from: Place,
    to: Place,
    ending: Ending,
}

impl Operation for Max {
    fn run<B: Backend>(&self, on: &On<B>) -> Vec<f32> {
        let (device, batch, from, to) = (on.device, on.batch, self.from, self.to);
        let x = on.value(&numbers(1, batch.images * from.c * from.h * from.w), from);
        let x = || Input { data: &x, place: from };
        let len = batch.images * to.c * to.h * to.w;
        let mut winners = device.bytes(to.h * to.w * to.c, batch);
        let (mut with, mut without) = (on.value(&normals(2, len), to), on.value(&normals(2, len), to));
        let out = Output { data: &mut with, place: to };
        device.max_pool(batch, self.pool, x(), out, Some(&mut winners));
        let mut written = on.read(&with, to);
        device.max_pool(batch, self.pool, x(), Output { data: &mut without, place: to }, None);
        written.extend(on.read(&without, to));
        let dy = on.value(&normals(3, len), to);
        written.extend(self.ending.write(on, from, |out, then| {
            let dy = Input { data: &dy, place: to };
            device.max_pool_backward(batch, self.pool, dy, &winners, out, then);
        }));
        written
    }
}

fn max<T: Rounded>(cuda: &Cuda<T>) {
    let pools = [
        (3, 2, 1, false),
        (3, 2, 0, true),
        (2, 2, 0, false),
        (3, 1, 1, false),
        (2, 3, 1, true),
        (5, 2, 2, true),
    ];
    for (i, (kernel, stride, pad, ceil)) in pools.into_iter().enumerate() {
        let pool = Pool { kernel, stride, pad, ceil };
        for (j, ending) in Ending::few().into_iter().enumerate() {
            let shape = Shape { c: 1 + i, h: 6 + j % 2, w: 5 };
            let (from, to) = (
                places(shape)[j / 2],
                places(Shape { h: pool.output(shape.h), w: pool.output(5), ..shape })[j % 2],
            );
            agree(cuda, 50 + 30 * j, &format!("{pool:?} {shape:?}"), &Max { pool, from, to, ending });
        }
    }
}

#[test]
fn max_pools_are_the_cpus() {
    in_every_format!(max);
}

struct Average {
    from: Place,
    to: Place,
    ending: Ending,
}

impl Operation for Average {
    fn run<B: Backend>(&self, on: &On<B>) -> Vec<f32> {
        let (device, batch, from, to) = (on.device, on.batch, self.from, self.to);
        let x = on.value(&normals(4, batch.images * from.c * from.h * from.w), from);
        let dy = on.value(&numbers(5, batch.images * to.c), to);
        let mut y = on.value(&normals(6, batch.images * to.c), to);
        device.avg_pool(
            batch,
            Mean::Adaptive,
            Input { data: &x, place: from },
            Output { data: &mut y, place: to },
        );
        let mut written = on.read(&y, to);
        written.extend(self.ending.write(on, from, |out, then| {
            device.avg_pool_backward(batch, Mean::Adaptive, Input { data: &dy, place: to }, out, then);
        }));
        written
    }
}

fn average<T: Rounded>(cuda: &Cuda<T>) {
    for (j, ending) in Ending::few().into_iter().enumerate() {
        let shape = Shape { c: 5, h: 1 + j, w: 3 };
        let (from, to) = (places(shape)[j % 2], places(Shape { h: 1, w: 1, ..shape })[j / 2]);
        agree(cuda, 50 + 30 * j, &format!("{shape:?}"), &Average { from, to, ending });
    }
}

#[test]
fn average_pools_are_the_cpus() {
    in_every_format!(average);
}
