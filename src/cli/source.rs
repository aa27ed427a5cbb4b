//! The flags that say which images are used, and how they are normalised.

use super::network::Normalise;
use std::path::PathBuf;
use synfilter::Result;
use synfilter::data::{self, DatasetKind, Images, Split};

/// A data set and where its files lie.
#[derive(clap::Args, Clone, Debug)]
pub struct Source {
    /// digits, mnist, cifar10, tiny-imagenet or folder.
    #[arg(long, value_name = "D")]
    pub dataset: DatasetKind,
    /// The folder with the data set's files, or a parent that has them in their usual sub-folder.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// For `folder`: images are resized and cropped to S×S.
    #[arg(long, value_name = "S")]
    pub image_size: Option<usize>,
}

impl Source {
    /// Loads one split.
    ///
    /// # Errors
    /// Those of [`data::load`].
    pub fn load(&self, split: Split) -> Result<Images> {
        data::load(self.dataset, self.data_dir.as_deref(), split, self.image_size)
    }
}

/// The images that a network is measured on.
#[derive(clap::Args, Clone, Debug)]
pub struct TestImages {
    #[command(flatten)]
    pub source: Source,
    /// Measure on the first N test images, in file order, in the place of all.
    #[arg(long, value_name = "N")]
    images: Option<usize>,
    #[command(flatten)]
    pub normalise: Normalise,
}

impl TestImages {
    /// Loads them.
    ///
    /// # Errors
    /// Those of [`data::load`]; a usage error for more images than there are.
    pub fn load(&self) -> Result<Images> {
        let images = self.source.load(Split::Test)?;
        match self.images {
            Some(n) => images.first(n),
            None => Ok(images),
        }
    }
}
