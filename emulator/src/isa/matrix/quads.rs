//! `mma.m8n8k4` of `f16`, the first of its kind: four products at once, each by two groups of four lanes.
//!
//! Product i is that of lanes 4i..4i + 4 (the low group, L) and 16 + 4i.. (the high group, H). With l the number of
//! a lane in its group and h = 4 for the high group: a row-major A has row h + l, a column-major one column l (rows h..) in
//! two registers; a row-major B has row l (columns h..), a column-major one column h + l. C and D of `f16` are row
//! h + l in four registers; of `f32`, register r is row h + (l & 1) + (r & 2), column (r & 4) + (l & 2) + (r & 1).

use super::element::widen;
use super::fragment::{PANEL, vector};
use super::mma::Layout;
use super::shape::whole_warp;
use crate::fault::Stop;
use crate::isa::simd::{Body, compute};
use crate::isa::{Class, Lower, Lowered, Lowering, Refusal, destination, source};
use crate::ptx::ast::Operand;
use crate::ptx::types::Type;
use crate::state::cx::Cx;
use crate::state::registers::{LANES, Mask, Registers, Slot};

/// The lanes of a product.
const PRODUCTS: usize = 4;
const DEPTH: usize = 4;

/// Lowers it, for types of D and C and layouts of A and B.
pub fn lower(
    cx: &mut dyn Lower,
    layouts: [Layout; 2],
    (d_type, c_type): (Type, Type),
    [d, a, b, c]: [&Operand; 4],
) -> Lowering<Lowered> {
    let halves = |ty| match ty {
        Type::F16 => Ok(true),
        Type::F32 => Ok(false),
        other => Err(Refusal(format!("m8n8k4 does not accumulate in {other:?}"))),
    };
    let (d_halves, c_halves) = (halves(d_type)?, halves(c_type)?);
    if d_halves && !c_halves {
        return Err(Refusal("D must be .f32 if C is".to_string()));
    }
    let count = |halves| if halves { 4 } else { 8 };
    let mut read = |operand, count| -> Lowering<Vec<Slot<u32>>> {
        vector(operand, count)?.iter().map(|r| source(cx, r)).collect()
    };
    let (a, b, c) = (read(a, 2)?, read(b, 2)?, read(c, count(c_halves))?);
    let d = vector(d, count(d_halves))?.iter().map(|r| destination(cx, r)).collect::<Lowering<_>>()?;
    let run = compute(Quads { layouts, a, b, c, d, c_halves, d_halves });
    Ok(Lowered { run, class: Class::Matrix, macs: (PRODUCTS * PANEL * PANEL * DEPTH) as u32 })
}

struct Quads {
    layouts: [Layout; 2],
    a: Vec<Slot<u32>>,
    b: Vec<Slot<u32>>,
    c: Vec<Slot<u32>>,
    d: Vec<Slot<u32>>,
    c_halves: bool,
    d_halves: bool,
}

/// The lane that holds a row (or column) of eight of a product.
fn lane_of(product: usize, row: usize) -> usize {
    4 * product + row % 4 + row / 4 * 16
}

/// Lane and register of an element of C or D.
fn place(product: usize, row: usize, column: usize, halves: bool) -> (usize, usize) {
    if halves {
        return (lane_of(product, row), column);
    }
    let lane = row & 1 | column & 2 | row & 4;
    (lane_of(product, lane), column & 4 | row & 2 | column & 1)
}

impl Quads {
    /// Element `n` of a lane: the halves of its registers one after the other.
    fn half(registers: &Registers, slots: &[Slot<u32>], lane: usize, n: usize) -> u32 {
        registers.read(slots[n / 2])[lane] >> (16 * (n % 2)) & 0xffff
    }

    fn a(&self, registers: &Registers, product: usize, row: usize, k: usize) -> f32 {
        widen(match self.layouts[0] {
            Layout::Row => Self::half(registers, &self.a, lane_of(product, row), k),
            Layout::Column => Self::half(registers, &self.a, lane_of(product, row / 4 * 4 + k), row % 4),
        })
    }

    fn b(&self, registers: &Registers, product: usize, k: usize, column: usize) -> f32 {
        widen(match self.layouts[1] {
            Layout::Row => Self::half(registers, &self.b, lane_of(product, column / 4 * 4 + k), column % 4),
            Layout::Column => Self::half(registers, &self.b, lane_of(product, column), k),
        })
    }
}

impl Body for Quads {
    #[inline(always)]
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
        if !whole_warp(cx, mask)? {
            return Ok(());
        }
        let mut out = [[0u32; LANES]; 8];
        for product in 0..PRODUCTS {
            for row in 0..PANEL {
                for column in 0..PANEL {
                    let (lane, r) = place(product, row, column, self.c_halves);
                    let mut sum = match self.c_halves {
                        true => widen(Self::half(cx.registers, &self.c, lane, r)),
                        false => f32::from_bits(cx.registers.read(self.c[r])[lane]),
                    };
                    for k in 0..DEPTH {
                        let (a, b) =
                            (self.a(cx.registers, product, row, k), self.b(cx.registers, product, k, column));
                        sum = a.mul_add(b, sum);
                    }
                    let (lane, r) = place(product, row, column, self.d_halves);
                    if self.d_halves {
                        let half = half::f16::from_f32(sum);
                        let bits = if half.is_nan() { 0x7fff } else { half.to_bits() };
                        out[r / 2][lane] |= u32::from(bits) << (16 * (r % 2));
                    } else {
                        out[r][lane] = if sum.is_nan() { 0x7fff_ffff } else { sum.to_bits() };
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
