//! Which images the networks of a sweep are measured on, where that is not all of them.

use crate::error::{Error, Result};
use crate::network::BnMode;
use crate::statistics::Sample;
use serde::{Deserialize, Serialize};

/// How a sweep is sampled: every filtered network is measured on one image in `thin`, neighbouring thresholds on others, and the
/// unfiltered network on all (see [`sample`](crate::statistics::sample)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sampling {
    /// The seed of the order in which images are visited.
    pub order_seed: u64,
    /// One in how many images a filtered network is measured on: a power of two from 2 to 64.
    pub thin: usize,
}

impl Sampling {
    /// Whether so many images can be sampled so.
    ///
    /// # Errors
    /// A usage error for a thinning that is none, for too few images, and for statistics of batches, which depend on the images that
    /// lie together.
    pub fn check(&self, images: usize, bn: BnMode) -> Result<()> {
        if bn == BnMode::Batch {
            return Err(Error::usage(format!(
                "thin {}: batch norm by the statistics of batches depends on which images are measured together; expected bn \
                 running, found batch",
                self.thin
            )));
        }
        if self.thin == 1 {
            return Err(Error::usage(
                "thin: expected 2, 4, 8, 16, 32 or 64, found 1, which is a sweep of all images",
            ));
        }
        self.sample(images).map(|_| ())
    }

    /// The sample of so many images.
    ///
    /// # Errors
    /// Those of [`Sample::new`].
    pub fn sample(&self, images: usize) -> Result<Sample> {
        Sample::new(images, self.thin)
    }
}
