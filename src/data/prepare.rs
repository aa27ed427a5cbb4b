//! How an image is prepared, as torchvision's evaluation transforms do it: `Grayscale`, then `Resize(R)`, then
//! `CenterCrop(S)`, each where it is asked for.
//!
//! `Resize(R)`: the shorter side becomes R, the longer one ⌊R·long/short⌋ (see `resize.rs`). `CenterCrop(S)` begins at
//! half the surplus, halves rounded to even, as Python's `round` does; an image that is smaller is refused, where
//! torchvision would surround it with black. Grey is Pillow's `L`: (19595·R + 38470·G + 7471·B + 32768) >> 16, before
//! anything else; from grey to colour, it is repeated in the three channels.

use super::dataset::DatasetKind;
use super::resize::{Interpolation, resize};
use crate::error::{Error, Result};
use crate::named_choice::named_choice;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Largest size of images that can be asked for.
const MAX_SIZE: usize = 4096;
/// Largest size of the shorter side before the crop.
const MAX_RESIZE: usize = 8192;
/// Longest side that resizing may make of an image that is long and thin.
const MAX_SIDE: usize = 65_536;

named_choice!(
    /// Which channels images have.
    Color, "colour" {
        /// Red, green, blue.
        Rgb = "rgb",
        /// Luminance alone.
        Grey = "grey"
    }
);

/// How images are prepared; by default they are taken as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepare {
    /// What the shorter side becomes, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resize: Option<usize>,
    /// Width and height that are cut out of the middle, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<usize>,
    /// How it is resized; bilinear if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interpolation: Option<Interpolation>,
    /// The channels; those of the data set if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<Color>,
}

impl Prepare {
    /// What an image size S alone means: for a folder `Resize(⌊S·8/7⌋)` and `CenterCrop(S)` (256 and 224), for the other
    /// sets, whose images are square, `Resize(S)`.
    ///
    /// # Errors
    /// A usage error for a size that cannot be.
    pub fn to_size(kind: DatasetKind, size: usize) -> Result<Prepare> {
        if !(1..=MAX_SIZE).contains(&size) {
            return Err(Error::usage(format!("--image-size {size}: give 1 to {MAX_SIZE}")));
        }
        Ok(size_alone(kind, size))
    }

    /// As it is recorded with results: nothing for images as they are and for a folder with nothing but an image size,
    /// of which results have never told but by the digest of their images.
    pub fn recorded(self, kind: DatasetKind) -> Option<Prepare> {
        let plain = match (kind, self.crop) {
            (DatasetKind::Folder, Some(size)) => size_alone(kind, size),
            _ => Prepare::default(),
        };
        Some(self).filter(|&prepare| prepare != plain && prepare != Prepare::default())
    }

    /// Whether these settings can be.
    ///
    /// # Errors
    /// A usage error that names the flag.
    pub fn check(&self) -> Result<()> {
        for (flag, size, most) in [("--resize", self.resize, MAX_RESIZE), ("--crop", self.crop, MAX_SIZE)] {
            if let Some(size) = size.filter(|size| !(1..=most).contains(size)) {
                return Err(Error::usage(format!("{flag} {size}: give 1 to {most}")));
            }
        }
        match (self.interpolation, self.resize) {
            (Some(interpolation), None) => Err(Error::usage(format!(
                "--interpolation {interpolation}: expected --resize beside it, found none"
            ))),
            _ => Ok(()),
        }
    }

    /// In words, in the order in which it is done.
    pub fn words(&self) -> String {
        let mut words = Vec::new();
        words.extend(self.color.map(|color| match color {
            Color::Grey => "luminance alone".to_owned(),
            Color::Rgb => "in three channels".to_owned(),
        }));
        words.extend(self.resize.map(|size| {
            format!("Resize({size}), {}", self.interpolation.unwrap_or(Interpolation::Bilinear))
        }));
        words.extend(self.crop.map(|size| format!("CenterCrop({size})")));
        if words.is_empty() { "as they are".to_owned() } else { words.join(", ") }
    }

    /// An image, prepared. `path` is its file, or that of the data set.
    ///
    /// # Errors
    /// An input error for an image that is smaller than what is cut out of it, or too long and thin to be resized; a usage
    /// error for a colour of images of other than one and three channels.
    pub(super) fn apply(&self, picture: Picture, path: &Path) -> Result<Picture> {
        let mut picture = match self.color {
            Some(color) => recoloured(picture, color)?,
            None => picture,
        };
        if let Some(short) = self.resize {
            picture = resized(picture, short, self.interpolation.unwrap_or(Interpolation::Bilinear), path)?;
        }
        match self.crop {
            Some(size) => center_cropped(picture, size, path),
            None => Ok(picture),
        }
    }
}

fn size_alone(kind: DatasetKind, size: usize) -> Prepare {
    match kind {
        DatasetKind::Folder => {
            Prepare { resize: Some(size.saturating_mul(8) / 7), crop: Some(size), ..Prepare::default() }
        }
        _ => Prepare { resize: Some(size), ..Prepare::default() },
    }
}

/// An image in memory, `[C, H, W]`.
pub(super) struct Picture {
    /// Channels, height, width, each at least 1.
    pub shape: [usize; 3],
    /// Its pixels.
    pub planes: Vec<u8>,
}

