//! Approximations of single precision: `rsqrt sin cos lg2 ex2 tanh`.
//!
//! They are computed in doubles by polynomials without branches, much more exactly than PTX asks for, and rounded to
//! single: the same on every machine.

use super::f32::{input, result};
use super::float::{Form, last_type, require, slots1};
use super::simd::{Body, compute};
use super::{Class, Lower, Lowered, Lowering, Refusal};
use crate::fault::Stop;
use crate::ptx::ast::Instruction;
use crate::state::cx::{Compute, Cx};
use crate::state::registers::{Mask, Slot};
use std::f64::consts::{FRAC_2_PI, LN_2, LOG2_E};
use std::marker::PhantomData;

/// Lowers what is this family's.
pub fn lower(i: &Instruction, cx: &mut dyn Lower) -> Option<Lowering<Lowered>> {
    if last_type(i) != "f32" {
        return None;
    }
    let run = match i.opcode.as_str() {
        "rsqrt" => approximation::<Rsqrt>(i, cx),
        "sin" => approximation::<Sin>(i, cx),
        "cos" => approximation::<Cos>(i, cx),
        "lg2" => approximation::<Lg2>(i, cx),
        "ex2" => approximation::<Ex2>(i, cx),
        "tanh" => approximation::<Tanh>(i, cx),
        _ => return None,
    };
    Some(run.map(|run| Lowered { run, class: Class::Special, macs: 0 }))
}

/// A function that is compiled into the loop over lanes: too large for a closure, which the compiler would call.
trait Function: Send + Sync + 'static {
    fn value(x: f32) -> f32;
}

macro_rules! functions {
    ($($name:ident: $value:expr;)*) => {$(
        struct $name;

        impl Function for $name {
            #[inline(always)]
            fn value(x: f32) -> f32 {
                $value(x)
            }
        }
    )*};
}

functions! { Rsqrt: rsqrt; Sin: sin; Cos: cos; Lg2: lg2; Ex2: ex2; Tanh: tanh; }

struct Approximation<F> {
    d: Slot<f32>,
    a: Slot<f32>,
    ftz: bool,
    function: PhantomData<F>,
}

impl<F: Function> Body for Approximation<F> {
    #[inline(always)]
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
        let mut d = cx.registers.read(self.a);
        for x in &mut d {
            *x = result(F::value(input(*x, self.ftz)), self.ftz, false);
        }
        cx.registers.write(self.d, &d, mask);
        Ok(())
    }
}

fn approximation<F: Function>(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let hyperbolic = i.opcode == "tanh";
    let form = Form::read(i, 1, if hyperbolic { &["approx"] } else { &["approx", "ftz"] })?;
    if !form.has("approx") {
        return Err(Refusal(".approx is missing".to_string()));
    }
    if hyperbolic {
        require(cx, 75, "tanh")?;
    }
    let (d, a) = slots1::<f32, f32>(i, cx)?;
    Ok(compute(Approximation::<F> { d, a, ftz: form.has("ftz"), function: PhantomData }))
}

/// Σ coefficients[k]·x^k.
#[inline(always)]
fn polynomial<const N: usize>(x: f64, coefficients: [f64; N]) -> f64 {
    let mut sum = coefficients[N - 1];
    for k in (0..N - 1).rev() {
        sum = sum * x + coefficients[k];
    }
    sum
}

/// The integer nearest to x, for |x| < 2^51, and its low bits as an integer.
#[inline(always)]
fn nearest(x: f64) -> (f64, u64) {
    // Beyond 2^52 doubles are integers, and the last bits of the significand are the integer's.
    const SHIFT: f64 = 1.5 * (1u64 << 52) as f64;
    let shifted = x + SHIFT;
    (shifted - SHIFT, shifted.to_bits())
}

/// 2^x, for x in [-1000, 1000].
#[inline(always)]
fn power(x: f64) -> f64 {
    let (whole, bits) = nearest(x);
    let fraction = (x - whole) * LN_2;
    // e^f by its Taylor series: |f| ≤ ln 2 / 2, the first term left out is below 2^-40.
    let value = polynomial(
        fraction,
        [
            1.0,
            1.0,
            1.0 / 2.0,
            1.0 / 6.0,
            1.0 / 24.0,
            1.0 / 120.0,
            1.0 / 720.0,
            1.0 / 5040.0,
            1.0 / 40320.0,
            1.0 / 362_880.0,
            1.0 / 3_628_800.0,
        ],
    );
    value * f64::from_bits(bits.wrapping_add(1023) << 52)
}

