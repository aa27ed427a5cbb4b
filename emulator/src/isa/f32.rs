//! Single precision: `add sub mul fma mad div rcp sqrt` with every rounding, `abs neg min max copysign testp`.
//!
//! Rounding to nearest is the processor's. The other roundings go through double precision: a product of two singles
//! is exact there, and what is not (sum, quotient, root) is rounded to odd, which keeps enough of it for one more, final
//! rounding. Results that are NaN are the canonical one, 0x7FFFFFFF.

use super::float::{Form, last_type, slots1, slots2, slots3};
use super::integer::operands;
use super::logic::written_predicate;
use super::rounding::Rounding;
use super::simd::{Body, binary, compute, ternary, test, unary};
use super::{Class, Lower, Lowered, Lowering, Refusal, source};
use crate::fault::Stop;
use crate::ptx::ast::Instruction;
use crate::state::cx::{Compute, Cx};
use crate::state::registers::{LANES, Mask, Slot};

/// The NaN of single-precision results.
pub(super) const NAN: f32 = f32::from_bits(0x7FFF_FFFF);

/// Lowers what is this family's.
pub fn lower(i: &Instruction, cx: &mut dyn Lower) -> Option<Lowering<Lowered>> {
    match last_type(i) {
        "f32" => {}
        "f32x2" => return Some(Err(Refusal(".f32x2 needs sm_100".to_string()))),
        _ => return None,
    }
    let (class, macs) = match i.opcode.as_str() {
        "fma" | "mad" => (Class::F32, 1),
        "div" | "rcp" | "sqrt" => (Class::Special, 0),
        _ => (Class::F32, 0),
    };
    let run = match i.opcode.as_str() {
        "add" | "sub" | "mul" => arithmetic(i, cx),
        "fma" | "mad" => fma(i, cx),
        "div" => div(i, cx),
        "rcp" | "sqrt" => root(i, cx),
        "abs" | "neg" => sign(i, cx),
        "min" | "max" => extremum(i, cx),
        "copysign" => copysign(i, cx),
        "testp" => testp(i, cx),
        _ => return None,
    };
    Some(run.map(|run| Lowered { run, class, macs }))
}

/// Runs `$body` with the constants `$F` and `$S` set to the two flags.
macro_rules! with_flags {
    ($ftz:expr, $sat:expr, $F:ident, $S:ident => $body:expr) => {
        match ($ftz, $sat) {
            (false, false) => with_flags!(@ false, false, $F, $S => $body),
            (true, false) => with_flags!(@ true, false, $F, $S => $body),
            (false, true) => with_flags!(@ false, true, $F, $S => $body),
            (true, true) => with_flags!(@ true, true, $F, $S => $body),
        }
    };
    (@ $ftz:literal, $sat:literal, $F:ident, $S:ident => $body:expr) => {{
        const $F: bool = $ftz;
        const $S: bool = $sat;
        $body
    }};
}

/// A subnormal number becomes zero of its sign.
#[inline(always)]
pub(super) fn flushed(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE { f32::from_bits(x.to_bits() & 0x8000_0000) } else { x }
}

/// `flushed`, where `.ftz` says so.
#[inline(always)]
pub(super) fn input(x: f32, ftz: bool) -> f32 {
    if ftz { flushed(x) } else { x }
}

/// What becomes of a rounded result: NaN is canonical, `.ftz` flushes, `.sat` clamps to [0, 1] with NaN to 0.
#[inline(always)]
pub(super) fn result(x: f32, ftz: bool, sat: bool) -> f32 {
    let x = input(x, ftz);
    if sat {
        return saturated(x);
    }
    canonical(x)
}

/// The one NaN for all. In integers: as floats, any NaN would do to the compiler.
#[inline(always)]
pub(super) fn canonical(x: f32) -> f32 {
    let bits = x.to_bits();
    f32::from_bits(if bits & 0x7FFF_FFFF > 0x7F80_0000 { NAN.to_bits() } else { bits })
}

/// Clamped to [+0, 1]; NaN gives +0.
#[inline(always)]
pub(super) fn saturated(x: f32) -> f32 {
    let low = if x > 0.0 { x } else { 0.0 };
    if low < 1.0 { low } else { 1.0 }
}

/// a + b rounded to odd: cut off, with the last bit set if something was. For finite values whose sum is finite.
#[inline(always)]
pub(super) fn sum_to_odd(a: f64, b: f64) -> f64 {
    let sum = a + b;
    let virtual_b = sum - a;
    let error = (a - (sum - virtual_b)) + (b - virtual_b);
    to_odd(sum, error)
}

