//! Integer arithmetic: `add sub mul mad mul24 mad24 sad div rem abs neg min max dp4a dp2a`.
//!
//! PTX leaves division by zero unspecified. Here, as on NVIDIA hardware, quotient and remainder by zero have all bits
//! set; the most negative number by −1 gives itself, remainder 0.

use super::simd::{binary, ternary, unary};
use super::{Class, Lower, Lowered, Lowering, Modifiers, Refusal, carry, destination, source};
use crate::ptx::ast::{Instruction, Operand};
use crate::ptx::types::Type;
use crate::state::cx::Compute;
use crate::state::registers::Lane;

/// Lowers what is this family's.
pub fn lower(i: &Instruction, cx: &mut dyn Lower) -> Option<Lowering<Lowered>> {
    if i.modifiers.iter().any(|m| is_floating(m)) {
        return None;
    }
    let run = match i.opcode.as_str() {
        "add" | "sub" | "addc" | "subc" => add(i, cx),
        "mul" => mul(i, cx),
        "mad" | "madc" => mad(i, cx),
        "mul24" | "mad24" => mul24(i, cx),
        "sad" => sad(i, cx),
        "div" | "rem" => div(i, cx),
        "abs" | "neg" => abs(i, cx),
        "min" | "max" => min_max(i, cx),
        "dp4a" => dp4a(i, cx),
        "dp2a" => dp2a(i, cx),
        _ => return None,
    };
    Some(run.map(|run| Lowered { run, class: Class::Integer, macs: 0 }))
}

fn is_floating(modifier: &str) -> bool {
    matches!(modifier, "f16" | "f16x2" | "bf16" | "bf16x2" | "f32" | "f32x2" | "f64")
}

/// A type that an instruction does not have.
pub(super) fn wrong_type(ty: Type) -> Refusal {
    Refusal(format!("no such instruction for type {ty:?}"))
}

/// The operands, which must be `N`.
pub(super) fn operands<const N: usize>(i: &Instruction) -> Lowering<&[Operand; N]> {
    i.operands
        .as_slice()
        .try_into()
        .map_err(|_| Refusal(format!("{} operands where {N} are expected", i.operands.len())))
}

/// The operations of the integer types.
pub(super) trait Int: Lane + Ord {
    /// The type of twice the width (64 bits stay).
    type Wide: Lane;
    fn add(self, b: Self) -> Self;
    fn sub(self, b: Self) -> Self;
    fn mul_lo(self, b: Self) -> Self;
    fn mul_hi(self, b: Self) -> Self;
    fn div(self, b: Self) -> Self;
    fn rem(self, b: Self) -> Self;
    fn neg(self) -> Self;
    fn magnitude(self) -> Self;
    fn distance(self, b: Self) -> Self;
    fn add_saturating(self, b: Self) -> Self;
    fn sub_saturating(self, b: Self) -> Self;
}

macro_rules! int {
    ($($t:ident, $wide:ident, $product:ident, $abs:expr;)*) => {$(
        impl Int for $t {
            type Wide = $wide;
            #[inline(always)]
            fn add(self, b: Self) -> Self { self.wrapping_add(b) }
            #[inline(always)]
            fn sub(self, b: Self) -> Self { self.wrapping_sub(b) }
            #[inline(always)]
            fn mul_lo(self, b: Self) -> Self { self.wrapping_mul(b) }
            #[inline(always)]
            fn mul_hi(self, b: Self) -> Self {
                ($product::from(self).wrapping_mul($product::from(b)) >> $t::BITS) as $t
            }
            #[inline(always)]
            fn div(self, b: Self) -> Self { if b == 0 { !0 } else { self.wrapping_div(b) } }
            #[inline(always)]
            fn rem(self, b: Self) -> Self { if b == 0 { !0 } else { self.wrapping_rem(b) } }
            #[inline(always)]
            fn neg(self) -> Self { self.wrapping_neg() }
            #[inline(always)]
            fn magnitude(self) -> Self { $abs(self) }
            #[inline(always)]
            fn distance(self, b: Self) -> Self { self.max(b).wrapping_sub(self.min(b)) }
            #[inline(always)]
            fn add_saturating(self, b: Self) -> Self { self.saturating_add(b) }
            #[inline(always)]
            fn sub_saturating(self, b: Self) -> Self { self.saturating_sub(b) }
        }
    )*};
}

int! {
    u16, u32, u32, (|v: u16| v);
    u32, u64, u64, (|v: u32| v);
    u64, u64, u128, (|v: u64| v);
    i16, i32, i32, i16::wrapping_abs;
    i32, i64, i64, i32::wrapping_abs;
    i64, i64, i128, i64::wrapping_abs;
}

