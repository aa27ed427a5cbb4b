//! MNIST as IDX files, plain or gzip (LeCun, Cortes, Burges; also anything in the same form, such as
//! Fashion-MNIST).
//!
//! IDX, all integers big-endian: magic `00 00 08 D` (08 = unsigned byte, D = number of dimensions), D sizes of
//! four bytes, then the bytes, last dimension fastest. Images are `[N, 28, 28]`, labels `[N]`.

use super::listed::{Listed, Source};
use super::{DatasetKind, Split, locate};
use crate::error::{Error, Result};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// Side of an image, pixels.
const SIDE: usize = 28;
const CLASSES: usize = 10;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Lists one split of the official files, in `dir`, `dir/mnist`, `dir/MNIST/raw` or `dir/raw`.
pub(super) fn list(dir: &Path, split: Split) -> Result<Listed> {
    let stem = match split {
        Split::Train => "train",
        Split::Test => "t10k",
    };
    let image_name = format!("{stem}-images-idx3-ubyte");
    let label_name = format!("{stem}-labels-idx1-ubyte");
    let probes = [image_name.as_str(), &format!("{image_name}.gz")];
    let folder = locate(DatasetKind::Mnist, dir, &["mnist", "MNIST/raw", "raw"], &probes)?;
    let image_path = plain_or_gz(&folder, &image_name);
    let label_path = plain_or_gz(&folder, &label_name);
    let open = |path: &Path| File::open(path).map(BufReader::new).map_err(Error::read(path));
    read_pair(&image_path, open(&image_path)?, &label_path, open(&label_path)?)
}

/// Reads a file of images and the file of their labels. A path that ends in `.gz` says that its reader gives
/// gzip data; the paths are otherwise only named in errors.
pub(super) fn read_pair(
    image_path: &Path,
    images: impl Read,
    label_path: &Path,
    labels: impl Read,
) -> Result<Listed> {
    let (count, pixels) = read_idx(image_path, images, &[SIDE, SIDE])?;
    let (label_count, labels) = read_idx(label_path, labels, &[])?;
    if label_count != count {
        let expected = format!("{count} labels, as many as images in {}", image_path.display());
        return Err(Error::input(label_path, "byte 4, number of items", expected, label_count));
    }
    if let Some(index) = labels.iter().position(|&label| usize::from(label) >= CLASSES) {
        return Err(Error::input(label_path, format_args!("label {index}"), "0 to 9", labels[index]));
    }
    let labels = labels.into_iter().map(u16::from).collect();
    let classes = (0..CLASSES).map(|digit| digit.to_string()).collect();
    let source = Source::Memory { shape: [1, SIDE, SIDE], pixels };
    Ok(Listed { labels, classes, source, root: image_path.to_owned(), notes: Vec::new() })
}

fn plain_or_gz(folder: &Path, name: &str) -> PathBuf {
    let plain = folder.join(name);
    let gz = folder.join(format!("{name}.gz"));
    if !plain.exists() && gz.exists() { gz } else { plain }
}

/// The number of items and the bytes of an IDX file whose items have the sizes `item`.
fn read_idx(path: &Path, mut reader: impl Read, item: &[usize]) -> Result<(usize, Vec<u8>)> {
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut magic = [0; 2];
        let got = read_up_to(path, &mut reader, &mut magic)?;
        if magic[..got] != GZIP_MAGIC {
            let expected = format!("gzip magic {}", spaced(&GZIP_MAGIC));
            return Err(Error::input(path, "byte 0", expected, spaced(&magic[..got])));
        }
        parse_idx(path, MultiGzDecoder::new(GZIP_MAGIC.as_slice().chain(reader)), item)
    } else {
        parse_idx(path, reader, item)
    }
}

fn parse_idx(path: &Path, mut reader: impl Read, item: &[usize]) -> Result<(usize, Vec<u8>)> {
    let dims = 1 + item.len();
    let mut header = vec![0; 4 + 4 * dims];
    let got = read_up_to(path, &mut reader, &mut header)?;
    let magic = [0, 0, 8, dims as u8];
    if got >= 4 && header[..4] != magic {
        let hint = if header[..2] == GZIP_MAGIC { " (gzip data: its name must end in .gz)" } else { "" };
        let expected = format!("magic {}", spaced(&magic));
        return Err(Error::input(path, "byte 0", expected, spaced(&header[..4]) + hint));
    }
    if got < header.len() {
        let expected = format!("a header of {} bytes", header.len());
        return Err(Error::input(path, "header", expected, format_args!("{got} bytes")));
    }
    let size =
        |dim: usize| header[4 + 4 * dim..8 + 4 * dim].iter().fold(0usize, |v, &b| v << 8 | usize::from(b));
    let count = size(0);
    if count == 0 {
        return Err(Error::input(path, "byte 4, number of items", "at least 1", 0));
    }
    for (dim, &expected) in item.iter().enumerate() {
        let found = size(dim + 1);
        if found != expected {
            let place = format!("byte {}, size of dimension {}", 8 + 4 * dim, dim + 1);
            return Err(Error::input(path, place, expected, found));
        }
    }
    let expected = count * item.iter().product::<usize>();
    // The buffer grows with what is really there, not with what the header claims; one byte more than claimed
    // is asked for to see that the file ends.
    let mut bytes = Vec::new();
    reader.take(expected as u64 + 1).read_to_end(&mut bytes).map_err(|error| broken(path, error))?;
    if bytes.len() != expected {
        let found = if bytes.len() > expected { "more".to_owned() } else { format!("{} bytes", bytes.len()) };
        let expected = format!("{expected} bytes after the header");
        return Err(Error::input(path, format_args!("byte {}", header.len()), expected, found));
    }
    Ok((count, bytes))
}

/// Fills `buffer` as far as the reader goes and says how far that was.
fn read_up_to(path: &Path, reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match reader.read(&mut buffer[done..]) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(broken(path, error)),
        }
    }
    Ok(done)
}

/// A truncated or corrupt gzip stream is a matter of content; anything else is a failing read.
fn broken(path: &Path, error: std::io::Error) -> Error {
    use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match error.kind() {
        InvalidData | InvalidInput | UnexpectedEof => {
            Error::input(path, "gzip stream", "intact data to its end", error)
        }
        _ => Error::read(path)(error),
    }
}

/// Bytes as `1f 8b`, or `nothing`.
fn spaced(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "nothing".to_owned();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
