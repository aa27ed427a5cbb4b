//! A tensor of a file: its name, and where its elements lie.

use super::dtype::Dtype;
use super::fault::Parsed;
use super::torch::TensorRef;
use std::ops::Range;

/// A tensor of the file. Its name is what leads to it, joined by dots.
pub(super) struct Entry {
    pub(super) name: String,
    /// Where it lies, or why it cannot be read.
    pub(super) content: Parsed<Source>,
}

/// Where a tensor's elements lie.
pub(super) struct Source {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) place: Place,
}

pub(super) enum Place {
    /// Contiguous in the file.
    Bytes(Range<usize>),
    /// In a storage of a PyTorch file.
    View(TensorRef),
}

/// A tensor of a file, as a listing shows it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Listed {
    /// The dict keys and list positions that lead to it, joined by dots.
    pub name: String,
    /// PyTorch's name of the element type; `unreadable` for tensors of a kind that is not read.
    pub dtype: &'static str,
    /// Extents, outermost first.
    pub shape: Vec<usize>,
}

impl Source {
    /// Bytes of the elements; `None` beyond `usize`.
    pub(super) fn length(&self) -> Option<usize> {
        self.shape.iter().try_fold(self.dtype.size(), |product, &extent| product.checked_mul(extent))
    }
}
