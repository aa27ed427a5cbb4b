//! IDX files.

use crate::support::{refused, usage, write};
use flate2::{Compression, write::GzEncoder};
use std::fs;
use std::io::Write;
use std::path::Path;
use synfilter::data::{DatasetKind::Mnist, Split, load};

const IMAGES: &str = "t10k-images-idx3-ubyte";
const LABELS: &str = "t10k-labels-idx1-ubyte";

/// An IDX file: magic, sizes, bytes.
fn idx(magic: [u8; 4], sizes: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = magic.to_vec();
    sizes.iter().for_each(|size| file.extend(size.to_be_bytes()));
    file.extend(bytes);
    file
}

fn pixels(count: usize) -> Vec<u8> {
    (0..count * 784).map(|i| (i * 7 % 251) as u8).collect()
}

fn images(count: usize) -> Vec<u8> {
    idx([0, 0, 8, 3], &[count as u32, 28, 28], &pixels(count))
}

fn labels(labels: &[u8]) -> Vec<u8> {
    idx([0, 0, 8, 1], &[labels.len() as u32], labels)
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn plain_and_gzip_files_are_read_from_every_usual_folder() {
    let mut digests = Vec::new();
    for (folder, image_gz, label_gz) in
        [("", false, false), ("mnist", true, true), ("MNIST/raw", true, false), ("raw", false, true)]
    {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str, packed: bool, bytes: Vec<u8>| match packed {
            true => write(dir.path().join(folder).join(format!("{name}.gz")), gz(&bytes)),
            false => write(dir.path().join(folder).join(name), bytes),
        };
        place(IMAGES, image_gz, images(3));
        place(LABELS, label_gz, labels(&[9, 0, 4]));
        let set = load(Mnist, Some(dir.path()), Split::Test, None).unwrap();
        assert_eq!(set.shape, [1, 28, 28]);
        assert_eq!(set.labels, [9, 0, 4]);
        assert_eq!(set.pixels, pixels(3));
        assert_eq!(set.image(1), &pixels(3)[784..1568]);
        assert_eq!(set.classes, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
        digests.push(set.digest);
    }
    assert!(digests.iter().all(|digest| *digest == digests[0] && digest.len() == 64));
}

#[test]
fn malformed_files_are_named_with_place_expected_and_found() {
    let good_images = images(3);
    let good_labels = labels(&[1, 2, 3]);
    let flat = idx([0, 0, 8, 3], &[3, 28, 0], &[]);
    let vast = idx([0, 0, 8, 3], &[3, u32::MAX, u32::MAX], &pixels(3));
    let float = idx([0, 0, 13, 3], &[3, 28, 28], &pixels(3));
    let huge = idx([0, 0, 8, 3], &[u32::MAX, 28, 28], &pixels(3));
    let longer = [good_images.as_slice(), b"x"].concat();
    let packed = gz(&good_images);
    let mut flipped = packed.clone();
    let last = flipped.len() - 6; // within the gzip trailer's CRC
    flipped[last] ^= 1;
    // File that replaces the good one, its content, what the message names.
    let cases: &[(&str, &[u8], &[&str])] = &[
        (IMAGES, b"", &[IMAGES, "header", "16 bytes", "0 bytes"]),
        (IMAGES, &good_images[..10], &[IMAGES, "16 bytes", "10 bytes"]),
        (IMAGES, &good_images[..1000], &[IMAGES, "byte 16", "2352 bytes", "984 bytes"]),
        (IMAGES, &longer, &[IMAGES, "2352 bytes", "more"]),
        (IMAGES, &huge, &[IMAGES, "found 2352 bytes"]),
        (IMAGES, &good_labels, &[IMAGES, "00 00 08 03", "00 00 08 01"]),
        (IMAGES, &float, &[IMAGES, "byte 0", "00 00 08 03", "00 00 0d 03"]),
        (IMAGES, &packed[..packed.len() / 2], &[IMAGES, "gzip stream"]),
        (IMAGES, &flat, &[IMAGES, "byte 12", "expected 1 to 4096", "found 0"]),
        (IMAGES, &vast, &[IMAGES, "byte 8", "expected 1 to 4096", "found 4294967295"]),
        (IMAGES, &images(0), &[IMAGES, "byte 4", "at least 1"]),
        (LABELS, &good_images, &[LABELS, "00 00 08 01", "00 00 08 03"]),
        (LABELS, &labels(&[1, 2]), &[LABELS, "3 labels", IMAGES, "found 2"]),
        (LABELS, &labels(&[1, 2, 3, 4]), &[LABELS, "3 labels", "found 4"]),
        (LABELS, &labels(&[1, 10, 3]), &[LABELS, "label 1", "0 to 9", "found 10"]),
        (LABELS, &good_labels[..9], &[LABELS, "byte 8", "3 bytes", "1 bytes"]),
    ];
    for (name, bytes, needles) in cases {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path().join(IMAGES), &good_images);
        write(dir.path().join(LABELS), &good_labels);
        write(dir.path().join(name), bytes);
        refused(Mnist, dir.path(), Split::Test, None, needles);
    }
    let gz_cases: &[(&[u8], &[&str])] = &[
        (
            b"<html>",
            &["t10k-images-idx3-ubyte.gz", "byte 0", "00 00 08 03", "gzip's, 1f 8b", "found 3c 68 74 6d"],
        ),
        (b"", &["header", "found 0 bytes"]),
        (&packed[..packed.len() / 2], &["gzip stream"]),
        (&packed[..12], &["gzip stream"]),
        (&flipped, &["gzip stream"]),
        (&gz(&good_labels), &["00 00 08 03", "00 00 08 01"]),
    ];
    for (bytes, needles) in gz_cases {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path().join(format!("{IMAGES}.gz")), bytes);
        write(dir.path().join(LABELS), &good_labels);
        refused(Mnist, dir.path(), Split::Test, None, needles);
    }
}

#[test]
fn what_is_missing_is_named_with_the_way_to_get_it() {
    let dir = tempfile::tempdir().unwrap();
    let needles = ["train-images-idx3-ubyte", "MNIST/raw/", "synfilter data fetch mnist", "none of them"];
    refused(Mnist, dir.path(), Split::Train, None, &needles);
    refused(Mnist, &dir.path().join("nowhere"), Split::Train, None, &["nowhere", "no such folder"]);
    write(dir.path().join(IMAGES), images(1));
    refused(Mnist, dir.path(), Split::Test, None, &[LABELS, "cannot read"]);
    fs::create_dir(dir.path().join(LABELS)).unwrap();
    refused(Mnist, dir.path(), Split::Test, None, &[LABELS, "cannot read"]);
}

#[test]
fn settings_that_cannot_be_are_usage_errors() {
    usage(load(Mnist, None, Split::Test, None), &["mnist", "--data-dir"]);
    usage(load(Mnist, Some(Path::new(".")), Split::Test, Some(5000)), &["--image-size 5000", "1 to 4096"]);
}
