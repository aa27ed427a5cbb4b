//! A study: architectures × data sets × seeds × epochs, trained, swept and scored as one graph of steps.
//!
//! [`spec`] reads the file that describes it, [`steps`](mod@steps) makes the graph, [`run`](mod@run) has an [`Execute`] do what is not
//! done yet, [`state`] keeps a record beside the results of every step. [`halving`](mod@halving) is the search of ε.

mod data_set;
pub mod document;
pub mod halving;
pub mod run;
pub mod spec;
pub mod state;
pub mod steps;

pub use halving::{Halving, halving};
pub use run::{Done, Event, Execute, Summary, finished, run};
pub use spec::Spec;
pub use state::{Content, Record};
pub use steps::{Folders, Step, Task, Work, checkpoint_of, steps};
