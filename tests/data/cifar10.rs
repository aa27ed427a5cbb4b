//! CIFAR-10's binary version.

use crate::support::{histogram, real_data, refused, write};
use std::path::Path;
use synfilter::data::{DatasetKind::Cifar10, Split, load};

const META: &str = "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";

/// A batch with the given labels; record r of a batch is filled with `seed + r`, its planes differing by 50.
fn batch(seed: u8, labels: &[u8]) -> Vec<u8> {
    let record = |(r, &label): (usize, &u8)| {
        let value = seed + r as u8;
        [vec![label], vec![value; 1024], vec![value + 50; 1024], vec![value + 100; 1024]].concat()
    };
    labels.iter().enumerate().flat_map(record).collect()
}

fn good(folder: &Path) {
    for i in 1..=5 {
        write(folder.join(format!("data_batch_{i}.bin")), batch(10 * i, &[i, 0]));
    }
    write(folder.join("test_batch.bin"), batch(7, &[9, 8, 7]));
    write(folder.join("batches.meta.txt"), META);
}

#[test]
fn both_splits_are_read_in_file_order() {
    for folder in ["", "cifar-10-batches-bin", "cifar10", "cifar10/cifar-10-batches-bin"] {
        let dir = tempfile::tempdir().unwrap();
        good(&dir.path().join(folder));
        let train = load(Cifar10, Some(dir.path()), Split::Train, None).unwrap();
        assert_eq!(train.labels, [1, 0, 2, 0, 3, 0, 4, 0, 5, 0]);
        assert_eq!((train.shape, train.pixels.len()), ([3, 32, 32], 10 * 3072));
        // Batch 3, record 1: planes of 31, 81, 131.
        let image = train.image(5);
        assert_eq!([image[0], image[1023], image[1024], image[3071]], [31, 31, 81, 131]);
        let test = load(Cifar10, Some(dir.path()), Split::Test, None).unwrap();
        assert_eq!(test.labels, [9, 8, 7]);
        assert_eq!(test.classes[9], "truck");
    }
}

#[test]
fn malformed_files_are_named_with_place_expected_and_found() {
    let whole = batch(7, &[1, 2]);
    let cases: &[(&str, &[u8], &[&str])] = &[
        ("test_batch.bin", &whole[..4000], &["test_batch.bin", "3073", "4000 bytes = 1 records + 927 bytes"]),
        ("test_batch.bin", b"", &["test_batch.bin", "at least one", "0 bytes"]),
        ("test_batch.bin", &batch(7, &[3, 10]), &["record 1 (byte 3073)", "0 to 9", "found 10"]),
        ("batches.meta.txt", b"cat\ndog\n", &["batches.meta.txt", "class names", "expected 10", "found 2"]),
        ("batches.meta.txt", b"\xff\xfe", &["batches.meta.txt", "UTF-8"]),
    ];
    for (name, bytes, needles) in cases {
        let dir = tempfile::tempdir().unwrap();
        good(dir.path());
        write(dir.path().join(name), bytes);
        refused(Cifar10, dir.path(), Split::Test, None, needles);
    }
}

#[test]
fn missing_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let needles = ["test_batch.bin", "cifar-10-batches-bin/", "synfilter data fetch cifar10"];
    refused(Cifar10, dir.path(), Split::Test, None, &needles);
    good(dir.path());
    std::fs::remove_file(dir.path().join("data_batch_4.bin")).unwrap();
    refused(Cifar10, dir.path(), Split::Train, None, &["data_batch_4.bin", "cannot read"]);
    std::fs::remove_file(dir.path().join("batches.meta.txt")).unwrap();
    refused(Cifar10, dir.path(), Split::Test, None, &["batches.meta.txt", "cannot read"]);
}

#[test]
fn the_real_subset_loads() {
    let Some(dir) = real_data("cifar10-subset.tar.gz") else { return };
    let train = load(Cifar10, Some(dir.path()), Split::Train, None).unwrap();
    assert_eq!(histogram(&train), [1000; 10]);
    let test = load(Cifar10, Some(dir.path()), Split::Test, None).unwrap();
    assert_eq!(histogram(&test), [200; 10]);
    assert_eq!(test.classes[..3], ["airplane", "automobile", "bird"]);
    // Photographs: the mean of the test pixels is near the published 0.473 of CIFAR-10.
    let mean = test.pixels.iter().map(|&v| f64::from(v)).sum::<f64>() / test.pixels.len() as f64 / 255.0;
    assert!((mean - 0.473).abs() < 0.01, "{mean}");
}
