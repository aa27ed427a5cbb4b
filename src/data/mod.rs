//! Image data sets in their official layouts, decoded to 8-bit planes.
//!
//! [`open`] is the one way in: it finds the files of a data set below the folder that the user named, checks
//! them, takes the images that are asked for, prepares them and gives them back as [`Images`], with a [`Reading`] of what was
//! read. [`fetch`] downloads the official files.
//!
//! | module | what it reads |
//! |---|---|
//! | `mnist` | MNIST, Fashion-MNIST, KMNIST, EMNIST: IDX files, plain or gzip |
//! | `cifar` | CIFAR-10 and CIFAR-100, binary or Python version |
//! | `tiny_imagenet` | 64×64 JPEG files, with a decoded cache beside them |
//! | `folder` | any folder of class sub-folders with image files |
//! | `arrays` | images and labels as arrays of NumPy or safetensors |
//! | `digits` | a subset of MNIST that is part of the program |
//!
//! Each has a `Reader`; a data set more is a module and a line of `data_sets!` below.

mod arrays;
mod assemble;
mod cache;
mod cifar;
mod cifar_python;
mod classes;
mod decode;
mod digits;
mod elsewhere;
pub mod fetch;
mod folder;
mod idx;
mod listed;
mod listing;
mod mnist;
mod pick;
mod prepare;
mod reader;
mod reading;
mod remarks;
mod request;
mod resize;
mod splits;
mod tiny_imagenet;
mod unpack;

pub use pick::{Choice, FILE_ORDER, How, Picked, order};
pub use prepare::{Color, Interpolation, Prepare};
pub use reading::{Reading, Skipped};
pub use request::{Request, count, open};

use crate::error::{Error, Result};
use crate::text::hex;
use listed::Listed;
use reader::Reader;
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// The data sets, in the order in which they are listed to the user, each with its reader.
macro_rules! data_sets {
    ($($(#[$doc:meta])* $kind:ident => $reader:path,)*) => {
        /// Which data set.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum DatasetKind {
            $($(#[$doc])* $kind,)*
        }

        impl DatasetKind {
            /// Every data set, in the order in which they are listed to the user.
            pub const ALL: [DatasetKind; [$(DatasetKind::$kind),*].len()] = [$(DatasetKind::$kind),*];

            fn reader(self) -> &'static dyn Reader {
                match self {
                    $(DatasetKind::$kind => &$reader,)*
                }
            }
        }
    };
}

data_sets! {
    /// The embedded subset of MNIST: 8,000 train, 2,000 test.
    Digits => digits::Digits,
    /// MNIST in IDX form: 60,000 train, 10,000 test, 1×28×28.
    Mnist => mnist::MNIST,
    /// Fashion-MNIST in IDX form: as many as MNIST.
    FashionMnist => mnist::FASHION_MNIST,
    /// KMNIST in IDX form: as many as MNIST.
    Kmnist => mnist::KMNIST,
    /// EMNIST ByClass: 62 classes, 1×28×28.
    EmnistByclass => mnist::EMNIST_BYCLASS,
    /// EMNIST ByMerge: 47 classes.
    EmnistBymerge => mnist::EMNIST_BYMERGE,
    /// EMNIST Balanced: 47 classes.
    EmnistBalanced => mnist::EMNIST_BALANCED,
    /// EMNIST Letters: 26 classes that count from 1, so 27.
    EmnistLetters => mnist::EMNIST_LETTERS,
    /// EMNIST Digits: 10 classes.
    EmnistDigits => mnist::EMNIST_DIGITS,
    /// EMNIST MNIST: 10 classes.
    EmnistMnist => mnist::EMNIST_MNIST,
    /// CIFAR-10: 50,000 train, 10,000 test, 3×32×32.
    Cifar10 => cifar::CIFAR10,
    /// CIFAR-100 with its fine labels: as many as CIFAR-10.
    Cifar100 => cifar::CIFAR100,
    /// Tiny ImageNet: 100,000 train, the 10,000 images of the official val folder as test, 3×64×64.
    TinyImagenet => tiny_imagenet::TinyImagenet,
    /// Any folder of class sub-folders with images.
    Folder => folder::Folder,
    /// Arrays of images and labels in a file of NumPy or safetensors.
    Arrays => arrays::Arrays,
}

impl DatasetKind {
    /// The name on the command line, in checkpoints and in results.
    pub fn name(self) -> &'static str {
        self.reader().name()
    }

    /// Mean and standard deviation that images of this data set are normalised with, in pixel space (0..=1),
    /// `channels` values each. A checkpoint that records its own overrides them.
    ///
    /// MNIST, digits and EMNIST 0.1307 / 0.3081; Fashion-MNIST 0.2860 / 0.3530; KMNIST 0.1918 / 0.3483; CIFAR-10 and
    /// arrays 0.5 / 0.5; CIFAR-100 its own (0.5071, 0.4867, 0.4408) / (0.2675, 0.2565, 0.2761); Tiny ImageNet and
    /// folders ImageNet's values. Where the count of channels isn't the data set's own, channel `c` gets the value of
    /// channel `c mod own`.
    pub fn default_mean_std(self, channels: usize) -> (Vec<f32>, Vec<f32>) {
        let (mean, std) = self.reader().mean_std();
        let take = |values: &[f32]| values.iter().copied().cycle().take(channels).collect();
        (take(mean), take(std))
    }
}

impl fmt::Display for DatasetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for DatasetKind {
    type Err = Error;

    /// The inverse of [`DatasetKind::name`]; any other name is a usage error that lists the known ones.
    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::usage(format!("unknown data set {name:?}; known are {known}"))
        })
    }
}

