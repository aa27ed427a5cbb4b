//! Batch normalisation with batch statistics.

use crate::value::{Value, assert_all_close, layouts};
use synfilter::backend::cpu::batch_norm::*;
use synfilter::backend::cpu::simd::Level;
use synfilter::backend::cpu::value::Epilogue;
use synfilter::random::Random;

const C: usize = 7;

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

#[test]
fn gradients_in_any_split_of_channels_and_rows() {
    let mut random = Random::new(3, 2);
    for level in Level::available() {
        let (h, w) = (3, 5);
        let x = batch(h, w, &mut random);
        let gradient = |(v, images): &(Value, usize), random: &mut Random| {
            Value::gradient(layouts(C, h, w, v.layout.lanes)[0], *images, random)
        };
        let dy: Vec<Value> = x.iter().map(|value| gradient(value, &mut random)).collect();
        let gamma: Vec<f32> = (0..C).map(|_| random.normal()).collect();
        let (mean, variance) = batch_statistics(level, &x, &[0, C]);
        let inverse = inverse_deviation(&variance);
        let pairs: Vec<_> = dy.iter().zip(&x).map(|(dy, (x, _))| (dy.source(), x.source())).collect();
        let run = |channels: &[usize], rows: &[usize]| {
            let (mut d_gamma, mut d_beta) = (vec![0.0; C], vec![0.0; C]);
            for cut in channels.windows(2) {
                let c = cut[0]..cut[1];
                let statistics = [&mean[c.clone()], &inverse[c.clone()]];
                let (gamma, beta) = (&mut d_gamma[c.clone()], &mut d_beta[c.clone()]);
                parameter_gradients(level, &pairs, c, statistics, gamma, beta);
            }
            let gradient = InputGradient::new([&gamma, &mean, &inverse, &d_gamma, &d_beta], h * w * 100);
            let mut all = Vec::new();
            for ((x, images), dy) in x.iter().zip(&dy) {
                let mut dx = Value::empty(x.layout);
                for cut in rows.windows(2) {
                    let (dy, x, part) = (dy.source(), x.source(), dx.part(cut[0]..cut[1]));
                    gradient.apply(level, dy, x, *images, part, Epilogue::default());
                }
                for (c, p) in (0..C).flat_map(|c| (0..h * w).map(move |p| (c, p))) {
                    let empty = (*images..x.layout.lanes).all(|lane| dx.get(lane, c, p) == 0.0);
                    assert!(empty, "{level:?}: a lane that is no image");
                }
                all.push(dx.data);
            }
            (d_gamma, d_beta, all)
        };
        assert!(run(&[0, 2, C], &[0, 1, h]) == run(&[0, C], &[0, h]), "{level:?}");
    }
}
