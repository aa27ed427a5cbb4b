//! The one way to images: from what is asked for to pixels in memory and a word of what was read.

use super::assemble::{self, Taken};
use super::classes::{self, Known};
use super::dataset::DatasetKind;
use super::images::Images;
use super::listed::{Listed, Source};
use super::prepare::Prepare;
use super::reading::Reading;
use super::request::Request;
use super::split::Split;
use super::{digits, elsewhere};
use crate::error::{Error, Result};
use std::collections::HashSet;
use std::path::Path;

/// All images of one split of a data set, as they are or, with an image size, as [`Prepare::to_size`] says: [`open`] with
/// nothing else asked for.
///
/// # Errors
/// Those of [`open`].
pub fn load(
    kind: DatasetKind,
    dir: Option<&Path>,
    split: Split,
    image_size: Option<usize>,
) -> Result<Images> {
    let prepare = image_size.map_or(Ok(Prepare::default()), |size| Prepare::to_size(kind, size))?;
    let request = Request { prepare, ..Request::new(kind, dir.map(Path::to_owned), split) };
    Ok(open(&request)?.0)
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

/// What the reader of a data set finds of a split.
fn list(
    kind: DatasetKind,
    dir: Option<&Path>,
    split: Split,
    known: Option<&classes::Known>,
) -> Result<Listed> {
    if kind == DatasetKind::Digits {
        return digits::list(split);
    }
    let dir = dir.ok_or_else(|| Error::usage(format!("the data set {kind} needs --data-dir")))?;
    let reader = kind.reader();
    let listed = known.map_or_else(|| reader.list(dir, split), |known| reader.list_with(dir, split, known));
    listed.map_err(|error| elsewhere::named(error, kind, dir))
}
