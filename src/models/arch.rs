//! The table of architectures.

use super::member::Member;
use super::stem::Stem;
use super::{densenet, mobilenet, resnet, shufflenet, squeezenet};
use crate::error::{Error, Result};
use crate::graph::{Graph, Shape};
use crate::text::enumerated;
use std::fmt;
use std::str::FromStr;

/// The architectures, in the order in which they are listed to the user: torchvision's name, and which member of a family.
macro_rules! architectures {
    ($($(#[$doc:meta])* $arch:ident = $name:literal => $member:expr,)*) => {
        /// Which network.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Arch {
            $($(#[$doc])* $arch,)*
        }

        impl Arch {
            /// All of them.
            pub const ALL: [Arch; [$(Arch::$arch),*].len()] = [$(Arch::$arch),*];

            /// torchvision's name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Arch::$arch => $name,)*
                }
            }

            fn member(self) -> &'static dyn Member {
                match self {
                    $(Arch::$arch => &$member,)*
                }
            }
        }
    };
}

architectures! {
    /// ResNet-18: 21 filterable tensors.
    Resnet18 = "resnet18" => resnet::RESNET18,
    /// ResNet-34: 37 filterable tensors.
    Resnet34 = "resnet34" => resnet::RESNET34,
    /// ResNet-50: 54 filterable tensors.
    Resnet50 = "resnet50" => resnet::RESNET50,
    /// ResNet-101: 105 filterable tensors.
    Resnet101 = "resnet101" => resnet::RESNET101,
    /// ResNet-152: 156 filterable tensors.
    Resnet152 = "resnet152" => resnet::RESNET152,
    /// Wide ResNet-50-2: 54 filterable tensors.
    WideResnet50_2 = "wide_resnet50_2" => resnet::WIDE_RESNET50_2,
    /// ResNeXt-50 of 32 groups: 54 filterable tensors.
    Resnext50_32x4d = "resnext50_32x4d" => resnet::RESNEXT50_32X4D,
    /// SqueezeNet 1.1: 26 filterable tensors.
    Squeezenet1_1 = "squeezenet1_1" => squeezenet::V1_1,
    /// SqueezeNet 1.0: 26 filterable tensors.
    Squeezenet1_0 = "squeezenet1_0" => squeezenet::V1_0,
    /// ShuffleNet V2 at width 1.0: 57 filterable tensors.
    ShufflenetV2X1_0 = "shufflenet_v2_x1_0" => shufflenet::X1_0,
    /// ShuffleNet V2 at width 0.5: 57 filterable tensors.
    ShufflenetV2X0_5 = "shufflenet_v2_x0_5" => shufflenet::X0_5,
    /// ShuffleNet V2 at width 1.5: 57 filterable tensors.
    ShufflenetV2X1_5 = "shufflenet_v2_x1_5" => shufflenet::X1_5,
    /// ShuffleNet V2 at width 2.0: 57 filterable tensors.
    ShufflenetV2X2_0 = "shufflenet_v2_x2_0" => shufflenet::X2_0,
    /// MobileNetV2: 53 filterable tensors.
    MobilenetV2 = "mobilenet_v2" => mobilenet::V2,
    /// DenseNet-121: 121 filterable tensors.
    Densenet121 = "densenet121" => densenet::DENSENET121,
}

impl Arch {
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
        self.member().build(&stem.named(self.name()), input, classes, stem)
    }

    /// Whether it can be built with every [`Stem`].
    pub fn has_stems(self) -> bool {
        self.member().has_stems()
    }

    /// Refuses a stem that the architecture does not have.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn check_stem(self, stem: Stem) -> Result<()> {
        if stem.is_imagenet() || self.has_stems() {
            return Ok(());
        }
        let with = Arch::ALL.into_iter().filter(|arch| arch.has_stems()).map(Arch::name);
        let with = enumerated(&with.collect::<Vec<_>>());
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
            let known = Arch::ALL.map(Arch::name).join(", ");
            Error::usage(format!("unknown architecture '{s}': expected one of {known}"))
        })
    }
}
