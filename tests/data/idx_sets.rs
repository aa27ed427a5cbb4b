//! The sets in MNIST's form, and the names under which their files lie about.

use crate::support::{refused, write};
use flate2::{Compression, write::GzEncoder};
use std::io::Write;
use synfilter::data::{DatasetKind, Images, Request, Split, load, open};

fn images(count: u32, height: u32, width: u32) -> Vec<u8> {
    let sizes = [count, height, width].map(u32::to_be_bytes).concat();
    let pixels = (0..count * height * width).map(|i| (i * 7 % 251) as u8);
    [0, 0, 8, 3].into_iter().chain(sizes).chain(pixels).collect()
}

fn labels_file(labels: &[u8]) -> Vec<u8> {
    [&[0, 0, 8, 1][..], &(labels.len() as u32).to_be_bytes(), labels].concat()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Writes files of these names and reads them.
fn with(
    kind: DatasetKind,
    split: Split,
    names: [&str; 2],
    packed: bool,
    given: &[u8],
) -> synfilter::Result<Images> {
    let dir = tempfile::tempdir().unwrap();
    let pack = |bytes: Vec<u8>| if packed { gz(&bytes) } else { bytes };
    write(dir.path().join(names[0]), pack(images(given.len() as u32, 28, 28)));
    write(dir.path().join(names[1]), pack(labels_file(given)));
    load(kind, Some(dir.path()), split, None)
}

#[test]
fn official_files_of_another_set_with_the_same_names_are_refused() {
    let mnist = [7, 2, 1, 0, 4, 1, 4, 9, 5, 9, 0, 6, 9];
    let fashion = [9, 2, 1, 1, 6, 1, 4, 6, 5, 7, 4];
    let names = ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];
    for (asked, there, labels) in [
        (DatasetKind::FashionMnist, "mnist", &mnist[..]),
        (DatasetKind::Kmnist, "fashion-mnist", &fashion),
        (DatasetKind::Mnist, "fashion-mnist", &fashion),
    ] {
        let error = with(asked, Split::Test, names, false, labels).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.exit_code(), 3);
        let expected = format!("expected labels of {asked}, found those of {there} (--dataset {there})");
        assert!(text.ends_with(&expected) && text.contains("t10k-labels"), "{text}");
    }
    assert!(with(DatasetKind::Mnist, Split::Test, names, false, &mnist).is_ok());
    // A part of a set, and one that a folder's name speaks of.
    assert!(with(DatasetKind::FashionMnist, Split::Test, names, false, &mnist[..9]).is_ok());
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("FashionMNIST/raw");
    write(folder.join(names[0]), images(2, 28, 28));
    write(folder.join(names[1]), labels_file(&[3, 9]));
    let request = Request::new(DatasetKind::Mnist, Some(folder), Split::Test);
    let notes = open(&request).unwrap().1.notes.join("\n");
    assert!(
        notes.contains(
            "path says fashion, which has the same file names (--dataset fashion-mnist); it is read as mnist"
        ),
        "{notes}"
    );
}

#[test]
fn letters_are_measured_on_a_network_of_26_classes() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path().join("emnist-letters-test-images-idx3-ubyte"), images(3, 28, 28));
    write(dir.path().join("emnist-letters-test-labels-idx1-ubyte"), labels_file(&[1, 26, 2]));
    let names = dir.path().join("letters.txt");
    write(&names, ('a'..='z').map(|letter| format!("{letter}\n")).collect::<String>());
    let dir = Some(dir.path().to_owned());
    let request =
        Request { classes: Some(names), ..Request::new(DatasetKind::EmnistLetters, dir, Split::Test) };
    let images = open(&request).unwrap().0;
    assert_eq!((images.labels.as_slice(), images.classes.len()), (&[0, 25, 1][..], 26));
}

