//! Files of one data set given to the reader of another: the message names the right one.

use crate::support::{golden, golden_bytes, refused, write};
use std::fs;
use std::path::Path;
use synfilter::data::{DatasetKind, Split};

#[test]
fn the_message_names_the_right_data_set() {
    use DatasetKind::*;
    let golden_at = |name: &str| golden("..").join(name);
    let fill = |root: &Path, like: DatasetKind| match like {
        Mnist => ["t10k-images.idx3-ubyte", "train-images-idx3-ubyte"]
            .iter()
            .for_each(|name| write(root.join(name), "")),
        FashionMnist => write(root.join("FashionMNIST/raw/t10k-images-idx3-ubyte.gz"), ""),
        EmnistBalanced => write(root.join("gzip/emnist-balanced-test-images-idx3-ubyte.gz"), ""),
        Cifar10 => {
            for name in ["test_batch", "batches.meta"] {
                let content = fs::read(golden_at("cifar/python2").join(name)).unwrap();
                write(root.join("cifar-10-batches-py").join(name), content);
            }
        }
        Cifar100 => {
            write(root.join("train.bin"), "");
            write(root.join("fine_label_names.txt"), "");
        }
        TinyImagenet => {
            write(root.join("wnids.txt"), "n01\n");
            write(root.join("train/n01/images/1.JPEG"), golden_bytes("colour.jpg"));
            write(root.join("val/images/1.JPEG"), golden_bytes("colour.jpg"));
        }
        Folder => write(root.join("test/ant/1.jpg"), golden_bytes("colour.jpg")),
        _ => write(root.join("set.npz"), fs::read(golden_at("arrays/chw.npz")).unwrap()),
    };
    for (like, given_to) in [
        (Mnist, [Folder, Cifar10]),
        (FashionMnist, [Folder, Mnist]),
        (EmnistBalanced, [Folder, Mnist]),
        (Cifar10, [Folder, Cifar100]),
        (Cifar100, [Folder, Cifar10]),
        (TinyImagenet, [Folder, Cifar10]),
        (Folder, [Cifar10, TinyImagenet]),
        (Arrays, [Folder, Mnist]),
    ] {
        for kind in given_to {
            let dir = tempfile::tempdir().unwrap();
            fill(dir.path(), like);
            refused(
                kind,
                dir.path(),
                Split::Test,
                None,
                &[&format!("these look like files for --dataset {like})")],
            );
        }
    }
}

#[test]
fn an_archive_is_to_be_unpacked() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path().join("cifar-10-binary.tar.gz"), "");
    let needle = "cifar-10-binary.tar.gz is an archive: unpack it first";
    refused(DatasetKind::Cifar10, dir.path(), Split::Test, None, &[needle]);
    refused(DatasetKind::Folder, &dir.path().join("cifar-10-binary.tar.gz"), Split::Test, None, &[needle]);
}

#[test]
fn what_is_wrong_with_the_right_files_is_told_alone() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path().join("t10k-images-idx3-ubyte"), "");
    write(dir.path().join("test.npz"), "");
    let error = synfilter::data::load(DatasetKind::Mnist, Some(dir.path()), Split::Test, None).unwrap_err();
    assert!(!error.to_string().contains("these look like"), "{error}");
}
