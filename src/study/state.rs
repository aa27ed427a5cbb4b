//! What of a study is done: a record beside the results of every finished step.
//!
//! A record is written last. A step that was killed has none, or an older one, and is run again; training and sweeps then go
//! on with what they had kept themselves.

use super::steps::Step;
use crate::atomic_file::AtomicFile;
use crate::content::Content;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs;
use std::io::{ErrorKind, Write};

/// What a finished step leaves beside its results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// [`Step::name`].
    pub step: String,
    /// [`Step::key`].
    pub key: String,
    /// Version of the program.
    pub version: String,
    /// The command that does the same by itself, word by word.
    pub command: Vec<String>,
    /// The seed of the network.
    pub seed: u64,
    /// The device in words.
    pub device: String,
    /// [`Step::settings`].
    pub settings: Value,
    /// The study's file.
    pub study: Content,
    /// Files that were read.
    pub inputs: Vec<Content>,
    /// Files that were written, all into the folder of the step.
    pub outputs: Vec<Content>,
    /// Seconds that it took, those of earlier processes that were stopped not included.
    pub seconds: f64,
}

impl StepRecord {
    /// The record of a step, if there is one.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::Input`] if it is not what this program wrote.
    pub fn read(step: &Step) -> Result<Option<StepRecord>> {
        let path = step.record();
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|error| Error::input(&path, "content", "the record of a study's step", error)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::read(&path)(error)),
        }
    }

    /// Whether it is the record of that very step and what the step wrote is there.
    pub fn is_of(&self, step: &Step) -> bool {
        self.key == step.key && self.outputs.iter().all(|output| output.is_in(&step.folder))
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write(&self, step: &Step) -> Result<()> {
        let path = step.record();
        let text = serde_json::to_string_pretty(self).map_err(|error| Error::write(&path)(error.into()))?;
        let mut file = AtomicFile::create(&path)?;
        file.write_all(format!("{text}\n").as_bytes()).map_err(Error::write(&path))?;
        file.commit()
    }
}
