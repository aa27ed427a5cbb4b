//! CIFAR's Python version: files laid out as the official ones and as today's NumPy pickles them
//! (tests/golden/cifar/make.py).

use crate::support::{refused, write};
use std::fs;
use std::path::{Path, PathBuf};
use synfilter::data::DatasetKind::{Cifar10, Cifar100};
use synfilter::data::{Split, load};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cifar").join(name)
}

/// The pixels of the formula of `make.py`.
fn formula() -> Vec<u8> {
    (0..2).flat_map(|n| (0..3072).map(move |p| ((3 * p + 5 * n + p / 1024) % 256) as u8)).collect()
}

#[test]
fn pickles_of_all_times_are_read() {
    for folder in ["python2", "python2-text", "protocol-0", "protocol-2", "protocol-4", "protocol-5"] {
        let set = load(Cifar10, Some(&golden(folder)), Split::Test, None).unwrap();
        assert_eq!((set.labels.as_slice(), set.shape), (&[9, 3][..], [3, 32, 32]), "{folder}");
        assert_eq!(set.pixels, formula(), "{folder}");
        assert_eq!((set.classes[0].as_str(), set.classes[9].as_str()), ("airplane", "truck"), "{folder}");
    }
    let set = load(Cifar100, Some(&golden("python2")), Split::Test, None).unwrap();
    assert_eq!((set.labels.as_slice(), set.classes.len()), (&[99, 4][..], 100));
    assert_eq!((set.pixels, set.classes[99].as_str()), (formula(), "fine 99"));
}

#[test]
fn the_folder_is_found_and_the_train_batches_are_five() {
    for folder in ["cifar-10-batches-py", "cifar10/cifar-10-batches-py"] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join(folder);
        write(root.join("batches.meta"), fs::read(golden("python2/batches.meta")).unwrap());
        for batch in 1..=5 {
            write(root.join(format!("data_batch_{batch}")), fs::read(golden("python2/test_batch")).unwrap());
        }
        let train = load(Cifar10, Some(dir.path()), Split::Train, None).unwrap();
        assert_eq!(train.labels, [9, 3].repeat(5));
        fs::remove_file(root.join("data_batch_3")).unwrap();
        refused(Cifar10, dir.path(), Split::Train, None, &["data_batch_3", "cannot read"]);
    }
}

#[test]
fn malformed_pickles_are_named_and_nothing_is_run() {
    let good = fs::read(golden("protocol-4/test_batch")).unwrap();
    let meta = fs::read(golden("protocol-4/batches.meta")).unwrap();
    let replace = |from: &[u8], to: &[u8]| {
        let at = good.windows(from.len()).position(|window| window == from).unwrap();
        [&good[..at], to, &good[at + from.len()..]].concat()
    };
    let cases: &[(Vec<u8>, &[&str])] = &[
        (good[..3000].to_vec(), &["pickle, byte"]),
        (b"no pickle".to_vec(), &["pickle, byte 0"]),
        (Vec::new(), &["pickle, byte 0"]),
        (b"\x80\x02K\x01.".to_vec(), &["a dict", "an int"]),
        (b"\x80\x02}.".to_vec(), &["`data`", "this key"]),
        // os.system("…") as the value of `data`.
        (
            b"\x80\x02}(X\x04\0\0\0datacos\nsystem\nX\x04\0\0\0exit\x85Ru.".to_vec(),
            &["`data`", "an array of uint8", "os.system"],
        ),
        (replace(b"\x8c\x06labels", b"\x8c\x06lables"), &["`labels`", "lables"]),
        (replace(b"(K\x09K\x03e", b"(K\x0aK\x03e"), &["`labels`, label 0", "0 to 9", "found 10"]),
        (replace(b"(K\x09K\x03e", b"(K\x09e"), &["2 labels", "found 1"]),
        (replace(b"\x8c\x02u1", b"\x8c\x02i1"), &["`data`", "dtype \"i1\""]),
        (replace(b"M\x00\x0c\x86", b"M\x01\x0c\x86"), &["shape [2, 3073]", "6144 bytes"]),
    ];
    for (content, needles) in cases {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path().join("batches.meta"), &meta);
        write(dir.path().join("test_batch"), content);
        refused(Cifar10, dir.path(), Split::Test, None, &[&["test_batch"], *needles].concat());
    }
    let dir = tempfile::tempdir().unwrap();
    write(dir.path().join("test_batch"), &good);
    write(dir.path().join("batches.meta"), &good);
    refused(Cifar10, dir.path(), Split::Test, None, &["batches.meta", "`label_names`"]);
}
