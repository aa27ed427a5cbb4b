//! The two kinds of files that hold named arrays: `.npz`, a zip of `.npy` files, stored or deflated; and safetensors.

use super::npy::{self, Array, Element, Spec};
use crate::error::{Error, Result};
use safetensors::{Dtype, SafeTensors};
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use zip::ZipArchive;

/// An open file and what it holds.
pub(super) struct Container {
    path: PathBuf,
    specs: Vec<Spec>,
    content: Content,
}

enum Content {
    /// With the position of each array in the zip.
    Npz(ZipArchive<BufReader<File>>, Vec<usize>),
    Safetensors(Vec<u8>),
}

impl Container {
    /// Opens a file; which of the two it is, is told by its first bytes.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(Error::read(path))?;
        let mut magic = Vec::new();
        file.by_ref().take(6).read_to_end(&mut magic).map_err(Error::read(path))?;
        if magic.starts_with(b"PK\x03\x04") {
            Self::open_npz(path)
        } else if magic == b"\x93NUMPY" {
            let expected = "a .npz file with images and labels (numpy.savez), or safetensors";
            Err(Error::input(path, "byte 0", expected, "a single NumPy array"))
        } else {
            Self::open_safetensors(path)
        }
    }

    /// What is known of each array before its elements are read.
    pub(super) fn specs(&self) -> &[Spec] {
        &self.specs
    }

    /// Reads the array at a position of [`Container::specs`].
    pub(super) fn read(&mut self, index: usize) -> Result<Array> {
        let Some(spec) = self.specs.get(index).cloned() else {
            return Err(Error::Failed(format!("{}: no array {index}", self.path.display())));
        };
        let fault = |expected: &dyn std::fmt::Display, found: &dyn std::fmt::Display| {
            Error::input(&self.path, format_args!("array `{}`", spec.name.escape_debug()), expected, found)
        };
        if spec.element == Element::Object {
            let expected = "plain numbers or text (an array of Python objects is pickled, and is not read)";
            return Err(fault(&expected, &spec.describe()));
        }
        let Some(size) = spec.bytes() else {
            return Err(fault(&"an array of plain numbers or text", &spec.describe()));
        };
        let bytes = match &mut self.content {
            Content::Npz(zip, places) => {
                let place = places.get(index).copied().unwrap_or(usize::MAX);
                let mut entry = zip.by_index(place).map_err(|error| fault(&"an intact zip entry", &error))?;
                npy::header(&spec.name, &mut entry).map_err(|(expected, found)| fault(&expected, &found))?;
                // Grows with what is there, not with what the header claims.
                let mut bytes = Vec::new();
                let limit = (size as u64).saturating_add(1);
                entry
                    .take(limit)
                    .read_to_end(&mut bytes)
                    .map_err(|error| fault(&"intact data to its end", &error))?;
                bytes
            }
            Content::Safetensors(file) => {
                let tensors =
                    SafeTensors::deserialize(file).map_err(|error| fault(&"safetensors", &error))?;
                let tensor = tensors.tensor(&spec.name).map_err(|error| fault(&"a tensor", &error))?;
                tensor.data().to_vec()
            }
        };
        if bytes.len() != size {
            let found = if bytes.len() > size { "more".to_owned() } else { bytes.len().to_string() };
            return Err(fault(&format_args!("{size} bytes, as {} has", spec.describe()), &found));
        }
        Ok(Array { spec, bytes })
    }

    fn open_npz(path: &Path) -> Result<Self> {
        let broken =
            |error: &dyn std::fmt::Display| Error::input(path, "zip archive", "an intact .npz file", error);
        let file = File::open(path).map_err(Error::read(path))?;
        let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|error| broken(&error))?;
        let (mut specs, mut places) = (Vec::new(), Vec::new());
        for place in 0..zip.len() {
            let mut entry = zip.by_index(place).map_err(|error| broken(&error))?;
            let name = entry.name().map_err(|error| broken(&error))?.into_owned();
            let Some(name) = name.strip_suffix(".npy") else { continue };
            let spec = npy::header(name, &mut entry).map_err(|(expected, found)| {
                Error::input(path, format_args!("array `{}`", name.escape_debug()), expected, found)
            })?;
            specs.push(spec);
            places.push(place);
        }
        Ok(Container { path: path.to_owned(), specs, content: Content::Npz(zip, places) })
    }

    fn open_safetensors(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(Error::read(path))?;
        let tensors = SafeTensors::deserialize(&bytes)
            .map_err(|error| Error::input(path, "byte 0", "a .npz file or safetensors", error))?;
        let mut specs: Vec<_> = tensors
            .iter()
            .map(|(name, tensor)| Spec {
                name: name.to_owned(),
                element: element_of(tensor.dtype()),
                big_endian: false,
                shape: tensor.shape().to_vec(),
                fortran: false,
            })
            .collect();
        specs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Container { path: path.to_owned(), specs, content: Content::Safetensors(bytes) })
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
