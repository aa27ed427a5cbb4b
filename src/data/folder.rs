//! `folder`: any folder of class sub-folders with images, always as RGB.
//!
//! **Classes** are the sub-folders, sorted by name, and images come in the order of torchvision's `ImageFolder`
//! (class by class). Files with another extension are passed over with a warning.
//!
//! **Splits.** If the folder has `train/` beside `val/` or `test/`, or no sub-folder but these three, then `train/`
//! is the train split and `val/` (in its absence `test/`) the test split. Classes are numbered by `train/` where it
//! exists, so that a class without test images shifts no label; a test class that `train/` lacks is an error.
//! Any other folder has one set of images: it is the test split, and there is no train split (training on the
//! images that are measured would go unseen).
//!
//! **Size.** With an image size S every image is resized and cropped to S×S by torchvision's evaluation
//! convention (see `resize.rs`). Without one, all images must have the same size already.

use super::decode::{Rgb, read_image};
use super::resize::resize_and_crop;
use super::{Images, Split, listing};
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Largest image size that can be asked for.
const MAX_IMAGE_SIZE: usize = 4096;
const SPLITS: [&str; 3] = ["train", "val", "test"];

/// Loads one split; `image_size` is the S above.
pub fn load(dir: &Path, split: Split, image_size: Option<usize>) -> Result<Images> {
    if let Some(size) = image_size.filter(|size| !(1..=MAX_IMAGE_SIZE).contains(size)) {
        return Err(Error::usage(format!("--image-size {size}: give 1 to {MAX_IMAGE_SIZE}")));
    }
    let (root, classes) = root_and_classes(dir, split)?;
    let (files, labels) = list(&root, &classes)?;
    let shape = match image_size {
        Some(size) => [3, size, size],
        None => {
            let first = read_image(&files[0])?;
            [3, first.height, first.width]
        }
    };
    let pixels = decode_all(&files, shape, image_size)?;
    Ok(Images::new(shape, pixels, labels, classes))
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
fn list(root: &Path, classes: &[String]) -> Result<(Vec<PathBuf>, Vec<u16>)> {
    if classes.len() > usize::from(u16::MAX) {
        return Err(Error::input(root, "classes", "at most 65,535", classes.len()));
    }
    let mut files = Vec::new();
    let mut labels = Vec::new();
    let mut passed_over = 0;
    listing::tell_strangers(root)?;
    for class in listing::subfolders(root)? {
        let folder = root.join(&class);
        let Ok(label) = classes.binary_search(&class) else {
            return Err(Error::input(&folder, "class", "a class that train/ has too", class));
        };
        let (images, others) = listing::image_files(&folder)?;
        if images.is_empty() {
            return Err(Error::input(&folder, "class folder", "images", "none"));
        }
        labels.resize(labels.len() + images.len(), label as u16);
        files.extend(images);
        passed_over += others;
    }
    if files.is_empty() {
        return Err(Error::input(root, "data folder", "class sub-folders with images", "none"));
    }
    if passed_over > 0 {
        tracing::warn!("{}: {passed_over} files have no image's extension: passed over", root.display());
    }
    Ok((files, labels))
}

/// Decodes in parallel to `[N, 3, H, W]`.
fn decode_all(files: &[PathBuf], shape: [usize; 3], image_size: Option<usize>) -> Result<Vec<u8>> {
    let size = shape.iter().product::<usize>();
    let mut pixels = vec![0; files.len() * size];
    pixels.par_chunks_exact_mut(size).zip(files).try_for_each(|(planes, path)| {
        let image = read_image(path)?;
        let image = match image_size {
            Some(size) => resize_and_crop(&image, size)
                .map_err(|message| Error::input(path, "resizing", "an image that can be resized", message))?,
            None => same_size(path, image, shape)?,
        };
        image.write_planes(planes);
        Ok(())
    })?;
    Ok(pixels)
}

fn same_size(path: &Path, image: Rgb, [_, height, width]: [usize; 3]) -> Result<Rgb> {
    if (image.width, image.height) == (width, height) {
        return Ok(image);
    }
    let expected =
        format!("{width}×{height} pixels as the first image has (--image-size makes all one size)");
    Err(Error::input(path, "image size", expected, format_args!("{}×{}", image.width, image.height)))
}
