//! Tiny ImageNet (Stanford CS231n): 200 classes, 64×64 JPEG files.
//!
//! `tiny-imagenet-200/{wnids.txt,train/<wnid>/images/*.JPEG,val/images/*.JPEG,val/val_annotations.txt}`. A class
//! index is the position in the sorted WordNet ids; train images come in the order of torchvision's `ImageFolder`,
//! and the official val images, in the order of `val_annotations.txt`, are the test split. Grey images are
//! repeated in the three channels. The decoded pixels are kept in a cache file beside them (`cache.rs`).
//!
//! Many sort the val images into class folders, for `ImageFolder`: where `val/images` holds none itself, the test split is
//! `val/<wnid>/*.JPEG`, `val/<wnid>/images/*.JPEG` or `val/images/<wnid>/*.JPEG`, in the order of `ImageFolder`. Train images may lie in
//! `train/<wnid>` itself as well.

use super::listed::{Listed, Source};
use super::listing;
use super::reader::{IMAGENET_MEAN_STD, Reader, missing, places};
use super::split::Split;
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Width and height of every image.
pub(super) const SIZE: (usize, usize) = (64, 64);

const FOLDERS: [&str; 1] = ["tiny-imagenet-200"];
const WNIDS: &str = "wnids.txt";
const ANNOTATIONS: &str = "val_annotations.txt";

/// Tiny ImageNet.
pub(super) struct TinyImagenet;

impl Reader for TinyImagenet {
    fn name(&self) -> &'static str {
        "tiny-imagenet"
    }

    fn mean_std(&self) -> (&'static [f32], &'static [f32]) {
        IMAGENET_MEAN_STD
    }

    fn is_in(&self, dir: &Path) -> bool {
        find(dir).is_some()
    }

    fn list(&self, dir: &Path, split: Split) -> Result<Listed> {
        let Some(top) = find(dir) else {
            let above = dir.canonicalize().ok().and_then(|dir| Some(dir.parent()?.join(WNIDS).is_file()));
            return Err(if above == Some(true) {
                let expected = "wnids.txt here (--data-dir names the folder above, which has it)";
                Error::input(dir, "files of tiny-imagenet", expected, "one of its folders")
            } else {
                missing(self.name(), dir, &FOLDERS, &[WNIDS], true)
            });
        };
        list(&top, split)
    }
}

/// The folder with the official files.
fn find(dir: &Path) -> Option<PathBuf> {
    places(dir, &FOLDERS).find(|folder| folder.join(WNIDS).is_file())
}

/// Whether a folder is the official val folder, whose labels lie in a file.
pub(super) fn is_official_val(folder: &Path) -> bool {
    folder.join(ANNOTATIONS).is_file() && matches!(sorted(folder), Ok(None))
}

/// Lists one split of the official files.
fn list(top: &Path, split: Split) -> Result<Listed> {
    let classes = read_wnids(&top.join(WNIDS))?;
    let mut notes = Vec::new();
    let (root, (files, labels)) = match split {
        Split::Train => {
            let root = top.join("train");
            let listed = list_classes(&root, &classes)?;
            // The labels ascend, class folder by class folder.
            let mut missing =
                classes.iter().zip(0..).filter(|(_, label)| listed.1.binary_search(label).is_err());
            if let Some((class, _)) = missing.next() {
                return Err(Error::input(root.join(class), "class folder", "JPEG images", "none"));
            }
            (root, listed)
        }
        Split::Test => {
            let root = top.join("val");
            let listed = match sorted(&root)? {
                Some(folder) => {
                    let folder_name = folder.display();
                    notes.push(format!(
                        "{folder_name}: the images lie in class folders, which give the labels"
                    ));
                    list_classes(&folder, &classes)?
                }
                None => list_val(&root, &classes)?,
            };
            (root, listed)
        }
    };
    Ok(Listed { labels, classes, source: Source::Files(files), root, notes, counted_by: String::new() })
}

/// Where the decoded split is kept whose files lie in `root`.
pub(super) fn cache_path(root: &Path, split: Split) -> PathBuf {
    root.with_file_name(format!("synfilter-{split}.cache"))
}

/// The WordNet ids, sorted: position = class index.
fn read_wnids(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).map_err(Error::read(path))?;
    let mut wnids: Vec<_> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    wnids.sort();
    if let Some(pair) = wnids.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::input(path, "WordNet ids", "each once", format_args!("{} twice", pair[0])));
    }
    if !(1..=usize::from(u16::MAX)).contains(&wnids.len()) {
        return Err(Error::input(path, "WordNet ids", "200, one a line", wnids.len()));
    }
    Ok(wnids)
}

/// The folder with the class folders into which the val images were sorted, if they were: `val`, or `val/images`, which has
/// no images of its own then.
fn sorted(val: &Path) -> Result<Option<PathBuf>> {
    let official = val.join("images");
    if official.is_dir() {
        if listing::has_images(&official)? {
            return Ok(None);
        }
        if !listing::subfolders(&official)?.is_empty() {
            return Ok(Some(official));
        }
    }
    let sorted = val.is_dir() && listing::subfolders(val)?.iter().any(|name| name != "images");
    Ok(sorted.then(|| val.to_owned()))
}

/// The images of class folders named by WordNet ids, and their labels.
fn list_classes(folder: &Path, classes: &[String]) -> Result<(Vec<PathBuf>, Vec<u16>)> {
    let mut files = Vec::new();
    let mut labels = Vec::new();
    for class in listing::subfolders(folder)? {
        let class_folder = folder.join(&class);
        let (images, _) = listing::image_files(&class_folder)?;
        match classes.binary_search(&class) {
            Ok(label) => labels.resize(labels.len() + images.len(), label as u16),
            // What sorting leaves behind.
            Err(_) if class == "images" && images.is_empty() => {}
            Err(_) => return Err(Error::input(class_folder, "class", "a WordNet id of wnids.txt", class)),
        }
        files.extend(images);
    }
    if files.is_empty() {
        return Err(Error::input(folder, "class folders", "JPEG images", "none"));
    }
    Ok((files, labels))
}

/// Reads `val_annotations.txt`: file name, WordNet id and four box corners, separated by tabs.
fn list_val(folder: &Path, classes: &[String]) -> Result<(Vec<PathBuf>, Vec<u16>)> {
    let path = folder.join(ANNOTATIONS);
    let text = fs::read_to_string(&path).map_err(Error::read(&path))?;
    let index: HashMap<&str, u16> = classes.iter().map(String::as_str).zip(0..).collect();
    let mut files = Vec::new();
    let mut labels = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("line {number}");
        let mut fields = line.split('\t').map(str::trim);
        let (Some(name), Some(wnid)) = (fields.next(), fields.next()) else {
            return Err(Error::input(&path, place, "file name, tab, WordNet id", format_args!("{line:?}")));
        };
        let Some(&label) = index.get(wnid) else {
            return Err(Error::input(&path, place, "a WordNet id of wnids.txt", format_args!("{wnid:?}")));
        };
        // A name with folders in it could point anywhere.
        let mut parts = Path::new(name).components();
        if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
            return Err(Error::input(
                &path,
                place,
                "the name of a file in val/images",
                format_args!("{name:?}"),
            ));
        }
        files.push(folder.join("images").join(name));
        labels.push(label);
    }
    if files.is_empty() {
        return Err(Error::input(&path, "annotations", "at least one line", 0));
    }
    Ok((files, labels))
}
