//! Folders of class sub-folders, and the decoding and resizing of their images, held against Pillow.

use crate::support::{golden, golden_bytes, refused, usage, write};
use std::fs;
use std::path::Path;
use synfilter::data::{DatasetKind::Folder, Images, Prepare, Request, Split, load, open};

/// One image as a folder data set of its own.
fn load_one(name: &str, size: Option<usize>) -> Images {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path().join("class").join(name), golden_bytes(name));
    load(Folder, Some(dir.path()), Split::Test, size).unwrap()
}

/// The pixels of an expected image, `[3, H, W]`, read without the code that is tested.
fn expected(name: &str) -> ([usize; 3], Vec<u8>) {
    let file = std::io::BufReader::new(fs::File::open(golden(name)).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut rgb).unwrap();
    assert_eq!((frame.color_type, frame.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
    let planes = (0..3).flat_map(|channel| rgb.iter().skip(channel).step_by(3).copied()).collect();
    ([3, frame.height as usize, frame.width as usize], planes)
}

/// Asserts that pixels differ from Pillow's by at most `limit`, and by `mean_limit` on average.
#[track_caller]
fn near(name: &str, found: &Images, limit: u8, mean_limit: f64) {
    let (shape, expected) = expected(name);
    assert_eq!(found.shape, shape, "{name}");
    let differences = found.pixels.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b));
    let worst = differences.clone().max().unwrap();
    let mean = differences.map(f64::from).sum::<f64>() / expected.len() as f64;
    println!("{name}: worst {worst}, mean {mean:.4}");
    assert!(worst <= limit && mean <= mean_limit, "{name}: worst {worst}, mean {mean:.4}");
}

#[test]
fn every_kind_of_png_decodes_to_pillows_pixels() {
    for name in ["rgb", "tall", "rgba", "grey", "grey_alpha", "palette", "bilevel", "grey16"] {
        near(&format!("{name}_png.rgb.png"), &load_one(&format!("{name}.png"), None), 0, 0.0);
    }
}

#[test]
fn every_kind_of_jpeg_decodes_to_pillows_pixels() {
    for name in ["colour", "grey", "cmyk", "subsampled", "progressive"] {
        near(&format!("{name}_jpg.rgb.png"), &load_one(&format!("{name}.jpg"), None), 0, 0.0);
    }
}

#[test]
fn stray_bytes_in_a_whole_jpeg_are_tolerated() {
    let clean = golden_bytes("colour.jpg");
    // Between the first segment (JFIF: marker, length of 16) and the second.
    let stray = [&clean[..20], b"stray", &clean[20..]].concat();
    let dir = tempfile::tempdir().unwrap();
    write(dir.path().join("class/1.jpg"), stray);
    let set = load(Folder, Some(dir.path()), Split::Test, None).unwrap();
    assert_eq!(set.pixels, load_one("colour.jpg", None).pixels);
}

#[test]
fn resize_and_crop_are_torchvisions() {
    for (stem, size) in [("rgb", 28), ("rgb", 13), ("rgb", 80), ("tall", 28), ("tall", 64)] {
        near(&format!("{stem}_png.{size}.png"), &load_one(&format!("{stem}.png"), Some(size)), 0, 0.0);
    }
}

/// Classes b (2 images), a (1), and c, whose images lie deeper.
fn classes(root: &Path) {
    write(root.join("b/2.png"), golden_bytes("rgba.png"));
    write(root.join("b/10.PNG"), golden_bytes("grey_alpha.png"));
    write(root.join("a/x.jpeg"), golden_bytes("colour.jpg"));
    write(root.join("c/z/1.jpg"), golden_bytes("colour.jpg"));
    write(root.join("c/y.jpg"), golden_bytes("grey.jpg"));
    write(root.join("c/notes.txt"), "not an image");
    write(root.join(".hidden/1.jpg"), "not a class");
}

#[test]
fn classes_and_images_come_in_image_folders_order() {
    let dir = tempfile::tempdir().unwrap();
    classes(dir.path());
    let set = load(Folder, Some(dir.path()), Split::Test, Some(14)).unwrap();
    assert_eq!(set.classes, ["a", "b", "c"]);
    assert_eq!(set.labels, [0, 1, 1, 2, 2]);
    assert_eq!(set.shape, [3, 14, 14]);
    // "10.PNG" before "2.png"; the folder c before c/z.
    let order = ["colour.jpg", "grey_alpha.png", "rgba.png", "grey.jpg", "colour.jpg"];
    for (index, name) in order.iter().enumerate() {
        assert_eq!(set.image(index), load_one(name, Some(14)).pixels, "{index}");
    }
    refused(Folder, dir.path(), Split::Train, Some(14), &["train split", "train/", "one set of images"]);
}