#[test]
fn mnists_files_are_found_under_their_other_names() {
    let plain = with(
        DatasetKind::Mnist,
        Split::Test,
        ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"],
        false,
        &[3, 9],
    )
    .unwrap();
    for (images, labels, packed) in [
        ("t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte", false),
        (
            "t10k-images-idx3-ubyte/t10k-images-idx3-ubyte",
            "t10k-labels-idx1-ubyte/t10k-labels-idx1-ubyte",
            false,
        ),
        ("t10k-images-idx3-ubyte/t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte", false),
        ("t10k-images-idx3-ubyte.gz/t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte.gz", false),
        ("t10k-images.idx3-ubyte.gz", "t10k-labels.idx1-ubyte.gz", true),
        ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", true),
        ("test-images-idx3-ubyte", "test-labels-idx1-ubyte", false),
        ("MNIST/raw/t10k-images.idx3-ubyte", "MNIST/raw/t10k-labels.idx1-ubyte", false),
    ] {
        let set = with(DatasetKind::Mnist, Split::Test, [images, labels], packed, &[3, 9]).unwrap();
        assert_eq!(set, plain, "{images} {labels}");
    }
}

#[test]
fn images_may_have_any_sides() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path().join("train-images-idx3-ubyte"), images(2, 5, 8));
    write(dir.path().join("train-labels-idx1-ubyte"), labels_file(&[0, 1]));
    let set = load(DatasetKind::Mnist, Some(dir.path()), Split::Train, None).unwrap();
    assert_eq!((set.shape, set.pixels.len()), ([1, 5, 8], 80));
}

#[test]
fn each_set_has_its_own_classes_folders_and_names() {
    use DatasetKind::*;
    // Data set, files of the test split, count of classes, some names of classes as torchvision has them.
    type Case = (DatasetKind, [&'static str; 2], usize, &'static [(usize, &'static str)]);
    let cases: [Case; 8] = [
        (
            FashionMnist,
            ["FashionMNIST/raw/t10k-images-idx3-ubyte", "FashionMNIST/raw/t10k-labels-idx1-ubyte"],
            10,
            &[(0, "T-shirt/top"), (9, "Ankle boot")],
        ),
        (
            Kmnist,
            ["KMNIST/raw/t10k-images-idx3-ubyte", "KMNIST/raw/t10k-labels-idx1-ubyte"],
            10,
            &[(1, "ki"), (9, "wo")],
        ),
        (
            EmnistByclass,
            ["emnist-byclass-test-images-idx3-ubyte", "emnist-byclass-test-labels-idx1-ubyte"],
            62,
            &[(10, "A"), (35, "Z"), (36, "a"), (61, "z")],
        ),
        (
            EmnistBymerge,
            [
                "gzip/emnist-bymerge-test-images-idx3-ubyte.gz",
                "gzip/emnist-bymerge-test-labels-idx1-ubyte.gz",
            ],
            47,
            &[(36, "a"), (38, "d"), (46, "t")],
        ),
        (
            EmnistBalanced,
            [
                "EMNIST/raw/emnist-balanced-test-images-idx3-ubyte",
                "EMNIST/raw/emnist-balanced-test-labels-idx1-ubyte",
            ],
            47,
            &[(9, "9"), (46, "t")],
        ),
        (
            EmnistLetters,
            ["emnist-letters-test-images-idx3-ubyte", "emnist-letters-test-labels-idx1-ubyte"],
            27,
            &[(0, "N/A"), (26, "z")],
        ),
        (
            EmnistDigits,
            ["raw/emnist-digits-test-images-idx3-ubyte", "raw/emnist-digits-test-labels-idx1-ubyte"],
            10,
            &[(9, "9")],
        ),
        (
            EmnistMnist,
            ["emnist-mnist-test-images.idx3-ubyte", "emnist-mnist-test-labels.idx1-ubyte"],
            10,
            &[(0, "0")],
        ),
    ];
    for (kind, names, classes, some) in cases {
        let last = classes as u8 - 1;
        let set = with(kind, Split::Test, names, false, &[last, 1]).unwrap();
        assert_eq!((set.classes.len(), set.labels[0]), (classes, u16::from(last)), "{kind}");
        for &(index, name) in some {
            assert_eq!(set.classes[index], name, "{kind}");
        }
        let error = with(kind, Split::Test, names, false, &[1, last + 1]).unwrap_err();
        let expected = format!("label 1: expected 0 to {last}, found {}", last + 1);
        assert!(error.exit_code() == 3 && error.to_string().contains(&expected), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    refused(
        EmnistLetters,
        dir.path(),
        Split::Train,
        None,
        &["emnist-letters-train-images-idx3-ubyte", "EMNIST/raw/"],
    );
}
