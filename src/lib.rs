//! synfilter: which weights of a trained network are fragile, robust or antifragile.

pub mod attack;
pub mod backend;
mod base;
pub mod checkpoint;
pub mod data;
pub mod eval;
pub mod filter;
pub mod graph;
pub mod input;
pub mod inspect;
pub mod invariance;
pub mod model;
pub mod models;
pub mod network;
mod pickle;
pub mod report;
pub mod retrain;
pub mod score;
pub mod security;
pub mod study;
pub mod sweep;
pub mod tape;
pub mod train;
pub mod watch;
pub mod weights;

pub use backend::device::Device;
pub use base::{atomic_file, bits, columnar, content, error, lock, provenance, random, text, versioned};
pub use error::{Error, Result};

pub(crate) use base::named_choice;