#[test]
fn train_and_val_sub_folders_are_the_splits() {
    let dir = tempfile::tempdir().unwrap();
    classes(&dir.path().join("train"));
    // The class a has no test image; labels still count from the train classes.
    write(dir.path().join("val/c/1.jpg"), golden_bytes("colour.jpg"));
    write(dir.path().join("val/b/1.jpg"), golden_bytes("grey.jpg"));
    write(dir.path().join("docs/readme.txt"), "");
    let load = |split| load(Folder, Some(dir.path()), split, Some(14));
    assert_eq!(load(Split::Train).unwrap().labels, [0, 1, 1, 2, 2]);
    let test = load(Split::Test).unwrap();
    assert_eq!((test.labels.as_slice(), test.classes.len()), (&[1, 2][..], 3));
    write(dir.path().join("val/d/1.jpg"), golden_bytes("grey.jpg"));
    refused(Folder, dir.path(), Split::Test, Some(14), &["val/d", "train/ has too"]);
    fs::rename(dir.path().join("val"), dir.path().join("test")).unwrap();
    fs::remove_dir_all(dir.path().join("test/d")).unwrap();
    assert_eq!(load(Split::Test).unwrap(), test);
    fs::remove_dir_all(dir.path().join("docs")).unwrap();
    fs::remove_dir_all(dir.path().join("train")).unwrap();
    assert_eq!(load(Split::Test).unwrap().classes, ["b", "c"]);
    refused(Folder, dir.path(), Split::Train, Some(14), &["train split", "train/", "found test/"]);
}

#[test]
fn the_extensions_of_image_folder_count_and_other_peoples_folders_do_not() {
    let pixels = |name: &str| {
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pixels").join(name)).unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("a/1.bmp", "rgb.bmp"),
        ("a/2.PGM", "grey.pgm"),
        ("a/3.ppm", "rgb.ppm"),
        ("a/4.tif", "rgb.tif"),
        ("a/5.TIFF", "grey.tif"),
        ("a/6.webp", "rgb_lossy.webp"),
        // Beside images a GIF file is passed over, as by ImageFolder; alone it counts.
        ("a/7.gif", "palette.gif"),
        ("b/1.gif", "palette.gif"),
        ("__MACOSX/a/1.jpg", "rgb.bmp"),
        ("@eaDir/1.jpg", "rgb.bmp"),
    ] {
        write(dir.path().join(name), pixels(content));
    }
    let set = load(Folder, Some(dir.path()), Split::Test, Some(8)).unwrap();
    assert_eq!(set.classes, ["a", "b"]);
    assert_eq!(set.labels, [0, 0, 0, 0, 0, 0, 1]);
}

/// The notes of a folder whose images are cut to one size.
fn notes(dir: &Path) -> String {
    let prepare = Prepare::to_size(Folder, 8).unwrap();
    let request = Request { prepare, ..Request::new(Folder, Some(dir.to_owned()), Split::Test) };
    open(&request).unwrap().1.notes.join("\n")
}

#[test]
fn files_that_are_passed_over_are_counted_by_extension() {
    let dir = tempfile::tempdir().unwrap();
    classes(dir.path());
    assert_eq!(notes(dir.path()), "1 file without an image's extension: passed over (1 of .txt)");
    for name in ["a/1.jfif", "a/2.JFIF", "b/3.jfif", "b/README", "b/4.gif"] {
        write(dir.path().join(name), golden_bytes("colour.jpg"));
    }
    let found = notes(dir.path());
    let expected =
        "6 files without an image's extension: passed over (3 of .jfif, 1 without one, 1 of .gif, 1 of .txt)";
    assert_eq!(found, expected);
    write(dir.path().join("d/1.jfif"), golden_bytes("colour.jpg"));
    refused(Folder, dir.path(), Split::Test, Some(8), &["d", "expected images", "(1 of .jfif)"]);
}

#[cfg(unix)]
#[test]
fn pipes_and_sockets_are_refused_and_can_be_left_out() {
    let dir = tempfile::tempdir().unwrap();
    classes(dir.path());
    let pipe = dir.path().join("a/pipe.png");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let needles = ["pipe.png", "a regular file", "a pipe, socket or device", "--skip-broken"];
    refused(Folder, dir.path(), Split::Test, Some(8), &needles);
    let prepare = Prepare::to_size(Folder, 8).unwrap();
    let request = Request {
        prepare,
        skip_broken: true,
        ..Request::new(Folder, Some(dir.path().to_owned()), Split::Test)
    };
    let (images, reading) = open(&request).unwrap();
    assert_eq!((images.len(), reading.skipped.count), (5, 1));
    fs::remove_file(&pipe).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(&pipe).unwrap();
    refused(Folder, dir.path(), Split::Test, Some(8), &needles);
}

