//! synfilter: which weights of a trained network are fragile, robust or antifragile.

pub mod backend;
pub mod data;
pub mod error;
pub mod filter;
pub mod random;

pub use error::{Error, Result};
