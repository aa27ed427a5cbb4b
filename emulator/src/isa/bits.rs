//! Bits and bit fields: `popc clz bfind fns brev bfe bfi szext bmsk`.

use super::integer::{lower1, lower2, lower3, operands, with_type, wrong_type};
use super::simd::{Body, compute};
use super::{Class, Lower, Lowered, Lowering, Modifiers, Refusal, destination, source};
use crate::fault::Stop;
use crate::ptx::ast::Instruction;
use crate::ptx::types::Type;
use crate::state::cx::{Compute, Cx};
use crate::state::registers::{LANES, Lane, Mask, Slot};

/// Lowers what is this family's.
pub fn lower(i: &Instruction, cx: &mut dyn Lower) -> Option<Lowering<Lowered>> {
    let run = match i.opcode.as_str() {
        "popc" | "clz" | "brev" => count(i, cx),
        "bfind" => bfind(i, cx),
        "fns" => fns(i, cx),
        "bfe" => bfe(i, cx),
        "bfi" => bfi(i, cx),
        "szext" => szext(i, cx),
        "bmsk" => bmsk(i, cx),
        _ => return None,
    };
    Some(run.map(|run| Lowered { run, class: Class::Integer, macs: 0 }))
}

fn count(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let ty = m.ty()?;
    m.finish()?;
    match i.opcode.as_str() {
        "popc" => with_type!(ty, T in [B32: u32, B64: u64] => lower1(i, cx, T::count_ones)),
        "clz" => with_type!(ty, T in [B32: u32, B64: u64] => lower1(i, cx, T::leading_zeros)),
        _ => with_type!(ty, T in [B32: u32, B64: u64] => lower1(i, cx, T::reverse_bits)),
    }
}

fn bfind(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let shift = m.flag("shiftamt");
    let ty = m.ty()?;
    m.finish()?;
    // Leading zeros of the value or, if it is negative, of its complement: the shift; all of them mean that there is
    // no bit to find.
    let answer = move |zeros: u32, bits: u32| match zeros == bits {
        true => u32::MAX,
        false if shift => zeros,
        false => bits - 1 - zeros,
    };
    match ty {
        Type::U32 => lower1(i, cx, move |a: u32| answer(a.leading_zeros(), 32)),
        Type::U64 => lower1(i, cx, move |a: u64| answer(a.leading_zeros(), 64)),
        Type::S32 => lower1(i, cx, move |a: i32| answer((a ^ a >> 31).leading_zeros(), 32)),
        Type::S64 => lower1(i, cx, move |a: i64| answer((a ^ a >> 63).leading_zeros(), 64)),
        _ => Err(wrong_type(ty)),
    }
}

fn fns(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let ty = m.ty()?;
    m.finish()?;
    match ty {
        Type::B32 => lower3(i, cx, find_nth_set),
        _ => Err(wrong_type(ty)),
    }
}

/// The position of the `offset`-th set bit from `base` on, upwards or (negative) downwards; the bit at `base` counts.
/// PTX leaves a base beyond 31 undefined: nothing is found there.
fn find_nth_set(mask: u32, base: u32, offset: i32) -> u32 {
    if base > 31 {
        return u32::MAX;
    }
    let nth = offset.unsigned_abs();
    let mut rest = match offset {
        0 => mask & 1 << base,
        1.. => mask & u32::MAX << base,
        // Seen in a mirror, down is up.
        _ => (mask & u32::MAX >> (31 - base)).reverse_bits(),
    };
    if nth > rest.count_ones() {
        return u32::MAX;
    }
    for _ in 1..nth {
        rest &= rest - 1;
    }
    match (rest, offset) {
        (0, _) => u32::MAX,
        (_, 0..) => rest.trailing_zeros(),
        _ => 31 - rest.trailing_zeros(),
    }
}

fn bfe(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let ty = m.ty()?;
    m.finish()?;
    match ty {
        Type::U32 => lower3(i, cx, |a: u32, p: u32, n: u32| extract(u64::from(a), p, n) as u32),
        Type::U64 => lower3(i, cx, extract),
        // Behind the sign bit stand more of it, so that a field that reaches out of the number is extended as it ends
        // there.
        Type::S32 => lower3(i, cx, |a: i32, p: u32, n: u32| extract_signed(i64::from(a), p, n) as i32),
        Type::S64 => lower3(i, cx, extract_signed),
        _ => Err(wrong_type(ty)),
    }
}

