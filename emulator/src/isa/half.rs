//! Half precision: `add sub mul fma neg abs min max tanh ex2` of `.f16 .f16x2 .bf16 .bf16x2`.
//!
//! Halves are computed in singles (products and sums of bfloat16 in doubles, for their range), rounded to odd where the
//! single is not exact, and rounded once more to half: that gives what one exact rounding would. NaN results are 0x7FFF.

use super::f32::sum_to_odd;
use super::float::{Form, last_type, require, slots1, slots2, slots3};
use super::simd::{Body, binary, compute, unary};
use super::special;
use super::{Class, Lower, Lowered, Lowering, Refusal};
use crate::fault::Stop;
use crate::ptx::ast::Instruction;
use crate::state::cx::{Compute, Cx};
use crate::state::registers::{LANES, Mask, Slot};
use std::marker::PhantomData;

/// Lowers what is this family's.
pub fn lower(i: &Instruction, cx: &mut dyn Lower) -> Option<Lowering<Lowered>> {
    let (brain, packed) = match last_type(i) {
        "f16" => (false, false),
        "f16x2" => (false, true),
        "bf16" => (true, false),
        "bf16x2" => (true, true),
        _ => return None,
    };
    let (class, macs) = match i.opcode.as_str() {
        "fma" => (Class::F16, 1 + u32::from(packed)),
        "tanh" | "ex2" => (Class::Special, 0),
        "add" | "sub" | "mul" | "neg" | "abs" | "min" | "max" => (Class::F16, 0),
        _ => return None,
    };
    let run = if i.modifiers.iter().any(|m| m == "f32") {
        Err(Refusal("mixed-precision arithmetic needs sm_100".to_string()))
    } else if brain {
        family::<Bf16>(i, cx, packed)
    } else {
        family::<F16>(i, cx, packed)
    };
    Some(run.map(|run| Lowered { run, class, macs }))
}

/// A format of 16 bits. Encodings are the low halves of words, so that loops over lanes stay at one width.
pub(super) trait Half: Send + Sync + 'static {
    const BRAIN: bool;
    /// The encoding of 1.
    const ONE: u32;
    const INFINITY: u32;
    fn widen(bits: u32) -> f32;
    /// To nearest.
    fn narrow(x: f32) -> u32;
    fn mul(a: u32, b: u32) -> u32;
    fn fma(a: u32, b: u32, c: u32) -> u32;
}

pub(super) struct F16;
pub(super) struct Bf16;

const SIGN: u32 = 0x8000;
const NAN: u32 = 0x7FFF;

impl Half for F16 {
    const BRAIN: bool = false;
    const ONE: u32 = 0x3C00;
    const INFINITY: u32 = 0x7C00;

    #[inline(always)]
    fn widen(bits: u32) -> f32 {
        let magnitude = bits & 0x7FFF;
        // As a fraction and exponent of a single they stand for the value times 2^-112; infinity and NaN have all bits
        // of the exponent set.
        let scaled = f32::from_bits(magnitude << 13) * f32::from_bits(0x7780_0000);
        let special = if magnitude >= 0x7C00 { 0x7F80_0000 } else { 0 };
        f32::from_bits(scaled.to_bits() | special | (bits & SIGN) << 16)
    }

    #[inline(always)]
    fn narrow(x: f32) -> u32 {
        let sign = x.to_bits() >> 16 & SIGN;
        let magnitude = x.to_bits() & 0x7FFF_FFFF;
        // The addend makes the last bit of the sum that of a subnormal half: the sum is rounded there.
        let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0.5f32.to_bits());
        let odd = magnitude >> 13 & 1;
        let normal = magnitude.wrapping_sub(112 << 23).wrapping_add(0xFFF + odd) >> 13;
        let finite = if magnitude < 113 << 23 { subnormal } else { normal };
        let number = if magnitude >= 143 << 23 { Self::INFINITY } else { finite };
        if magnitude > 0x7F80_0000 { NAN } else { number | sign }
    }

    #[inline(always)]
    fn mul(a: u32, b: u32) -> u32 {
        Self::narrow(Self::widen(a) * Self::widen(b))
    }

    #[inline(always)]
    fn fma(a: u32, b: u32, c: u32) -> u32 {
        let (product, c) = (Self::widen(a) * Self::widen(b), Self::widen(c));
        let sum = product + c;
        let virtual_c = sum - product;
        let error = (product - (sum - virtual_c)) + (c - virtual_c);
        Self::narrow(odd_single(sum, error > 0.0, error < 0.0))
    }
}

impl Half for Bf16 {
    const BRAIN: bool = true;
    const ONE: u32 = 0x3F80;
    const INFINITY: u32 = 0x7F80;

