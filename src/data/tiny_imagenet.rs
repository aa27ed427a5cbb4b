//! Tiny ImageNet (Stanford CS231n): 200 classes, 64×64 JPEG files.
//!
//! `tiny-imagenet-200/{wnids.txt,train/<wnid>/images/*.JPEG,val/images/*.JPEG,val/val_annotations.txt}`. A class
//! index is the position in the sorted WordNet ids; train images come in the order of torchvision's `ImageFolder`,
//! and the official val images, in the order of `val_annotations.txt`, are the test split. Grey images are
//! repeated in the three channels. The decoded pixels are kept in a cache file beside them (`cache.rs`).

use super::decode::read_image;
use super::{DatasetKind, Images, Split, cache, listing, locate};
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::collections::HashMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

const SHAPE: [usize; 3] = [3, 64, 64];
const PIXELS: usize = 3 * 64 * 64;

/// Loads one split from the official files, in `dir` or `dir/tiny-imagenet-200`.
pub fn load(dir: &Path, split: Split) -> Result<Images> {
    let root = locate(DatasetKind::TinyImagenet, dir, &["tiny-imagenet-200"], &["wnids.txt"])?;
    let classes = read_wnids(&root.join("wnids.txt"))?;
    let (files, labels) = match split {
        Split::Train => list_train(&root.join("train"), &classes)?,
        Split::Test => list_val(&root.join("val"), &classes)?,
    };
    let cache_path = root.join(format!("synfilter-{split}.cache"));
    let fingerprint = cache::fingerprint(&files, &labels, &classes);
    if let Some(images) =
        fingerprint.as_ref().ok().and_then(|print| cache::read(&cache_path, print, &classes))
    {
        return Ok(images);
    }
    tracing::info!("{}: decoding {} {split} images", root.display(), files.len());
    let images = Images::new(SHAPE, decode_all(&files)?, labels, classes);
    if let Err(error) = fingerprint.and_then(|print| cache::write(&cache_path, &print, &images)) {
        tracing::warn!("{}: no cache written ({error}); every start decodes again", cache_path.display());
    }
    Ok(images)
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

/// Decodes in parallel to `[N, 3, 64, 64]`.
fn decode_all(files: &[PathBuf]) -> Result<Vec<u8>> {
    let mut pixels = vec![0; files.len() * PIXELS];
    pixels.par_chunks_exact_mut(PIXELS).zip(files).try_for_each(|(planes, path)| {
        let image = read_image(path)?;
        if (image.height, image.width) != (SHAPE[1], SHAPE[2]) {
            let found = format!("{}×{}", image.width, image.height);
            return Err(Error::input(path, "image size", "64×64 pixels", found));
        }
        image.write_planes(planes);
        Ok(())
    })?;
    Ok(pixels)
}
