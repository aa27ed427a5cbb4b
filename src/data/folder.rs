//! `folder`: any folder of class sub-folders with images, always as RGB.
//!
//! **Classes** are the sub-folders, sorted by name, and images come in the order of torchvision's `ImageFolder`
//! (class by class). Files with another extension are passed over with a warning.
//!
//! **Splits.** Split folders are known by their names, in any case: `train`, `training_set`, `seg_train`, `val`,
//! `valid`, `validation`, `test`, `Testing` and so on (see `splits.rs`). There are splits if the folder has one for
//! training beside one for validation or test, or if all its sub-folders are split folders, which are never taken for
//! classes; folders with the same folders in them whose names say nothing are refused. The test split is the test folder if its images lie in class folders, or else the validation folder.
//! Classes are numbered by the train folder where there is one, so that a class without test images shifts no label; a
//! test class that it lacks is an error. Any other folder has one set of images: it is the test split, and there is no
//! train split (training on the images that are measured would go unseen).

use super::classes::Known;
use super::listed::{Listed, Source};
use super::listing::PassedOver;
use super::reader::{IMAGENET_MEAN_STD, Reader};
use super::split::Split;
use super::splits::{self, Found};
use super::{listing, tiny_imagenet};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Class folders of images.
pub(super) struct Folder;

impl Reader for Folder {
    fn name(&self) -> &'static str {
        "folder"
    }

    fn mean_std(&self) -> (&'static [f32], &'static [f32]) {
        IMAGENET_MEAN_STD
    }

    fn is_in(&self, dir: &Path) -> bool {
        // A look, not a search: the folder may be anything.
        let folders = |folder: &Path| listing::subfolders(folder).unwrap_or_default();
        let holds = |folder: &Path| {
            folders(folder).iter().any(|class| listing::has_images(&folder.join(class)).unwrap_or(false))
        };
        let split = |name: &String| splits::role(name).is_some() && holds(&dir.join(name));
        holds(dir) || folders(dir).iter().any(split)
    }

    fn list(&self, dir: &Path, split: Split) -> Result<Listed> {
        list(dir, split, None)
    }

    fn list_with(&self, dir: &Path, split: Split, known: &Known) -> Result<Listed> {
        list(dir, split, Some(known))
    }
}

/// Lists one split.
fn list(dir: &Path, split: Split, known: Option<&Known>) -> Result<Listed> {
    if !dir.is_dir() {
        return Err(Error::input(dir, "data folder", "a folder of class sub-folders", "no such folder"));
    }
    let Found { root, numbered_by, mut notes } = match (splits::find(dir, split, known)?, split) {
        (Some(found), _) => found,
        (None, Split::Test) => Found { root: dir.to_owned(), numbered_by: dir.to_owned(), notes: Vec::new() },
        (None, Split::Train) => {
            let expected = "sub-folders train/ and val/ (or test/)";
            let found = "one set of images, which is the test split";
            return Err(Error::input(dir, "train split", expected, found));
        }
    };
    if tiny_imagenet::is_official_val(&root) {
        let found = "val_annotations.txt, which has the labels (--dataset tiny-imagenet, with the folder above as \
                     --data-dir, reads it)";
        return Err(Error::input(&root, "data folder", "class sub-folders with images", found));
    }
    let classes = listing::subfolders(&numbered_by)?;
    let (files, labels) = list_files(&root, &classes, &mut notes)?;
    if split == Split::Test && root == numbered_by {
        notes.extend(splits::numbered_alone(dir, &classes));
    }
    let counted_by = format!("the folders of {}", numbered_by.display());
    Ok(Listed { labels, classes, source: Source::Files(files), root, notes, counted_by })
}

/// The image files of a split and their labels; what is passed over goes to `notes`.
fn list_files(root: &Path, classes: &[String], notes: &mut Vec<String>) -> Result<(Vec<PathBuf>, Vec<u16>)> {
    if classes.len() > usize::from(u16::MAX) {
        return Err(Error::input(root, "classes", "at most 65,535", classes.len()));
    }
    let mut files = Vec::new();
    let mut labels = Vec::new();
    let (mut passed_over, mut nested) = (PassedOver::default(), 0);
    let strangers = listing::strangers(root)?;
    if !strangers.is_empty() {
        notes.push(format!("{}/ beside the classes: passed over", strangers.join("/, ")));
    }
    for class in listing::subfolders(root)? {
        let folder = root.join(&class);
        let Ok(label) = classes.binary_search(&class) else {
            return Err(Error::input(&folder, "class", "a class that train/ has too", class));
        };
        let (images, others) = listing::image_files(&folder)?;
        if images.is_empty() {
            let found = others.note().unwrap_or_else(|| "none".to_owned());
            return Err(Error::input(&folder, "class folder", "images", found));
        }
        labels.resize(labels.len() + images.len(), label as u16);
        files.extend(images);
        passed_over.extend(others);
        nested += usize::from(!listing::has_images(&folder)?);
    }
    if nested > 0 {
        notes.push(format!(
            "{nested} of {} class folders hold images in sub-folders alone; if these are the classes, --data-dir names the \
             folder above them",
            classes.len()
        ));
    }
    if files.is_empty() {
        return Err(Error::input(root, "data folder", "class sub-folders with images", "none"));
    }
    notes.extend(passed_over.note());
    Ok((files, labels))
}
