//! Softmax cross-entropy.

use crate::value::{Value, layouts};
use synfilter::backend::cpu::loss::{Gradient, softmax_cross_entropy};
use synfilter::backend::cpu::simd::Level;
use synfilter::random::Random;

fn reference(z: &[f64], label: usize) -> f64 {
    let max = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    z.iter().map(|z| (z - max).exp()).sum::<f64>().ln() + max - z[label]
}

#[test]
fn loss_gradient_and_prediction() {
    let mut random = Random::new(1, 3);
    for level in Level::available() {
        for (k, lanes, n) in [(10, 64, 64), (3, 16, 5), (200, 48, 36), (2, 32, 0)] {
            for layout in layouts(k, 1, 1, lanes) {
                let mut z = Value::random(layout, &mut random);
                for c in 0..k {
                    // Wide enough a range that some probabilities vanish.
                    z.data[layout.at(0, c)..][..lanes].iter_mut().for_each(|z| *z *= 30.0);
                }
                let labels: Vec<u16> = (0..n).map(|_| random.below(k as u32) as u16).collect();
                let mut losses = vec![-1.0; n];
                let mut dz = Value::empty(layout);
                let gradient = Gradient { target: dz.target(), factor: 0.25 };
                let correct = softmax_cross_entropy(level, z.source(), &labels, &mut losses, Some(gradient));
                let row = |lane: usize| (0..k).map(|c| z.get(lane, c, 0)).collect::<Vec<f64>>();
                for lane in 0..lanes {
                    let right = lane < n && {
                        let z = row(lane);
                        z.iter()
                            .enumerate()
                            .all(|(c, v)| c == usize::from(labels[lane]) || *v < z[usize::from(labels[lane])])
                    };
                    assert_eq!(correct >> lane & 1 == 1, right);
                }
                for lane in 0..n {
                    let want = reference(&row(lane), labels[lane].into());
                    assert!(
                        (f64::from(losses[lane]) - want).abs() < 1e-5 * (1.0 + want),
                        "{} {want}",
                        losses[lane]
                    );
                }
                dz.assert_close(3e-7, "gradient", |lane, c, _| {
                    if lane >= n {
                        return 0.0;
                    }
                    let (z, label) = (row(lane), usize::from(labels[lane]));
                    // A central difference of the loss.
                    let moved = |by: f64| {
                        let mut z = z.clone();
                        z[c] += by;
                        reference(&z, label)
                    };
                    0.25 * (moved(1e-4) - moved(-1e-4)) / 2e-4
                });
                let mut alone = vec![0.0; n];
                assert_eq!(softmax_cross_entropy(level, z.source(), &labels, &mut alone, None), correct);
                assert_eq!(alone, losses);
            }
        }
    }
}

#[test]
fn ties_go_to_the_lowest_index_and_nan_is_wrong() {
    let layout = layouts(3, 1, 1, 16)[0];
    for level in Level::available() {
        let mut z = Value::empty(layout);
        for (c, column) in
            [[1.0, 5.0, 5.0, 0.0], [1.0, f32::NAN, 7.0, 0.0], [1.0, 4.0, f32::NAN, 8.0]].iter().enumerate()
        {
            z.data[16 * c..16 * c + 16].fill(0.0);
            z.data[16 * c..16 * c + 4].copy_from_slice(column);
        }
        let mut losses = vec![0.0; 6];
        let correct = softmax_cross_entropy(level, z.source(), &[0, 0, 1, 2, 1, 0], &mut losses, None);
        assert_eq!(correct, 0b101001);
        assert!(losses[1].is_nan() && losses[2].is_nan());
        assert!((losses[0] - 3f32.ln()).abs() < 1e-6);
    }
}
