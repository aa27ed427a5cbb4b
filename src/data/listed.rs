//! What a reader finds of a split before any image is decoded: the seam between the readers of the data sets and
//! what is done alike with the images of all of them (`assemble.rs`).

use crate::error::Result;
use std::path::PathBuf;

/// How classes are counted where nothing but labels tells.
pub(super) const BY_LABELS: &str = "one more than the greatest label";

/// A split as a reader found it. There are as many labels as images, at least one, and every label is below
/// `classes.len()`.
pub(super) struct Listed {
    /// Class index of each image.
    pub labels: Vec<u16>,
    /// Class names; their count is the number of classes.
    pub classes: Vec<String>,
    /// The images, in the order of the labels.
    pub source: Source,
    /// The folder or file that is read, such as `data/val`.
    pub root: PathBuf,
    /// What was taken that a user could have meant otherwise, a sentence each.
    pub notes: Vec<String>,
    /// How the number of classes is known, where it may be meant otherwise; else empty.
    pub counted_by: String,
}

/// Where the images of a split are.
pub(super) enum Source {
    /// In a file each.
    Files(Vec<PathBuf>),
    /// In memory, as the data set keeps them: `pixels` is `[N, C, H, W]`, `shape` is channels, height, width.
    Memory {
        /// Channels, height, width.
        shape: [usize; 3],
        /// All pixels.
        pixels: Vec<u8>,
    },
    /// In one file, of which no more is read than is taken.
    Rows(Box<dyn Rows>),
}

/// Images that lie in one file.
pub(super) trait Rows {
    /// Reads the images at these positions, of which there is at least one.
    fn read(self: Box<Self>, chosen: &[usize]) -> Result<Few>;
}

/// Images that were read.
pub(super) struct Few {
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// `[N, C, H, W]`.
    pub pixels: Vec<u8>,
    /// What is to be told of them, a sentence each.
    pub notes: Vec<String>,
}
