//! What the data tests share.

use std::fs;
use std::path::{Path, PathBuf};
use synfilter::data::{DatasetKind, Images, Split, load};

/// Writes a file and the folders above it.
pub fn write(path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
    let path = path.as_ref();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// A committed input or expected image, see `tests/golden/images/make.py`.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/images").join(name)
}

/// The content of a committed image.
pub fn golden_bytes(name: &str) -> Vec<u8> {
    fs::read(golden(name)).unwrap()
}

/// Asserts that loading fails as bad input: exit code 3, one line, naming each of `needles`.
#[track_caller]
pub fn refused(kind: DatasetKind, dir: &Path, split: Split, size: Option<usize>, needles: &[&str]) {
    let error = load(kind, Some(dir), split, size).expect_err(&format!("{needles:?}"));
    let text = error.to_string();
    assert_eq!(error.exit_code(), 3, "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    for needle in needles {
        assert!(text.contains(needle), "{needle:?} not in {text:?}");
    }
}

/// Asserts that a setting is refused as a usage error that names each of `needles`.
#[track_caller]
pub fn usage(result: synfilter::Result<Images>, needles: &[&str]) {
    let error = result.expect_err(&format!("{needles:?}"));
    assert_eq!(error.exit_code(), 2, "{error}");
    for needle in needles {
        assert!(error.to_string().contains(needle), "{needle:?} not in {error}");
    }
}

/// An archive of the real data beside the checkout (or in `SYNFILTER_TEST_DATA`), unpacked into a temporary folder;
/// `None`, and a line that says so, where it isn't there.
pub fn real_data(archive: &str) -> Option<tempfile::TempDir> {
    let folder = std::env::var_os("SYNFILTER_TEST_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let path = folder.join(archive);
    let Ok(file) = fs::File::open(&path) else {
        println!("skipped: {} is not there", path.display());
        return None;
    };
    let reader: Box<dyn std::io::Read> = if archive.ends_with(".gz") {
        Box::new(flate2::read::GzDecoder::new(file))
    } else {
        Box::new(std::io::BufReader::new(file))
    };
    let target = tempfile::tempdir().unwrap();
    tar::Archive::new(reader).unpack(target.path()).unwrap();
    Some(target)
}

/// How many images each class has.
pub fn histogram(images: &Images) -> Vec<usize> {
    let mut counts = vec![0; images.classes.len()];
    for &label in &images.labels {
        counts[usize::from(label)] += 1;
    }
    counts
}
