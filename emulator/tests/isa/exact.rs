//! A reference for floating-point results that computes nothing twice the same way as the emulator: the exact result is
//! compared, in integers of any size, with the numbers of the format, and the nearest on the right side is found by
//! bisection.

use std::cmp::Ordering;

/// A magnitude: limbs (least first) times 2^exponent.
#[derive(Clone, Debug)]
pub struct Magnitude {
    limbs: Vec<u32>,
    exponent: i64,
}

impl Magnitude {
    pub fn new(integer: u128, exponent: i64) -> Self {
        let limbs = (0..4).map(|k| (integer >> (32 * k)) as u32).collect();
        Magnitude { limbs, exponent }
    }

    pub fn is_zero(&self) -> bool {
        self.limbs.iter().all(|&l| l == 0)
    }

    pub fn times(&self, other: &Self) -> Self {
        let mut limbs = vec![0u32; self.limbs.len() + other.limbs.len()];
        for (i, &a) in self.limbs.iter().enumerate() {
            let mut carry = 0u64;
            for (j, &b) in other.limbs.iter().enumerate() {
                let sum = u64::from(a) * u64::from(b) + u64::from(limbs[i + j]) + carry;
                limbs[i + j] = sum as u32;
                carry = sum >> 32;
            }
            limbs[i + other.limbs.len()] = carry as u32;
        }
        Magnitude { limbs, exponent: self.exponent + other.exponent }
    }

    /// The limbs at a smaller exponent, without leading zeros.
    fn limbs_at(&self, exponent: i64) -> Vec<u32> {
        let shift = (self.exponent - exponent) as usize;
        let mut limbs = vec![0u32; shift / 32];
        let mut carry = 0u64;
        for &l in &self.limbs {
            let wide = u64::from(l) << (shift % 32) | carry;
            limbs.push(wide as u32);
            carry = wide >> 32;
        }
        limbs.push(carry as u32);
        while limbs.last() == Some(&0) {
            limbs.pop();
        }
        limbs
    }

    /// Both at the same exponent.
    fn aligned(&self, other: &Self) -> (Vec<u32>, Vec<u32>, i64) {
        let exponent = match (self.is_zero(), other.is_zero()) {
            (true, true) => return (vec![], vec![], 0),
            (true, false) => return (vec![], other.limbs_at(other.exponent), other.exponent),
            (false, true) => return (self.limbs_at(self.exponent), vec![], self.exponent),
            (false, false) => self.exponent.min(other.exponent),
        };
        (self.limbs_at(exponent), other.limbs_at(exponent), exponent)
    }

    /// The place of the leading bit.
    fn leading(&self) -> Option<i64> {
        let last = self.limbs.iter().rposition(|&l| l != 0)?;
        Some(32 * last as i64 + i64::from(self.limbs[last].ilog2()) + self.exponent)
    }

    pub fn compare(&self, other: &Self) -> Ordering {
        let (a, b) = (self.leading(), other.leading());
        if a != b {
            return a.cmp(&b);
        }
        let (a, b, _) = self.aligned(other);
        a.len().cmp(&b.len()).then_with(|| a.iter().rev().cmp(b.iter().rev()))
    }

    pub fn plus(&self, other: &Self) -> Self {
        let (a, b, exponent) = self.aligned(other);
        let mut limbs = Vec::new();
        let mut carry = 0u64;
        for k in 0..=a.len().max(b.len()) {
            let limb = |v: &[u32]| u64::from(v.get(k).copied().unwrap_or(0));
            let sum = limb(&a) + limb(&b) + carry;
            limbs.push(sum as u32);
            carry = sum >> 32;
        }
        Magnitude { limbs, exponent }
    }

    /// The difference; `other` is not greater.
    fn minus(&self, other: &Self) -> Self {
        let (a, b, exponent) = self.aligned(other);
        let mut limbs = Vec::new();
        let mut borrow = 0i64;
        for (k, &l) in a.iter().enumerate() {
            let difference = i64::from(l) - i64::from(b.get(k).copied().unwrap_or(0)) - borrow;
            limbs.push(difference as u32);
            borrow = i64::from(difference < 0);
        }
        Magnitude { limbs, exponent }
    }
}

/// A number that is not infinite.
#[derive(Clone, Debug)]
pub struct Exact {
    pub negative: bool,
    pub magnitude: Magnitude,
}

impl Exact {
    pub fn integer(value: i128) -> Self {
        Exact { negative: value < 0, magnitude: Magnitude::new(value.unsigned_abs(), 0) }
    }

    pub fn times(&self, other: &Self) -> Self {
        Exact { negative: self.negative != other.negative, magnitude: self.magnitude.times(&other.magnitude) }
    }

    /// The sum; an exact zero of opposite terms is negative if `down` says so.
    pub fn plus(&self, other: &Self, down: bool) -> Self {
        if self.negative == other.negative {
            return Exact { magnitude: self.magnitude.plus(&other.magnitude), ..*self };
        }
        match self.magnitude.compare(&other.magnitude) {
            Ordering::Greater => Exact { magnitude: self.magnitude.minus(&other.magnitude), ..*self },
            Ordering::Less => Exact { magnitude: other.magnitude.minus(&self.magnitude), ..*other },
            Ordering::Equal => Exact { negative: down, magnitude: Magnitude::new(0, 0) },
        }
    }
}

/// A rounding as PTX names it (`rna` is to nearest, ties away).
pub type Mode = &'static str;

/// The roundings of arithmetic.
pub const MODES: [Mode; 4] = ["rn", "rz", "rm", "rp"];

