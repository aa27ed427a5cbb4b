//! Moves and selections: `mov selp slct`.
//!
//! A special register that changes while a warp runs (`%clock`) is read by `exec` itself: those `mov`s do not come here.

use super::integer::{lower1, operands, with_type, wrong_type};
use super::logic::{Truth, written_predicate};
use super::simd::{Body, compute, ternary};
use super::{Class, Lower, Lowered, Lowering, Modifiers, Refusal, destination, source};
use crate::fault::Stop;
use crate::ptx::ast::{Instruction, Operand};
use crate::ptx::types::Type;
use crate::state::cx::{Compute, Cx};
use crate::state::registers::{LANES, Lane, Mask, Slot};

/// Lowers what is this family's.
pub fn lower(i: &Instruction, cx: &mut dyn Lower) -> Option<Lowering<Lowered>> {
    let run = match i.opcode.as_str() {
        "mov" => mov(i, cx),
        "selp" => selp(i, cx),
        "slct" => slct(i, cx),
        _ => return None,
    };
    Some(run.map(|run| Lowered { run, class: Class::Move, macs: 0 }))
}

fn mov(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let vector = m.one_of(&[("v2", 2), ("v4", 4)]);
    let ty = m.ty()?;
    m.finish()?;
    let [d, a] = operands(i)?;
    if let Some(count) = vector {
        return move_vector(cx, d, a, ty, count);
    }
    match (d, a) {
        (_, Operand::Vector(parts)) => pack(cx, d, parts, ty),
        (Operand::Vector(parts), _) => unpack(cx, parts, a, ty),
        _ if ty == Type::Pred => {
            let (d, a) = (written_predicate(cx, d)?, Truth::lower(cx, a)?);
            Ok(Box::new(move |cx, mask| {
                let value = a.read(cx);
                cx.registers.set_predicate(d, value, mask);
                Ok(())
            }))
        }
        _ => match ty.bits() {
            16 => lower1(i, cx, |a: u16| a),
            32 => lower1(i, cx, |a: u32| a),
            64 => lower1(i, cx, |a: u64| a),
            128 => lower1(i, cx, |a: u128| a),
            _ => Err(wrong_type(ty)),
        },
    }
}

/// `mov.v4.u32 {a, b, c, d}, %tid` and between vectors of registers.
fn move_vector(cx: &mut dyn Lower, d: &Operand, a: &Operand, ty: Type, count: usize) -> Lowering<Compute> {
    let Operand::Vector(to) = d else {
        return Err(Refusal(format!("{d:?} is not a vector")));
    };
    let from = match a {
        Operand::Vector(from) => from.clone(),
        Operand::Special { name, component: None } => {
            (0..4).map(|c| Operand::Special { name: name.clone(), component: Some(c) }).take(count).collect()
        }
        other => return Err(Refusal(format!("{other:?} is not a vector"))),
    };
    if to.len() != count || from.len() != count {
        return Err(Refusal(format!("vectors of {} and {} elements", to.len(), from.len())));
    }
    match ty.bits() {
        16 | 32 => move_each::<u32>(cx, to, &from),
        64 => move_each::<u64>(cx, to, &from),
        _ => Err(wrong_type(ty)),
    }
}

fn move_each<T: Lane>(cx: &mut dyn Lower, to: &[Operand], from: &[Operand]) -> Lowering<Compute> {
    let mut pairs = Vec::new();
    for (d, a) in to.iter().zip(from) {
        if *d != Operand::Sink {
            pairs.push((destination::<T>(cx, d)?, source::<T>(cx, a)?));
        }
    }
    Ok(Box::new(move |cx, mask| {
        // All are read before one is written: `mov.v2 {a, b}, {b, a}` exchanges.
        let mut values = [[T::default(); LANES]; 4];
        for (value, (_, a)) in values.iter_mut().zip(&pairs) {
            *value = cx.registers.read(*a);
        }
        for (value, (d, _)) in values.iter().zip(&pairs) {
            cx.registers.write(*d, value, mask);
        }
        Ok(())
    }))
}

/// A part of a vector that makes up a scalar.
#[derive(Clone, Copy)]
enum Part {
    /// Of up to 32 bits.
    Narrow(Slot<u32>),
    Wide(Slot<u64>),
}