/// The value nearest to `sum + error`, turned into that rounded to odd. An error that is NaN (of infinities) is none.
#[inline(always)]
pub(super) fn to_odd(sum: f64, error: f64) -> f64 {
    let bits = sum.to_bits();
    let inexact = error.abs() > 0.0;
    let beyond = (error > 0.0) == (sum > 0.0);
    let step = if beyond { 1 } else { u64::MAX };
    let move_on = inexact && bits & 1 == 0;
    f64::from_bits(bits.wrapping_add(if move_on { step } else { 0 }))
}

/// A double rounded to single. NaN stays NaN.
#[inline(always)]
pub(super) fn narrowed(x: f64, rounding: Rounding) -> f32 {
    let nearest = x as f32;
    let away = match rounding {
        Rounding::Nearest | Rounding::NearestAway => return nearest,
        Rounding::Zero => false,
        Rounding::Up => x > 0.0,
        Rounding::Down => x < 0.0,
    };
    let back = f64::from(nearest).abs();
    let bits = nearest.to_bits();
    let more = back < x.abs() && away;
    let less = back > x.abs() && !away;
    f32::from_bits(bits.wrapping_add(u32::from(more)).wrapping_sub(u32::from(less)))
}

/// The sum of a single (or an exact product of two) and a single, rounded once.
#[inline(always)]
fn sum_rounded(a: f64, b: f64, rounding: Rounding) -> f32 {
    let sum = sum_to_odd(a, b);
    // A sum that is exactly zero has the sign of the rounding, unless both operands have the other.
    let minus = rounding == Rounding::Down && (a.is_sign_negative() || b.is_sign_negative());
    narrowed(if sum == 0.0 && minus { -0.0 } else { sum }, rounding)
}

/// a / b, rounded.
#[inline(always)]
fn quotient(a: f32, b: f32, rounding: Rounding) -> f32 {
    let (a, b) = (f64::from(a), f64::from(b));
    let quotient = a / b;
    let rest = quotient.mul_add(-b, a);
    let error = if b < 0.0 { -rest } else { rest };
    narrowed(to_odd(quotient, error), rounding)
}

/// √a, rounded.
#[inline(always)]
fn root_rounded(a: f32, rounding: Rounding) -> f32 {
    let a = f64::from(a);
    let root = a.sqrt();
    narrowed(to_odd(root, root.mul_add(-root, a)), rounding)
}

fn arithmetic(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let form = Form::read(i, 1, &["rn", "rz", "rm", "rp", "ftz", "sat"])?;
    let (d, [a, b]) = slots2::<f32>(i, cx)?;
    let (ftz, sat) = (form.has("ftz"), form.has("sat"));
    let rounding = form.rounding()?.unwrap_or(Rounding::Nearest);
    if rounding != Rounding::Nearest {
        let (factor, negate) = (i.opcode == "mul", i.opcode == "sub");
        return Ok(binary(d, a, b, move |a: f32, b: f32| {
            let (a, b) = (f64::from(input(a, ftz)), f64::from(input(b, ftz)));
            let exact = if factor {
                narrowed(a * b, rounding)
            } else {
                sum_rounded(a, if negate { -b } else { b }, rounding)
            };
            result(exact, ftz, sat)
        }));
    }
    Ok(with_flags!(ftz, sat, F, S => match i.opcode.as_str() {
        "add" => binary(d, a, b, |a: f32, b: f32| result(input(a, F) + input(b, F), F, S)),
        "sub" => binary(d, a, b, |a: f32, b: f32| result(input(a, F) - input(b, F), F, S)),
        _ => binary(d, a, b, |a: f32, b: f32| result(input(a, F) * input(b, F), F, S)),
    }))
}

const ZERO: u8 = 0;
const DOWN: u8 = 1;
const UP: u8 = 2;

/// `fma` in a rounding that is known when it is compiled: exponentials in CUDA's library begin with one.
struct Directed<const ROUNDING: u8> {
    d: Slot<f32>,
    operands: [Slot<f32>; 3],
    ftz: bool,
    sat: bool,
}

