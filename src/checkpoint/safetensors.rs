//! The safetensors format: eight bytes of header length, a JSON header, the elements.
//!
//! Reader and writer are our own, and the tests hold them against the crate of the same name: its errors
//! tell neither the offsets found nor those expected, and its writer puts the metadata in the order of a
//! hash map, so that the same checkpoint would get another SHA-256 each time.

use super::dtype::Dtype;
use super::entry::{Entry, Place, Source};
use super::fault::{Fault, Parsed, shortened, tensor_place};
use super::format::CUT;
use super::metadata::Notes;
use super::tensor::{Checkpoint, Tensor, is_counter};
use crate::error::{Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

const METADATA: &str = "__metadata__";
/// Bytes of the header's length, and what the header is padded to.
const WORD: usize = 8;
/// Longest header that the format allows.
const LONGEST_HEADER: u64 = 100_000_000;

/// One tensor as the header declares it.
#[derive(Deserialize)]
struct Declared {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

/// Parses a file: its tensors in the order of their elements, and its metadata.
pub(super) fn read(bytes: &[u8]) -> Parsed<(Vec<Entry>, Notes)> {
    let (header, data) = split(bytes)?;
    let text = std::str::from_utf8(header).map_err(|error| {
        let at = WORD + error.valid_up_to();
        Fault::new(format!("header, byte {at}"), "UTF-8", format!("byte {:#04x}", bytes[at]))
    })?;
    let mut header: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| Fault::new("header", "a JSON object", error))?;

    let mut notes = Notes::new();
    if let Some(entries) = header.remove(METADATA) {
        notes = Notes::deserialize(entries)
            .map_err(|error| Fault::new(METADATA, "a map from text to text", error))?;
    }
    let mut declared = Vec::with_capacity(header.len());
    for (name, value) in header {
        let entry = Declared::deserialize(value).map_err(|error| {
            Fault::new(tensor_place(&name), "an entry of dtype, shape and data_offsets", error)
        })?;
        declared.push((name, entry));
    }
    declared.sort_by_key(|(_, entry)| entry.data_offsets);
    if declared.is_empty() {
        return Err(Fault::new("header", "at least one tensor", "none"));
    }

    let first = bytes.len() - data.len();
    let mut next = 0;
    let mut tensors = Vec::with_capacity(declared.len());
    for (name, entry) in declared {
        let (start, end) = entry.data_offsets;
        if start != next || end < start || end > data.len() {
            let cut = if end > data.len() { format!("; {CUT}") } else { String::new() };
            return Err(Fault::new(
                tensor_place(&name),
                format!("offsets that start at {next} and end within the {} bytes of data", data.len()),
                format!("offsets {start} to {end}{cut}"),
            ));
        }
        next = end;
        let content = source(&name, &entry, first + start..first + end);
        tensors.push(Entry { name, content });
    }
    if next != data.len() {
        let found = format!("{} bytes", data.len());
        return Err(Fault::new("data", format!("{next} bytes as the header declares"), found));
    }
    Ok((tensors, notes))
}

/// A tensor whose elements are these bytes of the file, or why it is none.
fn source(name: &str, entry: &Declared, bytes: Range<usize>) -> Parsed<Source> {
    let dtype = Dtype::from_safetensors(&entry.dtype).ok_or_else(|| {
        let found = format!("elements of type `{}`", shortened(&entry.dtype));
        Fault::new(tensor_place(name), "dtype F32, F64, F16 or BF16", found)
    })?;
    let declared = entry.shape.iter().try_fold(dtype.size(), |product, &extent| product.checked_mul(extent));
    if declared != Some(bytes.len()) {
        return Err(Fault::new(
            tensor_place(name),
            format!("as many bytes as {} of shape {:?} take", dtype.name(), entry.shape),
            format!("{} bytes", bytes.len()),
        ));
    }
    Ok(Source { dtype, shape: entry.shape.clone(), place: Place::Bytes(bytes) })
}

/// Writes `checkpoint` to `path`: see [`Checkpoint::save`].
pub(super) fn write(checkpoint: &Checkpoint, path: &Path) -> Result<()> {
    let header =
        header(checkpoint).map_err(|reason| Error::Failed(format!("{}: {reason}", path.display())))?;
    let temporary = temporary_beside(path).map_err(Error::write(path))?;
    let written = write_new(checkpoint, &header, &temporary).and_then(|()| fs::rename(&temporary, path));
    if let Err(source) = written {
        // The first error is the one to report; if the temporary file was never made there is none to remove.
        let _ = fs::remove_file(&temporary);
        return Err(Error::Write { path: path.to_owned(), source });
    }
    flush_folder(&temporary).map_err(Error::write(path))
}

/// Separates the header from the data.
fn split(bytes: &[u8]) -> Parsed<(&[u8], &[u8])> {
    let Some((length, rest)) = bytes.split_first_chunk::<WORD>() else {
        return Err(Fault::new("byte 0", "eight bytes of header length", format!("{} bytes", bytes.len())));
    };
    let length = u64::from_le_bytes(*length);
    usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length)).ok_or_else(|| {
        let expected = format!("a header length of at most the {} bytes that follow", rest.len());
        let cut = if length <= LONGEST_HEADER { format!("; {CUT}") } else { String::new() };
        Fault::new("bytes 0 to 8", expected, format!("{length}{cut}"))
    })
}

