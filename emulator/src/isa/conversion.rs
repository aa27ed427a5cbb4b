//! What `cvt` does to one value: every pair of types, every rounding and saturation, in integers.

use super::rounding::{Exact, Format, Number, Rounding, shifted};

/// A type that is converted from or to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Integer { bits: u32, signed: bool },
    Float(Format),
}

/// A conversion of one value.
#[derive(Clone, Copy, Debug)]
pub struct Conversion {
    pub from: Kind,
    pub to: Kind,
    /// Of the result, where its format cannot hold it.
    pub rounding: Rounding,
    /// To an integer (that may be in a floating format).
    pub integral: Option<Rounding>,
    /// Subnormal singles become zero.
    pub ftz: bool,
    /// To the range of an integer, or to [0, 1].
    pub sat: bool,
    /// Negative results become zero.
    pub relu: bool,
    /// What is too large becomes the largest number.
    pub finite: bool,
}

/// An integer's low bits, extended to 64 as its type says.
#[inline(always)]
pub fn extended(value: u64, bits: u32, signed: bool) -> u64 {
    let up = 64 - bits;
    if signed { ((value << up) as i64 >> up) as u64 } else { value << up >> up }
}

impl Conversion {
    /// Plain conversion between two types, rounded to nearest.
    pub fn new(from: Kind, to: Kind) -> Self {
        let rounding = Rounding::Nearest;
        Conversion { from, to, rounding, integral: None, ftz: false, sat: false, relu: false, finite: false }
    }

    /// The result, sign- or zero-extended as its type says, of the low bits of a value.
    pub fn apply(&self, value: u64) -> u64 {
        match (self.from, self.to) {
            (Kind::Integer { bits, signed }, Kind::Integer { bits: to, signed: to_signed }) => {
                let value = extended(value, bits, signed);
                let wide = if signed { i128::from(value as i64) } else { i128::from(value) };
                let wide = if self.sat { clamped(wide, to, to_signed) } else { wide };
                extended(wide as u64, to, to_signed)
            }
            (Kind::Integer { bits, signed }, Kind::Float(format)) => {
                let value = extended(value, bits, signed);
                let negative = signed && (value as i64) < 0;
                let magnitude = if negative { value.wrapping_neg() } else { value };
                let exact = Exact { negative, exponent: 0, significand: u128::from(magnitude) };
                self.finished(Number::Finite(exact), format)
            }
            (Kind::Float(from), to) => {
                let number = self.rounded(self.flushed(from.decode(value), from));
                match to {
                    Kind::Integer { bits, signed } => integer(number, from, bits, signed),
                    Kind::Float(format) => self.finished(number, format),
                }
            }
        }
    }

    /// A subnormal single is zero with `.ftz`.
    fn flushed(&self, number: Number, format: Format) -> Number {
        match number {
            Number::Finite(x) if self.ftz && format == Format::F32 && x.significand < 1 << 23 => {
                Number::Finite(Exact { significand: 0, ..x })
            }
            other => other,
        }
    }

    /// To an integer, if that is asked for.
    fn rounded(&self, number: Number) -> Number {
        match (number, self.integral) {
            (Number::Finite(x), Some(rounding)) if x.exponent < 0 => {
                let significand = shifted(x, -x.exponent, rounding);
                Number::Finite(Exact { exponent: 0, significand, ..x })
            }
            _ => number,
        }
    }

    /// Encoded in a floating format.
    fn finished(&self, number: Number, format: Format) -> u64 {
        let sign = format.sign();
        let infinity = if self.finite { format.max } else { format.max + 1 };
        let bits = match number {
            Number::Nan if self.sat => 0,
            Number::Nan => format.nan,
            Number::Infinite { negative: true } => sign | infinity,
            Number::Infinite { negative: false } => infinity,
            Number::Finite(x) => {
                let bits = format.encode(x, self.rounding);
                if self.finite && bits & (sign - 1) > format.max { bits & sign | format.max } else { bits }
            }
        };
        let is_nan = number == Number::Nan;
        let negative = bits & sign != 0 && !is_nan;
        if negative && (self.relu || self.sat) {
            return 0;
        }
        let subnormal = bits & (sign - 1) < 1 << format.fraction;
        if self.ftz && format == Format::F32 && subnormal {
            return bits & sign;
        }
        let one = (sign >> 1).wrapping_sub(1 << format.fraction);
        if self.sat && !is_nan { bits.min(one) } else { bits }
    }
}

fn clamped(value: i128, bits: u32, signed: bool) -> i128 {
    let (low, high) = if signed { (-1 << (bits - 1), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) };
    value.clamp(low, high)
}

/// A number that is an integer, clamped to an integer type. NaN gives 0, or the highest bit if 64 bits are involved.
fn integer(number: Number, from: Format, bits: u32, signed: bool) -> u64 {
    let limit = |negative| if negative { i128::MIN } else { i128::MAX };
    let value = match number {
        Number::Nan if from == Format::F64 || bits == 64 => {
            return extended(1 << (bits - 1), bits, signed);
        }
        Number::Nan => 0,
        Number::Infinite { negative } => limit(negative),
        Number::Finite(x) => match x.significand.checked_ilog2() {
            None => 0,
            Some(leading) if leading as i32 + x.exponent > 65 => limit(x.negative),
            Some(_) => {
                let magnitude = shifted(x, -x.exponent, Rounding::Zero) as i128;
                if x.negative { -magnitude } else { magnitude }
            }
        },
    };
    extended(clamped(value, bits, signed) as u64, bits, signed)
}
