//! Every kind of image file against Pillow's pixels, bit for bit: the files and digests of tests/golden/pixels/make.py.

use crate::support::{real_data, refused, write};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use synfilter::data::DatasetKind::{Folder, TinyImagenet};
use synfilter::data::{Images, Prepare, Request, Split, load, open};

fn at(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pixels").join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(at(name)).unwrap()
}

/// A file as a folder data set of its own.
fn load_bytes(name: &str, content: &[u8]) -> synfilter::Result<Images> {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path().join("class").join(name), content);
    load(Folder, Some(dir.path()), Split::Test, None)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_kind_of_file_decodes_to_pillows_pixels() {
    let list = fs::read_to_string(at("pixels.txt")).unwrap();
    let mut wrong = Vec::new();
    for line in list.lines() {
        let [name, width, height, digest] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        match load_bytes(name, &bytes(name)) {
            Ok(images) => {
                let size = images.shape[1] * images.shape[2];
                let pixel = |at| [0, 1, 2].map(|channel| images.pixels[channel * size + at]);
                let pixels: Vec<u8> = (0..size).flat_map(pixel).collect();
                let shape = [3, height.parse().unwrap(), width.parse().unwrap()];
                if (images.shape, hex(&Sha256::digest(pixels)).as_str()) != (shape, digest) {
                    wrong.push(format!("{name}: other pixels"));
                }
            }
            Err(error) => wrong.push(error.to_string()),
        }
    }
    assert!(wrong.is_empty(), "{} of {} files:\n{}", wrong.len(), list.lines().count(), wrong.join("\n"));
    assert!(list.lines().count() > 130);
}

/// All 7,000 JPEG files of the part of Tiny ImageNet, through torchvision's `ImageFolder`.
#[test]
fn tiny_imagenets_pixels_are_pillows() {
    let Some(dir) = real_data("tiny-imagenet-subset.tar") else { return };
    for (split, digest) in [
        (Split::Train, "f11cdb4d9a7f9ed42a044998af389776e0ccfef62ea149a4db08fec7720469f3"),
        (Split::Test, "35fe6840d76dde8b9f5555fdf5803f1689b5a1a2c6145a9724e48eeb12ed3719"),
    ] {
        let images = load(TinyImagenet, Some(dir.path()), split, None).unwrap();
        assert_eq!(hex(&Sha256::digest(&images.pixels)), digest, "{split}, {} images", images.len());
    }
}

#[test]
fn a_cut_file_is_refused_wherever_it_is_cut() {
    for name in [
        "baseline_420.jpg",
        "progressive_422.jpg",
        "grey_progressive.jpg",
        "restart_blocks.jpg",
        "palette_transparent.png",
        "rgb_lossy.webp",
        "rgb_lossless.webp",
        "rgb.bmp",
        "runs_8.bmp",
        "tiff_lzw.tif",
        "tiff_adobe_deflate.tif",
        "packbits.tif",
        "planes.tif",
        "rgb.ppm",
        "palette.gif",
    ] {
        let whole = bytes(name);
        // PNG's, GIF's and WebP's last bytes say nothing of pixels.
        for length in (0..whole.len() - 24).step_by(7) {
            if let Ok(images) = load_bytes(name, &whole[..length]) {
                panic!("{name}: {length} of {} bytes gave {:?}", whole.len(), images.shape);
            }
        }
    }
    // JPEG files that lack nothing but the end marker.
    for name in ["baseline_444.jpg", "progressive_444.jpg"] {
        let whole = bytes(name);
        let error = load_bytes(name, &whole[..whole.len() - 2]).unwrap_err();
        assert!(error.to_string().contains("a truncated file"), "{error}");
        assert_eq!(error.exit_code(), 3);
    }
}

