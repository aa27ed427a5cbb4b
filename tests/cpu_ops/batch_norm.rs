//! Batch normalisation with batch statistics.

use crate::value::{Value, assert_all_close, layouts};
use synfilter::backend::cpu::batch_norm::*;
use synfilter::backend::cpu::elementwise::map;
use synfilter::backend::cpu::simd::Level;
use synfilter::backend::cpu::value::Epilogue;
use synfilter::random::Random;

const C: usize = 7;
const EPSILON: f32 = synfilter::graph::NORM_EPS;

/// A batch of two slabs of different widths, the second partly filled, far from zero mean.
fn batch(h: usize, w: usize, random: &mut Random) -> Vec<(Value, usize)> {
    let mut batch = vec![
        (Value::random(layouts(C, h, w, 64)[1], random), 64),
        (Value::random(layouts(C, h, w, 48)[2], random), 36),
    ];
    for (value, _) in &mut batch {
        for pixel in 0..h * w {
            for c in 0..C {
                let at = value.layout.at(pixel, c);
                value.data[at..at + value.layout.lanes]
                    .iter_mut()
                    .for_each(|v| *v = *v * (c + 1) as f32 + 40.0 * c as f32);
            }
        }
    }
    batch
}

fn elements(batch: &[(Value, usize)], c: usize) -> Vec<f64> {
    let mut all = Vec::new();
    for (value, images) in batch {
        let pixels = value.layout.h * value.layout.w;
        all.extend((0..pixels).flat_map(|p| (0..*images).map(move |lane| value.get(lane, c, p))));
    }
    all
}

fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n)
}

fn batch_statistics(level: Level, batch: &[(Value, usize)], parts: &[usize]) -> (Vec<f32>, Vec<f32>) {
    let slabs: Vec<Slab> =
        batch.iter().map(|(v, images)| Slab { value: v.source(), images: *images }).collect();
    let (mut mean, mut variance) = (vec![0.0; C], vec![0.0; C]);
    for part in parts.windows(2) {
        let channels = part[0]..part[1];
        statistics(level, &slabs, channels.clone(), &mut mean[channels.clone()], &mut variance[channels]);
    }
    (mean, variance)
}

#[test]
fn statistics_in_any_split_of_channels() {
    let mut random = Random::new(1, 2);
    for level in Level::available() {
        for (h, w) in [(9, 5), (1, 1)] {
            let batch = batch(h, w, &mut random);
            let whole = batch_statistics(level, &batch, &[0, C]);
            assert_eq!(whole, batch_statistics(level, &batch, &[0, 3, 4, C]));
            for c in 0..C {
                let (mean, variance) = moments(&elements(&batch, c));
                assert_all_close(&[whole.0[c]], &[mean], if c == 0 { 2e-5 } else { 2e-7 }, "mean");
                assert_all_close(&[whole.1[c]], &[variance], 2e-6, "variance");
            }
        }
    }
}

/// A mean of up to 100,000 deviations: sums of squares in f32 would lose all digits.
#[test]
fn statistics_are_sound_far_from_zero() {
    let mut random = Random::new(2, 2);
    for level in Level::available() {
        let mut batch = batch(8, 8, &mut random);
        for (value, _) in &mut batch {
            value.data.iter_mut().filter(|v| **v < 1e20).for_each(|v| *v = 1000.0 + *v * 0.01);
        }
        let (mean, variance) = batch_statistics(level, &batch, &[0, C]);
        for c in 0..C {
            let (m, v) = moments(&elements(&batch, c));
            assert_all_close(&[mean[c]], &[m], 1e-7, "mean");
            // The values themselves are spaced 6e-5, their deviation is 0.01 and up.
            assert_all_close(&[variance[c]], &[v], 1e-5, "variance");
        }
    }
}

#[test]
fn nothing_at_all_has_zeros() {
    let (mut mean, mut variance) = (vec![1.0; 2], vec![1.0; 2]);
    statistics(Level::best(), &[], 0..2, &mut mean, &mut variance);
    assert_eq!((mean, variance), (vec![0.0; 2], vec![0.0; 2]));
}

#[test]
fn running_statistics() {
    let (mut mean, mut variance) = (vec![1.0, 2.0], vec![1.0, 4.0]);
    update_running([&[3.0, 2.0], &[2.0, 4.0]], 5, 0.1, &mut mean, &mut variance);
    assert_all_close(&mean, &[1.2, 2.0], 1e-7, "mean");
    assert_all_close(&variance, &[0.9 + 0.1 * 2.5, 3.6 + 0.1 * 5.0], 1e-7, "variance");
}

