//! Attacks: noise by position in the set, the ball under rounding, FGSM as one step.

use crate::value::{Value, layouts};
use synfilter::backend::cpu::attack::{Step, start};
use synfilter::backend::cpu::image::{Normalisation, Pixels};
use synfilter::backend::cpu::layout::Layout;
use synfilter::backend::cpu::simd::Level;
use synfilter::backend::{AttackStart, AttackStep, Noise};
use synfilter::random::{Random, unit};

const NORM: Normalisation = Normalisation { mean: &[0.485, 0.456, 0.406], std: &[0.229, 0.224, 0.225] };
const STILL: AttackStart = AttackStart { noise: None, clamp: true };
const SIZE: usize = 5 * 7;

/// Images, and room for what is made of them.
struct Slab {
    images: usize,
    bytes: Vec<u8>,
    layout: Layout,
    pixels: Vec<f32>,
    z: Value,
}

impl Slab {
    fn new(layout: Layout, images: usize, random: &mut Random) -> Self {
        let bytes = (0..images * 3 * SIZE).map(|_| random.bits() as u8).collect();
        Slab { images, bytes, layout, pixels: vec![9.0; 3 * SIZE * layout.lanes], z: Value::empty(layout) }
    }

    fn start(&mut self, level: Level, how: AttackStart) {
        start(
            level,
            Pixels::U8(&self.bytes),
            NORM,
            how,
            Some(&mut self.pixels),
            &mut self.z.data,
            self.layout,
        );
    }

    fn step(&mut self, level: Level, step: AttackStep, gradient: &Value) {
        let step = Step { step, gradient: gradient.source() };
        step.apply(
            level,
            Pixels::U8(&self.bytes),
            NORM,
            Some(&mut self.pixels),
            &mut self.z.data,
            self.layout,
        );
    }

    fn original(&self, lane: usize, c: usize, pixel: usize) -> f32 {
        if lane < self.images { f32::from(self.bytes[(lane * 3 + c) * SIZE + pixel]) / 255.0 } else { 0.0 }
    }

    /// Holds all pixels, and their z, to what `want` says of (lane, channel, pixel).
    fn assert(&self, what: &str, want: impl Fn(usize, usize, usize) -> f32) {
        let lanes = self.layout.lanes;
        for pixel in 0..SIZE {
            for c in 0..3 {
                for lane in 0..lanes {
                    let found = self.pixels[(pixel * 3 + c) * lanes + lane];
                    assert_eq!(
                        found,
                        want(lane, c, pixel),
                        "{what}: lane {lane}, channel {c}, pixel {pixel}"
                    );
                }
            }
        }
        self.z.assert_close(0.0, what, |lane, c, pixel| {
            f64::from((want(lane, c, pixel) - NORM.mean[c]) / NORM.std[c])
        });
    }
}

/// A gradient with zeros of both signs and what is no number.
fn gradient(layout: Layout, random: &mut Random) -> Value {
    let mut gradient = Value::random(layout, random);
    for pixel in 0..SIZE {
        gradient.data[layout.at(pixel, 0) + pixel % layout.lanes] = [0.0, -0.0, f32::NAN][pixel % 3];
    }
    gradient
}

#[test]
fn starts_are_the_image_or_noise_around_it_by_position_in_the_set() {
    let mut random = Random::new(1, 6);
    for (lanes, images) in [(64, 64), (48, 36), (16, 1)] {
        for layout in layouts(3, 5, 7, lanes) {
            let mut slab = Slab::new(layout, images, &mut random);
            for level in Level::available() {
                slab.start(level, STILL);
                slab.assert("still", |lane, c, pixel| slab.original(lane, c, pixel));
                for clamp in [false, true] {
                    let noise = Noise { eps: 0.2, seed: 77 << 40, first_image: 1 << 33 };
                    slab.start(level, AttackStart { noise: Some(noise), clamp });
                    slab.assert("noise", |lane, c, pixel| {
                        let x = slab.original(lane, c, pixel);
                        if lane >= images {
                            return x;
                        }
                        let element = ((noise.first_image + lane as u64) * 3 + c as u64) * SIZE as u64;
                        let word = Random::bits_at(noise.seed, Noise::STREAM, element + pixel as u64);
                        let x = x + (2.0 * unit(word) - 1.0) * 0.2;
                        if clamp { x.clamp(0.0, 1.0) } else { x }
                    });
                }
            }
        }
    }
}