/// The header of a checkpoint, padded; or why it cannot be written so that it reads back equal.
///
/// Counters come first: they are the widest elements, so everything stays aligned.
fn header(checkpoint: &Checkpoint) -> Result<Vec<u8>, String> {
    let mut entries = Map::new();
    let metadata = checkpoint.meta.to_text()?;
    if !metadata.is_empty() {
        entries.insert(METADATA.to_owned(), json!(metadata));
    }
    let mut end = 0;
    let mut add = |name: &str, dtype: &str, shape: &[usize], bytes: usize| {
        let start = end;
        end += bytes;
        let entry = json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] });
        match entries.insert(name.to_owned(), entry) {
            None => Ok(()),
            Some(_) => Err(format!("{} is there twice", tensor_place(name))),
        }
    };
    for name in checkpoint.counters.keys() {
        if !is_counter(name) {
            return Err(format!("{} is not a counter's name", tensor_place(name)));
        }
        add(name, "I64", &[], size_of::<i64>())?;
    }
    for (name, Tensor { shape, data }) in &checkpoint.tensors {
        if shape.iter().try_fold(1, |product: usize, &extent| product.checked_mul(extent)) != Some(data.len())
        {
            return Err(format!("{}: shape {shape:?}, {} elements", tensor_place(name), data.len()));
        }
        add(name, "F32", shape, size_of_val(data.as_slice()))?;
    }
    if checkpoint.tensors.is_empty() {
        return Err("a checkpoint without tensors".to_owned());
    }
    let mut text = Value::Object(entries).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(WORD), b' ');
    Ok(text)
}

/// A name in the same folder that no other call and no other process takes.
fn temporary_beside(path: &Path) -> io::Result<PathBuf> {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"));
    };
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}-{}.tmp", process::id(), SERIAL.fetch_add(1, Ordering::Relaxed)));
    Ok(path.with_file_name(hidden))
}

fn write_new(checkpoint: &Checkpoint, header: &[u8], path: &Path) -> io::Result<()> {
    let mut file =
        BufWriter::with_capacity(1 << 20, OpenOptions::new().write(true).create_new(true).open(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header)?;
    for count in checkpoint.counters.values() {
        file.write_all(&count.to_le_bytes())?;
    }
    for value in checkpoint.tensors.values().flat_map(|tensor| &tensor.data) {
        file.write_all(&value.to_le_bytes())?;
    }
    file.into_inner()?.sync_all()
}

/// Makes a rename durable: on Unix that needs the folder's own flush.
fn flush_folder(file: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}
