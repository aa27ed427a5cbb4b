//! CIFAR-10 and CIFAR-100 (Krizhevsky 2009), binary version or Python version.
//!
//! A record of the binary version is one label (CIFAR-100: two, the coarse one first; the fine one counts here), then
//! 1,024 bytes each of red, green and blue, row by row, which is `[C, H, W]` already. The official batches of CIFAR-10
//! have 10,000 records; any number of whole records is accepted, so that subsets can be used. The files of the Python
//! version are pickles, see `cifar_python.rs`. Where both versions are there, the binary one is read.

use super::cifar_python;
use super::cifar_records::{PIXELS, Records, SHAPE};
use super::listed::{Listed, Source};
use super::reader::{Reader, missing, places};
use super::split::Split;
use crate::error::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// One of the two data sets.
pub(super) struct Cifar {
    name: &'static str,
    classes: usize,
    /// Labels of a record; the last one counts.
    labels: usize,
    binary: Files,
    python: Files,
    /// What the Python version calls the labels and their names.
    keys: cifar_python::Keys,
    mean: &'static [f32],
    std: &'static [f32],
    fetched: bool,
}

/// The files of a version.
struct Files {
    folders: &'static [&'static str],
    train: &'static [&'static str],
    test: &'static [&'static str],
    /// The file with the names of the classes.
    names: &'static str,
}

/// CIFAR-10.
pub(super) static CIFAR10: Cifar = Cifar {
    name: "cifar10",
    classes: 10,
    labels: 1,
    binary: Files {
        folders: &["cifar-10-batches-bin", "cifar10", "cifar10/cifar-10-batches-bin"],
        train: &[
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
        ],
        test: &["test_batch.bin"],
        names: "batches.meta.txt",
    },
    python: Files {
        folders: &["cifar-10-batches-py", "cifar10", "cifar10/cifar-10-batches-py"],
        train: &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"],
        test: &["test_batch"],
        names: "batches.meta",
    },
    keys: cifar_python::Keys { labels: "labels", names: "label_names" },
    mean: &[0.5],
    std: &[0.5],
    fetched: true,
};

/// CIFAR-100 with its 100 fine labels.
pub(super) static CIFAR100: Cifar = Cifar {
    name: "cifar100",
    classes: 100,
    labels: 2,
    binary: Files {
        folders: &["cifar-100-binary", "cifar100", "cifar100/cifar-100-binary"],
        train: &["train.bin"],
        test: &["test.bin"],
        names: "fine_label_names.txt",
    },
    python: Files {
        folders: &["cifar-100-python", "cifar100", "cifar100/cifar-100-python"],
        train: &["train"],
        test: &["test"],
        names: "meta",
    },
    keys: cifar_python::Keys { labels: "fine_labels", names: "fine_label_names" },
    mean: &[0.5071, 0.4867, 0.4408],
    std: &[0.2675, 0.2565, 0.2761],
    fetched: false,
};

impl Files {
    fn of(&self, split: Split) -> &'static [&'static str] {
        match split {
            Split::Train => self.train,
            Split::Test => self.test,
        }
    }

    /// The folder with the first file of a split.
    fn find(&self, dir: &Path, split: Split) -> Option<PathBuf> {
        let first = self.of(split).first()?;
        // Class folders may be called `train` and `test`: only files count, beside which the names of the classes lie
        // if their own names say little.
        places(dir, self.folders).find(|folder| folder.join(first).is_file())
    }
}

impl Reader for Cifar {
    fn name(&self) -> &'static str {
        self.name
    }

    fn mean_std(&self) -> (&'static [f32], &'static [f32]) {
        (self.mean, self.std)
    }

    fn is_in(&self, dir: &Path) -> bool {
        [&self.binary, &self.python].into_iter().any(|files| {
            [Split::Train, Split::Test].into_iter().any(|split| {
                // `train.bin` and `test` alone say little.
                files.find(dir, split).is_some_and(|folder| folder.join(files.names).is_file())
            })
        })
    }

    fn list(&self, dir: &Path, split: Split) -> Result<Listed> {
        let mut records = Records::default();
        let (root, classes) = if let Some(folder) = self.binary.find(dir, split) {
            let classes = self.read_names(&folder.join(self.binary.names))?;
            for name in self.binary.of(split) {
                self.read_batch(&folder.join(name), &mut records)?;
            }
            (folder, classes)
        } else if let Some(folder) = self.python.find(dir, split) {
            let classes =
                cifar_python::read_names(&folder.join(self.python.names), &self.keys, self.classes)?;
            for name in self.python.of(split) {
                cifar_python::read_batch(&folder.join(name), &self.keys, self.classes, &mut records)?;
            }
            (folder, classes)
        } else {
            let files = [self.binary.of(split), self.python.of(split)].map(|names| names.first().copied());
            let files: Vec<_> = files.into_iter().flatten().collect();
            let mut folders = self.binary.folders.to_vec();
            folders.extend(self.python.folders.iter().filter(|name| !self.binary.folders.contains(name)));
            return Err(missing(self.name, dir, &folders, &files, self.fetched));
        };
        let source = Source::Memory { shape: SHAPE, pixels: records.pixels };
        Ok(Listed {
            labels: records.labels,
            classes,
            source,
            root,
            notes: Vec::new(),
            counted_by: String::new(),
        })
    }
}

impl Cifar {
    fn read_names(&self, path: &Path) -> Result<Vec<String>> {
        let text = fs::read_to_string(path).map_err(Error::read(path))?;
        let classes: Vec<_> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        if classes.len() != self.classes {
            return Err(Error::input(path, "class names", self.classes, classes.len()));
        }
        Ok(classes)
    }

    fn read_batch(&self, path: &Path, into: &mut Records) -> Result<()> {
        let bytes = fs::read(path).map_err(Error::read(path))?;
        let record = self.labels + PIXELS;
        let (records, rest) = (bytes.len() / record, bytes.len() % record);
        if records == 0 || rest != 0 {
            let expected = format!("whole records of {record} bytes, at least one");
            let found = format!("{} bytes = {records} records + {rest} bytes", bytes.len());
            return Err(Error::input(path, "length", expected, found));
        }
        into.pixels.reserve(records * PIXELS);
        for (index, bytes) in bytes.chunks_exact(record).enumerate() {
            let (labels, pixels) = bytes.split_at(self.labels);
            let label = labels.last().copied().unwrap_or_default();
            if usize::from(label) >= self.classes {
                let place = format!("record {index} (byte {}), label", index * record);
                return Err(Error::input(path, place, format_args!("0 to {}", self.classes - 1), label));
            }
            into.labels.push(u16::from(label));
            into.pixels.extend_from_slice(pixels);
        }
        Ok(())
    }
}
