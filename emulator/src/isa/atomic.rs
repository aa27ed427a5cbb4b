//! Atomics: `atom red`.

use super::memory_operand::{
    AddressSlot, Element, address, cache_hints, check_policy, elements, scope, space, vector,
};
use super::{Class, Lower, Lowered, Lowering, Modifiers, Refusal};
use crate::fault::{FaultKind, Stop};
use crate::memory::{Staged, space_of};
use crate::ptx::ast::{Instruction, Operand};
use crate::ptx::types::{Space, Type};
use crate::state::cx::{Compute, Cx};
use crate::state::registers::{LANES, Mask, lanes};
use half::{bf16, f16};
use std::sync::atomic::{Ordering, fence};

/// Lowers what is this family's.
pub fn lower(i: &Instruction, cx: &mut dyn Lower) -> Option<Lowering<Lowered>> {
    matches!(i.opcode.as_str(), "atom" | "red").then(|| lower_atomic(i, cx))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Add,
    Min,
    Max,
    Increment,
    Decrement,
    And,
    Or,
    Xor,
    Exchange,
    Compare,
}

impl Operation {
    /// Whether there is such an instruction.
    fn takes(self, ty: Type, is_vector: bool) -> bool {
        use Operation::*;
        use Type::*;
        let half = matches!(ty, F16 | Bf16 | F16x2 | Bf16x2);
        if is_vector {
            return self == Add && (half || ty == F32) || matches!(self, Min | Max) && half;
        }
        match self {
            Add => half || matches!(ty, U32 | S32 | U64 | S64 | F32 | F64),
            Min | Max => matches!(ty, U32 | S32 | U64 | S64),
            Increment | Decrement => ty == U32,
            And | Or | Xor => matches!(ty, B32 | B64),
            Exchange => matches!(ty, B32 | B64 | B128),
            Compare => matches!(ty, B16 | B32 | B64 | B128),
        }
    }
}

