//! Pixels into slabs, FGSM, and the way back.

use crate::value::{Value, layouts};
use synfilter::backend::AttackStep;
use synfilter::backend::cpu::attack::Step;
use synfilter::backend::cpu::image::{Normalisation, Pixels, load, to_nchw};
use synfilter::backend::cpu::simd::Level;
use synfilter::random::Random;

const NORM: Normalisation = Normalisation { mean: &[0.485, 0.456, 0.406], std: &[0.229, 0.224, 0.225] };

/// Both kinds of pixels at every SIMD level.
fn every<'a>(bytes: &'a [u8], floats: &'a [f32]) -> Vec<(Pixels<'a>, Level)> {
    let levels = Level::available().into_iter();
    levels.flat_map(|level| [(Pixels::U8(bytes), level), (Pixels::F32(floats), level)]).collect()
}

#[test]
fn loading_is_exact() {
    let mut random = Random::new(1, 4);
    for (lanes, n) in [(64, 64), (48, 36), (16, 1)] {
        for layout in layouts(3, 5, 31, lanes) {
            let bytes: Vec<u8> = (0..n * 3 * 155).map(|_| random.bits() as u8).collect();
            let floats: Vec<f32> = bytes.iter().map(|&b| f32::from(b) / 255.0).collect();
            let want = |lane: usize, c: usize, pixel: usize| {
                let x = if lane < n { floats[(lane * 3 + c) * 155 + pixel] } else { 0.0 };
                f64::from((x - NORM.mean[c]) / NORM.std[c])
            };
            for (pixels, level) in every(&bytes, &floats) {
                let mut z = Value::empty(layout);
                load(level, pixels, NORM, &mut z.data, layout);
                z.assert_close(0.0, "normalised", want);
                let back = to_nchw(z.source(), n);
                assert_eq!(back.len(), n * 3 * 155);
                for (i, v) in back.iter().enumerate() {
                    let (lane, c, pixel) = (i / 465, i / 155 % 3, i % 155);
                    assert_eq!(
                        f64::from(*v),
                        want(lane, c, pixel),
                        "image {lane}, channel {c}, pixel {pixel}"
                    );
                }
            }
        }
    }
}

#[test]
fn fgsm_moves_by_the_sign() {
    let mut random = Random::new(2, 4);
    for clamp in [false, true] {
        for (layout, gl) in layouts(3, 4, 4, 32).into_iter().zip(layouts(3, 4, 4, 32).into_iter().rev()) {
            let n = 20;
            let bytes: Vec<u8> = (0..n * 48).map(|_| random.bits() as u8).collect();
            let floats: Vec<f32> = bytes.iter().map(|&b| f32::from(b) / 255.0).collect();
            let mut gradient = Value::random(gl, &mut random);
            for pixel in 0..16 {
                gradient.data[gl.at(pixel, 0) + pixel] = [0.0, -0.0, f32::NAN][pixel % 3];
            }
            let step = Step { step: AttackStep { eps: 0.1, alpha: 0.1, clamp }, gradient: gradient.source() };
            for (pixels, level) in every(&bytes, &floats) {
                let mut z = Value::empty(layout);
                step.apply(level, pixels, NORM, None, &mut z.data, layout);
                z.assert_close(0.0, "fgsm", |lane, c, pixel| {
                    if lane >= n {
                        return f64::from((0.0 - NORM.mean[c]) / NORM.std[c]);
                    }
                    let g = gradient.get(lane, c, pixel);
                    let sign = if g > 0.0 {
                        1.0
                    } else if g < 0.0 {
                        -1.0
                    } else {
                        0.0
                    };
                    let x = floats[(lane * 3 + c) * 16 + pixel] + 0.1f32 * sign;
                    let x = if clamp { x.clamp(0.0, 1.0) } else { x };
                    f64::from((x - NORM.mean[c]) / NORM.std[c])
                });
            }
        }
    }
}
