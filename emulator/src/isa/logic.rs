//! Logic and shifts: `and or xor not cnot lop3 shf shl shr prmt`, on bits and on predicates.

use super::bits::clamps;
use super::integer::{lower1, lower2, lower3, operands, with_type, wrong_type};
use super::simd::{Body, binary, compute};
use super::{Class, Lower, Lowered, Lowering, Modifiers, Refusal, destination, predicate, source};
use crate::fault::Stop;
use crate::ptx::ast::{Instruction, Operand};
use crate::ptx::types::Type;
use crate::state::cx::{Compute, Cx};
use crate::state::registers::{LANES, Mask, PredicateSlot, Slot};

/// Lowers what is this family's.
pub fn lower(i: &Instruction, cx: &mut dyn Lower) -> Option<Lowering<Lowered>> {
    let run = match i.opcode.as_str() {
        "and" | "or" | "xor" => binary_logic(i, cx),
        "not" | "cnot" => not(i, cx),
        "lop3" => lop3(i, cx),
        "shf" => funnel(i, cx),
        "shl" | "shr" => shift(i, cx),
        "prmt" => permute(i, cx),
        _ => return None,
    };
    Some(run.map(|run| Lowered { run, class: Class::Logic, macs: 0 }))
}

fn binary_logic(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let ty = m.ty()?;
    m.finish()?;
    match (ty, i.opcode.as_str()) {
        (Type::Pred, "and") => predicates(i, cx, |a, b| a & b),
        (Type::Pred, "or") => predicates(i, cx, |a, b| a | b),
        (Type::Pred, _) => predicates(i, cx, |a, b| a ^ b),
        (_, "and") => {
            with_type!(ty, T in [B16: u16, B32: u32, B64: u64] => lower2(i, cx, |a: T, b: T| a & b))
        }
        (_, "or") => with_type!(ty, T in [B16: u16, B32: u32, B64: u64] => lower2(i, cx, |a: T, b: T| a | b)),
        _ => with_type!(ty, T in [B16: u16, B32: u32, B64: u64] => lower2(i, cx, |a: T, b: T| a ^ b)),
    }
}

/// `p = op(q, r)`, a bit per lane.
fn predicates(
    i: &Instruction,
    cx: &mut dyn Lower,
    op: impl Fn(Mask, Mask) -> Mask + Send + Sync + 'static,
) -> Lowering<Compute> {
    let [p, q, r] = operands(i)?;
    let p = written_predicate(cx, p)?;
    let (q, r) = (Truth::lower(cx, q)?, Truth::lower(cx, r)?);
    Ok(Box::new(move |cx, mask| {
        let value = op(q.read(cx), r.read(cx));
        cx.registers.set_predicate(p, value, mask);
        Ok(())
    }))
}

/// A predicate to write.
pub(super) fn written_predicate(cx: &mut dyn Lower, operand: &Operand) -> Lowering<PredicateSlot> {
    match operand {
        Operand::Register(r) => cx.predicate(*r),
        other => Err(Refusal(format!("{other:?} is not a predicate to write"))),
    }
}

/// A predicate to read: a register, negated or not, or a constant.
#[derive(Clone, Copy)]
pub(super) enum Truth {
    Register(PredicateSlot, bool),
    Constant(bool),
}

impl Truth {
    pub(super) fn lower(cx: &mut dyn Lower, operand: &Operand) -> Lowering<Truth> {
        Ok(match operand {
            Operand::Integer(value) => Truth::Constant(*value != 0),
            other => {
                let (slot, negated) = predicate(cx, other)?;
                Truth::Register(slot, negated)
            }
        })
    }

    /// The lanes where it holds.
    #[inline(always)]
    pub(super) fn read(self, cx: &Cx<'_>) -> Mask {
        match self {
            Truth::Register(slot, false) => cx.registers.predicate(slot),
            Truth::Register(slot, true) => !cx.registers.predicate(slot),
            Truth::Constant(value) => Mask::from(value).wrapping_neg(),
        }
    }
}