/// Products of 16 and 32 bits, in full.
pub(super) trait Product: Int {
    fn product(self, b: Self) -> Self::Wide;
    fn accumulate(product: Self::Wide, c: Self::Wide) -> Self::Wide;
}

macro_rules! product {
    ($($t:ident, $wide:ident;)*) => {$(
        impl Product for $t {
            #[inline(always)]
            fn product(self, b: Self) -> $wide { $wide::from(self).wrapping_mul($wide::from(b)) }
            #[inline(always)]
            fn accumulate(product: $wide, c: $wide) -> $wide { product.wrapping_add(c) }
        }
    )*};
}

product! { u16, u32; u32, u64; i16, i32; i32, i64; }

/// Runs `$body` with `$T` the Rust type of a PTX type, if it is in the list.
macro_rules! with_type {
    ($ty:expr, $T:ident in [$($pattern:ident: $rust:ty),*] => $body:expr) => {
        match $ty {
            $($crate::ptx::types::Type::$pattern => { type $T = $rust; $body })*
            other => Err($crate::isa::integer::wrong_type(other)),
        }
    };
}
pub(super) use with_type;

/// `with_type!` over all integer types.
macro_rules! with_int {
    ($ty:expr, $T:ident => $body:expr) => {
        $crate::isa::integer::with_type!(
            $ty, $T in [U16: u16, U32: u32, U64: u64, S16: i16, S32: i32, S64: i64] => $body)
    };
}

/// `d = op(a)` of an instruction with operands `d, a`.
pub(super) fn lower1<A: Lane, D: Lane>(
    i: &Instruction,
    cx: &mut dyn Lower,
    op: impl Fn(A) -> D + Send + Sync + 'static,
) -> Lowering<Compute> {
    let [d, a] = operands(i)?;
    Ok(unary(destination::<D>(cx, d)?, source::<A>(cx, a)?, op))
}

/// `d = op(a, b)`.
pub(super) fn lower2<A: Lane, B: Lane, D: Lane>(
    i: &Instruction,
    cx: &mut dyn Lower,
    op: impl Fn(A, B) -> D + Send + Sync + 'static,
) -> Lowering<Compute> {
    let [d, a, b] = operands(i)?;
    Ok(binary(destination::<D>(cx, d)?, source::<A>(cx, a)?, source::<B>(cx, b)?, op))
}

/// `d = op(a, b, c)`.
pub(super) fn lower3<A: Lane, B: Lane, C: Lane, D: Lane>(
    i: &Instruction,
    cx: &mut dyn Lower,
    op: impl Fn(A, B, C) -> D + Send + Sync + 'static,
) -> Lowering<Compute> {
    let [d, a, b, c] = operands(i)?;
    Ok(ternary(destination::<D>(cx, d)?, source::<A>(cx, a)?, source::<B>(cx, b)?, source::<C>(cx, c)?, op))
}

/// Both halves of a word.
#[inline(always)]
fn halves(v: u32) -> (u16, u16) {
    (v as u16, (v >> 16) as u16)
}

/// A word of two halves.
#[inline(always)]
fn pair(low: u16, high: u16) -> u32 {
    u32::from(low) | u32::from(high) << 16
}

/// `d = op(a, b)` of both halves.
fn packed(
    i: &Instruction,
    cx: &mut dyn Lower,
    op: impl Fn(u16, u16) -> u16 + Send + Sync + 'static,
) -> Lowering<Compute> {
    lower2(i, cx, move |a: u32, b: u32| {
        let ((a0, a1), (b0, b1)) = (halves(a), halves(b));
        pair(op(a0, b0), op(a1, b1))
    })
}

