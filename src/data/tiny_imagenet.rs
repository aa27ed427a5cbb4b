//! Tiny ImageNet (Stanford CS231n): 200 classes, 64×64 JPEG files.
//!
//! `tiny-imagenet-200/{wnids.txt,train/<wnid>/images/*.JPEG,val/images/*.JPEG,val/val_annotations.txt}`. A class
//! index is the position in the sorted WordNet ids; train images come in the order of torchvision's `ImageFolder`,
//! and the official val images, in the order of `val_annotations.txt`, are the test split. Grey images are
//! repeated in the three channels. The decoded pixels are kept in a cache file beside them (`cache.rs`).

use super::listed::{Listed, Source};
use super::{DatasetKind, Split, listing, locate};
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Width and height of every image.
pub(super) const SIZE: (usize, usize) = (64, 64);

/// Lists one split of the official files, in `dir` or `dir/tiny-imagenet-200`.
pub(super) fn list(dir: &Path, split: Split) -> Result<Listed> {
    let top = locate(DatasetKind::TinyImagenet, dir, &["tiny-imagenet-200"], &["wnids.txt"])?;
    let classes = read_wnids(&top.join("wnids.txt"))?;
    let (root, list): (_, fn(&Path, &[String]) -> _) = match split {
        Split::Train => (top.join("train"), list_train),
        Split::Test => (top.join("val"), list_val),
    };
    let (files, labels) = list(&root, &classes)?;
    Ok(Listed { labels, classes, source: Source::Files(files), root, notes: Vec::new() })
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

fn list_train(folder: &Path, classes: &[String]) -> Result<(Vec<PathBuf>, Vec<u16>)> {
    let folders = listing::subfolders(folder)?;
    if let Some(stranger) = folders.iter().find(|name| classes.binary_search(name).is_err()) {
        return Err(Error::input(folder.join(stranger), "class", "a WordNet id of wnids.txt", stranger));
    }
    let mut files = Vec::new();
    let mut labels = Vec::new();
    for (label, class) in classes.iter().enumerate() {
        let (images, _) = listing::image_files(&folder.join(class))?;
        if images.is_empty() {
            return Err(Error::input(folder.join(class), "class folder", "JPEG images", "none"));
        }
        labels.resize(labels.len() + images.len(), label as u16);
        files.extend(images);
    }
    Ok((files, labels))
}

/// Reads `val_annotations.txt`: file name, WordNet id and four box corners, separated by tabs.
fn list_val(folder: &Path, classes: &[String]) -> Result<(Vec<PathBuf>, Vec<u16>)> {
    let path = folder.join("val_annotations.txt");
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
