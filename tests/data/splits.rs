//! Split folders by name: which images are taken, and what is refused. Every image here is one flat colour, by which it
//! is known.

use crate::support::{refused, write};
use std::fs;
use std::path::Path;
use synfilter::data::{DatasetKind::Folder, Images, Request, Split, load, open};

/// A PNG of 4×4 pixels of one grey.
fn flat(grey: u8) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 4, 4);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header().unwrap().write_image_data(&[grey; 16]).unwrap();
    file
}

/// One image per class.
fn classes(folder: &Path, greys: &[(&str, u8)]) {
    for (class, grey) in greys {
        write(folder.join(class).join("1.png"), flat(*grey));
    }
}

fn get(dir: &Path, split: Split) -> Images {
    load(Folder, Some(dir), split, None).unwrap()
}

/// Label and grey of each image.
fn content(images: &Images) -> Vec<(u16, u8)> {
    (0..images.len()).map(|index| (images.labels[index], images.image(index)[0])).collect()
}

const TRAIN: [(&str, u8); 2] = [("ant", 1), ("bee", 2)];
const TEST: [(&str, u8); 2] = [("ant", 101), ("bee", 102)];

#[test]
fn every_usual_pair_of_names_is_known() {
    for (train, test) in [
        ("train", "val"),
        ("train", "valid"),
        ("train", "validation"),
        ("Train", "Test"),
        ("TRAIN", "VAL"),
        ("training", "testing"),
        ("training_set", "test_set"),
        ("seg_train", "seg_test"),
        ("train", "dev"),
        ("trainset", "evalset"),
        ("Training Images", "Validation Images"),
        ("cars_train", "cars_test"),
        ("train", "test1"),
        ("train2017", "val2017"),
        ("trainval", "test"),
        ("train", "holdout"),
        ("train-jpg", "test-jpg-v2"),
        ("animals_train", "insects_test"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        classes(&dir.path().join(train), &TRAIN);
        classes(&dir.path().join(test), &TEST);
        assert_eq!(content(&get(dir.path(), Split::Test)), [(0, 101), (1, 102)], "{train} {test}");
        assert_eq!(content(&get(dir.path(), Split::Train)), [(0, 1), (1, 2)], "{train} {test}");
    }
}

#[test]
fn folders_as_archives_unpack_them_are_followed() {
    // As Kaggle's archive of Intel's scenes: doubled folders, and one without labels.
    let dir = tempfile::tempdir().unwrap();
    classes(&dir.path().join("seg_train/seg_train"), &TRAIN);
    classes(&dir.path().join("seg_test/seg_test"), &TEST);
    write(dir.path().join("seg_pred/seg_pred/1.png"), flat(7));
    assert_eq!(content(&get(dir.path(), Split::Test)), [(0, 101), (1, 102)]);
    // The split itself as the data folder.
    assert_eq!(content(&get(&dir.path().join("seg_test"), Split::Test)), [(0, 101), (1, 102)]);
    // A folder above, and what a Mac leaves.
    let outer = tempfile::tempdir().unwrap();
    fs::rename(dir.path(), outer.path().join("archive")).unwrap();
    write(outer.path().join("__MACOSX/archive/._x.png"), "");
    write(outer.path().join("archive/seg_test/__MACOSX/ant/._1.png"), "");
    assert_eq!(content(&get(outer.path(), Split::Test)), [(0, 101), (1, 102)]);
}

#[test]
fn the_test_images_are_taken_or_else_the_validation_images() {
    let dir = tempfile::tempdir().unwrap();
    classes(&dir.path().join("train"), &TRAIN);
    classes(&dir.path().join("val"), &[("ant", 51), ("bee", 52)]);
    classes(&dir.path().join("test"), &TEST);
    assert_eq!(content(&get(dir.path(), Split::Test)), [(0, 101), (1, 102)]);
    // Test images without labels: in the folder itself, in one of another name, in empty class folders.
    fs::remove_dir_all(dir.path().join("test")).unwrap();
    for unlabelled in ["test/1.png", "test/unknown/1.png", "test/test/1.png", "test/ant/note.txt"] {
        write(dir.path().join(unlabelled), flat(9));
        assert_eq!(content(&get(dir.path(), Split::Test)), [(0, 51), (1, 52)], "{unlabelled}");
        fs::remove_dir_all(dir.path().join("test")).unwrap();
    }
    // Without validation images there is nothing to take.
    fs::remove_dir_all(dir.path().join("val")).unwrap();
    write(dir.path().join("test/1.png"), flat(9));
    refused(
        Folder,
        dir.path(),
        Split::Test,
        None,
        &["test", "class sub-folders like those of train/", "none"],
    );
    write(dir.path().join("test/unknown/1.png"), flat(9));
    refused(Folder, dir.path(), Split::Test, None, &["test/unknown", "train/ has too"]);
}

#[test]
fn classes_are_numbered_by_the_train_folder() {
    let dir = tempfile::tempdir().unwrap();
    classes(&dir.path().join("Train"), &[("ant", 1), ("bee", 2), ("cow", 3)]);
    classes(&dir.path().join("Validation"), &[("cow", 103), ("bee", 102)]);
    let test = get(dir.path(), Split::Test);
    assert_eq!((content(&test), test.classes.len()), (vec![(1, 102), (2, 103)], 3));
    // The split alone has only its own folders to number by.
    let alone = get(&dir.path().join("Validation"), Split::Test);
    assert_eq!(
        (content(&alone), alone.classes),
        (vec![(0, 102), (1, 103)], vec!["bee".to_owned(), "cow".to_owned()])
    );
}

#[test]
fn folders_that_all_look_like_splits_are_never_classes() {
    let dir = tempfile::tempdir().unwrap();
    classes(&dir.path().join("Training"), &TRAIN);
    let needles = ["test split", "test/ or val/", "found Training/"];
    refused(Folder, dir.path(), Split::Test, None, &needles);
    classes(&dir.path().join("valid"), &TEST);
    classes(&dir.path().join("validation"), &TEST);
    refused(
        Folder,
        dir.path(),
        Split::Test,
        None,
        &["one folder of validation images", "valid/, validation/"],
    );
    // A plain name goes before others, which is told.
    classes(&dir.path().join("val"), &[("ant", 51)]);
    let (images, reading) = open(&Request::new(Folder, Some(dir.path().to_owned()), Split::Test)).unwrap();
    assert_eq!(content(&images), [(0, 51)]);
    let notes = reading.notes.join("\n");
    assert!(notes.contains("valid/, validation/ passed over beside the plain name of its kind"), "{notes}");
    let flat_ones = tempfile::tempdir().unwrap();
    write(flat_ones.path().join("test/1.png"), flat(1));
    write(flat_ones.path().join("dev/2.png"), flat(2));
    refused(Folder, flat_ones.path(), Split::Test, None, &["class sub-folders", "none"]);
}

#[test]
fn folders_with_the_same_folders_in_them_are_no_classes() {
    let dir = tempfile::tempdir().unwrap();
    classes(&dir.path().join("train"), &TRAIN);
    classes(&dir.path().join("gallery"), &TEST);
    let needles = ["gallery/, train/ with the same folders in them (ant/, bee/)", "--data-dir", "--classes"];
    refused(Folder, dir.path(), Split::Test, None, &needles);
    // Folds, which hold splits.
    let folds = tempfile::tempdir().unwrap();
    for fold in ["fold1", "fold2"] {
        classes(&folds.path().join(fold).join("train"), &TRAIN);
        classes(&folds.path().join(fold).join("test"), &TEST);
    }
    refused(
        Folder,
        folds.path(),
        Split::Test,
        None,
        &["fold1/, fold2/ with the same folders", "test/, train/"],
    );
    assert_eq!(content(&get(&folds.path().join("fold2"), Split::Test)), [(0, 101), (1, 102)]);
    // Splits by what is in them, beside something else.
    fs::rename(dir.path().join("gallery"), dir.path().join("my test images")).unwrap();
    write(dir.path().join("holiday/1.png"), flat(9));
    assert_eq!(content(&get(dir.path(), Split::Test)), [(0, 101), (1, 102)]);
    // Classes whose images are sorted further: a file with the classes says that they are.
    let nested = tempfile::tempdir().unwrap();
    for class in ["cat", "dog"] {
        classes(&nested.path().join(class), &[("day", 1), ("night", 2)]);
    }
    refused(
        Folder,
        nested.path(),
        Split::Test,
        None,
        &["cat/, dog/ with the same folders in them (day/, night/)"],
    );
    let names = nested.path().join("classes.txt");
    write(&names, "dog\ncat\nfox\n");
    let request =
        Request { classes: Some(names), ..Request::new(Folder, Some(nested.path().to_owned()), Split::Test) };
    let (images, _) = open(&request).unwrap();
    assert_eq!(content(&images), [(1, 1), (1, 2), (0, 1), (0, 2)]);
}

#[test]
fn a_folder_between_a_split_and_its_classes_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    classes(&dir.path().join("train"), &TRAIN);
    classes(&dir.path().join("val/images"), &TEST);
    assert_eq!(content(&get(dir.path(), Split::Test)), [(0, 101), (1, 102)]);
}

