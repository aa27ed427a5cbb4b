//! What is about caches: `prefetch prefetchu discard applypriority createpolicy`. There are none here; but `discard`
//! makes memory undefined.

use super::memory_operand::{address, cache_hints, space};
use super::{Class, Lower, Lowered, Lowering, Modifiers, Refusal, destination, source};
use crate::ptx::ast::{Instruction, Operand};
use crate::ptx::types::Space;
use crate::state::cx::Compute;
use crate::state::registers::{LANES, Slot};

/// Lowers what is this family's.
pub fn lower(i: &Instruction, cx: &mut dyn Lower) -> Option<Lowering<Lowered>> {
    let run = match i.opcode.as_str() {
        "prefetch" | "prefetchu" => prefetch(i, cx),
        "applypriority" => line(i, cx).map(|_| nothing()),
        "discard" => line(i, cx).map(|(address, space)| -> Compute {
            Box::new(move |cx, mask| {
                let addresses = address.read(cx.registers);
                cx.discard(space, &addresses, mask)
            })
        }),
        "createpolicy" => create_policy(i, cx),
        _ => return None,
    };
    Some(run.map(|run| Lowered { run, class: Class::Other, macs: 0 }))
}

fn nothing() -> Compute {
    Box::new(|_, _| Ok(()))
}

fn prefetch(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let space = space(&mut m)?;
    if !matches!(space, Space::Generic | Space::Global | Space::Local) {
        return Err(Refusal(format!("prefetch from {} memory", space.name())));
    }
    let levels = [("L1", ()), ("L2", ()), ("L2::evict_last", ()), ("L2::evict_normal", ())];
    if m.one_of(&levels).is_none() {
        return Err(Refusal("a level of cache is missing".to_string()));
    }
    m.finish()?;
    let [from] = i.operands.as_slice() else {
        return Err(Refusal(format!("{} operands", i.operands.len())));
    };
    address(cx, from, space)?;
    Ok(nothing())
}

/// The 128 bytes that `discard` and `applypriority` are about.
fn line(i: &Instruction, cx: &mut dyn Lower) -> Lowering<(super::memory_operand::AddressSlot, Space)> {
    let mut m = Modifiers::new(i);
    let space = space(&mut m)?;
    if !matches!(space, Space::Generic | Space::Global) {
        return Err(Refusal(format!("{} of {} memory", i.opcode, space.name())));
    }
    let level = if i.opcode == "discard" { "L2" } else { "L2::evict_normal" };
    if !m.flag(level) {
        return Err(Refusal(format!(".{level} is missing")));
    }
    m.finish()?;
    match i.operands.as_slice() {
        [at, Operand::Integer(128)] => address(cx, at, space),
        _ => Err(Refusal("an address and 128 should stand here".to_string())),
    }
}

/// An opaque value that instructions with `.L2::cache_hint` take.
const POLICY: u64 = 1 << 60;

fn create_policy(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let kind = m.word();
    if kind == Some("range") {
        m.flag("global");
    }
    if kind == Some("cvt") {
        if !m.flag("L2") {
            return Err(Refusal(".L2 is missing".to_string()));
        }
    } else {
        cache_hints(&mut m);
    }
    if !m.flag("b64") {
        return Err(Refusal("a cache policy is .b64".to_string()));
    }
    m.finish()?;
    let out = match (kind, i.operands.as_slice()) {
        (Some("fractional"), [out]) => out,
        (Some("fractional"), [out, fraction]) => {
            source::<f32>(cx, fraction)?;
            out
        }
        (Some("range"), [out, at, primary, total]) => {
            address(cx, at, Space::Global)?;
            source::<u32>(cx, primary)?;
            source::<u32>(cx, total)?;
            out
        }
        (Some("cvt"), [out, property]) => {
            source::<u64>(cx, property)?;
            out
        }
        _ => return Err(Refusal("a cache policy that does not exist".to_string())),
    };
    let out: Slot<u64> = destination(cx, out)?;
    Ok(Box::new(move |cx, mask| {
        cx.registers.write(out, &[POLICY; LANES], mask);
        Ok(())
    }))
}
