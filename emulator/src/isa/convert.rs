//! `cvt` and `cvt.pack`.
//!
//! Every pair of types goes through [`Conversion`], which is exact and slow; the pairs that kernels use much have
//! vector loops of their own.

use super::conversion::{Conversion, Kind, extended};
use super::float::{Form, require};
use super::half::{Bf16, F16, Half};
use super::integer::operands;
use super::rounding::{Format, Rounding};
use super::simd::{binary, ternary, unary};
use super::{Class, Lower, Lowered, Lowering, Refusal, convert_fast, destination, source};
use crate::ptx::ast::{Instruction, Operand};
use crate::ptx::types::Type;
use crate::state::cx::Compute;
use crate::state::registers::{Lane, Slot};

/// Lowers what is this family's.
pub fn lower(i: &Instruction, cx: &mut dyn Lower) -> Option<Lowering<Lowered>> {
    if i.opcode != "cvt" {
        return None;
    }
    let run = if i.modifiers.first().is_some_and(|m| m == "pack") { pack(i, cx) } else { cvt(i, cx) };
    Some(run.map(|run| Lowered { run, class: Class::Convert, macs: 0 }))
}

const FLAGS: &[&str] =
    &["rn", "rz", "rm", "rp", "rna", "rni", "rzi", "rmi", "rpi", "ftz", "sat", "relu", "satfinite"];

fn type_at(i: &Instruction, from_end: usize) -> Lowering<Type> {
    let word = i.modifiers.iter().rev().nth(from_end).map_or("", String::as_str);
    Type::parse(word).ok_or_else(|| Refusal(format!(".{word} stands where a type should")))
}

fn kind(ty: Type) -> Option<Kind> {
    use Type::*;
    Some(match ty {
        U8 | U16 | U32 | U64 => Kind::Integer { bits: ty.bits(), signed: false },
        S8 | S16 | S32 | S64 => Kind::Integer { bits: ty.bits(), signed: true },
        F16 => Kind::Float(Format::F16),
        Bf16 => Kind::Float(Format::BF16),
        F32 => Kind::Float(Format::F32),
        F64 => Kind::Float(Format::F64),
        _ => return None,
    })
}

fn cvt(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let form = Form::read(i, 2, FLAGS)?;
    let (to, from) = (type_at(i, 1)?, type_at(i, 0)?);
    let rounding = match (form.rounding()?, form.has("rna")) {
        (None, true) => Some(Rounding::NearestAway),
        (Some(_), true) => return Err(Refusal("more than one rounding".to_string())),
        (rounding, false) => rounding,
    };
    let integral = form.integer_rounding()?;
    if rounding.is_some() && integral.is_some() {
        return Err(Refusal("more than one rounding".to_string()));
    }
    if form.has("ftz") && to != Type::F32 && from != Type::F32 {
        return Err(Refusal(".ftz is for .f32".to_string()));
    }
    if form.has("relu") {
        require(cx, 80, ".relu")?;
    }
    let conversion = Conversion {
        rounding: rounding.unwrap_or(Rounding::Nearest),
        integral,
        ftz: form.has("ftz"),
        sat: form.has("sat"),
        relu: form.has("relu"),
        finite: form.has("satfinite"),
        ..Conversion::new(Kind::Float(Format::F32), Kind::Float(Format::F32))
    };
    match (kind(from), kind(to)) {
        (Some(from_kind), Some(to_kind)) => {
            let conversion = Conversion { from: from_kind, to: to_kind, ..conversion };
            check(&conversion, rounding, to, from, cx)?;
            scalar(i, cx, conversion)
        }
        _ if integral.is_some() || form.has("sat") || form.has("ftz") => {
            Err(Refusal("no such modifier with packed or alternative formats".to_string()))
        }
        _ => alternative(i, cx, conversion, rounding, to, from),
    }
}

