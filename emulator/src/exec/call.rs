//! Calls and returns.

use super::builtin;
use super::code::{Call, Formal, FunctionCode, Op, Target, function_at};
use super::frames::{Frame, MAX_DEPTH};
use super::warp::{Environment, Warp};
use crate::fault::{FaultKind, Stop};
use crate::state::registers::{LANES, Mask, PredicateSlot, Slot};

/// The register file of a warp may grow to this many rows: 16 MiB.
const MAX_FILE_ROWS: usize = 1 << 17;

impl Warp {
    /// The lanes of a group call a function.
    pub fn call(&mut self, g: usize, call: &Call, op: &Op, e: &mut Environment<'_>) -> Result<(), Stop> {
        let target = match &call.target {
            Target::Builtin(builtin) => {
                let group = self.groups[g].clone();
                self.groups[g].pc += 1;
                let frame = self.frames[group.frame].clone();
                return builtin::call(*builtin, self, &frame, group.mask, call, op, e);
            }
            Target::Function(target) => Some(*target),
            Target::Pointer { pointer, narrow, allowed } => {
                let pointers = self.pointers(*pointer, *narrow);
                let lanes = self.groups[g].mask;
                let first = pointers[lanes.trailing_zeros() as usize];
                let same = (0..LANES).filter(|&l| lanes >> l & 1 != 0 && pointers[l] == first);
                let same = same.fold(0, |m, l| m | 1 << l);
                if same != lanes {
                    let pc = self.groups[g].pc;
                    self.split(g, lanes & !same, pc);
                }
                let code = e.program.code;
                function_at(first, code.functions.len())
                    .filter(|t| allowed.as_ref().is_none_or(|a| a.contains(t)))
                    .filter(|&t| fits(call, &code.functions[t]))
            }
        };
        let entered = match target {
            Some(target) => self.enter(g, target, call, e),
            None => Err("not a pointer to a function with these parameters".to_string()),
        };
        let Err(detail) = entered else { return Ok(()) };
        let lane = self.groups[g].mask.trailing_zeros() as usize;
        let address = match &call.target {
            Target::Pointer { pointer, narrow, .. } => Some(self.pointers(*pointer, *narrow)[lane]),
            _ => None,
        };
        self.groups[g].pc += 1;
        self.cx(e, op).report(FaultKind::BadCall, lane, address, detail)
    }

    fn pointers(&self, pointer: Slot<u64>, narrow: bool) -> [u64; LANES] {
        if !narrow {
            return self.registers.read(pointer);
        }
        let low = self.registers.read(Slot::<u32>::new(pointer.row));
        let mut out = [0; LANES];
        for lane in 0..LANES {
            out[lane] = u64::from(low[lane]);
        }
        out
    }

    /// Puts a group at the start of a function; an error says which stack is full.
    fn enter(&mut self, g: usize, target: usize, call: &Call, e: &Environment<'_>) -> Result<(), String> {
        let program = e.program;
        let (own, pc, mask) = (self.groups[g].frame, self.groups[g].pc, self.groups[g].mask);
        let caller = self.frames[own].clone();
        let function = &program.code.functions[target];
        let callee = caller.callee(own, pc, target, &program.code.functions[caller.function]);
        if function.frame_bytes > self.stack_room(&callee, mask) {
            return Err(format!("the stack of {} bytes is full", program.local_bytes));
        }
        let frame = match self.frames.find(own, pc, target) {
            Some(frame) => {
                self.frames.enter(frame);
                self.frames.leave(own);
                frame
            }
            None => {
                if callee.depth > MAX_DEPTH || callee.base + function.rows > MAX_FILE_ROWS {
                    return Err(format!("calls are nested {} deep", callee.depth));
                }
                let frame = self.frames.push(callee);
                self.frames.leave(own);
                frame
            }
        };
        self.groups[g].frame = frame;
        self.groups[g].pc = 0;
        self.prepare_frame(frame, program, e.launch, e.block.index, mask);
        if function.uses_stack {
            let saved = self.frames.get_mut(frame).stack.get_or_insert_default();
            for lane in (0..LANES).filter(|&l| mask >> l & 1 != 0) {
                saved[lane] = self.stack_top[lane];
            }
        }
        let callee = self.frames[frame].clone();
        for (&from, &to) in call.arguments.iter().zip(&function.parameters) {
            self.pass_value(from, &caller, to, &callee, mask);
        }
        Ok(())
    }

