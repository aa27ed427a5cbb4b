//! Comparisons: `setp set`, over all types.
//!
//! Every comparison is one of five, perhaps of exchanged operands, perhaps negated: the unordered form of a comparison
//! is the negation of the ordered form of its opposite.

use super::integer::wrong_type;
use super::logic::{Truth, written_predicate};
use super::simd::{Body, compute, mask_of};
use super::{Class, Lower, Lowered, Lowering, Modifiers, Refusal, destination, source};
use crate::fault::Stop;
use crate::ptx::ast::{Instruction, Operand};
use crate::ptx::types::Type;
use crate::state::cx::{Compute, Cx};
use crate::state::registers::{LANES, Lane, Mask, PredicateSlot, Slot};
use half::{bf16, f16};

/// Lowers what is this family's.
pub fn lower(i: &Instruction, cx: &mut dyn Lower) -> Option<Lowering<Lowered>> {
    let run = match i.opcode.as_str() {
        "setp" | "set" => set(i, cx),
        _ => return None,
    };
    Some(run.map(|run| Lowered { run, class: Class::Compare, macs: 0 }))
}

/// The comparisons that are computed. All are false if an operand is NaN.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Relation {
    Equal,
    /// Less or greater.
    Different,
    Less,
    LessOrEqual,
    /// Neither is NaN.
    Ordered,
}

/// Which operands a comparison is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Domain {
    All,
    /// All but bits: numbers with an order.
    Numbers,
    Unsigned,
    Floats,
}

/// A comparison: relation, operands exchanged, result negated.
#[derive(Clone, Copy)]
struct Comparison {
    relation: Relation,
    exchanged: bool,
    negated: bool,
    domain: Domain,
}

/// What comparisons are called.
const NAMES: &[&str] = &[
    "eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs", "equ", "neu", "ltu", "leu", "gtu", "geu",
    "num", "nan",
];

/// The comparison of that name, of floats or of integers.
fn comparison(name: &str, floats: bool) -> Option<Comparison> {
    use Domain::*;
    use Relation::*;
    let (relation, exchanged, negated, domain) = match name {
        "eq" => (Equal, false, false, All),
        "ne" if floats => (Different, false, false, All),
        "ne" => (Equal, false, true, All),
        "lt" => (Less, false, false, Numbers),
        "gt" => (Less, true, false, Numbers),
        "le" if floats => (LessOrEqual, false, false, Numbers),
        "ge" if floats => (LessOrEqual, true, false, Numbers),
        "le" => (Less, true, true, Numbers),
        "ge" => (Less, false, true, Numbers),
        "lo" => (Less, false, false, Unsigned),
        "hi" => (Less, true, false, Unsigned),
        "ls" => (Less, true, true, Unsigned),
        "hs" => (Less, false, true, Unsigned),
        "equ" => (Different, false, true, Floats),
        "neu" => (Equal, false, true, Floats),
        "ltu" => (LessOrEqual, true, true, Floats),
        "gtu" => (LessOrEqual, false, true, Floats),
        "leu" => (Less, true, true, Floats),
        "geu" => (Less, false, true, Floats),
        "num" => (Ordered, false, false, Floats),
        "nan" => (Ordered, false, true, Floats),
        _ => return None,
    };
    Some(Comparison { relation, exchanged, negated, domain })
}

impl Domain {
    fn contains(self, ty: Type) -> bool {
        let float = is_float(ty);
        let bits = matches!(ty, Type::B16 | Type::B32 | Type::B64);
        match self {
            Domain::All => true,
            Domain::Numbers => !bits,
            // Unsigned comparisons of bits are what they say.
            Domain::Unsigned => !float && !ty.is_signed(),
            Domain::Floats => float,
        }
    }
}

fn is_float(ty: Type) -> bool {
    use Type::*;
    matches!(ty, F16 | F16x2 | Bf16 | Bf16x2 | F32 | F64)
}

/// What is done with the outcome and another predicate.
#[derive(Clone, Copy)]
enum Combine {
    And(Truth),
    Or(Truth),
    Xor(Truth),
}