fn not(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let ty = m.ty()?;
    m.finish()?;
    match (ty, i.opcode.as_str()) {
        (Type::Pred, "not") => {
            let [p, q] = operands(i)?;
            let (p, q) = (written_predicate(cx, p)?, Truth::lower(cx, q)?);
            Ok(Box::new(move |cx, mask| {
                let value = !q.read(cx);
                cx.registers.set_predicate(p, value, mask);
                Ok(())
            }))
        }
        (_, "not") => with_type!(ty, T in [B16: u16, B32: u32, B64: u64] => lower1(i, cx, |a: T| !a)),
        _ => with_type!(ty, T in [B16: u16, B32: u32, B64: u64] => lower1(i, cx, |a: T| T::from(a == 0))),
    }
}

/// An integer that must be known when code is lowered.
pub(super) fn immediate(operand: &Operand) -> Lowering<u64> {
    match operand {
        Operand::Integer(value) => Ok(*value),
        other => Err(Refusal(format!("{other:?} is not an integer constant"))),
    }
}

fn lop3(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let combine = m.one_of(&[("or", true), ("and", false)]);
    let ty = m.ty()?;
    m.finish()?;
    if ty != Type::B32 {
        return Err(wrong_type(ty));
    }
    let (d, [a, b, c, table], q) = match (combine, i.operands.as_slice()) {
        (None, [d, a, b, c, table]) => (d, [a, b, c, table], None),
        (Some(_), [d, a, b, c, table, q]) => (d, [a, b, c, table], Some(q)),
        _ => return Err(Refusal(format!("{} operands", i.operands.len()))),
    };
    let table = immediate(table)?;
    let table =
        u8::try_from(table).map_err(|_| Refusal(format!("look-up table {table:#x} is not in 0..=0xff")))?;
    let (a, b, c) = (source(cx, a)?, source(cx, b)?, source(cx, c)?);
    let mut terms = [0; 8];
    for (n, term) in terms.iter_mut().enumerate() {
        *term = u32::from(table >> n & 1).wrapping_neg();
    }
    let (Some(or), Some(q)) = (combine, q) else {
        return Ok(compute(Lop3 { d: Some(destination(cx, d)?), a, b, c, terms, test: None }));
    };
    let Operand::Pair(d, p) = d else {
        return Err(Refusal("a destination d|p is missing".to_string()));
    };
    let d = match **d {
        Operand::Sink => None,
        _ => Some(destination(cx, d)?),
    };
    let test = Some(Lop3Test { p: written_predicate(cx, p)?, q: Truth::lower(cx, q)?, or });
    Ok(compute(Lop3 { d, a, b, c, terms, test }))
}

struct Lop3 {
    d: Option<Slot<u32>>,
    a: Slot<u32>,
    b: Slot<u32>,
    c: Slot<u32>,
    /// The eight bits of the table, each spread over a word: entry 4·a + 2·b + c.
    terms: [u32; 8],
    test: Option<Lop3Test>,
}

/// `p = (d != 0) BoolOp q`.
struct Lop3Test {
    p: PredicateSlot,
    q: Truth,
    or: bool,
}

impl Body for Lop3 {
    #[inline(always)]
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
        let (a, b, c) = (cx.registers.read(self.a), cx.registers.read(self.b), cx.registers.read(self.c));
        let t = &self.terms;
        let mut d = [0; LANES];
        let mut nonzero = 0;
        for i in 0..LANES {
            let (a, b, c) = (a[i], b[i], c[i]);
            let low = !b & (!c & t[0] | c & t[1]) | b & (!c & t[2] | c & t[3]);
            let high = !b & (!c & t[4] | c & t[5]) | b & (!c & t[6] | c & t[7]);
            d[i] = !a & low | a & high;
        }
        if let Some(test) = &self.test {
            for (i, d) in d.iter().enumerate() {
                nonzero |= Mask::from(*d != 0) << i;
            }
            let q = test.q.read(cx);
            cx.registers.set_predicate(test.p, if test.or { nonzero | q } else { nonzero & q }, mask);
        }
        if let Some(slot) = self.d {
            cx.registers.write(slot, &d, mask);
        }
        Ok(())
    }
}

fn funnel(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let left =
        m.one_of(&[("l", true), ("r", false)]).ok_or_else(|| Refusal(".l or .r is missing".to_string()))?;
    let clamp = clamps(&mut m)?;
    let ty = m.ty()?;
    m.finish()?;
    if ty != Type::B32 {
        return Err(wrong_type(ty));
    }
    let amount = move |c: u32| if clamp { c.min(32) } else { c & 31 };
    let joined = |a: u32, b: u32| u64::from(b) << 32 | u64::from(a);
    if left {
        lower3(i, cx, move |a: u32, b: u32, c: u32| (joined(a, b) << amount(c) >> 32) as u32)
    } else {
        lower3(i, cx, move |a: u32, b: u32, c: u32| (joined(a, b) >> amount(c)) as u32)
    }
}