/// Chunks of a PNG file with right check values.
fn png(chunks: &[(&str, &[u8])]) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, content) in chunks {
        let body = [name.as_bytes(), content].concat();
        let mut check = flate2::Crc::new();
        check.update(&body);
        file.extend((content.len() as u32).to_be_bytes());
        file.extend(body);
        file.extend(check.sum().to_be_bytes());
    }
    file
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// As Pillow 13 refuses them, but for the animation.
#[test]
fn png_files_that_pillow_refuses_are_refused() {
    let header = |kind: u8, filtering: u8| [0, 0, 0, 2, 0, 0, 0, 1, 8, kind, 0, filtering, 0];
    let grey = header(0, 0);
    let data = deflated(&[0, 1, 2]);
    let changed = |mut file: Vec<u8>, from_end: usize| {
        let at = file.len() - from_end;
        file[at] ^= 1;
        file
    };
    let whole = [("IHDR", &grey[..]), ("IDAT", &data), ("IEND", &[])];
    assert!(load_bytes("a.png", &png(&whole)).is_ok());
    let frame = [&[0; 4][..], &[0, 0, 0, 1, 0, 0, 0, 1], &[0; 14]].concat();
    let text = png(&[("IHDR", &grey), ("IDAT", &data), ("tEXt", b"a\0b")]);
    let cases: &[(Vec<u8>, &str)] = &[
        (changed(png(&[("IHDR", &grey)]), 1), "a wrong check value of its chunk IHDR"),
        (
            [changed(png(&[("IHDR", &grey), ("tEXt", b"a\0b")]), 1), png(&whole)[33..].to_vec()].concat(),
            "a wrong check value of its chunk tEXt",
        ),
        // The sum at the end of the compressed data.
        (changed(png(&whole), 12 + 4 + 1), "broken compressed data"),
        (png(&[("IHDR", &grey), ("IDAT", &data[..data.len() - 6]), ("IEND", &[])]), "a truncated file"),
        (text[..text.len() - 5].to_vec(), "a truncated file"),
        (
            png(&[("IHDR", &grey), ("IDAT", &data[..4]), ("tEXt", b""), ("IDAT", &data[4..])]),
            "a truncated file",
        ),
        (png(&[("IHDR", &grey), ("IEND", &[])]), "no image data"),
        (png(&[("IDAT", &data)]), "no header"),
        (png(&[("IHDR", &grey[..12]), ("IDAT", &data)]), "a header that is too short"),
        (png(&[("IHDR", &header(5, 0)), ("IDAT", &data)]), "colours of kind 5 with 8 bits"),
        (png(&[("IHDR", &header(0, 1)), ("IDAT", &data)]), "an unknown way of filtering, 1"),
        (png(&[("IHDR", &grey), ("IDAT", &deflated(&[9, 1, 2]))]), "an unknown filter, 9"),
        (png(&[("IHDR", &header(3, 0)), ("PLTE", &[0; 771]), ("IDAT", &data)]), "a palette of 257 colours"),
        (
            png(&[("IHDR", &grey), ("fcTL", &frame), ("IDAT", &data)]),
            "an animation whose first image is smaller",
        ),
        (png(&[("IHDR", &grey), ("a-b?", &[]), ("IDAT", &data)]), "a truncated file"),
    ];
    for (content, needle) in cases {
        let error = load_bytes("a.png", content).expect_err(needle);
        assert!(error.to_string().contains(needle), "{needle}: {error}");
        assert_eq!(error.exit_code(), 3);
    }
}

