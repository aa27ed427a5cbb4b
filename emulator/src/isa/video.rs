//! Scalar video instructions: `vadd vsub vabsdiff vmin vmax vshl vshr vset vmad`.
//!
//! An operation on bytes, halves or words of two operands, extended; then, on the exact result, saturation, a secondary
//! operation with `c`, or a merge of the result into part of `c`.

use super::bits::clamps;
use super::integer::{operands, wrong_type};
use super::simd::ternary;
use super::{Class, Lower, Lowered, Lowering, Modifiers, Refusal, destination, source};
use crate::ptx::ast::{Instruction, Operand};
use crate::ptx::types::Type;
use crate::state::cx::Compute;
use crate::state::registers::Slot;

/// Lowers what is this family's.
pub fn lower(i: &Instruction, cx: &mut dyn Lower) -> Option<Lowering<Lowered>> {
    let run = match i.opcode.as_str() {
        "vadd" | "vsub" | "vabsdiff" | "vmin" | "vmax" | "vshl" | "vshr" | "vset" => scalar(i, cx),
        "vmad" => multiply_add(i, cx),
        _ => return None,
    };
    Some(run.map(|run| Lowered { run, class: Class::Integer, macs: 0 }))
}

/// `.u32` or `.s32`: whether it is signed.
pub(super) fn signed(m: &mut Modifiers) -> Lowering<bool> {
    match m.ty()? {
        Type::U32 => Ok(false),
        Type::S32 => Ok(true),
        other => Err(wrong_type(other)),
    }
}

/// Part of a word: its first bit and how many it has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub shift: u32,
    pub bits: u32,
}

impl Part {
    const ALL: Part = Part { shift: 0, bits: 32 };

    fn parse(selector: &str) -> Lowering<Part> {
        let part = |shift, bits| Ok(Part { shift, bits });
        match selector {
            "b0" => part(0, 8),
            "b1" => part(8, 8),
            "b2" => part(16, 8),
            "b3" => part(24, 8),
            "h0" => part(0, 16),
            "h1" => part(16, 16),
            _ => Err(Refusal(format!("unknown selector .{selector}"))),
        }
    }

    /// The bits, in place.
    fn mask(self) -> u32 {
        u32::MAX >> (32 - self.bits) << self.shift
    }

    /// The part of a word as a number.
    #[inline(always)]
    pub fn extract(self, word: u32, signed: bool) -> i64 {
        let (left, bits) = (64 - self.shift - self.bits, 64 - self.bits);
        if signed { (word as i64) << left >> bits } else { (u64::from(word) << left >> bits) as i64 }
    }
}

/// An operand, its part, and whether it stands behind a minus.
fn selected(cx: &mut dyn Lower, operand: &Operand) -> Lowering<(Slot<u32>, Part, bool)> {
    Ok(match operand {
        Operand::Select { register, selector, negative } => {
            (source(cx, &Operand::Register(*register))?, Part::parse(selector)?, *negative)
        }
        Operand::Negative(register) => (source(cx, &Operand::Register(*register))?, Part::ALL, true),
        _ => (source(cx, operand)?, Part::ALL, false),
    })
}

fn not_negative<T>((slot, part, negative): (Slot<u32>, T, bool)) -> Lowering<(Slot<u32>, T)> {
    if negative { Err(Refusal("no operand can be negated here".to_string())) } else { Ok((slot, part)) }
}

/// What is done with the two operands.
type Operation = fn(i64, i64) -> i64;

/// What is done with the result and `c`.
#[derive(Clone, Copy)]
enum Secondary {
    Nothing,
    Add,
    Min,
    Max,
}

/// The names of the comparisons of `vset`.
pub(super) const COMPARISONS: &[(&str, Operation)] = &[
    ("eq", |a, b| i64::from(a == b)),
    ("ne", |a, b| i64::from(a != b)),
    ("lt", |a, b| i64::from(a < b)),
    ("le", |a, b| i64::from(a <= b)),
    ("gt", |a, b| i64::from(a > b)),
    ("ge", |a, b| i64::from(a >= b)),
];

/// The comparison that `vset` names next.
pub(super) fn comparison(m: &mut Modifiers) -> Lowering<Operation> {
    m.one_of(COMPARISONS).ok_or_else(|| Refusal("a comparison is missing".to_string()))
}

