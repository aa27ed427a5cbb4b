//! The named weights of a network in memory, and which names are not weights: step counters and what is the optimiser's.

use super::metadata::Metadata;
use std::collections::BTreeMap;

/// Names that start so belong to the optimiser (Adam's moments), not to the network.
pub const OPTIMIZER_PREFIX: &str = "optimizer.";

/// The last part of the name of a batch norm's step counter, which the engine stores but never uses.
const BATCH_COUNTER: &str = "num_batches_tracked";

/// One named array.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Extents, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// Elements in row-major order; as many as the product of `shape`.
    pub data: Vec<f32>,
}

/// The content of one checkpoint file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checkpoint {
    /// Floating-point tensors by name: the network's, and the optimiser's under [`OPTIMIZER_PREFIX`].
    pub tensors: BTreeMap<String, Tensor>,
    /// Integer scalars by name: `….num_batches_tracked` of batch norms, and the optimiser's step counts
    /// under [`OPTIMIZER_PREFIX`]. Written as int64 scalars, so that PyTorch's strict
    /// `load_state_dict` accepts the file.
    pub counters: BTreeMap<String, i64>,
    /// What the file says about the network and its training.
    pub meta: Metadata,
    /// SHA-256 of the file it was loaded from, hexadecimal; empty if it was not loaded.
    pub sha256: String,
}

impl Checkpoint {
    /// The network's own tensors: all but the optimiser's, in the order of their names.
    pub fn model_tensors(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors
            .iter()
            .filter(|(name, _)| !name.starts_with(OPTIMIZER_PREFIX))
            .map(|(name, tensor)| (name.as_str(), tensor))
    }
}

/// Whether a tensor is a batch norm's step counter.
pub(super) fn is_batch_counter(name: &str) -> bool {
    name.rsplit('.').next() == Some(BATCH_COUNTER)
}

/// Whether an integer scalar of this name is one that [`Checkpoint::counters`] holds.
pub(super) fn is_counter(name: &str) -> bool {
    is_batch_counter(name) || name.starts_with(OPTIMIZER_PREFIX)
}
