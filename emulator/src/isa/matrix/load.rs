//! `ldmatrix`: 8 × 8 matrices of 16 bits from shared memory.
//!
//! Lane 8j + r gives the address of row r of matrix j, 16 bytes. Of the matrix in register j, lane 4i + t gets elements
//! 2t and 2t + 1 of row i (of column i with `.trans`).

use super::shape::whole_warp;
use super::transpose::transposed;
use crate::fault::Stop;
use crate::isa::memory_operand::{AddressSlot, address, space};
use crate::isa::simd::{Body, compute};
use crate::isa::{Class, Lower, Lowered, Lowering, Modifiers, Refusal, destination};
use crate::memory::{Staged, Way};
use crate::ptx::ast::Instruction;
use crate::ptx::types::Space;
use crate::state::cx::Cx;
use crate::state::registers::{LANES, Mask, Slot};

/// Rows of a matrix.
const ROWS: usize = 8;

/// Lowers `ldmatrix`.
pub fn lower(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Lowered> {
    let mut m = Modifiers::new(i);
    if !m.flag("sync") || !m.flag("aligned") {
        return Err(Refusal("ldmatrix must be .sync.aligned".to_string()));
    }
    if !m.flag("m8n8") {
        return Err(Refusal("shapes other than .m8n8 are for sm_100 and above".to_string()));
    }
    let count = m.one_of(&[("x1", 1), ("x2", 2), ("x4", 4)]);
    let count =
        count.ok_or_else(|| Refusal("the number of matrices, .x1, .x2 or .x4, is missing".to_string()))?;
    let transposes = m.flag("trans");
    let space = space(&mut m)?;
    if !m.flag("b16") {
        return Err(Refusal("elements must be .b16".to_string()));
    }
    m.finish()?;
    let [r, p] = &i.operands[..] else {
        return Err(Refusal(format!("{} operands", i.operands.len())));
    };
    let registers = super::fragment::vector(r, count)?;
    let d = registers.iter().map(|r| destination(cx, r)).collect::<Lowering<Vec<Slot<u32>>>>()?;
    let (base, space) = address(cx, p, space)?;
    if !matches!(space, Space::Shared | Space::Generic) {
        return Err(Refusal(format!("matrices do not come from {} memory", space.name())));
    }
    let way = Way { space, strong: false };
    let run = match transposes {
        true => compute(Load::<true> { d, base, way }),
        false => compute(Load::<false> { d, base, way }),
    };
    Ok(Lowered { run, class: Class::LoadMatrix, macs: 0 })
}

struct Load<const TRANSPOSES: bool> {
    d: Vec<Slot<u32>>,
    base: AddressSlot,
    way: Way,
}

impl<const TRANSPOSES: bool> Body for Load<TRANSPOSES> {
    #[inline(always)]
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
        if !whole_warp(cx, mask)? {
            return Ok(());
        }
        let addresses = self.base.read(cx.registers);
        let asked = Mask::MAX >> (LANES - ROWS * self.d.len());
        let mut rows: Staged<16> = [[0; 16]; LANES];
        cx.load(self.way, &addresses, asked, &mut rows)?;
        for (j, &d) in self.d.iter().enumerate() {
            let mut words = [0; LANES];
            for lane in 0..LANES {
                let (row, t) = (&rows[ROWS * j + lane / 4], lane % 4);
                words[lane] =
                    u32::from_le_bytes([row[4 * t], row[4 * t + 1], row[4 * t + 2], row[4 * t + 3]]);
            }
            let words = if TRANSPOSES { transposed(&words) } else { words };
            cx.registers.write(d, &words, Mask::MAX);
        }
        Ok(())
    }
}
