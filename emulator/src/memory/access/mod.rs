//! Accesses as a warp executes them: every lane is checked, and everything is counted.

mod asynchronous;
mod atomic;
mod checked;
mod peek;
mod report;
mod traffic;

pub use asynchronous::{ArrivalKind, CopyRequest};
pub use checked::{Staged, Way};
