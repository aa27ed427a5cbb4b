//! From files to checkpoints and back: all tensors of a file, those of a network that was found in it, and what
//! [`Checkpoint::save`] writes.

use super::entry::Entry;
use super::fault::Parsed;
use super::file::File;
use super::found::{Content, Expected, Found};
use super::safetensors;
use super::tensor::{Checkpoint, is_batch_counter};
use super::tree::joined;
use crate::error::{Error, Result};
use std::fs;
use std::path::Path;

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
        let below = joined(&found.root, "");
        let counter = |(at, entry): (usize, &Entry)| {
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
