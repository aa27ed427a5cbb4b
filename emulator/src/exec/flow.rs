//! The flow of control through a function: basic blocks, and the order in which diverged lanes should run them.
//!
//! Lanes meet again when a block runs only after all blocks that can come before it. That is a topological order of
//! the blocks, but for loops: a loop is kept together, its exits come behind all of it, and inside of it the same rule
//! holds for the graph without the edges back to its head (the weak topological order of Bourdoncle, "Efficient chaotic
//! iteration strategies with widenings", 1993). The order of the text would often do, but compilers put unlikely blocks
//! at the end of a function, behind the place where lanes should meet.

use crate::ptx::ast::{Body, Instruction, Operand};

/// Loops nested deeper than this are ordered by their place in the text.
const MAX_NESTING: u32 = 64;

/// Where an instruction may send the program counter, other than to the next one.
fn targets<'a>(body: &'a Body, instruction: &'a Instruction) -> impl Iterator<Item = usize> + 'a {
    let of = |operand: &'a Operand| match operand {
        Operand::Label(target) => std::slice::from_ref(target),
        Operand::BranchTargets(table) => body.branch_targets.get(*table).map_or(&[][..], Vec::as_slice),
        _ => &[],
    };
    instruction.operands.iter().flat_map(of).copied()
}

/// Whether the next instruction is never reached from here.
fn ends(instruction: &Instruction) -> bool {
    instruction.guard.is_none()
        && matches!(instruction.opcode.as_str(), "bra" | "brx" | "ret" | "exit" | "trap")
}

/// Instructions that run one after the other: jumps lead to the first and from the last.
pub struct Block {
    pub start: usize,
    pub end: usize,
    pub successors: Vec<usize>,
}

/// The basic blocks of a body, in the order of the text.
pub fn blocks(body: &Body) -> Vec<Block> {
    let code = &body.instructions;
    let mut leads = vec![false; code.len() + 1];
    leads[0] = true;
    for (i, instruction) in code.iter().enumerate() {
        let mut jumps = ends(instruction);
        for target in targets(body, instruction) {
            leads[target.min(code.len())] = true;
            jumps = true;
        }
        leads[i + 1] |= jumps;
    }
    let starts: Vec<usize> = (0..code.len()).filter(|&i| leads[i]).collect();
    let of_start = |pc: usize| starts.binary_search(&pc).ok();
    let mut blocks = Vec::with_capacity(starts.len());
    for (k, &start) in starts.iter().enumerate() {
        let end = starts.get(k + 1).copied().unwrap_or(code.len());
        let last = &code[end - 1];
        let mut successors: Vec<usize> = targets(body, last).filter_map(of_start).collect();
        if !ends(last) {
            successors.extend(of_start(end));
        }
        successors.sort_unstable();
        successors.dedup();
        blocks.push(Block { start, end, successors });
    }
    blocks
}

/// The rank of each block: of diverged lanes, those in the block of the lowest rank run first.
pub fn ranks(blocks: &[Block]) -> Vec<u32> {
    let mut out = Vec::with_capacity(blocks.len());
    // Parts of the graph yet to be ordered, the next one last; each with the depth of its loops and, for a loop, the
    // head, edges to which are left out.
    let mut parts: Vec<(Vec<usize>, u32, Option<usize>)> = vec![((0..blocks.len()).collect(), 0, None)];
    let mut member = vec![usize::MAX; blocks.len()];
    let mut part_number = 0;
    while let Some((part, depth, head)) = parts.pop() {
        if part.len() == 1 || depth > MAX_NESTING {
            out.extend(part);
            continue;
        }
        part_number += 1;
        for &b in &part {
            member[b] = part_number;
        }
        // Tarjan's algorithm finds components in reverse topological order: pushed in that order, they are popped in
        // topological order.
        for mut component in components(blocks, &part, |b| member[b] == part_number && Some(b) != head) {
            component.sort_unstable();
            let head = component.first().copied();
            parts.push((component, depth + 1, head));
        }
    }
    let mut ranks = vec![0; blocks.len()];
    for (rank, &b) in out.iter().enumerate() {
        ranks[b] = rank as u32;
    }
    ranks
}

