//! The sweep: every filter at every threshold on every layer, measured in blocks of images.
//!
//! ```text
//! weights ─► plan ─► units (checkpoint × image block × layer) ─► run ─► journal ─► export ─► cells.jsonl, cells.parquet
//!                                                     Measure ┘             └─ merge joins those of several shards
//! ```
//!
//! [`plan`] decides what has to be computed, [`run`](mod@run) has a [`Measure`] compute it unit by unit, [`journal`] keeps
//! every finished unit through a crash, [`export`] turns complete journals into the finished tables. A run lives in
//! a folder ([`dir`]):
//!
//! | file | what |
//! |---|---|
//! | `run.json` | settings, their hash, the plan, versions, the command |
//! | `journal-I-of-N.jsonl` | one line per finished unit of shard I of N |
//! | `cells.jsonl`, `cells.parquet` | one record per cell, once all units are there |
//! | `scores.parquet` | written by [`crate::score`] |

pub mod dir;
pub mod engine;
mod estimate;
pub mod export;
pub mod job;
pub mod journal;
mod lanes;
pub mod measure;
pub mod merge;
pub mod order;
pub mod plan;
mod prepare;
pub mod record;
pub mod run;
pub mod sampling;
mod shard;
mod task;

pub use crate::bits::{Bits, FixedSum};
pub use crate::model::CheckpointId;
pub use crate::network::BnMode;
pub use dir::RunDir;
pub use engine::Engine;
pub use job::{Job, Outlook, Run};
pub use measure::{AfterEach, Measure, Outcome, Target};
pub use merge::merge;
pub use order::Order;
pub use plan::{CheckpointPlan, SweepPlan};
pub use record::{AttackMode, Cell, Record, Scope, SweepSettings};
pub use run::{Finished, Keep, SweepProgress, sweep};
pub use sampling::Sampling;
pub use shard::Shard;
pub use task::{Block, Choices};
