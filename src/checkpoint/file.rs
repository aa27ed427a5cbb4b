//! A checkpoint file, opened: which tensors it holds, under which names, and what stands beside them. Elements are
//! read when a network is taken from it ([`File::read`]), only those of that network.

use super::dtype::Dtype;
use super::entry::{Entry, Listed, Place, Source};
use super::fault::{Fault, Parsed, shortened, tensor_place};
use super::format::{EXPECTED, Format, format};
use super::metadata::{Metadata, Notes, is_own, list};
use super::notes::{self, MAX_LIST, NORMALISATION};
use super::pth::{Storages, Zip, open_legacy};
use super::safetensors;
use super::tensor::{Checkpoint, Tensor, is_counter};
use super::torch::{self, TensorRef};
use crate::error::{Error, Result};
use crate::pickle::Pickle;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// How many times as many bytes as the file has its tensors may take together, and a storage as its tensor. Views may
/// share a storage, but a file that multiplies itself further is hostile, or not a checkpoint.
const MAX_GROWTH: usize = 8;
/// Most channels that a tensor of means is told of.
const MAX_CHANNELS: usize = 4;

/// A checkpoint file.
pub struct File {
    pub(super) path: PathBuf,
    bytes: Vec<u8>,
    sha256: String,
    container: Container,
    /// All tensors, in the order of the file.
    pub(super) entries: Vec<Entry>,
    /// Plain values beside the weights.
    notes: Notes,
    /// Python objects beside the weights: their key, and what they are.
    objects: Vec<(String, String)>,
    /// A `mean` and a `std` beside the weights that are no numbers, and what they are.
    no_numbers: Vec<(&'static str, String)>,
    /// Whether a `mean` and a `std` that are tensors lie beside the state dict, not in it.
    tensors_beside: bool,
    /// Lists elsewhere that look like a mean or a standard deviation: what leads to them, and their text.
    elsewhere: Notes,
    /// The class of a network that was pickled whole, if there is one.
    pub(super) whole_module: Option<String>,
}

/// Where the elements lie.
enum Container {
    Safetensors,
    Zip(Zip),
    Legacy(HashMap<String, Range<usize>>),
}

/// Type, shape and elements of a tensor, the elements as they lie in the file.
type Elements = (Dtype, Vec<usize>, Vec<u8>);

impl File {
    /// Opens a checkpoint: safetensors, or a file of `torch.save` (the zip form or the one before
    /// PyTorch 1.6), told apart by content whatever the extension.
    ///
    /// # Errors
    /// [`Error::Read`] if the file cannot be read; [`Error::Input`] if it is damaged, without tensors, or of another
    /// format, which is named.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let kind = fs::metadata(path).map_err(Error::read(path))?.file_type();
        if !kind.is_file() {
            let folder = "a folder; name the file in it that holds the weights";
            let found = if kind.is_dir() { folder } else { "a pipe or a device" };
            return Err(Error::input(path, "file", EXPECTED, found));
        }
        let bytes = fs::read(path).map_err(Error::read(path))?;
        Self::from_bytes(bytes, path)
    }

    /// As [`File::open`], for content that is in memory already; `path` is what errors call it.
    ///
    /// # Errors
    /// [`Error::Input`] as `open` gives it.
    pub fn from_bytes(bytes: Vec<u8>, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::parse(bytes, path).map_err(|fault| fault.at(path))
    }

