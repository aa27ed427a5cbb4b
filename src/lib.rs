//! synfilter: which weights of a trained network are fragile, robust or antifragile.

pub mod atomic_file;
pub mod attack;
pub mod backend;
pub mod checkpoint;
pub mod columnar;
pub mod data;
pub mod eps;
pub mod error;
pub mod eval;
pub mod filter;
pub mod graph;
pub mod inspect;
pub mod invariance;
pub mod lock;
pub mod model;
pub mod models;
mod named_choice;
pub mod network;
mod pickle;
pub mod random;
pub mod report;
pub mod retrain;
pub mod score;
pub mod study;
pub mod sweep;
pub mod tape;
pub mod text;
pub mod train;
pub mod versioned;
pub mod weights;

pub use error::{Error, Result};
