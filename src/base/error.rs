//! The one error type of the library. Every variant knows its exit code (see [`Error::exit_code`]).

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong, told in one line: which file, where in it, what was expected, what was found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting that cannot be: an unknown layer, fewer than two thresholds, ε outside [0, 1]. Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// A file whose content is not what it should be. Exit code 3.
    #[error("{}: {place}: expected {expected}, found {found}", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// Where in the file: a byte offset, a record, a tensor name.
        place: String,
        /// What should stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A file that cannot be read. Exit code 3.
    #[error("{}: cannot read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that cannot be written (full disk, read-only folder). Exit code 1.
    #[error("{}: cannot write: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The computation itself failed. Exit code 1.
    #[error("{0}")]
    Failed(String),
    /// The device is missing or refused the work. Exit code 4.
    #[error("{0}")]
    Device(String),
    /// The user stopped the program; everything finished so far is kept. Exit code 130.
    #[error("interrupted; finished work is kept")]
    Interrupted,
}

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The exit code of the process that ends with this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Write { .. } | Error::Failed(_) => 1,
            Error::Usage(_) => 2,
            Error::Input { .. } | Error::Read { .. } => 3,
            Error::Device(_) => 4,
            Error::Interrupted => 130,
        }
    }

    /// A file whose content is wrong.
    pub fn input(
        path: impl AsRef<Path>,
        place: impl Display,
        expected: impl Display,
        found: impl Display,
    ) -> Self {
        Error::Input {
            path: path.as_ref().to_owned(),
            place: place.to_string(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }

    /// A closure for `map_err` that names the file that could not be read.
    pub fn read(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        move |source| Error::Read { path: path.as_ref().to_owned(), source }
    }

    /// A closure for `map_err` that names the file that could not be written.
    pub fn write(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        move |source| Error::Write { path: path.as_ref().to_owned(), source }
    }

    /// A setting that cannot be.
    pub fn usage(what: impl Display) -> Self {
        Error::Usage(what.to_string())
    }
}