/// The ball is closed under rounding: x ± ε as f32 has them. Whatever the steps, no pixel leaves it or [0, 1].
#[test]
fn no_step_leaves_the_ball() {
    let mut random = Random::new(3, 6);
    for layout in layouts(3, 5, 7, 48) {
        let mut slab = Slab::new(layout, 40, &mut random);
        for level in Level::available() {
            for (eps, alpha) in [(0.03, 0.3), (0.1, 0.04), (0.3, 0.007), (0.0, 0.1)] {
                let noise = Noise { eps, seed: 1, first_image: 0 };
                slab.start(level, AttackStart { noise: Some(noise), clamp: true });
                let mut moved = 0;
                for _ in 0..12 {
                    let before = slab.pixels.clone();
                    slab.step(level, AttackStep { eps, alpha, clamp: true }, &gradient(layout, &mut random));
                    moved += before.iter().zip(&slab.pixels).filter(|(a, b)| a != b).count();
                    for pixel in 0..SIZE {
                        for (c, lane) in (0..3).flat_map(|c| (0..40).map(move |lane| (c, lane))) {
                            let (x, found) =
                                (slab.original(lane, c, pixel), slab.pixels[(pixel * 3 + c) * 48 + lane]);
                            let (least, most) = ((x - eps).max(0.0), (x + eps).min(1.0));
                            assert!(found >= least && found <= most, "{found} from {x} by {eps}");
                        }
                    }
                }
                assert_eq!(moved > 0, eps > 0.0);
            }
        }
    }
}

/// For pixels of all kinds and ε of all sizes: x + ε − x brought into the ball is ε again, or what rounds to the same.
#[test]
fn one_step_of_the_size_of_the_ball_is_fgsm() {
    let mut random = Random::new(4, 6);
    for round in 0..200 {
        let layout = layouts(3, 5, 7, 64)[round % 3];
        let images = 64 - round % 60;
        let mut floats: Vec<f32> = (0..images * 3 * SIZE)
            .map(|_| match random.below(4) {
                0 => f32::from(random.bits() as u8) / 255.0,
                1 => random.uniform() * 0.5f32.powi(random.below(30) as i32),
                2 => random.uniform(),
                _ => 3.0 * random.uniform() - 1.0,
            })
            .collect();
        floats[0] = f32::NAN;
        let gradient = gradient(layout, &mut random);
        let eps = match round % 3 {
            0 => random.below(256) as f32 / 255.0,
            1 => random.uniform(),
            _ => random.uniform() * 0.5f32.powi(random.below(20) as i32),
        };
        for (level, clamp) in Level::available().into_iter().flat_map(|l| [(l, true), (l, false)]) {
            let pixels = Pixels::F32(&floats);
            let (mut want, mut z) = (Value::empty(layout), Value::empty(layout));
            let one = Step { step: AttackStep { eps, alpha: eps, clamp }, gradient: gradient.source() };
            one.apply(level, pixels, NORM, None, &mut want.data, layout);
            let mut between = vec![0.0; 3 * SIZE * 64];
            start(level, pixels, NORM, STILL, Some(&mut between), &mut z.data, layout);
            for alpha in [eps, 2.5 * eps] {
                let step = AttackStep { eps, alpha, clamp };
                let step = Step { step, gradient: gradient.source() };
                let mut between = between.clone();
                step.apply(level, pixels, NORM, Some(&mut between), &mut z.data, layout);
                let bits = |value: &Value| value.data.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                assert!(
                    bits(&z) == bits(&want),
                    "round {round}, {level:?}, ε {eps}, α {alpha}, clamp {clamp}"
                );
            }
        }
    }
}
