//! synfilter: which weights of a trained network are fragile, robust or antifragile.

pub mod atomic_file;
pub mod columnar;
pub mod data;
pub mod error;
pub mod filter;
pub mod score;
pub mod sweep;

pub use error::{Error, Result};
