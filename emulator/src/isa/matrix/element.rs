//! The elements of multiplicands: how they are packed in words, and what they are as `f32`.
//!
//! Every element of up to 16 bits, and `tf32`, is exactly an `f32`. So is every product of two of them but for the
//! range of `bf16` and `tf32`, and so are the sums of products of integers (at most 64 of 16 bits each). One product
//! loop over `f32` therefore serves all types but `f64` and `b1`.

use crate::isa::{Lowering, Refusal};
use crate::ptx::types::Type;

/// A type of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    F16,
    Bf16,
    Tf32,
    E4m3,
    E5m2,
    S8,
    U8,
    S4,
    U4,
}

impl Element {
    /// The element that a type names.
    pub fn of(ty: Type) -> Lowering<Element> {
        Ok(match ty {
            Type::F16 => Element::F16,
            Type::Bf16 => Element::Bf16,
            Type::Tf32 => Element::Tf32,
            Type::E4m3 => Element::E4m3,
            Type::E5m2 => Element::E5m2,
            Type::S8 => Element::S8,
            Type::U8 => Element::U8,
            Type::S4 => Element::S4,
            Type::U4 => Element::U4,
            other => return Err(Refusal(format!("matrices have no elements of type {other:?}"))),
        })
    }

    /// How many share a word.
    pub fn per_word(self) -> usize {
        match self {
            Element::Tf32 => 1,
            Element::F16 | Element::Bf16 => 2,
            Element::E4m3 | Element::E5m2 | Element::S8 | Element::U8 => 4,
            Element::S4 | Element::U4 => 8,
        }
    }

    pub fn is_integer(self) -> bool {
        matches!(self, Element::S8 | Element::U8 | Element::S4 | Element::U4)
    }

    /// Element `j` of each of `N` words. `E` is [`Element::per_word`]; other elements than those with `E` in a word
    /// are never asked for, and the branches for them are not compiled.
    #[inline(always)]
    pub fn decode<const E: usize, const N: usize>(self, words: &[u32; N], j: usize) -> [f32; N] {
        match (E, self) {
            (2, Element::Bf16) => each(words, |w| f32::from_bits(w >> (16 * j) << 16)),
            (2, _) => each(words, |w| widen(w >> (16 * j) & 0xffff)),
            (4, Element::S8) => each(words, |w| ((w << (24 - 8 * j)) as i32 >> 24) as f32),
            (4, Element::U8) => each(words, |w| (w >> (8 * j) & 0xff) as i32 as f32),
            (4, Element::E4m3) => each(words, |w| e4m3(w >> (8 * j) & 0xff)),
            (4, _) => each(words, |w| widen((w >> (8 * j) & 0xff) << 8)), // e5m2 is the upper byte of an f16
            (8, Element::S4) => each(words, |w| ((w << (28 - 4 * j)) as i32 >> 28) as f32),
            (8, _) => each(words, |w| (w >> (4 * j) & 0xf) as i32 as f32),
            _ => each(words, |w| f32::from_bits(w & !0x1fff)), // tf32: what lies below its mantissa does not count
        }
    }
}

#[inline(always)]
fn each<const N: usize>(words: &[u32; N], f: impl Fn(u32) -> f32) -> [f32; N] {
    let mut out = [0.0; N];
    for i in 0..N {
        out[i] = f(words[i]);
    }
    out
}

/// An `f16` without branches, so that loops over it are vector loops. With the exponent field moved into place, a
/// factor of 2^(127 − 15) sets the bias right and normalises what is denormal; only infinities and NaNs need more.
#[inline(always)]
pub fn widen(bits: u32) -> f32 {
    let magnitude = (bits & 0x7fff) << 13;
    let value = (f32::from_bits(magnitude) * f32::from_bits((127 + 112) << 23)).to_bits();
    let special = if magnitude >= 0x7c00 << 13 { 0x7f80_0000 } else { 0 };
    f32::from_bits(value | special | (bits & 0x8000) << 16)
}

/// An `e4m3` in the same way: its bias is 7, it has no infinities, and all ones are NaN.
#[inline(always)]
fn e4m3(bits: u32) -> f32 {
    let magnitude = bits & 0x7f;
    let value = (f32::from_bits(magnitude << 20) * f32::from_bits((127 + 120) << 23)).to_bits();
    let special = if magnitude == 0x7f { 0x7fc0_0000 } else { 0 };
    f32::from_bits(value | special | (bits & 0x80) << 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_what_the_half_crate_says() {
        for bits in 0..=u16::MAX {
            let (ours, theirs) = (widen(u32::from(bits)), half::f16::from_bits(bits).to_f32());
            assert!(ours.to_bits() == theirs.to_bits() || ours.is_nan() && theirs.is_nan(), "{bits:#x}");
        }
    }

    #[test]
    fn bytes_of_eight_bits_by_their_definition() {
        for bits in 0..=255u32 {
            let (sign, e, m) = (if bits >> 7 == 1 { -1.0 } else { 1.0 }, bits >> 3 & 15, bits & 7);
            let expected = match (e, m) {
                (15, 7) => f32::NAN,
                (0, m) => sign * m as f32 / 8.0 * 2f32.powi(-6),
                (e, m) => sign * (1.0 + m as f32 / 8.0) * 2f32.powi(e as i32 - 7),
            };
            let [ours] = Element::E4m3.decode::<4, 1>(&[bits << 16], 2);
            assert!(
                ours == expected || ours.is_nan() && expected.is_nan(),
                "e4m3 {bits:#x}: {ours} {expected}"
            );

            let (e, m) = (bits >> 2 & 31, bits & 3);
            let expected = match (e, m) {
                (31, 0) => sign * f32::INFINITY,
                (31, _) => f32::NAN,
                (0, m) => sign * m as f32 / 4.0 * 2f32.powi(-14),
                (e, m) => sign * (1.0 + m as f32 / 4.0) * 2f32.powi(e as i32 - 15),
            };
            let [ours] = Element::E5m2.decode::<4, 1>(&[bits << 24], 3);
            assert!(
                ours == expected || ours.is_nan() && expected.is_nan(),
                "e5m2 {bits:#x}: {ours} {expected}"
            );
        }
    }

    #[test]
    fn integers_and_their_places() {
        let word = [0x8f7e_01f8];
        assert_eq!(
            (0..4).map(|j| Element::S8.decode::<4, 1>(&word, j)[0]).collect::<Vec<_>>(),
            [-8.0, 1.0, 126.0, -113.0]
        );
        assert_eq!(
            (0..4).map(|j| Element::U8.decode::<4, 1>(&word, j)[0]).collect::<Vec<_>>(),
            [248.0, 1.0, 126.0, 143.0]
        );
        let nibbles: Vec<f32> = (0..8).map(|j| Element::S4.decode::<8, 1>(&word, j)[0]).collect();
        assert_eq!(nibbles, [-8.0, -1.0, 1.0, 0.0, -2.0, 7.0, -1.0, -8.0]);
        let nibbles: Vec<f32> = (0..8).map(|j| Element::U4.decode::<8, 1>(&word, j)[0]).collect();
        assert_eq!(nibbles, [8.0, 15.0, 1.0, 0.0, 14.0, 7.0, 15.0, 8.0]);
    }
}
