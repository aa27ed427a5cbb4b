//! Attacks on networks: FGSM and PGD, and what networks make of them.
//!
//! A [`Method`] with ε is an [`Attack`]; an [`Adversary`] makes its images on a device, batch by batch, for evaluations
//! ([`crate::eval`]) and sweeps ([`crate::sweep`]) alike.
//!
//! [`Document`] is what `synfilter attack` leaves in its folder as `attack.json`: accuracy against ε (security curves) for
//! each network and each [`Method`].

pub mod adversary;
pub mod document;
pub mod method;
pub mod outcomes;
mod table;
pub mod unfinished;

pub use adversary::Adversary;
pub use document::{Count, Curve, Document, Filtered, NetworkCurves, Point};
pub use method::{Attack, DEFAULT_EPS, DEFAULT_STEPS, MAX_STEPS, Method, MethodName, Pgd};
pub use outcomes::{ATTACK_PARQUET, Outcomes, write_outcomes};
pub use table::table;
pub use unfinished::Unfinished;
