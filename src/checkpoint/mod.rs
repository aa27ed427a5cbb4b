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

mod check;
mod convention;
mod dtype;
mod file;
mod find;
mod format;
mod key;
mod metadata;
mod mismatch;
mod other;
mod pth;
mod safetensors;
mod split;
mod torch;
mod tree;

pub use file::{File, Listed};
pub use find::{Expected, Found};
pub use metadata::Metadata;

use crate::error::{Error, Result};
use find::Content;
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
    /// Reads all tensors of a file, under the names that they have in it: of a file whose layout is known, such as those
    /// that [`Checkpoint::save`] writes. For other files see [`File::find`].
    ///
    /// # Errors
    /// Those of [`File::open`]; [`Error::Input`] for a tensor that is not of floating-point numbers.
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
        let path = path.as_ref();
        File::from_bytes(bytes.to_vec(), path)?.whole().map_err(|fault| fault.at(path))
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
}

impl File {
    /// Reads a network that was found: the tensors under the names of `expected`, and nothing else. Pruned weights are
    /// multiplied with their masks; `meta` is left empty (see [`File::metadata`]).
    ///
    /// # Errors
    /// [`Error::Input`] for shapes that differ from `expected` (another number of classes is told as such), numbers that
    /// are not finite, and damaged data; [`Error::Usage`] for a network that only its key takes ([`Found::doubt`]).
    pub fn read(&self, found: &Found, expected: &[Expected]) -> Result<Checkpoint> {
        if let Some(doubt) = &found.doubt {
            return Err(Error::usage(format!("{}: network: {doubt}", self.path.display())));
        }
        let checkpoint = self.taken(found, expected).map_err(|fault| fault.at(self.path()))?;
        checkpoint.check_shapes(self.path(), expected)?;
        Ok(checkpoint)
    }

    fn taken(&self, found: &Found, expected: &[Expected]) -> Parsed<Checkpoint> {
        let (values, masks): (Vec<usize>, Vec<Option<usize>>) =
            found.content.iter().map(|content| content.parts()).unzip();
        let mut masks = self.masks(&masks.into_iter().flatten().collect::<Vec<_>>())?.into_iter();
        let values = self.floats(&values)?;
        let mut checkpoint = Checkpoint { sha256: self.sha256().to_owned(), ..Checkpoint::default() };
        let names = expected.iter().filter(|(name, _)| !is_batch_counter(name));
        for ((content, mut tensor), (name, _)) in found.content.iter().zip(values).zip(names) {
            if let Content::Masked(..) = content {
                let mask = masks.next().unwrap_or_default();
                tensor.data.iter_mut().zip(mask).for_each(|(value, mask)| *value *= mask);
            }
            checkpoint.tensors.insert(name.clone(), tensor);
        }
        let below = tree::joined(&found.root, "");
        let counter = |(at, entry): (usize, &file::Entry)| {
            let name = entry.name.strip_prefix(&below).filter(|name| is_batch_counter(name))?;
            let one = entry.content.as_ref().is_ok_and(|source| source.shape.iter().product::<usize>() == 1);
            one.then(|| (at, name.to_owned()))
        };
        let (entries, names): (Vec<usize>, Vec<String>) =
            self.entries.iter().enumerate().filter_map(counter).take(expected.len()).unzip();
        let counts = names.into_iter().zip(self.counts(&entries));
        checkpoint.counters = counts.filter_map(|(name, count)| Some((name, count?))).collect();
        Ok(checkpoint)
    }
}

/// What is wrong with a file, before its path is known.
#[derive(Clone, Debug, PartialEq)]
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
