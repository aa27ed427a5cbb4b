//! From a split as its reader found it to pixels in memory: the images that are taken are decoded and prepared in
//! parallel, and have to be of one size then.

use super::cache::Cache;
use super::dataset::DatasetKind;
use super::decode::{Remark, read_image};
use super::listed::{Few, Source};
use super::prepare::{Picture, Prepare};
use super::reading::Skipped;
use super::remarks::Remarks;
use super::request::Request;
use super::split::Split;
use super::tiny_imagenet;
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// The images that were taken.
pub(super) struct Taken {
    /// Their positions in the set.
    pub positions: Vec<usize>,
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// `[N, C, H, W]`.
    pub pixels: Vec<u8>,
    /// What was left out.
    pub skipped: Skipped,
    /// What is to be told of them, a sentence each.
    pub notes: Vec<String>,
}

impl Taken {
    /// Images that needed no decoding.
    fn plain(positions: Vec<usize>, shape: [usize; 3], pixels: Vec<u8>) -> Taken {
        Taken { positions, shape, pixels, skipped: Skipped::default(), notes: Vec::new() }
    }
}

/// The cache of a split, for the one data set that has one.
pub(super) fn cache(
    kind: DatasetKind,
    split: Split,
    root: &Path,
    files: &[PathBuf],
    labels: &[u16],
    classes: &[String],
) -> Option<Cache> {
    let path = tiny_imagenet::cache_path(root, split);
    (kind == DatasetKind::TinyImagenet).then(|| Cache::of(path, files, labels, classes))
}

/// Takes the images at the positions `chosen`, of which there is at least one. `root` is what errors name that are of no
/// file of their own.
pub(super) fn take(
    request: &Request,
    source: Source,
    chosen: &[usize],
    cache: Option<Cache>,
    root: &Path,
) -> Result<Taken> {
    match source {
        Source::Files(files) => of_files(request, &files, chosen, cache, root),
        Source::Memory { shape, pixels } => of_memory(request, shape, pixels, chosen, root),
        Source::Rows(rows) => {
            let Few { shape, pixels, notes } = rows.read(chosen)?;
            let all: Vec<usize> = (0..chosen.len()).collect();
            let taken = of_memory(request, shape, pixels, &all, root)?;
            Ok(Taken { positions: chosen.to_vec(), notes, ..taken })
        }
    }
}

fn of_memory(
    request: &Request,
    shape: [usize; 3],
    pixels: Vec<u8>,
    chosen: &[usize],
    root: &Path,
) -> Result<Taken> {
    let size = shape.iter().product::<usize>();
    let one = |at: usize| &pixels[at * size..(at + 1) * size];
    let positions = chosen.to_vec();
    if request.prepare == Prepare::default() {
        let all = chosen.len() * size == pixels.len() && chosen.is_sorted();
        let pixels = if all { pixels } else { chosen.iter().flat_map(|&at| one(at)).copied().collect() };
        return Ok(Taken::plain(positions, shape, pixels));
    }
    let picture = |at| request.prepare.apply(Picture { shape, planes: one(at).to_vec() }, root);
    let shape = picture(chosen[0])?.shape;
    let size = shape.iter().product::<usize>();
    let mut prepared = room(chosen.len(), shape)?;
    prepared.par_chunks_exact_mut(size).zip(chosen).try_for_each(|(planes, &at)| {
        planes.copy_from_slice(&picture(at)?.planes);
        Ok::<_, Error>(())
    })?;
    Ok(Taken::plain(positions, shape, prepared))
}

fn of_files(
    request: &Request,
    files: &[PathBuf],
    chosen: &[usize],
    cache: Option<Cache>,
    root: &Path,
) -> Result<Taken> {
    let cache = cache.filter(|_| request.prepare == Prepare::default());
    if let Some((shape, pixels)) = cache.as_ref().and_then(|cache| cache.read(chosen)) {
        return Ok(Taken::plain(chosen.to_vec(), shape, pixels));
    }
    tracing::info!("{}: decoding {} images", root.display(), chosen.len());
    let taken = decoded(request, files, chosen)?;
    // A part would have to be decoded again for every other part, and what is to be told of files is not cached.
    let whole = taken.positions.len() == files.len() && chosen.is_sorted() && taken.notes.is_empty();
    if let Some(cache) = cache.filter(|_| whole)
        && let Err(error) = cache.write(taken.shape, &taken.pixels)
    {
        tracing::warn!("{}: no cache written ({error}); every start decodes again", cache.path().display());
    }
    Ok(taken)
}