fn scalar(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let set = i.opcode == "vset";
    let signed_d = !set && signed(&mut m)?;
    let (signed_a, signed_b) = (signed(&mut m)?, signed(&mut m)?);
    let saturate = !set && m.flag("sat");
    let operation: Operation = match i.opcode.as_str() {
        "vadd" => |a, b| a + b,
        "vsub" => |a, b| a - b,
        "vabsdiff" => |a, b| (a - b).abs(),
        "vmin" => i64::min,
        "vmax" => i64::max,
        "vset" => comparison(&mut m)?,
        shift => {
            if signed_b {
                return Err(wrong_type(Type::S32));
            }
            match (shift, clamps(&mut m)?) {
                // Shifted by 32, all that matters is the sign and that it is out of every range.
                ("vshl", true) => |a, n| if n < 32 { a << n } else { a.signum() << 62 },
                ("vshl", false) => |a, n| a << (n & 31),
                (_, true) => |a, n| a >> n.min(32),
                (_, false) => |a, n| a >> (n & 31),
            }
        }
    };
    let secondary = m
        .one_of(&[("add", Secondary::Add), ("min", Secondary::Min), ("max", Secondary::Max)])
        .unwrap_or(Secondary::Nothing);
    m.finish()?;
    let (d, a, b, c) = match i.operands.as_slice() {
        [d, a, b] => (d, a, b, None),
        [d, a, b, c] => (d, a, b, Some(c)),
        other => return Err(Refusal(format!("{} operands", other.len()))),
    };
    let (d, merge) = match d {
        Operand::Select { register, selector, negative: false } => {
            (destination(cx, &Operand::Register(*register))?, Part::parse(selector)?)
        }
        _ => (destination(cx, d)?, Part::ALL),
    };
    let combines = !matches!(secondary, Secondary::Nothing);
    if c.is_none() && (combines || merge != Part::ALL) || combines && merge != Part::ALL {
        return Err(Refusal("c is for either a secondary operation or a merge".to_string()));
    }
    let (a, part_a) = not_negative(selected(cx, a)?)?;
    let (b, part_b) = not_negative(selected(cx, b)?)?;
    let c = c.map_or(Ok(a), |c| source(cx, c))?;
    let limits = limits(merge.bits, signed_d);
    Ok(ternary(d, a, b, c, move |a: u32, b: u32, c: u32| {
        let mut result = operation(part_a.extract(a, signed_a), part_b.extract(b, signed_b));
        if saturate {
            result = result.clamp(limits.0, limits.1);
        }
        let third = Part::ALL.extract(c, signed_d);
        let result = match secondary {
            Secondary::Nothing => result,
            Secondary::Add => result.wrapping_add(third),
            Secondary::Min => result.min(third),
            Secondary::Max => result.max(third),
        };
        (result as u32) << merge.shift & merge.mask() | c & !merge.mask()
    }))
}

/// The least and the greatest number of that many bits.
pub(super) fn limits(bits: u32, signed: bool) -> (i64, i64) {
    if signed { (-1 << (bits - 1), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) }
}

fn multiply_add(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let _destination_type = signed(&mut m)?;
    let (signed_a, signed_b) = (signed(&mut m)?, signed(&mut m)?);
    let plus_one = m.flag("po");
    let saturate = m.flag("sat");
    let shift = m.one_of(&[("shr7", 7), ("shr15", 15)]).unwrap_or(0);
    m.finish()?;
    let [d, a, b, c] = operands(i)?;
    let d = destination::<u32>(cx, d)?;
    let (a, part_a, negative_a) = selected(cx, a)?;
    let (b, part_b, negative_b) = selected(cx, b)?;
    let (c, part_c, negative_c) = selected(cx, c)?;
    let negative = negative_a ^ negative_b;
    if part_c != Part::ALL || plus_one && (negative_a || negative_b || negative_c) || negative && negative_c {
        return Err(Refusal("operands cannot be selected and negated so".to_string()));
    }
    let signed = signed_a || signed_b || negative || negative_c;
    let limits = limits(32, signed);
    Ok(ternary(d, a, b, c, move |a: u32, b: u32, c: u32| {
        let product = i128::from(part_a.extract(a, signed_a)) * i128::from(part_b.extract(b, signed_b));
        let product = if negative { -product } else { product };
        let c = if negative_c { !c } else { c };
        let sum = product + i128::from(Part::ALL.extract(c, signed)) + i128::from(plus_one || negative_c);
        let scaled = sum >> shift;
        if saturate { scaled.clamp(limits.0.into(), limits.1.into()) as u32 } else { scaled as u32 }
    }))
}
