//! Keeps a second process away from a folder.

use crate::error::{Error, Result};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;

/// The only one at work in a folder, as long as it lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Makes the folder if there is none, and locks it by a file in it that is named after `what` it holds: "study".
    ///
    /// # Errors
    /// [`Error::Failed`] if another process has it; [`Error::Write`].
    pub fn of(folder: &Path, what: &str) -> Result<Lock> {
        fs::create_dir_all(folder).map_err(Error::write(folder))?;
        let path = folder.join(format!("{what}.lock"));
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(Error::write(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => {
                let folder = folder.display();
                Err(Error::Failed(format!("{folder}: another process is at work in this {what}")))
            }
            Err(TryLockError::Error(error)) => Err(Error::write(&path)(error)),
        }
    }
}
