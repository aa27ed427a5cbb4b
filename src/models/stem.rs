//! What stands before a ResNet's blocks.

use crate::named_choice::named_choice;

named_choice!(
    /// What stands before the blocks of a ResNet. Parameters have the same names with all of them. The other architectures
    /// begin as torchvision's do, which counts as [`Stem::Imagenet`].
    #[derive(Default, PartialOrd, Ord)]
    Stem, "stem" {
        /// torchvision's: a 7×7 convolution of stride 2, and a 3×3 max pool of stride 2.
        #[default]
        Imagenet = "imagenet",
        /// For small images: a 3×3 convolution of stride 1, and no pool.
        Small = "3x3",
        /// A 3×3 convolution of stride 1, and torchvision's pool.
        SmallPool = "3x3-pool",
        /// torchvision's convolution, and no pool.
        NoPool = "7x7-no-pool"
    }
);

impl Stem {
    /// Whether it is torchvision's, of which files say nothing: those without stems are read as before, and written with
    /// the same bytes.
    pub fn is_imagenet(&self) -> bool {
        *self == Stem::Imagenet
    }

    /// Its name where files say it.
    pub fn told(self) -> Option<String> {
        (!self.is_imagenet()).then(|| self.to_string())
    }

    /// Those whose first convolution has a shape, the first of which is taken where it is torchvision's; none for a shape
    /// that no ResNet has.
    pub fn fitting(conv1: &[usize]) -> &'static [Stem] {
        match conv1 {
            [64, _, 7, 7] => &[Stem::Imagenet, Stem::NoPool],
            [64, _, 3, 3] => &[Stem::Small, Stem::SmallPool],
            _ => &[],
        }
    }

    /// A network with this stem, in words: "resnet18", "resnet18 (3x3 stem)".
    pub fn named(self, arch: &str) -> String {
        self.told().map_or(arch.to_owned(), |stem| format!("{arch} ({stem} stem)"))
    }
}
