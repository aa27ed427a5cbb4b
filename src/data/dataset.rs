//! The data sets that the program knows: a line of `data_sets!` each.

use super::reader::Reader;
use super::{arrays, cifar, digits, folder, mnist, tiny_imagenet};
use crate::error::{Error, Result};
use std::fmt;
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

            pub(super) fn reader(self) -> &'static dyn Reader {
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn default_normalisation_follows_the_data_set() {
        assert_eq!(DatasetKind::Digits.default_mean_std(1), (vec![0.1307], vec![0.3081]));
        assert_eq!(DatasetKind::Cifar10.default_mean_std(3), (vec![0.5; 3], vec![0.5; 3]));
        assert_eq!(DatasetKind::Cifar100.default_mean_std(3).0, vec![0.5071, 0.4867, 0.4408]);
        assert_eq!(DatasetKind::FashionMnist.default_mean_std(1), (vec![0.2860], vec![0.3530]));
        assert_eq!(DatasetKind::Folder.default_mean_std(3).1, vec![0.229, 0.224, 0.225]);
    }
}
