//! `log.jsonl`: one line for every finished epoch.

use crate::atomic_file::AtomicFile;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// What is known of one epoch. Losses are means over images, accuracies shares of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: u32,
    /// Steps since the start of the run.
    pub step: u64,
    /// Learning rate.
    pub lr: f64,
    /// Cross-entropy of the training images, each as it was seen before the step that it took part in.
    pub train_loss: f64,
    /// Accuracy of the same.
    pub train_accuracy: f64,
    /// Cross-entropy of the test images after the epoch, batch norm by running statistics.
    pub test_loss: f64,
    /// Accuracy of the same.
    pub test_accuracy: f64,
    /// Training images per second, without the evaluation.
    pub images_per_s: f64,
    /// Seconds of training and evaluation.
    pub seconds: f64,
}

/// The log of a run, open for more lines.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    /// What it holds.
    pub epochs: Vec<EpochRecord>,
}

impl Log {
    /// The name of the file in a run's folder.
    pub const NAME: &str = "log.jsonl";

    /// Opens the log in `folder` and drops every line after that of epoch `last`.
    ///
    /// # Errors
    /// [`Error::Input`] where the lines of the epochs 1 to `last` are not all there, naming the line;
    /// [`Error::Read`], [`Error::Write`].
    pub fn open(folder: &Path, last: u32) -> Result<Log> {
        let path = folder.join(Log::NAME);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Error::read(&path)(error)),
        };
        let mut epochs: Vec<EpochRecord> = Vec::new();
        let mut end = 0;
        for (line, text) in text.split_inclusive('\n').enumerate().take(last as usize) {
            let place = format!("line {}", line + 1);
            let expected = format!("the record of epoch {}", line + 1);
            match serde_json::from_str::<EpochRecord>(text) {
                Ok(record) if record.epoch as usize == line + 1 && text.ends_with('\n') => {
                    epochs.push(record)
                }
                Ok(record) => {
                    let found = format!("that of epoch {}", record.epoch);
                    return Err(Error::input(&path, place, expected, found));
                }
                Err(error) => return Err(Error::input(&path, place, expected, error)),
            }
            end += text.len();
        }
        if epochs.len() < last as usize {
            let place = format!("line {}", epochs.len() + 1);
            let expected = format!("{last} lines, as many as epochs are finished");
            return Err(Error::input(&path, place, expected, "the end of the file"));
        }
        if end < text.len() || end == 0 {
            let mut file = AtomicFile::create(&path)?;
            file.write_all(&text.as_bytes()[..end]).map_err(Error::write(&path))?;
            file.commit()?;
        }
        let file = OpenOptions::new().append(true).open(&path).map_err(Error::write(&path))?;
        Ok(Log { path, file, epochs })
    }

    /// Adds the line of an epoch.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn append(&mut self, record: &EpochRecord) -> Result<()> {
        let line = serde_json::to_string(record).map_err(|error| Error::write(&self.path)(error.into()))?;
        self.file.write_all(format!("{line}\n").as_bytes()).map_err(Error::write(&self.path))?;
        self.epochs.push(record.clone());
        Ok(())
    }

    /// Makes the lines survive a power failure.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(Error::write(&self.path))
    }
}
