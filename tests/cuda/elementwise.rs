//! kernels/elementwise.cu, and with it every ending of kernels/epilogue.cuh.

use crate::in_every_format;
use crate::twins::{Ending, On, Operation, Rounded, agree, numbers, places};
use synfilter::backend::cuda::device::Cuda;
use synfilter::backend::{Backend, Input, Output, Sign, Then};
use synfilter::graph::Rectifier;
use synfilter::graph::Shape;
use synfilter::graph::place::Place;

struct Map {
    from: Place,
    to: Place,
    ending: Ending,
}

impl Operation for Map {
    fn run<B: Backend>(&self, on: &On<B>) -> Vec<f32> {
        let x = on.value(&numbers(1, on.batch.images * self.from.c * self.from.h * self.from.w), self.from);
        self.ending.write(on, self.to, |out, then| {
            on.device.map(on.batch, Input { data: &x, place: self.from }, out, then);
        })
    }
}

fn map<T: Rounded>(cuda: &Cuda<T>) {
    let [dense, sparse] = places(Shape { c: 3, h: 2, w: 1 });
    for ending in Ending::all() {
        let what = format!("{ending:?}");
        agree(cuda, 37, &what, &Map { from: dense, to: sparse, ending });
    }
    for ending in Ending::few() {
        agree(cuda, 130, &format!("{ending:?}"), &Map { from: sparse, to: dense, ending });
    }
}

#[test]
fn every_ending_is_the_cpus() {
    in_every_format!(map);
}

/// Bits saved at one place, copied to another, applied to a whole buffer; then all set.
struct Bits {
    from: Place,
    to: Place,
}

impl Operation for Bits {
    fn run<B: Backend>(&self, on: &On<B>) -> Vec<f32> {
        let (device, batch) = (on.device, on.batch);
        let len = batch.images * self.from.c * self.from.h * self.from.w;
        let x = on.value(&numbers(2, len), self.from);
        let (mut saved, mut copied) =
            (device.bits(self.from.rows(), batch), device.bits(self.to.rows(), batch));
        let mut y = on.value(&numbers(3, len), self.from);
        let then = Then { sign: Sign::RectifySave(Rectifier::RELU, &mut saved), ..Then::default() };
        let out = Output { data: &mut y, place: self.from };
        device.map(batch, Input { data: &x, place: self.from }, out, then);
        let mut written = on.signs(&saved, self.from);
        device.copy_bits(batch, Some((&saved, self.from)), (&mut copied, self.to));
        written.extend(on.signs(&copied, self.to));
        // As all buffers of gradients that several values share, longer than the bits.
        let whole = Place { c: self.to.pixel, offset: 0, step: 1, ..self.to };
        let mut y = on.value_in(2 * self.to.rows(), &numbers(3, len), self.to);
        device.mask(&mut y, &copied, 0.0);
        written.extend(on.read(&y, whole));
        device.copy_bits(batch, None, (&mut copied, self.to));
        written.extend(on.signs(&copied, self.to));
        device.zero(&mut y);
        written.extend(on.read(&y, self.to));
        written
    }
}

fn bits<T: Rounded>(cuda: &Cuda<T>) {
    let [dense, sparse] = places(Shape { c: 5, h: 3, w: 2 });
    for (from, to) in [(dense, sparse), (sparse, dense)] {
        for images in [64, 101] {
            agree(cuda, images, "sign bits", &Bits { from, to });
        }
    }
}

#[test]
fn sign_bits_are_the_cpus() {
    in_every_format!(bits);
}
