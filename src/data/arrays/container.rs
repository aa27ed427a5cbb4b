//! The two kinds of files that hold named arrays: `.npz`, a zip of `.npy` files, stored or deflated; and safetensors.
//! Arrays are read one at a time, whole or by parts; nothing else of a file is kept in memory.

use super::npy::{self, Array, Element, Spec};
use crate::error::{Error, Result};
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use std::fmt::Display;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use zip::{CompressionMethod, ZipArchive};

/// Longest header of a safetensors file, as the library has it.
const MAX_HEADER: u64 = 100_000_000;

/// An open file and what it holds.
pub(super) struct Container {
    path: PathBuf,
    specs: Vec<Spec>,
    /// Where each of the arrays is.
    places: Vec<Place>,
    content: Content,
}

enum Content {
    Npz(ZipArchive<BufReader<File>>),
    Safetensors(File),
}

/// Where the elements of an array are.
struct Place {
    /// Which entry of a zip.
    entry: usize,
    /// At which byte of the file, if they are not compressed.
    start: Option<u64>,
    /// How many bytes there are.
    length: u64,
}

impl Container {
    /// Opens a file; which of the two it is, is told by its first bytes.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(Error::read(path))?;
        let mut magic = Vec::new();
        file.by_ref().take(6).read_to_end(&mut magic).map_err(Error::read(path))?;
        file.rewind().map_err(Error::read(path))?;
        if magic.starts_with(b"PK\x03\x04") {
            Self::open_npz(path, file)
        } else if magic == b"\x93NUMPY" {
            let expected = "a .npz file with images and labels (numpy.savez), or safetensors";
            Err(Error::input(path, "byte 0", expected, "a single NumPy array"))
        } else {
            Self::open_safetensors(path, file)
        }
    }

    /// What is known of each array before its elements are read.
    pub(super) fn specs(&self) -> &[Spec] {
        &self.specs
    }

    /// An error of the array at a position of [`Container::specs`].
    pub(super) fn fault(&self, index: usize, expected: impl Display, found: impl Display) -> Error {
        let name = self.specs.get(index).map(|spec| spec.name.escape_debug().to_string());
        Error::input(&self.path, format_args!("array `{}`", name.unwrap_or_default()), expected, found)
    }

    /// How many bytes an array has, which are as many as its type and shape say.
    pub(super) fn bytes(&self, index: usize) -> Result<usize> {
        let (Some(spec), Some(place)) = (self.specs.get(index), self.places.get(index)) else {
            return Err(Error::Failed(format!("{}: no array {index}", self.path.display())));
        };
        if spec.element == Element::Object {
            let expected = "plain numbers or text (an array of Python objects is pickled, and is not read)";
            return Err(self.fault(index, expected, spec.describe()));
        }
        match spec.bytes() {
            None => Err(self.fault(index, "an array of plain numbers or text", spec.describe())),
            Some(size) if size as u64 != place.length => {
                let expected = format_args!("{size} bytes, as {} has", spec.describe());
                Err(self.fault(index, expected, place.length))
            }
            Some(size) => Ok(size),
        }
    }

    /// The elements of an array from the first on.
    pub(super) fn stream(&mut self, index: usize) -> Result<Box<dyn Read + '_>> {
        let length = self.bytes(index)? as u64;
        let Some(Place { entry, start, .. }) = self.places.get(index) else { return Ok(Box::new(&[][..])) };
        let path = &self.path;
        match &mut self.content {
            Content::Npz(zip) => {
                let name = &self.specs[index].name;
                let fault = |expected: &dyn Display, found: &dyn Display| {
                    Error::input(path, format_args!("array `{}`", name.escape_debug()), expected, found)
                };
                let mut entry =
                    zip.by_index(*entry).map_err(|error| fault(&"an intact zip entry", &error))?;
                npy::header(name, &mut entry).map_err(|(expected, found)| fault(&expected, &found))?;
                Ok(Box::new(entry))
            }
            Content::Safetensors(file) => {
                file.seek(SeekFrom::Start(start.unwrap_or_default())).map_err(Error::read(path))?;
                Ok(Box::new(BufReader::new(file).take(length)))
            }
        }
    }

    /// Where in the file the elements of an array begin, and the file, if any of them can be had without the others.
    pub(super) fn anywhere(&self, index: usize) -> Result<Option<(File, u64)>> {
        match self.places.get(index).and_then(|place| place.start) {
            Some(start) => Ok(Some((File::open(&self.path).map_err(Error::read(&self.path))?, start))),
            None => Ok(None),
        }
    }

    /// Reads an array.
    pub(super) fn read(&mut self, index: usize) -> Result<Array> {
        let size = self.bytes(index)?;
        // Grows with what is there, not with what the file claims.
        let mut bytes = Vec::new();
        let limit = (size as u64).saturating_add(1);
        let done = self.stream(index)?.take(limit).read_to_end(&mut bytes);
        done.map_err(|error| self.fault(index, "intact data to its end", error))?;
        let spec = self.specs[index].clone();
        if bytes.len() != size {
            let found = if bytes.len() > size { "more".to_owned() } else { bytes.len().to_string() };
            return Err(self.fault(index, format_args!("{size} bytes, as {} has", spec.describe()), found));
        }
        Ok(Array { spec, bytes })
    }

    fn open_npz(path: &Path, file: File) -> Result<Self> {
        let broken = |error: &dyn Display| Error::input(path, "zip archive", "an intact .npz file", error);
        let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|error| broken(&error))?;
        let (mut specs, mut places) = (Vec::new(), Vec::new());
        for place in 0..zip.len() {
            let mut entry = zip.by_index(place).map_err(|error| broken(&error))?;
            let name = entry.name().map_err(|error| broken(&error))?.into_owned();
            let Some(name) = name.strip_suffix(".npy") else { continue };
            let (all, stored) = (entry.size(), entry.compression() == CompressionMethod::Stored);
            let start = entry.data_start().filter(|_| stored);
            let mut counted = Counted { inner: &mut entry, count: 0 };
            let spec = npy::header(name, &mut counted).map_err(|(expected, found)| {
                Error::input(path, format_args!("array `{}`", name.escape_debug()), expected, found)
            })?;
            let header = counted.count;
            places.push(Place {
                entry: place,
                start: start.and_then(|start| start.checked_add(header)),
                length: all.saturating_sub(header),
            });
            specs.push(spec);
        }
        Ok(Container { path: path.to_owned(), specs, places, content: Content::Npz(zip) })
    }

    fn open_safetensors(path: &Path, mut file: File) -> Result<Self> {
        let fault = |error: &dyn Display| Error::input(path, "byte 0", "a .npz file or safetensors", error);
        let (mut length, mut header) = ([0; 8], Vec::new());
        file.read_exact(&mut length).map_err(|error| fault(&error))?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER {
            return Err(fault(&"neither"));
        }
        file.by_ref().take(length).read_to_end(&mut header).map_err(Error::read(path))?;
        let data: Metadata = serde_json::from_slice(&header).map_err(|error| fault(&error))?;
        let start = 8 + header.len() as u64;
        let all = file.metadata().map_err(Error::read(path))?.len();
        if start.checked_add(data.data_len() as u64) != Some(all) {
            let expected =
                format!("{} bytes, as its header says", start.saturating_add(data.data_len() as u64));
            return Err(Error::input(path, "safetensors", expected, all));
        }
        let mut tensors: Vec<_> = data.tensors().into_iter().collect();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        let (mut specs, mut places) = (Vec::new(), Vec::new());
        for (name, tensor) in tensors {
            let (from, to) = tensor.data_offsets;
            let (element, shape) = (element_of(tensor.dtype), tensor.shape.clone());
            specs.push(Spec { name, element, big_endian: false, shape, fortran: false });
            let start = Some(start + from as u64);
            places.push(Place { entry: 0, start, length: (to - from) as u64 });
        }
        Ok(Container { path: path.to_owned(), specs, places, content: Content::Safetensors(file) })
    }
}

/// Counts the bytes that are read.
pub(super) struct Counted<R> {
    pub inner: R,
    pub count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count += read as u64;
        Ok(read)
    }
}

fn element_of(dtype: Dtype) -> Element {
    match dtype {
        Dtype::I8 => Element::Int(1),
        Dtype::I16 => Element::Int(2),
        Dtype::I32 => Element::Int(4),
        Dtype::I64 => Element::Int(8),
        Dtype::U8 => Element::Uint(1),
        Dtype::U16 => Element::Uint(2),
        Dtype::U32 => Element::Uint(4),
        Dtype::U64 => Element::Uint(8),
        Dtype::F16 => Element::Float(2),
        Dtype::F32 => Element::Float(4),
        Dtype::F64 => Element::Float(8),
        Dtype::BF16 => Element::Bfloat16,
        other => Element::Other(format!("dtype {other:?}")),
    }
}
