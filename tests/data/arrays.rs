//! Arrays in `.npz` files as NumPy writes them (tests/golden/arrays/make.py) and in safetensors.

use crate::support::{refused, write};
use safetensors::{Dtype, tensor::TensorView};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use synfilter::data::DatasetKind::Arrays;
use synfilter::data::{Choice, How, Images, Request, Split, load, open};
use zip::write::SimpleFileOptions;

const LABELS: [u16; 3] = [2, 0, 1];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/arrays").join(name)
}

/// Pixels `[3, channels, 4, 5]` of the formula of `make.py`.
fn formula(channels: usize) -> Vec<u8> {
    let mut pixels = Vec::new();
    for n in 0..3 {
        for c in 0..channels {
            for h in 0..4 {
                pixels.extend((0..5).map(|w| ((97 * n + 31 * c + 7 * h + 3 * w + 5) % 251) as u8));
            }
        }
    }
    pixels
}

fn get(path: &Path, split: Split) -> Images {
    load(Arrays, Some(path), split, None).unwrap()
}

#[test]
fn every_form_gives_the_same_images() {
    for name in
        ["chw", "hwc", "fortran", "big", "versions", "unit32", "unit64", "unit16", "bytes32", "positional"]
    {
        let set = get(&golden(&format!("{name}.npz")), Split::Test);
        assert_eq!(set.shape, [3, 4, 5], "{name}");
        assert_eq!(set.labels, LABELS, "{name}");
        assert_eq!(set.pixels, formula(3), "{name}");
    }
    let medical = get(&golden("medical.npz"), Split::Test);
    assert_eq!((medical.shape, medical.labels.as_slice()), ([1, 4, 5], &LABELS[..]));
    assert_eq!(medical.pixels, formula(1));
    // Rounded to the nearest.
    assert_eq!(get(&golden("between.npz"), Split::Test).pixels, formula(3));
}

#[test]
fn train_arrays_are_the_train_split_and_count_the_classes() {
    let path = golden("hwc.npz");
    let (train, test) = (get(&path, Split::Train), get(&path, Split::Test));
    assert_eq!(train.labels, [3, 1, 2]);
    assert_eq!(train.image(2), &formula(3)[..60]);
    // The label 3 only occurs in the train half.
    assert_eq!((train.classes.len(), test.classes.len()), (4, 4));
    assert_eq!(get(&golden("medical.npz"), Split::Train).len(), 3);
    refused(Arrays, &golden("chw.npz"), Split::Train, None, &["train split", "x_train", "one set of images"]);
}

#[test]
fn names_of_classes_are_read_and_pickled_strangers_passed_over() {
    assert_eq!(get(&golden("classes.npz"), Split::Test).classes, ["ant", "bée", "cow", "dog"]);
    assert_eq!(get(&golden("classes_bytes.npz"), Split::Test).classes, ["ant", "bee", "cow"]);
    assert_eq!(get(&golden("chw.npz"), Split::Test).classes, ["0", "1", "2"]);
}

#[test]
fn the_file_is_found_in_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    refused(Arrays, dir.path(), Split::Test, None, &[".npz or .safetensors", "found none"]);
    refused(Arrays, &dir.path().join("x.npz"), Split::Test, None, &["x.npz", "no such file"]);
    let put = |name: &str, from: &str| write(dir.path().join(name), fs::read(golden(from)).unwrap());
    put("set.npz", "chw.npz");
    assert_eq!(get(dir.path(), Split::Test).pixels, formula(3));
    put("other.npz", "chw.npz");
    refused(Arrays, dir.path(), Split::Test, None, &["one per split", "other.npz, set.npz"]);
    fs::rename(dir.path().join("set.npz"), dir.path().join("digits_train.npz")).unwrap();
    fs::rename(dir.path().join("other.npz"), dir.path().join("digits_test.npz")).unwrap();
    assert_eq!(get(dir.path(), Split::Train).labels, LABELS);
    assert_eq!(get(dir.path(), Split::Test).labels, LABELS);
}

