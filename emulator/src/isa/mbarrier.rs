//! Barriers in shared memory: `mbarrier.init inval arrive arrive_drop test_wait try_wait pending_count`.

use super::memory_operand::{AddressSlot, address, scope, space};
use super::{Class, Lower, Lowered, Lowering, Modifiers, Refusal, destination, predicate, source};
use crate::memory::{ArrivalKind, State};
use crate::ptx::ast::{Instruction, Operand};
use crate::ptx::types::Space;
use crate::state::cx::Compute;
use crate::state::registers::{LANES, Slot};

/// Lowers what is this family's.
pub fn lower(i: &Instruction, cx: &mut dyn Lower) -> Option<Lowering<Lowered>> {
    if i.opcode != "mbarrier" {
        return None;
    }
    Some(lower_mbarrier(i, cx).map(|run| Lowered { run, class: Class::Barrier, macs: 0 }))
}

fn lower_mbarrier(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let what = m.word().unwrap_or_default();
    match what {
        "init" => {
            let space = shared(&mut m)?;
            let [at, count] = operands(i, m)?;
            let (at, space) = address(cx, at, space)?;
            let count: Slot<u32> = source(cx, count)?;
            Ok(Box::new(move |cx, mask| {
                let (at, counts) = (at.read(cx.registers), cx.registers.read(count));
                cx.init_mbarriers(space, &at, &counts, mask)
            }))
        }
        "inval" => {
            let space = shared(&mut m)?;
            let [at] = operands(i, m)?;
            let (at, space) = address(cx, at, space)?;
            Ok(Box::new(move |cx, mask| {
                let at = at.read(cx.registers);
                cx.invalidate_mbarriers(space, &at, mask)
            }))
        }
        "arrive" | "arrive_drop" => arrive(i, m, what == "arrive_drop", cx),
        "test_wait" | "try_wait" => wait(i, m, what == "try_wait", cx),
        "pending_count" => {
            let [out, state] = operands(i, m)?;
            let (out, state): (Slot<u32>, Slot<u64>) = (destination(cx, out)?, source(cx, state)?);
            Ok(super::simd::unary(out, state, |bits| State::decode(bits).map_or(0, |s| s.pending)))
        }
        other => Err(Refusal(format!("mbarrier.{other} is unknown, or for sm_90 and above"))),
    }
}

/// The space of an mbarrier.
fn shared(m: &mut Modifiers<'_>) -> Lowering<Space> {
    match space(m)? {
        space @ (Space::Shared | Space::Generic) => Ok(space),
        other => Err(Refusal(format!("an mbarrier in {} memory", other.name()))),
    }
}

/// The type, which is the last modifier, and the operands.
fn operands<'i, const N: usize>(i: &'i Instruction, mut m: Modifiers<'_>) -> Lowering<&'i [Operand; N]> {
    if !m.flag("b64") {
        return Err(Refusal("an mbarrier is .b64".to_string()));
    }
    m.finish()?;
    let found = i.operands.len();
    let operands = i.operands.as_slice().try_into();
    operands.map_err(|_| Refusal(format!("{found} operands where {N} should stand")))
}

fn arrive(i: &Instruction, mut m: Modifiers<'_>, drop: bool, cx: &mut dyn Lower) -> Lowering<Compute> {
    let completes = !m.flag("noComplete");
    if m.one_of(&[("release", ()), ("relaxed", ())]).is_some() && !scope(&mut m) {
        return Err(Refusal("a scope is missing".to_string()));
    }
    let space = shared(&mut m)?;
    let (out, at, count) = match i.operands.len() {
        2 if completes => {
            let [out, at] = operands(i, m)?;
            (out, at, &Operand::Integer(1))
        }
        _ => {
            let [out, at, count] = operands(i, m)?;
            (out, at, count)
        }
    };
    let out: Option<Slot<u64>> = match out {
        Operand::Sink => None,
        out => Some(destination(cx, out)?),
    };
    let (at, space) = address(cx, at, space)?;
    let count: Slot<u32> = source(cx, count)?;
    let kind = ArrivalKind { drop, completes };
    Ok(Box::new(move |cx, mask| {
        let (at, counts) = (at.read(cx.registers), cx.registers.read(count));
        let states = cx.arrive(space, &at, &counts, kind, mask)?;
        if let Some(out) = out {
            cx.registers.write(out, &states, mask);
        }
        Ok(())
    }))
}

/// What a lane waits for.
#[derive(Clone, Copy)]
enum Awaited {
    /// The phase of a state that an arrival gave.
    State(Slot<u64>),
    Parity(Slot<u32>),
}

fn wait(i: &Instruction, mut m: Modifiers<'_>, may_suspend: bool, cx: &mut dyn Lower) -> Lowering<Compute> {
    // `.parity` stands in front of the semantics.
    let parity = m.flag("parity");
    if m.one_of(&[("acquire", ()), ("relaxed", ())]).is_some() && !scope(&mut m) {
        return Err(Refusal("a scope is missing".to_string()));
    }
    let space = shared(&mut m)?;
    let (out, at, awaited) = match i.operands.len() {
        4 if may_suspend => {
            let [out, at, awaited, hint] = operands(i, m)?;
            source::<u32>(cx, hint)?;
            (out, at, awaited)
        }
        _ => {
            let [out, at, awaited] = operands(i, m)?;
            (out, at, awaited)
        }
    };
    let (out, _) = predicate(cx, out)?;
    let (at, space): (AddressSlot, Space) = address(cx, at, space)?;
    let awaited =
        if parity { Awaited::Parity(source(cx, awaited)?) } else { Awaited::State(source(cx, awaited)?) };
    Ok(Box::new(move |cx, mask| {
        cx.warp.polls += 1;
        let at = at.read(cx.registers);
        let passed = match awaited {
            Awaited::State(slot) => {
                let states: [u64; LANES] = cx.registers.read(slot);
                let has_passed = |lane: usize, now: State| {
                    State::decode(states[lane]).is_none_or(|then| now.has_passed(then))
                };
                cx.test_mbarriers(space, &at, mask, has_passed)?
            }
            Awaited::Parity(slot) => {
                let parities: [u32; LANES] = cx.registers.read(slot);
                let has_passed = |lane: usize, now: State| now.has_passed_parity(parities[lane]);
                cx.test_mbarriers(space, &at, mask, has_passed)?
            }
        };
        cx.registers.set_predicate(out, passed, mask);
        Ok(())
    }))
}
