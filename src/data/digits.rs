//! Digits: 8,000 train and 2,000 test images of real MNIST that are part of the program, so that a demonstration
//! and the tests need neither a network nor a data folder. `assets/digits/README.md` has origin, licence and the
//! command that made the files.

use super::listed::Listed;
use super::mnist::MNIST;
use super::reader::Reader;
use super::split::Split;
use crate::error::Result;
use std::path::Path;

/// The embedded digits.
pub(super) struct Digits;

impl Reader for Digits {
    fn name(&self) -> &'static str {
        "digits"
    }

    fn mean_std(&self) -> (&'static [f32], &'static [f32]) {
        MNIST.mean_std()
    }

    fn is_in(&self, _: &Path) -> bool {
        false
    }

    fn list(&self, _: &Path, split: Split) -> Result<Listed> {
        list(split)
    }
}

/// Lists one split of the embedded files.
pub(super) fn list(split: Split) -> Result<Listed> {
    macro_rules! embedded {
        ($name:literal) => {
            (
                Path::new(concat!("<embedded>/digits/", $name)),
                include_bytes!(concat!("../../assets/digits/", $name)).as_slice(),
            )
        };
    }
    let ((image_path, images), (label_path, labels)) = match split {
        Split::Train => (embedded!("train-images-idx3-ubyte.gz"), embedded!("train-labels-idx1-ubyte.gz")),
        Split::Test => (embedded!("t10k-images-idx3-ubyte.gz"), embedded!("t10k-labels-idx1-ubyte.gz")),
    };
    MNIST.read_pair(image_path, images, label_path, labels)
}
