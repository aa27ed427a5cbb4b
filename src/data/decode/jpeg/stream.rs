//! The bytes of a JPEG file as markers, segments and bits.
//!
//! Entropy-coded data end at a marker; what is asked for beyond it is zeros, and [`Stream::starved`] says so from then
//! on, as in libjpeg, where the rest of such a part stays as it is. The end of the file without a marker is an error.

use super::super::decoded::Outcome;
use super::huffman::{Huffman, signed};

/// Why a file that just ends is not decoded.
const TRUNCATED: &str = "a truncated file: the data end without an end marker";
/// Bits that one symbol and its value take at most: 17 (a code that is in no table) and 15.
const WANTED: u32 = 32;

pub(super) struct Stream<'a> {
    data: &'a [u8],
    at: usize,
    /// A marker that was met and not yet dealt with, 0 for none.
    marker: u8,
    /// Bits read ahead, the next one topmost, with zeros below.
    window: u64,
    count: u32,
    /// The file's end was met where entropy-coded data were read.
    ended: bool,
    /// Bits were asked for that the data before a marker do not have.
    pub starved: bool,
    /// The first thing that is not as it should be, but was got over.
    pub oddity: Option<&'static str>,
}

impl<'a> Stream<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, marker: 0, window: 0, count: 0, ended: false, starved: false, oddity: None }
    }

    pub fn note(&mut self, oddity: &'static str) {
        self.oddity.get_or_insert(oddity);
    }

    /// The pending marker or the next one in the file; bytes in between are passed over with a note.
    pub fn next_marker(&mut self) -> Outcome<u8> {
        if self.marker == 0 {
            self.find_marker()?;
        }
        Ok(std::mem::take(&mut self.marker))
    }

    fn find_marker(&mut self) -> Outcome<()> {
        let mut stray = false;
        loop {
            let mut byte = self.byte()?;
            while byte != 0xff {
                stray = true;
                byte = self.byte()?;
            }
            while byte == 0xff {
                byte = self.byte()?;
            }
            if byte != 0 {
                self.marker = byte;
                break;
            }
            stray = true;
        }
        if stray {
            self.note("stray bytes before a marker");
        }
        Ok(())
    }

    fn byte(&mut self) -> Outcome<u8> {
        let byte = *self.data.get(self.at).ok_or(TRUNCATED)?;
        self.at += 1;
        Ok(byte)
    }

    /// The content of the segment that begins here with its length.
    pub fn segment(&mut self) -> Outcome<&'a [u8]> {
        let length = usize::from(u16::from_be_bytes([self.byte()?, self.byte()?])).saturating_sub(2);
        let content = self.data.get(self.at..self.at + length).ok_or(TRUNCATED)?;
        self.at += length;
        Ok(content)
    }

    /// Entropy-coded data begin here.
    pub fn begin_scan(&mut self) {
        self.window = 0;
        self.count = 0;
        self.starved = false;
    }

    /// Bits read ahead are dropped. `Err` if the file's end was met.
    pub fn end_scan(&mut self) -> Outcome<()> {
        self.window = 0;
        self.count = 0;
        if self.ended { Err(TRUNCATED.into()) } else { Ok(()) }
    }

    /// Goes to the restart marker with number `expected` (0 to 7). Where another marker comes, it is taken as libjpeg
    /// takes it: an earlier one was repeated, so on to the next; a later one waits for its turn, and until then the
    /// data are zeros; one that is far off is taken for the right one.
    pub fn restart(&mut self, expected: u8) -> Outcome<()> {
        self.window = 0;
        self.count = 0;
        if self.marker == 0 {
            self.find_marker()?;
        }
        if self.marker != 0xd0 + expected {
            self.note("restart markers out of order");
        }
        loop {
            match (self.marker, self.marker.wrapping_sub(0xd0 + expected) & 7) {
                (0xd0..=0xd7, 1 | 2) | (0xc0..=0xcf | 0xd8.., _) => return Ok(()),
                (0xd0..=0xd7, 0 | 3..=5) => break,
                _ => self.find_marker()?,
            }
        }
        self.marker = 0;
        // A marker that waits leaves the flag as it is.
        self.starved = false;
        Ok(())
    }

    /// The value of the next Huffman code; 0 if no code of the table begins so.
    #[inline(always)]
    pub fn symbol(&mut self, table: &Huffman) -> u8 {
        self.fill();
        let (length, symbol) = table.find(self.window);
        if length > 16 {
            self.note("a code that is in no Huffman table");
        }
        self.consume(length);
        symbol
    }

    /// The next coefficient, if one look finds it: how many zero ones come before it, and its value.
    #[inline(always)]
    pub fn coefficient(&mut self, table: &Huffman) -> Option<(u8, i16)> {
        self.fill();
        let whole = table.whole(self.window);
        if whole.length == 0 {
            return None;
        }
        self.consume(u32::from(whole.length));
        Some((whole.run, whole.value))
    }

    /// The next `count` bits (up to 15) after a [`Self::symbol`], as a number with the sign that JPEG gives it.
    #[inline(always)]
    pub fn signed(&mut self, count: u8) -> i32 {
        signed(self.following(count), count)
    }

    /// The next `count` bits (up to 15) after a [`Self::symbol`].
    #[inline(always)]
    pub fn following(&mut self, count: u8) -> u32 {
        // Two shifts, for none at all would be a shift by 64.
        let bits = (self.window >> 1 >> (63 - u32::from(count))) as u32;
        self.consume(u32::from(count));
        bits
    }

    /// The next bit.
    #[inline]
    pub fn bit(&mut self) -> bool {
        self.fill();
        self.following(1) == 1
    }

    #[inline(always)]
    fn consume(&mut self, bits: u32) {
        self.window <<= bits;
        match self.count.checked_sub(bits) {
            Some(left) => self.count = left,
            None => self.overdraw(),
        }
    }

    #[cold]
    fn overdraw(&mut self) {
        self.count = 0;
        self.starved = true;
        self.note("the data of a scan end early");
    }

    /// Reads ahead so that [`WANTED`] bits are there, or all before the next marker.
    #[inline(always)]
    fn fill(&mut self) {
        if self.count < WANTED && self.marker == 0 {
            self.read_ahead();
        }
    }

    fn read_ahead(&mut self) {
        if let Some(next) = self.data.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) {
            let word = u64::from_be_bytes(*next);
            // No byte is 0xff: the usual case.
            let inverse = !word;
            if inverse.wrapping_sub(0x0101_0101_0101_0101) & word & 0x8080_8080_8080_8080 == 0 {
                let bytes = (64 - self.count) / 8;
                let spare = 64 - self.count - 8 * bytes;
                self.window |= word >> self.count >> spare << spare;
                self.count += 8 * bytes;
                self.at += bytes as usize;
                return;
            }
        }
        self.fill_by_bytes();
    }

    fn fill_by_bytes(&mut self) {
        while self.count <= 56 {
            let Some(&byte) = self.data.get(self.at) else {
                self.ended = true;
                return;
            };
            let mut length = 1;
            if byte == 0xff {
                while self.data.get(self.at + length) == Some(&0xff) {
                    length += 1;
                }
                match self.data.get(self.at + length) {
                    Some(0) => length += 1,
                    Some(&marker) => {
                        self.marker = marker;
                        self.at += length + 1;
                        return;
                    }
                    None => {
                        self.ended = true;
                        return;
                    }
                }
            }
            self.window |= u64::from(byte) << (56 - self.count);
            self.count += 8;
            self.at += length;
        }
    }

    /// `Err` if data were asked for beyond the file's end.
    pub fn check(&self) -> Outcome<()> {
        if self.ended && self.starved { Err(TRUNCATED.into()) } else { Ok(()) }
    }
}