fn lower_atomic(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Lowered> {
    let gives = i.opcode == "atom";
    let mut m = Modifiers::new(i);
    if m.peek() == Some("async") {
        return Err(Refusal("red.async is for sm_90 and above".to_string()));
    }
    let semantics = [("relaxed", false), ("acquire", true), ("release", true), ("acq_rel", true)];
    let before = m.one_of(&semantics);
    let scoped = scope(&mut m);
    let named = space(&mut m)?;
    let scoped = scoped || scope(&mut m);
    use Operation::*;
    let operations = [
        ("add", Add),
        ("min", Min),
        ("max", Max),
        ("inc", Increment),
        ("dec", Decrement),
        ("and", And),
        ("or", Or),
        ("xor", Xor),
        ("exch", Exchange),
        ("cas", Compare),
    ];
    let Some(operation) = m.one_of(&operations) else {
        return Err(Refusal(format!("unknown operation .{}", m.peek().unwrap_or_default())));
    };
    // The headers of cooperative groups write `atom.add.release.gpu.u32`.
    let ordered = before.or_else(|| m.one_of(&semantics)).unwrap_or(false);
    if !scoped {
        scope(&mut m);
    }
    let noftz = m.flag("noftz");
    let policy = cache_hints(&mut m);
    let count = vector(&mut m);
    let ty = m.ty()?;
    m.finish()?;
    let half = matches!(ty, Type::F16 | Type::Bf16 | Type::F16x2 | Type::Bf16x2);
    let swaps = matches!(operation, Exchange | Compare);
    if !operation.takes(ty, count > 1) || noftz != half || swaps && !gives || ty.bytes() * count > 16 {
        return Err(Refusal("an atomic that does not exist".to_string()));
    }

    let mut operands = i.operands.as_slice();
    if policy {
        let Some((last, rest)) = operands.split_last() else {
            return Err(Refusal("the cache policy is missing".to_string()));
        };
        check_policy(cx, last)?;
        operands = rest;
    }
    let (out, operands) = match operands {
        [out, rest @ ..] if gives => (Some(out), rest),
        rest => (None, rest),
    };
    let (at, value, swap) = match operands {
        [at, value] if operation != Compare => (at, value, None),
        [at, compared, value] if operation == Compare => (at, compared, Some(value)),
        _ => return Err(Refusal(format!("{} operands", i.operands.len()))),
    };
    let (address, space) = address(cx, at, named)?;
    if !matches!(space, Space::Generic | Space::Global | Space::Shared) {
        return Err(Refusal(format!("an atomic on {} memory", space.name())));
    }
    let mut outs = Vec::new();
    match out {
        None | Some(Operand::Sink) => {}
        Some(out) => {
            for operand in elements(out, count)? {
                outs.push(Element::destination(cx, operand, ty)?);
            }
        }
    }
    let mut values = Vec::new();
    for operand in elements(value, count)? {
        values.push(Element::source(cx, operand, ty)?);
    }
    let swap = swap.map(|swap| Element::source(cx, swap, ty)).transpose()?;
    macro_rules! of_width {
        ($($w:literal),*) => {
            match ty.bytes() {
                $($w => {
                    let atomic =
                        Atomic::<$w> { operation, ty, address, space, ordered, outs, values, swap };
                    Box::new(move |cx: &mut Cx<'_>, mask| atomic.run(cx, mask)) as Compute
                })*
                other => return Err(Refusal(format!("an atomic of {other} bytes"))),
            }
        };
    }
    let run = of_width!(2, 4, 8, 16);
    Ok(Lowered { run, class: Class::Atomic, macs: 0 })
}

struct Atomic<const W: usize> {
    operation: Operation,
    ty: Type,
    address: AddressSlot,
    space: Space,
    /// Has acquire or release semantics.
    ordered: bool,
    outs: Vec<Element>,
    values: Vec<Element>,
    /// What is stored if the comparison holds.
    swap: Option<Element>,
}

impl<const W: usize> Atomic<W> {
    fn run(&self, cx: &mut Cx<'_>, mut mask: Mask) -> Result<(), Stop> {
        cx.warp.polls += 1;
        if self.ordered {
            fence(Ordering::SeqCst);
            cx.block.memory.fence();
        }
        let mut addresses = self.address.read(cx.registers);
        let bytes = W * self.values.len();
        if bytes > W {
            for lane in lanes(mask).filter(|&l| !addresses[l].is_multiple_of(bytes as u64)) {
                let detail = format!("atomic of {bytes} bytes at no multiple of {bytes}");
                cx.report(FaultKind::Misaligned, lane, Some(addresses[lane]), detail)?;
                mask &= !(1 << lane);
            }
        }
        let mut swap = [[0; W]; LANES];
        if let Some(element) = &self.swap {
            element.pack(cx.registers, &mut swap, 0);
        }
        for (k, value) in self.values.iter().enumerate() {
            let mut staged = [[0; W]; LANES];
            value.pack(cx.registers, &mut staged, 0);
            let old = self.apply(cx, &addresses, mask, &staged, &swap)?;
            if let Some(out) = self.outs.get(k) {
                out.unpack(cx, &old, 0, mask);
            }
            for address in &mut addresses {
                *address = address.wrapping_add(W as u64);
            }
        }
        if self.ordered {
            fence(Ordering::SeqCst);
        }
        Ok(())
    }

    fn apply(
        &self,
        cx: &mut Cx<'_>,
        addresses: &[u64; LANES],
        mask: Mask,
        value: &Staged<W>,
        swap: &Staged<W>,
    ) -> Result<Staged<W>, Stop> {
        let mut old = [[0; W]; LANES];
        match self.operation {
            Operation::Exchange => {
                cx.update(self.space, addresses, mask, &mut old, |lane, _| value[lane])?;
            }
            Operation::Compare => {
                cx.update(self.space, addresses, mask, &mut old, |lane, now| {
                    if now == value[lane] { swap[lane] } else { now }
                })?;
            }
            operation => {
                cx.update(self.space, addresses, mask, &mut old, |lane, now| {
                    let in_global = match self.space {
                        Space::Generic => space_of(addresses[lane]) == Space::Global,
                        space => space == Space::Global,
                    };
                    let new = combine(operation, self.ty, in_global, number(now), number(value[lane]));
                    let mut bytes = [0; W];
                    bytes.copy_from_slice(&new.to_le_bytes()[..W]);
                    bytes
                })?;
            }
        }
        Ok(old)
    }
}

/// The low bytes of a word.
fn number<const W: usize>(bytes: [u8; W]) -> u64 {
    let mut word = [0; 8];
    word[..W.min(8)].copy_from_slice(&bytes[..W.min(8)]);
    u64::from_le_bytes(word)
}

/// What an operation makes of the old value and its operand. Additions of f32 in global memory flush subnormal numbers.
fn combine(operation: Operation, ty: Type, in_global: bool, old: u64, value: u64) -> u64 {
    use Operation::*;
    let (a, b) = (old as u32, value as u32);
    match (operation, ty) {
        (Add, Type::F32) => {
            let flush = |x: f32| if in_global && x.is_subnormal() { 0f32.copysign(x) } else { x };
            let sum = flush(flush(f32::from_bits(a)) + flush(f32::from_bits(b)));
            u64::from(if sum.is_nan() { 0x7fff_ffff } else { sum.to_bits() })
        }
        (Add, Type::F64) => (f64::from_bits(old) + f64::from_bits(value)).to_bits(),
        (Add | Min | Max, Type::F16 | Type::Bf16) => u64::from(half(operation, ty, a as u16, b as u16)),
        (Add | Min | Max, Type::F16x2 | Type::Bf16x2) => {
            let ty = if ty == Type::F16x2 { Type::F16 } else { Type::Bf16 };
            let low = half(operation, ty, a as u16, b as u16);
            let high = half(operation, ty, (a >> 16) as u16, (b >> 16) as u16);
            u64::from(low) | u64::from(high) << 16
        }
        (Add, _) if ty.bytes() == 4 => u64::from(a.wrapping_add(b)),
        (Add, _) => old.wrapping_add(value),
        (Min, Type::S32) => u64::from((a as i32).min(b as i32) as u32),
        (Max, Type::S32) => u64::from((a as i32).max(b as i32) as u32),
        (Min, Type::S64) => (old as i64).min(value as i64) as u64,
        (Max, Type::S64) => (old as i64).max(value as i64) as u64,
        (Min, _) => old.min(value),
        (Max, _) => old.max(value),
        (Increment, _) => u64::from(if a >= b { 0 } else { a + 1 }),
        (Decrement, _) => u64::from(if a == 0 || a > b { b } else { a - 1 }),
        (And, _) => old & value,
        (Or, _) => old | value,
        (Xor, _) => old ^ value,
        (Exchange | Compare, _) => value,
    }
}

/// The same for numbers of 16 bits. The sum of two in f32 is rounded once more, which changes nothing: f32 has more than
/// twice their digits.
fn half(operation: Operation, ty: Type, a: u16, b: u16) -> u16 {
    let read = |bits| match ty {
        Type::F16 => f16::from_bits(bits).to_f32(),
        _ => bf16::from_bits(bits).to_f32(),
    };
    let (x, y) = (read(a), read(b));
    let result = match operation {
        Operation::Add => x + y,
        // Of zeros the negative one is the smaller.
        Operation::Min if x == y => return if x.is_sign_negative() { a } else { b },
        Operation::Max if x == y => return if x.is_sign_negative() { b } else { a },
        Operation::Min => x.min(y),
        _ => x.max(y),
    };
    if result.is_nan() {
        return 0x7fff;
    }
    match ty {
        Type::F16 => f16::from_f32(result).to_bits(),
        _ => bf16::from_f32(result).to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapping_counters() {
        let run = |operation, old, value| combine(operation, Type::U32, true, old, value);
        assert_eq!([0, 2, 3, 9].map(|old| run(Operation::Increment, old, 3)), [1, 3, 0, 0]);
        assert_eq!([0, 2, 3, 9].map(|old| run(Operation::Decrement, old, 3)), [3, 1, 2, 3]);
        assert_eq!(run(Operation::Add, 0xffff_ffff, 2), 1);
    }

    #[test]
    fn signs() {
        let minus = u64::from(-1i32 as u32);
        assert_eq!(combine(Operation::Min, Type::S32, true, minus, 1), minus);
        assert_eq!(combine(Operation::Min, Type::U32, true, minus, 1), 1);
        assert_eq!(combine(Operation::Max, Type::S64, true, u64::MAX, 1), 1);
    }

    #[test]
    fn floats() {
        let bits = |x: f32| u64::from(x.to_bits());
        let tiny = f32::from_bits(3);
        assert_eq!(combine(Operation::Add, Type::F32, true, bits(1.5), bits(2.25)), bits(3.75));
        assert_eq!(combine(Operation::Add, Type::F32, true, bits(tiny), bits(-0.0)), bits(0.0));
        assert_eq!(combine(Operation::Add, Type::F32, false, bits(tiny), bits(tiny)), 6);
        let nan = combine(Operation::Add, Type::F32, true, bits(f32::INFINITY), bits(f32::NEG_INFINITY));
        assert_eq!(nan, 0x7fff_ffff);
        let h = |x: f32| u64::from(f16::from_f32(x).to_bits());
        let pair = |x, y| h(x) | h(y) << 16;
        let sum = combine(Operation::Add, Type::F16x2, true, pair(1.0, 65504.0), pair(0.5, 65504.0));
        assert_eq!(sum, pair(1.5, f32::INFINITY));
        assert_eq!(combine(Operation::Min, Type::F16, true, h(0.0), h(-0.0)), h(-0.0));
        assert_eq!(combine(Operation::Max, Type::F16, true, h(-0.0), h(0.0)), h(0.0));
        assert_eq!(combine(Operation::Max, Type::F16, true, 0x7e00, h(2.0)), h(2.0));
        assert_eq!(combine(Operation::Min, Type::Bf16, true, 0x7fc0, 0x7fc0), 0x7fff);
    }
}
