//! The folder of a training run.
//!
//! | file | what |
//! |---|---|
//! | `train.json` | settings, digests of the images, version, commands: written first |
//! | `log.jsonl` | a line per epoch |
//! | `epoch-0010.safetensors` | the weights after an epoch |
//! | `events.out.tfevents.synfilter` | the log for TensorBoard, where it is asked for |
//! | `state.safetensors` | the newest weights with the optimiser's state, to resume from |
//!
//! Everything but the log appears whole or not at all. The state is written last: whatever is older than the state
//! is complete, and whatever is newer is made again, with the same bits, by the run that resumes.

use super::settings::TrainSettings;
use crate::atomic_file::AtomicFile;
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::input::Input;
use crate::versioned;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// One process that worked on a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The exact command, word by word.
    pub command: Vec<String>,
    /// The device in words.
    pub device: String,
}

/// What `train.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainFile {
    /// The settings.
    pub settings: TrainSettings,
    /// Version of the program.
    pub version: String,
    /// [`crate::data::Images::digest`] of the training images.
    pub train_digest: String,
    /// The same of the test images.
    pub test_digest: String,
    /// The processes that worked on the run, in order.
    pub sessions: Vec<Session>,
    /// What was read; runs of versions that did not tell have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Input>,
}

/// A run's folder that is ready to be worked in.
#[derive(Debug)]
pub struct TrainDir {
    path: PathBuf,
}

impl TrainDir {
    /// Name of the file with the settings.
    pub const SETTINGS: &str = "train.json";

    /// Name of the file with the newest state.
    pub const STATE: &str = "state.safetensors";

    /// Makes the folder `path` for a run, or takes up what is in it if `resume` is given.
    ///
    /// # Errors
    /// [`Error::Usage`] if the folder holds a run with other settings (but for the number of epochs), other images or of
    /// another version, naming the first difference, or one that `resume` was not given for; [`Error::Input`],
    /// [`Error::Read`], [`Error::Write`].
    pub fn open(path: &Path, ours: &TrainFile, resume: bool) -> Result<TrainDir> {
        fs::create_dir_all(path).map_err(Error::write(path))?;
        let dir = TrainDir { path: path.to_owned() };
        let Some(mut found) = dir.read_settings()? else {
            if let Some(name) = [Self::STATE, super::Log::NAME].into_iter().find(|n| path.join(n).exists()) {
                let what = format!("{}: holds {name} but no {}", path.display(), Self::SETTINGS);
                return Err(Error::usage(format!("{what}; choose another folder")));
            }
            dir.write_settings(ours)?;
            return Ok(dir);
        };
        if let Some(difference) = first_difference(ours, &found) {
            let what = format!("{}: holds a training run with other settings", path.display());
            return Err(Error::usage(format!("{what}: {difference}")));
        }
        if !resume {
            let what = format!("{}: holds a training run that was already started", path.display());
            return Err(Error::usage(format!("{what}; pass --resume to go on with it")));
        }
        found.settings.epochs = ours.settings.epochs;
        found.sessions.extend_from_slice(&ours.sessions);
        dir.write_settings(&found)?;
        Ok(dir)
    }

    /// Where the checkpoint of an epoch is.
    pub fn checkpoint(&self, epoch: u32) -> PathBuf {
        self.path.join(format!("epoch-{epoch:04}.safetensors"))
    }

    /// Where the newest state is.
    pub fn state(&self) -> PathBuf {
        self.path.join(Self::STATE)
    }

    /// The newest state and its epoch, if there is one.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Input`].
    pub fn read_state(&self) -> Result<Option<(Checkpoint, u32)>> {
        let path = self.state();
        if !path.exists() {
            return Ok(None);
        }
        let state = Checkpoint::load(&path)?;
        match state.meta.epoch {
            Some(epoch) => Ok(Some((state, epoch))),
            None => Err(Error::input(&path, "metadata `epoch`", "the number of finished epochs", "none")),
        }
    }

    fn read_settings(&self) -> Result<Option<TrainFile>> {
        let path = self.path.join(Self::SETTINGS);
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|error| Error::input(&path, "content", "the settings of a training run", error)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::read(&path)(error)),
        }
    }

    fn write_settings(&self, settings: &TrainFile) -> Result<()> {
        let path = self.path.join(Self::SETTINGS);
        let text =
            serde_json::to_string_pretty(settings).map_err(|error| Error::write(&path)(error.into()))?;
        let mut file = AtomicFile::create(&path)?;
        file.write_all(format!("{text}\n").as_bytes()).map_err(Error::write(&path))?;
        file.commit()
    }
}

/// The first thing in which a run found differs from ours, as "name: expected …, found …". Expected is what the folder holds.
fn first_difference(ours: &TrainFile, found: &TrainFile) -> Option<String> {
    let json = |file: &TrainFile| {
        let mut file = file.clone();
        file.settings.epochs = ours.settings.epochs;
        file.sessions.clear();
        file.input = None;
        serde_json::to_value(file).unwrap_or_default()
    };
    versioned::difference("", &json(found), &json(ours))
}
