//! `folder`: any folder of class sub-folders with JPEG or PNG images, always as RGB.
//!
//! **Classes** are the sub-folders, sorted by name, and images come in the order of torchvision's `ImageFolder`
//! (class by class). Files with another extension are passed over with a warning.
//!
//! **Splits.** If the folder has `train/` beside `val/` or `test/`, or no sub-folder but these three, then `train/`
//! is the train split and `val/` (in its absence `test/`) the test split. Classes are numbered by `train/` where it
//! exists, so that a class without test images shifts no label; a test class that `train/` lacks is an error.
//! Any other folder has one set of images: it is the test split, and there is no train split (training on the
//! images that are measured would go unseen).

use super::listed::{Listed, Source};
use super::{Split, listing};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

const SPLITS: [&str; 3] = ["train", "val", "test"];

/// Lists one split.
pub(super) fn list(dir: &Path, split: Split) -> Result<Listed> {
    let (root, classes) = root_and_classes(dir, split)?;
    let (files, labels) = list_files(&root, &classes)?;
    Ok(Listed { labels, classes, source: Source::Files(files), root, notes: Vec::new() })
}

/// The folder with the class folders of a split, and the names of all classes.
fn root_and_classes(dir: &Path, split: Split) -> Result<(PathBuf, Vec<String>)> {
    if !dir.is_dir() {
        return Err(Error::input(dir, "data folder", "a folder of class sub-folders", "no such folder"));
    }
    let names = listing::subfolders(dir)?;
    let has = |name: &str| names.iter().any(|other| other == name);
    let only_splits = !names.is_empty() && names.iter().all(|name| SPLITS.contains(&name.as_str()));
    if !(only_splits || has("train") && (has("val") || has("test"))) {
        return match split {
            Split::Test => Ok((dir.to_owned(), names)),
            Split::Train => Err(Error::input(
                dir,
                "train split",
                "sub-folders train/ and val/ (or test/)",
                "one set of images, which is the test split",
            )),
        };
    }
    let test = if has("val") { "val" } else { "test" };
    let wanted = match split {
        Split::Train => "train",
        Split::Test => test,
    };
    if !has(wanted) {
        let found = names.iter().map(|name| format!("{name}/")).collect::<Vec<_>>().join(", ");
        return Err(Error::input(dir, format_args!("{split} split"), format_args!("{wanted}/"), found));
    }
    let numbered_by = if has("train") { "train" } else { wanted };
    Ok((dir.join(wanted), listing::subfolders(&dir.join(numbered_by))?))
}

/// The image files of a split and their labels.
fn list_files(root: &Path, classes: &[String]) -> Result<(Vec<PathBuf>, Vec<u16>)> {
    if classes.len() > usize::from(u16::MAX) {
        return Err(Error::input(root, "classes", "at most 65,535", classes.len()));
    }
    let mut files = Vec::new();
    let mut labels = Vec::new();
    let mut passed_over = 0;
    for class in listing::subfolders(root)? {
        let folder = root.join(&class);
        let Ok(label) = classes.binary_search(&class) else {
            return Err(Error::input(&folder, "class", "a class that train/ has too", class));
        };
        let (images, others) = listing::image_files(&folder)?;
        if images.is_empty() {
            return Err(Error::input(&folder, "class folder", "JPEG or PNG images", "none"));
        }
        labels.resize(labels.len() + images.len(), label as u16);
        files.extend(images);
        passed_over += others;
    }
    if files.is_empty() {
        return Err(Error::input(root, "data folder", "class sub-folders with JPEG or PNG images", "none"));
    }
    if passed_over > 0 {
        tracing::warn!(
            "{}: {passed_over} files are neither .jpg, .jpeg nor .png: passed over",
            root.display()
        );
    }
    Ok((files, labels))
}
