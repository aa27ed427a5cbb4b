//! Operands: registers, predicates and constants, as rows of the register file.

use super::lower::{Lower, Lowering, Refusal};
use crate::ptx::ast::Operand;
use crate::state::registers::{Lane, PredicateSlot, Slot};

/// An operand that is read: where, for a value of type `T`.
///
/// A register must be as wide as `T`, or both have up to 32 bits (what loads, stores and conversions allow beyond that
/// is theirs to narrow). An integer literal is truncated to it (converted, if `T` is a floating type
/// and the literal is one), a symbol gives its address.
pub fn source<T: Lane>(cx: &mut dyn Lower, operand: &Operand) -> Lowering<Slot<T>> {
    let row = match operand {
        Operand::Register(r) => row_of::<T>(cx, *r)?,
        Operand::Integer(bits) => cx.constant(u128::from(*bits) & width_mask::<T>(), T::ROWS),
        Operand::Float32(bits) => cx.constant(u128::from(*bits), T::ROWS),
        Operand::Float64(bits) if T::ROWS == 1 => {
            cx.constant(u128::from((f64::from_bits(*bits) as f32).to_bits()), T::ROWS)
        }
        Operand::Float64(bits) => cx.constant(u128::from(*bits), T::ROWS),
        Operand::Symbol { symbol, offset } => {
            let (address, _) = cx.symbol(symbol)?;
            cx.address(address, *offset, T::ROWS)
        }
        Operand::Special { name, component } => cx
            .special(name, *component, T::ROWS)?
            .ok_or_else(|| Refusal(format!("%{name} can only be read by mov")))?,
        other => return Err(Refusal(format!("{other:?} is not a value"))),
    };
    Ok(Slot::new(row))
}

/// The row of a register that takes as many rows as `T`.
fn row_of<T: Lane>(cx: &mut dyn Lower, register: usize) -> Lowering<u32> {
    let row = cx.register(register)?;
    match cx.body().registers.get(register) {
        Some(info) if info.ty.bits().div_ceil(32) as usize == T::ROWS => Ok(row),
        Some(info) => Err(Refusal(format!(
            "register {} is of type {:?}, but {} bits are meant",
            info.name,
            info.ty,
            8 * size_of::<T>()
        ))),
        None => Err(Refusal(format!("no register {register}"))),
    }
}

fn width_mask<T: Lane>() -> u128 {
    match size_of::<T>() {
        16 => u128::MAX,
        bytes => (1 << (8 * bytes)) - 1,
    }
}

/// A register that is written.
pub fn destination<T: Lane>(cx: &mut dyn Lower, operand: &Operand) -> Lowering<Slot<T>> {
    match operand {
        Operand::Register(r) => Ok(Slot::new(row_of::<T>(cx, *r)?)),
        other => Err(Refusal(format!("{other:?} is not a register to write"))),
    }
}

/// A predicate that is read, and whether it is negated.
pub fn predicate(cx: &mut dyn Lower, operand: &Operand) -> Lowering<(PredicateSlot, bool)> {
    match operand {
        Operand::Register(r) => Ok((cx.predicate(*r)?, false)),
        Operand::Not(r) => Ok((cx.predicate(*r)?, true)),
        other => Err(Refusal(format!("{other:?} is not a predicate"))),
    }
}