/// Which part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// The images to train on.
    Train,
    /// The images to measure on.
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Split::Train => "train",
            Split::Test => "test",
        })
    }
}

/// One split of a data set, in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Images {
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// Pixels `[N, C, H, W]`, 0..=255 (pixel space is this divided by 255).
    pub pixels: Vec<u8>,
    /// Class index of each image.
    pub labels: Vec<u16>,
    /// Class names; their count is the number of classes.
    pub classes: Vec<String>,
    /// SHA-256 over shape, pixels, labels and class names, hexadecimal: what results are recorded against.
    pub digest: String,
}

impl Images {
    /// Puts a split together and computes its digest. The parts must agree: `labels.len()` images of
    /// `shape` in `pixels`, every label below `classes.len()`.
    fn new(shape: [usize; 3], pixels: Vec<u8>, labels: Vec<u16>, classes: Vec<String>) -> Self {
        debug_assert_eq!(pixels.len(), labels.len() * shape.iter().product::<usize>());
        debug_assert!(labels.iter().all(|&label| usize::from(label) < classes.len()));
        let digest = digest(shape, &pixels, &labels, &classes);
        Images { shape, pixels, labels, classes, digest }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The pixels of image `index`, `[C, H, W]`.
    ///
    /// # Panics
    /// If there is no such image.
    pub fn image(&self, index: usize) -> &[u8] {
        let size = self.shape.iter().product::<usize>();
        &self.pixels[index * size..(index + 1) * size]
    }

    /// The first `n` images in file order, with the digest of just these. Asking for none or for more than
    /// there are is a usage error.
    pub fn first(mut self, n: usize) -> Result<Images> {
        if n == 0 || n > self.len() {
            let len = self.len();
            return Err(Error::usage(format!("--images {n}: the set has {len} images; give 1 to {len}")));
        }
        if n < self.len() {
            self.pixels.truncate(n * self.shape.iter().product::<usize>());
            self.pixels.shrink_to_fit();
            self.labels.truncate(n);
            self.digest = digest(self.shape, &self.pixels, &self.labels, &self.classes);
        }
        Ok(self)
    }
}

/// All images of one split of a data set, as they are or, with an image size, as [`Prepare::to_size`] says: [`open`] with
/// nothing else asked for.
///
/// # Errors
/// Those of [`open`].
pub fn load(
    kind: DatasetKind,
    dir: Option<&Path>,
    split: Split,
    image_size: Option<usize>,
) -> Result<Images> {
    let prepare = image_size.map_or(Ok(Prepare::default()), |size| Prepare::to_size(kind, size))?;
    let request = Request { prepare, ..Request::new(kind, dir.map(Path::to_owned), split) };
    Ok(open(&request)?.0)
}

/// What the reader of a data set finds of a split.
fn list(
    kind: DatasetKind,
    dir: Option<&Path>,
    split: Split,
    known: Option<&classes::Known>,
) -> Result<Listed> {
    if kind == DatasetKind::Digits {
        return digits::list(split);
    }
    let dir = dir.ok_or_else(|| Error::usage(format!("the data set {kind} needs --data-dir")))?;
    let reader = kind.reader();
    let listed = known.map_or_else(|| reader.list(dir, split), |known| reader.list_with(dir, split, known));
    listed.map_err(|error| elsewhere::named(error, kind, dir))
}

/// SHA-256 over shape, count, pixels, labels and class names, each with its length, so that no two different
/// splits feed the same bytes.
fn digest(shape: [usize; 3], pixels: &[u8], labels: &[u16], classes: &[String]) -> String {
    let mut hash = Sha256::new();
    hash.update(b"synfilter images 1\n");
    for value in shape.into_iter().chain([labels.len(), classes.len()]) {
        hash.update((value as u64).to_le_bytes());
    }
    hash.update(pixels);
    for label in labels {
        hash.update(label.to_le_bytes());
    }
    for class in classes {
        hash.update((class.len() as u64).to_le_bytes());
        hash.update(class.as_bytes());
    }
    hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three_images() -> Images {
        let classes = vec!["a".to_owned(), "b".to_owned()];
        Images::new([1, 1, 2], vec![1, 2, 3, 4, 5, 6], vec![0, 1, 0], classes)
    }

    #[test]
    fn names_round_trip_and_an_unknown_one_lists_the_known() {
        for kind in DatasetKind::ALL {
            assert_eq!(kind.to_string().parse::<DatasetKind>().unwrap(), kind);
        }
        let error = "mnits".parse::<DatasetKind>().unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert_eq!(
            error.to_string(),
            "unknown data set \"mnits\"; known are digits, mnist, fashion-mnist, kmnist, emnist-byclass, emnist-bymerge, \
             emnist-balanced, emnist-letters, emnist-digits, emnist-mnist, cifar10, cifar100, tiny-imagenet, folder, \
             arrays"
        );
    }

    #[test]
    fn first_keeps_a_prefix_and_refuses_none_and_too_many() {
        let two = three_images().first(2).unwrap();
        assert_eq!((two.pixels.as_slice(), two.labels.as_slice()), (&[1, 2, 3, 4][..], &[0, 1][..]));
        assert_ne!(two.digest, three_images().digest);
        assert_eq!(three_images().first(3).unwrap(), three_images());
        for n in [0, 4] {
            let error = three_images().first(n).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            let text = error.to_string();
            assert!(text.contains(&n.to_string()) && text.contains("3 images"), "{text}");
        }
    }

    #[test]
    fn the_digest_sees_every_part() {
        let base = three_images();
        let mut variants = vec![base.digest.clone()];
        variants.push(digest([1, 2, 1], &base.pixels, &base.labels, &base.classes));
        variants.push(digest(base.shape, &[1, 2, 3, 4, 5, 7], &base.labels, &base.classes));
        variants.push(digest(base.shape, &base.pixels, &[0, 1, 1], &base.classes));
        variants.push(digest(base.shape, &base.pixels, &base.labels, &["ab".to_owned(), String::new()]));
        let distinct: std::collections::HashSet<_> = variants.iter().collect();
        assert_eq!(distinct.len(), variants.len());
    }

    #[test]
    fn default_normalisation_follows_the_data_set() {
        assert_eq!(DatasetKind::Digits.default_mean_std(1), (vec![0.1307], vec![0.3081]));
        assert_eq!(DatasetKind::Cifar10.default_mean_std(3), (vec![0.5; 3], vec![0.5; 3]));
        assert_eq!(DatasetKind::Cifar100.default_mean_std(3).0, vec![0.5071, 0.4867, 0.4408]);
        assert_eq!(DatasetKind::FashionMnist.default_mean_std(1), (vec![0.2860], vec![0.3530]));
        assert_eq!(DatasetKind::Folder.default_mean_std(3).1, vec![0.229, 0.224, 0.225]);
    }
}
