//! What of a study is done: a record beside the results of every finished step.
//!
//! A record is written last. A step that was killed has none, or an older one, and is run again; training and sweeps then go
//! on with what they had kept themselves.

use super::steps::Step;
use crate::atomic_file::AtomicFile;
use crate::error::{Error, Result};
use crate::text::hex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// A file that a step read or wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of its content, hexadecimal.
    pub sha256: String,
}

impl Content {
    /// That of a file as it is now.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn of(path: &Path) -> Result<Content> {
        let mut hash = Sha256::new();
        let mut file = File::open(path).map_err(Error::read(path))?;
        let bytes = io::copy(&mut file, &mut Hashing(&mut hash)).map_err(Error::read(path))?;
        Ok(Content { path: path.to_owned(), bytes, sha256: hex(&hash.finalize()) })
    }

    /// Whether `folder`, wherever it is now, still has a file of that name and length.
    fn is_in(&self, folder: &Path) -> bool {
        let file = self.path.file_name().map(|name| folder.join(name));
        file.and_then(|file| fs::metadata(file).ok())
            .is_some_and(|found| found.is_file() && found.len() == self.bytes)
    }
}

/// Takes what is written into a hash.
struct Hashing<'h>(&'h mut Sha256);

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a finished step leaves beside its results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
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

impl Record {
    /// The record of a step, if there is one.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::Input`] if it is not what this program wrote.
    pub fn read(step: &Step) -> Result<Option<Record>> {
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