/// A format as IEEE 754 has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    pub fraction: u32,
    pub exponent: u32,
    /// The largest finite number.
    pub max: u64,
    /// What NaN results are.
    pub nan: u64,
}

pub const F16: Format = Format { fraction: 10, exponent: 5, max: 0x7BFF, nan: 0x7FFF };
pub const BF16: Format = Format { fraction: 7, exponent: 8, max: 0x7F7F, nan: 0x7FFF };
pub const F32: Format = Format { fraction: 23, exponent: 8, max: 0x7F7F_FFFF, nan: 0x7FFF_FFFF };
pub const F64: Format =
    Format { fraction: 52, exponent: 11, max: 0x7FEF_FFFF_FFFF_FFFF, nan: 0xFFF8_0000_0000_0000 };
pub const E4M3: Format = Format { fraction: 3, exponent: 4, max: 0x7E, nan: 0x7F };
pub const E5M2: Format = Format { fraction: 2, exponent: 5, max: 0x7B, nan: 0x7F };

impl Format {
    pub fn bits(&self) -> u32 {
        1 + self.exponent + self.fraction
    }

    pub fn sign(&self) -> u64 {
        1 << (self.bits() - 1)
    }

    pub fn is_nan(&self, bits: u64) -> bool {
        let magnitude = bits & (self.sign() - 1);
        magnitude > if *self == E4M3 { self.max } else { self.max + 1 }
    }

    pub fn is_finite(&self, bits: u64) -> bool {
        bits & (self.sign() - 1) <= self.max
    }

    pub fn is_negative(&self, bits: u64) -> bool {
        bits & self.sign() != 0
    }

    pub fn is_subnormal(&self, bits: u64) -> bool {
        let magnitude = bits & (self.sign() - 1);
        magnitude != 0 && magnitude >> self.fraction == 0
    }

    /// Zero of the same sign for a subnormal number.
    pub fn flush(&self, bits: u64) -> u64 {
        if self.is_subnormal(bits) { bits & self.sign() } else { bits }
    }

    /// The number; the encoding of infinity counts as the power of two that would follow the largest.
    pub fn exact(&self, bits: u64) -> Exact {
        let magnitude = bits & (self.sign() - 1);
        let field = magnitude >> self.fraction;
        let hidden = u64::from(field != 0) << self.fraction;
        let integer = magnitude % (1 << self.fraction) + hidden;
        let bias = (1i64 << (self.exponent - 1)) - 1;
        let exponent = field.max(1) as i64 - bias - i64::from(self.fraction);
        Exact { negative: self.is_negative(bits), magnitude: Magnitude::new(integer.into(), exponent) }
    }

    /// The value in double precision, which holds it exactly.
    pub fn value(&self, bits: u64) -> f64 {
        let sign = if self.is_negative(bits) { -1.0 } else { 1.0 };
        let magnitude = bits & (self.sign() - 1);
        if self.is_nan(bits) {
            return f64::NAN;
        }
        if magnitude > self.max {
            return sign * f64::INFINITY;
        }
        let (field, fraction) = (magnitude >> self.fraction, magnitude % (1 << self.fraction));
        let bias = (1i32 << (self.exponent - 1)) - 1;
        let integer = fraction + if field == 0 { 0 } else { 1 << self.fraction };
        let exponent = field.max(1) as i32 - bias - self.fraction as i32;
        // In two steps, as the power alone may be too small for a double.
        sign * integer as f64 * 2f64.powi(exponent / 2) * 2f64.powi(exponent - exponent / 2)
    }

    /// Rounds a number of which it is known how its magnitude compares with others.
    pub fn round_by(&self, negative: bool, mode: Mode, compare: impl Fn(&Magnitude) -> Ordering) -> u64 {
        let value = |m: u64| self.exact(m).magnitude;
        let (mut low, mut high) = (0, self.max + 1);
        if compare(&value(high)) != Ordering::Less {
            low = high;
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if compare(&value(middle)) == Ordering::Less { high = middle } else { low = middle }
        }
        let infinity = self.max + 1;
        let sign = if negative { self.sign() } else { 0 };
        if low < infinity && compare(&value(low)) == Ordering::Equal {
            return sign | low;
        }
        let up = low.max(self.max);
        let (low, up) = if low == infinity { (self.max, up) } else { (low, low + 1) };
        let half = Magnitude::new(1, -1);
        let chosen = match mode {
            "rn" | "rna" => match compare(&value(low).plus(&value(up)).times(&half)) {
                Ordering::Less => low,
                Ordering::Greater => up,
                Ordering::Equal if mode == "rna" || low & 1 == 1 => up,
                Ordering::Equal => low,
            },
            "rz" => low,
            "rm" => {
                if negative {
                    up
                } else {
                    low
                }
            }
            "rp" => {
                if negative {
                    low
                } else {
                    up
                }
            }
            _ => panic!("no rounding {mode}"),
        };
        sign | chosen
    }

    pub fn round(&self, value: &Exact, mode: Mode) -> u64 {
        self.round_by(value.negative, mode, |m| value.magnitude.compare(m))
    }

    /// a / b, rounded; b is not zero.
    pub fn quotient(&self, a: &Exact, b: &Exact, mode: Mode) -> u64 {
        let negative = a.negative != b.negative;
        self.round_by(negative, mode, |m| a.magnitude.compare(&m.times(&b.magnitude)))
    }

    /// √a, rounded.
    pub fn root(&self, a: &Exact, mode: Mode) -> u64 {
        self.round_by(a.negative, mode, |m| a.magnitude.compare(&m.times(m)))
    }
}
