//! What a family of architectures brings along.

use super::stem::Stem;
use crate::error::Result;
use crate::graph::{Graph, Shape};

/// A family's way to build one of its members.
pub(super) trait Member: Sync {
    /// The network called `name`, of images of `input`.
    fn build(&self, name: &str, input: Shape, classes: usize, stem: Stem) -> Result<Graph>;

    /// Whether it can be built with every [`Stem`]; it is asked for another than torchvision's only if so.
    fn has_stems(&self) -> bool {
        false
    }
}
