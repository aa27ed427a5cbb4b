//! Files by their content: what a step of a study or a report read or wrote.

use super::error::{Error, Result};
use super::text::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file by its content.
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
    pub fn is_in(&self, folder: &Path) -> bool {
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
