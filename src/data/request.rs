//! The one way to images: which set, which of its images, how prepared.

use super::assemble::{self, Taken};
use super::classes::Known;
use super::listed::{Listed, Source};
use super::pick::Choice;
use super::prepare::Prepare;
use super::reading::Reading;
use super::{DatasetKind, Images, Split, classes, list};
use crate::error::{Error, Result};
use std::collections::HashSet;
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

    fn known(&self) -> Result<Option<Known>> {
        self.classes.as_deref().map(classes::read).transpose()
    }
}

/// How many images the split has that is asked for.
///
/// # Errors
/// Those of [`open`], as far as they are not about single images.
pub fn count(request: &Request) -> Result<usize> {
    let known = request.known()?;
    Ok(list(request.kind, request.dir.as_deref(), request.split, known.as_ref())?.labels.len())
}

/// Reads what is asked for, and says what was read. Only the images that are taken are decoded; their pixels depend on no
/// other.
///
/// # Errors
/// [`Error::Usage`] for a setting that can't be; [`Error::Input`] or
/// [`Error::Read`] for a missing or malformed file, naming the file, the place in it, what was expected
/// and what was found.
pub fn open(request: &Request) -> Result<(Images, Reading)> {
    let Request { kind, split, prepare, .. } = *request;
    prepare.check()?;
    let known = request.known()?;
    let Listed { mut labels, classes: own, source, root, mut notes, counted_by } =
        list(kind, request.dir.as_deref(), split, known.as_ref())?;
    let cache = match &source {
        Source::Files(files) => assemble::cache(kind, split, &root, files, &labels, &own),
        Source::Memory { .. } | Source::Rows(_) => None,
    };
    let numbered = known.as_ref().is_some_and(|known| known.numbered);
    let classes = match request.classes.as_deref().zip(known) {
        None => own,
        Some((path, Known { classes: known, .. })) => {
            let mut with_images = vec![false; own.len()];
            labels.iter().for_each(|&label| with_images[usize::from(label)] = true);
            let positions = classes::positions(&own, &with_images, &known, path, &root)?;
            labels.iter_mut().for_each(|label| *label = positions[usize::from(*label)]);
            known.into_iter().map(|mut names| names.swap_remove(0)).collect()
        }
    };
    let of = labels.len();
    if of == 0 {
        return Err(Error::input(&root, "images", "at least one", "none"));
    }
    let (chosen, pick) = match request.choice {
        None => ((0..of).collect(), None),
        Some(choice) => {
            let mut chosen = choice.of(&labels)?;
            let pick = choice.recorded(&chosen, of);
            if request.rest_follows {
                let first: HashSet<usize> = chosen.iter().copied().collect();
                chosen.extend((0..of).filter(|at| !first.contains(at)));
            }
            (chosen, pick)
        }
    };
    let Taken { positions, shape, pixels, skipped, notes: told } =
        assemble::take(request, source, &chosen, cache, &root)?;
    notes.extend(told);
    let labels: Vec<u16> = positions.iter().map(|&at| labels[at]).collect();
    let seen = labels.iter().collect::<HashSet<_>>().len();
    if seen < classes.len() || request.classes.is_some() {
        notes.push(match &request.classes {
            Some(path) => {
                let numbered = if numbered { ", which the numbers in its lines order" } else { "" };
                format!("{seen} of the {} classes of {} have images{numbered}", classes.len(), path.display())
            }
            None => format!(
                "the images are of {seen} of {} classes alone: accuracy says nothing of the others",
                classes.len()
            ),
        });
    }
    let reading = Reading {
        dataset: kind.name().to_owned(),
        split: split.to_string(),
        path: root.display().to_string(),
        images: labels.len(),
        of,
        classes_seen: seen,
        classes: classes.len(),
        pick,
        rest_follows: request.rest_follows,
        preparation: prepare.words(),
        prepare: prepare.recorded(kind),
        skipped,
        notes,
    };
    let counted_by = match &request.classes {
        Some(path) => format!("those of {}", path.display()),
        None => counted_by,
    };
    let images = Images::new(shape, pixels, labels, classes);
    Ok((Images { dataset: Some(kind), counted_by, ..images }, reading))
}
