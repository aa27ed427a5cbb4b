//! What all decoders share: what they give, what they tell of a file, and the limits that its header is held to.

/// Longest side that is decoded: a header must not be able to ask for any amount of memory.
pub(super) const MAX_SIDE: usize = 16_384;
/// No compression that is read here makes more bytes of one; what claims more is cut off.
const MAX_EXPANSION: usize = 4096;
/// What is wrong with a file that ends too early.
pub(super) const TRUNCATED: &str = "a truncated file";

/// `Err` says what is wrong with a file.
pub(super) type Outcome<T> = std::result::Result<T, String>;

/// What a decoder gives.
pub(super) struct Decoded {
    pub width: usize,
    pub height: usize,
    pub pixels: Vec<u8>,
    pub remark: Option<Remark>,
}

/// What the user is told about a file that was decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) enum Remark {
    /// Something is wrong with it, but could be got over.
    Oddity(&'static str),
    /// It is 16-bit grey.
    DeepGrey,
    /// It has this format, of which its name says another.
    OtherFormat(&'static str),
}

/// Holds a header to the limits. `bits`: of a pixel in the file before compression; 0 where nothing is known.
pub(super) fn check_size(width: usize, height: usize, bits: usize, file_size: usize) -> Outcome<()> {
    if width == 0 || height == 0 {
        return Err("an image without pixels".into());
    }
    if width > MAX_SIDE || height > MAX_SIDE {
        return Err(format!("{width}×{height} pixels; at most {MAX_SIDE}×{MAX_SIDE} are read"));
    }
    if (width * bits).div_ceil(8) * height > file_size.saturating_mul(MAX_EXPANSION) {
        return Err(format!("a truncated file: {file_size} bytes cannot hold {width}×{height} pixels"));
    }
    Ok(())
}

/// What an ink leaves of the light that black leaves: Pillow's rounded product.
pub(super) fn without(ink: u8, light: u8) -> u8 {
    let product = u32::from(ink) * u32::from(light) + 128;
    light - ((product + (product >> 8)) >> 8) as u8
}

/// A decoder's message on one line: error messages are one line long.
pub(super) fn one_line(error: impl std::fmt::Display) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
