//! A block: warps that take turns on one host thread.

use super::barrier::Barriers;
use super::group::Wait;
use super::warp::{Environment, Program, Warp};
use crate::counters::Counters;
use crate::fault::{FaultKind, Stop};
use crate::memory::BlockMemory;
use crate::state::cx::{BlockState, LaunchState};
use crate::state::registers::{LANES, Registers};

/// Instructions that a warp runs before others have their turn.
const SLICE: u64 = 8192;

/// A block under way.
pub struct Block {
    /// Its number in the grid, `x` fastest.
    pub number: u64,
    pub state: BlockState,
    pub counters: Counters,
    /// Warp instructions that it has run.
    pub used: u64,
    warps: Vec<Warp>,
    barriers: Barriers,
}

/// How a turn of a block ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Done,
    Again,
}

impl Block {
    /// A block before its first instruction. `files` are register files of a block of the same launch, or none.
    pub fn new(number: u64, program: &Program<'_>, launch: &LaunchState<'_>, files: Vec<Registers>) -> Block {
        let (x, y) = (u64::from(launch.grid[0]), u64::from(launch.grid[1]));
        let index = [(number % x) as u32, (number / x % y) as u32, (number / x / y) as u32];
        let threads = launch.block.iter().product::<u32>();
        let count = threads.div_ceil(LANES as u32);
        let mut files = files.into_iter();
        let warp = |w| Warp::new(program, launch, index, w, files.next());
        let warps = (0..count).map(warp).collect();
        let shared = (launch.static_shared + launch.dynamic_shared) as usize;
        Block {
            number,
            state: BlockState {
                index,
                memory: BlockMemory::new(shared, count as usize, launch.checks),
                printed: String::new(),
            },
            counters: Counters { blocks: 1, warps: u64::from(count), ..Counters::default() },
            used: 0,
            warps,
            barriers: Barriers::new(threads),
        }
    }

    /// Runs until all threads have exited, `budget` instructions are used up, or all warps have for `patience` rounds
    /// waited for what other blocks must do.
    pub fn run(
        &mut self,
        budget: u64,
        patience: u32,
        program: &Program<'_>,
        launch: &LaunchState<'_>,
    ) -> Result<Turn, Stop> {
        let until = self.used + budget;
        let mut idle = 0;
        while self.used < until && idle < patience {
            let (mut done, mut waited) = (true, true);
            for w in 0..self.warps.len() {
                done &= self.warps[w].is_done();
                if !self.warps[w].is_ready() {
                    continue;
                }
                let (warp, mut e) = self.environment(w, program, launch);
                let ran = warp.run(SLICE, &mut e)?;
                waited &= warp.waited;
                self.used += ran;
                if self.barriers.has_completed() {
                    self.release(program);
                }
            }
            idle = if waited { idle + 1 } else { 0 };
            if done {
                return Ok(Turn::Done);
            }
            let stuck = self.warps.iter().all(|w| !w.is_ready()) && self.warps.iter().any(|w| !w.is_done());
            if stuck && !self.warps.iter_mut().any(Warp::force) {
                self.deadlock(program, launch)?;
                return Ok(Turn::Done);
            }
        }
        Ok(Turn::Again)
    }

    /// Its register files, for another block.
    pub fn into_files(self) -> Vec<Registers> {
        self.warps.into_iter().map(|w| w.registers).collect()
    }

    fn environment<'e>(
        &'e mut self,
        warp: usize,
        program: &'e Program<'e>,
        launch: &'e LaunchState<'e>,
    ) -> (&'e mut Warp, Environment<'e>) {
        let e = Environment {
            program,
            launch,
            block: &mut self.state,
            barriers: &mut self.barriers,
            counters: &mut self.counters,
        };
        (&mut self.warps[warp], e)
    }

    fn release(&mut self, program: &Program<'_>) {
        for completed in self.barriers.take_completed() {
            self.counters.barriers += 1;
            self.state.memory.barrier_complete(completed.index, &completed.participants, completed.is_whole);
            for warp in &mut self.warps {
                warp.pass(&completed, program.code);
            }
        }
    }

    /// All threads that are left wait at barriers, and none of these can complete.
    fn deadlock(&mut self, program: &Program<'_>, launch: &LaunchState<'_>) -> Result<(), Stop> {
        let mut waiting = Vec::new();
        for (w, warp) in self.warps.iter().enumerate() {
            for (g, group) in warp.groups.iter().enumerate() {
                if let Wait::Barrier(index) = group.wait {
                    waiting.push((w, g, index));
                }
            }
        }
        let Some(&(w, g, index)) = waiting.first() else { return Ok(()) };
        let mut all: Vec<usize> = waiting.iter().map(|w| w.2).collect();
        all.sort_unstable();
        all.dedup();
        let detail: Vec<String> = all.iter().map(|&index| self.barriers.describe(index)).collect();
        let kind = if all.len() > 1 { FaultKind::BarrierDivergence } else { FaultKind::Deadlock };
        let (warp, mut e) = self.environment(w, program, launch);
        debug_assert_eq!(warp.groups[g].wait, Wait::Barrier(index));
        warp.report(g, kind, detail.join("; "), &mut e)
    }

    /// Reports that the block has used up what the device allows.
    pub fn overrun(&mut self, program: &Program<'_>, launch: &LaunchState<'_>) -> Result<(), Stop> {
        let Some(w) = self.warps.iter().position(|w| !w.is_done()) else { return Ok(()) };
        let detail = format!("the block ran {} instructions, more than the device's limit", self.used);
        let (warp, mut e) = self.environment(w, program, launch);
        warp.report(0, FaultKind::Timeout, detail, &mut e)
    }
}
