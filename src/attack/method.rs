//! How adversarial images are made: one step, or several.

use crate::backend::{AttackStart, AttackStep, Noise};
use crate::error::{Error, Result};
use crate::named_choice::named_choice;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The most steps that PGD takes.
pub const MAX_STEPS: u32 = 10_000;

/// The number of steps that PGD takes if nothing is said.
pub const DEFAULT_STEPS: u32 = 10;
/// The sizes of a security curve if nothing is said, in pixel units.
pub const DEFAULT_EPS: &str = "1/255,2/255,4/255,8/255,16/255,32/255";

named_choice!(
    /// A [`Method`] without its settings.
    MethodName, "method" {
        /// [`Method::Fgsm`].
        Fgsm = "fgsm",
        /// [`Method::Pgd`].
        Pgd = "pgd"
    }
);

/// How adversarial images of a given ε are made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum Method {
    /// The fast gradient sign method (Goodfellow, Shlens and Szegedy 2015): one step of size ε.
    Fgsm,
    /// Projected gradient descent.
    Pgd(Pgd),
}

/// Projected gradient descent (Madry et al. 2018, "Towards deep learning models resistant to adversarial attacks"), in the
/// maximum norm: from x₀ = x, or clip(x + uniform noise in ±ε), in every step
/// xₜ₊₁ = clip(x + max(−ε, min(ε, xₜ + α·sign(∇ CE(f(xₜ), y)) − x))).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pgd {
    /// Number of steps, 1 to [`MAX_STEPS`].
    pub steps: u32,
    /// α, in pixel units; `None` is 2.5·ε/steps, Madry et al.'s: 2/255 in 10 steps of ε = 8/255.
    pub step_size: Option<f64>,
    /// Seed of the random start; `None`: the first step starts at the image itself.
    pub seed: Option<u64>,
}

impl Pgd {
    /// α for `eps`, both in pixel units.
    pub fn step_size(&self, eps: f64) -> f64 {
        self.step_size.unwrap_or(2.5 * eps / f64::from(self.steps))
    }

    /// Whether these settings can be.
    ///
    /// # Errors
    /// A usage error for no or too many steps, and for a step size outside (0, 1].
    pub fn check(&self) -> Result<()> {
        if !(1..=MAX_STEPS).contains(&self.steps) {
            return Err(Error::usage(format!("steps: expected 1 to {MAX_STEPS}, found {}", self.steps)));
        }
        match self.step_size {
            Some(size) if !(size > 0.0 && size <= 1.0) => Err(Error::usage(format!(
                "step size: expected more than 0, to 1 in pixel units, found {size}"
            ))),
            _ => Ok(()),
        }
    }
}

impl Method {
    /// α for `eps`, where steps have a size of their own.
    pub fn step_size(&self, eps: f64) -> Option<f64> {
        match self {
            Method::Fgsm => None,
            Method::Pgd(pgd) => Some(pgd.step_size(eps)),
        }
    }

    /// Its name.
    pub fn name(&self) -> MethodName {
        match self {
            Method::Fgsm => MethodName::Fgsm,
            Method::Pgd(_) => MethodName::Pgd,
        }
    }
}

impl fmt::Display for Method {
    /// "FGSM", "PGD-10", "PGD-10 seed 3".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Method::Fgsm => f.pad("FGSM"),
            Method::Pgd(Pgd { steps, seed: None, .. }) => f.pad(&format!("PGD-{steps}")),
            Method::Pgd(Pgd { steps, seed: Some(seed), .. }) => f.pad(&format!("PGD-{steps} seed {seed}")),
        }
    }
}

/// An attack in full.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attack {
    /// How adversarial images are made.
    pub method: Method,
    /// ε, in pixel units.
    pub eps: f64,
    /// Whether adversarial images are clipped to [0, 1].
    pub clamp: bool,
}

impl Attack {
    /// Whether the first step goes along the gradient at the images themselves.
    pub fn starts_clean(&self) -> bool {
        !matches!(self.method, Method::Pgd(Pgd { seed: Some(_), .. }))
    }

    /// Whether gradients at adversarial images are needed.
    pub fn goes_on(&self) -> bool {
        matches!(self.method, Method::Pgd(Pgd { steps, .. }) if steps > 1) || !self.starts_clean()
    }

    /// Where it starts on images of which the first has position `first` in the test set.
    pub(super) fn start(&self, first: usize) -> AttackStart {
        let noise = |seed| Noise { eps: self.eps as f32, seed, first_image: first as u64 };
        let seed = match self.method {
            Method::Fgsm => None,
            Method::Pgd(pgd) => pgd.seed,
        };
        AttackStart { noise: seed.map(noise), clamp: self.clamp }
    }

    /// Its steps: that of FGSM is as large as the ball.
    pub(super) fn step(&self) -> AttackStep {
        let alpha = self.method.step_size(self.eps).unwrap_or(self.eps);
        AttackStep { eps: self.eps as f32, alpha: alpha as f32, clamp: self.clamp }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_step_size_is_torchattacks_at_its_eps() {
        let pgd = Pgd { steps: 10, step_size: None, seed: None };
        assert_eq!(pgd.step_size(8.0 / 255.0) as f32, (2.0 / 255.0) as f32);
        assert_eq!(Pgd { step_size: Some(0.5), ..pgd }.step_size(8.0 / 255.0), 0.5);
    }

    #[test]
    fn gradients_that_an_attack_needs() {
        let needs = |steps, seed| {
            let method = Method::Pgd(Pgd { steps, step_size: None, seed });
            let attack = Attack { method, eps: 0.1, clamp: true };
            (attack.starts_clean(), attack.goes_on())
        };
        assert_eq!([needs(1, None), needs(2, None)], [(true, false), (true, true)]);
        assert_eq!([needs(1, Some(0)), needs(2, Some(0))], [(false, true), (false, true)]);
        let fgsm = Attack { method: Method::Fgsm, eps: 0.1, clamp: true };
        assert_eq!((fgsm.starts_clean(), fgsm.goes_on()), (true, false));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let check = |steps, step_size| Pgd { steps, step_size, seed: None }.check();
        assert!(check(1, None).is_ok() && check(MAX_STEPS, Some(1.0)).is_ok());
        for (steps, size) in [(0, None), (MAX_STEPS + 1, None), (1, Some(0.0)), (1, Some(-0.1))] {
            assert_eq!(check(steps, size).unwrap_err().exit_code(), 2, "{steps} {size:?}");
        }
        for size in [1.5, f64::NAN, f64::INFINITY] {
            assert!(check(1, Some(size)).unwrap_err().to_string().starts_with("step size: "), "{size}");
        }
    }
}
