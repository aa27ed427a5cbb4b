//! A grid: host threads that take block after block.
//!
//! A block runs to its end if it can. One that uses up its turn makes room for others, so that blocks which wait for
//! each other by spinning on memory go on: cooperative grids have all their blocks under way, others as many as the
//! device would hold. Everything that a launch gives back is put together in the order of the blocks, whichever thread
//! ran them.

use super::block::{Block, Turn};
use super::cx::LaunchState;
use super::warp::Program;
use crate::counters::Counters;
use crate::fault::Stop;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Warp instructions per turn of a block; of one in a cooperative grid.
const TURN: u64 = 1 << 17;
const COOPERATIVE_TURN: u64 = 1 << 13;

/// After a fault, blocks in front of the faulty one may still run this many instructions: one of them may have a fault
/// too, and the first in the order of blocks is the one that is told.
const GRACE: u64 = 1 << 24;

/// How a grid runs.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Host threads.
    pub threads: usize,
    pub cooperative: bool,
    /// Blocks that the device holds at once.
    pub resident: u64,
    /// Warp instructions that a block may run.
    pub limit: Option<u64>,
}

/// What a grid gave.
#[derive(Default)]
pub struct Outcome {
    pub counters: Counters,
    /// What each block printed, in their order.
    pub printed: BTreeMap<u64, String>,
}

struct Shared<'a> {
    program: &'a Program<'a>,
    launch: &'a LaunchState<'a>,
    schedule: Schedule,
    blocks: u64,
    workers: u64,
    next: AtomicU64,
    /// The first block, in their order, that stopped the launch.
    stopped: AtomicU64,
    outcome: Mutex<Outcome>,
}

/// Runs all blocks.
pub fn run(program: &Program<'_>, launch: &LaunchState<'_>, schedule: Schedule) -> Outcome {
    let blocks = launch.grid.iter().map(|&n| u64::from(n)).product::<u64>();
    let workers = (schedule.threads as u64).clamp(1, blocks.max(1));
    let shared = Shared {
        program,
        launch,
        schedule,
        blocks,
        workers,
        next: AtomicU64::new(0),
        stopped: AtomicU64::new(u64::MAX),
        outcome: Mutex::default(),
    };
    if workers == 1 {
        work(&shared);
    } else {
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| work(&shared));
            }
        });
    }
    shared.outcome.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Shared<'_> {
    /// A new block, if one is left.
    fn take(&self) -> Option<Block> {
        if self.stopped.load(Ordering::Relaxed) != u64::MAX {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < self.blocks).then(|| Block::new(number, self.program, self.launch))
    }

    fn finish(&self, block: Block, sum: &mut Counters) {
        sum.merge(&block.counters);
        if !block.state.printed.is_empty()
            && let Ok(mut outcome) = self.outcome.lock()
        {
            outcome.printed.insert(block.number, block.state.printed);
        }
    }

    /// One turn of a block.
    fn turn(&self, block: &mut Block) -> Result<Turn, Stop> {
        let budget = if self.schedule.cooperative { COOPERATIVE_TURN } else { TURN };
        let turn = block.run(budget, self.program, self.launch)?;
        if turn == Turn::Again && self.schedule.limit.is_some_and(|limit| block.used > limit) {
            block.overrun(self.program, self.launch)?;
            return Ok(Turn::Done);
        }
        Ok(turn)
    }
}

fn work(shared: &Shared<'_>) {
    let mut sum = Counters::default();
    let mut resident: VecDeque<Block> = VecDeque::new();
    let per_worker = shared.schedule.resident.div_ceil(shared.workers).max(1);
    if shared.schedule.cooperative {
        for _ in 0..shared.blocks.div_ceil(shared.workers) {
            resident.extend(shared.take());
        }
    }
    let mut grace = GRACE;
    while let Some(mut block) = resident.pop_front().or_else(|| shared.take()) {
        let stopped = shared.stopped.load(Ordering::Relaxed);
        if block.number > stopped || grace == 0 {
            shared.finish(block, &mut sum);
            continue;
        }
        let before = block.used;
        match shared.turn(&mut block) {
            Ok(Turn::Done) => shared.finish(block, &mut sum),
            Ok(Turn::Again) => {
                if stopped != u64::MAX {
                    grace = grace.saturating_sub(block.used - before);
                }
                resident.push_back(block);
                if (resident.len() as u64) < per_worker
                    && let Some(new) = shared.take()
                {
                    resident.push_front(new);
                }
            }
            Err(Stop) => {
                shared.stopped.fetch_min(block.number, Ordering::Relaxed);
                shared.finish(block, &mut sum);
            }
        }
    }
    if let Ok(mut outcome) = shared.outcome.lock() {
        outcome.counters.merge(&sum);
    }
}
