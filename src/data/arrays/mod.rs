//! `arrays`: images and labels as arrays in a `.npz` file of NumPy or in a safetensors file.
//!
//! `--data-dir` is the file, or a folder with one such file, or with one per split (`train.npz`, `test.npz`). Which array
//! is what is told by names (`names.rs`): `images` and `labels`, `x_test` and `y_test`, and so on. Labels are read first
//! (`labels.rs`), and then the images that are taken (`rows.rs`), which become planes of bytes (`pixels.rs`). Nothing
//! pickled is read.

mod container;
mod labels;
mod names;
mod npy;
mod pixels;
mod rows;

use super::listed::{BY_LABELS, Listed, Source};
use super::listing;
use super::reader::Reader;
use super::split::Split;
use super::splits::{self, Role};
use crate::error::{Error, Result};
use container::Container;
use names::Chosen;
use pixels::Pixels;
use std::path::{Path, PathBuf};

/// Arrays in a file.
pub(super) struct Arrays;

impl Reader for Arrays {
    fn name(&self) -> &'static str {
        "arrays"
    }

    fn mean_std(&self) -> (&'static [f32], &'static [f32]) {
        (&[0.5], &[0.5])
    }

    fn is_in(&self, dir: &Path) -> bool {
        // A safetensors file in a folder is rather a checkpoint.
        let in_folder =
            || listing::files(dir).is_ok_and(|files| files.iter().any(|path| has_extension(path, &["npz"])));
        if dir.is_dir() { in_folder() } else { has_extension(dir, &EXTENSIONS) && dir.is_file() }
    }

    fn list(&self, dir: &Path, split: Split) -> Result<Listed> {
        let file = locate(dir, split)?;
        let mut container = Container::open(&file.path)?;
        let Chosen { images, labels, classes, counted, says_split, mut notes } =
            names::choose(&file.path, container.specs(), split, file.whole)?;
        notes.extend(file.note);
        if split == Split::Test && !says_split && role_of(&file.path) == Some(Role::Train) {
            let name = file_name(&file.path);
            if !file.named {
                let expected = "a file of test or validation images beside it, such as test.npz (its own path as \
                                --data-dir measures on the training images)";
                return Err(Error::input(dir, "arrays of the test split", expected, name));
            }
            notes.push(format!("{name} is a file of training images by its name: they are measured on"));
        }

        let mut known = 0;
        for &index in &counted {
            known = known.max(labels::count(&labels::read(&file.path, &container.read(index)?)?));
        }
        if let Some(beside) = &file.beside {
            known = known.max(count_in(beside)?);
        }
        let labels = labels::read(&file.path, &container.read(labels)?)?;
        let known = known.max(labels::count(&labels));
        let mut counted_by = String::new();
        let classes = match classes {
            Some(index) => labels::names(&file.path, &container.read(index)?, known)?,
            None => {
                counted_by = format!("{BY_LABELS}; an array `classes` of names, or --classes, says more");
                notes.push(format!("{known} classes, as the greatest label says"));
                (0..known).map(|class| class.to_string()).collect()
            }
        };
        let source = Source::Rows(Box::new(Pixels::new(container, images, labels.len())?));
        Ok(Listed { labels, classes, source, root: file.path, notes, counted_by })
    }
}

const EXTENSIONS: [&str; 2] = ["npz", "safetensors"];

/// The file of a split.
struct Located {
    path: PathBuf,
    /// Whether the user named this file, not a folder.
    named: bool,
    /// Whether arrays whose names say no split are this split's.
    whole: bool,
    /// The train file beside it, whose labels count as well.
    beside: Option<PathBuf>,
    /// What else could have been meant.
    note: Option<String>,
}

fn locate(dir: &Path, split: Split) -> Result<Located> {
    let alone = |path: PathBuf, named, whole| Located { path, named, whole, beside: None, note: None };
    if dir.is_file() {
        return Ok(alone(dir.to_owned(), true, split == Split::Test));
    }
    let expected = "a .npz or .safetensors file, or a folder with one, or with one per split";
    if !dir.is_dir() {
        return Err(Error::input(dir, "arrays", expected, "no such file or folder"));
    }
    let mut files = listing::files(dir)?;
    files.retain(|path| has_extension(path, &EXTENSIONS));
    if let [only] = files.as_slice() {
        let whole = split == Split::Test || role_of(only) == Some(Role::Train);
        return Ok(alone(only.clone(), false, whole));
    }
    let of = |role: Role| {
        let mut found = files.iter().filter(|path| role_of(path) == Some(role));
        match (found.next(), found.next()) {
            (Some(only), None) => Some(only.clone()),
            _ => None,
        }
    };
    let (own, beside, other) = match (split, of(Role::Test), of(Role::Validation)) {
        (Split::Train, ..) => (of(Role::Train), None, None),
        (Split::Test, Some(test), other) => (Some(test), of(Role::Train), other),
        (Split::Test, None, val) => (val, of(Role::Train), None),
    };
    let Some(path) = own else {
        let names: Vec<_> = files.iter().map(|path| file_name(path)).collect();
        let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(Error::input(dir, format_args!("arrays of the {split} split"), expected, found));
    };
    let note = other.map(|other| format!("took {}; {} is there too", file_name(&path), file_name(&other)));
    Ok(Located { path, named: false, whole: true, beside, note })
}

/// The split that the name of a file says.
fn role_of(path: &Path) -> Option<Role> {
    splits::role_in(&path.file_stem()?.to_string_lossy())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// How many classes the labels of a train file need.
fn count_in(path: &Path) -> Result<usize> {
    let mut container = Container::open(path)?;
    let chosen = names::choose(path, container.specs(), Split::Train, true)?;
    Ok(labels::count(&labels::read(path, &container.read(chosen.labels)?)?))
}

fn has_extension(path: &Path, known: &[&str]) -> bool {
    path.extension().is_some_and(|found| known.iter().any(|known| found.eq_ignore_ascii_case(known)))
}
