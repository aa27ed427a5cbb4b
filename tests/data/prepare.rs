//! Preparation held against torchvision's transforms (`tests/fixtures/prepare/make.py`), bit for bit; what cannot be
//! prepared; and a folder of a part of a network's classes.

use crate::support::{golden_bytes, write};
use std::fs;
use std::path::{Path, PathBuf};
use synfilter::data::DatasetKind::{self, Cifar10, Digits, Folder};
use synfilter::data::{Color, Images, Interpolation, Prepare, Reading, Request, Split, load, open};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/prepare").join(name)
}

/// The pixels of a PNG, `[C, H, W]`, read without the code that is tested.
fn pixels(path: &Path) -> ([usize; 3], Vec<u8>) {
    let file = std::io::BufReader::new(fs::File::open(path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut buffer = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut buffer).unwrap();
    let channels = frame.color_type.samples();
    let planes = (0..channels).flat_map(|channel| buffer.iter().skip(channel).step_by(channels).copied());
    ([channels, frame.height as usize, frame.width as usize], planes.collect())
}

/// A folder with one image of the fixtures.
fn folder_of(stem: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path().join("class/1.png"), fs::read(fixture(&format!("{stem}.png"))).unwrap());
    dir
}

fn prepared(kind: DatasetKind, dir: Option<&Path>, prepare: Prepare) -> synfilter::Result<(Images, Reading)> {
    open(&Request { prepare, ..Request::new(kind, dir.map(Path::to_owned), Split::Test) })
}

/// What the name of a fixture asks for.
fn of_name(name: &str) -> Prepare {
    let mut prepare = Prepare::default();
    for part in name.split('.').skip(1) {
        let size = |letter| part.strip_prefix(letter).and_then(|size| size.parse().ok());
        match part {
            "bilinear" => prepare.interpolation = Some(Interpolation::Bilinear),
            "bicubic" => prepare.interpolation = Some(Interpolation::Bicubic),
            "grey" => prepare.color = Some(Color::Grey),
            "png" => {}
            _ => {
                prepare.resize = prepare.resize.or(size('r'));
                prepare.crop = prepare.crop.or(size('c'));
            }
        }
    }
    prepare
}

#[test]
fn every_pixel_is_torchvisions() {
    let mut compared = 0;
    for entry in fs::read_dir(fixture("")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let stem = name.split('.').next().unwrap();
        if !name.ends_with(".png") || name == format!("{stem}.png") {
            continue;
        }
        let (images, _) = prepared(Folder, Some(folder_of(stem).path()), of_name(&name)).unwrap();
        let (shape, expected) = pixels(&fixture(&name));
        assert_eq!(images.shape, shape, "{name}");
        assert!(images.pixels == expected, "{name}");
        compared += 1;
    }
    assert_eq!(compared, 14);
}

