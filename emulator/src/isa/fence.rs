//! Fences: `membar fence`. Warps of a block take turns, so only other blocks need one of the host's.

use super::memory_operand::scope;
use super::{Class, Lower, Lowered, Lowering, Modifiers, Refusal};
use crate::ptx::ast::Instruction;
use std::sync::atomic::{Ordering, fence};

/// Lowers what is this family's.
pub fn lower(i: &Instruction, _: &mut dyn Lower) -> Option<Lowering<Lowered>> {
    matches!(i.opcode.as_str(), "membar" | "fence").then(|| lower_fence(i))
}

fn lower_fence(i: &Instruction) -> Lowering<Lowered> {
    let mut m = Modifiers::new(i);
    if m.flag("proxy") {
        if !m.flag("alias") {
            let which = m.word().unwrap_or_default();
            return Err(Refusal(format!("the {which} proxy is for sm_90 and above")));
        }
    } else if i.opcode == "membar" {
        if m.one_of(&[("cta", ()), ("gl", ()), ("sys", ())]).is_none() {
            return Err(Refusal("a level is missing".to_string()));
        }
    } else {
        // Without one of these it is .acq_rel.
        m.one_of(&[("sc", ()), ("acq_rel", ()), ("acquire", ()), ("release", ())]);
        if !scope(&mut m) {
            return Err(Refusal("a scope is missing".to_string()));
        }
    }
    m.finish()?;
    if !i.operands.is_empty() {
        return Err(Refusal("a fence has no operands".to_string()));
    }
    let run = Box::new(|cx: &mut crate::state::cx::Cx<'_>, _| {
        fence(Ordering::SeqCst);
        cx.block.memory.fence();
        Ok(())
    });
    Ok(Lowered { run, class: Class::Fence, macs: 0 })
}
