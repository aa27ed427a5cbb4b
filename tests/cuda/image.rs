//! kernels/image.cu.

use crate::in_every_format;
use crate::twins::{On, Operation, Rounded, agree, numbers, places};
use synfilter::backend::cuda::device::Cuda;
use synfilter::backend::{Adversarial, AttackStep, Backend, ImageBatch, Input, Output, PixelData, Standard};
use synfilter::graph::Shape;
use synfilter::graph::place::Place;
use synfilter::random::Random;

struct Load {
    bytes: bool,
    attack: Option<AttackStep>,
    place: Place,
}

impl Operation for Load {
    fn run<B: Backend>(&self, on: &On<B>) -> Vec<f32> {
        let (device, batch, place) = (on.device, on.batch, self.place);
        let len = batch.images * place.c * place.h * place.w;
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
        let norm = Standard { mean: &mean, std: &std };
        let mut z = on.value(&vec![7.0; len], place);
        let out = Output { data: &mut z, place };
        match self.attack {
            None => device.load_images(batch, &images, norm, out),
            Some(attack) => {
                let [dense, sparse] = places(Shape { c: place.c, h: place.h, w: place.w });
                let other = if place == dense { sparse } else { dense };
                let gradient = on.value(&numbers(6, len), other);
                let gradient = Input { data: &gradient, place: other };
                let at = Adversarial { pixels: None, z: out };
                device.attack_step(batch, &images, norm, gradient, attack, at);
            }
        }
        on.read(&z, Place { c: place.pixel, offset: 0, step: 1, ..place })
    }
}

fn load<T: Rounded>(cuda: &Cuda<T>) {
    let steps = [None, Some((8.0 / 255.0, true)), Some((0.3, false))];
    let attacks = steps.map(|step| step.map(|(eps, clamp)| AttackStep { eps, alpha: eps, clamp }));
    // One tile and less, several with an unfinished one, and lanes without an image.
    for (shape, images) in
        [(Shape { c: 3, h: 9, w: 15 }, 70), (Shape { c: 1, h: 8, w: 8 }, 64), (Shape { c: 2, h: 3, w: 1 }, 1)]
    {
        for place in places(shape) {
            for attack in attacks {
                for bytes in [true, false] {
                    let what = format!("{shape:?} {attack:?}, bytes {bytes}");
                    agree(cuda, images, &what, &Load { bytes, attack, place });
                }
            }
        }
    }
}

#[test]
fn images_and_attacks_are_the_cpus() {
    in_every_format!(load);
}
