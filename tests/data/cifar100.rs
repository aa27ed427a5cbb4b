//! CIFAR-100's binary version.

use crate::support::{refused, write};
use std::path::Path;
use synfilter::data::{DatasetKind::Cifar100, Split, load};

/// Records of a coarse label, a fine one, and planes of `seed + r`, `+ 50`, `+ 100`.
fn records(seed: u8, fine: &[u8]) -> Vec<u8> {
    let record = |(r, &label): (usize, &u8)| {
        let value = seed + r as u8;
        [vec![label / 5, label], vec![value; 1024], vec![value + 50; 1024], vec![value + 100; 1024]].concat()
    };
    fine.iter().enumerate().flat_map(record).collect()
}

fn names(prefix: &str, count: usize) -> String {
    (0..count).map(|n| format!("{prefix} {n}\n")).collect()
}

fn good(folder: &Path) {
    write(folder.join("train.bin"), records(10, &[7, 99, 0]));
    write(folder.join("test.bin"), records(20, &[98, 3]));
    write(folder.join("fine_label_names.txt"), names("fine", 100));
    write(folder.join("coarse_label_names.txt"), names("coarse", 20));
}

#[test]
fn the_fine_labels_count() {
    for folder in ["", "cifar-100-binary", "cifar100/cifar-100-binary"] {
        let dir = tempfile::tempdir().unwrap();
        good(&dir.path().join(folder));
        let train = load(Cifar100, Some(dir.path()), Split::Train, None).unwrap();
        assert_eq!((train.labels.as_slice(), train.shape), (&[7, 99, 0][..], [3, 32, 32]));
        let test = load(Cifar100, Some(dir.path()), Split::Test, None).unwrap();
        assert_eq!((test.labels.as_slice(), test.classes.len()), (&[98, 3][..], 100));
        assert_eq!(test.classes[98], "fine 98");
        let image = test.image(1);
        assert_eq!([image[0], image[1023], image[1024], image[3071]], [21, 21, 71, 121]);
    }
}

#[test]
fn malformed_files_are_named() {
    let cases: &[(&str, Vec<u8>, &[&str])] = &[
        ("test.bin", records(7, &[1, 2])[..6000].to_vec(), &["3074", "1 records + 2926 bytes"]),
        ("test.bin", records(7, &[1, 100]), &["record 1 (byte 3074), label", "0 to 99", "found 100"]),
        ("fine_label_names.txt", names("x", 20).into(), &["expected 100", "found 20"]),
    ];
    for (name, content, needles) in cases {
        let dir = tempfile::tempdir().unwrap();
        good(dir.path());
        write(dir.path().join(name), content);
        refused(Cifar100, dir.path(), Split::Test, None, &[&[*name], *needles].concat());
    }
    let empty = tempfile::tempdir().unwrap();
    refused(
        Cifar100,
        empty.path(),
        Split::Test,
        None,
        &["test.bin or test", "cifar-100-binary/", "cifar-100-python/"],
    );
}