fn add(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let subtract = i.opcode.starts_with("sub");
    let carry_in = i.opcode.ends_with('c');
    let carry_out = m.flag("cc");
    if carry_in || carry_out {
        return carry::add(i, cx, m, carry::Flags { subtract, carry_in, carry_out });
    }
    let saturate = m.flag("sat");
    let ty = m.ty()?;
    m.finish()?;
    match (ty, subtract, saturate) {
        (Type::U16x2 | Type::S16x2, false, false) => packed(i, cx, u16::wrapping_add),
        (Type::U16x2 | Type::S16x2, true, false) => packed(i, cx, u16::wrapping_sub),
        (Type::U16x2, false, true) => packed(i, cx, u16::saturating_add),
        (Type::U16x2, true, true) => packed(i, cx, u16::saturating_sub),
        (Type::S16x2, false, true) => packed(i, cx, |a, b| (a as i16).saturating_add(b as i16) as u16),
        (Type::S16x2, true, true) => packed(i, cx, |a, b| (a as i16).saturating_sub(b as i16) as u16),
        (_, false, false) => with_int!(ty, T => lower2(i, cx, |a: T, b: T| a.add(b))),
        (_, true, false) => with_int!(ty, T => lower2(i, cx, |a: T, b: T| a.sub(b))),
        (_, false, true) => {
            with_type!(ty, T in [U32: u32, S32: i32] => lower2(i, cx, |a: T, b: T| a.add_saturating(b)))
        }
        (_, true, true) => {
            with_type!(ty, T in [U32: u32, S32: i32] => lower2(i, cx, |a: T, b: T| a.sub_saturating(b)))
        }
    }
}

/// Which part of a product.
#[derive(Clone, Copy)]
pub(super) enum Part {
    Low,
    High,
    Wide,
}

const PARTS: &[(&str, Part)] = &[("lo", Part::Low), ("hi", Part::High), ("wide", Part::Wide)];

fn part(m: &mut Modifiers) -> Lowering<Part> {
    m.one_of(PARTS).ok_or_else(|| Refusal(".lo, .hi or .wide is missing".to_string()))
}

fn mul(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let part = part(&mut m)?;
    let ty = m.ty()?;
    m.finish()?;
    match part {
        Part::Low => with_int!(ty, T => lower2(i, cx, |a: T, b: T| a.mul_lo(b))),
        Part::High => with_int!(ty, T => lower2(i, cx, |a: T, b: T| a.mul_hi(b))),
        Part::Wide => with_type!(ty, T in [U16: u16, U32: u32, S16: i16, S32: i32] =>
            lower2(i, cx, |a: T, b: T| a.product(b))),
    }
}

fn mad(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let part = part(&mut m)?;
    let carry_in = i.opcode == "madc";
    let carry_out = m.flag("cc");
    if carry_in || carry_out {
        return carry::mad(i, cx, m, part, carry::Flags { subtract: false, carry_in, carry_out });
    }
    let saturate = m.flag("sat");
    let ty = m.ty()?;
    m.finish()?;
    match (part, saturate) {
        (Part::Low, false) => with_int!(ty, T => lower3(i, cx, |a: T, b: T, c: T| a.mul_lo(b).add(c))),
        (Part::High, false) => with_int!(ty, T => lower3(i, cx, |a: T, b: T, c: T| a.mul_hi(b).add(c))),
        (Part::High, true) => with_type!(ty, T in [S32: i32] =>
            lower3(i, cx, |a: T, b: T, c: T| a.mul_hi(b).add_saturating(c))),
        (Part::Wide, false) => with_type!(ty, T in [U16: u16, U32: u32, S16: i16, S32: i32] =>
            lower3(i, cx, |a: T, b: T, c: <T as Int>::Wide| T::accumulate(a.product(b), c))),
        (_, true) => Err(Refusal(".sat is only for .hi".to_string())),
    }
}

/// The low 24 bits as a number.
#[inline(always)]
fn low24(v: u32, signed: bool) -> i64 {
    if signed { i64::from((v << 8) as i32 >> 8) } else { i64::from(v & 0xFF_FFFF) }
}

fn mul24(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let high = match part(&mut m)? {
        Part::Low => false,
        Part::High => true,
        Part::Wide => return Err(Refusal("unknown modifier .wide".to_string())),
    };
    let saturate = m.flag("sat");
    let signed = match m.ty()? {
        Type::U32 => false,
        Type::S32 => true,
        other => return Err(wrong_type(other)),
    };
    m.finish()?;
    let shift = if high { 16 } else { 0 };
    let product = move |a: u32, b: u32| (low24(a, signed).wrapping_mul(low24(b, signed)) >> shift) as u32;
    match (i.opcode.as_str(), saturate) {
        ("mul24", false) => lower2(i, cx, product),
        ("mad24", false) => lower3(i, cx, move |a: u32, b: u32, c: u32| product(a, b).wrapping_add(c)),
        ("mad24", true) if high && signed => {
            lower3(i, cx, move |a: u32, b: u32, c: i32| (product(a, b) as i32).saturating_add(c))
        }
        _ => Err(Refusal(".sat is only for mad24.hi.s32".to_string())),
    }
}

fn sad(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let ty = m.ty()?;
    m.finish()?;
    with_int!(ty, T => lower3(i, cx, |a: T, b: T, c: T| c.add(a.distance(b))))
}