    #[inline(always)]
    fn widen(bits: u32) -> f32 {
        f32::from_bits(bits << 16)
    }

    #[inline(always)]
    fn narrow(x: f32) -> u32 {
        let bits = x.to_bits();
        let rounded = bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) >> 16;
        if x.is_nan() { NAN } else { rounded }
    }

    #[inline(always)]
    fn mul(a: u32, b: u32) -> u32 {
        Self::narrow(narrowed_to_odd(f64::from(Self::widen(a)) * f64::from(Self::widen(b))))
    }

    #[inline(always)]
    fn fma(a: u32, b: u32, c: u32) -> u32 {
        let product = f64::from(Self::widen(a)) * f64::from(Self::widen(b));
        Self::narrow(narrowed_to_odd(sum_to_odd(product, f64::from(Self::widen(c)))))
    }
}

/// The single nearest to a number, turned into that rounded to odd: the number lies above it, below it or (neither) there.
#[inline(always)]
fn odd_single(nearest: f32, above: bool, below: bool) -> f32 {
    let bits = nearest.to_bits();
    let beyond = above == (bits >> 31 == 0);
    let step = if beyond { 1 } else { u32::MAX };
    let move_on = (above | below) & (bits & 1 == 0);
    f32::from_bits(bits.wrapping_add(if move_on { step } else { 0 }))
}

/// A double rounded to odd in single precision.
#[inline(always)]
fn narrowed_to_odd(x: f64) -> f32 {
    let nearest = x as f32;
    let back = f64::from(nearest);
    odd_single(nearest, x > back, x < back)
}

/// What happens to operands and results.
#[derive(Clone, Copy)]
struct Finish {
    ftz: bool,
    sat: bool,
    relu: bool,
}

impl Finish {
    #[inline(always)]
    fn operand(self, bits: u32) -> u32 {
        let subnormal = bits & 0x7C00 == 0;
        if self.ftz && subnormal { bits & SIGN } else { bits }
    }

    #[inline(always)]
    fn result<H: Half>(self, bits: u32) -> u32 {
        let bits = self.operand(bits);
        let negative = bits & SIGN != 0;
        let bits = if self.relu && negative { 0 } else { bits };
        let clamped = if negative || bits > H::INFINITY { 0 } else { bits.min(H::ONE) };
        if self.sat { clamped } else { bits }
    }
}

#[inline(always)]
fn halves(word: u32) -> (u32, u32) {
    (word & 0xFFFF, word >> 16)
}

/// `d = op(a)` for one half or two.
fn map1(
    i: &Instruction,
    cx: &mut dyn Lower,
    packed: bool,
    op: impl Fn(u32) -> u32 + Send + Sync + 'static,
) -> Lowering<Compute> {
    if packed {
        let (d, a) = slots1::<u32, u32>(i, cx)?;
        return Ok(unary(d, a, move |a: u32| {
            let (low, high) = halves(a);
            op(low) | op(high) << 16
        }));
    }
    let (d, a) = slots1::<u16, u16>(i, cx)?;
    Ok(unary(d, a, move |a: u16| op(u32::from(a)) as u16))
}

/// `d = op(a, b)` for one half or two.
fn map2(
    i: &Instruction,
    cx: &mut dyn Lower,
    packed: bool,
    op: impl Fn(u32, u32) -> u32 + Send + Sync + 'static,
) -> Lowering<Compute> {
    if packed {
        let (d, [a, b]) = slots2::<u32>(i, cx)?;
        return Ok(binary(d, a, b, move |a: u32, b: u32| {
            let ((a0, a1), (b0, b1)) = (halves(a), halves(b));
            op(a0, b0) | op(a1, b1) << 16
        }));
    }
    let (d, [a, b]) = slots2::<u16>(i, cx)?;
    Ok(binary(d, a, b, move |a: u16, b: u16| op(u32::from(a), u32::from(b)) as u16))
}

/// An operation on halves that is compiled into the loop over lanes: too large for a closure, which the compiler would
/// call.
trait Operation<const N: usize>: Send + Sync + 'static {
    fn call(&self, operands: [u32; N]) -> u32;
}

/// A sum (with `flip`, a difference) or, with `FACTOR`, a product. `PLAIN` operands and results are left as they are.
struct Pair<H, const FACTOR: bool, const PLAIN: bool> {
    flip: u32,
    finish: Finish,
    format: PhantomData<H>,
}

