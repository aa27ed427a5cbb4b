//! Softmax cross-entropy, its gradient, and whether the prediction is right.
//!
//! ```text
//! loss = ln Σ exp(z_k − max) + max − z_label        d loss / d z_k = softmax_k − [k = label]
//! ```
//! Sixteen images at a time in plain arithmetic without fused operations, which the compiler vectorises: the results are
//! the same on every instruction set.

use super::functions;
use super::launch::{check, launch, same_shape};
use super::simd::{Isa, Kernel, Level};
use super::value::{Source, Target};

type Lanes = [f32; 16];

/// Where the gradient goes and by which factor it is multiplied (1 for a sum over images, 1/N for a mean).
pub struct Gradient<'a> {
    /// 1×1 map of the logits' shape; lanes that are no image become zero.
    pub target: Target<'a>,
    /// The factor.
    pub factor: f32,
}

/// Losses of the first `labels.len()` lanes of logits (a 1×1 map, one channel per class), one for each label, and a
/// bit for each lane whose greatest logit (the first of equal ones) is its label's. With a NaN among its logits a
/// lane's loss is NaN and its prediction wrong.
pub fn softmax_cross_entropy(
    level: Level,
    logits: Source,
    labels: &[u16],
    losses: &mut [f32],
    gradient: Option<Gradient>,
) -> u64 {
    check(&logits);
    let l = logits.layout;
    assert_eq!((l.h, l.w), (1, 1), "map of logits");
    assert!(labels.len() <= l.lanes && losses.len() == labels.len(), "labels and losses");
    assert!(labels.iter().all(|&label| usize::from(label) < l.c), "a label beyond {} classes", l.c);
    if let Some(Gradient { target, .. }) = &gradient {
        same_shape(l, target.layout);
        assert_eq!(target.rows, 0..1, "rows of a 1×1 map");
        check(&Source { data: target.data, layout: target.layout });
    }
    // SAFETY: the kernel has no conditions.
    unsafe { launch(level, CrossEntropy { logits, labels, losses, gradient }) }
}

struct CrossEntropy<'a> {
    logits: Source<'a>,
    labels: &'a [u16],
    losses: &'a mut [f32],
    gradient: Option<Gradient<'a>>,
}

impl Kernel for CrossEntropy<'_> {
    type Output = u64;
    #[inline(always)]
    unsafe fn run<I: Isa>(mut self) -> u64 {
        let layout = self.logits.layout;
        let mut correct = 0;
        for first in (0..layout.lanes).step_by(16) {
            let row = |k: usize| sixteen(self.logits.data, layout.at(0, k) + first);
            let (mut max, mut best) = ([f32::NEG_INFINITY; 16], [0f32; 16]);
            for k in 0..layout.c {
                let z = row(k);
                for i in 0..16 {
                    best[i] = if z[i] > max[i] { k as f32 } else { best[i] };
                    max[i] = if z[i] > max[i] { z[i] } else { max[i] };
                }
            }
            let mut sum = [0f32; 16];
            for k in 0..layout.c {
                let e = exp(shifted(row(k), max));
                for i in 0..16 {
                    sum[i] += e[i];
                }
            }
            let here = self.labels.get(first..).unwrap_or_default();
            for (i, &label) in here.iter().take(16).enumerate() {
                let loss = sum[i].ln() + (max[i] - row(label.into())[i]);
                self.losses[first + i] = loss;
                correct |= u64::from(best[i] == f32::from(label) && !loss.is_nan()) << (first + i);
            }
            if let Some(Gradient { target, factor }) = &mut self.gradient {
                let mut share: Lanes = [0.0; 16];
                for (share, sum) in share.iter_mut().zip(sum).take(here.len()) {
                    *share = *factor / sum;
                }
                for k in 0..layout.c {
                    let e = exp(shifted(row(k), max));
                    let out = &mut target.data[target.layout.at(0, k) + first..][..16];
                    for i in 0..16 {
                        out[i] = if i < here.len() { e[i] * share[i] } else { 0.0 };
                    }
                }
                for (i, &label) in here.iter().take(16).enumerate() {
                    target.data[target.layout.at(0, label.into()) + first + i] -= *factor;
                }
            }
        }
        correct
    }
}

#[inline(always)]
fn sixteen(data: &[f32], at: usize) -> Lanes {
    let mut lanes = [0.0; 16];
    lanes.copy_from_slice(&data[at..at + 16]);
    lanes
}

#[inline(always)]
fn shifted(z: Lanes, max: Lanes) -> Lanes {
    let mut lanes = z;
    for (lane, max) in lanes.iter_mut().zip(max) {
        *lane -= max;
    }
    lanes
}

#[inline(always)]
fn exp(mut x: Lanes) -> Lanes {
    for lane in &mut x {
        *lane = functions::exp(*lane);
    }
    x
}
