//! What every data set brings along: its name, its normalisation, how its files are recognised and how they are listed.

use super::classes::Known;
use super::listed::Listed;
use super::split::Split;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// What networks for ImageNet are normalised with, as torchvision's are.
pub(super) const IMAGENET_MEAN_STD: (&[f32], &[f32]) = (&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225]);

/// A data set. It is known to the program by a line of [`super::DatasetKind`].
pub(super) trait Reader: Sync {
    /// The name on the command line, in checkpoints and in results.
    fn name(&self) -> &'static str;

    /// Mean and standard deviation of each channel in pixel space that its images are normalised with where nothing
    /// else is told; channel `c` of more channels gets the value of channel `c mod own`.
    fn mean_std(&self) -> (&'static [f32], &'static [f32]);

    /// Whether files of the data set, of either split, lie in a folder or in its usual sub-folders.
    fn is_in(&self, dir: &Path) -> bool;

    /// Lists one split.
    ///
    /// # Errors
    /// [`Error::Input`] or [`Error::Read`] for what is missing or malformed.
    fn list(&self, dir: &Path, split: Split) -> Result<Listed>;

    /// The same where a file says the classes of the network, for readers to which names of classes say what is one.
    ///
    /// # Errors
    /// Those of [`Reader::list`].
    fn list_with(&self, dir: &Path, split: Split, _: &Known) -> Result<Listed> {
        self.list(dir, split)
    }
}

/// The folders where files are looked for: `dir` itself, then its sub-folders of these names.
pub(super) fn places(dir: &Path, subfolders: &[&str]) -> impl Iterator<Item = PathBuf> {
    std::iter::once(dir.to_owned()).chain(subfolders.iter().map(|sub| dir.join(sub)))
}

/// The error for a data set none of whose files is in any of its places; `fetched` says that `synfilter data fetch`
/// knows it.
pub(super) fn missing(name: &str, dir: &Path, subfolders: &[&str], files: &[&str], fetched: bool) -> Error {
    let folders = subfolders.iter().map(|sub| format!("{sub}/")).collect::<Vec<_>>().join(", ");
    let mut expected = format!("{} here or in {folders}", files.join(" or "));
    if fetched {
        expected += &format!(" (`synfilter data fetch {name}` gets the official files)");
    }
    let found = if dir.is_dir() { "none of them" } else { "no such folder" };
    Error::input(dir, format_args!("files of {name}"), expected, found)
}