impl<H: Half, const FACTOR: bool, const PLAIN: bool> Operation<2> for Pair<H, FACTOR, PLAIN> {
    #[inline(always)]
    fn call(&self, [a, b]: [u32; 2]) -> u32 {
        let (a, b) = if PLAIN { (a, b) } else { (self.finish.operand(a), self.finish.operand(b)) };
        let result = if FACTOR { H::mul(a, b) } else { H::narrow(H::widen(a) + H::widen(b ^ self.flip)) };
        if PLAIN { result } else { self.finish.result::<H>(result) }
    }
}

/// A fused product and sum.
struct Fused<H, const PLAIN: bool> {
    finish: Finish,
    format: PhantomData<H>,
}

impl<H: Half, const PLAIN: bool> Operation<3> for Fused<H, PLAIN> {
    #[inline(always)]
    fn call(&self, [a, b, c]: [u32; 3]) -> u32 {
        if PLAIN {
            return H::fma(a, b, c);
        }
        let f = self.finish;
        f.result::<H>(H::fma(f.operand(a), f.operand(b), f.operand(c)))
    }
}

/// An operation on pairs of halves.
struct Packed<O, const N: usize> {
    d: Slot<u32>,
    operands: [Slot<u32>; N],
    op: O,
}

impl<O: Operation<N>, const N: usize> Body for Packed<O, N> {
    #[inline(always)]
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
        let mut words = [[0; LANES]; N];
        for (words, &slot) in words.iter_mut().zip(&self.operands) {
            *words = cx.registers.read(slot);
        }
        let mut d = [0; LANES];
        for i in 0..LANES {
            let (mut low, mut high) = ([0; N], [0; N]);
            for k in 0..N {
                (low[k], high[k]) = halves(words[k][i]);
            }
            d[i] = self.op.call(low) | self.op.call(high) << 16;
        }
        cx.registers.write(self.d, &d, mask);
        Ok(())
    }
}

/// An operation on single halves.
struct Alone<O, const N: usize> {
    d: Slot<u16>,
    operands: [Slot<u16>; N],
    op: O,
}

impl<O: Operation<N>, const N: usize> Body for Alone<O, N> {
    #[inline(always)]
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
        let mut words = [[0; LANES]; N];
        for (words, &slot) in words.iter_mut().zip(&self.operands) {
            *words = cx.registers.read(slot);
        }
        let mut d = [0; LANES];
        for i in 0..LANES {
            let mut operands = [0; N];
            for k in 0..N {
                operands[k] = u32::from(words[k][i]);
            }
            d[i] = self.op.call(operands) as u16;
        }
        cx.registers.write(self.d, &d, mask);
        Ok(())
    }
}

fn pair(i: &Instruction, cx: &mut dyn Lower, packed: bool, op: impl Operation<2>) -> Lowering<Compute> {
    if packed {
        let (d, operands) = slots2::<u32>(i, cx)?;
        return Ok(compute(Packed { d, operands, op }));
    }
    let (d, operands) = slots2::<u16>(i, cx)?;
    Ok(compute(Alone { d, operands, op }))
}

fn fused(i: &Instruction, cx: &mut dyn Lower, packed: bool, op: impl Operation<3>) -> Lowering<Compute> {
    if packed {
        let (d, operands) = slots3::<u32>(i, cx)?;
        return Ok(compute(Packed { d, operands, op }));
    }
    let (d, operands) = slots3::<u16>(i, cx)?;
    Ok(compute(Alone { d, operands, op }))
}

fn family<H: Half>(i: &Instruction, cx: &mut dyn Lower, packed: bool) -> Lowering<Compute> {
    match i.opcode.as_str() {
        "add" | "sub" | "mul" => arithmetic::<H>(i, cx, packed),
        "fma" => fma::<H>(i, cx, packed),
        "neg" | "abs" => sign::<H>(i, cx, packed),
        "min" | "max" => extremum::<H>(i, cx, packed),
        _ => approximate::<H>(i, cx, packed),
    }
}

fn arithmetic<H: Half>(i: &Instruction, cx: &mut dyn Lower, packed: bool) -> Lowering<Compute> {
    let allowed: &[&str] = if H::BRAIN { &["rn"] } else { &["rn", "ftz", "sat"] };
    let form = Form::read(i, 1, allowed)?;
    if H::BRAIN {
        require(cx, 90, "add, sub or mul of bfloat16")?;
    }
    let finish = Finish { ftz: form.has("ftz"), sat: form.has("sat"), relu: false };
    let flip = if i.opcode == "sub" { SIGN } else { 0 };
    let format = PhantomData::<H>;
    match (i.opcode == "mul", finish.ftz || finish.sat) {
        (false, false) => pair(i, cx, packed, Pair::<H, false, true> { flip, finish, format }),
        (false, true) => pair(i, cx, packed, Pair::<H, false, false> { flip, finish, format }),
        (true, false) => pair(i, cx, packed, Pair::<H, true, true> { flip, finish, format }),
        (true, true) => pair(i, cx, packed, Pair::<H, true, false> { flip, finish, format }),
    }
}