/// Decodes in parallel.
fn decoded(request: &Request, files: &[PathBuf], chosen: &[usize]) -> Result<Taken> {
    // The first image that can be decoded says how large all are.
    let (mut skipped, mut first) = (Skipped::default(), 0);
    let shape = loop {
        let path = &files[chosen[first]];
        match (read(request, path), first + 1 < chosen.len()) {
            (Ok((picture, _)), _) => break request.prepare.apply(picture, path)?.shape,
            (Err(_), true) if request.skip_broken => {
                skipped.add(path);
                first += 1;
            }
            (Err(error), _) => return Err(error),
        }
    };
    if let (DatasetKind::TinyImagenet, false) = (request.kind, sized(&request.prepare))
        && let (width, height) = tiny_imagenet::SIZE
        && shape[1..] != [height, width]
    {
        let found = format!("{}×{}", shape[2], shape[1]);
        return Err(Error::input(
            &files[chosen[first]],
            "image size",
            format!("{width}×{height} pixels"),
            found,
        ));
    }
    let chosen = &chosen[first..];
    let size = shape.iter().product::<usize>();
    let mut pixels = room(chosen.len(), shape)?;
    let decode = |(planes, &at): (&mut [u8], &usize)| {
        let path = &files[at];
        let (picture, remarks) = match read(request, path) {
            Ok((picture, remarks)) => (request.prepare.apply(picture, path)?, remarks),
            Err(_) if request.skip_broken => return Ok(None),
            Err(error) => return Err(error),
        };
        if picture.shape != shape {
            return Err(other_size(&request.prepare, path, picture.shape, shape));
        }
        planes.copy_from_slice(&picture.planes);
        Ok(Some(remarks))
    };
    let decoded = pixels.par_chunks_exact_mut(size).zip(chosen).map(decode).collect::<Result<Vec<_>>>()?;
    let mut remarks = Remarks::default();
    let mut positions = Vec::with_capacity(chosen.len());
    for (slot, (&at, decoded)) in chosen.iter().zip(decoded).enumerate() {
        if let Some(said) = decoded {
            said.into_iter().for_each(|remark| remarks.add(&files[at], remark));
            pixels.copy_within(slot * size..(slot + 1) * size, positions.len() * size);
            positions.push(at);
        } else {
            skipped.add(&files[at]);
        }
    }
    pixels.truncate(positions.len() * size);
    Ok(Taken { positions, shape, pixels, skipped, notes: remarks.notes() })
}

/// Memory for so many images of a shape.
fn room(images: usize, shape: [usize; 3]) -> Result<Vec<u8>> {
    let bytes = shape.iter().try_fold(images, |bytes, side| bytes.checked_mul(*side));
    // Asked for first: more than there is would end the program.
    match bytes.filter(|&bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok()) {
        Some(bytes) => Ok(vec![0; bytes]),
        None => {
            let [channels, height, width] = shape;
            Err(Error::Failed(format!(
                "{images} images of {channels}×{height}×{width} do not fit in memory; --images takes fewer, --resize \
                 smaller ones"
            )))
        }
    }
}

/// Decodes a file to three planes, with what is to be told of it.
fn read(request: &Request, path: &Path) -> Result<(Picture, Vec<Remark>)> {
    let image = read_image(path).map_err(|error| match error {
        Error::Input { path, place, expected, found } if !request.skip_broken => Error::Input {
            path,
            place,
            expected,
            found: format!("{found} (--skip-broken leaves such files out)"),
        },
        error => error,
    })?;
    let mut planes = vec![0; image.pixels.len()];
    image.write_planes(&mut planes);
    Ok((Picture { shape: [3, image.height, image.width], planes }, image.remarks))
}

/// Whether the size of images is changed.
fn sized(prepare: &Prepare) -> bool {
    prepare.resize.is_some() || prepare.crop.is_some()
}

fn other_size(prepare: &Prepare, path: &Path, found: [usize; 3], shape: [usize; 3]) -> Error {
    let [_, height, width] = shape;
    let help = match (prepare.resize, prepare.crop) {
        (Some(_), _) => "--crop beside --resize makes all one size",
        (None, _) => "--image-size, or --resize with --crop, makes all one size",
    };
    let expected = format!("{width}×{height} pixels as the first image has ({help})");
    Error::input(path, "image size", expected, format_args!("{}×{}", found[2], found[1]))
}