/// Where the outcome goes.
#[derive(Clone, Copy)]
enum Output {
    Predicates(Option<PredicateSlot>, Option<PredicateSlot>),
    /// These bits, or none of them.
    Word(Slot<u32>, u32),
    /// These bits or none of them, for each half.
    Halves(Slot<u32>, u32),
}

fn set(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let name = m.word_of(NAMES).ok_or_else(|| Refusal("a comparison is missing".to_string()))?;
    let combine = m.one_of::<fn(Truth) -> Combine>(&[
        ("and", Combine::And),
        ("or", Combine::Or),
        ("xor", Combine::Xor),
    ]);
    let ftz = m.flag("ftz");
    let first = m.ty()?;
    let (out, ty) = if i.opcode == "set" { (Some(first), m.ty()?) } else { (None, first) };
    m.finish()?;
    let (d, a, b, c) = match i.operands.as_slice() {
        [d, a, b] => (d, a, b, None),
        [d, a, b, c] => (d, a, b, Some(c)),
        other => return Err(Refusal(format!("{} operands", other.len()))),
    };
    let combine = match (combine, c) {
        (None, None) => None,
        (Some(combine), Some(c)) => Some(combine(Truth::lower(cx, c)?)),
        _ => {
            return Err(Refusal(
                "a Boolean operation needs a predicate, and the other way round".to_string(),
            ));
        }
    };
    let comparison =
        comparison(name, is_float(ty)).ok_or_else(|| Refusal(format!("unknown comparison .{name}")))?;
    if !comparison.domain.contains(ty) || ftz && !matches!(ty, Type::F16 | Type::F16x2 | Type::F32) {
        return Err(wrong_type(ty));
    }
    let output = match out {
        None => predicates(cx, d)?,
        Some(out) => register(cx, d, out, ty)?,
    };
    let (a, b) = if comparison.exchanged { (b, a) } else { (a, b) };
    let rest = Rest { negate: Mask::from(comparison.negated).wrapping_neg(), combine, output };
    let relation = comparison.relation;
    match ty {
        Type::B16 | Type::U16 => integers::<u16>(cx, a, b, relation, rest),
        Type::B32 | Type::U32 => integers::<u32>(cx, a, b, relation, rest),
        Type::B64 | Type::U64 => integers::<u64>(cx, a, b, relation, rest),
        Type::S16 => integers::<i16>(cx, a, b, relation, rest),
        Type::S32 => integers::<i32>(cx, a, b, relation, rest),
        Type::S64 => integers::<i64>(cx, a, b, relation, rest),
        Type::F32 if ftz => floats::<f32, Flushed>(cx, a, b, relation, rest),
        Type::F32 => floats::<f32, f32>(cx, a, b, relation, rest),
        Type::F64 => floats::<f64, f64>(cx, a, b, relation, rest),
        Type::F16 if ftz => floats::<f16, FlushedHalf>(cx, a, b, relation, rest),
        Type::F16 => floats::<f16, f32>(cx, a, b, relation, rest),
        Type::Bf16 => floats::<bf16, f32>(cx, a, b, relation, rest),
        Type::F16x2 if ftz => pairs::<f16, FlushedHalf>(cx, a, b, relation, rest),
        Type::F16x2 => pairs::<f16, f32>(cx, a, b, relation, rest),
        Type::Bf16x2 => pairs::<bf16, f32>(cx, a, b, relation, rest),
        _ => Err(wrong_type(ty)),
    }
}

/// `p`, `p|q`, either of which may be `_`.
fn predicates(cx: &mut dyn Lower, d: &Operand) -> Lowering<Output> {
    let mut one = |d: &Operand| match d {
        Operand::Sink => Ok(None),
        _ => written_predicate(cx, d).map(Some),
    };
    Ok(match d {
        Operand::Pair(p, q) => Output::Predicates(one(p)?, one(q)?),
        _ => Output::Predicates(one(d)?, None),
    })
}

