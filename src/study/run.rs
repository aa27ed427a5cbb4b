//! Runs the steps of a study in order, each once, and keeps a record of each.

use super::state::StepRecord;
use super::steps::Step;
use crate::atomic_file::remove_leftovers;
use crate::content::Content;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What a step did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Files that it read.
    pub inputs: Vec<PathBuf>,
    /// Files that it wrote.
    pub outputs: Vec<PathBuf>,
    /// The device in words.
    pub device: String,
    /// The command that does the same by itself.
    pub command: Vec<String>,
    /// The seed of the network.
    pub seed: u64,
}

/// Something that happens.
#[derive(Clone, Copy, Debug)]
pub enum Event<'e> {
    /// A step begins: its number from 1, and how many there are.
    Begins(usize, usize, &'e Step),
    /// It is done, after so many seconds.
    Ends(&'e Step, f64),
    /// It failed.
    Fails(&'e Step, &'e Error),
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StudySummary {
    /// Steps that were done before.
    pub skipped: usize,
    /// Steps that were done now.
    pub done: usize,
}

/// The steps, with the records of those that are done: no key, output or step before them has changed.
///
/// # Errors
/// Those of [`StepRecord::read`].
pub fn finished(steps: &[Step]) -> Result<Vec<Option<StepRecord>>> {
    let mut found: Vec<Option<StepRecord>> = Vec::new();
    for step in steps {
        let ready = step.after.iter().all(|&at| found[at].is_some());
        let record = if ready { StepRecord::read(step)?.filter(|record| record.is_of(step)) } else { None };
        found.push(record);
    }
    Ok(found)
}

/// Has `execute` do what is not done. Where a step fails by itself, those that need it are left out and all others done; the first
/// failure is the result then.
///
/// # Errors
/// [`Error::Interrupted`] between two steps once `stop` is true; those of the steps and of their records.
pub fn run(
    steps: &[Step],
    study: &Path,
    execute: &mut dyn FnMut(&Step) -> Result<Done>,
    hear: &mut dyn FnMut(Event),
    stop: &dyn Fn() -> bool,
) -> Result<StudySummary> {
    let study = Content::of(study)?;
    let mut is_done: Vec<bool> = finished(steps)?.iter().map(Option::is_some).collect();
    let pending = is_done.iter().filter(|done| !**done).count();
    let mut summary = StudySummary { skipped: steps.len() - pending, done: 0 };
    let mut failure = None;
    let mut number = 0;
    for (at, step) in steps.iter().enumerate() {
        if is_done[at] {
            continue;
        }
        number += 1;
        if step.after.iter().any(|&before| !is_done[before]) {
            continue;
        }
        if stop() {
            return Err(Error::Interrupted);
        }
        hear(Event::Begins(number, pending, step));
        remove_leftovers(&step.folder)?;
        let started = Instant::now();
        let done = match execute(step) {
            Ok(done) => done,
            Err(error @ Error::Failed(_)) => {
                hear(Event::Fails(step, &error));
                failure.get_or_insert(Error::Failed(format!("{}: {error}", step.name)));
                continue;
            }
            Err(error) => return Err(error),
        };
        let seconds = started.elapsed().as_secs_f64();
        let contents =
            |files: &[PathBuf]| files.iter().map(|file| Content::of(file)).collect::<Result<Vec<_>>>();
        let record = StepRecord {
            step: step.name.clone(),
            key: step.key.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: done.command,
            seed: done.seed,
            device: done.device,
            settings: step.settings.clone(),
            study: study.clone(),
            inputs: contents(&done.inputs)?,
            outputs: contents(&done.outputs)?,
            seconds,
        };
        record.write(step)?;
        is_done[at] = true;
        summary.done += 1;
        hear(Event::Ends(step, seconds));
    }
    match failure {
        None => Ok(summary),
        Some(error) => Err(error),
    }
}
