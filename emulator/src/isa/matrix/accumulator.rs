//! C and D: from registers to tiles of 8 × 8 and back.

use super::element::widen;
use super::fragment::{PANEL, tiles};
use crate::isa::{Lower, Lowering, Refusal, destination, source};
use crate::ptx::ast::Operand;
use crate::ptx::types::Type;
use crate::state::registers::{LANES, Mask, Registers, Slot};
use half::slice::HalfFloatSliceExt;

/// A tile, row by row.
pub type Tile = [[f32; PANEL]; PANEL];

/// The one or two registers of a tile.
pub type Words = [[u32; LANES]; 2];

/// What accumulators are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    F16,
    F32,
    S32,
}

impl Format {
    pub fn of(ty: Type) -> Lowering<Format> {
        match ty {
            Type::F16 => Ok(Format::F16),
            Type::F32 => Ok(Format::F32),
            Type::S32 => Ok(Format::S32),
            other => Err(Refusal(format!("matrices are not accumulated in {other:?}"))),
        }
    }

    /// Registers that hold a tile.
    pub fn per_tile(self) -> usize {
        if self == Format::F16 { 1 } else { 2 }
    }
}

/// C or D in registers.
pub struct Accumulator {
    pub format: Format,
    slots: Box<[Slot<u32>]>,
}

impl Accumulator {
    /// C, or where `writes` D, of `m` × `n`.
    pub fn new(
        cx: &mut dyn Lower,
        registers: &[Operand],
        format: Format,
        shape: (usize, usize),
        writes: bool,
    ) -> Lowering<Self> {
        let slots = tiles(registers, shape, format.per_tile(), |r| match writes {
            true => destination(cx, r),
            false => source(cx, r),
        })?;
        Ok(Accumulator { format, slots })
    }

    /// A tile of floats.
    #[inline(always)]
    pub fn floats(&self, registers: &Registers, tile: usize) -> Tile {
        if self.format == Format::F16 {
            let words = registers.read(self.slots[tile]);
            let (mut even, mut odd) = ([0.0; LANES], [0.0; LANES]);
            for i in 0..LANES {
                even[i] = widen(words[i] & 0xffff);
                odd[i] = widen(words[i] >> 16);
            }
            return interleave(&even, &odd);
        }
        let [even, odd] = [0, 1].map(|j| Slot::<f32>::new(self.slots[2 * tile + j].row));
        interleave(&registers.read(even), &registers.read(odd))
    }

    /// What registers hold for a tile of floats: rounded once, and every NaN is the canonical one.
    #[inline(always)]
    pub fn of_floats(&self, value: &Tile) -> Words {
        let mut words = [[0; LANES]; 2];
        if self.format == Format::F16 {
            let mut halves = [half::f16::ZERO; PANEL * PANEL];
            halves.convert_from_f32_slice(value.as_flattened());
            let bits = |h: half::f16| u32::from(if h.is_nan() { 0x7fff } else { h.to_bits() });
            for i in 0..LANES {
                words[0][i] = bits(halves[2 * i]) | bits(halves[2 * i + 1]) << 16;
            }
            return words;
        }
        for j in 0..2 {
            for i in 0..LANES {
                let v = value[i / 4][i % 4 * 2 + j];
                words[j][i] = if v.is_nan() { 0x7fff_ffff } else { v.to_bits() };
            }
        }
        words
    }

    /// What registers hold for this tile plus a tile of whole numbers.
    #[inline(always)]
    pub fn plus(&self, registers: &Registers, tile: usize, sums: &Tile, saturate: bool) -> Words {
        let mut words = [[0; LANES]; 2];
        for j in 0..2 {
            let c: [i32; LANES] = registers.read(Slot::new(self.slots[2 * tile + j].row));
            for i in 0..LANES {
                let sum = sums[i / 4][i % 4 * 2 + j] as i32;
                let d = if saturate { c[i].saturating_add(sum) } else { c[i].wrapping_add(sum) };
                words[j][i] = d as u32;
            }
        }
        words
    }

    /// Writes a tile.
    #[inline(always)]
    pub fn write(&self, registers: &mut Registers, tile: usize, words: &Words) {
        let count = self.format.per_tile();
        for (&slot, word) in self.slots[count * tile..][..count].iter().zip(words) {
            registers.write(slot, word, Mask::MAX);
        }
    }
}

#[inline(always)]
fn interleave(even: &[f32; LANES], odd: &[f32; LANES]) -> Tile {
    let mut tile = [[0.0; PANEL]; PANEL];
    for i in 0..LANES {
        tile[i / 4][i % 4 * 2] = even[i];
        tile[i / 4][i % 4 * 2 + 1] = odd[i];
    }
    tile
}
