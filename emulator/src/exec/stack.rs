//! `alloca`, `stacksave`, `stackrestore`: local memory that a function takes as it runs.
//!
//! It grows down from the end of a lane's local memory, towards the frames, and is given back when the function returns.

use super::code::{Kind, Op, Stack};
use super::frames::Frame;
use super::lowering::Driver;
use super::warp::{Environment, Warp};
use crate::fault::{FaultKind, Stop};
use crate::isa::{Class, Lowering, Modifiers, Refusal, destination, source};
use crate::ptx::ast::{Instruction, Operand};
use crate::ptx::types::Type;
use crate::state::registers::{LANES, Mask, Slot};

/// Lowers an instruction if it is one of these.
pub fn lower(i: &Instruction, modifiers: &mut Modifiers<'_>, cx: &mut Driver<'_>) -> Lowering<(Kind, Class)> {
    let wide = match modifiers.ty()? {
        Type::U32 => false,
        Type::U64 => true,
        other => return Err(Refusal(format!("{other:?} is not a type of addresses"))),
    };
    let read = |cx: &mut Driver<'_>, operand: &Operand| {
        Ok::<_, Refusal>(if wide { source::<u64>(cx, operand)?.row } else { source::<u32>(cx, operand)?.row })
    };
    let written = |cx: &mut Driver<'_>, operand: &Operand| {
        Ok::<_, Refusal>(if wide {
            destination::<u64>(cx, operand)?.row
        } else {
            destination::<u32>(cx, operand)?.row
        })
    };
    let stack = match (i.opcode.as_str(), i.operands.as_slice()) {
        ("alloca", [out, size, rest @ ..]) => {
            let align = match rest {
                [] => 8,
                [Operand::Integer(align)] if align.is_power_of_two() && *align <= 1 << 12 => *align,
                _ => return Err(Refusal("the alignment is not a power of two up to 4096".to_string())),
            };
            Stack::Allocate { size: read(cx, size)?, out: written(cx, out)?, align, wide }
        }
        ("stacksave", [out]) => Stack::Save { out: written(cx, out)?, wide },
        ("stackrestore", [from]) => Stack::Restore { from: read(cx, from)?, wide },
        (_, operands) => return Err(Refusal(format!("{} operands", operands.len()))),
    };
    cx.uses_stack = true;
    Ok((Kind::Stack(stack), Class::Other))
}

impl Warp {
    /// Runs one in the lanes of a group.
    pub fn stack(&mut self, g: usize, stack: Stack, op: &Op, e: &mut Environment<'_>) -> Result<(), Stop> {
        let mask = self.groups[g].mask;
        let frame = &self.frames[self.groups[g].frame];
        let bottom = frame.local_base + e.program.code.functions[frame.function].frame_bytes;
        let limit = e.program.local_bytes;
        self.groups[g].pc += 1;
        for lane in (0..LANES).filter(|&l| mask >> l & 1 != 0) {
            match stack {
                Stack::Allocate { out, size, align, wide } => {
                    let size = self.word(size, wide, lane);
                    let top = self.stack_top[lane].checked_sub(size).map(|top| top & !(align - 1));
                    match top.filter(|&top| top >= bottom) {
                        Some(top) => self.stack_top[lane] = top,
                        None => {
                            let detail = format!("no {size} bytes are left of the stack of {limit}");
                            self.cx(e, op).report(FaultKind::BadCall, lane, None, detail)?;
                        }
                    }
                    self.set_word(out, wide, lane, self.stack_top[lane]);
                }
                Stack::Save { out, wide } => self.set_word(out, wide, lane, self.stack_top[lane]),
                Stack::Restore { from, wide } => {
                    let top = self.word(from, wide, lane);
                    if top < self.stack_top[lane] || top > limit {
                        let detail = "what stackrestore is given, stacksave did not give".to_string();
                        self.cx(e, op).report(FaultKind::Undefined, lane, Some(top), detail)?;
                    } else {
                        self.stack_top[lane] = top;
                    }
                }
            }
        }
        Ok(())
    }

    /// The bytes between a frame's end and what its lanes took, at the least.
    pub fn stack_room(&self, frame: &Frame, mask: Mask) -> u64 {
        let lanes = (0..LANES).filter(|&l| mask >> l & 1 != 0);
        lanes.map(|l| self.stack_top[l]).min().unwrap_or(0).saturating_sub(frame.local_base)
    }

    fn word(&self, row: u32, wide: bool, lane: usize) -> u64 {
        match wide {
            true => self.registers.read(Slot::<u64>::new(row))[lane],
            false => u64::from(self.registers.read(Slot::<u32>::new(row))[lane]),
        }
    }

    fn set_word(&mut self, row: u32, wide: bool, lane: usize, value: u64) {
        match wide {
            true => self.registers.write(Slot::<u64>::new(row), &[value; LANES], 1 << lane),
            false => self.registers.write(Slot::<u32>::new(row), &[value as u32; LANES], 1 << lane),
        }
    }
}
