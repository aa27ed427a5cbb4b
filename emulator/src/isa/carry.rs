//! Extended-precision arithmetic: `add.cc addc sub.cc subc mad.cc madc`, and the condition code register.
//!
//! `CC.CF` is a bit per lane. After a subtraction it holds the borrow.

use super::integer::{Int, Part, operands, wrong_type};
use super::simd::{Body, compute, mask_of};
use super::{Lower, Lowering, Modifiers, Refusal, destination, source};
use crate::fault::Stop;
use crate::ptx::ast::{Instruction, Operand};
use crate::ptx::types::Type;
use crate::state::cx::{Compute, Cx};
use crate::state::registers::{LANES, Lane, Mask, Slot};

/// What an instruction does with the condition code.
#[derive(Clone, Copy)]
pub(super) struct Flags {
    pub subtract: bool,
    pub carry_in: bool,
    pub carry_out: bool,
}

/// Sums that tell whether they overflowed.
trait Carrying: Int {
    fn add_carrying(self, b: Self, carry: bool) -> (Self, bool);
    fn sub_borrowing(self, b: Self, borrow: bool) -> (Self, bool);
}

macro_rules! carrying {
    ($($t:ident)*) => {$(
        impl Carrying for $t {
            #[inline(always)]
            fn add_carrying(self, b: Self, carry: bool) -> (Self, bool) {
                let (sum, first) = self.overflowing_add(b);
                let (sum, second) = sum.overflowing_add($t::from(carry));
                (sum, first | second)
            }
            #[inline(always)]
            fn sub_borrowing(self, b: Self, borrow: bool) -> (Self, bool) {
                let (rest, first) = self.overflowing_sub(b);
                let (rest, second) = rest.overflowing_sub($t::from(borrow));
                (rest, first | second)
            }
        }
    )*};
}

carrying! { u32 u64 }

/// `add{c}{.cc}` and `sub{c}{.cc}`, modifiers taken up to `.cc`.
pub(super) fn add(i: &Instruction, cx: &mut dyn Lower, mut m: Modifiers, flags: Flags) -> Lowering<Compute> {
    let ty = m.ty()?;
    m.finish()?;
    let [d, a, b] = operands(i)?;
    let o = [d, a, b, b];
    // Carry and borrow are those of the bits, whatever the sign.
    match (ty, flags.subtract) {
        (Type::U32 | Type::S32, false) => {
            extended(cx, o, flags, |a: u32, b, _, carry| a.add_carrying(b, carry))
        }
        (Type::U32 | Type::S32, true) => {
            extended(cx, o, flags, |a: u32, b, _, carry| a.sub_borrowing(b, carry))
        }
        (Type::U64 | Type::S64, false) => {
            extended(cx, o, flags, |a: u64, b, _, carry| a.add_carrying(b, carry))
        }
        (Type::U64 | Type::S64, true) => {
            extended(cx, o, flags, |a: u64, b, _, carry| a.sub_borrowing(b, carry))
        }
        _ => Err(wrong_type(ty)),
    }
}

/// `mad{c}{.cc}`, modifiers taken up to `.cc`.
pub(super) fn mad(
    i: &Instruction,
    cx: &mut dyn Lower,
    mut m: Modifiers,
    part: Part,
    flags: Flags,
) -> Lowering<Compute> {
    let ty = m.ty()?;
    m.finish()?;
    let [d, a, b, c] = operands(i)?;
    let o = [d, a, b, c];
    match (part, ty) {
        (Part::Low, Type::U32 | Type::S32) => {
            extended(cx, o, flags, |a: u32, b, c, carry| a.mul_lo(b).add_carrying(c, carry))
        }
        (Part::Low, Type::U64 | Type::S64) => {
            extended(cx, o, flags, |a: u64, b, c, carry| a.mul_lo(b).add_carrying(c, carry))
        }
        (Part::High, Type::U32) => {
            extended(cx, o, flags, |a: u32, b, c, carry| a.mul_hi(b).add_carrying(c, carry))
        }
        (Part::High, Type::S32) => extended(cx, o, flags, |a: u32, b, c, carry| {
            ((a as i32).mul_hi(b as i32) as u32).add_carrying(c, carry)
        }),
        (Part::High, Type::U64) => {
            extended(cx, o, flags, |a: u64, b, c, carry| a.mul_hi(b).add_carrying(c, carry))
        }
        (Part::High, Type::S64) => extended(cx, o, flags, |a: u64, b, c, carry| {
            ((a as i64).mul_hi(b as i64) as u64).add_carrying(c, carry)
        }),
        (Part::Wide, _) => Err(Refusal("unknown modifier .wide".to_string())),
        _ => Err(wrong_type(ty)),
    }
}

fn extended<T: Lane>(
    cx: &mut dyn Lower,
    [d, a, b, c]: [&Operand; 4],
    flags: Flags,
    op: impl Fn(T, T, T, bool) -> (T, bool) + Send + Sync + 'static,
) -> Lowering<Compute> {
    let (d, a) = (destination::<T>(cx, d)?, source::<T>(cx, a)?);
    let (b, c) = (source::<T>(cx, b)?, source::<T>(cx, c)?);
    Ok(compute(Extended { d, a, b, c, flags, op }))
}

struct Extended<T, F> {
    d: Slot<T>,
    a: Slot<T>,
    b: Slot<T>,
    c: Slot<T>,
    flags: Flags,
    op: F,
}

impl<T: Lane, F> Body for Extended<T, F>
where
    F: Fn(T, T, T, bool) -> (T, bool) + Send + Sync + 'static,
{
    #[inline(always)]
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
        let (a, b, c) = (cx.registers.read(self.a), cx.registers.read(self.b), cx.registers.read(self.c));
        let carry = if self.flags.carry_in { cx.warp.carry } else { 0 };
        let mut d = [T::default(); LANES];
        let mut out = [false; LANES];
        for i in 0..LANES {
            (d[i], out[i]) = (self.op)(a[i], b[i], c[i], carry >> i & 1 != 0);
        }
        cx.registers.write(self.d, &d, mask);
        if self.flags.carry_out {
            cx.warp.carry = cx.warp.carry & !mask | mask_of(&out) & mask;
        }
        Ok(())
    }
}
