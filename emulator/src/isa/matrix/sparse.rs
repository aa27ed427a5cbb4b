//! The metadata of `mma.sp`: which elements of A its registers hold.
//!
//! Of every chunk of A's columns half is left out. Two-bit indices say what is there: of 4 elements two (types of 8 and
//! 16 bits), of 8 elements two pairs (4 bits); of 2 `tf32` one, by the indices of its halves. A row's indices, lowest
//! columns first, are cut into units of 16 bits (types of 16 bits and more) or 32 bits (narrower ones). Lane
//! 4i + (first + u) holds unit u of rows i and i + 8 in its lower and upper half; with units of 32 bits, lane
//! 4i + (first + 2u) holds that of row i and the next lane that of row i + 8. The selector says which lane is first.

use super::element::Element;
use super::fragment::PANEL;
use super::product::MAX_SELECTED;
use crate::fault::{FaultKind, Stop};
use crate::isa::{Lower, Lowering, Refusal, source};
use crate::ptx::ast::Operand;
use crate::state::cx::Cx;
use crate::state::registers::Slot;

/// Where the metadata is and what it means.
pub struct Metadata {
    slot: Slot<u32>,
    /// Elements of A per word.
    packed: usize,
    /// The lane of a group of four that is first, and units of a row.
    first: usize,
    units: usize,
    /// `.ordered_metadata`: indices must grow.
    ordered: bool,
}

impl Metadata {
    /// Of the operands `e` and `f` of a product that is `k` deep.
    pub fn new(
        cx: &mut dyn Lower,
        (e, f): (&Operand, &Operand),
        element: Element,
        k: usize,
        ordered: bool,
    ) -> Lowering<Self> {
        let packed = element.per_word();
        let bits = if packed == 1 {
            2 * k
        } else if packed == 8 {
            k / 2
        } else {
            k
        };
        let units = bits / if packed <= 2 { 16 } else { 32 };
        let lanes = if packed <= 2 { units } else { 2 * units };
        let Operand::Integer(selector) = f else {
            return Err(Refusal("the sparsity selector must be a constant".to_string()));
        };
        if *selector >= (4 / lanes) as u64 {
            return Err(Refusal(format!(
                "a sparsity selector of {selector} where it must be below {}",
                4 / lanes
            )));
        }
        Ok(Metadata { slot: source(cx, e)?, packed, first: *selector as usize * lanes, units, ordered })
    }

    /// The k of the `count` elements of every row, for both panels. `false`: the metadata means nothing, which has been
    /// reported.
    pub fn read(
        &self,
        cx: &Cx<'_>,
        count: usize,
        selected: &mut [[[u8; MAX_SELECTED]; PANEL]; 2],
    ) -> Result<bool, Stop> {
        let words = cx.registers.read(self.slot);
        for (p, panel) in selected.iter_mut().enumerate() {
            for (i, row) in panel.iter_mut().enumerate() {
                let mut bits = 0u64;
                for u in 0..self.units {
                    bits |= match self.packed {
                        1 | 2 => u64::from(words[4 * i + self.first + u] >> (16 * p) & 0xffff) << (16 * u),
                        _ => u64::from(words[4 * i + self.first + 2 * u + p]) << (32 * u),
                    };
                }
                if let Err(chunk) = self.select(bits, &mut row[..count]) {
                    let four = bits >> (4 * chunk) & 0xf;
                    let detail = format!("indices {four:#06b} of chunk {chunk} in row {}", PANEL * p + i);
                    cx.report(FaultKind::Undefined, 4 * i + self.first, None, detail)?;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The k of a row's elements, or the number of a chunk whose indices are wrong.
    fn select(&self, bits: u64, row: &mut [u8]) -> Result<(), usize> {
        let chunks = match self.packed {
            1 => row.len(),
            8 => row.len() / 4,
            _ => row.len() / 2,
        };
        for chunk in 0..chunks {
            let (low, high) = ((bits >> (4 * chunk) & 3) as u8, (bits >> (4 * chunk + 2) & 3) as u8);
            let first = 4 * chunk as u8;
            match self.packed {
                1 => {
                    if (low, high) != (0, 1) && (low, high) != (2, 3) {
                        return Err(chunk);
                    }
                    row[chunk] = 2 * chunk as u8 + low / 2;
                    continue;
                }
                _ if low == high || self.ordered && low > high => return Err(chunk),
                8 => {
                    for (n, index) in [low, low, high, high].into_iter().enumerate() {
                        row[4 * chunk + n] = 2 * (first + index) + (n % 2) as u8;
                    }
                }
                _ => {
                    row[2 * chunk] = first + low;
                    row[2 * chunk + 1] = first + high;
                }
            }
        }
        Ok(())
    }
}