/// What a CIFAR-10 record holds is resized as a picture of a file is.
#[test]
fn sets_in_memory_are_prepared_like_files() {
    let dir = tempfile::tempdir().unwrap();
    let noise: Vec<u8> = (0..3072u32).map(|i| (i * i * 31 + i * 57) as u8).collect();
    write(dir.path().join("test_batch.bin"), [&[3][..], &noise].concat());
    write(dir.path().join("batches.meta.txt"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n");
    let as_file = tempfile::tempdir().unwrap();
    let path = as_file.path().join("class/1.png");
    fs::create_dir(path.parent().unwrap()).unwrap();
    let mut encoder = png::Encoder::new(fs::File::create(&path).unwrap(), 32, 32);
    encoder.set_color(png::ColorType::Rgb);
    let interleaved: Vec<u8> =
        (0..1024).flat_map(|at| [0, 1, 2].map(|channel| noise[channel * 1024 + at])).collect();
    encoder.write_header().unwrap().write_image_data(&interleaved).unwrap();
    for prepare in [
        Prepare::to_size(Cifar10, 64).unwrap(),
        Prepare {
            resize: Some(20),
            crop: Some(17),
            interpolation: Some(Interpolation::Bicubic),
            color: Some(Color::Grey),
        },
    ] {
        let (images, reading) = prepared(Cifar10, Some(dir.path()), prepare).unwrap();
        let (same, _) = prepared(Folder, Some(as_file.path()), prepare).unwrap();
        assert_eq!((images.shape, &images.pixels), (same.shape, &same.pixels));
        assert_eq!(reading.prepare, Some(prepare));
    }
    let (images, reading) = prepared(Cifar10, Some(dir.path()), Prepare::default()).unwrap();
    assert_eq!((images.pixels, reading.preparation.as_str()), (noise, "as they are"));
}

#[test]
fn grey_images_become_colour_by_repetition() {
    let grey = load(Digits, None, Split::Test, None).unwrap();
    let prepare = |color| Prepare { color: Some(color), ..Prepare::default() };
    let (rgb, reading) = prepared(Digits, None, prepare(Color::Rgb)).unwrap();
    assert_eq!(rgb.shape, [3, 28, 28]);
    assert_eq!(rgb.image(7), grey.image(7).repeat(3));
    assert_eq!(reading.preparation, "in three channels");
    assert_eq!(prepared(Digits, None, prepare(Color::Grey)).unwrap().0, grey);
}

#[test]
fn what_cannot_be_prepared_is_named_with_the_flag() {
    let refused = |dir: &Path, prepare: Prepare, code: u8, needles: &[&str]| {
        let error = prepared(Folder, Some(dir), prepare).unwrap_err();
        assert_eq!(error.exit_code(), code, "{error}");
        for needle in needles {
            assert!(error.to_string().contains(needle), "{needle:?} not in {error}");
        }
    };
    let wide = folder_of("wide");
    let of = |resize, crop| Prepare { resize, crop, ..Prepare::default() };
    refused(
        wide.path(),
        of(None, Some(23)),
        3,
        &["1.png", "at least 23×23 pixels", "--resize", "found 31×22"],
    );
    refused(wide.path(), of(Some(0), None), 2, &["--resize 0", "1 to 8192"]);
    refused(wide.path(), of(None, Some(5000)), 2, &["--crop 5000", "1 to 4096"]);
    let filter = Prepare { interpolation: Some(Interpolation::Bicubic), ..Prepare::default() };
    refused(wide.path(), filter, 2, &["--interpolation bicubic: expected --resize"]);
    write(wide.path().join("class/2.png"), fs::read(fixture("square.png")).unwrap());
    refused(
        wide.path(),
        of(Some(16), None),
        3,
        &["2.png", "22×16 pixels as the first image has", "--crop", "found 16×16"],
    );
    assert_eq!(prepared(Folder, Some(wide.path()), of(Some(16), Some(16))).unwrap().0.shape, [3, 16, 16]);
}

#[test]
fn a_part_of_the_classes_is_measured_on_the_whole_network() {
    let dir = tempfile::tempdir().unwrap();
    for (folder, image) in [("n03", "grey.jpg"), ("n01", "colour.jpg")] {
        write(dir.path().join("val").join(folder).join("1.jpg"), golden_bytes(image));
    }
    let file = dir.path().join("classes.txt");
    write(&file, "# all of them\nn00\tzero\nn03, three\nn02\nn01\n");
    let request = |classes: Option<PathBuf>| Request {
        classes,
        ..Request::new(Folder, Some(dir.path().join("val")), Split::Test)
    };
    let (images, reading) = open(&request(Some(file.clone()))).unwrap();
    assert_eq!(
        (images.labels, images.classes),
        (vec![3, 1], ["n00", "n03", "n02", "n01"].map(String::from).to_vec())
    );
    assert_eq!((reading.classes_seen, reading.classes), (2, 4));
    assert!(reading.notes[0].starts_with("2 of the 4 classes of "), "{:?}", reading.notes);
    write(&file, "n00\nn03\nn012\n");
    let error = open(&request(Some(file))).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(
        error.to_string().contains("a class called \"n01\"") && error.to_string().contains("\"n012\""),
        "{error}"
    );
}
