//! Attacks on networks: FGSM and PGD.
//!
//! A [`Method`] with a size ([`Eps`]) is an [`Attack`]; an [`Adversary`] makes its images on a device, batch by batch, for
//! evaluations ([`crate::eval`]), sweeps ([`crate::sweep`]) and security curves ([`crate::security`]) alike.

pub mod adversary;
mod eps;
pub mod method;

pub use adversary::Adversary;
pub use eps::{Eps, StepSize};
pub use method::{Attack, DEFAULT_EPS, DEFAULT_STEPS, MAX_STEPS, Method, MethodName, Pgd};
