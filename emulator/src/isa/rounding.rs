//! Exact binary arithmetic in integers, rounded once: every format, every rounding mode.
//!
//! This is the slow and certain way, for what the processor's own arithmetic does not offer. Nothing here touches the
//! processor's rounding mode.

use std::cmp::Ordering;

/// How a result that cannot be represented is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// To nearest, ties to even.
    Nearest,
    /// To nearest, ties away from zero.
    NearestAway,
    Zero,
    Down,
    Up,
}

/// A binary floating-point format of sign, exponent and fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    pub fraction: u32,
    pub exponent: u32,
    /// The encoding of the largest finite number; what follows is infinity, or NaN where there is none.
    pub max: u64,
    /// The NaN that instructions produce.
    pub nan: u64,
}

impl Format {
    pub const E4M3: Format = Format { fraction: 3, exponent: 4, max: 0x7E, nan: 0x7F };
    pub const E5M2: Format = Format { fraction: 2, exponent: 5, max: 0x7B, nan: 0x7F };
    pub const F16: Format = Format { fraction: 10, exponent: 5, max: 0x7BFF, nan: 0x7FFF };
    pub const BF16: Format = Format { fraction: 7, exponent: 8, max: 0x7F7F, nan: 0x7FFF };
    pub const TF32: Format = Format { fraction: 10, exponent: 8, max: 0x3_FBFF, nan: 0x3_FFFF };
    pub const F32: Format = Format { fraction: 23, exponent: 8, max: 0x7F7F_FFFF, nan: 0x7FFF_FFFF };
    pub const F64: Format =
        Format { fraction: 52, exponent: 11, max: 0x7FEF_FFFF_FFFF_FFFF, nan: 0xFFF8_0000_0000_0000 };

    /// The sign bit.
    pub fn sign(&self) -> u64 {
        1 << (self.fraction + self.exponent)
    }

    fn bias(&self) -> i32 {
        (1 << (self.exponent - 1)) - 1
    }

    /// What an encoding stands for.
    pub fn decode(&self, bits: u64) -> Number {
        let negative = bits & self.sign() != 0;
        let magnitude = bits & (self.sign() - 1);
        if magnitude > self.max {
            // A format with infinities has a largest number with all bits of the fraction set.
            let infinite = magnitude == self.max + 1 && self.max & 1 != 0;
            return if infinite { Number::Infinite { negative } } else { Number::Nan };
        }
        let field = (magnitude >> self.fraction) as i32;
        let fraction = magnitude & ((1 << self.fraction) - 1);
        let significand = if field == 0 { fraction } else { fraction | 1 << self.fraction };
        let exponent = field.max(1) - self.bias() - self.fraction as i32;
        Number::Finite(Exact { negative, exponent, significand: u128::from(significand) })
    }

    /// The encoding of a number, rounded.
    pub fn encode(&self, value: Exact, rounding: Rounding) -> u64 {
        let sign = if value.negative { self.sign() } else { 0 };
        let Some(leading) = value.significand.checked_ilog2() else { return sign };
        let top = leading as i32 + value.exponent;
        let least = 1 - self.bias();
        let scale = top.max(least);
        let away = match rounding {
            Rounding::Nearest | Rounding::NearestAway => true,
            Rounding::Zero => false,
            Rounding::Down => value.negative,
            Rounding::Up => !value.negative,
        };
        let overflow = if away { self.max + 1 } else { self.max };
        if scale > self.bias() + 1 {
            return sign | overflow;
        }
        let shift = scale - self.fraction as i32 - value.exponent;
        let kept = shifted(value, shift, rounding) as u64;
        let magnitude = (((scale - least) as u64) << self.fraction) + kept;
        sign | if magnitude > self.max { overflow } else { magnitude }
    }
}

/// A decoded value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    Nan,
    Infinite { negative: bool },
    Finite(Exact),
}

