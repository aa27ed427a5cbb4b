//! Rows for registers: registers whose intervals do not meet share one.

use super::flow::Block;
use super::liveness::{Interval, intervals};
use crate::ptx::ast::{Body, Function};
use crate::ptx::types::Type;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Where a register lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nothing names it.
    Nowhere,
    /// First row.
    Row(u32),
    Predicate(u32),
}

/// The frame of a function, before constants are added.
pub struct Allocation {
    /// Of each register.
    pub places: Vec<Place>,
    pub rows: u32,
    pub predicates: u32,
}

/// Rows that a value of a type takes.
pub fn rows_of(ty: Type) -> usize {
    (ty.bits() as usize).div_ceil(32)
}

/// Places of one size: those that are free now, and those in use by the instruction after which they are free.
#[derive(Default)]
struct Pool {
    free: BinaryHeap<Reverse<u32>>,
    busy: BinaryHeap<Reverse<(usize, u32)>>,
}

impl Pool {
    /// A place for an interval; `fresh` makes a new one. Intervals come in the order of their starts.
    fn take(&mut self, (start, end): Interval, fresh: impl FnOnce() -> u32) -> u32 {
        // An instruction may write its first destination before it reads its last source: no sharing inside of one.
        while let Some(&Reverse((until, place))) = self.busy.peek()
            && until < start
        {
            self.busy.pop();
            self.free.push(Reverse(place));
        }
        let place = self.free.pop().map_or_else(fresh, |Reverse(place)| place);
        self.busy.push(Reverse((end, place)));
        place
    }
}

/// Gives every register of a function its place.
pub fn allocate(function: &Function, body: &Body, blocks: &[Block]) -> Allocation {
    let intervals = intervals(function, body, blocks);
    let mut order: Vec<usize> = (0..intervals.len()).filter(|&r| intervals[r].is_some()).collect();
    order.sort_by_key(|&r| intervals[r]);
    let mut places = vec![Place::Nowhere; body.registers.len()];
    let (mut rows, mut predicates) = (0u32, 0u32);
    let (mut of_rows, mut of_predicates) =
        ([Pool::default(), Pool::default(), Pool::default()], Pool::default());
    for r in order {
        let Some(interval) = intervals[r] else { continue };
        let ty = body.registers[r].ty;
        places[r] = if ty == Type::Pred {
            Place::Predicate(of_predicates.take(interval, || {
                predicates += 1;
                predicates - 1
            }))
        } else {
            let size = rows_of(ty).next_power_of_two();
            let pool = &mut of_rows[size.trailing_zeros().min(2) as usize];
            Place::Row(pool.take(interval, || {
                rows += size as u32;
                rows - size as u32
            }))
        };
    }
    Allocation { places, rows, predicates }
}
