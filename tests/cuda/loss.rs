//! kernels/loss.cu. The exponential is another one than the CPU's, so losses and gradients agree but for a few roundings;
//! verdicts are the very same.

use crate::in_every_format;
use crate::twins::{On, Rounded, normals, places};
use common::compare::{Tolerance, assert_close};
use synfilter::backend::Input;
use synfilter::backend::cpu::device::Cpu;
use synfilter::backend::cpu::select::ConvMode;
use synfilter::backend::cuda::device::Cuda;
use synfilter::backend::{Backend, ImageBatch, Output, PixelData, Verdicts};
use synfilter::graph::Shape;
use synfilter::graph::place::Place;
use synfilter::random::Random;

struct Case {
    logits: Vec<f32>,
    labels: Vec<u16>,
    from: Place,
    to: Place,
    factor: f32,
}

/// Verdicts, the gradient, and what became of its lanes without an image.
fn run<B: Backend>(on: &On<B>, case: &Case) -> (Verdicts, Vec<f32>, Vec<f32>) {
    let (device, batch) = (on.device, on.batch);
    let x = on.value(&case.logits, case.from);
    let images = device.images(ImageBatch { pixels: PixelData::Bytes(&[]), labels: &case.labels });
    let mut found = device.verdicts(batch);
    let mut gradient = on.value(&case.logits, case.to);
    let out = Output { data: &mut gradient, place: case.to };
    let logits = || Input { data: &x, place: case.from };
    device.cross_entropy(batch, logits(), &images, Some((out, case.factor)), &mut found);
    let verdicts = device.wait(device.fetch(&mut found)).expect("a working device");
    device.cross_entropy(batch, logits(), &images, None, &mut found);
    let again = device.wait(device.fetch(&mut found)).expect("a working device");
    assert_eq!(again.correct, verdicts.correct);
    assert!(again.loss.iter().zip(&verdicts.loss).all(|(a, b)| a.to_bits() == b.to_bits()));
    (verdicts, on.read(&gradient, case.to), on.padding(&gradient, case.to))
}

fn losses<T: Rounded>(cuda: &Cuda<T>) {
    // Fewer classes than groups of threads, as many, more; unfinished slabs.
    for (classes, images, factor) in
        [(1, 5, 1.0), (2, 64, 0.5), (10, 100, 512.0), (32, 7, 1.0), (200, 65, 0.01), (1500, 3, 1.0)]
    {
        let mut random = Random::new(classes as u64, 9);
        let mut logits: Vec<f32> =
            normals(classes as u64, classes * images).iter().map(|v| 3.0 * v).collect();
        let labels: Vec<u16> = (0..images).map(|_| random.below(classes as u32) as u16).collect();
        for (i, logits) in logits.chunks_exact_mut(classes).enumerate() {
            let any = random.below(classes as u32) as usize;
            match i % 8 {
                0 => logits.fill(0.25), // all tie
                1 => logits[any] = f32::NAN,
                2 => logits[any] = f32::INFINITY,
                3 => logits[any] = f32::NEG_INFINITY,
                4 => (logits[classes - 1], logits[any]) = (50.0, 50.0), // two tie
                5 => logits.iter_mut().for_each(|z| *z = z.max(0.0)),   // many tie, perhaps
                _ => logits[usize::from(labels[i])] = 20.0,             // right
            }
        }
        let [dense, sparse] = places(Shape { c: classes, h: 1, w: 1 });
        for (from, to) in [(dense, sparse), (sparse, dense)] {
            let case = Case { logits: logits.clone(), labels: labels.clone(), from, to, factor };
            let (verdicts, gradient, padding) = run(&On::cuda(cuda, images), &case);
            let cpu = Cpu::new(ConvMode::Direct, false);
            let (expected, expected_gradient, _) = run(&On::cpu::<T>(&cpu, images), &case);
            let what = format!("{classes} classes, {images} images, {}", T::NAME);
            assert_eq!(verdicts.correct, expected.correct, "{what}");
            assert!(classes == 1 || verdicts.correct.contains(&false), "{what}: all right");
            assert!(images < 7 || verdicts.correct.contains(&true), "{what}: all wrong");

            let finite = |(a, e): (&f32, &f32)| (a.is_nan() == e.is_nan()).then_some((*a, *e));
            let pairs = |a: &[f32], e: &[f32]| -> (Vec<f32>, Vec<f32>) {
                let pairs = a.iter().zip(e).map(|pair| finite(pair).expect("a NaN where the CPU has one"));
                pairs.filter(|(_, e)| e.is_finite()).unzip()
            };
            // Two roundings of each exponential, those of a sum in another order, and of the logarithm.
            let units = 8.0 + 2.0 * (classes as f64).sqrt();
            let (a, e) = pairs(&verdicts.loss, &expected.loss);
            let largest = e.iter().fold(1.0, |m: f32, v| m.max(v.abs()));
            assert_close(
                format!("{what}: loss"),
                &a,
                &e,
                Tolerance::f32_roundings(units, f64::from(largest)),
            );
            let (a, e) = pairs(&gradient, &expected_gradient);
            // A last place of the format where a rounding falls on the other side.
            let unit =
                f64::from(T::round(1.0 + 1.0 / 128.0) - 1.0).min(if T::BYTES == 4 { 0.0 } else { 1.0 });
            let tolerance = Tolerance::f32_roundings(units, f64::from(factor));
            let tolerance = Tolerance::new(tolerance.absolute, unit);
            assert_close(format!("{what}: gradient"), &a, &e, tolerance);
            assert!(padding.iter().all(|v| v.to_bits() == 0), "{what}: gradients where there is no image");
        }
    }
}

#[test]
fn losses_and_verdicts_are_the_cpus() {
    in_every_format!(losses);
}
