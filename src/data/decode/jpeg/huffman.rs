//! Huffman tables, and the four that JPEG's annex K proposes, for files that leave theirs out (frames of motion JPEG).

use super::super::decoded::Outcome;
use std::borrow::Cow;

/// Codes up to this length are found by one look.
const LOOK: u32 = 9;

/// A table as its segment gives it: how many codes there are of each length, and their values.
pub(super) struct Definition {
    pub counts: [u8; 16],
    pub values: Cow<'static, [u8]>,
}

/// A coefficient that one look finds: the bits of code and value (0: it takes more than one look), the zero
/// coefficients before it, and its value.
#[derive(Clone, Copy, Default)]
pub(super) struct Whole {
    pub length: u8,
    pub run: u8,
    pub value: i16,
}

/// A table made for decoding.
pub(super) struct Huffman {
    /// For every beginning of [`LOOK`] bits the length of its code and the value; length 0: a longer code.
    look: [(u8, u8); 1 << LOOK],
    /// For every beginning of [`LOOK`] bits that holds a whole code of a run and a size, and the value after it.
    whole: [Whole; 1 << LOOK],
    /// By length: the largest code, if any has this length.
    largest: [Option<u32>; 17],
    /// By length: what to add to a code to find its value's place.
    offset: [i32; 17],
    values: [u8; 256],
}

impl Huffman {
    /// `Err` if the counts are no tree, or if a table of DC sizes (`dc`) has one above 15.
    pub fn new(definition: &Definition, dc: bool) -> Outcome<Self> {
        let values = &definition.values;
        if dc && values.iter().any(|&size| size > 15) {
            return Err("a Huffman table with a size above 15".into());
        }
        let mut table = Self {
            look: [(0, 0); 1 << LOOK],
            whole: [Whole::default(); 1 << LOOK],
            largest: [None; 17],
            offset: [0; 17],
            values: [0; 256],
        };
        for (to, &from) in table.values.iter_mut().zip(values.iter()) {
            *to = from;
        }
        let mut code = 0u32;
        let mut place = 0;
        for (length, &count) in (1u32..).zip(&definition.counts) {
            let count = u32::from(count);
            // No code may be all ones, so one less than all fit.
            if count > 0 && code + count >= 1 << length {
                return Err("a Huffman table that is no tree".into());
            }
            table.offset[length as usize] = place as i32 - code as i32;
            if count > 0 {
                table.largest[length as usize] = Some(code + count - 1);
            }
            if length <= LOOK {
                for (code, &value) in (code..code + count).zip(values.iter().skip(place)) {
                    let first = (code << (LOOK - length)) as usize;
                    table.look[first..first + (1 << (LOOK - length))].fill((length as u8, value));
                }
            }
            place += count as usize;
            code = (code + count) << 1;
        }
        if !dc {
            table.find_whole_ones();
        }
        Ok(table)
    }

    fn find_whole_ones(&mut self) {
        for (bits, (whole, &(length, symbol))) in (0u32..).zip(self.whole.iter_mut().zip(&self.look)) {
            let (run, size) = (symbol >> 4, symbol & 15);
            let all = length + size;
            if length > 0 && size > 0 && u32::from(all) <= LOOK {
                let value = bits >> (LOOK - u32::from(all)) & ((1 << size) - 1);
                *whole = Whole { length: all, run, value: signed(value, size) as i16 };
            }
        }
    }

    /// The coefficient at the top of `window`, if one look finds it.
    #[inline(always)]
    pub fn whole(&self, window: u64) -> Whole {
        self.whole[(window >> (64 - LOOK)) as usize]
    }

    /// Length and value of the code at the top of `window`; 17 and 0 if there is none.
    #[inline(always)]
    pub fn find(&self, window: u64) -> (u32, u8) {
        let (length, value) = self.look[(window >> (64 - LOOK)) as usize];
        if length > 0 { (u32::from(length), value) } else { self.find_long(window) }
    }

    #[cold]
    fn find_long(&self, window: u64) -> (u32, u8) {
        for length in LOOK + 1..=16 {
            let code = (window >> (64 - length)) as u32;
            if self.largest[length as usize].is_some_and(|largest| code <= largest) {
                let place = (code as i32 + self.offset[length as usize]) as u8;
                return (length, self.values[usize::from(place)]);
            }
        }
        (17, 0)
    }
}

/// The number that `size` bits (up to 15) mean: in the lower half of what they can hold it is negative.
#[inline(always)]
pub(super) fn signed(bits: u32, size: u8) -> i32 {
    let bits = bits as i32;
    // All ones where it is negative, without a branch that could be guessed wrong.
    let negative = (bits - (1 << size >> 1)) >> 31;
    bits + (negative & (1 - (1 << size)))
}

const SIZES: Cow<[u8]> = Cow::Borrowed(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);

/// Annex K's tables of DC sizes: for luminance, for chrominance.
pub(super) static DC: [Definition; 2] = [
    Definition { counts: [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], values: SIZES },
    Definition { counts: [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], values: SIZES },
];

/// Annex K's tables of runs and sizes: for luminance, for chrominance.
pub(super) static AC: [Definition; 2] = [
    Definition {
        counts: [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125],
        values: Cow::Borrowed(&LUMINANCE),
    },
    Definition {
        counts: [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119],
        values: Cow::Borrowed(&CHROMINANCE),
    },
];

const LUMINANCE: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22,
    0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33,
    0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34,
    0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55,
    0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76,
    0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96,
    0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5,
    0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4,
    0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1,
    0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];

const CHROMINANCE: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13,
    0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62,
    0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29,
    0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54,
    0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75,
    0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94,
    0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3,
    0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2,
    0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea,
    0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];