/// Whether `cvt` has these modifiers for these (ordinary) types.
fn check(c: &Conversion, rounding: Option<Rounding>, to: Type, from: Type, cx: &dyn Lower) -> Lowering<()> {
    let refuse = |why: &str| Err(Refusal(why.to_string()));
    let brain = to == Type::Bf16 || from == Type::Bf16;
    if brain {
        let singles = to == Type::F32 || from == Type::F32;
        require(cx, if singles { 80 } else { 90 }, "this conversion of bfloat16")?;
    }
    if rounding == Some(Rounding::NearestAway) {
        return refuse(".rna is for .tf32");
    }
    let halves = matches!(to, Type::F16 | Type::Bf16) && from == Type::F32;
    if (c.relu || c.finite) && !(halves && matches!(rounding, Some(Rounding::Nearest | Rounding::Zero))) {
        return refuse(".relu and .satfinite are for .rn or .rz from .f32 to halves");
    }
    let byte = matches!(to, Type::U8 | Type::S8) || matches!(from, Type::U8 | Type::S8);
    if brain && (c.sat || byte) {
        return refuse("bfloat16 has no .sat and no conversions from or to bytes");
    }
    match (c.from, c.to) {
        (Kind::Integer { .. }, Kind::Integer { .. }) if rounding.is_some() || c.integral.is_some() => {
            refuse("integers are not rounded")
        }
        (Kind::Integer { bits, signed }, Kind::Integer { bits: to, signed: to_signed })
            if c.sat && if signed == to_signed { to >= bits } else { to_signed && to > bits } =>
        {
            refuse("nothing can saturate")
        }
        (Kind::Integer { .. }, Kind::Float(_)) if rounding.is_none() => refuse("a rounding is missing"),
        (Kind::Float(_), Kind::Integer { .. }) if c.integral.is_none() => {
            refuse("an integer rounding is missing")
        }
        (Kind::Float(a), Kind::Float(b)) if c.integral.is_some() && a != b => {
            refuse("integer rounding is for formats of the same size")
        }
        (Kind::Float(a), Kind::Float(b)) => {
            let exact = a.fraction <= b.fraction && a.exponent <= b.exponent;
            let halves = matches!(to, Type::F16 | Type::Bf16) && matches!(from, Type::F16 | Type::Bf16);
            match rounding {
                None if !exact && !halves => refuse("a rounding is missing"),
                Some(_) if exact && (a != Format::BF16 || a == b) => refuse("nothing is rounded"),
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// Bits of an operand's register (64 for what is not one).
fn register_bits(cx: &dyn Lower, operand: &Operand) -> u32 {
    match operand {
        Operand::Register(r) => cx.body().registers.get(*r).map_or(64, |info| info.ty.bits()),
        _ => 64,
    }
}

fn bits_of(kind: Kind) -> u32 {
    match kind {
        Kind::Integer { bits, .. } => bits,
        Kind::Float(format) => format.fraction + format.exponent + 1,
    }
}

/// One value to one value. Registers may be wider than the types: then the low bits count, and the result is extended.
fn scalar(i: &Instruction, cx: &mut dyn Lower, c: Conversion) -> Lowering<Compute> {
    let [d, a] = operands(i)?;
    let to_bits = register_bits(cx, d);
    let from_bits = match a {
        Operand::Register(_) => register_bits(cx, a),
        _ => bits_of(c.from),
    };
    if to_bits < bits_of(c.to) || from_bits < bits_of(c.from) {
        return Err(Refusal("a register is narrower than its type".to_string()));
    }
    let exact_registers = to_bits.div_ceil(32) == bits_of(c.to).div_ceil(32)
        && from_bits.div_ceil(32) == bits_of(c.from).div_ceil(32);
    if let (Kind::Integer { bits, signed }, Kind::Integer { bits: to, signed: to_signed }, false) =
        (c.from, c.to, c.sat)
    {
        let op = move |value: u64| extended(extended(value, bits, signed), to, to_signed);
        return lanes(cx, d, a, (from_bits, to_bits), op);
    }
    if exact_registers && let Some(run) = convert_fast::lower(cx, d, a, c)? {
        return Ok(run);
    }
    lanes(cx, d, a, (from_bits, to_bits), move |value| c.apply(value))
}

/// `d = op(a)` on the bits of registers of these sizes; what exceeds the result's register is cut off.
fn lanes(
    cx: &mut dyn Lower,
    d: &Operand,
    a: &Operand,
    (from, to): (u32, u32),
    op: impl Fn(u64) -> u64 + Send + Sync + Copy + 'static,
) -> Lowering<Compute> {
    fn typed<A: Lane + Into<u64>, D: Lane>(
        cx: &mut dyn Lower,
        (d, a): (&Operand, &Operand),
        cut: impl Fn(u64) -> D + Send + Sync + 'static,
        op: impl Fn(u64) -> u64 + Send + Sync + 'static,
    ) -> Lowering<Compute> {
        let (d, a): (Slot<D>, Slot<A>) = (destination(cx, d)?, source(cx, a)?);
        Ok(unary(d, a, move |a: A| cut(op(a.into()))))
    }
    match (from > 32, to) {
        (false, 64) => typed::<u32, u64>(cx, (d, a), |v| v, op),
        (false, 32) => typed::<u32, u32>(cx, (d, a), |v| v as u32, op),
        (false, _) => typed::<u32, u16>(cx, (d, a), |v| v as u16, op),
        (true, 64) => typed::<u64, u64>(cx, (d, a), |v| v, op),
        (true, 32) => typed::<u64, u32>(cx, (d, a), |v| v as u32, op),
        (true, _) => typed::<u64, u16>(cx, (d, a), |v| v as u16, op),
    }
}

/// Packed halves, packed quarters, TF32.
fn alternative(
    i: &Instruction,
    cx: &mut dyn Lower,
    c: Conversion,
    rounding: Option<Rounding>,
    to: Type,
    from: Type,
) -> Lowering<Compute> {
    use Type::{Bf16x2, E4m3x2, E5m2x2, F16x2, F32, Tf32};
    let refuse = |why: &str| Err(Refusal(why.to_string()));
    let nearest = rounding == Some(Rounding::Nearest);
    let near_or_zero = nearest || rounding == Some(Rounding::Zero);
    match (to, from) {
        (Tf32, F32) => {
            require(cx, 80, ".tf32")?;
            match rounding {
                Some(Rounding::NearestAway) if !c.relu => {}
                Some(Rounding::Nearest | Rounding::Zero) if c.finite => {
                    return refuse(".satfinite needs sm_100");
                }
                Some(Rounding::Nearest | Rounding::Zero) => require(cx, 90, ".rn and .rz to .tf32")?,
                _ => return refuse(".rna, .rn or .rz is needed; .rna has no .relu"),
            }
            let c = Conversion { to: Kind::Float(Format::TF32), ..c };
            let [d, a] = operands(i)?;
            let (d, a): (Slot<u32>, Slot<u32>) = (destination(cx, d)?, source(cx, a)?);
            // The low 13 bits of a TF32 number are not looked at; they are zero but for NaN.
            Ok(unary(d, a, move |a: u32| {
                let bits = (c.apply(u64::from(a)) as u32) << 13;
                if bits & 0x7FFF_FFFF > 0x7F80_0000 { 0x7FFF_FFFF } else { bits }
            }))
        }
        (F16x2 | Bf16x2, F32) if near_or_zero => {
            require(cx, 80, "conversion to packed halves")?;
            let format = if to == F16x2 { Format::F16 } else { Format::BF16 };
            two_singles(i, cx, Conversion { to: Kind::Float(format), ..c })
        }
        (E4m3x2 | E5m2x2, F32 | F16x2) if nearest && c.finite => {
            require(cx, 89, "conversion to quarters")?;
            let format = if to == E4m3x2 { Format::E4M3 } else { Format::E5M2 };
            let c = Conversion { to: Kind::Float(format), ..c };
            if from == F32 {
                let [d, a, b] = operands(i)?;
                let (d, a, b): (Slot<u16>, Slot<u32>, Slot<u32>) =
                    (destination(cx, d)?, source(cx, a)?, source(cx, b)?);
                return Ok(binary(d, a, b, move |a: u32, b: u32| {
                    (c.apply(u64::from(a)) << 8 | c.apply(u64::from(b))) as u16
                }));
            }
            let c = Conversion { from: Kind::Float(Format::F16), ..c };
            let [d, a] = operands(i)?;
            let (d, a): (Slot<u16>, Slot<u32>) = (destination(cx, d)?, source(cx, a)?);
            Ok(unary(d, a, move |a: u32| {
                (c.apply(u64::from(a >> 16)) << 8 | c.apply(u64::from(a & 0xFFFF))) as u16
            }))
        }
        (F16x2, E4m3x2 | E5m2x2) if nearest && !c.finite => {
            require(cx, 89, "conversion from quarters")?;
            let format = if from == E4m3x2 { Format::E4M3 } else { Format::E5M2 };
            let c = Conversion { from: Kind::Float(format), to: Kind::Float(Format::F16), ..c };
            let [d, a] = operands(i)?;
            let (d, a): (Slot<u32>, Slot<u16>) = (destination(cx, d)?, source(cx, a)?);
            Ok(unary(d, a, move |a: u16| {
                (c.apply(u64::from(a >> 8)) << 16 | c.apply(u64::from(a & 0xFF))) as u32
            }))
        }
        _ => refuse("no such conversion before sm_100"),
    }
}

/// `cvt.….f16x2.f32 d, a, b`: a goes to the upper half.
fn two_singles(i: &Instruction, cx: &mut dyn Lower, c: Conversion) -> Lowering<Compute> {
    let [d, a, b] = operands(i)?;
    let (d, a, b): (Slot<u32>, Slot<f32>, Slot<f32>) = (destination(cx, d)?, source(cx, a)?, source(cx, b)?);
    if c.rounding == Rounding::Nearest && !c.relu && !c.finite {
        return Ok(if c.to == Kind::Float(Format::F16) {
            binary(d, a, b, |a: f32, b: f32| F16::narrow(a) << 16 | F16::narrow(b))
        } else {
            binary(d, a, b, |a: f32, b: f32| Bf16::narrow(a) << 16 | Bf16::narrow(b))
        });
    }
    Ok(binary(d, a, b, move |a: f32, b: f32| {
        let (a, b) = (c.apply(u64::from(a.to_bits())), c.apply(u64::from(b.to_bits())));
        (a << 16 | b) as u32
    }))
}

/// `cvt.pack.sat.type.s32 d, a, b` and `cvt.pack.sat.type.s32.b32 d, a, b, c`.
fn pack(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let words: Vec<&str> = i.modifiers.iter().map(String::as_str).collect();
    let (ty, shifts) = match words.as_slice() {
        ["pack", "sat", ty @ ("u16" | "s16"), "s32"] => (*ty, false),
        ["pack", "sat", ty @ ("u2" | "s2" | "u4" | "s4" | "u8" | "s8"), "s32", "b32"] => (*ty, true),
        _ => return Err(Refusal("no such cvt.pack".to_string())),
    };
    let ty = Type::parse(ty).ok_or_else(|| Refusal(format!(".{ty} is no type")))?;
    let (bits, signed) = (ty.bits(), ty.is_signed());
    require(cx, if bits < 8 { 75 } else { 72 }, "cvt.pack")?;
    let (low, high) = if signed { (-1 << (bits - 1), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) };
    let part = move |value: i32| value.clamp(low, high) as u32 & ((1 << bits) - 1);
    if shifts {
        let [d, a, b, c] = operands(i)?;
        let d: Slot<u32> = destination(cx, d)?;
        let (a, b): (Slot<i32>, Slot<i32>) = (source(cx, a)?, source(cx, b)?);
        let c: Slot<u32> = source(cx, c)?;
        return Ok(ternary(d, a, b, c, move |a: i32, b: i32, c: u32| {
            c << (2 * bits) | part(a) << bits | part(b)
        }));
    }
    let [d, a, b] = operands(i)?;
    let d: Slot<u32> = destination(cx, d)?;
    let (a, b): (Slot<i32>, Slot<i32>) = (source(cx, a)?, source(cx, b)?);
    Ok(binary(d, a, b, move |a: i32, b: i32| part(a) << bits | part(b)))
}
