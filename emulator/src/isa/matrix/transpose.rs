//! `movmatrix`: the transpose of an 8 × 8 matrix of 16 bits.

use super::shape::whole_warp;
use crate::fault::Stop;
use crate::isa::simd::{Body, compute};
use crate::isa::{Class, Lower, Lowered, Lowering, Modifiers, Refusal, destination, source};
use crate::ptx::ast::Instruction;
use crate::state::cx::Cx;
use crate::state::registers::{LANES, Mask, Slot};

/// Lowers `movmatrix`.
pub fn lower(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Lowered> {
    let mut m = Modifiers::new(i);
    for word in ["sync", "aligned", "m8n8", "trans", "b16"] {
        if !m.flag(word) {
            return Err(Refusal(format!(".{word} is missing")));
        }
    }
    m.finish()?;
    let [d, a] = &i.operands[..] else {
        return Err(Refusal("movmatrix takes two registers".to_string()));
    };
    let run = compute(Transpose { d: destination(cx, d)?, a: source(cx, a)? });
    Ok(Lowered { run, class: Class::Move, macs: 0 })
}

struct Transpose {
    d: Slot<u32>,
    a: Slot<u32>,
}

impl Body for Transpose {
    #[inline(always)]
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
        if whole_warp(cx, mask)? {
            let a = cx.registers.read(self.a);
            cx.registers.write(self.d, &transposed(&a), Mask::MAX);
        }
        Ok(())
    }
}

/// Lane 4i + t holds elements 2t and 2t + 1 of row i; of the result, of column i.
#[inline(always)]
pub fn transposed(a: &[u32; LANES]) -> [u32; LANES] {
    let at = |row: usize, column: usize| a[4 * row + column / 2] >> (16 * (column % 2)) & 0xffff;
    let mut d = [0; LANES];
    for (lane, d) in d.iter_mut().enumerate() {
        let (column, row) = (lane / 4, lane % 4 * 2);
        *d = at(row, column) | at(row + 1, column) << 16;
    }
    d
}