#[cfg(unix)]
#[test]
fn links_are_followed_but_not_in_circles() {
    use std::os::unix::fs::symlink;
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    classes(dir.path());
    write(elsewhere.path().join("more/1.jpg"), golden_bytes("colour.jpg"));
    let load = || load(Folder, Some(dir.path()), Split::Test, Some(8));
    // A folder elsewhere, a file, and a folder beside: as ImageFolder takes them.
    symlink(elsewhere.path(), dir.path().join("a/elsewhere")).unwrap();
    symlink(dir.path().join("a/x.jpeg"), dir.path().join("a/y.jpeg")).unwrap();
    symlink("../c/z", dir.path().join("b/z")).unwrap();
    assert_eq!(load().unwrap().labels, [0, 0, 0, 1, 1, 1, 2, 2]);
    // To itself, to what is above, and back from elsewhere.
    for (target, link) in [
        (Path::new("."), dir.path().join("a/loop")),
        (Path::new(".."), dir.path().join("a/loop")),
        (dir.path().parent().unwrap(), dir.path().join("c/z/loop")),
        (Path::new("."), dir.path().join("loop")),
        (&dir.path().join("a"), elsewhere.path().join("more/loop")),
    ] {
        symlink(target, &link).unwrap();
        let needles = ["loop: folder: expected a folder that does not lie in itself", "found a link to"];
        refused(Folder, dir.path(), Split::Test, Some(8), &needles);
        fs::remove_file(link).unwrap();
    }
}

#[test]
fn folders_may_be_deep() {
    let dir = tempfile::tempdir().unwrap();
    let deep: std::path::PathBuf = std::iter::repeat_n("x", 30).collect();
    write(dir.path().join("a").join(deep).join("1.jpg"), golden_bytes("colour.jpg"));
    write(dir.path().join("a/2.jpg"), golden_bytes("colour.jpg"));
    assert_eq!(load(Folder, Some(dir.path()), Split::Test, Some(8)).unwrap().labels, [0, 0]);
}

#[test]
fn a_class_may_be_called_train() {
    let dir = tempfile::tempdir().unwrap();
    for class in ["bicycle", "train"] {
        write(dir.path().join(class).join("1.jpg"), golden_bytes("colour.jpg"));
    }
    let set = load(Folder, Some(dir.path()), Split::Test, None).unwrap();
    assert_eq!(set.classes, ["bicycle", "train"]);
}

#[test]
fn malformed_images_and_folders_are_named() {
    let colour = golden_bytes("colour.jpg");
    let rgb = golden_bytes("rgb.png");
    let mut crc = rgb.clone();
    crc[2000] ^= 0x55;
    // A header that claims other sizes, with its CRC.
    let claiming = |width: u32, height: u32| {
        let mut file = rgb[..16].to_vec();
        file.extend([width.to_be_bytes(), height.to_be_bytes()].concat());
        file.extend(&rgb[24..29]);
        let check = crc32(&file[12..29]);
        file.extend(check.to_be_bytes());
        file.extend(&rgb[33..]);
        file
    };
    let (giant, long) = (claiming(0x7fff_ffff, 0x7fff_ffff), claiming(8, 16_385));
    let cases: &[(&str, &[u8], &str)] = &[
        ("a.jpg", b"", "an empty file"),
        ("a.jpg", b"GIF88a", "expected a JPEG, PNG, BMP, TIFF, WebP, PPM or GIF image"),
        ("a.jpg", &colour[..colour.len() / 2], "a JPEG image that decodes"),
        ("a.jpg", &colour[..100], "a JPEG image that decodes"),
        ("a.jpg", &colour[..4], "a JPEG image that decodes"),
        ("a.png", &rgb[..rgb.len() / 2], "a PNG image that decodes"),
        ("a.png", &rgb[..20], "a PNG image that decodes"),
        ("a.png", &crc, "a PNG image that decodes"),
        ("a.png", &giant, "a PNG image that decodes"),
        ("a.png", &long, "8×16385 pixels; at most 16384×16384 are read"),
    ];
    for (name, bytes, needle) in cases {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path().join("class").join(name), bytes);
        refused(Folder, dir.path(), Split::Test, Some(8), &[name, needle]);
    }
    let dir = tempfile::tempdir().unwrap();
    refused(Folder, dir.path(), Split::Test, Some(8), &["class sub-folders with images", "none"]);
    refused(Folder, &dir.path().join("nowhere"), Split::Test, Some(8), &["nowhere", "no such folder"]);
    fs::create_dir(dir.path().join("empty")).unwrap();
    refused(Folder, dir.path(), Split::Test, Some(8), &["empty", "images", "none"]);
}

#[test]
fn without_an_image_size_all_must_have_one() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path().join("a/1.jpg"), golden_bytes("colour.jpg"));
    write(dir.path().join("a/2.jpg"), golden_bytes("grey.jpg"));
    assert_eq!(load(Folder, Some(dir.path()), Split::Test, None).unwrap().shape, [3, 64, 64]);
    write(dir.path().join("b/3.png"), golden_bytes("rgb.png"));
    let needles = ["3.png", "64×64", "--image-size", "found 101×67"];
    refused(Folder, dir.path(), Split::Test, None, &needles);
    for size in [0, 4097] {
        usage(load(Folder, Some(dir.path()), Split::Test, Some(size)), &["--image-size", "1 to 4096"]);
    }
}

/// PNG's CRC-32.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}