/// Shifts by the width and more leave nothing but, to the right, the sign.
fn shift(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let ty = m.ty()?;
    m.finish()?;
    match (i.opcode.as_str(), ty) {
        ("shl", _) => with_type!(ty, T in [B16: u16, B32: u32, B64: u64] =>
            lower2(i, cx, |a: T, n: u32| if n < T::BITS { a << n } else { 0 })),
        (_, Type::S16 | Type::S32 | Type::S64) => with_type!(ty, T in [S16: i16, S32: i32, S64: i64] =>
            lower2(i, cx, |a: T, n: u32| a >> n.min(T::BITS - 1))),
        _ => with_type!(ty, T in [B16: u16, U16: u16, B32: u32, U32: u32, B64: u64, U64: u64] =>
            lower2(i, cx, |a: T, n: u32| if n < T::BITS { a >> n } else { 0 })),
    }
}

/// The selectors of the `prmt` modes, for `c & 3` = 0, 1, 2, 3: a hexadecimal digit for each byte.
const MODES: &[(&str, [u32; 4])] = &[
    ("f4e", [0x3210, 0x4321, 0x5432, 0x6543]),
    ("b4e", [0x5670, 0x6701, 0x7012, 0x0123]),
    ("rc8", [0x0000, 0x1111, 0x2222, 0x3333]),
    ("ecl", [0x3210, 0x3211, 0x3222, 0x3333]),
    ("ecr", [0x0000, 0x1110, 0x2210, 0x3210]),
    ("rc16", [0x1010, 0x3232, 0x1010, 0x3232]),
];

fn permute(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let ty = m.ty()?;
    let mode = m.one_of(MODES);
    m.finish()?;
    if ty != Type::B32 {
        return Err(wrong_type(ty));
    }
    match (mode, i.operands.as_slice()) {
        (None, [d, a, b, Operand::Integer(selector)]) => pick_constant(cx, [d, a, b], *selector as u32),
        (None, _) => lower3(i, cx, pick_bytes),
        (Some(table), _) => {
            lower3(i, cx, move |a: u32, b: u32, c: u32| pick_bytes(a, b, table[c as usize & 3]))
        }
    }
}

/// Four bytes of the eight, one per digit of the selector; its high bit spreads a byte's sign.
#[inline(always)]
fn pick_bytes(a: u32, b: u32, selector: u32) -> u32 {
    let bytes = u64::from(b) << 32 | u64::from(a);
    let mut out = 0;
    for n in 0..4 {
        let digit = selector >> (4 * n);
        let byte = (bytes >> (8 * (digit & 7))) as u8;
        let byte = if digit & 8 == 0 { byte } else { (byte as i8 >> 7) as u8 };
        out |= u32::from(byte) << (8 * n);
    }
    out
}

/// `prmt` with a selector that is known: no shifts by amounts that differ between lanes.
fn pick_constant(cx: &mut dyn Lower, [d, a, b]: [&Operand; 3], selector: u32) -> Lowering<Compute> {
    // For each byte of the result: all ones if it is `b`'s, and its place there.
    let (mut from_b, mut shift, mut spread) = ([0; 4], [0; 4], [0; 4]);
    for n in 0..4 {
        let digit = selector >> (4 * n);
        from_b[n] = (digit >> 2 & 1).wrapping_neg();
        shift[n] = 24 - 8 * (digit & 3);
        spread[n] = if digit & 8 == 0 { 0 } else { 7 };
    }
    Ok(binary(destination(cx, d)?, source(cx, a)?, source(cx, b)?, move |a: u32, b: u32| {
        let mut out = 0;
        for n in 0..4 {
            let word = (a ^ (a ^ b) & from_b[n]) << shift[n];
            // The byte is on top: its sign spreads over it, or it stays as it is.
            let byte = (word as i32 >> spread[n]) as u32 >> 24;
            out |= byte << (8 * n);
        }
        out
    }))
}
