//! A decoded split beside the files that it came from, so that a second start needs no decoding.
//!
//! The cache is only a copy: it is used when its fingerprint is that of the present files (names, sizes, times of
//! change, class names) and every image that is read has the check value that stands for it; otherwise, and when it can't
//! be written, the files themselves are decoded. It is written to a temporary name and renamed, so that two processes may
//! do it at once and a killed one leaves no half. Of a part of the images only that part is read.
//!
//! Layout, little-endian: magic `synfcach` and version (8 + 4 bytes), fingerprint (32), channels, height, width
//! (3 × u32), count (u64), check values (count × 8: the first bytes of the SHA-256 of shape, position and pixels of an
//! image), pixels.

use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// The version goes up with every change of a decoder's pixels: 2 since JPEG's are Pillow's.
const MAGIC: &[u8; 12] = b"synfcach\x02\0\0\0";
const HEADER: usize = 12 + 32 + 12 + 8;
const CHECK: usize = 8;

/// The cache of a split.
pub(super) struct Cache {
    path: PathBuf,
    /// What the cached pixels were made of; an error where files cannot be looked at, which decoding then reports in full.
    fingerprint: io::Result<[u8; 32]>,
    count: usize,
}

impl Cache {
    /// The cache at `path` of files with these labels and class names.
    pub fn of(path: PathBuf, files: &[PathBuf], labels: &[u16], classes: &[String]) -> Cache {
        Cache { path, fingerprint: fingerprint(files, labels, classes), count: files.len() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Channels, height and width, and the pixels of the images at the positions `chosen`, if the cache is made of the
    /// present files and holds them undamaged.
    pub fn read(&self, chosen: &[usize]) -> Option<([usize; 3], Vec<u8>)> {
        let mut file = File::open(&self.path).ok()?;
        let length = usize::try_from(file.metadata().ok()?.len()).ok()?;
        let mut header = [0; HEADER];
        file.read_exact(&mut header).ok()?;
        let (magic, rest) = header.split_at(12);
        let (print, rest) = rest.split_at(32);
        let (shape, count) = rest.split_at(12);
        if magic != MAGIC || print != self.fingerprint.as_ref().ok()? {
            return None;
        }
        let side = |i: usize| u32::from_le_bytes(shape.as_chunks().0[i]) as usize;
        let shape = [side(0), side(1), side(2)];
        let size = shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side))?;
        let count = usize::try_from(u64::from_le_bytes(count.as_chunks().0[0])).ok()?;
        // The length is checked before anything of that length is allocated.
        let expected = count.checked_mul(size.checked_add(CHECK)?)?.checked_add(HEADER)?;
        if count != self.count || expected != length || size == 0 {
            return None;
        }
        let mut checks = vec![0; CHECK * count];
        file.read_exact(&mut checks).ok()?;
        let checks: &[[u8; CHECK]] = checks.as_chunks().0;
        let mut pixels = vec![0; chosen.len() * size];
        let mut next = 0;
        for (planes, &at) in pixels.chunks_exact_mut(size).zip(chosen) {
            if at != next {
                file.seek(SeekFrom::Start((HEADER + CHECK * count + at * size) as u64)).ok()?;
            }
            file.read_exact(planes).ok()?;
            if check(shape, at, planes) != *checks.get(at)? {
                return None;
            }
            next = at + 1;
        }
        Some((shape, pixels))
    }

    /// Writes all images of the split, whole or not at all.
    pub fn write(&self, shape: [usize; 3], pixels: &[u8]) -> io::Result<()> {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = self.path.with_file_name(name);
        let done = self.write_to(&temporary, shape, pixels).and_then(|()| fs::rename(&temporary, &self.path));
        if done.is_err() {
            // It may never have come to be; then there is nothing to remove.
            let _ = fs::remove_file(&temporary);
        }
        done
    }

    fn write_to(&self, path: &Path, shape: [usize; 3], pixels: &[u8]) -> io::Result<()> {
        let fingerprint = self.fingerprint.as_ref().map_err(|error| io::Error::other(error.to_string()))?;
        let mut file = File::create(path)?;
        let mut head = Vec::with_capacity(HEADER + CHECK * self.count);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(fingerprint);
        for side in shape {
            head.extend_from_slice(&u32::try_from(side).map_err(io::Error::other)?.to_le_bytes());
        }
        head.extend_from_slice(&(self.count as u64).to_le_bytes());
        let images = pixels.chunks_exact(shape.iter().product());
        head.extend(images.enumerate().flat_map(|(at, planes)| check(shape, at, planes)));
        file.write_all(&head)?;
        file.write_all(pixels)?;
        file.sync_all()
    }
}

/// The check value of an image.
fn check(shape: [usize; 3], at: usize, planes: &[u8]) -> [u8; CHECK] {
    let mut hash = Sha256::new();
    for value in shape.into_iter().chain([at]) {
        hash.update((value as u64).to_le_bytes());
    }
    hash.update(planes);
    let mut check = [0; CHECK];
    check.copy_from_slice(&hash.finalize()[..CHECK]);
    check
}

/// The fingerprint of a list of files and class names.
fn fingerprint(files: &[PathBuf], labels: &[u16], classes: &[String]) -> io::Result<[u8; 32]> {
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