/// A safetensors file of tensors of name, dtype, shape and bytes.
fn tensors(path: &Path, list: &[(&str, Dtype, &[usize], &[u8])]) {
    let views = list
        .iter()
        .map(|(name, dtype, shape, bytes)| (*name, TensorView::new(*dtype, shape.to_vec(), bytes).unwrap()));
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// The note of a folder or file that is measured on.
fn notes(path: &Path) -> String {
    open(&Request::new(Arrays, Some(path.to_owned()), Split::Test)).unwrap().1.notes.join("\n")
}

#[test]
fn what_was_taken_is_told() {
    let notes = |name: &str| notes(&golden(name));
    for (name, needles) in [
        (
            "chw.npz",
            &["images are `images` (uint8 [3, 3, 4, 5]), labels `labels` (int64 [3])", "3 classes"][..],
        ),
        ("hwc.npz", &["`x_test`", "`y_test`", "4 classes, as the greatest label says"]),
        ("positional.npz", &["their shapes do", "`arr_0`", "`arr_1`"]),
        ("unit32.npz", &["floats from 0 to 1, taken times 255"]),
        ("between.npz", &["floats from 0 to 255 and rounded by up to 0.25"]),
    ] {
        let found = notes(name);
        assert!(needles.iter().all(|needle| found.contains(needle)), "{name}: {found}");
    }
    assert!(!notes("unit32.npz").contains("rounded"));
    assert!(!notes("classes.npz").contains("greatest label"));
}

#[test]
fn training_images_are_never_measured_in_silence() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, from: &str| write(dir.path().join(name), fs::read(golden(from)).unwrap());
    put("train.npz", "chw.npz");
    let needles = ["test split", "such as test.npz", "measures on the training images", "found train.npz"];
    refused(Arrays, dir.path(), Split::Test, None, &needles);
    assert_eq!(get(dir.path(), Split::Train).labels, LABELS);
    let named = notes(&dir.path().join("train.npz"));
    assert!(named.contains("train.npz is a file of training images by its name"), "{named}");
    put("val.npz", "chw.npz");
    assert!(!notes(dir.path()).contains("took"));
    put("test.npz", "chw.npz");
    assert!(notes(dir.path()).contains("took test.npz; val.npz is there too"));
    // The arrays say that they are test images.
    let dir = tempfile::tempdir().unwrap();
    write(dir.path().join("train.npz"), fs::read(golden("hwc.npz")).unwrap());
    assert!(!notes(dir.path()).contains("by its name"));
}

#[test]
fn chosen_images_are_those_of_the_whole_file() {
    for name in ["chw", "hwc", "fortran", "big", "unit32", "bytes32", "medical"] {
        let all = get(&golden(&format!("{name}.npz")), Split::Test);
        for seed in 0..4 {
            for (images, rest_follows) in [(1, false), (2, false), (1, true)] {
                let choice = Some(Choice { images, how: How::Stratified, seed });
                let request = Request::new(Arrays, Some(golden(&format!("{name}.npz"))), Split::Test);
                let (few, reading) = open(&Request { choice, rest_follows, ..request }).unwrap();
                assert_eq!(few.len(), if rest_follows { 3 } else { images }, "{name}");
                assert_eq!(reading.of, 3);
                for at in 0..few.len() {
                    // Labels differ, so they say which image it is.
                    let of = all.labels.iter().position(|label| *label == few.labels[at]).unwrap();
                    assert_eq!(few.image(at), all.image(of), "{name} {seed} {at}");
                }
            }
        }
    }
}

/// In a file that is not compressed, what lies among images that are not taken makes no difference.
#[test]
fn other_images_may_be_broken() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set.npz");
    let pixels: Vec<u8> = (0..40).flat_map(|image| [image; 12]).collect();
    let labels: Vec<u8> = (0..40).map(|image| image % 2).collect();
    let mut zip = zip::ZipWriter::new(fs::File::create(&path).unwrap());
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in [
        ("images.npy", npy("'|u1'", "(40, 3, 2, 2)", &pixels)),
        ("labels.npy", npy("'|u1'", "(40,)", &labels)),
    ] {
        zip.start_file(name, stored).unwrap();
        zip.write_all(&content).unwrap();
    }
    zip.finish().unwrap();
    let mut file = fs::read(&path).unwrap();
    let at = file.windows(12).position(|pixels| pixels == [39; 12]).unwrap();
    file[at] = 0;
    fs::write(&path, file).unwrap();
    refused(Arrays, &path, Split::Test, None, &["array `images`", "intact data to its end"]);
    let choice = Some(Choice { images: 6, how: How::First, seed: 0 });
    let request = Request { choice, ..Request::new(Arrays, Some(path), Split::Test) };
    assert_eq!(open(&request).unwrap().0.pixels, pixels[..72]);
}

