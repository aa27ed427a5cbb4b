//! Files that appear whole or not at all: written under a temporary name beside the target, flushed to the disk,
//! then renamed. A reader never sees half of one, and a failed write leaves nothing behind.

use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file in the making. Dropped without [`commit`](AtomicFile::commit), it is removed.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    temporary: PathBuf,
    file: BufWriter<File>,
    committed: bool,
}

impl AtomicFile {
    /// Starts a file that will be called `path`; its folder must exist.
    ///
    /// # Errors
    /// [`Error::Write`] if the temporary file cannot be created.
    pub fn create(path: impl AsRef<Path>) -> Result<AtomicFile> {
        let path = path.as_ref().to_owned();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // The process id keeps two writers of one file (two shards that finish together) apart.
        let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
        let file = File::create(&temporary).map_err(Error::write(&path))?;
        Ok(AtomicFile { path, temporary, file: BufWriter::new(file), committed: false })
    }

    /// Puts the file in its place, over an older one.
    ///
    /// # Errors
    /// [`Error::Write`]; nothing is left behind, and an older file stays as it was.
    pub fn commit(mut self) -> Result<()> {
        self.settle()?;
        fs::rename(&self.temporary, &self.path).map_err(Error::write(&self.path))?;
        self.committed = true;
        sync_folder_of(&self.path)
    }

    /// Puts the file in its place unless there is one already; says whether it did. Of several processes that try
    /// at once, one wins.
    ///
    /// # Errors
    /// [`Error::Write`]; nothing is left behind.
    pub fn commit_new(mut self) -> Result<bool> {
        self.settle()?;
        match fs::hard_link(&self.temporary, &self.path) {
            // The link is the file; dropping self removes the temporary name.
            Ok(()) => sync_folder_of(&self.path).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            // A file system without hard links.
            Err(_) if self.path.exists() => Ok(false),
            Err(_) => self.commit().map(|()| true),
        }
    }

    fn settle(&mut self) -> Result<()> {
        self.file.flush().map_err(Error::write(&self.path))?;
        self.file.get_ref().sync_all().map_err(Error::write(&self.path))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.committed {
            // Best effort: the error that led here is the one to report.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Removes what processes that were killed have left half written in a folder, if there is one. Nobody else may be writing
/// there.
///
/// # Errors
/// [`Error::Write`].
pub fn remove_leftovers(folder: &Path) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::write(folder)(error)),
    };
    for entry in entries {
        let path = entry.map_err(Error::write(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp")?.rsplit_once('.'));
        if number.is_some_and(|(_, process)| process.parse::<u32>().is_ok()) {
            fs::remove_file(&path).map_err(Error::write(&path))?;
        }
    }
    Ok(())
}

/// Makes the names in the folder of `path` survive a power failure.
///
/// # Errors
/// [`Error::Write`].
pub fn sync_folder_of(path: &Path) -> Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::write(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_on_commit_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cells.jsonl");
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        assert!(!path.exists());
        drop(file);
        assert!(names(folder.path()).is_empty());

        for text in ["first", "second"] {
            let mut file = AtomicFile::create(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file.commit().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"third").unwrap();
        assert!(!file.commit_new().unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        assert_eq!(names(folder.path()), ["cells.jsonl"]);

        // What a killed process leaves.
        std::mem::forget(AtomicFile::create(&path).unwrap());
        fs::write(folder.path().join(".my.tmp"), "").unwrap();
        assert_eq!(names(folder.path()).len(), 3);
        remove_leftovers(folder.path()).unwrap();
        assert_eq!(names(folder.path()), [".my.tmp", "cells.jsonl"]);
        fs::remove_file(folder.path().join(".my.tmp")).unwrap();
        remove_leftovers(&folder.path().join("none")).unwrap();

        let new = folder.path().join("run.json");
        assert!(AtomicFile::create(&new).unwrap().commit_new().unwrap());
        assert_eq!(names(folder.path()), ["cells.jsonl", "run.json"]);
    }

    #[test]
    fn a_missing_folder_is_a_write_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = AtomicFile::create(folder.path().join("no/such/file")).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().contains("no/such/file: cannot write"), "{error}");
    }
}