/// The destination of `set` and what stands there if the comparison holds.
fn register(cx: &mut dyn Lower, d: &Operand, out: Type, ty: Type) -> Lowering<Output> {
    use Type::*;
    let half = matches!(ty, F16 | Bf16);
    let ones = match (out, ty) {
        (F16x2, F16x2) | (F16, _) => u32::from(f16::ONE.to_bits()),
        (Bf16x2, Bf16x2) | (Bf16, _) => u32::from(bf16::ONE.to_bits()),
        (U32 | S32, F16x2 | Bf16x2) => 0xFFFF,
        (U16 | S16, _) if half => 0xFFFF,
        (U32 | S32, _) => u32::MAX,
        (F32, _) if !half => 1f32.to_bits(),
        _ => return Err(wrong_type(out)),
    };
    let packed = matches!(ty, F16x2 | Bf16x2);
    match (packed, out, ty) {
        (true, F16 | Bf16 | F32, _) | (false, F16, Bf16) | (false, Bf16, F16) => Err(wrong_type(out)),
        (true, ..) => Ok(Output::Halves(destination(cx, d)?, ones)),
        (false, ..) => Ok(Output::Word(destination(cx, d)?, ones)),
    }
}

/// A comparison but for its operands.
#[derive(Clone, Copy)]
struct Rest {
    /// All ones or none.
    negate: Mask,
    combine: Option<Combine>,
    output: Output,
}

impl Rest {
    /// Stores the outcome: of the low halves and of the high ones, or what holds and what does not.
    #[inline(always)]
    fn store(&self, cx: &mut Cx<'_>, first: Mask, second: Mask, mask: Mask) {
        let (first, second) = match self.combine {
            None => (first, second),
            Some(Combine::And(c)) => (first & c.read(cx), second & c.read(cx)),
            Some(Combine::Or(c)) => (first | c.read(cx), second | c.read(cx)),
            Some(Combine::Xor(c)) => (first ^ c.read(cx), second ^ c.read(cx)),
        };
        match self.output {
            Output::Predicates(p, q) => {
                if let Some(p) = p {
                    cx.registers.set_predicate(p, first, mask);
                }
                if let Some(q) = q {
                    cx.registers.set_predicate(q, second, mask);
                }
            }
            Output::Word(d, ones) => {
                let mut value = [0; LANES];
                for (i, value) in value.iter_mut().enumerate() {
                    *value = (first >> i & 1).wrapping_neg() & ones;
                }
                cx.registers.write(d, &value, mask);
            }
            Output::Halves(d, ones) => {
                let mut value = [0; LANES];
                for (i, value) in value.iter_mut().enumerate() {
                    let (low, high) = ((first >> i & 1) * ones, (second >> i & 1) * ones);
                    *value = low | high << 16;
                }
                cx.registers.write(d, &value, mask);
            }
        }
    }
}

fn integers<T: Lane + Ord>(
    cx: &mut dyn Lower,
    a: &Operand,
    b: &Operand,
    relation: Relation,
    rest: Rest,
) -> Lowering<Compute> {
    let (a, b) = (source::<T>(cx, a)?, source::<T>(cx, b)?);
    Ok(match relation {
        Relation::Less => compute(Single { a, b, op: |a: T, b: T| a < b, rest }),
        _ => compute(Single { a, b, op: |a: T, b: T| a == b, rest }),
    })
}

/// How a value is seen when it is compared.
trait Seen<T>: PartialOrd + Copy + 'static {
    fn see(value: T) -> Self;
}

impl Seen<f32> for f32 {
    #[inline(always)]
    fn see(value: f32) -> f32 {
        value
    }
}

impl Seen<f64> for f64 {
    #[inline(always)]
    fn see(value: f64) -> f64 {
        value
    }
}

impl Seen<f16> for f32 {
    #[inline(always)]
    fn see(value: f16) -> f32 {
        widen_half(value)
    }
}

impl Seen<bf16> for f32 {
    #[inline(always)]
    fn see(value: bf16) -> f32 {
        f32::from_bits(u32::from(value.to_bits()) << 16)
    }
}

/// A half as a float of the same value, by integer operations and one exact product, which vector loops can do.
#[inline(always)]
fn widen_half(value: f16) -> f32 {
    let bits = u32::from(value.to_bits());
    let magnitude = bits & 0x7FFF;
    // Exponents differ by 112.
    let rebased = f32::from_bits(magnitude << 13) * f32::from_bits((112 + 127) << 23);
    let wide = if magnitude >= 0x7C00 { f32::from_bits(0x7F80_0000 | magnitude << 13) } else { rebased };
    f32::from_bits(wide.to_bits() | (bits & 0x8000) << 16)
}

