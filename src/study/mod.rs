//! A study: architectures × data sets × seeds × epochs, trained, swept and scored as one graph of steps.
//!
//! [`Study`] is the front door. [`spec`] reads the file that describes it, [`steps`](mod@steps) makes the graph,
//! [`run`](mod@run) goes along it and does what is not done yet, [`state`] keeps a record beside the results of every step.

mod check;
mod cost;
mod data_set;
pub mod document;
mod execute;
mod images;
mod job;
mod measured;
pub mod run;
pub mod spec;
pub mod state;
pub mod steps;
mod words;

pub use cost::Cost;
pub use execute::REPORT_HTML;
pub use job::Study;
pub use run::{Done, Event, StudySummary, finished, run};
pub use spec::Spec;
pub use state::StepRecord;
pub use steps::{Folders, Step, Task, Work, checkpoint_of, steps};
