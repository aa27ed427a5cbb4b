//! Addresses between spaces: `cvta isspacep`.

use super::memory_operand::space;
use super::{Class, Lower, Lowered, Lowering, Modifiers, Refusal, destination, simd, source};
use crate::memory::{space_of, window};
use crate::ptx::ast::{Instruction, Operand, Symbol};
use crate::ptx::types::{Space, Type};
use crate::state::registers::Slot;

/// Lowers what is this family's.
pub fn lower(i: &Instruction, cx: &mut dyn Lower) -> Option<Lowering<Lowered>> {
    match i.opcode.as_str() {
        "cvta" => Some(convert(i, cx)),
        "isspacep" => Some(is_space(i, cx)),
        _ => None,
    }
}

fn operands(i: &Instruction) -> Lowering<&[Operand; 2]> {
    let found = i.operands.len();
    i.operands.as_slice().try_into().map_err(|_| Refusal(format!("{found} operands")))
}

fn convert(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Lowered> {
    let mut m = Modifiers::new(i);
    let to = m.flag("to");
    let mut space = named_space(&mut m)?;
    let ty = m.ty()?;
    m.finish()?;
    if ty != Type::U64 {
        return Err(Refusal("generic addresses have 64 bits".to_string()));
    }
    let [out, from] = operands(i)?;
    // Parameters of functions, as opposed to those of kernels, are in local memory.
    if let Operand::Symbol { symbol, .. } = from {
        let (_, found) = cx.symbol(symbol)?;
        if found != space && (space, found) != (Space::Param, Space::Local) {
            return Err(Refusal(format!("a variable in {} memory", found.name())));
        }
        space = found;
    } else if space == Space::Param {
        space = cx.symbol(&Symbol::Parameter(0)).map_or(Space::Local, |(_, found)| found);
    }
    let (out, from): (Slot<u64>, Slot<u64>) = (destination(cx, out)?, source(cx, from)?);
    let distance = if to { window(space).wrapping_neg() } else { window(space) };
    let run = simd::unary(out, from, move |address: u64| address.wrapping_add(distance));
    Ok(Lowered { run, class: Class::Integer, macs: 0 })
}

fn named_space(m: &mut Modifiers<'_>) -> Lowering<Space> {
    match space(m)? {
        Space::Generic => Err(Refusal("a state space is missing".to_string())),
        space => Ok(space),
    }
}

fn is_space(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Lowered> {
    let mut m = Modifiers::new(i);
    let space = named_space(&mut m)?;
    m.finish()?;
    let [out, address] = operands(i)?;
    let (out, _) = super::predicate(cx, out)?;
    let address: Slot<u64> = source(cx, address)?;
    let run = simd::test(out, address, move |address: u64| space_of(address) == space);
    Ok(Lowered { run, class: Class::Compare, macs: 0 })
}
