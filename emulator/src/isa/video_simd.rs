//! Packed video instructions: `vadd2 vsub2 vavrg2 vabsdiff2 vmin2 vmax2 vset2` and their forms of four bytes.
//!
//! The elements of both operands are picked from all those of `a` and `b` (`a`'s are the low ones).

use super::integer::operands;
use super::simd::ternary;
use super::video::{comparison, limits, signed};
use super::{Class, Lower, Lowered, Lowering, Modifiers, Refusal, destination, source};
use crate::ptx::ast::{Instruction, Operand};
use crate::state::cx::Compute;
use crate::state::registers::Slot;

/// Lowers what is this family's.
pub fn lower(i: &Instruction, cx: &mut dyn Lower) -> Option<Lowering<Lowered>> {
    let name = i.opcode.strip_suffix(['2', '4'])?;
    let operation: Option<fn(i64, i64) -> i64> = match name {
        "vadd" => Some(|a, b| a + b),
        "vsub" => Some(|a, b| a - b),
        // Halves are rounded away from zero.
        "vavrg" => Some(|a, b| (a + b + i64::from(a + b >= 0)) >> 1),
        "vabsdiff" => Some(|a, b| (a - b).abs()),
        "vmin" => Some(i64::min),
        "vmax" => Some(i64::max),
        "vset" => None,
        _ => return None,
    };
    let shape = if i.opcode.ends_with('2') { Shape::HALVES } else { Shape::BYTES };
    Some(packed(i, cx, shape, operation).map(|run| Lowered { run, class: Class::Integer, macs: 0 }))
}

/// How a word is divided.
#[derive(Clone, Copy)]
struct Shape {
    count: u32,
    bits: u32,
    letter: char,
}

impl Shape {
    const HALVES: Shape = Shape { count: 2, bits: 16, letter: 'h' };
    const BYTES: Shape = Shape { count: 4, bits: 8, letter: 'b' };

    /// The digits of a selector, that of element 0 first.
    fn digits(self, selector: &str, limit: u32) -> Lowering<Vec<u32>> {
        let digits = selector.strip_prefix(self.letter).unwrap_or_default();
        let digits: Option<Vec<u32>> =
            digits.chars().rev().map(|c| c.to_digit(10).filter(|d| *d < limit)).collect();
        match digits {
            Some(digits) if !digits.is_empty() => Ok(digits),
            _ => Err(Refusal(format!("unknown selector .{selector}"))),
        }
    }

    /// A source and where its elements come from; `first` is the element that element 0 is by default.
    fn operand(self, cx: &mut dyn Lower, operand: &Operand, first: u32) -> Lowering<(Slot<u32>, [u32; 4])> {
        let mut picks = [0, 1, 2, 3].map(|n| n + first);
        let operand = match operand {
            Operand::Select { register, selector, negative: false } => {
                let digits = self.digits(selector, 2 * self.count)?;
                if digits.len() != self.count as usize {
                    return Err(Refusal(format!("unknown selector .{selector}")));
                }
                picks[..digits.len()].copy_from_slice(&digits);
                &Operand::Register(*register)
            }
            other => other,
        };
        Ok((source(cx, operand)?, picks))
    }

    /// Element `n` of `{b, a}` as a number.
    #[inline(always)]
    fn element(self, words: u64, n: u32, signed: bool) -> i64 {
        let left = 64 - self.bits * (n + 1);
        if signed {
            (words << left) as i64 >> (64 - self.bits)
        } else {
            (words << left >> (64 - self.bits)) as i64
        }
    }
}

fn packed(
    i: &Instruction,
    cx: &mut dyn Lower,
    shape: Shape,
    operation: Option<fn(i64, i64) -> i64>,
) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let signed_d = operation.is_some() && signed(&mut m)?;
    let (signed_a, signed_b) = (signed(&mut m)?, signed(&mut m)?);
    let saturate = operation.is_some() && m.flag("sat");
    let operation = operation.map_or_else(|| comparison(&mut m), Ok)?;
    let accumulate = !saturate && m.flag("add");
    m.finish()?;
    let [d, a, b, c] = operands(i)?;
    let mut enabled = [true; 4];
    let d = match d {
        Operand::Select { register, selector, negative: false } => {
            enabled = [false; 4];
            for digit in shape.digits(selector, shape.count)? {
                enabled[digit as usize] = true;
            }
            destination(cx, &Operand::Register(*register))?
        }
        other => destination(cx, other)?,
    };
    let (a, picks_a) = shape.operand(cx, a, 0)?;
    let (b, picks_b) = shape.operand(cx, b, shape.count)?;
    let c = source::<u32>(cx, c)?;
    let limits = limits(shape.bits, signed_d);
    let element_mask = u32::MAX >> (32 - shape.bits);
    Ok(ternary(d, a, b, c, move |a: u32, b: u32, c: u32| {
        let words = u64::from(b) << 32 | u64::from(a);
        let mut out = c;
        for n in 0..shape.count {
            if !enabled[n as usize] {
                continue;
            }
            let left = shape.element(words, picks_a[n as usize], signed_a);
            let right = shape.element(words, picks_b[n as usize], signed_b);
            let mut result = operation(left, right);
            if saturate {
                result = result.clamp(limits.0, limits.1);
            }
            if accumulate {
                out = out.wrapping_add(result as u32);
            } else {
                let shift = n * shape.bits;
                out = out & !(element_mask << shift) | (result as u32 & element_mask) << shift;
            }
        }
        out
    }))
}
