//! Tiny ImageNet's folder and its cache.

use crate::support::{golden_bytes, histogram, real_data, refused, write};
use std::fs::{self, File};
use std::path::Path;
use synfilter::data::{DatasetKind::TinyImagenet, Images, Split, load};

fn get(dir: &Path, split: Split) -> synfilter::Result<Images> {
    load(TinyImagenet, Some(dir), split, None)
}

/// Three classes, listed unsorted as in the official file.
fn good(root: &Path) {
    write(root.join("wnids.txt"), "n03\nn01\nn02\n");
    let image = |name: &str| golden_bytes(name);
    write(root.join("train/n01/images/n01_2.JPEG"), image("colour.jpg"));
    write(root.join("train/n01/images/n01_10.JPEG"), image("grey.jpg"));
    write(root.join("train/n01/n01_boxes.txt"), "n01_2.JPEG\t0\t0\t1\t1\n");
    write(root.join("train/n02/images/n02_0.JPEG"), image("subsampled.jpg"));
    write(root.join("train/n03/images/n03_0.JPEG"), image("progressive.jpg"));
    for (name, file) in [("val_0", "grey.jpg"), ("val_1", "colour.jpg"), ("val_2", "subsampled.jpg")] {
        write(root.join(format!("val/images/{name}.JPEG")), image(file));
    }
    let lines = "val_2.JPEG\tn02\t0\t0\t9\t9\nval_0.JPEG\tn03\t0\t0\t9\t9\nval_1.JPEG\tn01\t0\t0\t9\t9\n";
    write(root.join("val/val_annotations.txt"), lines);
}

#[test]
fn classes_are_sorted_and_images_come_in_the_official_order() {
    for folder in ["", "tiny-imagenet-200"] {
        let dir = tempfile::tempdir().unwrap();
        good(&dir.path().join(folder));
        let train = get(dir.path(), Split::Train).unwrap();
        assert_eq!(train.classes, ["n01", "n02", "n03"]);
        assert_eq!((train.shape, train.labels.as_slice()), ([3, 64, 64], &[0, 0, 1, 2][..]));
        // n01_10 sorts before n01_2, and grey is the same in all three channels.
        let grey = train.image(0);
        assert_eq!(grey[..4096], grey[4096..8192]);
        assert_eq!(grey[..4096], grey[8192..]);
        let test = get(dir.path(), Split::Test).unwrap();
        assert_eq!(test.labels, [1, 2, 0]);
        assert_eq!(test.image(1), grey);
        assert_eq!(test.image(2), train.image(1));
        assert_eq!(test.image(0), train.image(2));
    }
}

#[test]
fn val_images_may_lie_in_class_folders() {
    let plain = tempfile::tempdir().unwrap();
    good(plain.path());
    let official = get(plain.path(), Split::Test).unwrap();
    for inner in ["", "images"] {
        let dir = tempfile::tempdir().unwrap();
        good(dir.path());
        let val = dir.path().join("val");
        for (class, name) in [("n01", "val_1.JPEG"), ("n02", "val_2.JPEG"), ("n03", "val_0.JPEG")] {
            fs::create_dir_all(val.join(class).join(inner)).unwrap();
            fs::rename(val.join("images").join(name), val.join(class).join(inner).join(name)).unwrap();
        }
        // An empty `images` and the annotations are what sorting may leave behind.
        let sorted = get(dir.path(), Split::Test).unwrap();
        assert_eq!((sorted.labels.as_slice(), &sorted.classes), (&[0, 1, 2][..], &official.classes));
        // The official order is n02, n03, n01.
        for (index, official_index) in [(0, 2), (1, 0), (2, 1)] {
            assert_eq!(sorted.image(index), official.image(official_index));
        }
        fs::remove_dir_all(val.join("images")).unwrap();
        fs::remove_file(val.join("val_annotations.txt")).unwrap();
        assert_eq!(get(dir.path(), Split::Test).unwrap(), sorted);
        write(val.join("n99/1.JPEG"), golden_bytes("colour.jpg"));
        refused(TinyImagenet, dir.path(), Split::Test, None, &["val/n99", "a WordNet id of wnids.txt"]);
    }
    // Within `images`, where they lay.
    let dir = tempfile::tempdir().unwrap();
    good(dir.path());
    let images = dir.path().join("val/images");
    for (class, name) in [("n01", "val_1.JPEG"), ("n02", "val_2.JPEG"), ("n03", "val_0.JPEG")] {
        fs::create_dir_all(images.join(class)).unwrap();
        fs::rename(images.join(name), images.join(class).join(name)).unwrap();
    }
    let sorted = get(dir.path(), Split::Test).unwrap();
    assert_eq!(sorted.labels, [0, 1, 2]);
    assert_eq!(sorted.image(0), official.image(2));
}

#[test]
fn train_images_may_lie_in_the_class_folder_itself() {
    let dir = tempfile::tempdir().unwrap();
    good(dir.path());
    let official = get(dir.path(), Split::Train).unwrap();
    for class in ["n01", "n02", "n03"] {
        let folder = dir.path().join("train").join(class);
        for file in fs::read_dir(folder.join("images")).unwrap() {
            let file = file.unwrap();
            fs::rename(file.path(), folder.join(file.file_name())).unwrap();
        }
        fs::remove_dir(folder.join("images")).unwrap();
    }
    assert_eq!(get(dir.path(), Split::Train).unwrap(), official);
}

