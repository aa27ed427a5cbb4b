//! The two containers of `torch.save`: the zip archive of PyTorch 1.6 and later, and the run of pickles
//! and raw storages before it. Both keep a pickle that describes the tensors, and their elements outside it.

use super::fault::{Fault, Parsed, shortened};
use super::format::CUT;
use super::other::other_zip;
use super::torch;
use crate::pickle::{self, Object, Pickle};
use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::ops::Range;
use zip::{CompressionMethod, ZipArchive};

/// 0x1950a86a20f9469cfc6c, with which the older container starts, as a pickle stores it.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// The only version the older container ever had.
const PROTOCOL: i64 = 1001;
/// How many times as many bytes as the file has the pickle of a compressed archive may take.
const MAX_UNPACKED: u64 = 64;

/// A zip archive of `torch.save`.
pub(super) struct Zip {
    /// The folder, with its slash, in which `data.pkl` lies.
    folder: String,
}

impl Zip {
    /// Opens an archive: `NAME/data.pkl`, `NAME/data/KEY` per storage.
    pub(super) fn open(bytes: &[u8]) -> Parsed<(Zip, Pickle)> {
        let mut archive = archive(bytes)?;
        let folder = folder(&archive)?;
        let byte_order = format!("{folder}byteorder");
        if archive.index_for_name(&byte_order).is_some() {
            let order = entry(&mut archive, &byte_order, 16)?;
            if order != b"little" {
                let found = format!("`{}`", String::from_utf8_lossy(&order).escape_debug());
                return Err(Fault::new(byte_order, "`little`", found));
            }
        }
        let name = format!("{folder}data.pkl");
        let most = (bytes.len() as u64).saturating_mul(MAX_UNPACKED);
        let stream = entry(&mut archive, &name, most)?;
        let (pickle, _) = pickle::read(&stream).map_err(|fault| fault_in(&name, 0, fault))?;
        Ok((Zip { folder }, pickle))
    }

    /// The archive, to read storages from.
    pub(super) fn storages<'a>(&'a self, bytes: &'a [u8]) -> Parsed<Storages<'a>> {
        Ok(Storages { folder: &self.folder, archive: archive(bytes)? })
    }
}

/// The storages of a zip archive.
pub(super) struct Storages<'a> {
    folder: &'a str,
    archive: ZipArchive<Cursor<&'a [u8]>>,
}

impl Storages<'_> {
    /// The bytes of a storage, at most `most`.
    pub(super) fn read(&mut self, key: &str, most: u64) -> Parsed<Vec<u8>> {
        entry(&mut self.archive, &format!("{}data/{key}", self.folder), most)
    }
}

