//! Elements of matrices: their bits, what they are worth, and random ones.

use crate::kit::Random;

/// A type, and how wide it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    F16,
    Bf16,
    Tf32,
    F64,
    E4m3,
    E5m2,
    S8,
    U8,
    S4,
    U4,
    B1,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::F16 => "f16",
            Kind::Bf16 => "bf16",
            Kind::Tf32 => "tf32",
            Kind::F64 => "f64",
            Kind::E4m3 => "e4m3",
            Kind::E5m2 => "e5m2",
            Kind::S8 => "s8",
            Kind::U8 => "u8",
            Kind::S4 => "s4",
            Kind::U4 => "u4",
            Kind::B1 => "b1",
        }
    }

    pub fn bits(self) -> usize {
        match self {
            Kind::F64 => 64,
            Kind::Tf32 => 32,
            Kind::F16 | Kind::Bf16 => 16,
            Kind::E4m3 | Kind::E5m2 | Kind::S8 | Kind::U8 => 8,
            Kind::S4 | Kind::U4 => 4,
            Kind::B1 => 1,
        }
    }

    pub fn is_integer(self) -> bool {
        matches!(self, Kind::S8 | Kind::U8 | Kind::S4 | Kind::U4)
    }

    /// What an element's bits are worth.
    pub fn value(self, bits: u64) -> f64 {
        let signed = |width: u32| f64::from((bits as i32) << (32 - width) >> (32 - width));
        let small = |exponent_bits: u32, fraction_bits: u32| {
            let (fraction, exponent) =
                (bits & ((1 << fraction_bits) - 1), bits >> fraction_bits & ((1 << exponent_bits) - 1));
            let (bias, scale) = ((1 << (exponent_bits - 1)) - 1, f64::from(1u32 << fraction_bits));
            let magnitude = match exponent {
                0 => fraction as f64 / scale * 2f64.powi(1 - bias),
                e => (1.0 + fraction as f64 / scale) * 2f64.powi(e as i32 - bias),
            };
            if bits >> (exponent_bits + fraction_bits) & 1 == 1 { -magnitude } else { magnitude }
        };
        match self {
            Kind::F16 => half::f16::from_bits(bits as u16).to_f64(),
            Kind::Bf16 => half::bf16::from_bits(bits as u16).to_f64(),
            Kind::Tf32 => f64::from(f32::from_bits(bits as u32 >> 13 << 13)),
            Kind::F64 => f64::from_bits(bits),
            Kind::E4m3 => small(4, 3),
            Kind::E5m2 => small(5, 2),
            Kind::S8 => signed(8),
            Kind::S4 => signed(4),
            Kind::U8 | Kind::U4 | Kind::B1 => bits as f64,
        }
    }

    /// A random element: finite, of a size that sums do not run over, now and then a denormal or zero.
    pub fn random(self, random: &mut Random) -> u64 {
        let r = random.next();
        let rare = r >> 60 == 0;
        let real = ((r >> 8 & 0xf_ffff) as f64 / 524288.0 - 1.0) * 4.0;
        match self {
            Kind::F16 if rare => r & 0x83ff,
            Kind::F16 => u64::from(half::f16::from_f64(real).to_bits()),
            Kind::Bf16 if rare => r & 0x807f,
            Kind::Bf16 => u64::from(half::bf16::from_f64(real).to_bits()),
            // The bits below the fraction of a tf32 must not matter.
            Kind::Tf32 => u64::from((real as f32).to_bits()) & !0x1fff | r & 0x1fff,
            Kind::F64 => (real + 1e-9 * (r >> 40) as f64).to_bits(),
            Kind::E4m3 => {
                if r & 0x7f == 0x7f {
                    0
                } else {
                    r & 0xff
                }
            }
            Kind::E5m2 => {
                if r & 0x7c == 0x7c {
                    0
                } else {
                    r & 0xff
                }
            }
            other => r & ((1 << other.bits()) - 1),
        }
    }
}

/// What accumulates, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sum {
    F16,
    F32,
    F64,
    S32,
}

impl Sum {
    pub fn name(self) -> &'static str {
        match self {
            Sum::F16 => "f16",
            Sum::F32 => "f32",
            Sum::F64 => "f64",
            Sum::S32 => "s32",
        }
    }

    pub fn random(self, random: &mut Random) -> u64 {
        let real = (random.next() & 0xffff) as f32 / 1024.0 - 32.0;
        match self {
            Sum::F16 => u64::from(half::f16::from_f32(real).to_bits()),
            Sum::F32 => u64::from(real.to_bits()),
            Sum::F64 => f64::from(real).to_bits(),
            Sum::S32 => random.next() & 0xffff_ffff,
        }
    }

    /// `c` plus products, in order: as this device adds (each step rounded to f32, f16 only at the end).
    pub fn of(self, c: u64, products: impl Iterator<Item = (f64, f64)>, saturate: bool, target: Sum) -> u64 {
        if self == Sum::F64 {
            return products.fold(f64::from_bits(c), |sum, (a, b)| a.mul_add(b, sum)).to_bits();
        }
        if self == Sum::S32 {
            let sum = products.fold(i64::from(c as u32 as i32), |sum, (a, b)| sum + (a * b) as i64);
            let sum = if saturate { sum.clamp(i32::MIN.into(), i32::MAX.into()) } else { sum };
            return u64::from(sum as u32);
        }
        let start =
            if self == Sum::F16 { half::f16::from_bits(c as u16).to_f32() } else { f32::from_bits(c as u32) };
        let sum = products.fold(start, |sum, (a, b)| (a as f32).mul_add(b as f32, sum));
        match target {
            Sum::F16 => u64::from(half::f16::from_f32(sum).to_bits()),
            _ => u64::from(sum.to_bits()),
        }
    }
}