/// What is got over is told and recorded, and so is what 16-bit grey becomes.
#[test]
fn oddities_are_among_the_notes() {
    let dir = tempfile::tempdir().unwrap();
    let notes = |names: &[&str]| {
        let class = dir.path().join("class");
        let _ = fs::remove_dir_all(&class);
        names.iter().for_each(|name| write(class.join(name), bytes(name)));
        let prepare = Prepare { resize: Some(8), crop: Some(8), ..Prepare::default() };
        let request = Request { prepare, ..Request::new(Folder, Some(dir.path().to_owned()), Split::Test) };
        open(&request).unwrap().1.notes.join("\n")
    };
    assert_eq!(notes(&["rgb.bmp"]), "");
    let two = notes(&["early_end.jpg", "no_end.png", "rgb.bmp"]);
    for needle in [
        "2 images are damaged",
        "early_end.jpg (the data of a scan end early)",
        "no_end.png (its end is missing)",
    ] {
        assert!(two.contains(needle), "{two}");
    }
    let four = notes(&["early_end.jpg", "few_rows.png", "wrong_check_value.png", "cut_end.png"]);
    let needles = ["4 images are damaged", "the rest is taken for zeros", ", …"];
    assert!(needles.iter().all(|needle| four.contains(needle)), "{four}");
    let deep = notes(&["grey_16.png", "grey_16.tif", "grey_65535.pgm", "rgb.bmp"]);
    assert!(deep.contains("3 images are 16-bit grey: values above 255 are white"), "{deep}");
    let misnamed = |names: &[(&str, &str)]| {
        let dir = tempfile::tempdir().unwrap();
        names.iter().for_each(|(name, content)| write(dir.path().join("class").join(name), bytes(content)));
        let request = Request::new(Folder, Some(dir.path().to_owned()), Split::Test);
        open(&request).unwrap().1.notes.join("\n")
    };
    assert_eq!(
        misnamed(&[("a.PNG", "rgb.bmp"), ("b.bmp", "rgb.bmp"), ("c.jpeg", "rgb.bmp")]).split(':').next(),
        Some("2 images are of another format than the name says")
    );
    let one = misnamed(&[("zz.jpg", "rgb_lossy.webp")]);
    assert!(one.ends_with("zz.jpg (WebP)"), "{one}");
}

/// Bytes that are changed anywhere give some pixels or an error, never a panic.
#[test]
fn broken_files_do_no_harm() {
    let list = fs::read_to_string(at("pixels.txt")).unwrap();
    let mut state = 1u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let dir = tempfile::tempdir().unwrap();
    let (mut decoded, mut refused) = (0, 0);
    for name in list.lines().filter_map(|line| line.split(' ').next()) {
        let path = dir.path().join("class").join(name);
        for _ in 0..20 {
            let mut content = bytes(name);
            for _ in 0..=random(4) {
                let at = random(content.len());
                match random(3) {
                    0 => content[at] ^= 1 << random(8),
                    1 => content[at] = random(256) as u8,
                    _ => drop(content.drain(at..content.len().min(at + 1 + random(9)))),
                }
            }
            write(&path, content);
            match load(Folder, Some(dir.path()), Split::Test, None) {
                Ok(_) => decoded += 1,
                Err(error) => {
                    assert_eq!((error.exit_code(), error.to_string().lines().count()), (3, 1), "{error}");
                    refused += 1;
                }
            }
        }
        fs::remove_file(path).unwrap();
    }
    println!("{decoded} decoded, {refused} refused");
    assert!(decoded > 100 && refused > 100);
}

