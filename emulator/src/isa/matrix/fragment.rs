//! How matrices are spread over the lanes of a warp.
//!
//! All fragments of `mma.sync` but those of the old `m8n8k4.f16` follow one rule. Cut A into panels of 8 rows and B into
//! panels of 8 columns; with E elements to a word, lane 4i + t of a panel's register g holds, of row (column) i, the E
//! elements from k = (4g + t)·E. C and D are cut into tiles of 8 × 8, of which lane 4i + t holds row i, columns 2t and
//! 2t + 1, in two registers (one, if they are `f16`). It remains to say in which order registers come:
//!
//! | matrix | registers |
//! |---|---|
//! | A, 8 rows | by g |
//! | A, 16 rows | by g, then by panel: g = 0 upper, g = 0 lower, g = 1 upper, … |
//! | B, 8 columns | by g |
//! | C, D | by panel of rows |
//!
//! `wmma` leaves the layout of its fragments open. Here they are those of `mma` put together: A of 32 rows is two of 16,
//! B is its panels one after the other, and C and D are tiles of 16 × 8 (or 8 × 8), row after row. That makes exactly the
//! number of registers that PTX prescribes, save that A and B of `f16` always have eight: what is left over
//! repeats the first ones. An accumulator of `f16` has the same order of elements as one of `f32`.

use super::element::Element;
use crate::isa::{Lower, Lowering, Refusal, source};
use crate::ptx::ast::Operand;
use crate::state::registers::{LANES, Registers, Slot};

/// Rows or columns of a panel.
pub const PANEL: usize = 8;

/// A or B.
pub struct Multiplicand {
    pub element: Element,
    /// Register g of panel p at `p · groups + g`.
    slots: Box<[Slot<u32>]>,
    groups: usize,
}

/// Elements of a panel of 8 rows as they lie in lanes: of plane g·E + j, lane 4i + t is k = (4g + t)·E + j of row i.
pub type Planes<const P: usize> = [[f32; LANES]; P];

/// The same, turned: of plane g·E + j, row t holds k = (4g + t)·E + j of all 8 columns.
pub type Rows<const P: usize> = [[[f32; PANEL]; 4]; P];

impl Multiplicand {
    /// Of `panels` panels; `order` says which register is a panel's register g.
    pub fn new(
        cx: &mut dyn Lower,
        registers: &[Operand],
        element: Element,
        (panels, groups): (usize, usize),
        order: impl Fn(usize, usize) -> usize,
    ) -> Lowering<Self> {
        let mut slots = Vec::with_capacity(panels * groups);
        for p in 0..panels {
            for g in 0..groups {
                slots.push(source(cx, &registers[order(p, g)])?);
            }
        }
        Ok(Multiplicand { element, slots: slots.into(), groups })
    }

    /// One panel, in lanes. `E` elements to a word, `P` planes.
    #[inline(always)]
    pub fn planes<const E: usize, const P: usize>(
        &self,
        registers: &Registers,
        panel: usize,
        out: &mut Planes<P>,
    ) {
        for g in 0..P / E {
            let words = registers.read(self.slots[panel * self.groups + g]);
            for j in 0..E {
                out[g * E + j] = self.element.decode::<E, LANES>(&words, j);
            }
        }
    }

    /// `P` planes of one panel, turned, from register `first` on.
    #[inline(always)]
    pub fn rows<const E: usize, const P: usize>(
        &self,
        registers: &Registers,
        panel: usize,
        first: usize,
        out: &mut Rows<P>,
    ) {
        for g in 0..P / E {
            let words = registers.read(self.slots[panel * self.groups + first + g]);
            for t in 0..4 {
                let mut turned = [0; PANEL];
                for i in 0..PANEL {
                    turned[i] = words[4 * i + t];
                }
                for j in 0..E {
                    out[g * E + j][t] = self.element.decode::<E, PANEL>(&turned, j);
                }
            }
        }
    }
}

/// Which register is register g of a panel of A with `m` rows.
pub fn a_order(m: usize, groups: usize) -> impl Fn(usize, usize) -> usize {
    let tile = (m / PANEL).min(2);
    move |p, g| p / tile * tile * groups + g * tile + p % tile
}

/// Which register is register g of a panel of B.
pub fn b_order(groups: usize) -> impl Fn(usize, usize) -> usize {
    move |q, g| q * groups + g
}

/// Which tile, in the order of registers, is the one of a panel of rows and a panel of columns of an `m` × `n` matrix.
pub fn tile_order(m: usize, n: usize) -> impl Fn(usize, usize) -> usize {
    let (tile, columns) = ((m / PANEL).min(2), n / PANEL);
    move |p, q| (p / tile * columns + q) * tile + p % tile
}

/// The components of a braced operand, which must be so many; a register stands for itself.
pub fn vector(operand: &Operand, count: usize) -> Lowering<&[Operand]> {
    let all = match operand {
        Operand::Vector(all) => all,
        other => std::slice::from_ref(other),
    };
    if all.len() == count {
        return Ok(all);
    }
    Err(Refusal(format!("{} registers where the matrix takes {count}", all.len())))
}

/// The registers of C or D in the order of tiles, those of a panel of rows together: `per_tile` of each tile, found by
/// `slot`.
pub fn tiles<T>(
    registers: &[Operand],
    (m, n): (usize, usize),
    per_tile: usize,
    mut slot: impl FnMut(&Operand) -> Lowering<Slot<T>>,
) -> Lowering<Box<[Slot<T>]>> {
    let order = tile_order(m, n);
    let mut slots = Vec::with_capacity(registers.len());
    for p in 0..m / PANEL {
        for q in 0..n / PANEL {
            for j in 0..per_tile {
                slots.push(slot(&registers[order(p, q) * per_tile + j])?);
            }
        }
    }
    Ok(slots.into())
}
