//! The flags that say which images are used, and how they are normalised.

use std::path::PathBuf;
use synfilter::data::{self, DatasetKind, Images, Split};
use synfilter::network::Normalisation;
use synfilter::{Error, Result};

/// A data set and where its files lie.
#[derive(clap::Args, Clone, Debug)]
pub struct Source {
    /// digits, mnist, fashion-mnist, kmnist, emnist-byclass (-bymerge, -balanced, -letters, -digits, -mnist), cifar10,
    /// cifar100, tiny-imagenet, folder or arrays.
    #[arg(long, value_name = "D")]
    pub dataset: DatasetKind,
    /// The folder with the data set's files, or a parent that has them in their usual sub-folder; for `arrays` also the
    /// file.
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

/// A normalisation in the place of the checkpoint's or the data set's own.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Normalise {
    /// Mean of each channel in pixel units, in the place of the checkpoint's own or the data set's default.
    #[arg(long, value_name = "M,..", value_delimiter = ',', allow_hyphen_values = true)]
    mean: Option<Vec<f32>>,
    /// Standard deviation of each channel in pixel units, likewise.
    #[arg(long, value_name = "S,..", value_delimiter = ',', allow_hyphen_values = true)]
    std: Option<Vec<f32>>,
}

impl Normalise {
    /// `own`, with what was given in its place.
    ///
    /// # Errors
    /// A usage error for another number of values than `own` has, and for values that cannot be.
    pub fn over(&self, own: Normalisation) -> Result<Normalisation> {
        let channels = own.mean.len();
        let chosen =
            |flag: &str, given: &Option<Vec<f32>>, own, valid: fn(f32) -> bool, what: &str| match given {
                None => Ok(own),
                Some(values) if values.len() == channels && values.iter().all(|&v| valid(v)) => {
                    Ok(values.clone())
                }
                Some(values) => Err(Error::usage(format!(
                    "--{flag}: expected {channels} {what}, one per channel, found {values:?}"
                ))),
            };
        Ok(Normalisation {
            mean: chosen("mean", &self.mean, own.mean, f32::is_finite, "finite numbers")?,
            std: chosen("std", &self.std, own.std, |v| v.is_finite() && v > 0.0, "positive numbers")?,
        })
    }
}