/// The parts of a scalar of type `ty`; `None` for `_`.
fn parts(
    cx: &mut dyn Lower,
    operands: &[Operand],
    ty: Type,
    place: fn(&mut dyn Lower, &Operand, bool) -> Lowering<Part>,
) -> Lowering<(Vec<Option<Part>>, u32)> {
    let bits = match ty {
        Type::Pred => 0,
        _ => ty.bits().checked_div(operands.len() as u32).unwrap_or(0),
    };
    let possible = matches!(operands.len(), 2 | 4) && matches!(bits, 8 | 16 | 32 | 64);
    if !possible {
        return Err(Refusal(format!("a vector of {} elements is not a {ty:?}", operands.len())));
    }
    let mut parts = Vec::new();
    for o in operands {
        parts.push(match o {
            Operand::Sink => None,
            _ => Some(place(cx, o, bits == 64)?),
        });
    }
    Ok((parts, bits))
}

/// `mov.b64 d, {a, b}`: the first part is the lowest.
fn pack(cx: &mut dyn Lower, d: &Operand, operands: &[Operand], ty: Type) -> Lowering<Compute> {
    let (parts, bits) = parts(cx, operands, ty, |cx, o, wide| {
        Ok(if wide { Part::Wide(source(cx, o)?) } else { Part::Narrow(source(cx, o)?) })
    })?;
    if let (16, [Some(Part::Narrow(a)), Some(Part::Narrow(b))], 32) = (bits, parts.as_slice(), ty.bits()) {
        let d = destination::<u32>(cx, d)?;
        return Ok(super::simd::binary(d, *a, *b, |a: u32, b: u32| a & 0xFFFF | b << 16));
    }
    if let (32, [Some(Part::Narrow(a)), Some(Part::Narrow(b))], 64) = (bits, parts.as_slice(), ty.bits()) {
        let d = destination::<u64>(cx, d)?;
        return Ok(super::simd::binary(d, *a, *b, |a: u32, b: u32| u64::from(a) | u64::from(b) << 32));
    }
    let Some(parts) = parts.into_iter().collect::<Option<Vec<Part>>>() else {
        return Err(Refusal("_ is not a value".to_string()));
    };
    match ty.bits() {
        16 => Ok(pack_to(destination::<u16>(cx, d)?, parts, bits)),
        32 => Ok(pack_to(destination::<u32>(cx, d)?, parts, bits)),
        64 => Ok(pack_to(destination::<u64>(cx, d)?, parts, bits)),
        _ => Ok(pack_to(destination::<u128>(cx, d)?, parts, bits)),
    }
}

fn pack_to<T: Lane>(d: Slot<T>, parts: Vec<Part>, bits: u32) -> Compute {
    let low = u128::from(u64::MAX >> (64 - bits));
    Box::new(move |cx, mask| {
        let mut sum = [0; LANES];
        for (n, part) in parts.iter().enumerate() {
            let value = read_part(cx, *part);
            for i in 0..LANES {
                sum[i] |= (u128::from(value[i]) & low) << (n as u32 * bits);
            }
        }
        let mut value = [T::default(); LANES];
        for i in 0..LANES {
            value[i] = T::from_bits(sum[i]);
        }
        cx.registers.write(d, &value, mask);
        Ok(())
    })
}

fn read_part(cx: &Cx<'_>, part: Part) -> [u64; LANES] {
    match part {
        Part::Wide(slot) => cx.registers.read(slot),
        Part::Narrow(slot) => {
            let narrow = cx.registers.read(slot);
            let mut value = [0; LANES];
            for i in 0..LANES {
                value[i] = u64::from(narrow[i]);
            }
            value
        }
    }
}

/// `mov.b64 {a, b}, d`.
fn unpack(cx: &mut dyn Lower, operands: &[Operand], a: &Operand, ty: Type) -> Lowering<Compute> {
    let (parts, bits) = parts(cx, operands, ty, |cx, o, wide| {
        Ok(if wide { Part::Wide(destination(cx, o)?) } else { Part::Narrow(destination(cx, o)?) })
    })?;
    match (ty.bits(), parts.as_slice()) {
        (32, [low, high]) => {
            let (low, high, a) = (narrow(*low), narrow(*high), source::<u32>(cx, a)?);
            return Ok(compute(Split { low, high, a, op: |a: u32| (a & 0xFFFF, a >> 16) }));
        }
        (64, [low, high]) => {
            let (low, high, a) = (narrow(*low), narrow(*high), source::<u64>(cx, a)?);
            return Ok(compute(Split { low, high, a, op: |a: u64| (a as u32, (a >> 32) as u32) }));
        }
        _ => {}
    }
    match ty.bits() {
        16 => Ok(unpack_from(source::<u16>(cx, a)?, parts, bits)),
        32 => Ok(unpack_from(source::<u32>(cx, a)?, parts, bits)),
        64 => Ok(unpack_from(source::<u64>(cx, a)?, parts, bits)),
        _ => Ok(unpack_from(source::<u128>(cx, a)?, parts, bits)),
    }
}

