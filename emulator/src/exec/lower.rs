//! The lowering driver: a function of the tree becomes code, instruction by instruction.

use super::code::{FunctionCode, Kind, Members, Op, Stretch};
use super::control;
use super::flow::{blocks, ranks};
use super::lowering::{Driver, MAX_ROWS, Names};
use super::special::changing;
use crate::isa::{Class, FAMILIES, Lower, Lowering, Refusal};
use crate::ptx::ast::{Instruction, Operand};
use crate::ptx::types::Type;
use crate::state::cx::Site;
use std::sync::Arc;

/// Why a function cannot be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub function: String,
    pub line: u32,
    pub instruction: String,
    pub reason: String,
}

/// Lowers a function. `ids` counts the instructions of the module.
pub fn lower(names: &Names<'_>, index: usize, ids: &mut u32) -> Result<FunctionCode, Refused> {
    let function = &names.functions[index];
    let at = |line: u32, instruction: String, reason: String| Refused {
        function: function.name.clone(),
        line,
        instruction,
        reason,
    };
    let header = |refusal: Refusal| at(function.line, function.name.clone(), refusal.0);
    let Some(body) = &function.body else {
        return Err(at(function.line, function.name.clone(), "it has no body".to_string()));
    };
    let name: Arc<str> = function.name.as_str().into();
    let blocks = blocks(body);
    let mut cx = Driver::new(names, index, function, body, &blocks).map_err(header)?;
    let first_fill = cx.allocation.rows as usize;
    let mut ops = Vec::with_capacity(body.instructions.len() + 1);
    for instruction in &body.instructions {
        let op = cx
            .op(instruction, &name, *ids)
            .map_err(|refusal| at(instruction.line, instruction.name(), refusal.0))?;
        *ids += 1;
        ops.push(op);
    }
    let line = body.instructions.last().map_or(function.line, |i| i.line);
    ops.push(Op {
        kind: Kind::Return,
        guard: None,
        class: Class::Branch,
        macs: 0,
        site: Site { function: name.clone(), line, instruction: "ret".into(), id: *ids },
    });
    *ids += 1;
    let parameters = cx.formals(&function.parameters, true).map_err(header)?;
    let returns = cx.formals(&function.returns, false).map_err(header)?;
    let mut stretches = vec![Stretch { end: ops.len(), rank: u32::MAX }; ops.len()];
    for (block, &rank) in blocks.iter().zip(&ranks(&blocks)) {
        stretches[block.start..block.end].fill(Stretch { end: block.end, rank });
    }
    Ok(FunctionCode {
        ops,
        stretches,
        rows: cx.allocation.rows as usize,
        predicates: cx.allocation.predicates as usize,
        first_fill,
        fills: cx.fills,
        frame_bytes: cx.frame.bytes,
        parameters,
        returns,
        calls: cx.calls,
        calls_pointers: cx.calls_pointers,
        uses_stack: cx.uses_stack,
        shared: cx.shared,
        is_kernel: function.is_kernel,
    })
}

impl Driver<'_> {
    fn op(&mut self, instruction: &Instruction, function: &Arc<str>, id: u32) -> Lowering<Op> {
        let guard = match instruction.guard {
            Some(guard) => Some((self.predicate(guard.register)?, guard.negated)),
            None => None,
        };
        let (kind, class, macs) = self.kind(instruction)?;
        if self.allocation.rows > MAX_ROWS {
            return Err(Refusal("too many constants in one function".to_string()));
        }
        let site = Site {
            function: function.clone(),
            line: instruction.line,
            instruction: instruction.name().into(),
            id,
        };
        Ok(Op { kind, guard, class, macs, site })
    }

    fn kind(&mut self, instruction: &Instruction) -> Lowering<(Kind, Class, u32)> {
        if let Some(lowered) = control::lower(instruction, self) {
            let (kind, class) = lowered?;
            return Ok((kind, class, 0));
        }
        if let Some(run) = self.changing(instruction)? {
            return Ok((run, Class::Move, 0));
        }
        for family in FAMILIES {
            if let Some(lowered) = family(instruction, self) {
                let lowered = lowered?;
                let kind = match self.members(instruction)? {
                    Some(members) => Kind::Together(lowered.run, members),
                    None => Kind::Run(lowered.run),
                };
                return Ok((kind, lowered.class, lowered.macs));
            }
        }
        Err(Refusal("unknown instruction".to_string()))
    }

    /// `mov` from a special register that changes.
    fn changing(&mut self, instruction: &Instruction) -> Lowering<Option<Kind>> {
        let [Operand::Register(out), Operand::Special { name, .. }] = instruction.operands.as_slice() else {
            return Ok(None);
        };
        let (Some(changing), "mov") = (changing(name), instruction.opcode.as_str()) else { return Ok(None) };
        let [ty] = instruction.modifiers.as_slice() else { return Ok(None) };
        let ty = Type::parse(ty).ok_or_else(|| Refusal(format!(".{ty} is not a type")))?;
        Ok(Some(Kind::Run(changing.read(self.register(*out)?, ty))))
    }

    /// Which lanes an instruction of a whole warp waits for; `None` for other instructions.
    fn members(&mut self, instruction: &Instruction) -> Lowering<Option<Members>> {
        let has = |word: &str| instruction.modifiers.iter().any(|m| m == word);
        Ok(match instruction.opcode.as_str() {
            "shfl" | "vote" | "match" | "redux" | "elect" if has("sync") => match instruction.operands.last()
            {
                Some(mask) => Some(Members::Mask(crate::isa::source(self, mask)?)),
                None => None,
            },
            "mma" | "wmma" | "ldmatrix" | "stmatrix" | "movmatrix" if has("aligned") => Some(Members::All),
            _ => None,
        })
    }
}
