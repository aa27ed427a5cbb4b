//! What a file is that is no image of the formats that are read, in words for an error message.

/// Formats by their first bytes.
const BEGINNINGS: [(&[u8], &str); 28] = [
    (b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"II\xbc", "a JPEG XR image"),
    (b"II\x2b\0", "a BigTIFF image"),
    (b"MM\0\x2b", "a BigTIFF image"),
    (b"8BPS", "a Photoshop document (PSD)"),
    (b"<svg", "an SVG drawing"),
    (b"\0\0\x01\0", "an icon (ICO)"),
    (b"qoif", "a QOI image"),
    (b"\x76\x2f\x31\x01", "an OpenEXR image"),
    (b"#?RADIANCE", "a Radiance HDR image"),
    (b"DDS ", "a DDS texture"),
    (b"FUJIFILMCCD-RAW", "a camera's raw image"),
    (b"IIRO", "a camera's raw image"),
    (b"IIU\0", "a camera's raw image"),
    (b"Pf\n", "a PFM image"),
    (b"PF\n", "a PFM image"),
    (b"P7\n", "a PAM image"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"SIMPLE  =", "a FITS image"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
    (b"version https://git-lfs", "a Git LFS pointer, which stands for a file that was not downloaded"),
    (b"%!PS", "a PostScript document"),
];

/// Names the format of a file by its first bytes.
pub(super) fn name(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "an empty file".into();
    }
    if bytes.iter().all(|&byte| byte == 0) {
        return "a file of zeros".into();
    }
    if let Some((_, name)) = BEGINNINGS.iter().find(|(beginning, _)| bytes.starts_with(beginning)) {
        return (*name).into();
    }
    if bytes.get(4..8) == Some(b"ftyp") {
        return match bytes.get(8..12).unwrap_or_default() {
            b"avif" | b"avis" => "an AVIF image",
            b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1" => "a HEIC image",
            b"crx " => "a camera's raw image",
            _ => "a film (MP4 or QuickTime)",
        }
        .into();
    }
    text(bytes).unwrap_or_else(|| format!("{:02x?}", &bytes[..bytes.len().min(4)]))
}

/// What kind of text it is, if it is text.
fn text(bytes: &[u8]) -> Option<String> {
    let beginning = &bytes[..bytes.len().min(512)];
    // The cut may fall within a character.
    let text = match std::str::from_utf8(beginning) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&beginning[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
        return None;
    }
    let lower = text.to_lowercase();
    if lower.contains("<svg") {
        return Some("an SVG drawing".into());
    }
    if lower.starts_with("<!doctype html") || lower.contains("<html") {
        return Some("an HTML page, as servers send in place of a file".into());
    }
    let line: String = text.lines().next().unwrap_or_default().chars().take(40).collect();
    Some(format!("text ({line:?})"))
}
