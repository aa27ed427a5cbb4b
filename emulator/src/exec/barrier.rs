//! The 16 barriers of a block.

use super::code::Action;
use crate::state::registers::{LANES, Mask};

/// Barriers per block.
pub const BARRIERS: usize = 16;

/// What the threads of a barrier agree on, so that it can complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Synchronize,
    Count,
    All,
    Any,
}

impl Purpose {
    pub fn of(action: &Action) -> Purpose {
        match action {
            Action::Wait | Action::Arrive => Purpose::Synchronize,
            Action::Count { .. } => Purpose::Count,
            Action::Vote { all: true, .. } => Purpose::All,
            Action::Vote { all: false, .. } => Purpose::Any,
        }
    }
}

/// One barrier, between two completions.
#[derive(Clone, Default)]
struct Barrier {
    /// Set by the first arrival.
    phase: Option<Phase>,
    /// Lanes of each warp that have come.
    came: Vec<Mask>,
}

#[derive(Clone)]
struct Phase {
    purpose: Purpose,
    /// Threads that are awaited; `None`: all that live.
    expected: Option<u32>,
    arrived: u32,
    /// Threads among those that came whose predicate holds.
    holds: u32,
    threads: u32,
}

/// A completed barrier: what its threads are told.
#[derive(Clone, Debug)]
pub struct Completed {
    pub index: usize,
    /// Lanes of each warp that took part.
    pub participants: Vec<Mask>,
    /// How many of them held their predicate, of how many.
    pub holds: u32,
    pub threads: u32,
    /// Whether these are all threads that are left.
    pub is_whole: bool,
}

/// The barriers of a block.
pub struct Barriers {
    all: Vec<Barrier>,
    warps: usize,
    /// Threads that have not exited.
    live: u32,
    completed: Vec<Completed>,
}

/// Threads that come to a barrier together.
pub struct Arrival {
    pub index: usize,
    pub warp: usize,
    pub lanes: Mask,
    /// Whether these are all lanes of the warp that have not exited: then it counts as a whole warp.
    pub whole_warp: bool,
    pub expected: Option<u32>,
    pub purpose: Purpose,
    /// Lanes whose predicate holds.
    pub holds: Mask,
}

impl Barriers {
    pub fn new(threads: u32) -> Self {
        let warps = (threads as usize).div_ceil(LANES);
        Barriers { all: vec![Barrier::default(); BARRIERS], warps, live: threads, completed: Vec::new() }
    }

    /// Counts threads in; an error says how they contradict those that came before them.
    pub fn arrive(&mut self, arrival: &Arrival) -> Result<(), String> {
        let barrier = &mut self.all[arrival.index];
        let phase = barrier.phase.get_or_insert_with(|| {
            barrier.came = vec![0; self.warps];
            Phase { purpose: arrival.purpose, expected: arrival.expected, arrived: 0, holds: 0, threads: 0 }
        });
        if phase.expected != arrival.expected {
            let say = |count: Option<u32>| count.map_or("all".to_string(), |c| c.to_string());
            return Err(format!(
                "barrier {} for {} threads, where others wait for {}",
                arrival.index,
                say(arrival.expected),
                say(phase.expected)
            ));
        }
        if phase.purpose != arrival.purpose {
            return Err(format!(
                "barrier {} to {:?}, where others wait to {:?}",
                arrival.index, arrival.purpose, phase.purpose
            ));
        }
        let came = &mut barrier.came[arrival.warp];
        if *came & arrival.lanes != 0 {
            return Err(format!("a thread comes to barrier {} twice in one phase", arrival.index));
        }
        *came |= arrival.lanes;
        let threads = arrival.lanes.count_ones();
        phase.threads += threads;
        phase.holds += (arrival.holds & arrival.lanes).count_ones();
        // Where a number of threads is awaited, it is one of warps.
        phase.arrived +=
            if arrival.whole_warp && arrival.expected.is_some() { LANES as u32 } else { threads };
        self.settle(arrival.index);
        Ok(())
    }

    /// Threads have exited: nobody waits for them any more.
    pub fn exit(&mut self, threads: u32) {
        self.live -= threads;
        for index in 0..BARRIERS {
            self.settle(index);
        }
    }

    fn settle(&mut self, index: usize) {
        let barrier = &mut self.all[index];
        let Some(phase) = &barrier.phase else { return };
        // Threads that only arrived and exited since count, but are not among the living.
        if phase.arrived >= phase.expected.unwrap_or(self.live.max(1)) {
            self.completed.push(Completed {
                index,
                participants: std::mem::take(&mut barrier.came),
                holds: phase.holds,
                threads: phase.threads,
                is_whole: phase.threads >= self.live,
            });
            barrier.phase = None;
        }
    }

    /// Whether some are completed whose threads have not been told.
    pub fn has_completed(&self) -> bool {
        !self.completed.is_empty()
    }

    pub fn take_completed(&mut self) -> Vec<Completed> {
        std::mem::take(&mut self.completed)
    }

    /// How a barrier stands that will not complete.
    pub fn describe(&self, index: usize) -> String {
        match &self.all[index].phase {
            None => format!("barrier {index}"),
            Some(phase) => format!(
                "barrier {index}: {} of {} threads came and the others never will",
                phase.arrived,
                phase.expected.unwrap_or(self.live)
            ),
        }
    }
}