/// ± significand · 2^exponent. The significand is below 2^127; zero has a sign. A result that was cut off has the last
/// bit set (and many more bits than any format keeps), which makes its rounding right all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exact {
    pub negative: bool,
    pub exponent: i32,
    pub significand: u128,
}

/// The significand divided by 2^`shift`, rounded to an integer (at most 2^63 is meant to come out).
pub fn shifted(value: Exact, shift: i32, rounding: Rounding) -> u128 {
    let significand = value.significand;
    if shift <= 0 {
        return significand << (-shift).min(127);
    }
    let (kept, rest, half) = if shift < 128 {
        (significand >> shift, significand & ((1 << shift) - 1), 1u128 << (shift - 1))
    } else {
        (0, significand, u128::MAX)
    };
    let up = match rounding {
        Rounding::Nearest => match rest.cmp(&half) {
            Ordering::Less => false,
            Ordering::Equal => kept & 1 != 0,
            Ordering::Greater => true,
        },
        Rounding::NearestAway => rest >= half,
        Rounding::Zero => false,
        Rounding::Down => value.negative && rest != 0,
        Rounding::Up => !value.negative && rest != 0,
    };
    kept + u128::from(up)
}

/// Moves the leading bit to bit 125.
fn normalized(value: Exact) -> Exact {
    let up = value.significand.leading_zeros() as i32 - 2;
    let significand = if up >= 0 {
        value.significand << up.min(127)
    } else {
        value.significand >> 1 | value.significand & 1
    };
    Exact { exponent: value.exponent - up, significand, ..value }
}

/// a + b. The rounding decides the sign of an exact zero only.
pub fn add(a: Exact, b: Exact, rounding: Rounding) -> Exact {
    let zero_sign = if a.negative == b.negative { a.negative } else { rounding == Rounding::Down };
    match (a.significand, b.significand) {
        (0, 0) => return Exact { negative: zero_sign, ..a },
        (_, 0) => return a,
        (0, _) => return b,
        _ => {}
    }
    let (a, b) = (normalized(a), normalized(b));
    let (high, low) = if a.exponent >= b.exponent { (a, b) } else { (b, a) };
    let shift = (high.exponent - low.exponent).min(127);
    let cut = low.significand & ((1 << shift) - 1) != 0;
    let small = low.significand >> shift | u128::from(cut);
    if high.negative == low.negative {
        return Exact { significand: high.significand + small, ..high };
    }
    match high.significand.cmp(&small) {
        Ordering::Greater => Exact { significand: high.significand - small, ..high },
        Ordering::Less => Exact { significand: small - high.significand, negative: low.negative, ..high },
        Ordering::Equal => Exact { significand: 0, negative: zero_sign, ..high },
    }
}

/// a · b, for significands below 2^63.
pub fn mul(a: Exact, b: Exact) -> Exact {
    Exact {
        negative: a.negative != b.negative,
        exponent: a.exponent + b.exponent,
        significand: a.significand * b.significand,
    }
}

/// a / b, for significands below 2^63 and b ≠ 0.
pub fn div(a: Exact, b: Exact) -> Exact {
    let negative = a.negative != b.negative;
    if a.significand == 0 {
        return Exact { negative, ..a };
    }
    let a = normalized(a);
    let (quotient, rest) = (a.significand / b.significand, a.significand % b.significand);
    Exact { negative, exponent: a.exponent - b.exponent, significand: quotient | u128::from(rest != 0) }
}

/// √a, for a ≥ 0 (or −0).
pub fn sqrt(a: Exact) -> Exact {
    if a.significand == 0 {
        return a;
    }
    let mut a = normalized(a);
    if a.exponent & 1 != 0 {
        a.exponent -= 1;
        a.significand <<= 1;
    }
    let root = a.significand.isqrt();
    let cut = root * root != a.significand;
    Exact { exponent: a.exponent / 2 - 1, significand: root << 1 | u128::from(cut), ..a }
}
