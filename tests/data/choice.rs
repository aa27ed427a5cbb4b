//! Which images are taken: a choice by class, in file order, all; and that nothing else is looked at.

use crate::support::{golden_bytes, write};
use std::fs;
use std::path::Path;
use synfilter::data::DatasetKind::{Digits, Folder, TinyImagenet};
use synfilter::data::{Choice, How, Images, Reading, Request, Split, load, open};

fn choice(images: usize, how: How, seed: u64) -> Option<Choice> {
    Some(Choice { images, how, seed })
}

/// `classes` folders of `each` images.
fn folder(root: &Path, classes: usize, each: usize) {
    for class in 0..classes {
        for at in 0..each {
            let name = if (class + at) % 2 == 0 { "colour.jpg" } else { "grey.jpg" };
            write(root.join(format!("c{class}/{at}.jpg")), golden_bytes(name));
        }
    }
}

fn read(root: &Path, choice: Option<Choice>, skip_broken: bool) -> synfilter::Result<(Images, Reading)> {
    open(&Request { choice, skip_broken, ..Request::new(Folder, Some(root.to_owned()), Split::Test) })
}

#[test]
fn a_choice_takes_of_every_class_and_only_what_is_chosen_is_decoded() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), 4, 5);
    let all = load(Folder, Some(dir.path()), Split::Test, None).unwrap();
    let (eight, reading) = read(dir.path(), choice(8, How::Stratified, 0), false).unwrap();
    assert_eq!(eight.labels, [0, 0, 1, 1, 2, 2, 3, 3]);
    assert_eq!((reading.images, reading.of, reading.classes_seen), (8, 20, 4));
    // A broken file that is not chosen makes no difference; one that is chosen does.
    let positions = Choice { images: 8, how: How::Stratified, seed: 0 }.of(&all.labels).unwrap();
    let path = |at: usize| dir.path().join(format!("c{}/{}.jpg", at / 5, at % 5));
    let other = (0..20).find(|at| !positions.contains(at)).unwrap();
    fs::write(path(other), b"").unwrap();
    let (again, same) = read(dir.path(), choice(8, How::Stratified, 0), false).unwrap();
    assert_eq!((again, same), (eight.clone(), reading));
    fs::write(path(positions[3]), b"").unwrap();
    let error = read(dir.path(), choice(8, How::Stratified, 0), false).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    let name = path(positions[3]).display().to_string();
    assert!(error.to_string().contains(&name) && error.to_string().contains("--skip-broken"), "{error}");
    let (seven, reading) = read(dir.path(), choice(8, How::Stratified, 0), true).unwrap();
    assert_eq!((seven.len(), reading.skipped.count, reading.skipped.first), (7, 1, vec![name]));
    let left: Vec<&[u8]> = (0..8).filter(|&at| at != 3).map(|at| eight.image(at)).collect();
    assert!(left.iter().enumerate().all(|(at, image)| seven.image(at) == *image));
}

#[test]
fn broken_files_are_left_out_wherever_they_are() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), 2, 3);
    let whole = load(Folder, Some(dir.path()), Split::Test, None).unwrap();
    for name in ["c0/0.jpg", "c0/1.jpg", "c1/2.jpg"] {
        fs::write(dir.path().join(name), b"\xff\xd8\xffno").unwrap();
    }
    let (images, reading) = read(dir.path(), None, true).unwrap();
    assert_eq!(images.labels, [0, 1, 1]);
    assert_eq!(
        [images.image(0), images.image(1), images.image(2)],
        [whole.image(2), whole.image(3), whole.image(4)]
    );
    assert_eq!((reading.images, reading.of, reading.skipped.count), (3, 6, 3));
    let text = reading.to_string();
    assert!(
        text.contains("3 of 6 test images") && text.contains("left out: 3 that cannot be decoded: "),
        "{text}"
    );
    assert!(!text.contains("choice"), "{text}");
    for name in ["c0/2.jpg", "c1/0.jpg", "c1/1.jpg"] {
        fs::write(dir.path().join(name), b"").unwrap();
    }
    let error = read(dir.path(), None, true).unwrap_err();
    assert!(error.exit_code() == 3 && error.to_string().contains("c1/2.jpg"), "{error}");
}

