//! `mma` and `wmma` of `f64`: the layout of [`fragment`](super::fragment), one element to a register of 64 bits.

use super::fragment::{PANEL, a_order, b_order, tiles, vector};
use super::shape::{Shape, whole_warp};
use crate::fault::Stop;
use crate::isa::f64::fused;
use crate::isa::rounding::Rounding;
use crate::isa::simd::{Body, compute};
use crate::isa::{Class, Lower, Lowered, Lowering, destination, source};
use crate::ptx::ast::Operand;
use crate::state::cx::Cx;
use crate::state::registers::{LANES, Mask, Slot};

/// Lowers the product of a shape.
pub fn lower(
    cx: &mut dyn Lower,
    shape: Shape,
    rounding: Rounding,
    [d, a, b, c]: [&Operand; 4],
) -> Lowering<Lowered> {
    let (panels, groups) = (shape.m / PANEL, shape.k / 4);
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
    let o = Operands { a: a_slots, b: b_slots, c, d };
    let run = match rounding {
        Rounding::Nearest => compute(Product::<true>(o, rounding)),
        _ => compute(Product::<false>(o, rounding)),
    };
    Ok(Lowered { run, class: Class::Matrix, macs: shape.macs() })
}

struct Operands {
    /// Register g of panel p at `p · groups + g`.
    a: Vec<Slot<f64>>,
    b: Vec<Slot<f64>>,
    c: Box<[Slot<f64>]>,
    d: Box<[Slot<f64>]>,
}

/// `NEAREST`: rounding is to nearest, which is known when this is compiled.
struct Product<const NEAREST: bool>(Operands, Rounding);

impl<const NEAREST: bool> Body for Product<NEAREST> {
    #[inline(always)]
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
        if !whole_warp(cx, mask)? {
            return Ok(());
        }
        let Operands { a, b, c, d } = &self.0;
        let rounding = if NEAREST { Rounding::Nearest } else { self.1 };
        let groups = b.len();
        let mut out = [[0.0; LANES]; 4];
        for (r, &c) in c.iter().enumerate() {
            out[r] = cx.registers.read(c);
            for g in 0..groups {
                let a = cx.registers.read(a[r / 2 * groups + g]);
                let b = cx.registers.read(b[g]);
                for t in 0..4 {
                    for lane in 0..LANES {
                        let column = lane % 4 * 2 + r % 2;
                        out[r][lane] = fused(a[lane / 4 * 4 + t], b[4 * column + t], out[r][lane], rounding);
                    }
                }
            }
        }
        for (&d, values) in d.iter().zip(&out) {
            cx.registers.write(d, values, Mask::MAX);
        }
        Ok(())
    }
}
