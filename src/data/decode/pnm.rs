//! PBM, PGM and PPM, as bytes (P4 to P6) and as text (P1 to P3), one image.

use super::decoded::{Decoded, Outcome, Remark, TRUNCATED, check_size};

pub(super) fn decode(bytes: &[u8]) -> Outcome<Decoded> {
    let kind = *bytes.get(1).ok_or(TRUNCATED)?;
    let mut text = Text { bytes: bytes.get(2..).ok_or(TRUNCATED)? };
    let (width, height) = (text.number()? as usize, text.number()? as usize);
    let channels = if matches!(kind, b'3' | b'6') { 3 } else { 1 };
    let largest = if matches!(kind, b'1' | b'4') { 1 } else { text.number()? };
    if !(1..65_536).contains(&largest) {
        return Err(format!("a largest value of {largest}; 1 to 65535 are read"));
    }
    check_size(width, height, if kind == b'4' { 1 } else { 8 * channels }, bytes.len())?;
    let count = width * height * channels;
    let mut samples = Vec::new();
    match kind {
        b'1' => {
            for _ in 0..count {
                samples.push(255 * (1 - text.digit()?));
            }
        }
        b'4' => {
            let rows = text.bytes.get(1..).ok_or(TRUNCATED)?.chunks_exact(width.div_ceil(8));
            if rows.len() < height {
                return Err(TRUNCATED.into());
            }
            for row in rows.take(height) {
                samples.extend((0..width).map(|x| if row[x / 8] << (x % 8) & 128 == 0 { 255 } else { 0 }));
            }
        }
        b'2' | b'3' => {
            let deep = largest > 255 && channels == 1;
            for _ in 0..count {
                let value = text.number()?;
                if value > largest {
                    return Err(format!("a value of {value} above the largest, {largest}"));
                }
                samples.push(scaled(value, largest, deep));
            }
        }
        _ => {
            let deep = largest > 255 && channels == 1;
            let width = if largest > 255 { 2 } else { 1 };
            let raw = text.bytes.get(1..).and_then(|raw| raw.get(..count * width)).ok_or(TRUNCATED)?;
            let value = |raw: &[u8]| raw.iter().fold(0, |value, &byte| value << 8 | u32::from(byte));
            samples.extend(raw.chunks_exact(width).map(|raw| scaled(value(raw), largest, deep)));
        }
    }
    let pixels = if channels == 3 { samples } else { samples.iter().flat_map(|&grey| [grey; 3]).collect() };
    let remark = (largest > 255 && channels == 1).then_some(Remark::DeepGrey);
    Ok(Decoded { width, height, pixels, remark })
}

/// A value as Pillow scales it, in Python's numbers; grey of more than 8 bits is scaled to 16 and cut.
fn scaled(value: u32, largest: u32, deep: bool) -> u8 {
    let whole = if deep { 65_535.0 } else { 255.0 };
    (f64::from(value) / f64::from(largest) * whole).round_ties_even().min(255.0) as u8
}

/// Numbers in text, between spaces and comments.
struct Text<'a> {
    bytes: &'a [u8],
}

impl Text<'_> {
    fn skip(&mut self) {
        while let Some((&first, rest)) = self.bytes.split_first() {
            self.bytes = match first {
                b'\t'..=b'\r' | b' ' => rest,
                b'#' => {
                    let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
                    end.map_or(&[], |end| &rest[end..])
                }
                _ => return,
            };
        }
    }

    /// The next number; the byte after it stays.
    fn number(&mut self) -> Outcome<u32> {
        self.skip();
        let digits = self.bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.bytes.split_at(digits);
        let ended = rest.first().is_none_or(|byte| byte.is_ascii_whitespace() || matches!(byte, b'#' | 0x0b));
        self.bytes = rest;
        let number = std::str::from_utf8(number).ok().filter(|_| ended && digits <= 10);
        number.and_then(|number| number.parse().ok()).ok_or_else(|| match self.bytes {
            [] => TRUNCATED.into(),
            _ => "something else where a number should stand".into(),
        })
    }

    /// The next digit 0 or 1, spaces or not.
    fn digit(&mut self) -> Outcome<u8> {
        self.skip();
        match self.bytes.split_first() {
            Some((&digit @ (b'0' | b'1'), rest)) => {
                self.bytes = rest;
                Ok(digit - b'0')
            }
            Some(_) => Err("something else where 0 or 1 should stand".into()),
            None => Err(TRUNCATED.into()),
        }
    }
}
