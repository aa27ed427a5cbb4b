//! synfilter: which weights of a trained network are fragile, robust or antifragile.

pub mod checkpoint;
pub mod data;
pub mod error;

pub use error::{Error, Result};