#[test]
fn a_train_folder_without_class_folders_numbers_nothing() {
    for train in ["train/archive.tar", "train/1.png"] {
        let dir = tempfile::tempdir().unwrap();
        classes(&dir.path().join("val"), &TEST);
        write(dir.path().join(train), flat(1));
        let (images, reading) =
            open(&Request::new(Folder, Some(dir.path().to_owned()), Split::Test)).unwrap();
        assert_eq!(content(&images), [(0, 101), (1, 102)]);
        let notes = reading.notes.join("\n");
        assert!(notes.contains("train/ has no class folders, so those that are measured number"), "{notes}");
    }
}

#[test]
fn classes_may_have_names_like_splits() {
    for names in [["control", "test"], ["bicycle", "train"], ["testing", "training day"]] {
        let dir = tempfile::tempdir().unwrap();
        classes(dir.path(), &[(names[0], 1), (names[1], 2)]);
        if names[0] == "testing" {
            write(dir.path().join("meeting/1.png"), flat(3));
        }
        let set = get(dir.path(), Split::Test);
        assert_eq!(set.classes[..1], [if names[0] == "testing" { "meeting" } else { names[0] }]);
        assert_eq!(set.len(), set.classes.len());
    }
    // Class folders hold images, split folders hold class folders.
    let dir = tempfile::tempdir().unwrap();
    classes(dir.path(), &[("evaluation", 1), ("meeting", 2), ("training", 3)]);
    assert_eq!(get(dir.path(), Split::Test).classes, ["evaluation", "meeting", "training"]);
}

#[test]
#[cfg(unix)]
fn a_link_to_nothing_is_a_file_that_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    classes(dir.path(), &TEST);
    // Beside the images it is passed over; as one of them it is named when it is to be read.
    std::os::unix::fs::symlink("/gone/notes.txt", dir.path().join("bee/notes.txt")).unwrap();
    assert_eq!(content(&get(dir.path(), Split::Test)), [(0, 101), (1, 102)]);
    std::os::unix::fs::symlink("/gone/2.png", dir.path().join("bee/2.png")).unwrap();
    refused(Folder, dir.path(), Split::Test, None, &["bee/2.png", "cannot read"]);
}
