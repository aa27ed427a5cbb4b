//! What all matrix instructions have: a shape, and a warp that executes them whole.

use crate::fault::{FaultKind, Stop};
use crate::isa::{Lowering, Refusal};
use crate::state::cx::Cx;
use crate::state::registers::Mask;

/// M, N and K.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) m: usize,
    pub(super) n: usize,
    pub(super) k: usize,
}

impl Shape {
    /// `m16n8k16`.
    pub(super) fn parse(word: Option<&str>) -> Lowering<Shape> {
        let parsed = word.and_then(|word| {
            let (m, rest) = word.strip_prefix('m')?.split_once('n')?;
            let (n, k) = rest.split_once('k')?;
            let number = |s: &str| s.parse().ok().filter(|&n: &usize| n <= 256);
            Some(Shape { m: number(m)?, n: number(n)?, k: number(k)? })
        });
        parsed.ok_or_else(|| Refusal(format!(".{} is not the shape of a matrix", word.unwrap_or_default())))
    }

    /// The same as a triple.
    pub(super) fn mnk(self) -> (usize, usize, usize) {
        (self.m, self.n, self.k)
    }

    pub(super) fn macs(self) -> u32 {
        (self.m * self.n * self.k) as u32
    }
}

/// Whether all 32 lanes execute this; if not, reports it.
#[inline(always)]
pub(super) fn whole_warp(cx: &Cx<'_>, mask: Mask) -> Result<bool, Stop> {
    if mask == Mask::MAX {
        return Ok(true);
    }
    let detail = format!("all lanes of a warp must execute this together, but lanes {:#010x} do not", !mask);
    cx.report(FaultKind::InactiveLane, mask.trailing_zeros() as usize, None, detail)?;
    Ok(false)
}
