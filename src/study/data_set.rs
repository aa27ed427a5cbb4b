//! The data sets of a study.

use super::document::{At, Place, Section, at_least, flag, named, text, whole};
use crate::data::{Color, DatasetKind, Interpolation, Prepare, Request, Split};
use crate::error::{Error, Result};
use std::path::PathBuf;

/// A data set.
#[derive(Clone, Debug)]
pub struct Data {
    /// What it is called in folders.
    pub name: String,
    /// Which it is.
    pub kind: DatasetKind,
    /// The folder with its files.
    pub dir: Option<PathBuf>,
    /// Size of the images, where nothing else is said of it.
    pub image_size: Option<usize>,
    /// How images are prepared, the image size included.
    pub prepare: Prepare,
    /// A file with the classes of the networks.
    pub classes: Option<PathBuf>,
    /// Whether files that cannot be decoded are left out.
    pub skip_broken: bool,
    /// Whether what is in the study's folder is of the first images in file order, as all was before there was a choice.
    pub in_file_order: bool,
    /// Where it is described.
    pub place: Place,
}

impl Data {
    /// Reads a section [[data]].
    ///
    /// # Errors
    /// [`Error::Input`] with line and key of the first thing that cannot be.
    pub(super) fn read(section: Section) -> Result<Data> {
        let known = DatasetKind::ALL.map(DatasetKind::name).join(", ");
        let kind = section.required("dataset", &known, named::<DatasetKind>)?;
        let name = section.optional("name", "a name", text)?;
        let name = name.unwrap_or(At { value: kind.value.name().to_owned(), place: kind.place.clone() });
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.value.is_empty() || name.value.starts_with('.') || !name.value.chars().all(plain) {
            let expected = "a name of letters, digits, '-', '_' and '.' that can be a folder's";
            return Err(section.fault(&name.place, expected, format!("\"{}\"", name.value)));
        }
        let dir = section.optional("dir", "a folder", text)?;
        match (&dir, kind.value) {
            (Some(dir), DatasetKind::Digits) => {
                let expected = "none: digits are part of the program";
                return Err(section.fault(&dir.place, expected, format!("\"{}\"", dir.value)));
            }
            (None, kind) if kind != DatasetKind::Digits => {
                return Err(section.missing("dir", format!("the folder with the files of {kind}")));
            }
            _ => {}
        }
        let (image_size, prepare) = preparation(&section, kind.value)?;
        let classes = section.optional("classes", "a file with the classes of the networks", text)?;
        let skip_broken = section.optional("skip-broken", "true or false", flag)?;
        let place = dir.as_ref().map_or(kind.place, |dir| dir.place.clone());
        section.finish()?;
        Ok(Data {
            name: name.value,
            kind: kind.value,
            dir: dir.map(|dir| dir.value.into()),
            image_size,
            prepare,
            classes: classes.map(|classes| classes.value.into()),
            skip_broken: skip_broken.is_some_and(|flag| flag.value),
            in_file_order: false,
            place,
        })
    }

    /// All images of a split.
    pub fn request(&self, split: Split) -> Request {
        Request {
            prepare: self.prepare,
            classes: self.classes.clone(),
            skip_broken: self.skip_broken,
            ..Request::new(self.kind, self.dir.clone(), split)
        }
    }
}

/// An image size, if there is one, and how images are prepared.
fn preparation(section: &Section, kind: DatasetKind) -> Result<(Option<usize>, Prepare)> {
    let size = "a size of at least 1";
    let image_size = section.optional("image-size", size, at_least(1))?;
    let resize = section.optional("resize", size, at_least(1))?;
    let crop =
        section.optional("crop", "a size of at least 1, or \"none\"", |value| match value.as_str() {
            Some("none") => Some(None),
            _ => whole::<usize>(value).filter(|&size| size >= 1).map(Some),
        })?;
    let interpolation = section.optional("interpolation", "bilinear or bicubic", named::<Interpolation>)?;
    let color = section.optional("color", "rgb or grey", named::<Color>)?;
    let place = resize.as_ref().map(|at| &at.place).or(crop.as_ref().map(|at| &at.place));
    if let (Some(_), Some(place)) = (&image_size, place) {
        let expected = "none beside image-size, which says both resize and crop";
        return Err(section.fault(place, expected, "both"));
    }
    let first =
        image_size.as_ref().map(|at| &at.place).or(place).or(interpolation.as_ref().map(|at| &at.place));
    let fault = |error: Error| match first {
        Some(place) => section.fault(place, "a preparation that can be", error),
        None => error,
    };
    let image_size = image_size.as_ref().map(|size| size.value);
    let sized = match image_size {
        Some(size) => Prepare::to_size(kind, size).map_err(fault)?,
        None => Prepare {
            resize: resize.as_ref().map(|size| size.value),
            crop: crop.as_ref().and_then(|size| size.value),
            ..Prepare::default()
        },
    };
    let prepare = Prepare {
        interpolation: interpolation.as_ref().map(|at| at.value),
        color: color.map(|color| color.value),
        ..sized
    };
    prepare.check().map_err(fault)?;
    Ok((image_size, prepare))
}
