//! The two containers of `torch.save`: the zip archive of PyTorch 1.6 and later, and the run of pickles
//! and raw storages before it. Both keep a pickle that describes the tensors, and their elements outside it.

use super::pickle::{self, Object, Pickle, TensorRef};
use super::state_dict::{self, StateDict};
use super::{Checkpoint, Fault, Parsed, tensor_place};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read};
use zip::{CompressionMethod, ZipArchive};

/// 0x1950a86a20f9469cfc6c, with which the older container starts, as a pickle stores it.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// The only version the older container ever had.
const PROTOCOL: i64 = 1001;
/// How many times as many bytes as the file has its tensors may take together. Views may share a storage,
/// but a file that multiplies itself further is hostile, or not a checkpoint.
const MAX_GROWTH: usize = 8;

type Archive<'a> = ZipArchive<Cursor<&'a [u8]>>;

/// Parses the zip form: `NAME/data.pkl`, `NAME/data/KEY` per storage, all stored uncompressed.
pub(super) fn read_zip(bytes: &[u8]) -> Parsed<Checkpoint> {
    let mut archive = ZipArchive::new(Cursor::new(bytes))
        .map_err(|error| Fault::new("zip directory", "an undamaged zip archive", error))?;
    let folder = folder(&archive)?;
    let byte_order = format!("{folder}byteorder");
    if archive.index_for_name(&byte_order).is_some() {
        let order = entry(&mut archive, &byte_order, bytes.len())?;
        if order != b"little" {
            let found = format!("`{}`", String::from_utf8_lossy(&order).escape_debug());
            return Err(Fault::new(byte_order, "`little`", found));
        }
    }
    let name = format!("{folder}data.pkl");
    let stream = entry(&mut archive, &name, bytes.len())?;
    let (pickle, _) = pickle::read(&stream, &name, 0)?;
    let state = state_dict::extract(&pickle, &name)?;

    let mut taken = 0;
    build(&pickle, state, bytes.len(), |key| {
        let name = format!("{folder}data/{key}");
        let storage = entry(&mut archive, &name, bytes.len())?;
        taken += storage.len();
        if taken > bytes.len() {
            return Err(Fault::new(name, "storages that fit into the file together", "overlapping ones"));
        }
        Ok(Cow::Owned(storage))
    })
}

/// Parses the older form: pickles of the magic number, the version, the byte order, the object and the
/// storages' keys, then for each key its element count and elements.
pub(super) fn read_legacy(bytes: &[u8]) -> Parsed<Checkpoint> {
    let mut at = 0;
    let mut next = |name: &'static str| {
        let (pickle, length) = pickle::read(&bytes[at..], name, at)?;
        at += length;
        Ok::<_, Fault>((pickle, at))
    };
    let (magic, _) = next("magic number")?;
    if !matches!(magic.root(), Object::Long(found) if found[..] == MAGIC) {
        let found = format!("a pickle of {}", magic.root().kind());
        return Err(Fault::new("byte 0", "the magic number of torch.save", found));
    }
    let (version, _) = next("version")?;
    if !matches!(version.root(), Object::Int(PROTOCOL)) {
        let found = match version.root() {
            Object::Int(version) => version.to_string(),
            other => other.kind().to_owned(),
        };
        return Err(Fault::new("version", PROTOCOL, found));
    }
    let (system, _) = next("system information")?;
    if !is_little_endian(&system) {
        return Err(Fault::new("system information", "little_endian: True", "another byte order"));
    }
    let (pickle, _) = next("object pickle")?;
    let (keys, start) = next("storage keys")?;
    let storages = legacy_storages(bytes, start, &pickle, &keys)?;
    let state = state_dict::extract(&pickle, "object pickle")?;
    build(&pickle, state, bytes.len(), |key| {
        let storage = storages.get(key).copied();
        storage.map(Cow::Borrowed).ok_or_else(|| {
            Fault::new(format!("storage `{}`", key.escape_debug()), "its elements in the file", "none")
        })
    })
}

