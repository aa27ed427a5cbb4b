//! What is wrong with a checkpoint file, in words that are safe to print whatever bytes the file holds.

use crate::error::Error;
use std::fmt::Display;
use std::path::Path;

/// What is wrong with a file, before its path is known.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fault {
    pub(super) place: String,
    pub(super) expected: String,
    pub(super) found: String,
}

pub(super) type Parsed<T> = std::result::Result<T, Fault>;

impl Fault {
    pub(super) fn new(place: impl Display, expected: impl Display, found: impl Display) -> Self {
        Fault { place: place.to_string(), expected: expected.to_string(), found: found.to_string() }
    }

    pub(super) fn at(self, path: &Path) -> Error {
        Error::input(path, self.place, self.expected, self.found)
    }
}

/// A tensor's name for an error message, on one line whatever bytes it holds.
pub(super) fn tensor_place(name: &str) -> String {
    format!("tensor `{}`", name.escape_debug())
}

/// At most 60 characters of a name, on one line.
pub(super) fn shortened(name: &str) -> String {
    let mut short: String = name.chars().take(60).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    short.escape_debug().to_string()
}
