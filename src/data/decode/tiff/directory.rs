//! The directory of a TIFF file: numbers by tag.

use super::super::decoded::{Outcome, TRUNCATED};

/// The first directory of a file.
pub(super) struct Directory<'a> {
    bytes: &'a [u8],
    pub big_endian: bool,
    /// 12 bytes each.
    entries: &'a [[u8; 12]],
}

impl<'a> Directory<'a> {
    pub fn first(bytes: &'a [u8]) -> Outcome<Self> {
        let mut directory = Self { bytes, big_endian: bytes.starts_with(b"MM"), entries: &[] };
        let at = directory.value(bytes.get(4..8).ok_or(TRUNCATED)?);
        let rest = bytes.get(at..).ok_or(TRUNCATED)?;
        let (count, rest) = rest.split_at_checked(2).ok_or(TRUNCATED)?;
        let entries = rest.get(..12 * directory.value(count)).ok_or(TRUNCATED)?;
        directory.entries = entries.as_chunks().0;
        Ok(directory)
    }

    /// The number in up to four bytes.
    fn value(&self, bytes: &[u8]) -> usize {
        let add = |value, byte: &u8| value << 8 | usize::from(*byte);
        if self.big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
    }

    /// The whole numbers under a tag; `Err` if there is something else.
    pub fn numbers(&self, tag: usize) -> Outcome<Option<Vec<usize>>> {
        let Some(entry) = self.entries.iter().find(|entry| self.value(&entry[..2]) == tag) else {
            return Ok(None);
        };
        let size = match self.value(&entry[2..4]) {
            1 => 1,
            3 => 2,
            4 => 4,
            other => return Err(format!("values of type {other} under tag {tag}")),
        };
        let length = self.value(&entry[4..8]).checked_mul(size).ok_or(TRUNCATED)?;
        let bytes = if length <= 4 {
            &entry[8..8 + length]
        } else {
            let rest = self.bytes.get(self.value(&entry[8..])..).ok_or(TRUNCATED)?;
            rest.get(..length).ok_or(TRUNCATED)?
        };
        Ok(Some(bytes.chunks_exact(size).map(|bytes| self.value(bytes)).collect()))
    }

    /// The first number under a tag.
    pub fn number(&self, tag: usize) -> Outcome<Option<usize>> {
        Ok(self.numbers(tag)?.and_then(|numbers| numbers.first().copied()))
    }

    /// The colours of a palette: all reds, all greens, all blues, of 16 bits.
    pub fn palette(&self, bits: usize) -> Outcome<Vec<[u8; 3]>> {
        let values = self.numbers(320)?.filter(|values| values.len() == 3 << bits);
        let values = values.ok_or("a palette that is missing or has a wrong length")?;
        let colour = |index| [0usize, 1, 2].map(|band| (values[(band << bits) + index] / 256) as u8);
        Ok((0..1 << bits).map(colour).collect())
    }
}
