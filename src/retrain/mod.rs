//! Selective retraining: from a checkpoint whose layers have labels, only robust and antifragile layers are trained on;
//! beside it the controls, which train all layers, or as many layers chosen at random, or none.
//!
//! [`Retraining`] is the front door. [`labels`](mod@labels) reads the labels from a finished sweep, [`arms`](mod@arms) says what each arm trains, [`outcome`](mod@outcome)
//! keeps what became of every image, [`statistics`](mod@statistics) compares arms, [`RetrainingRecord`] is what `synfilter retrain` leaves in its
//! folder as `retrain.json`.

pub mod arms;
pub mod document;
pub mod labels;
pub mod outcome;
mod plan;
mod run;
pub mod statistics;
pub mod table;

pub use arms::Arms;
pub use document::{Arm, RetrainingRecord, RetrainingSettings};
pub use outcome::{Outcome, RETRAIN_PARQUET};
pub use plan::{Retraining, RetrainingPlan};
pub use table::table;