#[test]
fn what_is_not_read_is_named() {
    let frame = |marker: u8, bits: u8| {
        let mut file = bytes("baseline_444.jpg");
        let at = file.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        file[at + 1] = marker;
        file[at + 4] = bits;
        file
    };
    let tag = |file: &str, tag: u16, value: u8| {
        let mut file = bytes(file);
        let entry = [tag.to_le_bytes(), 4u16.to_le_bytes()].concat();
        let at = file.windows(4).position(|bytes| bytes == entry).unwrap();
        file[at + 8] = value;
        file
    };
    // The last scan of a progressive file again and again.
    let mut scans = bytes("grey_progressive.jpg");
    let last = scans.windows(2).rposition(|pair| pair == [0xff, 0xda]).unwrap();
    let scan = scans[last..scans.len() - 2].to_vec();
    scans.truncate(last);
    scans.extend(scan.repeat(501));
    // As in libjpeg-turbo, components come in the frame's order.
    let mut other_order = bytes("baseline_444.jpg");
    let scan = other_order.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    other_order.swap(scan + 5, scan + 7);
    let mut greys = bytes("palette_4.bmp");
    (0..16u8).for_each(|grey| greys[54 + 4 * usize::from(grey)..][..3].fill(grey));
    let film = b"\0\0\0\x20ftypisom....".as_slice();
    let cases: &[(&[u8], &str)] = &[
        (b"", "found an empty file"),
        (&[0; 100], "a file of zeros"),
        (b"\0\0\0\x1cftypavif\0\0", "found an AVIF image"),
        (b"\0\0\0\x1cftypheic\0\0", "found a HEIC image"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "found a JPEG 2000 image"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "found a JPEG XL image"),
        (film, "found a film"),
        (b"8BPS\0\x01", "found a Photoshop document"),
        (b"<?xml version=\"1.0\"?>\n<svg xmlns=", "found an SVG drawing"),
        (b"\n<!DOCTYPE html><title>404", "found an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "found a Git LFS pointer"),
        ("Zugriff verweigert: für Fremde\n".as_bytes(), "found text (\"Zugriff verweigert: für Fremde\")"),
        (b"\x01\x02\x03\x04\x05", "found [01, 02, 03, 04]"),
        (b"GIF88a", "expected a JPEG, PNG, BMP, TIFF, WebP, PPM or GIF image"),
        (&frame(0xc9, 8), "arithmetic coding"),
        (&frame(0xc3, 8), "a lossless or hierarchical file"),
        (&frame(0xc1, 12), "12 bits per sample"),
        (&scans, "more than 500 scans"),
        (&other_order, "which is not there, or not in this order"),
        (&greys, "a palette of plain greys with 4 bits per pixel"),
        (&tag("tiles.tif", 259, 7), "JPEG within TIFF"),
        (&tag("tiles.tif", 259, 4), "fax compression"),
        (&tag("planes.tif", 262, 6), "YCbCr samples"),
    ];
    for (content, needle) in cases {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path().join("class/a.jpg"), content);
        refused(Folder, dir.path(), Split::Test, None, &["a.jpg", needle]);
    }
}

/// A header may claim any size: nothing of that size is allocated.
#[test]
fn claimed_sizes_are_bounded() {
    let patched = |name: &str, at: usize, with: &[u8]| {
        let mut file = bytes(name);
        file[at..at + with.len()].copy_from_slice(with);
        file
    };
    let jpeg = bytes("grey.jpg").windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap() + 5;
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("grey.jpg", patched("grey.jpg", jpeg, &[0x40, 1, 0, 9]), "9×16385 pixels; at most 16384×16384"),
        ("grey.jpg", patched("grey.jpg", jpeg, &[0x40, 0, 0x40, 0]), "a truncated file"),
        ("rgb.bmp", patched("rgb.bmp", 18, &[0, 0x40, 0, 0, 0, 0x40]), "a truncated file"),
        ("rgb.bmp", patched("rgb.bmp", 18, &[255, 255, 255, 127]), "at most 16384×16384"),
        ("palette.gif", patched("palette.gif", 6, &[0, 0x40, 0, 0x40]), "a truncated file"),
        ("a.ppm", b"P6 16384 16384 255\n....".to_vec(), "a truncated file"),
        ("a.ppm", b"P3 16384 16384 255\n1 2 3".to_vec(), "a truncated file"),
        ("a.ppm", b"P6 99999999999 1 255\n".to_vec(), "where a number should stand"),
        ("a.pgm", b"P5 3 0 255\n".to_vec(), "without pixels"),
        ("a.pgm", b"P5 3 1 65536\n......".to_vec(), "largest value of 65536"),
        ("a.pgm", b"P2 3 1 9\n1 10 1".to_vec(), "a value of 10 above the largest, 9"),
    ];
    for (name, content, needle) in cases {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path().join("class").join(name), content);
        refused(Folder, dir.path(), Split::Test, None, &[name, needle]);
    }
}
