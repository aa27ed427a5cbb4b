//! Starts and steps of attacks: kernels/image.cu.

use crate::in_every_format;
use crate::twins::{On, Operation, Rounded, agree, numbers, places};
use synfilter::backend::cuda::device::Cuda;
use synfilter::backend::{
    Adversarial, AttackStart, AttackStep, Backend, ImageBatch, Input, Noise, Output, PixelData, Standard,
};
use synfilter::graph::Shape;
use synfilter::graph::place::Place;
use synfilter::random::Random;

/// A start and two steps; what is read are the pixels and z after each.
struct Descent {
    bytes: bool,
    noise: Option<Noise>,
    clamp: bool,
    place: Place,
}

impl Operation for Descent {
    fn run<B: Backend>(&self, on: &On<B>) -> Vec<f32> {
        let (device, batch, place) = (on.device, on.batch, self.place);
        let shape = Shape { c: place.c, h: place.h, w: place.w };
        let len = batch.images * place.values();
        let mut random = Random::new(5, 5);
        let bytes: Vec<u8> = (0..len).map(|_| random.below(256) as u8).collect();
        let mut floats: Vec<f32> = (0..len).map(|_| 1.5 * random.uniform() - 0.25).collect();
        floats[len / 2] = f32::NAN;
        let labels = vec![0; batch.images];
        let pixels = if self.bytes { PixelData::Bytes(&bytes) } else { PixelData::Floats(&floats) };
        let images = device.images(ImageBatch { pixels, labels: &labels });
        let mean: Vec<f32> = (0..place.c).map(|_| random.uniform()).collect();
        let std: Vec<f32> = (0..place.c).map(|_| 0.1 + random.uniform()).collect();
        let (mean, std) = (device.upload(&mean), device.upload(&std));
        let norm = || Standard { mean: &mean, std: &std };

        let mut pixels = device.pixels(place.values(), batch);
        let mut z = on.value(&vec![7.0; len], place);
        let mut found = Vec::new();
        let mut read = |pixels: &B::Floats, z: &B::Values| {
            // Lanes without an image, of which a slab on CUDA may have more, are not compared.
            let rows = on.floats(pixels);
            for slab in batch.slabs() {
                let lanes = rows.len() / place.values() - slab.start;
                let width = if slab.start + slab.lanes < batch.lanes() { slab.lanes } else { lanes };
                let start = slab.start * place.values();
                let rows = rows[start..start + place.values() * width].chunks(width);
                found.extend(rows.flat_map(|row| &row[..slab.images]));
            }
            found.extend(on.read(z, Place { c: place.pixel, offset: 0, step: 1, ..place }));
        };
        let to = Adversarial { pixels: Some(&mut pixels), z: Output { data: &mut z, place } };
        device.attack_start(batch, &images, norm(), AttackStart { noise: self.noise, clamp: self.clamp }, to);
        read(&pixels, &z);
        for seed in 0..2 {
            let [dense, sparse] = places(shape);
            let other = if place == dense { sparse } else { dense };
            let gradient = on.value(&numbers(seed, len), other);
            let gradient = Input { data: &gradient, place: other };
            let step = AttackStep { eps: 0.1, alpha: 0.07, clamp: self.clamp };
            let at = Adversarial { pixels: Some(&mut pixels), z: Output { data: &mut z, place } };
            device.attack_step(batch, &images, norm(), gradient, step, at);
            read(&pixels, &z);
        }
        found
    }
}

fn descent<T: Rounded>(cuda: &Cuda<T>) {
    let noise = Some(Noise { eps: 0.1, seed: 3 << 33 | 5, first_image: 1 << 34 | 7 });
    // One tile and less, several with an unfinished one, and lanes without an image.
    for (shape, images) in
        [(Shape { c: 3, h: 9, w: 15 }, 70), (Shape { c: 1, h: 8, w: 8 }, 64), (Shape { c: 2, h: 3, w: 1 }, 1)]
    {
        for place in places(shape) {
            for (noise, clamp) in [(None, true), (noise, true), (noise, false)] {
                for bytes in [true, false] {
                    let what = format!("{shape:?} {noise:?}, clamp {clamp}, bytes {bytes}");
                    agree(cuda, images, &what, &Descent { bytes, noise, clamp, place });
                }
            }
        }
    }
}

#[test]
fn starts_and_steps_are_the_cpus() {
    in_every_format!(descent);
}
