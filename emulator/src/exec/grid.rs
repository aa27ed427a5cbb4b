//! A grid: host threads that take block after block.
//!
//! A block runs to its end if it can. One that uses up its turn makes room for others, so that blocks which wait for
//! each other by spinning on memory go on: cooperative grids have all their blocks under way, others as many as the
//! device would hold. Everything that a launch gives back is put together in the order of the blocks, whichever thread
//! ran them.

use super::block::{Block, Turn};
use super::warp::Program;
use crate::counters::Counters;
use crate::fault::{Fault, FaultKind, Stop};
use crate::state::cx::LaunchState;
use crate::state::registers::Registers;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Warp instructions per turn of a block; of one in a cooperative grid.
const TURN: u64 = 1 << 17;
const COOPERATIVE_TURN: u64 = 1 << 13;

/// Rounds of waiting warps after which the turn ends early.
const WAITING: u32 = 64;
const COOPERATIVE_WAITING: u32 = 2;

/// After a fault, blocks in front of the faulty one may still run this many instructions: one of them may have a fault
/// too, and the first in the order of blocks is the one that is told.
const GRACE: u64 = 1 << 24;

/// Bytes that a launch may print; CUDA's buffer has one megabyte.
const MAX_PRINTED: usize = 64 << 20;

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
    /// Bytes of that, and of what was beyond [`MAX_PRINTED`] and is lost.
    printed_bytes: usize,
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
    /// One turn of a block.
    fn turn(&self, block: &mut Block) -> Result<Turn, Stop> {
        let (budget, patience) = match self.schedule.cooperative {
            true => (COOPERATIVE_TURN, COOPERATIVE_WAITING),
            false => (TURN, WAITING),
        };
        let budget = budget.min(self.schedule.limit.map_or(u64::MAX, |l| l.saturating_sub(block.used) + 1));
        let run = AssertUnwindSafe(|| block.run(budget, patience, self.program, self.launch));
        // A panic is an error of this library, but not one that should take the caller's process down.
        let turn = catch_unwind(run).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("?");
            (self.launch.report)(Fault {
                kind: FaultKind::Undefined,
                kernel: self.launch.kernel.to_string(),
                line: 0,
                instruction: String::new(),
                block: block.state.index,
                thread: [0; 3],
                address: None,
                detail: format!("the emulator itself failed: {text}"),
            })?;
            Err(Stop)
        })?;
        if turn == Turn::Again && self.schedule.limit.is_some_and(|limit| block.used > limit) {
            block.overrun(self.program, self.launch)?;
            return Ok(Turn::Done);
        }
        Ok(turn)
    }
}

/// A host thread.
struct Worker<'a> {
    shared: &'a Shared<'a>,
    /// Of the blocks that are done.
    sum: Counters,
    /// Register files of a block that is done.
    files: Vec<Registers>,
}

impl Worker<'_> {
    /// A new block, if one is left.
    fn take(&mut self) -> Option<Block> {
        let Shared { program, launch, .. } = self.shared;
        if self.shared.stopped.load(Ordering::Relaxed) != u64::MAX {
            return None;
        }
        let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
        (number < self.shared.blocks)
            .then(|| Block::new(number, program, launch, std::mem::take(&mut self.files)))
    }

    fn finish(&mut self, mut block: Block) {
        self.sum.merge(&block.counters);
        let printed = std::mem::take(&mut block.state.printed);
        if !printed.is_empty()
            && let Ok(mut outcome) = self.shared.outcome.lock()
        {
            outcome.printed_bytes += printed.len();
            if outcome.printed_bytes <= MAX_PRINTED {
                outcome.printed.insert(block.number, printed);
            }
        }
        self.files = block.into_files();
    }
}

fn work(shared: &Shared<'_>) {
    let mut worker = Worker { shared, sum: Counters::default(), files: Vec::new() };
    let mut resident: VecDeque<Block> = VecDeque::new();
    let per_worker = shared.schedule.resident.div_ceil(shared.workers).max(1);
    if shared.schedule.cooperative {
        for _ in 0..shared.blocks.div_ceil(shared.workers) {
            resident.extend(worker.take());
        }
    }
    let mut grace = GRACE;
    while let Some(mut block) = resident.pop_front().or_else(|| worker.take()) {
        let stopped = shared.stopped.load(Ordering::Relaxed);
        if block.number > stopped || grace == 0 {
            worker.finish(block);
            continue;
        }
        let before = block.used;
        match shared.turn(&mut block) {
            Ok(Turn::Done) => worker.finish(block),
            Ok(Turn::Again) => {
                if stopped != u64::MAX {
                    grace = grace.saturating_sub(block.used - before);
                }
                resident.push_back(block);
                if (resident.len() as u64) < per_worker
                    && let Some(new) = worker.take()
                {
                    resident.push_front(new);
                }
            }
            Err(Stop) => {
                shared.stopped.fetch_min(block.number, Ordering::Relaxed);
                worker.finish(block);
            }
        }
    }
    if let Ok(mut outcome) = shared.outcome.lock() {
        outcome.counters.merge(&worker.sum);
    }
}
