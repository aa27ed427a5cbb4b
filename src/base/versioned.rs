//! JSON documents that say in which version of their form they are: `attack.json`, `compare.json`, …

use crate::atomic_file::AtomicFile;
use crate::error::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fs;
use std::io::Write;
use std::path::Path;

/// Reads the document at `path`, which has to be in `version` and is, in words, `what`.
///
/// # Errors
/// [`Error::Read`]; [`Error::Input`] for another version, or content that is not what this program writes.
pub fn read<T: DeserializeOwned>(path: &Path, version: u32, what: &str) -> Result<T> {
    /// What every version has.
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let text = fs::read(path).map_err(Error::read(path))?;
    let fault = |error: serde_json::Error| Error::input(path, "content", what, error);
    let found: Version = serde_json::from_slice(&text).map_err(fault)?;
    if found.version != version {
        return Err(Error::input(path, "version", version, found.version));
    }
    serde_json::from_slice(&text).map_err(fault)
}

/// Writes a document to `path`, whole or not at all.
///
/// # Errors
/// [`Error::Write`].
pub fn write<T: Serialize>(path: &Path, document: &T) -> Result<()> {
    let mut text =
        serde_json::to_string_pretty(document).map_err(|error| Error::write(path)(error.into()))?;
    text.push('\n');
    let mut file = AtomicFile::create(path)?;
    file.write_all(text.as_bytes()).map_err(Error::write(path))?;
    file.commit()
}

/// Writes the settings of what begins to `path`; where there are some already, checks that they are the same. `what` is that
/// which has them: "a retraining"; values at the JSON pointers `told` may differ.
///
/// # Errors
/// A usage error that names the first difference; [`Error::Read`], [`Error::Write`]; [`Error::Input`] for content that is no JSON.
pub fn settle<T: Serialize>(path: &Path, settings: &T, what: &str, told: &[&str]) -> Result<()> {
    if !path.exists() {
        return write(path, settings);
    }
    let read = |text: &[u8]| {
        let settings = format!("the settings of {what}");
        serde_json::from_slice::<Value>(text).map_err(|error| Error::input(path, "content", settings, error))
    };
    // Ours as text too, in which numbers are as they are read.
    let ours = serde_json::to_vec(settings).map_err(|error| Error::Failed(format!("settings: {error}")))?;
    let found = fs::read(path).map_err(Error::read(path))?;
    let (found, mut ours) = (read(&found)?, read(&ours)?);
    for pointer in told {
        if let (Some(found), Some(ours)) = (found.pointer(pointer), ours.pointer_mut(pointer)) {
            ours.clone_from(found);
        }
    }
    match difference("", &found, &ours) {
        None => Ok(()),
        Some(difference) => {
            let folder = path.parent().unwrap_or(path).display();
            Err(Error::usage(format!("{folder}: holds {what} with other settings: {difference}")))
        }
    }
}

/// The first thing in which two documents differ, as "name: expected …, found …", if they do.
pub fn difference(path: &str, expected: &Value, found: &Value) -> Option<String> {
    match (expected, found) {
        _ if expected == found => None,
        (Value::Object(expected), Value::Object(found)) => {
            // What one of them leaves out is null.
            let only_found = found.keys().filter(|key| !expected.contains_key(*key));
            expected.keys().chain(only_found).find_map(|key| {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let of = |values: &Map<String, Value>| values.get(key).cloned().unwrap_or_default();
                difference(&path, &of(expected), &of(found))
            })
        }
        _ => Some(format!("{path}: expected {expected}, found {found}")),
    }
}
