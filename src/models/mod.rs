//! The architectures, with torchvision's structure, names, shapes and default initialisations.

mod resnet;
mod shufflenet;
mod squeezenet;

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
}

impl Arch {
    /// All of them.
    pub const ALL: [Arch; 5] =
        [Arch::Resnet18, Arch::Resnet50, Arch::Squeezenet1_1, Arch::ShufflenetV2X1_0, Arch::ShufflenetV2X0_5];

    /// torchvision's name.
    pub fn name(self) -> &'static str {
        match self {
            Arch::Resnet18 => "resnet18",
            Arch::Resnet50 => "resnet50",
            Arch::Squeezenet1_1 => "squeezenet1_1",
            Arch::ShufflenetV2X1_0 => "shufflenet_v2_x1_0",
            Arch::ShufflenetV2X0_5 => "shufflenet_v2_x0_5",
        }
    }

    /// The network for images of `input` and `classes` classes.
    ///
    /// # Errors
    /// [`Error::Usage`] where the images are too small for the network or there is no class.
    pub fn build(self, input: Shape, classes: usize) -> Result<Graph> {
        if classes == 0 || input.c == 0 {
            return Err(Error::usage(format!(
                "{}: expected at least 1 class and 1 channel, found {classes} and {}",
                self.name(),
                input.c
            )));
        }
        match self {
            Arch::Resnet18 => resnet::resnet18(input, classes),
            Arch::Resnet50 => resnet::resnet50(input, classes),
            Arch::Squeezenet1_1 => squeezenet::squeezenet1_1(input, classes),
            Arch::ShufflenetV2X1_0 => shufflenet::shufflenet(self.name(), input, classes, 116),
            Arch::ShufflenetV2X0_5 => shufflenet::shufflenet(self.name(), input, classes, 48),
        }
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
