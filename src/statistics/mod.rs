//! Scores from per-image outcomes: their values, standard errors, labels, and when a label is decided.
//!
//! Pure functions of bits, below the sweep that measures them, so that it can ask after every pass which layers have
//! been measured enough. [`crate::score`] reads finished sweeps and makes tables of the same numbers.
//!
//! | file | what |
//! |---|---|
//! | [`sample`] | which images a sampled sweep measures which network on |
//! | [`pool`] | the unfiltered network's outcomes on all images, and the strata they make |
//! | [`estimate`], `sampled` | a score as a number with an influence per image, of all images or of a sample |
//! | [`target`] | the three scores of a layer, filter by filter and combined |
//! | [`rule`], [`decision`] | what has to be known before a layer is left, and whether it is |
//! | [`reach`] | whether it ever can be, from the unfiltered network's outcomes |

mod asked;
pub mod decision;
pub mod estimate;
mod label;
pub mod pool;
pub mod reach;
pub mod rule;
pub mod sample;
mod sampled;
pub mod simpson;
pub mod target;
mod which;

pub use asked::{Asked, Over};
pub use decision::{Bounds, Decision, Finding, Guard};
pub use estimate::Estimate;
pub use label::Label;
pub use pool::Pool;
pub use reach::Reach;
pub use rule::{Rule, Until};
pub use sample::{Sample, Seen};
pub use target::{Curve, Estimates, Point};
pub use which::{Baseline, Which};
