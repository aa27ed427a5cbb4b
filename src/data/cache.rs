//! A decoded split beside the files that it came from, so that a second start needs no decoding.
//!
//! The cache is only a copy: it is used when its fingerprint is that of the present files (names, sizes, times of
//! change, class names) and the digest of its content is the one in its header; otherwise, and when it can't be
//! written, the files themselves are decoded. It is written to a temporary name and renamed, so that two processes
//! may do it at once and a killed one leaves no half.
//!
//! Layout, little-endian: magic `synfcach` and version (8 + 4 bytes; one up with every change of a decoder's pixels: 2
//! since JPEG's are Pillow's), fingerprint (32), channels, height, width
//! (3 × u32), count (u64), digest (32), labels (count × u16), pixels.

use super::{Images, hex};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

const MAGIC: &[u8; 12] = b"synfcach\x02\0\0\0";
const HEADER: usize = 12 + 32 + 12 + 8 + 32;

/// What the cached pixels were made of.
pub(super) type Fingerprint = [u8; 32];

/// The fingerprint of a list of files and class names; files that can't be looked at make it fail, which the
/// decoding then reports in full.
pub(super) fn fingerprint(files: &[PathBuf], labels: &[u16], classes: &[String]) -> io::Result<Fingerprint> {
    let mut hash = Sha256::new();
    for class in classes {
        hash.update((class.len() as u64).to_le_bytes());
        hash.update(class.as_bytes());
    }
    for (path, label) in files.iter().zip(labels) {
        let meta = fs::metadata(path)?;
        let changed = meta.modified()?.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
        // Only the file's own name: a moved or differently mounted data folder keeps its cache.
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update(label.to_le_bytes());
        hash.update(meta.len().to_le_bytes());
        hash.update(changed.to_le_bytes());
    }
    Ok(hash.finalize().into())
}

/// The cached split, if `path` holds one that is whole and made of the present files.
pub(super) fn read(path: &Path, fingerprint: &Fingerprint, classes: &[String]) -> Option<Images> {
    let mut file = File::open(path).ok()?;
    let length = usize::try_from(file.metadata().ok()?.len()).ok()?;
    let mut header = [0; HEADER];
    file.read_exact(&mut header).ok()?;
    let (magic, rest) = header.split_at(12);
    let (print, rest) = rest.split_at(32);
    let (shape, rest) = rest.split_at(12);
    let (count, digest) = rest.split_at(8);
    if magic != MAGIC || print != fingerprint {
        return None;
    }
    let side = |i: usize| u32::from_le_bytes(shape.as_chunks().0[i]) as usize;
    let shape = [side(0), side(1), side(2)];
    let count = usize::try_from(u64::from_le_bytes(count.as_chunks().0[0])).ok()?;
    let size = shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side))?;
    // The length is checked before anything of that length is allocated.
    if count.checked_mul(size.checked_add(2)?)?.checked_add(HEADER)? != length {
        return None;
    }
    let mut label_bytes = vec![0; 2 * count];
    file.read_exact(&mut label_bytes).ok()?;
    let labels: Vec<_> = label_bytes.as_chunks().0.iter().map(|&bytes| u16::from_le_bytes(bytes)).collect();
    if labels.iter().any(|&label| usize::from(label) >= classes.len()) {
        return None;
    }
    let mut pixels = vec![0; count * size];
    file.read_exact(&mut pixels).ok()?;
    let images = Images::new(shape, pixels, labels, classes.to_vec());
    (images.digest == hex(digest)).then_some(images)
}

/// Writes a split, whole or not at all.
pub(super) fn write(path: &Path, fingerprint: &Fingerprint, images: &Images) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let done = write_to(&temporary, fingerprint, images).and_then(|()| fs::rename(&temporary, path));
    if done.is_err() {
        // It may never have come to be; then there is nothing to remove.
        let _ = fs::remove_file(&temporary);
    }
    done
}

fn write_to(path: &Path, fingerprint: &Fingerprint, images: &Images) -> io::Result<()> {
    let mut file = File::create(path)?;
    let mut head = Vec::with_capacity(HEADER + 2 * images.len());
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(fingerprint);
    for side in images.shape {
        head.extend_from_slice(&u32::try_from(side).map_err(io::Error::other)?.to_le_bytes());
    }
    head.extend_from_slice(&(images.len() as u64).to_le_bytes());
    let digits = images.digest.as_bytes().as_chunks::<2>().0;
    head.extend(digits.iter().map(|&[high, low]| nibble(high) << 4 | nibble(low)));
    for label in &images.labels {
        head.extend_from_slice(&label.to_le_bytes());
    }
    file.write_all(&head)?;
    file.write_all(&images.pixels)?;
    file.sync_all()
}

/// The value of a lower-case hexadecimal digit.
fn nibble(digit: u8) -> u8 {
    if digit.is_ascii_digit() { digit - b'0' } else { digit - b'a' + 10 }
}