impl<const ROUNDING: u8> Body for Directed<ROUNDING> {
    #[inline(always)]
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
        let rounding = match ROUNDING {
            UP => Rounding::Up,
            DOWN => Rounding::Down,
            _ => Rounding::Zero,
        };
        let (ftz, sat) = (self.ftz, self.sat);
        let a = cx.registers.read(self.operands[0]);
        let b = cx.registers.read(self.operands[1]);
        let c = cx.registers.read(self.operands[2]);
        let mut d = [0.0; LANES];
        for i in 0..LANES {
            let product = f64::from(input(a[i], ftz)) * f64::from(input(b[i], ftz));
            d[i] = result(sum_rounded(product, f64::from(input(c[i], ftz)), rounding), ftz, sat);
        }
        cx.registers.write(self.d, &d, mask);
        Ok(())
    }
}

fn fma(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let form = Form::read(i, 1, &["rn", "rz", "rm", "rp", "ftz", "sat"])?;
    let (d, [a, b, c]) = slots3::<f32>(i, cx)?;
    let (ftz, sat) = (form.has("ftz"), form.has("sat"));
    let Some(rounding) = form.rounding()? else {
        return Err(Refusal("a rounding is missing (.rn .rz .rm .rp)".to_string()));
    };
    if rounding != Rounding::Nearest {
        let operands = [a, b, c];
        return Ok(match rounding {
            Rounding::Up => compute(Directed::<{ UP }> { d, operands, ftz, sat }),
            Rounding::Down => compute(Directed::<{ DOWN }> { d, operands, ftz, sat }),
            _ => compute(Directed::<{ ZERO }> { d, operands, ftz, sat }),
        });
    }
    Ok(with_flags!(ftz, sat, F, S => ternary(d, a, b, c, |a: f32, b: f32, c: f32| {
        result(input(a, F).mul_add(input(b, F), input(c, F)), F, S)
    })))
}

fn div(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let form = Form::read(i, 1, &["approx", "full", "rn", "rz", "rm", "rp", "ftz"])?;
    let (d, [a, b]) = slots2::<f32>(i, cx)?;
    let ftz = form.has("ftz");
    form.exclude("approx", "full")?;
    let approximate = form.has("approx") || form.has("full");
    match (form.rounding()?, approximate) {
        (None, true) => {}
        (Some(Rounding::Nearest), false) => {}
        (Some(rounding), false) => {
            return Ok(binary(d, a, b, move |a: f32, b: f32| {
                result(quotient(input(a, ftz), input(b, ftz), rounding), ftz, false)
            }));
        }
        _ => return Err(Refusal("exactly one of .approx .full .rn .rz .rm .rp is needed".to_string())),
    }
    if form.has("approx") {
        // Beyond 2^126 the reciprocal that it multiplies with is zero.
        return Ok(binary(d, a, b, move |a: f32, b: f32| {
            let (a, b) = (input(a, ftz), input(b, ftz));
            let far = b.abs() > f32::from_bits(0x7E80_0000) && b.is_finite();
            let reciprocal = f32::from_bits(b.to_bits() & 0x8000_0000);
            result(if far { a * reciprocal } else { a / b }, ftz, false)
        }));
    }
    Ok(with_flags!(ftz, false, F, S => binary(d, a, b, |a: f32, b: f32| {
        result(input(a, F) / input(b, F), F, S)
    })))
}

/// `rcp` and `sqrt`; the approximations are the values rounded to nearest.
fn root(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let form = Form::read(i, 1, &["approx", "rn", "rz", "rm", "rp", "ftz"])?;
    let (d, a) = slots1::<f32, f32>(i, cx)?;
    let (ftz, reciprocal) = (form.has("ftz"), i.opcode == "rcp");
    match (form.rounding()?, form.has("approx")) {
        (None, true) | (Some(Rounding::Nearest), false) => Ok(if reciprocal {
            unary(d, a, move |a: f32| result(1.0 / input(a, ftz), ftz, false))
        } else {
            unary(d, a, move |a: f32| result(input(a, ftz).sqrt(), ftz, false))
        }),
        (Some(rounding), false) => Ok(if reciprocal {
            unary(d, a, move |a: f32| result(quotient(1.0, input(a, ftz), rounding), ftz, false))
        } else {
            unary(d, a, move |a: f32| result(root_rounded(input(a, ftz), rounding), ftz, false))
        }),
        _ => Err(Refusal("exactly one of .approx .rn .rz .rm .rp is needed".to_string())),
    }
}