    /// The lanes of a group return to their caller; those of a kernel are done.
    pub fn ret(&mut self, g: usize, e: &mut Environment<'_>) {
        let own = self.groups[g].frame;
        let callee = self.frames[own].clone();
        if callee.depth == 0 {
            self.exit(g, e);
            return;
        }
        let code = e.program.code;
        let caller = self.frames[callee.parent].clone();
        let mask = self.groups[g].mask;
        if let super::code::Kind::Call(call) = &code.functions[caller.function].ops[callee.call].kind {
            let function: &FunctionCode = &code.functions[callee.function];
            for (&from, &to) in function.returns.iter().zip(&call.returns) {
                self.pass_value(from, &callee, to, &caller, mask);
            }
        }
        if let Some(saved) = &callee.stack {
            for lane in (0..LANES).filter(|&l| mask >> l & 1 != 0) {
                self.stack_top[lane] = saved[lane];
            }
        }
        self.frames.enter(callee.parent);
        self.frames.leave(own);
        self.groups[g].frame = callee.parent;
        self.groups[g].pc = callee.call + 1;
    }

    /// Copies a parameter between frames.
    fn pass_value(&mut self, from: Formal, from_frame: &Frame, to: Formal, to_frame: &Frame, mask: Mask) {
        if let (Formal::Predicate(from), Formal::Predicate(to)) = (from, to) {
            let value = self.registers.predicates[from_frame.predicate_base + from.0 as usize];
            self.registers.predicate_base = to_frame.predicate_base;
            self.registers.set_predicate(to, value, mask);
            return;
        }
        for lane in (0..LANES).filter(|&l| mask >> l & 1 != 0) {
            if let (Formal::Memory { offset, bytes }, Formal::Memory { offset: to, .. }) = (from, to) {
                let (from, to) = (from_frame.local_base + offset, to_frame.local_base + to);
                self.state.memory.copy_local(lane, from, to, bytes as usize);
            } else {
                let bits = self.parameter(from, from_frame, lane);
                self.set_parameter(to, to_frame, lane, bits);
            }
        }
    }

    /// The value of a scalar parameter in a lane.
    pub fn parameter(&self, formal: Formal, frame: &Frame, lane: usize) -> u128 {
        match formal {
            Formal::Memory { offset, bytes } => {
                let mut value = [0; 16];
                let bytes = (bytes as usize).min(16);
                self.state.memory.peek_local(lane, frame.local_base + offset, &mut value[..bytes]);
                u128::from_le_bytes(value)
            }
            Formal::Row { row, rows } => {
                let start = frame.base + row as usize;
                (0..rows).fold(0, |bits, j| {
                    let word = lane * rows + j;
                    bits | u128::from(self.registers.rows[start + word / LANES].0[word % LANES]) << (32 * j)
                })
            }
            Formal::Predicate(PredicateSlot(p)) => {
                u128::from(self.registers.predicates[frame.predicate_base + p as usize] >> lane & 1)
            }
        }
    }

    /// Sets a scalar parameter in a lane.
    pub fn set_parameter(&mut self, formal: Formal, frame: &Frame, lane: usize, bits: u128) {
        match formal {
            Formal::Memory { offset, bytes } => {
                let value = bits.to_le_bytes();
                let bytes = (bytes as usize).min(16);
                self.state.memory.poke_local(lane, frame.local_base + offset, &value[..bytes]);
            }
            Formal::Row { row, rows } => {
                let start = frame.base + row as usize;
                for j in 0..rows {
                    let word = lane * rows + j;
                    self.registers.rows[start + word / LANES].0[word % LANES] = (bits >> (32 * j)) as u32;
                }
            }
            Formal::Predicate(slot) => {
                self.registers.predicate_base = frame.predicate_base;
                self.registers.set_predicate(slot, if bits & 1 != 0 { Mask::MAX } else { 0 }, 1 << lane);
            }
        }
    }
}

/// Whether a function takes and gives what a call passes and expects.
fn fits(call: &Call, function: &FunctionCode) -> bool {
    let same = |actual: &[Formal], formal: &[Formal]| {
        actual.len() == formal.len() && actual.iter().zip(formal).all(|(a, b)| size(*a) == size(*b))
    };
    !function.is_kernel
        && same(&call.arguments, &function.parameters)
        && same(&call.returns, &function.returns)
}

/// Bytes of a parameter, in whole words.
fn size(formal: Formal) -> u64 {
    match formal {
        Formal::Memory { bytes, .. } => bytes.next_multiple_of(4),
        Formal::Row { rows, .. } => 4 * rows as u64,
        Formal::Predicate(_) => 0,
    }
}
