//! What a user says of a checkpoint.

use crate::error::{Error, Result};
use crate::models::{Arch, Stem};
use crate::network::Normalisation;

/// What a user says of a checkpoint; what is left out is found in the file or taken from the data set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// The architecture.
    pub arch: Option<Arch>,
    /// The stem of a ResNet.
    pub stem: Option<Stem>,
    /// The key of the network in the file.
    pub key: Option<String>,
    /// Mean of each channel, in pixel units.
    pub mean: Option<Vec<f32>>,
    /// Standard deviation of each channel, in pixel units.
    pub std: Option<Vec<f32>>,
}

impl Said {
    /// `own`, with what was said in its place.
    ///
    /// # Errors
    /// A usage error for another number of values than `own` has, and for values that cannot be: pixels are in [0, 1].
    pub fn over(&self, own: Normalisation) -> Result<Normalisation> {
        let channels = own.mean.len();
        let chosen =
            |flag: &str, given: &Option<Vec<f32>>, own, valid: fn(f32) -> bool, what: &str| match given {
                None => Ok(own),
                Some(values) if values.len() == channels && values.iter().all(|&v| valid(v)) => {
                    Ok(values.clone())
                }
                Some(values) => {
                    let large = flag == "mean" && values.iter().any(|&v| v > 1.0);
                    let hint = if large { " (pixels are in [0, 1]: divide by 255)" } else { "" };
                    Err(Error::usage(format!(
                        "--{flag}: expected {channels} {what}, one per channel, found {values:?}{hint}"
                    )))
                }
            };
        Ok(Normalisation {
            mean: chosen("mean", &self.mean, own.mean, |v| (0.0..=1.0).contains(&v), "numbers from 0 to 1")?,
            std: chosen("std", &self.std, own.std, |v| v.is_finite() && v > 0.0, "positive numbers")?,
        })
    }
}