/// `abs` and `neg` change the sign, of NaN as well.
fn sign(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let form = Form::read(i, 1, &["ftz"])?;
    let (d, a) = slots1::<f32, f32>(i, cx)?;
    let ftz = form.has("ftz");
    Ok(if i.opcode == "abs" {
        unary(d, a, move |a: f32| input(a, ftz).abs())
    } else {
        unary(d, a, move |a: f32| -input(a, ftz))
    })
}

/// An integer that orders like the numbers, −0 before +0 (NaN beyond the infinities of its sign).
#[inline(always)]
fn key(x: f32) -> i32 {
    let bits = x.to_bits() as i32;
    bits ^ ((bits >> 31) as u32 >> 1) as i32
}

/// The greater one (of −x, with `min`); NaN only if both are, or with `.NaN` if one is.
#[inline(always)]
fn greater(a: f32, b: f32, min: bool, propagate: bool) -> f32 {
    let a_wins = if min { key(a) < key(b) } else { key(a) > key(b) };
    let number = if a_wins { a } else { b };
    let number = if a.is_nan() { b } else { number };
    let number = if b.is_nan() { a } else { number };
    if propagate && (a.is_nan() || b.is_nan()) { NAN } else { canonical(number) }
}

fn extremum(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let form = Form::read(i, 1, &["ftz", "NaN", "xorsign", "abs"])?;
    if form.has("xorsign") != form.has("abs") || i.operands.len() == 4 {
        return Err(Refusal("three inputs need sm_100; .xorsign and .abs go together".to_string()));
    }
    if form.has("NaN") {
        super::float::require(cx, 80, ".NaN")?;
    }
    if form.has("xorsign") {
        super::float::require(cx, 86, ".xorsign.abs")?;
    }
    let (d, [a, b]) = slots2::<f32>(i, cx)?;
    let (ftz, propagate, min) = (form.has("ftz"), form.has("NaN"), i.opcode == "min");
    if form.has("xorsign") {
        return Ok(binary(d, a, b, move |a: f32, b: f32| {
            let (a, b) = (input(a, ftz), input(b, ftz));
            let sign = (a.to_bits() ^ b.to_bits()) & 0x8000_0000;
            let magnitude = greater(a.abs(), b.abs(), min, propagate);
            if magnitude.is_nan() { magnitude } else { f32::from_bits(magnitude.to_bits() | sign) }
        }));
    }
    Ok(with_flags!(min, propagate, MIN, PROPAGATE => binary(d, a, b, move |a: f32, b: f32| {
        greater(input(a, ftz), input(b, ftz), MIN, PROPAGATE)
    })))
}

fn copysign(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    Form::read(i, 1, &[])?;
    let (d, [a, b]) = slots2::<f32>(i, cx)?;
    Ok(binary(d, a, b, |a: f32, b: f32| b.copysign(a)))
}

/// `testp`: of infinity, NaN and so on. Zero is normal.
fn testp(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let [p, a] = operands(i)?;
    let p = written_predicate(cx, p)?;
    let a = source::<f32>(cx, a)?;
    tested(i, |property| {
        test(p, a, move |a: f32| property.holds(a.is_nan(), a.is_infinite(), a.is_subnormal()))
    })
}

/// The properties of `testp`.
#[derive(Clone, Copy)]
pub(super) enum Property {
    Finite,
    Infinite,
    Number,
    NotANumber,
    Normal,
    Subnormal,
}

impl Property {
    #[inline(always)]
    pub fn holds(self, nan: bool, infinite: bool, subnormal: bool) -> bool {
        match self {
            Property::Finite => !(nan | infinite),
            Property::Infinite => infinite,
            Property::Number => !nan,
            Property::NotANumber => nan,
            Property::Normal => !(nan | infinite | subnormal),
            Property::Subnormal => subnormal,
        }
    }
}

/// Reads the property of a `testp` and lowers with it.
pub(super) fn tested(i: &Instruction, run: impl FnOnce(Property) -> Compute) -> Lowering<Compute> {
    use Property::*;
    let names = ["finite", "infinite", "number", "notanumber", "normal", "subnormal"];
    let form = Form::read(i, 1, &names)?;
    let all = [Finite, Infinite, Number, NotANumber, Normal, Subnormal];
    let mut found = names.iter().zip(all).filter(|(name, _)| form.has(name));
    match (found.next(), found.next()) {
        (Some((_, property)), None) => Ok(run(property)),
        _ => Err(Refusal("testp needs one property".to_string())),
    }
}