fn fma<H: Half>(i: &Instruction, cx: &mut dyn Lower, packed: bool) -> Lowering<Compute> {
    if i.modifiers.iter().any(|m| m == "oob") {
        return Err(Refusal(".oob belongs to the tensor copies of sm_90".to_string()));
    }
    let allowed: &[&str] = if H::BRAIN { &["rn", "relu"] } else { &["rn", "ftz", "sat", "relu"] };
    let form = Form::read(i, 1, allowed)?;
    form.exclude("sat", "relu")?;
    if form.rounding()?.is_none() {
        return Err(Refusal("a rounding is missing (.rn)".to_string()));
    }
    if H::BRAIN || form.has("relu") {
        require(cx, 80, "fma of bfloat16, or with .relu")?;
    }
    let finish = Finish { ftz: form.has("ftz"), sat: form.has("sat"), relu: form.has("relu") };
    let format = PhantomData::<H>;
    if finish.ftz || finish.sat || finish.relu {
        return fused(i, cx, packed, Fused::<H, false> { finish, format });
    }
    fused(i, cx, packed, Fused::<H, true> { finish, format })
}

/// `abs` and `neg` change the sign, of NaN as well.
fn sign<H: Half>(i: &Instruction, cx: &mut dyn Lower, packed: bool) -> Lowering<Compute> {
    let form = Form::read(i, 1, if H::BRAIN { &[] } else { &["ftz"] })?;
    if H::BRAIN {
        require(cx, 80, "bfloat16")?;
    }
    let finish = Finish { ftz: form.has("ftz"), sat: false, relu: false };
    let (keep, flip) = if i.opcode == "abs" { (0x7FFF, 0) } else { (0xFFFF, SIGN) };
    map1(i, cx, packed, move |a| finish.operand(a) & keep ^ flip)
}

/// An integer that orders like the numbers, −0 before +0.
#[inline(always)]
fn key(bits: u32) -> i32 {
    let bits = i32::from(bits as u16 as i16);
    bits ^ (bits >> 15 & 0x7FFF)
}

fn extremum<H: Half>(i: &Instruction, cx: &mut dyn Lower, packed: bool) -> Lowering<Compute> {
    let allowed: &[&str] =
        if H::BRAIN { &["NaN", "xorsign", "abs"] } else { &["ftz", "NaN", "xorsign", "abs"] };
    let form = Form::read(i, 1, allowed)?;
    require(cx, 80, "min or max of halves")?;
    let signs = form.has("xorsign");
    if signs != form.has("abs") {
        return Err(Refusal(".xorsign and .abs go together".to_string()));
    }
    if signs {
        require(cx, 86, ".xorsign.abs")?;
    }
    let finish = Finish { ftz: form.has("ftz"), sat: false, relu: false };
    let (min, propagate) = (i.opcode == "min", form.has("NaN"));
    map2(i, cx, packed, move |a, b| {
        let (a, b) = (finish.operand(a), finish.operand(b));
        let sign = if signs { (a ^ b) & SIGN } else { 0 };
        let (a, b) = if signs { (a & 0x7FFF, b & 0x7FFF) } else { (a, b) };
        let (a_nan, b_nan) = (a & 0x7FFF > H::INFINITY, b & 0x7FFF > H::INFINITY);
        let a_wins = if min { key(a) < key(b) } else { key(a) > key(b) };
        let number = if a_wins { a } else { b };
        let number = if a_nan { b } else { number };
        let number = if b_nan { a } else { number };
        if a_nan && b_nan || propagate && (a_nan || b_nan) { NAN } else { number | sign }
    })
}

/// `tanh.approx` and `ex2.approx`, computed in singles.
fn approximate<H: Half>(i: &Instruction, cx: &mut dyn Lower, packed: bool) -> Lowering<Compute> {
    let flush = H::BRAIN && i.opcode == "ex2";
    let form = Form::read(i, 1, if flush { &["approx", "ftz"] } else { &["approx"] })?;
    if !form.has("approx") || flush && !form.has("ftz") {
        return Err(Refusal(format!("{} needs .approx, and .ftz for ex2 of bfloat16", i.opcode)));
    }
    require(cx, if H::BRAIN { 90 } else { 75 }, "tanh or ex2 of halves")?;
    if i.opcode == "tanh" {
        return map1(i, cx, packed, |a| H::narrow(special::tanh(H::widen(a))));
    }
    map1(i, cx, packed, move |a| {
        let power = H::narrow(special::ex2(H::widen(a)));
        if flush && power < 0x80 { 0 } else { power }
    })
}