fn recoloured(picture: Picture, color: Color) -> Result<Picture> {
    let Picture { shape: [channels, height, width], planes } = picture;
    let planes = match (channels, color) {
        (1, Color::Grey) | (3, Color::Rgb) => planes,
        (1, Color::Rgb) => planes.repeat(3),
        (3, Color::Grey) => {
            let (red, rest) = planes.split_at(height * width);
            let (green, blue) = rest.split_at(height * width);
            red.iter().zip(green).zip(blue).map(|((&r, &g), &b)| luminance(r, g, b)).collect()
        }
        _ => {
            let expected = "images of one or three channels";
            return Err(Error::usage(format!("--color {color}: expected {expected}, found {channels}")));
        }
    };
    Ok(Picture { shape: [planes.len() / (height * width), height, width], planes })
}

fn luminance(r: u8, g: u8, b: u8) -> u8 {
    ((u32::from(r) * 19_595 + u32::from(g) * 38_470 + u32::from(b) * 7_471 + 0x8000) >> 16) as u8
}

fn resized(picture: Picture, short: usize, interpolation: Interpolation, path: &Path) -> Result<Picture> {
    let [channels, height, width] = picture.shape;
    let to = resized_size(width, height, short);
    if to.0.max(to.1) > MAX_SIDE {
        let expected = format!("at most {MAX_SIDE} pixels after resizing");
        return Err(Error::input(path, "longer side", expected, to.0.max(to.1)));
    }
    if to == (width, height) {
        return Ok(picture);
    }
    let planes = picture.planes.chunks_exact(width * height);
    let planes = planes.flat_map(|plane| resize(plane, (width, height), to, interpolation)).collect();
    Ok(Picture { shape: [channels, to.1, to.0], planes })
}

/// Width and height after the shorter side became `short`.
fn resized_size(width: usize, height: usize, short: usize) -> (usize, usize) {
    if width <= height { (short, short * height / width) } else { (short * width / height, short) }
}

fn center_cropped(picture: Picture, size: usize, path: &Path) -> Result<Picture> {
    let [channels, height, width] = picture.shape;
    let (Some(left), Some(top)) = (width.checked_sub(size), height.checked_sub(size)) else {
        let expected = format!("at least {size}×{size} pixels to cut out (--resize before --crop enlarges)");
        return Err(Error::input(path, "image size", expected, format_args!("{width}×{height}")));
    };
    let (left, top) = (half_to_even(left), half_to_even(top));
    let cut = |plane: &[u8]| -> Vec<u8> {
        let rows = plane.chunks_exact(width).skip(top).take(size);
        rows.flat_map(|row| &row[left..left + size]).copied().collect()
    };
    let planes = picture.planes.chunks_exact(width * height).flat_map(cut).collect();
    Ok(Picture { shape: [channels, size, size], planes })
}

/// n / 2, a half rounded to the even neighbour.
fn half_to_even(n: usize) -> usize {
    n / 2 + usize::from(n % 4 == 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_offsets_are_torchvisions() {
        assert_eq!(resized_size(500, 375, 256), (341, 256));
        assert_eq!(resized_size(375, 500, 256), (256, 341));
        assert_eq!(resized_size(64, 64, 73), (73, 73));
        // Python: [round(n / 2) for n in range(8)]
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7].map(half_to_even), [0, 0, 1, 2, 2, 2, 3, 4]);
    }

    #[test]
    fn an_image_size_is_what_it_was_for_a_folder_and_resizes_alone_elsewhere() {
        let folder = Prepare::to_size(DatasetKind::Folder, 224).unwrap();
        assert_eq!((folder.resize, folder.crop), (Some(256), Some(224)));
        assert_eq!(folder.recorded(DatasetKind::Folder), None);
        assert_eq!(folder.words(), "Resize(256), bilinear, CenterCrop(224)");
        let cifar = Prepare::to_size(DatasetKind::Cifar10, 64).unwrap();
        assert_eq!((cifar.resize, cifar.crop), (Some(64), None));
        assert_eq!(cifar.recorded(DatasetKind::Cifar10), Some(cifar));
        assert_eq!(Prepare::default().recorded(DatasetKind::Folder), None);
        let grey = Prepare { color: Some(Color::Grey), ..folder };
        assert_eq!(
            serde_json::to_string(&grey.recorded(DatasetKind::Folder)).unwrap(),
            r#"{"resize":256,"crop":224,"color":"grey"}"#
        );
    }

    #[test]
    fn what_is_too_long_or_too_small_is_named() {
        let thin = || Picture { shape: [1, 1, 3000], planes: vec![0; 3000] };
        let error =
            |prepare: Prepare| prepare.apply(thin(), Path::new("thin.png")).err().unwrap().to_string();
        let long = error(Prepare { resize: Some(100), ..Prepare::default() });
        assert!(
            long.contains(
                "thin.png: longer side: expected at most 65536 pixels after resizing, found 300000"
            ),
            "{long}"
        );
        let small = error(Prepare { crop: Some(2), ..Prepare::default() });
        assert!(small.contains("at least 2×2 pixels") && small.contains("found 3000×1"), "{small}");
    }
}
