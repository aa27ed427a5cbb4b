//! Image files to 8-bit RGB, three bytes per pixel, as torchvision's default loader gives them, which is Pillow
//! (`Image.open(..).convert("RGB")`): grey is repeated in the three channels, a palette is looked up, an alpha channel
//! is dropped without blending, of 16 bits of a colour the upper 8 are kept, an EXIF orientation is not applied
//! (TIFF's is, as in Pillow).
//!
//! | module | what it decodes |
//! |---|---|
//! | [`jpeg`] | JPEG, with a decoder of the program's own, for exactly the pixels of libjpeg-turbo |
//! | [`png`] | PNG, with a decoder of the program's own, for what Pillow takes for a whole file |
//! | [`bmp`] | BMP |
//! | [`pnm`] | PBM, PGM, PPM, as bytes and as text |
//! | [`tiff`] | TIFF, not compressed, or by LZW, deflate or PackBits |
//! | [`compact`] | GIF, its first frame; WebP |
//! | [`names`] | nothing: it names what a file is that is not read |
//!
//! Pixels are Pillow 13.0's bit for bit, tested for every format. **16-bit grey** (PNG, TIFF, PGM) is the odd one: Pillow
//! does not scale it, but makes every value above 255 white. A network that was trained through torchvision's loader saw
//! such images, so they are read like that here too, which is told.

mod bmp;
mod compact;
mod decoded;
mod jpeg;
mod names;
mod png;
mod pnm;
mod tiff;

pub(super) use decoded::Remark;

use crate::error::{Error, Result};
use decoded::{Decoded, Outcome};
use std::fs;
use std::path::Path;

/// A decoded image, `[H, W, 3]`.
#[derive(Debug)]
pub(super) struct Rgb {
    pub width: usize,
    pub height: usize,
    pub pixels: Vec<u8>,
    /// What the user is told about it.
    pub remarks: Vec<Remark>,
}

impl Rgb {
    /// Writes the pixels as `[3, H, W]` to `planes`, which has just this size.
    pub(super) fn write_planes(&self, planes: &mut [u8]) {
        for (channel, plane) in planes.chunks_exact_mut(self.width * self.height).enumerate() {
            for (to, from) in plane.iter_mut().zip(self.pixels.chunks_exact(3)) {
                *to = from[channel];
            }
        }
    }
}

/// Decodes the bytes of a file.
type Decoder = fn(&[u8]) -> Outcome<Decoded>;

/// Reads and decodes a file; which format it has is told by its first bytes, not by its name. Links are followed; what is no
/// regular file, such as a pipe, is refused, for reading it may never end.
pub(super) fn read_image(path: &Path) -> Result<Rgb> {
    let kind = fs::metadata(path).map_err(Error::read(path))?.file_type();
    if !kind.is_file() {
        let found = if kind.is_dir() { "a folder" } else { "a pipe, socket or device" };
        return Err(Error::input(path, "image", "a regular file", found));
    }
    let bytes = fs::read(path).map_err(Error::read(path))?;
    let (format, decode): (_, Decoder) = match bytes.as_slice() {
        [0xff, 0xd8, 0xff, ..] => ("JPEG", jpeg::decode),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => ("PNG", png::decode),
        [b'B', b'M', ..] => ("BMP", bmp::decode),
        [b'P', b'1'..=b'6', b'\t'..=b'\r' | b' ' | b'#', ..] => ("PBM, PGM or PPM", pnm::decode),
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => ("TIFF", tiff::decode),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => ("WebP", compact::decode_webp),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => ("GIF", compact::decode_gif),
        _ => {
            let expected = "a JPEG, PNG, BMP, TIFF, WebP, PPM or GIF image";
            return Err(Error::input(path, "byte 0", expected, names::name(&bytes)));
        }
    };
    let broken = |what| Error::input(path, "image data", format_args!("a {format} image that decodes"), what);
    let image = decode(&bytes).map_err(broken)?;
    let other = (!is_named(path, format)).then_some(Remark::OtherFormat(format));
    let remarks = image.remark.into_iter().chain(other).collect();
    Ok(Rgb { width: image.width, height: image.height, pixels: image.pixels, remarks })
}

/// Whether a file's name says this format, or none that is read.
fn is_named(path: &Path, format: &str) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    match extension.as_str() {
        "jpg" | "jpeg" => format == "JPEG",
        "png" => format == "PNG",
        "bmp" => format == "BMP",
        "ppm" | "pgm" => format.starts_with("PBM"),
        "tif" | "tiff" => format == "TIFF",
        "webp" => format == "WebP",
        "gif" => format == "GIF",
        _ => true,
    }
}