#[test]
fn the_second_start_reads_the_cache() {
    let dir = tempfile::tempdir().unwrap();
    good(dir.path());
    let first = get(dir.path(), Split::Test).unwrap();
    // Other content under the same name, size and time of change: only the cache still has the first pixels.
    let image = dir.path().join("val/images/val_1.JPEG");
    let (length, changed) = (fs::metadata(&image).unwrap().len(), fs::metadata(&image).unwrap().modified());
    fs::write(&image, vec![0; length as usize]).unwrap();
    File::options().append(true).open(&image).unwrap().set_modified(changed.unwrap()).unwrap();
    assert_eq!(get(dir.path(), Split::Test).unwrap(), first);
    // A change that shows makes the cache worthless.
    write(&image, golden_bytes("grey.jpg"));
    let second = get(dir.path(), Split::Test).unwrap();
    assert_ne!(second.digest, first.digest);
    assert_eq!(second.image(2), second.image(1));
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".tmp")), "{left:?}");
}

#[test]
fn a_damaged_cache_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    good(dir.path());
    let first = get(dir.path(), Split::Test).unwrap();
    let path = dir.path().join("synfilter-test.cache");
    let whole = fs::read(&path).unwrap();
    let flip = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x80;
        bytes
    };
    // Magic, version, fingerprint, shape, count, digest, a label, the last pixel.
    let mut damages: Vec<Vec<u8>> =
        [0, 8, 20, 47, 58, 70, 97, whole.len() - 1].into_iter().map(flip).collect();
    damages.push(whole[..whole.len() - 1].to_vec());
    damages.push(whole[..50].to_vec());
    // The version before, with other pixels of JPEG files.
    damages.push([&whole[..8], b"\x01\0\0\0", &whole[12..]].concat());
    damages.push(Vec::new());
    damages.push([whole.as_slice(), b"x"].concat());
    for damage in damages {
        fs::write(&path, damage).unwrap();
        assert_eq!(get(dir.path(), Split::Test).unwrap(), first);
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
}

#[test]
fn where_no_cache_can_be_written_the_images_load_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    good(dir.path());
    // A folder in the cache's place can't be replaced, whoever runs this (root may write to read-only folders).
    fs::create_dir(dir.path().join("synfilter-test.cache")).unwrap();
    assert_eq!(get(dir.path(), Split::Test).unwrap().len(), 3);
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".tmp")), "{left:?}");
}

#[test]
fn malformed_folders_are_named_with_place_expected_and_found() {
    let colour = golden_bytes("colour.jpg");
    let annotations = "val/val_annotations.txt";
    // Replaced file, content (none: removed), split, what the message names.
    type Case<'a> = (&'a str, Option<&'a [u8]>, Split, &'a [&'a str]);
    let cases: &[Case] = &[
        ("wnids.txt", None, Split::Test, &["wnids.txt", "tiny-imagenet-200/", "data fetch tiny-imagenet"]),
        ("wnids.txt", Some(b"\n"), Split::Test, &["wnids.txt", "found 0"]),
        ("wnids.txt", Some(b"n01\nn02\nn01\n"), Split::Test, &["wnids.txt", "n01 twice"]),
        ("wnids.txt", Some(b"n01\nn02\nn03\nn04\n"), Split::Train, &["train/n04", "JPEG images", "none"]),
        ("wnids.txt", Some(b"n01\nn02\n"), Split::Train, &["train/n03", "a WordNet id of wnids.txt"]),
        (annotations, None, Split::Test, &["val_annotations.txt", "cannot read"]),
        (annotations, Some(b""), Split::Test, &["val_annotations.txt", "at least one line"]),
        (annotations, Some(b"val_0.JPEG n01\n"), Split::Test, &["line 1", "tab"]),
        (annotations, Some(b"val_0.JPEG\tn01\nval_1.JPEG\tn99\n"), Split::Test, &["line 2", "\"n99\""]),
        (annotations, Some(b"../wnids.txt\tn01\n"), Split::Test, &["line 1", "../wnids.txt"]),
        (annotations, Some(b"val_7.JPEG\tn01\n"), Split::Test, &["val_7.JPEG", "cannot read"]),
        ("val/images/val_1.JPEG", Some(&colour[..colour.len() / 2]), Split::Test, &["val_1.JPEG", "decodes"]),
        ("val/images/val_1.JPEG", Some(b"text"), Split::Test, &["val_1.JPEG", "found text"]),
        ("train/n02/images/n02_0.JPEG", None, Split::Train, &["train/n02", "JPEG images", "none"]),
    ];
    for (name, content, split, needles) in cases {
        let dir = tempfile::tempdir().unwrap();
        good(dir.path());
        match content {
            Some(content) => write(dir.path().join(name), content),
            None => fs::remove_file(dir.path().join(name)).unwrap(),
        }
        refused(TinyImagenet, dir.path(), *split, None, needles);
    }
    let dir = tempfile::tempdir().unwrap();
    good(dir.path());
    write(dir.path().join("val/images/val_1.JPEG"), golden_bytes("rgb.png"));
    refused(TinyImagenet, dir.path(), Split::Test, None, &["val_1.JPEG", "64×64", "101×67"]);
}

#[test]
fn the_real_subset_loads_and_its_cache_is_the_same() {
    let Some(dir) = real_data("tiny-imagenet-subset.tar") else { return };
    for (split, per_class) in [(Split::Train, 25), (Split::Test, 10)] {
        let started = std::time::Instant::now();
        let decoded = get(dir.path(), split).unwrap();
        let decoding = started.elapsed();
        let started = std::time::Instant::now();
        let cached = get(dir.path(), split).unwrap();
        println!("{split}: decoded in {decoding:?}, from the cache in {:?}", started.elapsed());
        assert_eq!(histogram(&decoded), [per_class; 200]);
        assert_eq!(cached, decoded);
        assert!(decoded.classes.is_sorted());
    }
}
