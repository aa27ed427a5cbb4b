//! Checkpoints: the named weights of a network, read from safetensors and from PyTorch's own files,
//! written as safetensors.
//!
//! Names and shapes are torchvision's, convolution weights OIHW, everything f32 in memory.
//! Nothing in a file is ever executed: PyTorch's pickles go through the allow-list machine of
//! `pickle.rs`, and what a file declares about itself is checked against its length before memory is
//! taken for it.

mod check;
mod dtype;
mod metadata;
mod pickle;
mod pth;
mod safetensors;
mod state_dict;

pub use metadata::Metadata;

use crate::error::{Error, Result};
use dtype::Dtype;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::Path;

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
    /// Reads a checkpoint: safetensors, or a file of `torch.save` (the zip form or the one before
    /// PyTorch 1.6), told apart by content whatever the extension.
    ///
    /// A PyTorch file may hold the state dict itself or wrap it (`state_dict`, `model_state_dict`,
    /// `model`, `net`; Lightning's `.ckpt` too); prefixes that all its names share (`module.`,
    /// `model.`, `_orig_mod.`) are dropped; plain values beside it become [`Metadata`].
    ///
    /// # Errors
    /// [`Error::Read`] if the file cannot be read, [`Error::Input`] if it is damaged, of another
    /// format, without tensors, or names Python code that is not on the list of known rebuild functions.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = fs::read(path).map_err(Error::read(path))?;
        Self::from_bytes(&bytes, path)
    }

    /// As [`Checkpoint::load`], for content that is in memory already; `path` is what errors call it.
    ///
    /// # Errors
    /// [`Error::Input`] as `load` gives it.
    pub fn from_bytes(bytes: &[u8], path: impl AsRef<Path>) -> Result<Self> {
        let mut checkpoint = Self::parse(bytes).map_err(|fault| fault.at(path.as_ref()))?;
        checkpoint.sha256 = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(checkpoint)
    }

    /// Writes a safetensors file. The same checkpoint gives the same bytes every time.
    ///
    /// The content goes to a temporary file in the same folder, is flushed to the disk and then renamed,
    /// so that `path` holds either its old content or all of the new; on an error nothing is left behind.
    ///
    /// # Errors
    /// [`Error::Write`] if the file cannot be written; [`Error::Failed`] if a tensor's shape and data
    /// disagree, a counter's name is neither a batch norm's nor the optimiser's, or the metadata would
    /// not read back equal.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        safetensors::write(self, path.as_ref())
    }

    /// The network's own tensors: all but the optimiser's, in the order of their names.
    pub fn model_tensors(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors
            .iter()
            .filter(|(name, _)| !name.starts_with(OPTIMIZER_PREFIX))
            .map(|(name, tensor)| (name.as_str(), tensor))
    }

    fn parse(bytes: &[u8]) -> Parsed<Self> {
        const EXPECTED: &str = "a safetensors file or a checkpoint written by torch.save";
        // A safetensors file starts with the length of its header, so its ninth byte is the header's brace;
        // none of PyTorch's formats can have one there.
        if bytes.get(8) == Some(&b'{') {
            safetensors::read(bytes)
        } else if bytes.starts_with(b"PK\x03\x04") {
            pth::read_zip(bytes)
        } else if bytes.starts_with(&[pickle::PROTO]) {
            pth::read_legacy(bytes)
        } else if bytes.get(257..262) == Some(b"ustar") {
            Err(Fault::new(
                "format",
                EXPECTED,
                "a tar archive as PyTorch before 0.2 wrote it; load it with PyTorch and torch.save it again",
            ))
        } else {
            let start = &bytes[..bytes.len().min(9)];
            let found = if start.is_empty() { "an empty file".into() } else { format!("{start:02x?}") };
            Err(Fault::new("byte 0", EXPECTED, found))
        }
    }

    /// Adds one tensor of a file, its elements contiguous, row-major and little endian.
    fn insert(&mut self, name: &str, dtype: Dtype, shape: &[usize], bytes: &[u8]) -> Parsed<()> {
        if is_counter(name)
            && let Some(count) = dtype.to_count(bytes)
        {
            self.counters.insert(name.to_owned(), count);
            return Ok(());
        }
        let data = dtype.to_f32(bytes).ok_or_else(|| {
            Fault::new(tensor_place(name), "float32, float64, float16 or bfloat16", dtype.name())
        })?;
        self.tensors.insert(name.to_owned(), Tensor { shape: shape.to_vec(), data });
        Ok(())
    }
}

/// What is wrong with a file, before its path is known.
#[derive(Debug, PartialEq)]
struct Fault {
    place: String,
    expected: String,
    found: String,
}

type Parsed<T> = std::result::Result<T, Fault>;

impl Fault {
    fn new(place: impl Display, expected: impl Display, found: impl Display) -> Self {
        Fault { place: place.to_string(), expected: expected.to_string(), found: found.to_string() }
    }

    fn at(self, path: &Path) -> Error {
        Error::input(path, self.place, self.expected, self.found)
    }
}

/// A tensor's name for an error message, on one line whatever bytes it holds.
fn tensor_place(name: &str) -> String {
    format!("tensor `{}`", name.escape_debug())
}

/// Whether a tensor is a batch norm's step counter.
fn is_batch_counter(name: &str) -> bool {
    name.rsplit('.').next() == Some(BATCH_COUNTER)
}

/// Whether an integer scalar of this name is one that [`Checkpoint::counters`] holds.
fn is_counter(name: &str) -> bool {
    is_batch_counter(name) || name.starts_with(OPTIMIZER_PREFIX)
}
