//! D = A·B + C for elements of up to 32 bits, dense and sparse.

use super::accumulator::{Accumulator, Format};
use super::fragment::{Multiplicand, PANEL, Planes, Rows};
use super::product::{MAX_SELECTED, dense, sparse};
use super::shape::whole_warp;
use super::sparse::Metadata;
use crate::fault::Stop;
use crate::isa::simd::{Body, compute};
use crate::isa::{Lowering, Refusal};
use crate::state::cx::{Compute, Cx};
use crate::state::registers::{LANES, Mask};

/// The most tiles of 8 × 8 in a product.
const MAX_TILES: usize = 4;

/// What is multiplied.
pub struct Operands {
    pub a: Multiplicand,
    pub b: Multiplicand,
    pub c: Accumulator,
    pub d: Accumulator,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// Sums of integers stop at the ends of their range instead of wrapping around.
    pub saturate: bool,
    /// Where the elements of A belong, if half of them are left out.
    pub metadata: Option<Metadata>,
}

/// The instruction that multiplies them: compiled for each number of elements per word and of planes.
pub fn multiply(o: Operands) -> Lowering<Compute> {
    let sparse = o.metadata.is_some();
    let planes = o.k / 4 / if sparse { 2 } else { 1 };
    macro_rules! choose {
        ($(($e:literal, $p:literal))*) => {
            match (o.a.element.per_word(), planes, sparse) {
                $(
                    ($e, $p, false) => Ok(compute(Product::<$e, $p, false>(o))),
                    ($e, $p, true) => Ok(compute(Product::<$e, $p, true>(o))),
                )*
                _ => Err(Refusal(format!("no matrix multiplication is {} deep", o.k))),
            }
        };
    }
    choose! { (1, 1) (1, 2) (2, 2) (2, 4) (4, 4) (4, 8) (8, 8) (8, 16) }
}

struct Product<const E: usize, const P: usize, const SPARSE: bool>(Operands);

impl<const E: usize, const P: usize, const SPARSE: bool> Body for Product<E, P, SPARSE> {
    #[inline(always)]
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
        if !whole_warp(cx, mask)? {
            return Ok(());
        }
        let Operands { a, b, c, d, m, n, saturate, metadata, .. } = &self.0;
        let mut selected = [[[0; MAX_SELECTED]; PANEL]; 2];
        if SPARSE
            && let Some(metadata) = metadata
            && !metadata.read(cx, 4 * P, &mut selected)?
        {
            return Ok(());
        }
        let columns = n / PANEL;
        let integer = c.format == Format::S32;
        // D may lie in registers of A, B and C: it is written when they have been read.
        let mut out = [[[0; LANES]; 2]; MAX_TILES];
        let mut a_panel: Planes<P> = [[0.0; LANES]; P];
        let mut b_panel: [Rows<P>; 2] = [[[[0.0; PANEL]; 4]; P]; 2];
        for q in 0..columns {
            b.rows::<E, P>(cx.registers, q, 0, &mut b_panel[0]);
            if SPARSE {
                b.rows::<E, P>(cx.registers, q, P / E, &mut b_panel[1]);
            }
            for p in 0..m / PANEL {
                let tile = p * columns + q;
                a.planes::<E, P>(cx.registers, p, &mut a_panel);
                let mut sum = if integer { [[0.0; PANEL]; PANEL] } else { c.floats(cx.registers, tile) };
                if SPARSE {
                    sparse::<E, P>(&a_panel, &b_panel, &selected[p % 2], &mut sum);
                } else {
                    dense::<E, P>(&a_panel, &b_panel[0], &mut sum);
                }
                out[tile] = match integer {
                    true => c.plus(cx.registers, tile, &sum, *saturate),
                    false => d.of_floats(&sum),
                };
            }
        }
        for (tile, words) in out.iter().enumerate().take(columns * (m / PANEL)) {
            d.write(cx.registers, tile, words);
        }
        Ok(())
    }
}
