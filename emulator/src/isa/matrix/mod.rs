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
mod sparse;
mod transfer;
mod transpose;
mod wmma;

use super::{Lower, Lowered, Lowering, Modifiers, Refusal};
use crate::exec::cx::Cx;
use crate::exec::registers::Mask;
use crate::fault::{FaultKind, Stop};
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

/// M, N and K.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    m: usize,
    n: usize,
    k: usize,
}

impl Shape {
    /// `m16n8k16`.
    fn parse(word: Option<&str>) -> Lowering<Shape> {
        let parsed = word.and_then(|word| {
            let (m, rest) = word.strip_prefix('m')?.split_once('n')?;
            let (n, k) = rest.split_once('k')?;
            let number = |s: &str| s.parse().ok().filter(|&n: &usize| n <= 256);
            Some(Shape { m: number(m)?, n: number(n)?, k: number(k)? })
        });
        parsed.ok_or_else(|| Refusal(format!(".{} is not the shape of a matrix", word.unwrap_or_default())))
    }

    /// The same as a triple.
    fn mnk(self) -> (usize, usize, usize) {
        (self.m, self.n, self.k)
    }

    fn macs(self) -> u32 {
        (self.m * self.n * self.k) as u32
    }
}

/// Whether all 32 lanes execute this; if not, reports it.
#[inline(always)]
fn whole_warp(cx: &Cx<'_>, mask: Mask) -> Result<bool, Stop> {
    if mask == Mask::MAX {
        return Ok(true);
    }
    let detail = format!("all lanes of a warp must execute this together, but lanes {:#010x} do not", !mask);
    cx.report(FaultKind::InactiveLane, mask.trailing_zeros() as usize, None, detail)?;
    Ok(false)
}
