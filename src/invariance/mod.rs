//! Invariance: which layers keep their label, and how far scores agree, over epochs, data sets, architectures and seeds.
//!
//! ```text
//! run folders ─► gather ─► scored checkpoints ─► compare ─► compare.json
//!                                                  ├─ layers: the same layers, one by one
//!                                                  └─ depth:  different networks, in ten bins, and landmarks
//! ```
//!
//! [`gather`](mod@gather) reads and scores sweeps and refuses those that mean nothing together, [`compare`](mod@compare) groups
//! checkpoints that differ in one respect alone, [`statistics`] has Fleiss' κ and Spearman's ρ, [`landmarks`] the roles of
//! layers. [`InvarianceRecord`] is what `synfilter compare` leaves in its folder as `compare.json`.

mod axis;
pub mod compare;
pub mod depth;
pub mod document;
pub mod gather;
pub mod landmarks;
pub mod layers;
pub mod statistics;
mod summary;
mod table;
mod words;

pub use axis::Axis;
pub use compare::compare;
pub use document::InvarianceRecord;
pub use gather::{Allowed, gather};
pub use table::table;
pub use words::shown;
