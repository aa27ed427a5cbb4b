//! The IDX format of MNIST's files, plain or gzip, as their first bytes tell.
//!
//! All integers big-endian: magic `00 00 08 D` (08 = unsigned byte, D = number of dimensions), D sizes of four bytes,
//! then the bytes, last dimension fastest.

use crate::error::{Error, Result};
use flate2::read::MultiGzDecoder;
use std::io::{ErrorKind, Read};
use std::path::Path;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Largest side of an image.
const MAX_SIDE: usize = 4096;

/// The images of a file, `[N, height, width]`.
pub(super) struct Pictures {
    /// How many, at least 1.
    pub count: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// The bytes of all.
    pub pixels: Vec<u8>,
}

/// Reads a file of images. The path is only named in errors.
pub(super) fn read_images(path: &Path, reader: impl Read) -> Result<Pictures> {
    let ([count, height, width], pixels) = read(path, reader)?;
    Ok(Pictures { count, height, width, pixels })
}

/// Reads a file of labels, one byte each. The path is only named in errors.
pub(super) fn read_labels(path: &Path, reader: impl Read) -> Result<Vec<u8>> {
    let ([_], labels) = read(path, reader)?;
    Ok(labels)
}

/// The sizes and the bytes of a file of `D` dimensions.
fn read<const D: usize>(path: &Path, mut reader: impl Read) -> Result<([usize; D], Vec<u8>)> {
    let mut magic = [0; 2];
    let got = read_up_to(path, &mut reader, &mut magic)?;
    let whole = magic[..got].chain(reader);
    if magic == GZIP_MAGIC { parse(path, MultiGzDecoder::new(whole)) } else { parse(path, whole) }
}

fn parse<const D: usize>(path: &Path, mut reader: impl Read) -> Result<([usize; D], Vec<u8>)> {
    let mut magic = [0; 4];
    let wanted = [0, 0, 8, D as u8];
    let header = 4 + 4 * D;
    let short = |got: usize| {
        Error::input(path, "header", format_args!("a header of {header} bytes"), format_args!("{got} bytes"))
    };
    let got = read_up_to(path, &mut reader, &mut magic)?;
    if got < magic.len() {
        return Err(short(got));
    }
    if magic != wanted {
        let expected = format!("magic {} (or gzip's, {})", spaced(&wanted), spaced(&GZIP_MAGIC));
        return Err(Error::input(path, "byte 0", expected, spaced(&magic)));
    }
    let mut sizes = [0; D];
    let mut total = Some(1usize);
    for (dim, size) in sizes.iter_mut().enumerate() {
        let mut bytes = [0; 4];
        let got = read_up_to(path, &mut reader, &mut bytes)?;
        if got < bytes.len() {
            return Err(short(4 + 4 * dim + got));
        }
        let found = u32::from_be_bytes(bytes) as usize;
        let most = if dim == 0 { usize::MAX } else { MAX_SIDE };
        if !(1..=most).contains(&found) {
            let place = match dim {
                0 => "byte 4, number of items".to_owned(),
                _ => format!("byte {}, size of dimension {dim}", 4 + 4 * dim),
            };
            let expected = if dim == 0 { "at least 1".to_owned() } else { format!("1 to {MAX_SIDE}") };
            return Err(Error::input(path, place, expected, found));
        }
        *size = found;
        total = total.and_then(|total| total.checked_mul(found));
    }
    // The buffer grows with what is really there, not with what the header claims; one byte more than claimed
    // is asked for to see that the file ends.
    let total = total.unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    let limit = (total as u64).saturating_add(1);
    reader.take(limit).read_to_end(&mut bytes).map_err(|error| broken(path, error))?;
    if bytes.len() != total {
        let found = if bytes.len() > total { "more".to_owned() } else { format!("{} bytes", bytes.len()) };
        let expected = format!("{total} bytes after the header");
        return Err(Error::input(path, format_args!("byte {header}"), expected, found));
    }
    Ok((sizes, bytes))
}

/// Fills `buffer` as far as the reader goes and says how far that was.
fn read_up_to(path: &Path, reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match reader.read(&mut buffer[done..]) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(broken(path, error)),
        }
    }
    Ok(done)
}

/// A truncated or corrupt gzip stream is a matter of content; anything else is a failing read.
fn broken(path: &Path, error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof => {
            Error::input(path, "gzip stream", "intact data to its end", error)
        }
        _ => Error::read(path)(error),
    }
}

/// Bytes as `1f 8b`.
fn spaced(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
