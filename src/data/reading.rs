//! What was read: told to the user before anything is computed, and recorded with results.

use super::pick::{How, Picked};
use super::prepare::Prepare;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// Which images of which files were taken, and how they were prepared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The name of the data set.
    pub dataset: String,
    /// The part of it.
    pub split: String,
    /// The folder or file that was read.
    pub path: String,
    /// How many images were taken.
    pub images: usize,
    /// How many there are.
    pub of: usize,
    /// How many classes the images that were taken are of.
    pub classes_seen: usize,
    /// How many classes there are.
    pub classes: usize,
    /// How they were chosen; `None` for all and for the first in file order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pick: Option<Picked>,
    /// Whether the images that were not chosen follow those that were.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rest_follows: bool,
    /// How they were prepared, in words.
    pub preparation: String,
    /// The same as settings, where they are part of those of a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare: Option<Prepare>,
    /// What was left out because it cannot be decoded.
    #[serde(default, skip_serializing_if = "Skipped::is_empty")]
    pub skipped: Skipped,
    /// What a reader should know of the images, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Files that cannot be decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// How many.
    pub count: usize,
    /// The first of them.
    pub first: Vec<String>,
}

impl Skipped {
    /// How many are named.
    const NAMED: usize = 3;

    /// Whether nothing was left out.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a file.
    pub(super) fn add(&mut self, path: &Path) {
        self.count += 1;
        if self.first.len() < Skipped::NAMED {
            self.first.push(path.display().to_string());
        }
    }
}

/// A few lines for people, without an end of line.
impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reading { dataset, split, images, of, classes_seen, classes, .. } = self;
        let count = match images {
            _ if images == of => format!("all {of}"),
            _ => format!("{images} of {of}"),
        };
        write!(
            f,
            "images: {count} {split} images of {dataset}, {classes_seen} of {classes} classes, from {}",
            self.path
        )?;
        match &self.pick {
            Some(Picked { how, seed, .. }) => {
                let order = if self.rest_follows { " first, then the others" } else { "" };
                write!(f, "\n  choice: {how}, seed {seed}{order}")?;
            }
            None if images + self.skipped.count < *of => {
                write!(f, "\n  choice: {}, in file order", How::First)?
            }
            None => {}
        }
        write!(f, "\n  preparation: {}", self.preparation)?;
        if !self.skipped.is_empty() {
            let Skipped { count, first } = &self.skipped;
            let more = if *count > first.len() { ", …" } else { "" };
            write!(f, "\n  left out: {count} that cannot be decoded: {}{more}", first.join(", "))?;
        }
        self.notes.iter().try_for_each(|note| write!(f, "\n  note: {note}"))
    }
}
