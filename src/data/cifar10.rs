//! CIFAR-10, binary version (Krizhevsky 2009).
//!
//! `cifar-10-batches-bin/{data_batch_1..5.bin,test_batch.bin,batches.meta.txt}`. A record is 3,073 bytes: the
//! label, then 1,024 bytes each of red, green and blue, row by row, which is `[C, H, W]` already. The official
//! batches have 10,000 records; any number of whole records is accepted, so that subsets can be used.

use super::listed::{Listed, Source};
use super::{DatasetKind, Split, locate};
use crate::error::{Error, Result};
use std::fs;
use std::path::Path;

const SHAPE: [usize; 3] = [3, 32, 32];
const PIXELS: usize = 3 * 32 * 32;
const RECORD: usize = 1 + PIXELS;
const CLASSES: usize = 10;

/// Lists one split of the official files, in `dir`, `dir/cifar-10-batches-bin` or `dir/cifar10` (and the
/// sub-folder `cifar-10-batches-bin` of the latter).
pub(super) fn list(dir: &Path, split: Split) -> Result<Listed> {
    let names: &[&str] = match split {
        Split::Train => &[
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
        ],
        Split::Test => &["test_batch.bin"],
    };
    let subfolders = ["cifar-10-batches-bin", "cifar10", "cifar10/cifar-10-batches-bin"];
    let folder = locate(DatasetKind::Cifar10, dir, &subfolders, &names[..1])?;
    let classes = read_classes(&folder.join("batches.meta.txt"))?;
    let mut pixels = Vec::new();
    let mut labels = Vec::new();
    for name in names {
        read_batch(&folder.join(name), &mut pixels, &mut labels)?;
    }
    let source = Source::Memory { shape: SHAPE, pixels };
    Ok(Listed { labels, classes, source, root: folder, notes: Vec::new() })
}

fn read_classes(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).map_err(Error::read(path))?;
    let classes: Vec<_> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if classes.len() != CLASSES {
        return Err(Error::input(path, "class names", CLASSES, classes.len()));
    }
    Ok(classes)
}

fn read_batch(path: &Path, pixels: &mut Vec<u8>, labels: &mut Vec<u16>) -> Result<()> {
    let bytes = fs::read(path).map_err(Error::read(path))?;
    let (records, rest) = bytes.as_chunks::<RECORD>();
    if records.is_empty() || !rest.is_empty() {
        let expected = format!("whole records of {RECORD} bytes, at least one");
        let found = format!("{} bytes = {} records + {} bytes", bytes.len(), records.len(), rest.len());
        return Err(Error::input(path, "length", expected, found));
    }
    pixels.reserve(records.len() * PIXELS);
    for (index, record) in records.iter().enumerate() {
        if usize::from(record[0]) >= CLASSES {
            let place = format!("record {index} (byte {}), label", index * RECORD);
            return Err(Error::input(path, place, "0 to 9", record[0]));
        }
        labels.push(u16::from(record[0]));
        pixels.extend_from_slice(&record[1..]);
    }
    Ok(())
}
