//! Vector loops for the conversions that kernels use much.

use super::conversion::{Conversion, Kind};
use super::f32::{canonical, input, result};
use super::half::{Bf16, F16, Half};
use super::rounding::{Format, Rounding};
use super::simd::unary;
use super::{Lower, Lowering, destination, source};
use crate::ptx::ast::Operand;
use crate::state::cx::Compute;
use crate::state::registers::{Lane, Slot};

/// A loop for this conversion, if there is one. The registers have the sizes of the types.
pub(super) fn lower(
    cx: &mut dyn Lower,
    d: &Operand,
    a: &Operand,
    c: Conversion,
) -> Lowering<Option<Compute>> {
    if c.relu || c.finite {
        return Ok(None);
    }
    Ok(Some(match (c.from, c.to) {
        (Kind::Integer { bits, signed }, Kind::Float(to)) if c.rounding == Rounding::Nearest && !c.sat => {
            match (bits, signed, to) {
                (32, true, Format::F32) => map(cx, d, a, |a: i32| a as f32)?,
                (32, false, Format::F32) => map(cx, d, a, |a: u32| a as f32)?,
                (64, true, Format::F32) => map(cx, d, a, |a: i64| a as f32)?,
                (64, false, Format::F32) => map(cx, d, a, |a: u64| a as f32)?,
                (16, true, Format::F32) => map(cx, d, a, |a: i16| f32::from(a))?,
                (16, false, Format::F32) => map(cx, d, a, |a: u16| f32::from(a))?,
                (8, true, Format::F32) => map(cx, d, a, |a: i8| f32::from(a))?,
                (8, false, Format::F32) => map(cx, d, a, |a: u8| f32::from(a))?,
                (32, true, Format::F64) => map(cx, d, a, |a: i32| f64::from(a))?,
                (32, false, Format::F64) => map(cx, d, a, |a: u32| f64::from(a))?,
                (64, true, Format::F64) => map(cx, d, a, |a: i64| a as f64)?,
                (64, false, Format::F64) => map(cx, d, a, |a: u64| a as f64)?,
                _ => return Ok(None),
            }
        }
        (Kind::Float(Format::F32), Kind::Integer { bits, signed }) => {
            let (ftz, rounding) = (c.ftz, c.integral);
            match (bits, signed) {
                (32, true) => map(cx, d, a, move |a: f32| integral(input(a, ftz), rounding) as i32)?,
                (32, false) => map(cx, d, a, move |a: f32| integral(input(a, ftz), rounding) as u32)?,
                (64, true) => map(cx, d, a, move |a: f32| {
                    let value = integral(input(a, ftz), rounding) as i64;
                    if a.is_nan() { i64::MIN } else { value }
                })?,
                (64, false) => map(cx, d, a, move |a: f32| {
                    let value = integral(input(a, ftz), rounding) as u64;
                    if a.is_nan() { 1 << 63 } else { value }
                })?,
                _ => return Ok(None),
            }
        }
        (Kind::Float(Format::F64), Kind::Integer { bits: 32, signed: true }) => {
            let rounding = c.integral;
            map(cx, d, a, move |a: f64| {
                let value = integral_double(a, rounding) as i32;
                if a.is_nan() { i32::MIN } else { value }
            })?
        }
        (Kind::Float(Format::F64), Kind::Integer { bits: 64, signed: true }) => {
            let rounding = c.integral;
            map(cx, d, a, move |a: f64| {
                let value = integral_double(a, rounding) as i64;
                if a.is_nan() { i64::MIN } else { value }
            })?
        }
        (Kind::Float(from), Kind::Float(to)) => return between(cx, d, a, (from, to), c),
        _ => return Ok(None),
    }))
}

/// From one floating format to another.
fn between(
    cx: &mut dyn Lower,
    d: &Operand,
    a: &Operand,
    (from, to): (Format, Format),
    c: Conversion,
) -> Lowering<Option<Compute>> {
    let (ftz, sat, rounding) = (c.ftz, c.sat, c.integral);
    let plain = c.rounding == Rounding::Nearest && !sat;
    Ok(Some(match (from, to) {
        (Format::F32, Format::F32) => {
            map(cx, d, a, move |a: f32| result(integral(input(a, ftz), rounding), ftz, sat))?
        }
        (Format::F32, Format::F64) if plain => map(cx, d, a, move |a: f32| {
            let value = f64::from(input(a, ftz));
            let bits = u64::from(a.to_bits());
            // NaN keeps sign and payload, and becomes quiet.
            let nan = (bits & 0x8000_0000) << 32 | 0x7FF8 << 48 | (bits & 0x003F_FFFF) << 29;
            if a.is_nan() { f64::from_bits(nan) } else { value }
        })?,
        (Format::F64, Format::F32) if plain => map(cx, d, a, move |a: f64| result(a as f32, ftz, false))?,
        (Format::F16, Format::F32) if plain => map(cx, d, a, |a: u16| canonical(F16::widen(u32::from(a))))?,
        (Format::BF16, Format::F32) if plain => {
            map(cx, d, a, move |a: u16| result(Bf16::widen(u32::from(a)), ftz, false))?
        }
        (Format::F32, Format::F16) if plain => {
            map(cx, d, a, move |a: f32| F16::narrow(input(a, ftz)) as u16)?
        }
        (Format::F32, Format::BF16) if plain => {
            map(cx, d, a, move |a: f32| Bf16::narrow(input(a, ftz)) as u16)?
        }
        _ => return Ok(None),
    }))
}

fn map<A: Lane, D: Lane>(
    cx: &mut dyn Lower,
    d: &Operand,
    a: &Operand,
    op: impl Fn(A) -> D + Send + Sync + 'static,
) -> Lowering<Compute> {
    let (d, a): (Slot<D>, Slot<A>) = (destination(cx, d)?, source(cx, a)?);
    Ok(unary(d, a, op))
}

#[inline(always)]
fn integral(x: f32, rounding: Option<Rounding>) -> f32 {
    match rounding {
        None => x,
        Some(Rounding::Nearest | Rounding::NearestAway) => x.round_ties_even(),
        Some(Rounding::Zero) => x.trunc(),
        Some(Rounding::Down) => x.floor(),
        Some(Rounding::Up) => x.ceil(),
    }
}

#[inline(always)]
fn integral_double(x: f64, rounding: Option<Rounding>) -> f64 {
    match rounding {
        None => x,
        Some(Rounding::Nearest | Rounding::NearestAway) => x.round_ties_even(),
        Some(Rounding::Zero) => x.trunc(),
        Some(Rounding::Down) => x.floor(),
        Some(Rounding::Up) => x.ceil(),
    }
}
