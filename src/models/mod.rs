//! The architectures, with torchvision's structure, names, shapes and default initialisations.

mod densenet;
mod mobilenet;
mod resnet;
mod shufflenet;
mod squeezenet;
mod stem;

pub use stem::{Stem, stem_of};

use crate::error::{Error, Result};
use crate::graph::{Graph, Shape};
use std::fmt;
use std::str::FromStr;

/// Which network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arch {
    /// ResNet-18: 21 filterable tensors.
    Resnet18,
    /// ResNet-50: 54 filterable tensors.
    Resnet50,
    /// SqueezeNet 1.1: 26 filterable tensors.
    Squeezenet1_1,
    /// ShuffleNet V2 at width 1.0: 57 filterable tensors.
    ShufflenetV2X1_0,
    /// ShuffleNet V2 at width 0.5: 57 filterable tensors.
    ShufflenetV2X0_5,
    /// MobileNetV2: 53 filterable tensors.
    MobilenetV2,
    /// DenseNet-121: 121 filterable tensors.
    Densenet121,
}

impl Arch {
    /// All of them.
    pub const ALL: [Arch; 7] = [
        Arch::Resnet18,
        Arch::Resnet50,
        Arch::Squeezenet1_1,
        Arch::ShufflenetV2X1_0,
        Arch::ShufflenetV2X0_5,
        Arch::MobilenetV2,
        Arch::Densenet121,
    ];

    /// torchvision's name.
    pub fn name(self) -> &'static str {
        match self {
            Arch::Resnet18 => "resnet18",
            Arch::Resnet50 => "resnet50",
            Arch::Squeezenet1_1 => "squeezenet1_1",
            Arch::ShufflenetV2X1_0 => "shufflenet_v2_x1_0",
            Arch::ShufflenetV2X0_5 => "shufflenet_v2_x0_5",
            Arch::MobilenetV2 => "mobilenet_v2",
            Arch::Densenet121 => "densenet121",
        }
    }

    /// The network for images of `input` and `classes` classes, with torchvision's stem.
    ///
    /// # Errors
    /// [`Error::Usage`] where the images are too small for the network or there is no class.
    pub fn build(self, input: Shape, classes: usize) -> Result<Graph> {
        self.build_with(input, classes, Stem::Imagenet)
    }

    /// The same with another stem.
    ///
    /// # Errors
    /// Also for a stem that the architecture does not have.
    pub fn build_with(self, input: Shape, classes: usize, stem: Stem) -> Result<Graph> {
        self.check_stem(stem)?;
        if classes == 0 || input.c == 0 {
            return Err(Error::usage(format!(
                "{}: expected at least 1 class and 1 channel, found {classes} and {}",
                stem.named(self.name()),
                input.c
            )));
        }
        match self {
            Arch::Resnet18 => resnet::resnet18(input, classes, stem),
            Arch::Resnet50 => resnet::resnet50(input, classes, stem),
            Arch::Squeezenet1_1 => squeezenet::squeezenet1_1(input, classes),
            Arch::ShufflenetV2X1_0 => shufflenet::shufflenet(self.name(), input, classes, 116),
            Arch::ShufflenetV2X0_5 => shufflenet::shufflenet(self.name(), input, classes, 48),
            Arch::MobilenetV2 => mobilenet::mobilenet_v2(input, classes),
            Arch::Densenet121 => densenet::densenet121(input, classes),
        }
    }

    /// Whether it can be built with every [`Stem`].
    pub fn has_stems(self) -> bool {
        matches!(self, Arch::Resnet18 | Arch::Resnet50)
    }

    /// Refuses a stem that the architecture does not have.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn check_stem(self, stem: Stem) -> Result<()> {
        if stem.is_imagenet() || self.has_stems() {
            return Ok(());
        }
        let with: Vec<_> = Arch::ALL.into_iter().filter(|arch| arch.has_stems()).map(Arch::name).collect();
        let with = with.join(" and ");
        Err(Error::usage(format!("--stem {stem}: {with} have stems; {self} has one of its own")))
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Arch {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        Arch::ALL.into_iter().find(|a| a.name() == s).ok_or_else(|| {
            let known: Vec<_> = Arch::ALL.iter().map(|a| a.name()).collect();
            Error::usage(format!("unknown architecture '{s}': expected one of {}", known.join(", ")))
        })
    }
}
