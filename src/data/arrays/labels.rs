//! Arrays of labels, and of the names of classes.

use super::npy::{Array, Element};
use crate::error::{Error, Result};
use std::path::Path;

/// The labels of an array of integers, `[N]` or `[N, 1]`.
pub(super) fn read(path: &Path, array: &Array) -> Result<Vec<u16>> {
    let spec = &array.spec;
    let place = format!("array `{}`", spec.name.escape_debug());
    let (size, signed) = match (&spec.element, spec.shape.as_slice()) {
        (Element::Int(size), [count, 1] | [count]) if *count > 0 => (*size, true),
        (Element::Uint(size), [count, 1] | [count]) if *count > 0 => (*size, false),
        _ => {
            let expected = "labels: integers of shape [N] or [N, 1], one per image";
            return Err(Error::input(path, place, expected, spec.describe()));
        }
    };
    let mut labels = Vec::with_capacity(array.bytes.len() / size);
    for (index, bytes) in array.bytes.chunks_exact(size).enumerate() {
        let value = integer(bytes, signed, spec.big_endian);
        match u16::try_from(value) {
            Ok(label) if label < u16::MAX => labels.push(label),
            _ => {
                let place = format!("{place}, label {index}");
                return Err(Error::input(path, place, format_args!("0 to {}", u16::MAX - 1), value));
            }
        }
    }
    Ok(labels)
}

/// How many classes labels need.
pub(super) fn count(labels: &[u16]) -> usize {
    labels.iter().max().map_or(0, |&label| usize::from(label) + 1)
}

/// The names of the classes, of which `needed` occur.
pub(super) fn names(path: &Path, array: &Array, needed: usize) -> Result<Vec<String>> {
    let spec = &array.spec;
    let place = format!("array `{}`", spec.name.escape_debug());
    let fault = |expected: &str, found: String| Error::input(path, &place, expected, found);
    let (Some(size @ 1..), [_]) = (spec.element.size(), spec.shape.as_slice()) else {
        return Err(fault("class names: text of shape [classes]", spec.describe()));
    };
    let mut names = Vec::new();
    for bytes in array.bytes.chunks_exact(size) {
        let name = match spec.element {
            Element::Text(_) => bytes
                .chunks_exact(4)
                .map(|character| integer(character, false, spec.big_endian))
                .take_while(|&code| code != 0)
                .map(|code| u32::try_from(code).ok().and_then(char::from_u32))
                .collect::<Option<String>>(),
            _ => {
                let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
                String::from_utf8(bytes[..end].to_vec()).ok()
            }
        };
        names.push(name.ok_or_else(|| {
            fault("class names in Unicode", format!("name {} of other bytes", names.len()))
        })?);
    }
    if names.len() < needed || names.len() > usize::from(u16::MAX) {
        let expected = format!("{needed} or more class names, as the labels need (at most {})", u16::MAX);
        return Err(fault(&expected, names.len().to_string()));
    }
    Ok(names)
}

/// An integer of one to eight bytes.
pub(super) fn integer(bytes: &[u8], signed: bool, big_endian: bool) -> i128 {
    let bits = 8 * bytes.len() as u32;
    let push = |value: i128, &byte: &u8| value << 8 | i128::from(byte);
    let value = if big_endian { bytes.iter().fold(0, push) } else { bytes.iter().rev().fold(0, push) };
    if signed && bits > 0 && value >> (bits - 1) & 1 == 1 { value - (1 << bits) } else { value }
}
