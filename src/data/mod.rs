//! Image data sets in their official layouts, decoded to 8-bit planes.

/// Which data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DatasetKind {
    /// The embedded subset of MNIST: 8,000 train, 2,000 test.
    Digits,
    /// MNIST in IDX form: 60,000 train, 10,000 test, 1×28×28.
    Mnist,
    /// CIFAR-10, binary version: 50,000 train, 10,000 test, 3×32×32.
    Cifar10,
    /// Tiny ImageNet: 100,000 train, the 10,000 images of the official val folder as test, 3×64×64.
    TinyImagenet,
    /// Any folder of class sub-folders with JPEG or PNG images.
    Folder,
}

/// Which part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// The images to train on.
    Train,
    /// The images to measure on.
    Test,
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
    /// SHA-256 over shape, pixels and labels, hexadecimal: what results are recorded against.
    pub digest: String,
}

impl Images {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}
