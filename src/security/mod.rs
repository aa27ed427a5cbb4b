//! Security curves: accuracy of networks against ε, for each of several attacks.
//!
//! [`Curves`] makes them, block by block of images, and keeps what is finished ([`Unfinished`]); [`SecurityRecord`] is what it leaves
//! in its folder as `attack.json`, beside the outcome of every image in `attack.parquet`.

mod cell;
mod curves;
pub mod document;
pub mod outcomes;
mod table;
mod unfinished;

pub use cell::FilteredCell;
pub use curves::Curves;
pub use document::{Count, Filtered, NetworkCurves, Point, SecurityCurve, SecurityRecord};
pub use outcomes::{ATTACK_PARQUET, Outcomes, write_outcomes};
pub use table::table;
pub use unfinished::Unfinished;