fn div(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let ty = m.ty()?;
    m.finish()?;
    if i.opcode == "div" {
        with_int!(ty, T => lower2(i, cx, |a: T, b: T| a.div(b)))
    } else {
        with_int!(ty, T => lower2(i, cx, |a: T, b: T| a.rem(b)))
    }
}

fn abs(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let ty = m.ty()?;
    m.finish()?;
    if i.opcode == "abs" {
        with_type!(ty, T in [S16: i16, S32: i32, S64: i64] => lower1(i, cx, |a: T| a.magnitude()))
    } else {
        with_type!(ty, T in [S16: i16, S32: i32, S64: i64] => lower1(i, cx, |a: T| Int::neg(a)))
    }
}

fn min_max(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let relu = m.flag("relu");
    let ty = m.ty()?;
    m.finish()?;
    let max = i.opcode == "max";
    let low = if relu { 0 } else { i16::MIN };
    match (ty, relu, max) {
        (Type::U16x2, false, false) => packed(i, cx, u16::min),
        (Type::U16x2, false, true) => packed(i, cx, u16::max),
        (Type::S16x2, _, false) => packed(i, cx, move |a, b| (a as i16).min(b as i16).max(low) as u16),
        (Type::S16x2, _, true) => packed(i, cx, move |a, b| (a as i16).max(b as i16).max(low) as u16),
        (Type::S32, true, false) => lower2(i, cx, |a: i32, b: i32| a.min(b).max(0)),
        (Type::S32, true, true) => lower2(i, cx, |a: i32, b: i32| a.max(b).max(0)),
        (_, true, _) => Err(Refusal(".relu is only for .s32 and .s16x2".to_string())),
        (_, false, false) => with_int!(ty, T => lower2(i, cx, |a: T, b: T| a.min(b))),
        (_, false, true) => with_int!(ty, T => lower2(i, cx, |a: T, b: T| a.max(b))),
    }
}

/// Whether each of two types is signed.
fn signs(m: &mut Modifiers) -> Lowering<(bool, bool)> {
    let mut signed = || match m.ty()? {
        Type::U32 => Ok(false),
        Type::S32 => Ok(true),
        other => Err(wrong_type(other)),
    };
    Ok((signed()?, signed()?))
}

/// The `bits` from bit `first` on as a number.
#[inline(always)]
fn field<const SIGNED: bool>(v: u32, first: u32, bits: u32) -> i32 {
    let v = v << (32 - first - bits);
    if SIGNED { v as i32 >> (32 - bits) } else { (v >> (32 - bits)) as i32 }
}

fn dp4a(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let signs = signs(&mut m)?;
    m.finish()?;
    match signs {
        (false, false) => lower3(i, cx, dot_bytes::<false, false>),
        (false, true) => lower3(i, cx, dot_bytes::<false, true>),
        (true, false) => lower3(i, cx, dot_bytes::<true, false>),
        (true, true) => lower3(i, cx, dot_bytes::<true, true>),
    }
}

#[inline(always)]
fn dot_bytes<const A: bool, const B: bool>(a: u32, b: u32, c: i32) -> i32 {
    let mut sum = c;
    for n in 0..4 {
        sum = sum.wrapping_add(field::<A>(a, 8 * n, 8) * field::<B>(b, 8 * n, 8));
    }
    sum
}

fn dp2a(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let high = m
        .one_of(&[("lo", false), ("hi", true)])
        .ok_or_else(|| Refusal(".lo or .hi is missing".to_string()))?;
    let signs = signs(&mut m)?;
    m.finish()?;
    match signs {
        (false, false) => lower3(i, cx, dot_halves::<false, false>(high)),
        (false, true) => lower3(i, cx, dot_halves::<false, true>(high)),
        (true, false) => lower3(i, cx, dot_halves::<true, false>(high)),
        (true, true) => lower3(i, cx, dot_halves::<true, true>(high)),
    }
}

/// The halves of `a` times the low or high bytes of `b`.
fn dot_halves<const A: bool, const B: bool>(high: bool) -> impl Fn(u32, u32, i32) -> i32 + Send + Sync {
    let shift = if high { 16 } else { 0 };
    move |a, b, c| {
        let b = b >> shift;
        let low = field::<A>(a, 0, 16) * field::<B>(b, 0, 8);
        let high = field::<A>(a, 16, 16) * field::<B>(b, 8, 8);
        c.wrapping_add(low).wrapping_add(high)
    }
}
