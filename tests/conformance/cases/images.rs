//! Images: normalisation, attacks.

use super::bench::Bench;
use synfilter::backend::{
    Adversarial, AttackStart, AttackStep, Backend, ImageBatch, Noise, PixelData, Standard,
};
use synfilter::graph::Shape;
use synfilter::random::Random;

/// Normalisation, and one FGSM step.
pub fn images<B: Backend>(bench: &mut Bench<B>) {
    let shape = Shape { c: bench.between(1, 3), h: bench.between(1, 9), w: bench.between(1, 9) };
    let (batch, plane) = (bench.batch, shape.h * shape.w);
    let bytes: Vec<u8> = (0..batch.images * shape.c * plane).map(|_| bench.random.below(256) as u8).collect();
    let mean: Vec<f32> = (0..shape.c).map(|_| bench.random.uniform()).collect();
    let std: Vec<f32> = (0..shape.c).map(|_| 0.1 + bench.random.uniform()).collect();
    let labels = vec![0; batch.images];
    let images = bench.device.images(ImageBatch { pixels: PixelData::Bytes(&bytes), labels: &labels });
    let (means, deviations) = (bench.device.upload(&mean), bench.device.upload(&std));
    let norm = || Standard { mean: &means, std: &deviations };
    let z = bench.written(shape, |device, out| device.load_images(batch, &images, norm(), out));
    let normal = |i: usize, pixel: f64| {
        let c = i / plane % shape.c;
        (pixel - f64::from(mean[c])) / f64::from(std[c])
    };
    let pixel = |&byte: &u8| f64::from(byte) / 255.0;
    let expected: Vec<f64> = bytes.iter().map(pixel).enumerate().map(|(i, p)| normal(i, p)).collect();
    bench.close("normalised", &z, &expected, 1);

    // A pixel without a gradient stays where it is.
    let mut numbers = bench.normals(batch.images * shape.c * plane);
    numbers.iter_mut().step_by(5).for_each(|number| *number = 0.0);
    let gradient = bench.gradient_of(shape, &numbers);
    let eps = 0.3 * bench.random.uniform();
    let attack = AttackStep { eps, alpha: eps, clamp: bench.chance() };
    let z = bench.written(shape, |device, z| {
        let at = Adversarial { pixels: None, z };
        device.attack_step(batch, &images, norm(), gradient.input(), attack, at);
    });
    let moved = bytes.iter().zip(&gradient.map.data).enumerate().map(|(i, (byte, g))| {
        let step = f64::from(attack.eps) * if *g == 0.0 { 0.0 } else { g.signum() };
        let pixel = pixel(byte) + step;
        normal(i, if attack.clamp { pixel.clamp(0.0, 1.0) } else { pixel })
    });
    bench.close("adversarial", &z, &moved.collect::<Vec<_>>(), 1);
}

/// A start and a few steps of projected gradient descent; pixels are read from one step to the next.
pub fn descent<B: Backend>(bench: &mut Bench<B>) {
    let shape = Shape { c: bench.between(1, 3), h: bench.between(1, 9), w: bench.between(1, 9) };
    let (batch, values) = (bench.batch, shape.c * shape.h * shape.w);
    let bytes: Vec<u8> = (0..batch.images * values).map(|_| bench.random.below(256) as u8).collect();
    let labels = vec![0; batch.images];
    let images = bench.device.images(ImageBatch { pixels: PixelData::Bytes(&bytes), labels: &labels });
    let (mean, std) = (bench.device.floats(shape.c), bench.device.upload(&vec![1.0; shape.c]));
    let norm = || Standard { mean: &mean, std: &std }; // z is the pixel

    let (eps, clamp) = (0.3 * bench.random.uniform(), bench.chance());
    let (seed, first) = (u64::from(bench.random.bits()), bench.random.below(100) as usize);
    let noise = bench.chance().then_some(Noise { eps, seed, first_image: first as u64 });
    let step = AttackStep { eps, alpha: eps * bench.random.uniform(), clamp };
    let clip = |v: f64| if clamp { v.clamp(0.0, 1.0) } else { v };
    let original: Vec<f64> = bytes.iter().map(|&byte| f64::from(byte) / 255.0).collect();
    let mut numbers = Random::new(seed, Noise::STREAM);
    for _ in 0..first * values {
        numbers.bits();
    }
    let moved = |x: &f64| match noise {
        None => *x,
        Some(_) => clip(x + (2.0 * f64::from(numbers.uniform()) - 1.0) * f64::from(eps)),
    };
    let mut expected: Vec<f64> = original.iter().map(moved).collect();
    let mut pixels = bench.device.pixels(values, batch);
    let z = bench.written(shape, |device, z| {
        let to = Adversarial { pixels: Some(&mut pixels), z };
        device.attack_start(batch, &images, norm(), AttackStart { noise, clamp }, to);
    });
    bench.close("start", &z, &expected, 1);
    for number in 0..3 {
        let gradient = bench.gradient(shape);
        for ((x, original), g) in expected.iter_mut().zip(&original).zip(&gradient.map.data) {
            let direction = if *g == 0.0 { 0.0 } else { g.signum() };
            let delta = *x + f64::from(step.alpha) * direction - original;
            *x = clip(original + delta.clamp(f64::from(-eps), f64::from(eps)));
        }
        let z = bench.written(shape, |device, z| {
            let at = Adversarial { pixels: Some(&mut pixels), z };
            device.attack_step(batch, &images, norm(), gradient.input(), step, at);
        });
        bench.close(&format!("step {number}"), &z, &expected, 1);
    }
}