/// Opens the older form: pickles of the magic number, the version, the byte order, the object and the
/// storages' keys, then for each key its element count and elements. Also where each storage lies.
pub(super) fn open_legacy(bytes: &[u8]) -> Parsed<(HashMap<String, Range<usize>>, Pickle)> {
    let mut at = 0;
    let mut next = |name: &'static str| {
        let (pickle, length) = pickle::read(&bytes[at..]).map_err(|fault| {
            let cut = if fault.ended { format!("; {CUT}") } else { String::new() };
            let Fault { place, expected, found } = fault_in(name, at, fault);
            Fault { place, expected, found: found + &cut }
        })?;
        at += length;
        Ok::<_, Fault>((pickle, at))
    };
    let (magic, end) = next("magic number")?;
    if !matches!(magic.get(magic.root()), Object::Long(found) if found[..] == MAGIC) {
        let what = magic.describe(magic.root());
        let found = if end == bytes.len() {
            format!("a pickle of {what}, as pickle.dump writes; save it with torch.save")
        } else {
            format!("a pickle of {what}")
        };
        return Err(Fault::new("byte 0", "the magic number of torch.save", found));
    }
    let (version, _) = next("version")?;
    if !matches!(version.get(version.root()), Object::Int(PROTOCOL)) {
        let found = match version.get(version.root()) {
            Object::Int(version) => version.to_string(),
            _ => version.describe(version.root()),
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
    Ok((storages, pickle))
}

/// A fault of a pickle that starts at byte `base` of what errors call `name`.
fn fault_in(name: &str, base: usize, fault: pickle::Fault) -> Fault {
    Fault::new(format!("{name}, byte {}", base + fault.at), fault.expected, fault.found)
}

fn archive(bytes: &[u8]) -> Parsed<ZipArchive<Cursor<&[u8]>>> {
    ZipArchive::new(Cursor::new(bytes)).map_err(|error| {
        let found = format!("none ({error}); {CUT}");
        Fault::new("zip directory", "the directory of an undamaged zip archive at its end", found)
    })
}

/// The folder of the archive, with its slash, in which `data.pkl` lies.
fn folder(archive: &ZipArchive<Cursor<&[u8]>>) -> Parsed<String> {
    let mut names = Vec::new();
    for name in archive.file_names() {
        let name = name.map_err(|error| Fault::new("zip directory", "readable entry names", error))?;
        names.push(name.into_owned());
    }
    if let Some(other) = other_zip(&names) {
        return Err(Fault::new("zip directory", "an archive of torch.save", other));
    }
    let in_folder = |name: &&String| **name == "data.pkl" || name.ends_with("/data.pkl");
    let shortest = names.iter().filter(in_folder).min_by_key(|name| name.len());
    let folder = shortest.and_then(|name| name.strip_suffix("data.pkl"));
    folder.map(str::to_owned).ok_or_else(|| {
        let first: Vec<String> = names.iter().take(5).map(|name| shortened(name)).collect();
        let found = format!("{} others: {}", names.len(), first.join(", "));
        Fault::new("zip directory", "an entry data.pkl", found)
    })
}

/// The content of one entry, its checksum verified; never more than `most` bytes of it, whatever it unpacks to.
fn entry(archive: &mut ZipArchive<Cursor<&[u8]>>, name: &str, most: u64) -> Parsed<Vec<u8>> {
    let place = || format!("zip entry `{}`", name.escape_debug());
    let index = archive.index_for_name(name);
    let index = index.ok_or_else(|| Fault::new(place(), "an entry of this name", "none"))?;
    let packed = archive.by_index_raw(index).map_err(|error| Fault::new(place(), "a zip entry", error))?;
    let (method, encrypted) = (packed.compression(), packed.encrypted());
    drop(packed);
    if encrypted || !matches!(method, CompressionMethod::Stored | CompressionMethod::Deflated) {
        let with = if encrypted { "a password".to_owned() } else { method_name(method) };
        let found =
            format!("{with}; unpack the archive and zip it anew with deflate, or torch.save it again");
        return Err(Fault::new(place(), "content that is stored or deflated", found));
    }
    let file = archive.by_index(index).map_err(|error| Fault::new(place(), "an undamaged entry", error))?;
    let length = file.size();
    if length > most {
        return Err(Fault::new(place(), format!("at most {most} bytes"), format!("{length} bytes")));
    }
    // The buffer grows with what is really there, not with what the directory claims.
    let mut content = Vec::new();
    file.take(length + 1)
        .read_to_end(&mut content)
        .map_err(|error| Fault::new(place(), "undamaged content", error))?;
    if content.len() as u64 != length {
        return Err(Fault::new(place(), format!("{length} bytes"), format!("{} bytes", content.len())));
    }
    Ok(content)
}

/// What a method of compression is called.
fn method_name(method: CompressionMethod) -> String {
    let name = match method {
        CompressionMethod::DEFLATE64 => "Deflate64",
        CompressionMethod::BZIP2 => "bzip2",
        CompressionMethod::LZMA => "LZMA",
        CompressionMethod::ZSTD => "Zstandard",
        CompressionMethod::XZ => "xz",
        CompressionMethod::PPMD => "PPMd",
        _ => "another",
    };
    format!("{name} compression")
}

fn is_little_endian(system: &Pickle) -> bool {
    system.items(system.root()).is_some_and(|items| {
        items.iter().any(|&(key, value)| {
            system.text(key) == Some("little_endian") && matches!(system.get(value), Object::Bool(true))
        })
    })
}

/// Where the storages of the older container lie, which follow its pickles from `start` on.
fn legacy_storages(
    bytes: &[u8],
    start: usize,
    pickle: &Pickle,
    keys: &Pickle,
) -> Parsed<HashMap<String, Range<usize>>> {
    let mut sizes = HashMap::new();
    for object in pickle.objects() {
        if let Object::Persistent(id) = object
            && let Ok(storage) = torch::storage(pickle, *id)
        {
            sizes.insert(storage.key, storage.dtype.size());
        }
    }
    let Object::List(keys_in_order) = keys.get(keys.root()) else {
        return Err(Fault::new("storage keys", "a list", keys.describe(keys.root())));
    };
    let mut storages = HashMap::new();
    let mut at = start;
    for &key in keys_in_order {
        let Some((key, size)) = keys.text(key).and_then(|key| sizes.get_key_value(key)) else {
            return Err(Fault::new("storage keys", "keys that the object pickle uses", "another"));
        };
        let place = || format!("storage `{}`, byte {at}", key.escape_debug());
        let rest = &bytes[at..];
        let Some((count, rest)) = rest.split_first_chunk() else {
            let found = format!("{} bytes before the end of the file; {CUT}", rest.len());
            return Err(Fault::new(place(), "eight bytes of element count", found));
        };
        let count = i64::from_le_bytes(*count);
        let length = usize::try_from(count).ok().and_then(|count| count.checked_mul(*size));
        let Some(length) = length.filter(|&length| length <= rest.len()) else {
            let found = format!("{} bytes before the end of the file; {CUT}", rest.len());
            return Err(Fault::new(place(), format!("{count} elements of {size} bytes"), found));
        };
        let first = bytes.len() - rest.len();
        storages.insert(key.clone(), first..first + length);
        at = first + length;
    }
    // What may follow (padding, a second object) is not looked at, as in PyTorch.
    Ok(storages)
}
