//! CIFAR's Python version: pickles of a dict with `data`, an array of bytes `[N, 3072]`, and a list of labels; and one
//! with the names of the classes. Python 2 wrote the official ones, of any protocol they are read. They are read as
//! data: nothing in them is run.

use super::cifar_records::{PIXELS, Records};
use crate::error::{Error, Result};
use crate::pickle::array::byte_array;
use crate::pickle::{self, Id, Object, Pickle};
use std::fs;
use std::path::Path;

/// What a data set calls its labels and the names of its classes.
pub(super) struct Keys {
    pub labels: &'static str,
    pub names: &'static str,
}

/// The names of the classes.
pub(super) fn read_names(path: &Path, keys: &Keys, classes: usize) -> Result<Vec<String>> {
    let file = Dict::read(path)?;
    let list = file.list(keys.names)?;
    let names: Option<Vec<_>> =
        list.iter().map(|&name| file.pickle.any_text(name).map(str::to_owned)).collect();
    match names {
        Some(names) if names.len() == classes => Ok(names),
        Some(names) => Err(file.fault(keys.names, format_args!("{classes} class names"), names.len())),
        None => Err(file.fault(keys.names, "a list of texts", "other values")),
    }
}

/// Adds the images and labels of a batch.
pub(super) fn read_batch(path: &Path, keys: &Keys, classes: usize, records: &mut Records) -> Result<()> {
    let file = Dict::read(path)?;
    let data = byte_array(&file.pickle, file.value("data")?)
        .map_err(|found| file.fault("data", format_args!("an array of uint8, [N, {PIXELS}]"), found))?;
    let count = match data.shape.as_slice() {
        &[count, PIXELS] | &[count, 3, 32, 32] if count > 0 => count,
        shape => {
            return Err(file.fault("data", format_args!("shape [N, {PIXELS}]"), format_args!("{shape:?}")));
        }
    };
    let list = file.list(keys.labels)?;
    if list.len() != count {
        return Err(file.fault(keys.labels, format_args!("{count} labels, as many as images"), list.len()));
    }
    for (index, &label) in list.iter().enumerate() {
        let value = match file.pickle.get(label) {
            Object::Int(value) => usize::try_from(*value).ok().filter(|&value| value < classes),
            _ => None,
        };
        let Some(value) = value else {
            let found = match file.pickle.get(label) {
                Object::Int(value) => value.to_string(),
                _ => file.pickle.describe(label),
            };
            let place = format!("`{}`, label {index}", keys.labels);
            return Err(Error::input(path, place, format_args!("0 to {}", classes - 1), found));
        };
        records.labels.push(value as u16);
    }
    records.pixels.extend_from_slice(data.bytes);
    Ok(())
}

/// A pickle of a dict.
struct Dict<'a> {
    path: &'a Path,
    pickle: Pickle,
}

impl<'a> Dict<'a> {
    fn read(path: &'a Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(Error::read(path))?;
        let (pickle, _) = pickle::read(&bytes).map_err(|fault| {
            Error::input(path, format_args!("pickle, byte {}", fault.at), fault.expected, fault.found)
        })?;
        let file = Dict { path, pickle };
        match file.pickle.items(file.pickle.root()) {
            Some(_) => Ok(file),
            None => Err(Error::input(path, "pickle", "a dict", file.pickle.describe(file.pickle.root()))),
        }
    }

    /// The value of a key.
    fn value(&self, key: &str) -> Result<Id> {
        let items = self.pickle.items(self.pickle.root()).unwrap_or_default();
        let found = items.iter().rev().find(|(name, _)| self.pickle.any_text(*name) == Some(key));
        found.map(|(_, value)| *value).ok_or_else(|| {
            let keys: Vec<_> =
                items.iter().filter_map(|(name, _)| self.pickle.any_text(*name)).take(8).collect();
            self.fault(key, "this key", format_args!("only {}", keys.join(", ").escape_debug()))
        })
    }

    fn list(&self, key: &str) -> Result<&[Id]> {
        let value = self.value(key)?;
        self.pickle.list(value).ok_or_else(|| self.fault(key, "a list", self.pickle.describe(value)))
    }

    fn fault(&self, key: &str, expected: impl std::fmt::Display, found: impl std::fmt::Display) -> Error {
        Error::input(self.path, format_args!("`{key}`"), expected, found)
    }
}
