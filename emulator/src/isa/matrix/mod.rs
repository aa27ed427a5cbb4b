//! Matrix instructions: `mma`, `wmma`, `ldmatrix`, `movmatrix`.
//!
//! [`fragment`] says where elements lie in registers, [`element`] what they are, [`product`] multiplies them.
//! All lanes of a warp must take part; anything else is reported.

mod accumulator;
mod bits;
mod double;
mod element;
mod fragment;
mod load;
mod mma;
mod multiply;
mod product;
mod quads;
mod shape;
mod sparse;
mod transfer;
mod transpose;
mod wmma;

use super::{Lower, Lowered, Lowering, Modifiers, Refusal};
use crate::ptx::ast::Instruction;

/// Lowers what is this family's.
pub fn lower(i: &Instruction, cx: &mut dyn Lower) -> Option<Lowering<Lowered>> {
    match i.opcode.as_str() {
        "mma" => Some(mma::lower(i, cx)),
        "wmma" => Some(wmma(i, cx)),
        "ldmatrix" => Some(load::lower(i, cx)),
        "movmatrix" => Some(transpose::lower(i, cx)),
        "stmatrix" => Some(Err(Refusal("stmatrix is for sm_90 and above".to_string()))),
        _ => None,
    }
}

fn wmma(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Lowered> {
    let mut m = Modifiers::new(i);
    match m.word() {
        Some("mma") => wmma::lower(i, m, cx),
        Some("load") => transfer::lower(i, m, false, cx),
        Some("store") => transfer::lower(i, m, true, cx),
        _ => Err(Refusal("wmma is .load, .store or .mma".to_string())),
    }
}
