//! Attacks on networks: FGSM and PGD, and what networks make of them.
//!
//! [`Document`] is what `synfilter attack` leaves in its folder as `attack.json`: accuracy against ε (security curves) for
//! each network and each [`Method`].

pub mod document;
pub mod method;

pub use document::{Count, Curve, Document, Filtered, NetworkCurves, Point};
pub use method::{MAX_STEPS, Method, Pgd};
