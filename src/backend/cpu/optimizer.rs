//! Parameter updates over flat slices, with PyTorch's order of operations (`torch.optim.Adam`, `torch.optim.SGD`).
//!
//! Parameters can be cut into ranges for threads anywhere: every element is on its own.

use super::launch::launch;
use super::simd::{Isa, Kernel, Level};
use crate::backend::{Adam, Sgd};

impl Adam {
    /// Step number `step`, counted from 1. `mean` and `square` start as zeros; all slices have one length.
    pub fn step(
        &self,
        level: Level,
        step: u64,
        parameters: &mut [f32],
        gradients: &[f32],
        mean: &mut [f32],
        square: &mut [f32],
    ) {
        let n = parameters.len();
        assert_eq!([gradients.len(), mean.len(), square.len()], [n; 3], "parameters and their state");
        let step = step.min(i32::MAX as u64) as i32;
        let kernel = AdamStep {
            parameters,
            gradients,
            mean,
            square,
            decay: self.weight_decay as f32,
            beta2: self.beta2 as f32,
            new_mean: (1.0 - self.beta1) as f32,
            new_square: (1.0 - self.beta2) as f32,
            root: (1.0 - self.beta2.powi(step)).sqrt() as f32,
            epsilon: self.epsilon as f32,
            size: -(self.lr / (1.0 - self.beta1.powi(step))) as f32,
        };
        // SAFETY: the kernel has no conditions.
        unsafe { launch(level, kernel) }
    }
}

impl Sgd {
    /// One step. `velocity` starts as zeros; all slices have one length.
    pub fn step(&self, level: Level, parameters: &mut [f32], gradients: &[f32], velocity: &mut [f32]) {
        let n = parameters.len();
        assert_eq!([gradients.len(), velocity.len()], [n; 2], "parameters and their state");
        let kernel = SgdStep {
            parameters,
            gradients,
            velocity,
            decay: self.weight_decay as f32,
            momentum: self.momentum as f32,
            nesterov: self.nesterov,
            size: self.lr as f32,
        };
        // SAFETY: the kernel has no conditions.
        unsafe { launch(level, kernel) }
    }
}

struct AdamStep<'a> {
    parameters: &'a mut [f32],
    gradients: &'a [f32],
    mean: &'a mut [f32],
    square: &'a mut [f32],
    decay: f32,
    beta2: f32,
    new_mean: f32,
    new_square: f32,
    root: f32,
    epsilon: f32,
    size: f32,
}

impl Kernel for AdamStep<'_> {
    type Output = ();
    /// Plain loops: the compiler vectorises them for the instruction set of `I`, with the same results on each.
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let state = self.mean.iter_mut().zip(self.square);
        for ((p, &g), (m, s)) in self.parameters.iter_mut().zip(self.gradients).zip(state) {
            let g = g + self.decay * *p;
            *m += self.new_mean * (g - *m);
            *s = *s * self.beta2 + self.new_square * g * g;
            *p += self.size * *m / (s.sqrt() / self.root + self.epsilon);
        }
    }
}

struct SgdStep<'a> {
    parameters: &'a mut [f32],
    gradients: &'a [f32],
    velocity: &'a mut [f32],
    decay: f32,
    momentum: f32,
    nesterov: bool,
    size: f32,
}

impl Kernel for SgdStep<'_> {
    type Output = ();
    /// As for [`AdamStep`].
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        for ((p, &g), v) in self.parameters.iter_mut().zip(self.gradients).zip(self.velocity) {
            let g = g + self.decay * *p;
            *v = *v * self.momentum + g;
            *p -= self.size * if self.nesterov { g + self.momentum * *v } else { *v };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Both optimisers against their textbook recurrences in f64, five steps, at every SIMD level.
    #[test]
    fn against_f64() {
        for level in Level::available() {
            for (decay, nesterov) in [(0.0, false), (0.01, true)] {
                let mut random = Random::new(1, 1);
                let n = 37;
                let start: Vec<f32> = (0..n).map(|_| random.normal()).collect();
                let adam = Adam { weight_decay: decay, ..Adam::new(0.01) };
                let sgd = Sgd { lr: 0.1, momentum: 0.9, nesterov, weight_decay: decay };
                let (mut a, mut s) = (start.clone(), start.clone());
                let (mut mean, mut square, mut velocity) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
                let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
                let (mut ra, mut rs) = (wide(&start), wide(&start));
                let (mut rm, mut rq, mut rv) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
                for step in 1..=5 {
                    let g: Vec<f32> = (0..n).map(|_| random.normal()).collect();
                    adam.step(level, step as u64, &mut a, &g, &mut mean, &mut square);
                    sgd.step(level, &mut s, &g, &mut velocity);
                    for i in 0..n {
                        let d = f64::from(g[i]) + decay * ra[i];
                        rm[i] = 0.9 * rm[i] + 0.1 * d;
                        rq[i] = 0.999 * rq[i] + 0.001 * d * d;
                        let (m, q) = (rm[i] / (1.0 - 0.9f64.powi(step)), rq[i] / (1.0 - 0.999f64.powi(step)));
                        ra[i] -= 0.01 * m / (q.sqrt() + 1e-8);
                        let d = f64::from(g[i]) + decay * rs[i];
                        rv[i] = 0.9 * rv[i] + d;
                        rs[i] -= 0.1 * if nesterov { d + 0.9 * rv[i] } else { rv[i] };
                    }
                }
                for i in 0..n {
                    assert!((f64::from(a[i]) - ra[i]).abs() < 1e-6, "Adam {level:?} {i}: {} {}", a[i], ra[i]);
                    assert!((f64::from(s[i]) - rs[i]).abs() < 2e-6, "SGD {level:?} {i}: {} {}", s[i], rs[i]);
                }
            }
        }
    }
}
