//! From a split as its reader found it to the images in memory: files are decoded in parallel, resized where that is
//! asked for, and all of one size.

use super::decode::{Rgb, read_image};
use super::listed::{Listed, Source};
use super::resize::resize_and_crop;
use super::{DatasetKind, Images, Split, cache, tiny_imagenet};
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Largest image size that can be asked for.
const MAX_IMAGE_SIZE: usize = 4096;

/// The images of a split; with an image size S, files are resized and cropped to S×S (see `resize.rs`).
pub(super) fn images(
    listed: Listed,
    kind: DatasetKind,
    split: Split,
    image_size: Option<usize>,
) -> Result<Images> {
    if let Some(size) = image_size.filter(|size| !(1..=MAX_IMAGE_SIZE).contains(size)) {
        return Err(Error::usage(format!("--image-size {size}: give 1 to {MAX_IMAGE_SIZE}")));
    }
    let Listed { labels, classes, source, root, .. } = listed;
    let files = match source {
        Source::Memory { shape, pixels } => return Ok(Images::new(shape, pixels, labels, classes)),
        Source::Files(files) => files,
    };
    if kind != DatasetKind::TinyImagenet {
        let (width, height) = match (image_size, files.first()) {
            (None, Some(first)) => {
                let first = read_image(first)?;
                (first.width, first.height)
            }
            (size, _) => (size.unwrap_or_default(), size.unwrap_or_default()),
        };
        let pixels = decode_all(&files, (width, height), image_size)?;
        return Ok(Images::new([3, height, width], pixels, labels, classes));
    }
    let cache_path = tiny_imagenet::cache_path(&root, split);
    let fingerprint = cache::fingerprint(&files, &labels, &classes);
    if let Some(images) =
        fingerprint.as_ref().ok().and_then(|print| cache::read(&cache_path, print, &classes))
    {
        return Ok(images);
    }
    tracing::info!("{}: decoding {} {split} images", root.display(), files.len());
    let (width, height) = tiny_imagenet::SIZE;
    let pixels = decode_all(&files, (width, height), None)?;
    let images = Images::new([3, height, width], pixels, labels, classes);
    if let Err(error) = fingerprint.and_then(|print| cache::write(&cache_path, &print, &images)) {
        tracing::warn!("{}: no cache written ({error}); every start decodes again", cache_path.display());
    }
    Ok(images)
}

/// Decodes in parallel to `[N, 3, H, W]`.
fn decode_all(
    files: &[PathBuf],
    (width, height): (usize, usize),
    image_size: Option<usize>,
) -> Result<Vec<u8>> {
    let size = 3 * width * height;
    let mut pixels = vec![0; files.len() * size];
    pixels.par_chunks_exact_mut(size).zip(files).try_for_each(|(planes, path)| {
        let image = read_image(path)?;
        let image = match image_size {
            Some(size) => resize_and_crop(&image, size)
                .map_err(|message| Error::input(path, "resizing", "an image that can be resized", message))?,
            None => same_size(path, image, (width, height))?,
        };
        image.write_planes(planes);
        Ok(())
    })?;
    Ok(pixels)
}

fn same_size(path: &Path, image: Rgb, (width, height): (usize, usize)) -> Result<Rgb> {
    if (image.width, image.height) == (width, height) {
        return Ok(image);
    }
    let expected =
        format!("{width}×{height} pixels as the first image has (--image-size makes all one size)");
    Err(Error::input(path, "image size", expected, format_args!("{}×{}", image.width, image.height)))
}