#[inline(always)]
fn extract(a: u64, position: u32, length: u32) -> u64 {
    let (position, length) = (position & 0xFF, length & 0xFF);
    let shifted = if position > 63 { 0 } else { a >> position };
    if length > 63 { shifted } else { shifted & !(u64::MAX << length) }
}

#[inline(always)]
fn extract_signed(a: i64, position: u32, length: u32) -> i64 {
    let (position, length) = (position & 0xFF, length & 0xFF);
    let shifted = a >> position.min(63);
    match length {
        0 => 0,
        1..=63 => shifted << (64 - length) >> (64 - length),
        _ => shifted,
    }
}

fn bfi(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let ty = m.ty()?;
    m.finish()?;
    let [f, a, b, position, length] = operands(i)?;
    with_type!(ty, T in [B32: u32, B64: u64] => Ok(compute(Insert::<T> {
        d: destination(cx, f)?,
        a: source(cx, a)?,
        b: source(cx, b)?,
        position: source(cx, position)?,
        length: source(cx, length)?,
    })))
}

struct Insert<T> {
    d: Slot<T>,
    a: Slot<T>,
    b: Slot<T>,
    position: Slot<u32>,
    length: Slot<u32>,
}

/// Bits that fit into 64.
trait Bits: Lane {
    fn widen(self) -> u64;
    fn narrow(bits: u64) -> Self;
}

impl Bits for u32 {
    #[inline(always)]
    fn widen(self) -> u64 {
        u64::from(self)
    }
    #[inline(always)]
    fn narrow(bits: u64) -> u32 {
        bits as u32
    }
}

impl Bits for u64 {
    #[inline(always)]
    fn widen(self) -> u64 {
        self
    }
    #[inline(always)]
    fn narrow(bits: u64) -> u64 {
        bits
    }
}

impl<T: Bits> Body for Insert<T> {
    #[inline(always)]
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
        let (a, b) = (cx.registers.read(self.a), cx.registers.read(self.b));
        let (position, length) = (cx.registers.read(self.position), cx.registers.read(self.length));
        let mut d = [T::default(); LANES];
        for i in 0..LANES {
            let (position, length) = (position[i] & 0xFF, length[i] & 0xFF);
            let field = if length > 63 { u64::MAX } else { !(u64::MAX << length) };
            let (a, b) = (a[i].widen(), b[i].widen());
            d[i] =
                T::narrow(if position > 63 { b } else { b & !(field << position) | (a & field) << position });
        }
        cx.registers.write(self.d, &d, mask);
        Ok(())
    }
}

/// Whether amounts beyond 31 are clamped (or else wrapped).
pub(super) fn clamps(m: &mut Modifiers) -> Lowering<bool> {
    m.one_of(&[("clamp", true), ("wrap", false)])
        .ok_or_else(|| Refusal(".clamp or .wrap is missing".to_string()))
}

fn szext(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let clamp = clamps(&mut m)?;
    let ty = m.ty()?;
    m.finish()?;
    let bits = move |n: u32| if clamp { n.min(32) } else { n & 31 };
    match ty {
        Type::U32 => lower2(i, cx, move |a: u32, n: u32| extract(u64::from(a), 0, bits(n)) as u32),
        Type::S32 => lower2(i, cx, move |a: i32, n: u32| extract_signed(i64::from(a), 0, bits(n)) as i32),
        _ => Err(wrong_type(ty)),
    }
}

fn bmsk(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let clamp = clamps(&mut m)?;
    let ty = m.ty()?;
    m.finish()?;
    if ty != Type::B32 {
        return Err(wrong_type(ty));
    }
    lower2(i, cx, move |position: u32, width: u32| {
        let (position, width) =
            if clamp { (position.min(32), width.min(32)) } else { (position & 31, width & 31) };
        // 64 bits hold whatever reaches out of the word.
        (((1u64 << width) - 1) << position) as u32
    })
}