#[test]
fn the_rest_follows_the_choice_in_file_order() {
    let all = load(Digits, None, Split::Test, None).unwrap();
    let request =
        Request { choice: choice(100, How::Stratified, 5), ..Request::new(Digits, None, Split::Test) };
    let (chosen, one) = open(&request).unwrap();
    let (arranged, two) = open(&Request { rest_follows: true, ..request.clone() }).unwrap();
    assert_eq!((one.pick.as_ref(), one.images, two.images), (two.pick.as_ref(), 100, 2000));
    assert_eq!(arranged.clone().first(100).unwrap(), chosen);
    // Nothing is lost and nothing twice.
    let sorted = |images: &Images| {
        let mut found: Vec<(u16, Vec<u8>)> =
            (0..images.len()).map(|at| (images.labels[at], images.image(at).to_vec())).collect();
        found.sort();
        found
    };
    assert_eq!(sorted(&arranged), sorted(&all));
    let positions = Choice { images: 100, how: How::Stratified, seed: 5 }.of(&all.labels).unwrap();
    let rest: Vec<usize> = (0..2000).filter(|at| !positions.contains(at)).collect();
    assert!(rest.iter().enumerate().all(|(at, &position)| arranged.image(100 + at) == all.image(position)));
    // As it always was: the first, in file order.
    let (first, reading) = open(&Request { choice: choice(100, How::First, 0), ..request }).unwrap();
    assert_eq!((first, reading.pick), (all.first(100).unwrap(), None));
}

#[test]
fn few_classes_are_told() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), 4, 5);
    let (_, reading) = read(dir.path(), choice(5, How::First, 0), false).unwrap();
    assert_eq!(
        reading.notes,
        ["the images are of 1 of 4 classes alone: accuracy says nothing of the others"]
    );
    let text = reading.to_string();
    assert!(
        text.contains("5 of 20 test images of folder, 1 of 4 classes")
            && text.contains("choice: first, in file order"),
        "{text}"
    );
    assert_eq!(serde_json::from_str::<Reading>(&serde_json::to_string(&reading).unwrap()).unwrap(), reading);
}

/// Of a part of the images only the part of the cache is read; a damaged image elsewhere makes no difference.
#[test]
fn a_part_of_tiny_imagenet_comes_from_the_cache() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path().join("wnids.txt"), "n01\nn02\n");
    let mut lines = String::new();
    for at in 0..6 {
        write(
            dir.path().join(format!("val/images/{at}.JPEG")),
            golden_bytes(["colour.jpg", "grey.jpg"][at % 2]),
        );
        lines += &format!("{at}.JPEG\tn0{}\t0\t0\t9\t9\n", 1 + at / 3);
    }
    write(dir.path().join("val/val_annotations.txt"), lines);
    let request = Request {
        choice: choice(4, How::Stratified, 1),
        ..Request::new(TinyImagenet, Some(dir.path().to_owned()), Split::Test)
    };
    let (part, _) = open(&request).unwrap();
    let cache = dir.path().join("synfilter-test.cache");
    assert!(!cache.exists(), "a part writes no cache");
    let all = load(TinyImagenet, Some(dir.path()), Split::Test, None).unwrap();
    let mut bytes = fs::read(&cache).unwrap();
    let positions = Choice { images: 4, how: How::Stratified, seed: 1 }.of(&all.labels).unwrap();
    assert!(positions.iter().enumerate().all(|(at, &position)| part.image(at) == all.image(position)));
    // One value of an image that is not chosen is damaged.
    let other = (0..6).find(|at| !positions.contains(at)).unwrap();
    let pixel = bytes.len() - (6 - other) * 12_288;
    bytes[pixel] ^= 1;
    fs::write(&cache, &bytes).unwrap();
    assert_eq!(open(&request).unwrap().0, part);
    assert_eq!(fs::read(&cache).unwrap(), bytes, "the cache was not made anew");
    assert_eq!(load(TinyImagenet, Some(dir.path()), Split::Test, None).unwrap(), all);
    assert_ne!(fs::read(&cache).unwrap(), bytes, "reading all found the damage");
}
