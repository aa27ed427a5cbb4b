//! Checkpoints: the named weights of a network, read from safetensors and from PyTorch's own files,
//! written as safetensors.
//!
//! Names and shapes are torchvision's, convolution weights OIHW, everything f32 in memory.
//! A [`File`] is opened first, which lists what is in it; [`File::find`] looks in it for the tensors of a network, by
//! names and shapes, and [`File::read`] reads just these. [`Checkpoint::load`] does without: it takes all tensors of a
//! file whose layout is known.
//!
//! Nothing in a file is ever executed: PyTorch's pickles go through the machine of `crate::pickle`, which makes plain
//! values only, and what a file declares about itself is checked before memory is taken for it.

mod beside;
mod check;
mod convention;
mod dtype;
mod entry;
mod fault;
mod file;
mod find;
mod format;
mod found;
mod key;
mod load;
mod metadata;
mod mismatch;
mod notes;
mod other;
mod pth;
mod safetensors;
mod search;
mod split;
mod synonyms;
mod tensor;
mod torch;
mod tree;

pub use entry::Listed;
pub use file::File;
pub use found::{Expected, Found};
pub use metadata::Metadata;
pub use tensor::{Checkpoint, OPTIMIZER_PREFIX, Tensor};
