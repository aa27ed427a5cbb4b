//! What is asked for: which set, which of its images, how prepared.

use super::classes::{self, Known};
use super::dataset::DatasetKind;
use super::pick::Choice;
use super::prepare::Prepare;
use super::split::Split;
use crate::error::Result;
use std::path::PathBuf;

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The data set.
    pub kind: DatasetKind,
    /// The folder that holds the official files, or a parent that has them in their usual sub-folder (`mnist/`,
    /// `MNIST/raw/`, `cifar-10-batches-bin/`, `tiny-imagenet-200/`), or the file of `arrays`. `digits` needs none and
    /// ignores it.
    pub dir: Option<PathBuf>,
    /// The part of it.
    pub split: Split,
    /// Which images; all if nothing is said.
    pub choice: Option<Choice>,
    /// Whether the images that are not chosen follow those that are.
    pub rest_follows: bool,
    /// How they are prepared.
    pub prepare: Prepare,
    /// A file with the classes of the network, in the place of the data set's own.
    pub classes: Option<PathBuf>,
    /// Whether files that cannot be decoded are left out.
    pub skip_broken: bool,
}

impl Request {
    /// All images of a split, as they are.
    pub fn new(kind: DatasetKind, dir: Option<PathBuf>, split: Split) -> Request {
        Request {
            kind,
            dir,
            split,
            choice: None,
            rest_follows: false,
            prepare: Prepare::default(),
            classes: None,
            skip_broken: false,
        }
    }

    /// The classes of the network, if a file says them.
    pub(super) fn known(&self) -> Result<Option<Known>> {
        self.classes.as_deref().map(classes::read).transpose()
    }
}