#[inline(always)]
fn rsqrt(x: f32) -> f32 {
    (1.0 / f64::from(x).sqrt()) as f32
}

/// 2^x.
#[inline(always)]
pub(super) fn ex2(x: f32) -> f32 {
    let value = power(f64::from(x).clamp(-200.0, 200.0)) as f32;
    if x.is_nan() { x } else { value }
}

/// tanh x = 1 − 2 / (e^2x + 1), and x itself where that has no digits left.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    let power = power((f64::from(x) * (2.0 * LOG2_E)).clamp(-100.0, 100.0));
    let value = ((power - 1.0) / (power + 1.0)) as f32;
    if x.abs() < 2.4e-4 || x.is_nan() { x } else { value }
}

/// log2 x = exponent + log2 m with m in [√½, √2): 2/ln 2 · artanh((m − 1)/(m + 1)), as a series.
#[inline(always)]
fn lg2(x: f32) -> f32 {
    let bits = f64::from(x).to_bits();
    // The exponent changes at √2, of which this is the fraction.
    const TOP: u64 = 0x0009_5F61_9980_C433;
    let exponent = (bits.wrapping_add(TOP) >> 52) as i32 - 1023;
    let m = f64::from_bits(bits.wrapping_sub((exponent as u64) << 52));
    let s = (m - 1.0) / (m + 1.0);
    let series = polynomial(
        s * s,
        [1.0, 1.0 / 3.0, 1.0 / 5.0, 1.0 / 7.0, 1.0 / 9.0, 1.0 / 11.0, 1.0 / 13.0, 1.0 / 15.0],
    );
    let value = (f64::from(exponent) + 2.0 * LOG2_E * s * series) as f32;
    let value = if x == f32::INFINITY { x } else { value };
    let value = if x == 0.0 { f32::NEG_INFINITY } else { value };
    if x < 0.0 || x.is_nan() { f32::NAN } else { value }
}

/// Quarter turns in x, rounded, and the rest as an angle in [-π/4, π/4].
#[inline(always)]
fn reduced(x: f32) -> (u64, f64) {
    // π/2 in two parts; the first has 33 bits, so that its products with counts below 2^20 are exact.
    const FIRST: f64 = f64::from_bits(0x3FF9_21FB_5440_0000);
    const SECOND: f64 = f64::from_bits(0x3DD0_B461_1A62_6331);
    let x = f64::from(x);
    // PTX promises nothing for large angles; beyond 2^50 quarter turns even the count is lost, and the angle is 0.
    let x = if x.abs() < 1e15 { x } else { 0.0 };
    let (turns, bits) = nearest(x * FRAC_2_PI);
    let rest = (x - turns * FIRST) - turns * SECOND;
    (bits, rest.clamp(-0.8, 0.8))
}

/// The sine of `quarters` quarter turns more than the angle.
#[inline(always)]
fn sine(quarters: u64, angle: f64) -> f32 {
    let square = angle * angle;
    let sin = angle
        * polynomial(
            square,
            [1.0, -1.0 / 6.0, 1.0 / 120.0, -1.0 / 5040.0, 1.0 / 362_880.0, -1.0 / 39_916_800.0],
        );
    let cos = polynomial(
        square,
        [1.0, -1.0 / 2.0, 1.0 / 24.0, -1.0 / 720.0, 1.0 / 40320.0, -1.0 / 3_628_800.0, 1.0 / 479_001_600.0],
    );
    let value = if quarters & 1 == 0 { sin } else { cos };
    f64::from_bits(value.to_bits() ^ (quarters & 2) << 62) as f32
}

#[inline(always)]
fn sin(x: f32) -> f32 {
    let (quarters, angle) = reduced(x);
    let value = sine(quarters, angle);
    let value = if x == 0.0 { x } else { value };
    if x.is_finite() { value } else { f32::NAN }
}

#[inline(always)]
fn cos(x: f32) -> f32 {
    let (quarters, angle) = reduced(x);
    let value = sine(quarters.wrapping_add(1), angle);
    if x.is_finite() { value } else { f32::NAN }
}