/// The strongly connected components of a part of the graph, in reverse topological order. Edges to blocks for which
/// `follow` does not hold are left out.
fn components(blocks: &[Block], part: &[usize], follow: impl Fn(usize) -> bool) -> Vec<Vec<usize>> {
    let position: std::collections::HashMap<usize, usize> =
        part.iter().enumerate().map(|(i, &b)| (b, i)).collect();
    let mut number = vec![usize::MAX; part.len()];
    let mut low = vec![usize::MAX; part.len()];
    let mut open = vec![false; part.len()];
    let (mut stack, mut found, mut next) = (Vec::new(), Vec::new(), 0);
    for root in 0..part.len() {
        if number[root] != usize::MAX {
            continue;
        }
        let mut path = vec![(root, 0)];
        while let Some((v, edge)) = path.pop() {
            if edge == 0 {
                (number[v], low[v]) = (next, next);
                next += 1;
                stack.push(v);
                open[v] = true;
            }
            let successors = &blocks[part[v]].successors;
            let mut descended = false;
            for (e, &s) in successors.iter().enumerate().skip(edge) {
                if !follow(s) {
                    continue;
                }
                let w = position[&s];
                if number[w] == usize::MAX {
                    path.push((v, e + 1));
                    path.push((w, 0));
                    descended = true;
                    break;
                }
                if open[w] {
                    low[v] = low[v].min(number[w]);
                }
            }
            if descended {
                continue;
            }
            if let Some(&(parent, _)) = path.last() {
                low[parent] = low[parent].min(low[v]);
            }
            if low[v] == number[v] {
                let start = stack.iter().rposition(|&w| w == v).unwrap_or(0);
                let component: Vec<usize> = stack.drain(start..).collect();
                component.iter().for_each(|&w| open[w] = false);
                found.push(component.into_iter().map(|w| part[w]).collect());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ranks of a graph that is given by the successors of each block.
    fn of(graph: &[&[usize]]) -> Vec<u32> {
        let block = |(i, s): (usize, &&[usize])| Block { start: i, end: i + 1, successors: s.to_vec() };
        ranks(&graph.iter().enumerate().map(block).collect::<Vec<_>>())
    }

    #[test]
    fn a_join_comes_after_both_sides() {
        // The unlikely side, 3, stands behind the join, 2.
        let ranks = of(&[&[1, 3], &[2], &[], &[2]]);
        assert!(ranks[2] > ranks[1] && ranks[2] > ranks[3] && ranks[0] == 0);
    }

    #[test]
    fn exits_come_after_the_whole_loop() {
        // 1 is the head, 2 its exit in the middle of the text, 3 and 4 the rest of the loop.
        let ranks = of(&[&[1], &[2, 3], &[], &[4], &[1]]);
        assert_eq!(ranks, [0, 1, 4, 2, 3]);
    }

    #[test]
    fn loops_in_loops() {
        // 1 and 5 are the outer loop, 2 and 4 the inner one, 3 leaves both.
        let ranks = of(&[&[1], &[2], &[4, 5], &[], &[2, 3], &[1, 3]]);
        assert_eq!(ranks, [0, 1, 2, 5, 3, 4]);
    }

    #[test]
    fn graphs_without_structure_get_every_rank_once() {
        let mut state = 1u32;
        let mut random = |n: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize % n
        };
        for n in 1..40 {
            let graph: Vec<Vec<usize>> =
                (0..n).map(|_| (0..random(4)).map(|_| random(n)).collect()).collect();
            let graph: Vec<&[usize]> = graph.iter().map(Vec::as_slice).collect();
            let mut ranks = of(&graph);
            ranks.sort_unstable();
            assert_eq!(ranks, (0..n as u32).collect::<Vec<_>>());
        }
    }
}
