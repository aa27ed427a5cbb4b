//! What is summed over images: one bit per image, and losses as integers, so that a result does not depend on how
//! the images were cut into blocks or in which order the blocks came.

use super::text::hex;

/// One bit per image, in the order of the images. Bit i is bit i mod 8 (least significant first) of byte i / 8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits {
    len: usize,
    bytes: Vec<u8>,
}

impl Bits {
    /// No bits yet.
    pub fn new() -> Bits {
        Bits::default()
    }

    /// `len` bits from their bytes; `None` if the bytes are too few or too many, or a bit behind the last is set.
    pub fn from_bytes(len: usize, bytes: Vec<u8>) -> Option<Bits> {
        let spare_is_clear = len.is_multiple_of(8) || bytes.last().is_some_and(|last| last >> (len % 8) == 0);
        (bytes.len() == len.div_ceil(8) && spare_is_clear).then_some(Bits { len, bytes })
    }

    /// `len` bits from hexadecimal digits, two per byte; `None` where [`Bits::from_bytes`] would say so.
    pub fn from_hex(len: usize, hex: &str) -> Option<Bits> {
        let digits: Option<Vec<u8>> =
            hex.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
        let (pairs, []) = digits.as_deref()?.as_chunks::<2>() else { return None };
        Bits::from_bytes(len, pairs.iter().map(|[high, low]| high << 4 | low).collect())
    }

    /// The bytes, the last one filled up with zeros.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes as hexadecimal digits.
    pub fn to_hex(&self) -> String {
        hex(&self.bytes)
    }

    /// Number of bits.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no bit.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds the next image's bit.
    pub fn push(&mut self, bit: bool) {
        if self.len.is_multiple_of(8) {
            self.bytes.push(0);
        }
        self.bytes[self.len / 8] |= u8::from(bit) << (self.len % 8);
        self.len += 1;
    }

    /// Adds the bits of the images that follow.
    pub fn append(&mut self, next: &Bits) {
        if self.len.is_multiple_of(8) {
            self.bytes.extend_from_slice(&next.bytes);
            self.len += next.len;
        } else {
            next.iter().for_each(|bit| self.push(bit));
        }
    }

    /// The bits in order.
    pub fn iter(&self) -> impl Iterator<Item = bool> + '_ {
        (0..self.len).map(|at| self.bytes[at / 8] >> (at % 8) & 1 == 1)
    }

    /// Number of ones: the count of correctly classified images.
    pub fn count_ones(&self) -> usize {
        self.bytes.iter().map(|byte| byte.count_ones() as usize).sum()
    }
}

impl FromIterator<bool> for Bits {
    fn from_iter<I: IntoIterator<Item = bool>>(bits: I) -> Bits {
        let mut collected = Bits::new();
        bits.into_iter().for_each(|bit| collected.push(bit));
        collected
    }
}

/// A sum of per-image losses in units of 2⁻²⁴. Integer addition has one result in any order; losses are not
/// negative, so saturation keeps that property.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FixedSum(i64);

impl FixedSum {
    const UNITS: f64 = (1 << 24) as f64;

    /// The sum in units of 2⁻²⁴, at least 0; `i64::MAX` stands for a sum that is too large or not finite.
    pub fn from_units(units: i64) -> Option<FixedSum> {
        (units >= 0).then_some(FixedSum(units))
    }

    /// The sum in units of 2⁻²⁴.
    pub fn units(self) -> i64 {
        self.0
    }

    /// Adds the loss of one image. A loss that is not finite saturates the sum for good; a cross-entropy that
    /// rounding has made negative counts as 0.
    pub fn add(&mut self, loss: f32) {
        let units = match loss.is_finite() {
            // The conversion saturates.
            true => (f64::from(loss) * FixedSum::UNITS).round_ties_even().max(0.0) as i64,
            false => i64::MAX,
        };
        self.0 = self.0.saturating_add(units);
    }

    /// Adds the sum of other images.
    pub fn merge(&mut self, other: FixedSum) {
        self.0 = self.0.saturating_add(other.0);
    }

    /// The mean over `images` images; `None` if the sum is saturated or there is no image.
    pub fn mean(self, images: usize) -> Option<f64> {
        (self.0 != i64::MAX && images > 0).then(|| self.0 as f64 / FixedSum::UNITS / images as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bits_lie_least_significant_first() {
        let bits: Bits = [true, false, false, true, false, false, false, false, true].into_iter().collect();
        assert_eq!((bits.as_bytes(), bits.len(), bits.count_ones()), (&[0b1001u8, 1][..], 9, 3));
        assert_eq!(bits.to_hex(), "0901");
        assert_eq!(Bits::from_hex(9, "0901"), Some(bits));
        for (len, hex) in
            [(9, "0902"), (9, "09"), (8, "0901"), (9, "090"), (9, "09g1"), (9, "+901"), (0, "00")]
        {
            assert_eq!(Bits::from_hex(len, hex), None, "{len} {hex}");
        }
        assert_eq!(Bits::from_hex(0, ""), Some(Bits::new()));
    }

    #[test]
    fn sums_saturate_for_good() {
        let mut sum = FixedSum::default();
        sum.add(0.5);
        sum.add(-1e-9);
        assert_eq!((sum.units(), sum.mean(2), sum.mean(0)), (1 << 23, Some(0.25), None));
        for loss in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
            let mut broken = sum;
            broken.add(loss);
            broken.add(1.0);
            assert_eq!((broken.units(), broken.mean(4)), (i64::MAX, None));
            let mut merged = sum;
            merged.merge(broken);
            assert_eq!(merged, broken);
        }
        assert_eq!(FixedSum::from_units(-1), None);
    }

    proptest! {
        #[test]
        fn blocks_join_to_the_whole(bits in prop::collection::vec(any::<bool>(), 0..80), cut in 0usize..80,
                                    losses in prop::collection::vec(0f32..20.0, 1..80)) {
            let cut_bits = cut.min(bits.len());
            let mut joined: Bits = bits[..cut_bits].iter().copied().collect();
            joined.append(&bits[cut_bits..].iter().copied().collect());
            prop_assert_eq!(&joined, &bits.iter().copied().collect::<Bits>());
            prop_assert!(joined.iter().eq(bits.iter().copied()));
            prop_assert_eq!(joined.count_ones(), bits.iter().filter(|&&bit| bit).count());
            prop_assert_eq!(Bits::from_hex(joined.len(), &joined.to_hex()), Some(joined));

            let sum = |losses: &mut dyn Iterator<Item = &f32>| {
                let mut sum = FixedSum::default();
                losses.for_each(|&loss| sum.add(loss));
                sum
            };
            let (a, b) = losses.split_at(cut.min(losses.len()));
            let mut merged = sum(&mut b.iter().rev());
            merged.merge(sum(&mut a.iter()));
            prop_assert_eq!(merged, sum(&mut losses.iter()));
        }
    }
}
