//! Double precision: `add sub mul fma mad div rcp sqrt rsqrt` with every rounding, `abs neg min max copysign testp`.
//!
//! Rounding to nearest is the processor's; the other roundings are computed in integers. A result is the first operand
//! that is NaN, made quiet; a NaN that no operand brings is 0xFFF8000000000000, as on NVIDIA hardware.

use super::f32::tested;
use super::float::{Form, last_type, slots1, slots2, slots3};
use super::integer::operands;
use super::logic::written_predicate;
use super::rounding::{self, Exact, Format, Number, Rounding};
use super::simd::{binary, ternary, test, unary};
use super::{Class, Lower, Lowered, Lowering, Refusal, source};
use crate::ptx::ast::Instruction;
use crate::state::cx::Compute;

const ROUNDINGS: &[&str] = &["rn", "rz", "rm", "rp"];

/// Lowers what is this family's.
pub fn lower(i: &Instruction, cx: &mut dyn Lower) -> Option<Lowering<Lowered>> {
    if last_type(i) != "f64" {
        return None;
    }
    let (class, macs) = match i.opcode.as_str() {
        "fma" | "mad" => (Class::F64, 1),
        "rcp" | "rsqrt" if i.modifiers.iter().any(|m| m == "approx") => (Class::Special, 0),
        _ => (Class::F64, 0),
    };
    let run = match i.opcode.as_str() {
        "add" | "sub" | "mul" | "div" => arithmetic(i, cx),
        "fma" | "mad" => fma(i, cx),
        "rcp" if i.modifiers.iter().any(|m| m == "approx") => gross(i, cx),
        "rcp" | "sqrt" => root(i, cx),
        "rsqrt" => gross(i, cx),
        "abs" | "neg" => sign(i, cx),
        "min" | "max" => extremum(i, cx),
        "copysign" => copysign(i, cx),
        "testp" => testp(i, cx),
        _ => return None,
    };
    Some(run.map(|run| Lowered { run, class, macs }))
}

/// The first NaN among the operands, quiet; else the result, or the NaN that instructions make.
#[inline(always)]
fn with_nan<const N: usize>(operands: [f64; N], result: f64) -> f64 {
    // In integers: as floats, any NaN would do to the compiler.
    let mut out = result.to_bits();
    if is_nan(out) {
        out = Format::F64.nan;
    }
    for k in (0..N).rev() {
        let bits = operands[k].to_bits();
        if is_nan(bits) {
            out = bits | 0x0008_0000_0000_0000;
        }
    }
    f64::from_bits(out)
}

#[inline(always)]
fn is_nan(bits: u64) -> bool {
    bits & (u64::MAX >> 1) > 0x7FF0_0000_0000_0000
}

/// The operands as exact numbers, if all are finite.
fn exact<const N: usize>(operands: [f64; N]) -> Option<[Exact; N]> {
    let mut out = [Exact { negative: false, exponent: 0, significand: 0 }; N];
    for k in 0..N {
        match Format::F64.decode(operands[k].to_bits()) {
            Number::Finite(value) => out[k] = value,
            _ => return None,
        }
    }
    Some(out)
}

fn encoded(value: Exact, rounding: Rounding) -> f64 {
    f64::from_bits(Format::F64.encode(value, rounding))
}

#[inline(never)]
fn sum(a: f64, b: f64, rounding: Rounding) -> f64 {
    match exact([a, b]) {
        Some([x, y]) => encoded(rounding::add(x, y, rounding), rounding),
        None => a + b,
    }
}

#[inline(never)]
fn product(a: f64, b: f64, rounding: Rounding) -> f64 {
    match exact([a, b]) {
        Some([x, y]) => encoded(rounding::mul(x, y), rounding),
        None => a * b,
    }
}

#[inline(never)]
fn product_sum(a: f64, b: f64, c: f64, rounding: Rounding) -> f64 {
    match exact([a, b, c]) {
        Some([x, y, z]) => encoded(rounding::add(rounding::mul(x, y), z, rounding), rounding),
        None => a.mul_add(b, c),
    }
}

/// `a · b + c`, rounded once: what `fma` and the matrix instructions compute.
#[inline(always)]
pub(super) fn fused(a: f64, b: f64, c: f64, rounding: Rounding) -> f64 {
    let result = match rounding {
        Rounding::Nearest => a.mul_add(b, c),
        _ => product_sum(a, b, c, rounding),
    };
    with_nan([a, b, c], result)
}

#[inline(never)]
fn quotient(a: f64, b: f64, rounding: Rounding) -> f64 {
    match exact([a, b]) {
        Some([x, y]) if b != 0.0 => encoded(rounding::div(x, y), rounding),
        _ => a / b,
    }
}

#[inline(never)]
fn root_rounded(a: f64, rounding: Rounding) -> f64 {
    match exact([a]) {
        Some([x]) if a >= 0.0 => encoded(rounding::sqrt(x), rounding),
        _ => a.sqrt(),
    }
}

