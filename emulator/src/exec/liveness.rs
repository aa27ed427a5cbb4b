//! Which instructions a register's value is needed at: its interval.
//!
//! nvcc writes every value to a register of its own, thousands per kernel, of which few are alive at a time. The
//! textbook backward analysis over basic blocks finds where each is alive; the interval of a register is the stretch of
//! the program text that covers all those places, so that registers with disjoint intervals can share a row.
//! This holds for every lane by itself, hence also when lanes diverge: a row is a column per lane.

use super::flow::Block;
use crate::ptx::ast::{Base, Body, Function, Instruction, Operand, Parameter};

/// First and last instruction at which a register's row must be its own.
pub type Interval = (usize, usize);

/// Opcodes whose first operand is read although it is a register.
const NO_DESTINATION: &[&str] = &[
    "st",
    "red",
    "bra",
    "brx",
    "bar",
    "barrier",
    "nanosleep",
    "stackrestore",
    "setmaxnreg",
    "prefetch",
    "pmevent",
];

/// More bits than this are not spent on the analysis: then every register lives everywhere.
const MAX_BITS: usize = 1 << 30;

/// Calls `visit(register, written)` for every register that an instruction names, the guard included.
pub fn registers(instruction: &Instruction, visit: &mut dyn FnMut(usize, bool)) {
    if let Some(guard) = instruction.guard {
        visit(guard.register, false);
    }
    let reduces = instruction.modifiers.iter().any(|m| m == "red");
    let writes = reduces || !NO_DESTINATION.contains(&instruction.opcode.as_str());
    for (i, operand) in instruction.operands.iter().enumerate() {
        let first = i == 0 && writes;
        match operand {
            // Of a call, only a list in front is what comes back.
            Operand::Register(_) if instruction.opcode == "call" => named(operand, false, visit),
            _ => named(operand, first, visit),
        }
    }
}

fn named(operand: &Operand, written: bool, visit: &mut dyn FnMut(usize, bool)) {
    match operand {
        Operand::Register(r) => visit(*r, written),
        Operand::Not(r) | Operand::Negative(r) => visit(*r, false),
        // A part of a register that is written leaves the rest as it is.
        Operand::Select { register, .. } => {
            visit(*register, false);
            if written {
                visit(*register, true);
            }
        }
        Operand::Address { base: Base::Register(r), .. } => visit(*r, false),
        Operand::Pair(a, b) => {
            named(a, written, visit);
            named(b, written, visit);
        }
        Operand::Vector(all) | Operand::List(all) | Operand::Bracketed(all) => {
            for operand in all {
                named(operand, written, visit);
            }
        }
        _ => {}
    }
}

/// The interval of every register of a function; `None` for one that nothing names.
pub fn intervals(function: &Function, body: &Body, blocks: &[Block]) -> Vec<Option<Interval>> {
    let last = body.instructions.len();
    let mut out: Vec<Option<Interval>> = vec![None; body.registers.len()];
    for parameter in function.parameters.iter().chain(&function.returns) {
        if let Parameter::Register { register, .. } = parameter
            && let Some(interval) = out.get_mut(*register)
        {
            *interval = Some((0, last)); // written and read by the caller
        }
    }

    // What is read in a block before the block writes it. Only registers for which that happens somewhere are ever
    // alive between blocks; they get numbers.
    let mut written_in = vec![usize::MAX; body.registers.len()];
    let mut number = vec![usize::MAX; body.registers.len()];
    let mut between: Vec<usize> = Vec::new();
    for (k, block) in blocks.iter().enumerate() {
        for (i, instruction) in body.instructions[block.start..block.end].iter().enumerate() {
            let at = block.start + i;
            registers(instruction, &mut |r, written| {
                let interval = out[r].get_or_insert((at, at));
                *interval = (interval.0.min(at), interval.1.max(at));
                if !written && written_in[r] != k && number[r] == usize::MAX {
                    number[r] = between.len();
                    between.push(r);
                }
            });
            if instruction.guard.is_none() {
                registers(instruction, &mut |r, written| {
                    if written {
                        written_in[r] = k;
                    }
                });
            }
        }
    }
    let words = between.len().div_ceil(64);
    if blocks.len().saturating_mul(words) > MAX_BITS / 64 / 3 {
        for interval in out.iter_mut().flatten() {
            *interval = (0, last);
        }
        return out;
    }
    let alive = alive_at_start(body, blocks, &number, words);
    for (k, block) in blocks.iter().enumerate() {
        extend(&mut out, &between, &alive[k * words..][..words], block.start);
        for &next in &block.successors {
            extend(&mut out, &between, &alive[next * words..][..words], block.end - 1);
        }
    }
    out
}

/// Widens the intervals of a set of registers to an instruction.
fn extend(out: &mut [Option<Interval>], between: &[usize], set: &[u64], at: usize) {
    for (w, &bits) in set.iter().enumerate() {
        let mut bits = bits;
        while bits != 0 {
            let r = between[w * 64 + bits.trailing_zeros() as usize];
            bits &= bits - 1;
            let interval = out[r].get_or_insert((at, at));
            *interval = (interval.0.min(at), interval.1.max(at));
        }
    }
}

/// For every block, the set of numbered registers that are alive at its start.
fn alive_at_start(body: &Body, blocks: &[Block], number: &[usize], words: usize) -> Vec<u64> {
    let mut alive = vec![0u64; blocks.len() * words]; // starts as what is read first
    let mut written = vec![0u64; blocks.len() * words];
    let mut predecessors: Vec<Vec<usize>> = vec![Vec::new(); blocks.len()];
    for (k, block) in blocks.iter().enumerate() {
        let (read, kill) = (&mut alive[k * words..][..words], &mut written[k * words..][..words]);
        for instruction in &body.instructions[block.start..block.end] {
            registers(instruction, &mut |r, write| {
                let n = number[r];
                if !write && n != usize::MAX && kill[n / 64] >> (n % 64) & 1 == 0 {
                    read[n / 64] |= 1 << (n % 64);
                }
            });
            if instruction.guard.is_none() {
                registers(instruction, &mut |r, write| {
                    let n = number[r];
                    if write && n != usize::MAX {
                        kill[n / 64] |= 1 << (n % 64);
                    }
                });
            }
        }
        for &next in &block.successors {
            predecessors[next].push(k);
        }
    }
    let mut queue: std::collections::VecDeque<usize> = (0..blocks.len()).rev().collect();
    let mut queued = vec![true; blocks.len()];
    while let Some(k) = queue.pop_front() {
        queued[k] = false;
        for &p in &predecessors[k] {
            let mut grew = false;
            for w in 0..words {
                let new = alive[k * words + w] & !written[p * words + w] & !alive[p * words + w];
                alive[p * words + w] |= new;
                grew |= new != 0;
            }
            if grew && !queued[p] {
                queued[p] = true;
                queue.push_back(p);
            }
        }
    }
    alive
}