#[test]
fn safetensors_are_read_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set.safetensors");
    let labels: Vec<u8> = LABELS.iter().flat_map(|&label| i64::from(label).to_le_bytes()).collect();
    let pixels = formula(3);
    tensors(&path, &[("images", Dtype::U8, &[3, 3, 4, 5], &pixels), ("labels", Dtype::I64, &[3], &labels)]);
    assert_eq!(get(&path, Split::Test), get(&golden("chw.npz"), Split::Test));
    let halves: Vec<u8> =
        pixels.iter().flat_map(|&v| half::bf16::from_f32(f32::from(v)).to_le_bytes()).collect();
    tensors(&path, &[("images", Dtype::BF16, &[3, 3, 4, 5], &halves), ("labels", Dtype::I64, &[3], &labels)]);
    assert_eq!(get(&path, Split::Test).pixels, pixels);
    fs::write(&path, "no tensors at all").unwrap();
    refused(Arrays, &path, Split::Test, None, &["a .npz file or safetensors"]);
}

/// A `.npy` file with this header and these elements.
fn npy(descr: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), bytes].concat()
}

fn npz(path: &Path, files: &[(&str, Vec<u8>)]) {
    let mut zip = zip::ZipWriter::new(fs::File::create(path).unwrap());
    for (name, content) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap();
}