fn arithmetic(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let form = Form::read(i, 1, ROUNDINGS)?;
    let (d, [a, b]) = slots2::<f64>(i, cx)?;
    let rounding = match (form.rounding()?, i.opcode.as_str()) {
        (None, "div") => return Err(Refusal("a rounding is missing (.rn .rz .rm .rp)".to_string())),
        (rounding, _) => rounding.unwrap_or(Rounding::Nearest),
    };
    Ok(match (i.opcode.as_str(), rounding) {
        ("add", Rounding::Nearest) => binary(d, a, b, |a: f64, b: f64| with_nan([a, b], a + b)),
        ("sub", Rounding::Nearest) => binary(d, a, b, |a: f64, b: f64| with_nan([a, b], a - b)),
        ("mul", Rounding::Nearest) => binary(d, a, b, |a: f64, b: f64| with_nan([a, b], a * b)),
        ("div", Rounding::Nearest) => binary(d, a, b, |a: f64, b: f64| with_nan([a, b], a / b)),
        ("add", r) => binary(d, a, b, move |a: f64, b: f64| with_nan([a, b], sum(a, b, r))),
        ("sub", r) => binary(d, a, b, move |a: f64, b: f64| with_nan([a, b], sum(a, -b, r))),
        ("mul", r) => binary(d, a, b, move |a: f64, b: f64| with_nan([a, b], product(a, b, r))),
        (_, r) => binary(d, a, b, move |a: f64, b: f64| with_nan([a, b], quotient(a, b, r))),
    })
}

fn fma(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let form = Form::read(i, 1, ROUNDINGS)?;
    let (d, [a, b, c]) = slots3::<f64>(i, cx)?;
    match form.rounding()? {
        None => Err(Refusal("a rounding is missing (.rn .rz .rm .rp)".to_string())),
        Some(Rounding::Nearest) => {
            Ok(ternary(d, a, b, c, |a: f64, b: f64, c: f64| fused(a, b, c, Rounding::Nearest)))
        }
        Some(r) => Ok(ternary(d, a, b, c, move |a: f64, b: f64, c: f64| fused(a, b, c, r))),
    }
}

fn root(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let form = Form::read(i, 1, ROUNDINGS)?;
    let (d, a) = slots1::<f64, f64>(i, cx)?;
    let Some(r) = form.rounding()? else {
        return Err(Refusal("a rounding is missing (.rn .rz .rm .rp)".to_string()));
    };
    Ok(match (i.opcode.as_str(), r) {
        ("rcp", Rounding::Nearest) => unary(d, a, |a: f64| with_nan([a], 1.0 / a)),
        ("rcp", _) => unary(d, a, move |a: f64| with_nan([a], quotient(1.0, a, r))),
        (_, Rounding::Nearest) => unary(d, a, |a: f64| with_nan([a], a.sqrt())),
        _ => unary(d, a, move |a: f64| with_nan([a], root_rounded(a, r))),
    })
}

/// `rcp.approx.ftz.f64` and `rsqrt.approx.ftz.f64` see and give the upper 32 bits only; `rsqrt.approx.f64` is whole.
fn gross(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let form = Form::read(i, 1, &["approx", "ftz"])?;
    let (d, a) = slots1::<f64, f64>(i, cx)?;
    if !form.has("approx") {
        return Err(Refusal(".approx is missing".to_string()));
    }
    let root = i.opcode == "rsqrt";
    match (root, form.has("ftz")) {
        (true, false) => Ok(unary(d, a, |a: f64| with_nan([a], 1.0 / a.sqrt()))),
        (false, false) => Err(Refusal("rcp.approx.f64 exists with .ftz only".to_string())),
        (_, true) => Ok(unary(d, a, move |a: f64| {
            let a = upper_flushed(a.to_bits());
            let value = if root { 1.0 / a.sqrt() } else { 1.0 / a };
            if is_nan(value.to_bits()) {
                f64::from_bits(0x7FFF_FFFF_0000_0000)
            } else {
                // To nearest in 1.11.20; a carry runs into the exponent, as it should.
                upper_flushed(value.to_bits() + 0x8000_0000)
            }
        })),
    }
}

/// The upper 32 bits as a number, zero if it is subnormal.
#[inline(always)]
fn upper_flushed(bits: u64) -> f64 {
    let bits = bits & 0xFFFF_FFFF_0000_0000;
    let subnormal = bits & 0x7FF0_0000_0000_0000 == 0;
    f64::from_bits(if subnormal { bits & 1 << 63 } else { bits })
}

/// `abs` passes NaN through unchanged; `neg` changes its sign.
fn sign(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    Form::read(i, 1, &[])?;
    let (d, a) = slots1::<f64, f64>(i, cx)?;
    Ok(if i.opcode == "abs" {
        unary(d, a, |a: f64| if a.is_nan() { a } else { a.abs() })
    } else {
        unary(d, a, |a: f64| -a)
    })
}

/// An integer that orders like the numbers, −0 before +0.
#[inline(always)]
fn key(x: f64) -> i64 {
    let bits = x.to_bits() as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

/// NaN only if both operands are.
fn extremum(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    Form::read(i, 1, &[])?;
    let (d, [a, b]) = slots2::<f64>(i, cx)?;
    let min = i.opcode == "min";
    Ok(binary(d, a, b, move |a: f64, b: f64| {
        let a_wins = if min { key(a) < key(b) } else { key(a) > key(b) };
        let number = if a_wins { a } else { b };
        let number = if a.is_nan() { b } else { number };
        let number = if b.is_nan() { a } else { number };
        if number.is_nan() { with_nan([a, b], number) } else { number }
    }))
}

fn copysign(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    Form::read(i, 1, &[])?;
    let (d, [a, b]) = slots2::<f64>(i, cx)?;
    Ok(binary(d, a, b, |a: f64, b: f64| b.copysign(a)))
}

fn testp(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let [p, a] = operands(i)?;
    let p = written_predicate(cx, p)?;
    let a = source::<f64>(cx, a)?;
    tested(i, |property| {
        test(p, a, move |a: f64| property.holds(a.is_nan(), a.is_infinite(), a.is_subnormal()))
    })
}