fn narrow(part: Option<Part>) -> Option<Slot<u32>> {
    match part {
        Some(Part::Narrow(slot)) => Some(slot),
        _ => None,
    }
}

/// The halves of a value, the most frequent way to unpack.
struct Split<T, F> {
    low: Option<Slot<u32>>,
    high: Option<Slot<u32>>,
    a: Slot<T>,
    op: F,
}

impl<T: Lane, F: Fn(T) -> (u32, u32) + Send + Sync + 'static> Body for Split<T, F> {
    #[inline(always)]
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
        let a = cx.registers.read(self.a);
        let (mut low, mut high) = ([0; LANES], [0; LANES]);
        for i in 0..LANES {
            (low[i], high[i]) = (self.op)(a[i]);
        }
        if let Some(slot) = self.low {
            cx.registers.write(slot, &low, mask);
        }
        if let Some(slot) = self.high {
            cx.registers.write(slot, &high, mask);
        }
        Ok(())
    }
}

fn unpack_from<T: Lane>(a: Slot<T>, parts: Vec<Option<Part>>, bits: u32) -> Compute {
    let low = u128::from(u64::MAX >> (64 - bits));
    Box::new(move |cx, mask| {
        let value = cx.registers.read(a);
        for (n, part) in parts.iter().enumerate() {
            let Some(part) = part else { continue };
            let mut wide = [0; LANES];
            for i in 0..LANES {
                wide[i] = (value[i].to_bits() >> (n as u32 * bits) & low) as u64;
            }
            match *part {
                Part::Wide(slot) => cx.registers.write(slot, &wide, mask),
                Part::Narrow(slot) => {
                    let mut narrow = [0; LANES];
                    for i in 0..LANES {
                        narrow[i] = wide[i] as u32;
                    }
                    cx.registers.write(slot, &narrow, mask);
                }
            }
        }
        Ok(())
    })
}

fn selp(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let ty = m.ty()?;
    m.finish()?;
    let [d, a, b, c] = operands(i)?;
    let c = Truth::lower(cx, c)?;
    with_type!(ty, T in [
        B16: u16, U16: u16, S16: u16, B32: u32, U32: u32, S32: u32, F32: f32,
        B64: u64, U64: u64, S64: u64, F64: f64
    ] => {
        Ok(compute(Select::<T> { d: destination(cx, d)?, a: source(cx, a)?, b: source(cx, b)?, c }))
    })
}

struct Select<T> {
    d: Slot<T>,
    a: Slot<T>,
    b: Slot<T>,
    c: Truth,
}

impl<T: Lane> Body for Select<T> {
    #[inline(always)]
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
        let (a, b) = (cx.registers.read(self.a), cx.registers.read(self.b));
        let c = self.c.read(cx);
        let mut d = [T::default(); LANES];
        for i in 0..LANES {
            d[i] = if c & 1 << i != 0 { a[i] } else { b[i] };
        }
        cx.registers.write(self.d, &d, mask);
        Ok(())
    }
}

fn slct(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let ftz = m.flag("ftz");
    let ty = m.ty()?;
    let by = m.ty()?;
    m.finish()?;
    let [d, a, b, c] = operands(i)?;
    with_type!(ty, T in [
        B16: u16, U16: u16, S16: u16, B32: u32, U32: u32, S32: u32, F32: f32,
        B64: u64, U64: u64, S64: u64, F64: f64
    ] => {
        let (d, a, b) = (destination::<T>(cx, d)?, source::<T>(cx, a)?, source::<T>(cx, b)?);
        match by {
            Type::S32 if !ftz => Ok(ternary(d, a, b, source(cx, c)?, |a: T, b: T, c: i32| if c >= 0 { a } else { b })),
            Type::F32 => {
                // With .ftz, negative subnormals are zeros.
                let limit = if ftz { -f32::MIN_POSITIVE } else { 0.0 };
                let holds = move |c: f32| if ftz { c > limit } else { c >= limit };
                Ok(ternary(d, a, b, source(cx, c)?, move |a: T, b: T, c: f32| if holds(c) { a } else { b }))
            }
            _ => Err(wrong_type(by)),
        }
    })
}
