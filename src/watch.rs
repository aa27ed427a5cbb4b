//! What a long piece of work tells while it goes on, and how it is asked to stop.

use crate::error::{Error, Result};
use crate::input::Input;

/// Whoever watches a long piece of work: a terminal, a notebook, nobody (`()`). Every method has a default that does
/// nothing. They may be called from any thread.
pub trait Watch: Sync {
    /// Whether the work is to stop at the next safe point. What is finished then is kept, and the error is
    /// [`Error::Interrupted`].
    fn stop(&self) -> bool {
        false
    }

    /// What was taken from files and defaults: before anything is computed, and when nothing can be refused any more.
    fn taken(&self, _input: &Input) {}

    /// A sentence on what goes on.
    fn note(&self, _line: &str) {}

    /// A part of the work begins; those before it are over.
    fn begins(&self, _part: &Part) {}

    /// So many units of the part at hand are done; `detail` says what is at hand, if anything is to be said.
    fn done(&self, _units: u64, _detail: &dyn Fn() -> String) {}

    /// The part at hand is over.
    fn ends(&self) {}
}

/// Nobody.
impl Watch for () {}

/// A part of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'p> {
    /// What it is, such as "sweep".
    pub what: &'p str,
    /// How many units it has.
    pub units: u64,
    /// What a unit is, in the plural.
    pub unit: &'p str,
    /// Units that were there before it began, and say nothing of its speed.
    pub before: u64,
}

/// Fails if the work is to stop.
pub(crate) fn check(watch: &dyn Watch) -> Result<()> {
    if watch.stop() { Err(Error::Interrupted) } else { Ok(()) }
}