/// Loss Σ dy·y in f64, with batch statistics of the perturbed values.
fn loss(x: &[f64], dy: &[f64], gamma: f64) -> f64 {
    let (mean, variance) = moments(x);
    let inverse = 1.0 / (variance + f64::from(EPSILON)).sqrt();
    x.iter().zip(dy).map(|(x, dy)| dy * gamma * (x - mean) * inverse).sum()
}

#[test]
fn forward_and_backward() {
    let mut random = Random::new(3, 2);
    for level in Level::available() {
        for (h, w) in [(3, 5), (1, 1)] {
            let x = batch(h, w, &mut random);
            let dy: Vec<(Value, usize)> = x
                .iter()
                .map(|(v, images)| {
                    (Value::gradient(layouts(C, h, w, v.layout.lanes)[0], *images, &mut random), *images)
                })
                .collect();
            let gamma: Vec<f32> = (0..C).map(|_| random.normal()).collect();
            let beta: Vec<f32> = (0..C).map(|_| random.normal()).collect();
            let (mean, variance) = batch_statistics(level, &x, &[0, C]);
            let (mut scale, mut shift) = (vec![0.0; C], vec![0.0; C]);
            coefficients([&gamma, &beta, &mean, &variance], None, &mut scale, &mut shift);
            let inverse = inverse_deviation(&variance);

            let pairs: Vec<_> = dy.iter().zip(&x).map(|(dy, x)| (dy.0.source(), x.0.source())).collect();
            let (mut d_gamma, mut d_beta) = (vec![0.0; C], vec![0.0; C]);
            for channels in [0..2, 2..C] {
                let c = channels.clone();
                parameter_gradients(
                    level,
                    &pairs,
                    channels.clone(),
                    [&mean[c.clone()], &inverse[c.clone()]],
                    &mut d_gamma[c.clone()],
                    &mut d_beta[c],
                );
            }
            let (mut whole_gamma, mut whole_beta) = (vec![0.0; C], vec![0.0; C]);
            parameter_gradients(level, &pairs, 0..C, [&mean, &inverse], &mut whole_gamma, &mut whole_beta);
            assert_eq!((&d_gamma, &d_beta), (&whole_gamma, &whole_beta), "{level:?}: split of channels");

            let count = h * w * 100;
            let gradient = InputGradient::new([&gamma, &mean, &inverse, &d_gamma, &d_beta], count);
            let mut offset = 0;
            for ((x_, images), (dy_, _)) in x.iter().zip(&dy) {
                let mut y = Value::empty(x_.layout);
                let epilogue = Epilogue { scale: Some(&scale), shift: Some(&shift), ..Epilogue::default() };
                map(level, x_.source(), y.target(), epilogue);
                y.assert_close(3e-5, "forward", |lane, c, p| {
                    let (mean, variance) = moments(&elements(&x, c));
                    let inverse = 1.0 / (variance + f64::from(EPSILON)).sqrt();
                    (x_.get(lane, c, p) - mean) * inverse * f64::from(gamma[c]) + f64::from(beta[c])
                });

                let mut dx = Value::empty(x_.layout);
                for rows in [0..h / 2, h / 2..h] {
                    gradient.apply(
                        level,
                        dy_.source(),
                        x_.source(),
                        *images,
                        dx.part(rows),
                        Epilogue::default(),
                    );
                }
                for c in 0..C {
                    let (all_x, all_dy) = (elements(&x, c), elements(&dy, c));
                    let (m, v) = moments(&all_x);
                    let inverse = 1.0 / (v + f64::from(EPSILON)).sqrt();
                    let sum: f64 = all_x.iter().zip(&all_dy).map(|(x, dy)| dy * (x - m) * inverse).sum();
                    assert!((f64::from(d_gamma[c]) - sum).abs() < 1e-5 * (1.0 + sum.abs()) * 30.0, "dγ");
                    assert!((f64::from(d_beta[c]) - all_dy.iter().sum::<f64>()).abs() < 1e-4, "dβ");
                    for p in 0..h * w {
                        for lane in 0..x_.layout.lanes {
                            if lane >= *images {
                                assert_eq!(dx.get(lane, c, p), 0.0, "a lane that is no image");
                                continue;
                            }
                            if (p * 7 + lane) % 13 != 0 {
                                continue;
                            }
                            // Central difference in f64.
                            let (at, step) = (offset + p * images + lane, 1e-3);
                            let moved = |by: f64| {
                                let mut x = all_x.clone();
                                x[at] += by;
                                loss(&x, &all_dy, f64::from(gamma[c]))
                            };
                            let want = (moved(step) - moved(-step)) / (2.0 * step);
                            let got = dx.get(lane, c, p);
                            assert!(
                                (got - want).abs() < 2e-5 * (1.0 + want.abs()),
                                "dx {level:?} {c}: {got} {want}"
                            );
                        }
                    }
                }
                offset += h * w * images;
            }
        }
    }
}
