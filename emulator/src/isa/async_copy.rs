//! Asynchronous copies from global to shared memory: `cp.async` and what waits for them.

use super::memory_operand::{AddressSlot, address, cache_hints, check_policy, space};
use super::{Class, Lower, Lowered, Lowering, Modifiers, Refusal, predicate, source};
use crate::memory::CopyRequest;
use crate::ptx::ast::{Instruction, Operand};
use crate::ptx::types::{Space, Type};
use crate::state::cx::Compute;
use crate::state::registers::{LANES, PredicateSlot, Slot};

/// Lowers what is this family's.
pub fn lower(i: &Instruction, cx: &mut dyn Lower) -> Option<Lowering<Lowered>> {
    if i.opcode != "cp" {
        return None;
    }
    Some(lower_copy(i, cx).map(|run| Lowered { run, class: Class::AsyncCopy, macs: 0 }))
}

fn lower_copy(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    if !m.flag("async") {
        return Err(Refusal("only cp.async exists".to_string()));
    }
    match m.word() {
        Some(level @ ("ca" | "cg")) => copy(i, &mut m, level, cx),
        Some("commit_group") => {
            end(i, m, 0)?;
            Ok(Box::new(|cx, mask| {
                cx.commit_copies(mask);
                Ok(())
            }))
        }
        Some("wait_all") => {
            end(i, m, 0)?;
            Ok(Box::new(|cx, mask| cx.wait_for_copies(mask, None)))
        }
        Some("wait_group") => {
            end(i, m, 1)?;
            let [Operand::Integer(but)] = i.operands.as_slice() else {
                return Err(Refusal("the number of groups is not a constant".to_string()));
            };
            let but = u32::try_from(*but).map_err(|_| Refusal(format!("{but} groups")))?;
            Ok(Box::new(move |cx, mask| cx.wait_for_copies(mask, Some(but))))
        }
        Some("mbarrier") => arrive(i, m, cx),
        Some("bulk") => Err(Refusal("cp.async.bulk is for sm_90 and above".to_string())),
        word => Err(Refusal(format!("unknown modifier .{}", word.unwrap_or_default()))),
    }
}

fn end(i: &Instruction, m: Modifiers<'_>, operands: usize) -> Lowering<()> {
    m.finish()?;
    if i.operands.len() != operands {
        return Err(Refusal(format!("{} operands where {operands} should stand", i.operands.len())));
    }
    Ok(())
}

/// How much is taken from the source.
#[derive(Clone, Copy)]
enum Taken {
    All,
    Bytes(Slot<u32>),
    /// Nothing where the predicate holds (or, negated, does not).
    Unless(PredicateSlot, bool),
}

fn copy(i: &Instruction, m: &mut Modifiers<'_>, level: &str, cx: &mut dyn Lower) -> Lowering<Compute> {
    if space(m)? != Space::Shared || space(m)? != Space::Global {
        return Err(Refusal("cp.async copies from .global to .shared".to_string()));
    }
    let policy = cache_hints(m);
    if let Some(word) = m.peek() {
        return Err(Refusal(format!("unknown modifier .{word}")));
    }
    let [to, from, size, rest @ ..] = i.operands.as_slice() else {
        return Err(Refusal(format!("{} operands", i.operands.len())));
    };
    let bytes = match (size, level) {
        (Operand::Integer(bytes @ (4 | 8)), "ca") => *bytes as usize,
        (Operand::Integer(16), _) => 16,
        _ => return Err(Refusal("a size of 4, 8 or 16 (with .cg, 16) should stand third".to_string())),
    };
    let rest = match (policy, rest) {
        (true, [rest @ .., last]) => {
            check_policy(cx, last)?;
            rest
        }
        (true, []) => return Err(Refusal("the cache policy is missing".to_string())),
        (false, rest) => rest,
    };
    let taken = match rest {
        [] => Taken::All,
        [operand] if is_predicate(cx, operand) => {
            let (slot, negated) = predicate(cx, operand)?;
            Taken::Unless(slot, negated)
        }
        [operand] => Taken::Bytes(source(cx, operand)?),
        _ => return Err(Refusal(format!("{} operands", i.operands.len()))),
    };
    let (to, _) = address(cx, to, Space::Shared)?;
    let (from, _) = address(cx, from, Space::Global)?;
    Ok(begin(to, from, bytes, taken))
}

fn is_predicate(cx: &dyn Lower, operand: &Operand) -> bool {
    match operand {
        Operand::Not(_) => true,
        Operand::Register(r) => cx.body().registers.get(*r).is_some_and(|r| r.ty == Type::Pred),
        _ => false,
    }
}

fn begin(to: AddressSlot, from: AddressSlot, bytes: usize, taken: Taken) -> Compute {
    Box::new(move |cx, mask| {
        let taken = match taken {
            Taken::All => [bytes as u32; LANES],
            Taken::Bytes(slot) => cx.registers.read(slot),
            Taken::Unless(slot, negated) => {
                let holds = cx.registers.predicate(slot);
                let ignored = if negated { !holds } else { holds };
                let mut taken = [0; LANES];
                for (lane, taken) in taken.iter_mut().enumerate() {
                    *taken = if ignored >> lane & 1 != 0 { 0 } else { bytes as u32 };
                }
                taken
            }
        };
        let (to, from) = (to.read(cx.registers), from.read(cx.registers));
        cx.begin_copies(&CopyRequest { to, from, bytes, taken }, mask)
    })
}

/// `cp.async.mbarrier.arrive{.noinc}{.shared}.b64`.
fn arrive(i: &Instruction, mut m: Modifiers<'_>, cx: &mut dyn Lower) -> Lowering<Compute> {
    if !m.flag("arrive") {
        return Err(Refusal("only cp.async.mbarrier.arrive exists".to_string()));
    }
    let increments = !m.flag("noinc");
    let space = space(&mut m)?;
    if !m.flag("b64") || !matches!(space, Space::Shared | Space::Generic) {
        return Err(Refusal("an mbarrier is .b64 in shared memory".to_string()));
    }
    end(i, m, 1)?;
    let (at, space) = address(cx, &i.operands[0], space)?;
    Ok(Box::new(move |cx, mask| {
        let addresses = at.read(cx.registers);
        cx.arrive_after_copies(space, &addresses, increments, mask)
    }))
}