/// `.ftz` of `f32`: subnormals count as zero.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
struct Flushed(f32);

impl Seen<f32> for Flushed {
    #[inline(always)]
    fn see(value: f32) -> Flushed {
        Flushed(if value.abs() < f32::MIN_POSITIVE { 0.0 } else { value })
    }
}

/// `.ftz` of `f16`.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
struct FlushedHalf(f32);

impl Seen<f16> for FlushedHalf {
    #[inline(always)]
    fn see(value: f16) -> FlushedHalf {
        let value = widen_half(value);
        FlushedHalf(if value.abs() < 1.0 / 16384.0 { 0.0 } else { value })
    }
}

/// The relation of two values, for each relation a function of its own.
macro_rules! with_relation {
    ($relation:expr, $S:ident, $op:ident => $body:expr) => {
        match $relation {
            Relation::Equal => {
                let $op = |a: $S, b: $S| a == b;
                $body
            }
            Relation::Different => {
                let $op = |a: $S, b: $S| (a < b) | (a > b);
                $body
            }
            Relation::Less => {
                let $op = |a: $S, b: $S| a < b;
                $body
            }
            Relation::LessOrEqual => {
                let $op = |a: $S, b: $S| a <= b;
                $body
            }
            Relation::Ordered => {
                let $op = |a: $S, b: $S| a.partial_cmp(&b).is_some();
                $body
            }
        }
    };
}

fn floats<T: Lane, S: Seen<T>>(
    cx: &mut dyn Lower,
    a: &Operand,
    b: &Operand,
    relation: Relation,
    rest: Rest,
) -> Lowering<Compute> {
    let (a, b) = (source::<T>(cx, a)?, source::<T>(cx, b)?);
    Ok(with_relation!(relation, S, op =>
        compute(Single { a, b, op: move |a: T, b: T| op(S::see(a), S::see(b)), rest })))
}

/// Both halves of words.
fn pairs<T: Lane, S: Seen<T>>(
    cx: &mut dyn Lower,
    a: &Operand,
    b: &Operand,
    relation: Relation,
    rest: Rest,
) -> Lowering<Compute> {
    let (a, b) = (source::<u32>(cx, a)?, source::<u32>(cx, b)?);
    Ok(with_relation!(relation, S, op => compute(Packed {
        a,
        b,
        op: move |a: u32, b: u32| {
            op(S::see(T::from_bits(u128::from(a & 0xFFFF))), S::see(T::from_bits(u128::from(b & 0xFFFF))))
        },
        rest,
    })))
}

/// One comparison per lane.
struct Single<T, F> {
    a: Slot<T>,
    b: Slot<T>,
    op: F,
    rest: Rest,
}

impl<T: Lane, F: Fn(T, T) -> bool + Send + Sync + 'static> Body for Single<T, F> {
    #[inline(always)]
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
        let (a, b) = (cx.registers.read(self.a), cx.registers.read(self.b));
        let mut out = [false; LANES];
        for i in 0..LANES {
            out[i] = (self.op)(a[i], b[i]);
        }
        let holds = mask_of(&out) ^ self.rest.negate;
        self.rest.store(cx, holds, !holds, mask);
        Ok(())
    }
}

/// Two comparisons per lane, of the low and of the high halves; `op` compares the low ones.
struct Packed<F> {
    a: Slot<u32>,
    b: Slot<u32>,
    op: F,
    rest: Rest,
}

impl<F: Fn(u32, u32) -> bool + Send + Sync + 'static> Body for Packed<F> {
    #[inline(always)]
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
        let (a, b) = (cx.registers.read(self.a), cx.registers.read(self.b));
        let (mut low, mut high) = ([false; LANES], [false; LANES]);
        for i in 0..LANES {
            low[i] = (self.op)(a[i], b[i]);
            high[i] = (self.op)(a[i] >> 16, b[i] >> 16);
        }
        let (low, high) = (mask_of(&low) ^ self.rest.negate, mask_of(&high) ^ self.rest.negate);
        self.rest.store(cx, low, high, mask);
        Ok(())
    }
}