/// Makes the checkpoint: fetches every storage once and copies the tensors out of it.
fn build<'a>(
    pickle: &Pickle,
    state: StateDict,
    file_length: usize,
    mut fetch: impl FnMut(&str) -> Parsed<Cow<'a, [u8]>>,
) -> Parsed<Checkpoint> {
    let mut total = 0;
    let mut by_storage: BTreeMap<&str, Vec<(&str, &TensorRef)>> = BTreeMap::new();
    for (name, tensor) in state.tensors {
        total = length(tensor).and_then(|length| length.checked_add(total)).unwrap_or(usize::MAX);
        if total > file_length.saturating_mul(MAX_GROWTH) {
            return Err(Fault::new(
                tensor_place(name),
                format!("tensors of at most {MAX_GROWTH} times the file's {file_length} bytes"),
                format!("shape {:?} beyond that", tensor.shape),
            ));
        }
        let key = pickle.text(tensor.storage.key).unwrap_or_default();
        by_storage.entry(key).or_default().push((name, tensor));
    }

    let mut checkpoint = Checkpoint { meta: state.meta, ..Checkpoint::default() };
    for (key, tensors) in by_storage {
        let storage = fetch(key)?;
        for (name, tensor) in tensors {
            let declared = tensor.storage.elements.checked_mul(tensor.storage.dtype.size());
            if declared != Some(storage.len()) {
                return Err(Fault::new(
                    format!("storage `{}` of {}", key.escape_debug(), tensor_place(name)),
                    format!("{} elements of {}", tensor.storage.elements, tensor.storage.dtype.name()),
                    format!("{} bytes", storage.len()),
                ));
            }
            let elements = contiguous(tensor, &storage).ok_or_else(|| {
                let size = tensor.storage.dtype.size();
                Fault::new(
                    tensor_place(name),
                    format!("a storage that holds shape {:?} from its offset on", tensor.shape),
                    format!("{} elements of {}", storage.len() / size, tensor.storage.dtype.name()),
                )
            })?;
            checkpoint.insert(name, tensor.storage.dtype, &tensor.shape, &elements)?;
        }
    }
    Ok(checkpoint)
}

/// Bytes of a tensor's elements; `None` beyond `usize`.
fn length(tensor: &TensorRef) -> Option<usize> {
    let size = tensor.storage.dtype.size();
    tensor.shape.iter().try_fold(size, |product, &extent| product.checked_mul(extent))
}

/// A tensor's elements in row-major order; `None` if it reaches beyond its storage.
fn contiguous<'a>(tensor: &TensorRef, storage: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    let TensorRef { shape, strides, .. } = tensor;
    let size = tensor.storage.dtype.size();
    let length = length(tensor)?;
    if length == 0 {
        return Some(Cow::Borrowed(&[]));
    }
    let start = tensor.storage.offset.checked_add(tensor.offset)?;
    let last = shape
        .iter()
        .zip(strides)
        .try_fold(start, |last, (&extent, &stride)| last.checked_add((extent - 1).checked_mul(stride)?))?;
    if last.checked_add(1)?.checked_mul(size)? > storage.len() {
        return None;
    }

    let mut run = 1;
    let row_major = shape.iter().zip(strides).rev().all(|(&extent, &stride)| {
        let fits = extent == 1 || stride == run;
        run *= extent;
        fits
    });
    if row_major {
        return Some(Cow::Borrowed(&storage[start * size..start * size + length]));
    }
    // Along an extent of one nothing is ever stepped, and its stride may be any number.
    let steps: Vec<usize> =
        shape.iter().zip(strides).map(|(&extent, &stride)| if extent == 1 { 0 } else { stride }).collect();
    let mut elements = Vec::with_capacity(length);
    let mut index = vec![0; shape.len()];
    let mut at = start;
    while elements.len() < length {
        elements.extend_from_slice(&storage[at * size..(at + 1) * size]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += steps[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= index[axis] * steps[axis];
            index[axis] = 0;
        }
    }
    Some(Cow::Owned(elements))
}