    fn parse(bytes: Vec<u8>, path: &Path) -> Parsed<Self> {
        let (container, entries, notes, pickle) = match format(&bytes)? {
            Format::Safetensors => {
                let (entries, notes) = safetensors::read(&bytes)?;
                (Container::Safetensors, entries, notes, None)
            }
            Format::Zip => {
                let (zip, pickle) = Zip::open(&bytes)?;
                (Container::Zip(zip), entries(&pickle), notes::notes(&pickle), Some(pickle))
            }
            Format::Legacy => {
                let (storages, pickle) = open_legacy(&bytes)?;
                (Container::Legacy(storages), entries(&pickle), notes::notes(&pickle), Some(pickle))
            }
        };
        if let (Some(pickle), true) = (&pickle, entries.is_empty()) {
            return Err(Fault::new("content", "a state dict with tensors", without_tensors(pickle)));
        }
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let pickle = pickle.as_ref();
        let elsewhere = match pickle {
            Some(pickle) => notes::elsewhere(pickle),
            None => notes::among(&notes),
        };
        Ok(File {
            path: path.to_owned(),
            sha256,
            container,
            entries,
            notes,
            objects: pickle.map(notes::objects).unwrap_or_default(),
            no_numbers: pickle.map(notes::no_numbers).unwrap_or_default(),
            tensors_beside: pickle.is_some_and(notes::has_tensors_beside),
            elsewhere,
            whole_module: pickle.and_then(torch::whole_module),
            bytes,
        })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// SHA-256 of the file, hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// All tensors, in the order of the file.
    pub fn tensors(&self) -> impl Iterator<Item = Listed> {
        self.entries.iter().map(|entry| {
            let (dtype, shape) = match &entry.content {
                Ok(source) => (source.dtype.name(), source.shape.clone()),
                Err(_) => ("unreadable", Vec::new()),
            };
            Listed { name: entry.name.clone(), dtype, shape }
        })
    }

    /// The plain values beside the weights, as text; a list is separated by commas.
    pub fn notes(&self) -> &std::collections::BTreeMap<String, String> {
        &self.notes
    }

    /// The Python objects beside the weights: key, and class. None is ever made.
    pub fn objects(&self) -> &[(String, String)] {
        &self.objects
    }

    /// Whether this program wrote the file: its metadata have all entries that a checkpoint of its own has.
    pub fn is_own(&self) -> bool {
        matches!(self.container, Container::Safetensors) && is_own(&self.notes)
    }

    /// What the file says about the network and its training, as far as a network of so many channels and classes
    /// lets it be believed, and a sentence for each value that is not.
    ///
    /// # Errors
    /// [`Error::Input`] for a value of a file of this program that cannot be.
    pub fn metadata(&self, channels: usize, classes: usize) -> Result<(Metadata, Vec<String>)> {
        let mut notes = self.notes.clone();
        for key in NORMALISATION.into_iter().filter(|_| self.tensors_beside) {
            if let Some(values) = self.small(key) {
                notes.insert(key.to_owned(), values.iter().map(f32::to_string).collect::<Vec<_>>().join(","));
            }
        }
        let believed = Metadata::believed(&notes, self.is_own(), channels, classes);
        let (meta, mut told) = believed.map_err(|fault| fault.at(&self.path))?;
        let elsewhere = self.elsewhere.iter().filter(|(_, text)| {
            list(text).is_some_and(|values| ![&meta.mean, &meta.std].contains(&&Some(values)))
        });
        let elsewhere: Vec<String> =
            elsewhere.map(|(path, text)| format!("`{}` = {}", shortened(path), shortened(text))).collect();
        if !elsewhere.is_empty() {
            let found = elsewhere.join(" and ");
            told.push(format!(
                "{found} beside the weights is not taken for a normalisation (--mean and --std say it)"
            ));
        }
        let mut pass_over = |key: &str, what: &str| {
            told.push(format!(
                "`{key}` beside the weights is passed over: {what}, not a list of numbers (--mean and --std say it)"
            ));
        };
        self.no_numbers.iter().for_each(|(key, what)| pass_over(key, what));
        // Of two small tensors the values are told.
        let small = |key: &&str| {
            self.small(key).is_some_and(|values| self.tensors_beside || values.len() <= MAX_CHANNELS)
        };
        if !NORMALISATION.iter().all(small) {
            let there =
                NORMALISATION.iter().filter(|key| self.entries.iter().any(|entry| entry.name == **key));
            there.for_each(|key| pass_over(key, "a tensor"));
        }
        Ok((meta, told))
    }

    /// The numbers of a small tensor, by its name in the file; `None` if there is no such tensor of numbers.
    pub fn small(&self, name: &str) -> Option<Vec<f32>> {
        let at = self.entries.iter().position(|entry| entry.name == name)?;
        let source = self.entries[at].content.as_ref().ok()?;
        let few = source.length()? / source.dtype.size() <= MAX_LIST;
        few.then(|| self.floats(&[at]).ok()?.pop()).flatten().map(|tensor| tensor.data)
    }

    /// All tensors, under the names that they have in the file: for files whose layout is known.
    pub(super) fn whole(&self) -> Parsed<Checkpoint> {
        let meta = if self.is_own() {
            Metadata::exact(&self.notes)?
        } else {
            let channels = self.notes.get("mean").and_then(|mean| list(mean)).map_or(0, |mean| mean.len());
            Metadata::believed(&self.notes, false, channels, 0)?.0
        };
        let mut checkpoint = Checkpoint { meta, sha256: self.sha256.clone(), ..Checkpoint::default() };
        let mut total = 0usize;
        for entry in &self.entries {
            let source = entry.content.as_ref().map_err(Clone::clone)?;
            total = total.saturating_add(source.length().unwrap_or(usize::MAX));
            if total > self.bytes.len().saturating_mul(MAX_GROWTH) {
                let file = self.bytes.len();
                return Err(Fault::new(
                    tensor_place(&entry.name),
                    format!("tensors of at most {MAX_GROWTH} times the file's {file} bytes"),
                    format!("shape {:?} beyond that", source.shape),
                ));
            }
        }
        let all: Vec<usize> = (0..self.entries.len()).collect();
        for (entry, (dtype, shape, bytes)) in self.entries.iter().zip(self.elements(&all)?) {
            let name = &entry.name;
            if is_counter(name)
                && let Some(count) = dtype.to_count(&bytes)
            {
                checkpoint.counters.insert(name.clone(), count);
                continue;
            }
            let data = dtype.to_f32(&bytes).ok_or_else(|| not_floating(name, dtype))?;
            checkpoint.tensors.insert(name.clone(), Tensor { shape, data });
        }
        Ok(checkpoint)
    }

    /// Some of the tensors, as f32.
    pub(super) fn floats(&self, entries: &[usize]) -> Parsed<Vec<Tensor>> {
        let elements = self.elements(entries)?;
        let tensor = |(&at, (dtype, shape, bytes)): (&usize, Elements)| {
            let data = dtype.to_f32(&bytes).ok_or_else(|| not_floating(&self.entries[at].name, dtype))?;
            Ok(Tensor { shape, data })
        };
        entries.iter().zip(elements).map(tensor).collect()
    }

    /// The elements of pruning masks.
    pub(super) fn masks(&self, entries: &[usize]) -> Parsed<Vec<Vec<f32>>> {
        let mask = |(&at, (dtype, _, bytes)): (&usize, Elements)| {
            dtype.mask_to_f32(&bytes).ok_or_else(|| not_floating(&self.entries[at].name, dtype))
        };
        entries.iter().zip(self.elements(entries)?).map(mask).collect()
    }

    /// The counts that scalars hold; `None` for what is none.
    pub(super) fn counts(&self, entries: &[usize]) -> Vec<Option<i64>> {
        let count = |(dtype, _, bytes): Elements| dtype.to_count(&bytes);
        self.elements(entries).map_or(Vec::new(), |all| all.into_iter().map(count).collect())
    }

    /// Types, shapes and elements of some of the tensors, in the order asked for; each storage is unpacked once.
    fn elements(&self, entries: &[usize]) -> Parsed<Vec<Elements>> {
        let key = |&position: &usize| match &self.entries[entries[position]].content {
            Ok(Source { place: Place::View(view), .. }) => view.storage.key.as_str(),
            _ => "",
        };
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.sort_by_key(key);
        let mut found: Vec<Elements> = vec![(Dtype::F32, Vec::new(), Vec::new()); entries.len()];
        let mut unpacked: Option<(&str, Vec<u8>)> = None;
        let mut zip = match &self.container {
            Container::Zip(zip) => Some(zip.storages(&self.bytes)?),
            _ => None,
        };
        for position in order {
            let entry = &self.entries[entries[position]];
            let source = entry.content.as_ref().map_err(Clone::clone)?;
            let elements = match &source.place {
                Place::Bytes(range) => self.bytes[range.clone()].to_vec(),
                Place::View(view) => {
                    let wanted = view.storage.key.as_str();
                    let storage = match unpacked.take() {
                        Some((key, storage)) if key == wanted => storage,
                        _ => self.storage(zip.as_mut(), &entry.name, view)?,
                    };
                    let elements = view.within(&entry.name, &storage)?;
                    unpacked = Some((wanted, storage));
                    elements
                }
            };
            found[position] = (source.dtype, source.shape.clone(), elements);
        }
        Ok(found)
    }

    /// The bytes of the storage of a tensor.
    fn storage(&self, zip: Option<&mut Storages>, name: &str, view: &TensorRef) -> Parsed<Vec<u8>> {
        let TensorRef { storage, .. } = view;
        let key = storage.key.as_str();
        match (&self.container, zip) {
            (Container::Legacy(storages), _) => match storages.get(key) {
                Some(range) => Ok(self.bytes[range.clone()].to_vec()),
                None => {
                    let place = format!("storage `{}` of {}", key.escape_debug(), tensor_place(name));
                    Err(Fault::new(place, "its elements in the file", "none"))
                }
            },
            (_, Some(zip)) => {
                let declared = storage.elements.saturating_mul(storage.dtype.size());
                let tensor = view.length().unwrap_or(usize::MAX);
                let most = declared.min(self.bytes.len().max(tensor).saturating_mul(MAX_GROWTH));
                zip.read(key, most as u64)
            }
            (_, None) => Ok(Vec::new()), // safetensors, which have no storages
        }
    }
}

impl TensorRef {
    /// The elements of a tensor out of its storage, which has to be as long as the pickle says.
    fn within(&self, name: &str, storage: &[u8]) -> Parsed<Vec<u8>> {
        let size = self.storage.dtype.size();
        if self.storage.elements.checked_mul(size) != Some(storage.len()) {
            return Err(Fault::new(
                format!("storage `{}` of {}", self.storage.key.escape_debug(), tensor_place(name)),
                format!("{} elements of {}", self.storage.elements, self.storage.dtype.name()),
                format!("{} bytes", storage.len()),
            ));
        }
        self.elements(storage).ok_or_else(|| {
            Fault::new(
                tensor_place(name),
                format!("a storage that holds shape {:?} from its offset on", self.shape),
                format!("{} elements of {}", storage.len() / size, self.storage.dtype.name()),
            )
        })
    }
}

fn not_floating(name: &str, dtype: Dtype) -> Fault {
    Fault::new(tensor_place(name), "float32, float64, float16 or bfloat16", dtype.name())
}

/// The tensors of a pickle.
fn entries(pickle: &Pickle) -> Vec<Entry> {
    let entry = |torch::Named { name, tensor }| {
        let source = |view: TensorRef| Source {
            dtype: view.storage.dtype,
            shape: view.shape.clone(),
            place: Place::View(view),
        };
        Entry { name, content: tensor.map(source) }
    };
    torch::tensors(pickle).into_iter().map(entry).collect()
}

/// What a pickle without tensors holds in their place.
fn without_tensors(pickle: &Pickle) -> String {
    const ADVICE: &str = "load it with the code that wrote it and torch.save its state_dict()";
    if let Some(class) = torch::whole_module(pickle) {
        return format!("a whole module, a `{class}`, pickled with its code's names; {ADVICE}");
    }
    let arrays = torch::numpy_arrays(pickle);
    if arrays > 0 {
        return format!("{arrays} numpy arrays in the place of tensors; save tensors (torch.from_numpy)");
    }
    let Some(items) = pickle.items(pickle.root()) else { return pickle.describe(pickle.root()) };
    let named = |&(key, value): &(_, _)| {
        Some(format!("`{}`: {}", shortened(&torch::key(pickle, key)?), pickle.describe(value)))
    };
    let mut keys: Vec<String> = items.iter().filter_map(named).take(5).collect();
    if items.len() > keys.len() {
        keys.push("…".to_owned());
    }
    format!("a dict of {} items {{{}}}", items.len(), keys.join(", "))
}
