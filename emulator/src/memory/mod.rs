//! Address spaces: what lies where, whether it may be touched, and what was touched.
//!
//! Global memory lies at its host addresses; the other spaces have windows at fixed generic addresses. Instructions
//! go through `access`, which finds the memory, checks every lane, and counts.

mod access;
mod banks;
mod checks;
mod copies;
mod global;
mod heap;
mod launch;
mod local;
mod mbarrier;
mod race;
mod shared;
mod space;
mod touched;

pub use access::{ArrivalKind, CopyRequest, Staged, Way};
pub use checks::Checks;
pub use global::GlobalMemory;
pub use heap::{Allocation, Owner};
pub use launch::LaunchMemory;
pub use local::WarpMemory;
pub use mbarrier::{MAX_COUNT, State};
pub use shared::BlockMemory;
pub use space::{CONST_WINDOW, LOCAL_WINDOW, PARAMETER_WINDOW, SHARED_WINDOW, space_of, window};
