//! The loss.

use super::bench::Bench;
use common::oracle;
use synfilter::backend::{Backend, ImageBatch, PixelData};
use synfilter::graph::Shape;

/// Losses, verdicts and the gradient.
pub fn cross_entropy<B: Backend>(bench: &mut Bench<B>) {
    let classes = bench.between(1, 40) * [1, 1, 1, 5][bench.between(0, 3)];
    let (shape, batch) = (Shape { c: classes, h: 1, w: 1 }, bench.batch);
    // Some so far apart that probabilities vanish; a power of two, which every format holds.
    let wider = [1.0, 32.0][bench.between(0, 1)];
    let numbers: Vec<f32> = bench.normals(batch.images * classes).iter().map(|v| wider * v).collect();
    let x = bench.value_of(shape, &numbers);
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