#[test]
fn what_cannot_be_images_and_labels_is_refused_with_what_was_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.npz");
    let images = || npy("'|u1'", "(2, 3, 2, 2)", &[7; 24]);
    let labels = || npy("'|u1'", "(2,)", &[0, 1]);
    let floats =
        |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|value| value.to_le_bytes()).collect() };
    let of_images = |descr: &str, shape: &str, bytes: &[u8], needles: &[&str]| {
        npz(&path, &[("images.npy", npy(descr, shape, bytes)), ("labels.npy", labels())]);
        refused(Arrays, &path, Split::Test, None, &[&["bad.npz", "array `images`"], needles].concat());
    };
    of_images(
        "'<f4'",
        "(2, 1, 1, 2)",
        &floats(&[-1.5, 0.0, 0.5, 2.0]),
        &["before any normalisation", "from -1.5 to 2"],
    );
    of_images("'<f4'", "(2, 1, 1, 2)", &floats(&[0.0, 0.5, 1.5, 3.2]), &["from 0 to 3.2"]);
    of_images("'<f4'", "(2, 1, 1, 2)", &floats(&[0.0, 256.0, 1.5, 3.2]), &["from 0 to 256"]);
    of_images("'<f4'", "(2, 1, 1, 2)", &floats(&[0.0, f32::NAN, 1.5, 3.2]), &["finite", "NaN at element 1"]);
    of_images("'<i2'", "(2, 1, 1, 2)", &[255, 255, 1, 0, 0, 0, 0, 0], &["from -1 to 1"]);
    of_images("'|u1'", "(2, 3, 2, 3)", &[7; 36], &["here both could be", "[2, 3, 2, 3]"]);
    of_images("'|u1'", "(2, 4, 2, 4)", &[7; 64], &["1 or 3 channels", "[2, 4, 2, 4]"]);
    of_images("'|u1'", "(2, 12)", &[7; 24], &["flattened", "uint8 [2, 12]"]);
    of_images("'|u1'", "(24,)", &[7; 24], &["[N, H, W]", "uint8 [24]"]);
    of_images("'|u1'", "(0, 1, 2, 2)", &[], &["at least one image"]);
    of_images("'|u1'", "(3, 1, 2, 2)", &[7; 12], &["2 images, as many as labels", "found 3"]);
    of_images("'|u1'", "(2, 3, 2, 2)", &[7; 23], &["24 bytes", "found 23"]);
    of_images("'|u1'", "(2, 3, 2, 2)", &[7; 25], &["24 bytes", "found 25"]);
    // Sizes that are only claimed.
    of_images(
        "'|u1'",
        "(4000000000, 3, 4000, 4000)",
        &[7; 24],
        &["bytes, as uint8 [4000000000, 3, 4000, 4000]"],
    );
    of_images("'<f8'", "(4000000000, 4000000000, 4000, 4000)", &[7; 24], &["plain numbers"]);
    of_images("'|O'", "(2,)", b"cos\nsystem\n(S'x'\ntR.", &["pickled"]);
    of_images("'|b1'", "(2, 1, 2, 2)", &[1; 8], &["plain numbers", "dtype |b1"]);
    of_images("'<c8'", "(2, 1, 2, 2)", &[1; 64], &["dtype <c8"]);
    of_images("[('r', '|u1')]", "(2, 1, 2, 2)", &[1; 8], &["of several fields"]);
    of_images("'<U2'", "(2, 1, 1, 1)", &[65; 16], &["integers from 0 to 255", "text"]);
    of_images("__import__('os')", "(2, 1, 1, 1)", &[65; 16], &["descr, fortran_order and shape"]);

    let of_labels = |descr: &str, shape: &str, bytes: &[u8], needles: &[&str]| {
        npz(&path, &[("images.npy", images()), ("labels.npy", npy(descr, shape, bytes))]);
        refused(Arrays, &path, Split::Test, None, &[&["bad.npz", "array `labels`"], needles].concat());
    };
    of_labels("'|i1'", "(2,)", &[0, 255], &["label 1", "0 to 65534", "found -1"]);
    of_labels("'<u4'", "(2,)", &[0, 0, 0, 0, 255, 255, 0, 0], &["label 1", "found 65535"]);
    of_labels("'<f4'", "(2,)", &floats(&[0.0, 1.0]), &["integers", "float32 [2]"]);
    of_labels("'|u1'", "(2, 4)", &[0; 8], &["[N] or [N, 1]", "uint8 [2, 4]"]);
    of_labels("'|O'", "(2,)", b"...", &["pickled"]);

    let of_files = |files: &[(&str, Vec<u8>)], needles: &[&str]| {
        npz(&path, files);
        refused(Arrays, &path, Split::Test, None, &[&["bad.npz"], needles].concat());
    };
    of_files(
        &[("images.npy", images()), ("data.npy", images()), ("labels.npy", labels())],
        &["one array of images and one of labels", "`data`", "`images`"],
    );
    of_files(
        &[("images.npy", images())],
        &["one array of images and one of labels", "`images` uint8 [2, 3, 2, 2]"],
    );
    of_files(
        &[("a.npy", images()), ("b.npy", images()), ("c.npy", labels())],
        &["`images` and `labels`", "`c`"],
    );
    of_files(&[("x_train.npy", images()), ("y_train.npy", labels())], &["test split", "`x_train`"]);
    of_files(&[("readme.txt", b"x".to_vec())], &["found none"]);
    let few = npy("'|S3'", "(1,)", b"ant");
    of_files(
        &[("images.npy", images()), ("labels.npy", labels()), ("classes.npy", few)],
        &["2 or more class names", "found 1"],
    );

    fs::write(&path, b"PK\x03\x04 and no more").unwrap();
    refused(Arrays, &path, Split::Test, None, &["an intact .npz file"]);
    let whole = fs::read(golden("hwc.npz")).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    refused(Arrays, &path, Split::Test, None, &["an intact .npz file"]);
    let mut flipped = whole;
    flipped[120] ^= 0x40; // within the first deflated array
    fs::write(&path, flipped).unwrap();
    refused(Arrays, &path, Split::Test, None, &["array `x_test`"]);
    fs::write(&path, npy("'|u1'", "(2,)", &[0, 1])).unwrap();
    refused(Arrays, &path, Split::Test, None, &["numpy.savez", "a single NumPy array"]);
}