/// The folder of the archive, with its slash, in which `data.pkl` lies.
fn folder(archive: &Archive) -> Parsed<String> {
    let mut names = Vec::new();
    for name in archive.file_names() {
        let name = name.map_err(|error| Fault::new("zip directory", "readable entry names", error))?;
        match name.strip_suffix("data.pkl") {
            Some(folder) if folder.is_empty() || folder.find('/') == Some(folder.len() - 1) => {
                return Ok(folder.to_owned());
            }
            _ if names.len() < 5 => names.push(name.chars().take(40).collect::<String>()),
            _ => {}
        }
    }
    let found = format!("{} others: {}", archive.len(), names.join(", ").escape_debug());
    Err(Fault::new("zip directory", "an entry data.pkl", found))
}

/// The content of one entry, its checksum verified. Only uncompressed entries are taken, as `torch.save`
/// writes them, so that none can unpack to more than the file holds.
fn entry(archive: &mut Archive, name: &str, file_length: usize) -> Parsed<Vec<u8>> {
    let place = || format!("zip entry `{}`", name.escape_debug());
    let file = archive.by_name(name).map_err(|error| Fault::new(place(), "an entry of this name", error))?;
    if file.compression() != CompressionMethod::Stored {
        return Err(Fault::new(place(), "an uncompressed entry", file.compression()));
    }
    let length = file.size();
    if length != file.compressed_size() || length > file_length as u64 {
        let found = format!("a declared size of {length}, stored in {} bytes", file.compressed_size());
        return Err(Fault::new(place(), "an entry that lies within the file", found));
    }
    let mut content = Vec::with_capacity(length as usize);
    file.take(length + 1)
        .read_to_end(&mut content)
        .map_err(|error| Fault::new(place(), "undamaged content", error))?;
    if content.len() as u64 != length {
        return Err(Fault::new(place(), format!("{length} bytes"), format!("{} bytes", content.len())));
    }
    Ok(content)
}

fn is_little_endian(system: &Pickle) -> bool {
    match system.root() {
        Object::Dict(items) => system
            .items(items)
            .any(|(key, value)| key == "little_endian" && matches!(value, Object::Bool(true))),
        _ => false,
    }
}

/// The storages of the older container, which lie behind its pickles from `start` on.
fn legacy_storages<'a>(
    bytes: &'a [u8],
    start: usize,
    pickle: &'a Pickle,
    keys: &Pickle,
) -> Parsed<HashMap<&'a str, &'a [u8]>> {
    let mut sizes = HashMap::new();
    for object in pickle.objects() {
        if let Object::Storage(storage) = object
            && let Some(key) = pickle.text(storage.key)
        {
            sizes.insert(key, storage.dtype.size());
        }
    }
    let Object::List(keys_in_order) = keys.root() else {
        return Err(Fault::new("storage keys", "a list", keys.root().kind()));
    };
    let mut storages = HashMap::new();
    let mut at = start;
    for &key in keys_in_order {
        let Some((&key, size)) = keys.text(key).and_then(|key| sizes.get_key_value(key)) else {
            return Err(Fault::new("storage keys", "keys that the object pickle uses", "another"));
        };
        let place = || format!("storage `{}`, byte {at}", key.escape_debug());
        let rest = &bytes[at..];
        let Some((count, rest)) = rest.split_first_chunk() else {
            let found = format!("{} bytes before the end of the file", rest.len());
            return Err(Fault::new(place(), "eight bytes of element count", found));
        };
        let count = i64::from_le_bytes(*count);
        let length = usize::try_from(count).ok().and_then(|count| count.checked_mul(*size));
        let Some(elements) = length.and_then(|length| rest.get(..length)) else {
            let found = format!("{} bytes before the end of the file", rest.len());
            return Err(Fault::new(place(), format!("{count} elements of {size} bytes"), found));
        };
        storages.insert(key, elements);
        at = bytes.len() - rest.len() + elements.len();
    }
    if at != bytes.len() {
        let found = format!("{} more bytes", bytes.len() - at);
        return Err(Fault::new(format!("byte {at}"), "the end of the file", found));
    }
    Ok(storages)
}
