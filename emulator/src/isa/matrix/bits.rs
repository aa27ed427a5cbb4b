//! `mma` and `wmma` of `b1`: D = C + the number of ones in A xor B, or in A and B.

use super::fragment::{PANEL, a_order, b_order, tiles, vector};
use super::shape::{Shape, whole_warp};
use crate::fault::Stop;
use crate::isa::simd::{Body, compute};
use crate::isa::{Class, Lower, Lowered, Lowering, Modifiers, Refusal, destination, source};
use crate::ptx::ast::Operand;
use crate::state::cx::Cx;
use crate::state::registers::{LANES, Mask, Slot};

/// What takes the place of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Xor,
    And,
}

/// `.xor.popc` or `.and.popc`, if that comes next.
pub fn operation(m: &mut Modifiers) -> Lowering<Option<Operation>> {
    let operation = m.one_of(&[("xor", Operation::Xor), ("and", Operation::And)]);
    if operation.is_some() && !m.flag("popc") {
        return Err(Refusal("only .popc counts bits".to_string()));
    }
    Ok(operation)
}

/// Lowers the product of a shape.
pub fn lower(
    cx: &mut dyn Lower,
    shape: Shape,
    operation: Operation,
    [d, a, b, c]: [&Operand; 4],
) -> Lowering<Lowered> {
    let (panels, groups) = (shape.m / PANEL, shape.k / 128);
    let (a, b) = (vector(a, panels * groups)?, vector(b, groups)?);
    let (a_order, b_order) = (a_order(shape.m, groups), b_order(groups));
    let (mut a_slots, mut b_slots) = (Vec::new(), Vec::new());
    for g in 0..groups {
        b_slots.push(source(cx, &b[b_order(0, g)])?);
    }
    for p in 0..panels {
        for g in 0..groups {
            a_slots.push(source(cx, &a[a_order(p, g)])?);
        }
    }
    let (c, d) = (vector(c, 2 * panels)?, vector(d, 2 * panels)?);
    let c = tiles(c, (shape.m, shape.n), 2, |r| source(cx, r))?;
    let d = tiles(d, (shape.m, shape.n), 2, |r| destination(cx, r))?;
    let run = compute(Product { a: a_slots, b: b_slots, c, d, operation });
    Ok(Lowered { run, class: Class::Matrix, macs: shape.macs() })
}

struct Product {
    /// Register g of panel p at `p · groups + g`.
    a: Vec<Slot<u32>>,
    b: Vec<Slot<u32>>,
    c: Box<[Slot<u32>]>,
    d: Box<[Slot<u32>]>,
    operation: Operation,
}

impl Body for Product {
    #[inline(always)]
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
        if !whole_warp(cx, mask)? {
            return Ok(());
        }
        let groups = self.b.len();
        let mut out = [[0u32; LANES]; 4];
        for (r, &c) in self.c.iter().enumerate() {
            out[r] = cx.registers.read(c);
            for g in 0..groups {
                let a = cx.registers.read(self.a[r / 2 * groups + g]);
                let b = cx.registers.read(self.b[g]);
                for (lane, sum) in out[r].iter_mut().enumerate() {
                    let (row, column) = (lane / 4, lane % 4 * 2 + r % 2);
                    for t in 0..4 {
                        let (x, y) = (a[4 * row + t], b[4 * column + t]);
                        let ones = match self.operation {
                            Operation::Xor => x ^ y,
                            Operation::And => x & y,
                        };
                        *sum = sum.wrapping_add(ones.count_ones());
                    }
                }
            }
        }
        for (&d, words) in self.d.iter().zip(&out) {
            cx.registers.write(d, words, Mask::MAX);
        }
        Ok(())
    }
}
