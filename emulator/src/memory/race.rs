//! Races in shared memory, by vector clocks.
//!
//! Threads are lanes: those of one warp are ordered only by barriers too, or by executing the same instruction. Time is
//! the number of the instruction in its warp. A barrier of the whole block begins a new generation: what happened in an
//! older one is ordered before everything, so that no clock is looked at. Between those, every thread has the clock of
//! its class; threads that were synchronised together share a class.
//!
//! A cell keeps its last write and two reads since. If more than two threads have read it, and some of these reads are
//! ordered before a later write by something else than a barrier of the block, an unordered read may be missed; nothing
//! that is ordered is ever reported.

use crate::state::registers::{LANES, Mask};
use std::cell::RefCell;
use std::collections::HashMap;

/// An access: who, and when. Two words, so that records are copied fast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epoch {
    /// Generation (0 is never), and instruction of the warp.
    when: u64,
    /// Thread, whether the access is strong (atomic or volatile: two of those do not race), and line.
    who: u64,
}

impl Epoch {
    #[inline(always)]
    fn new(generation: u32, issue: u32, thread: u16, strong: bool, line: u32) -> Self {
        let who = u64::from(thread) | u64::from(strong) << 16 | u64::from(line) << 32;
        Epoch { when: u64::from(generation) << 32 | u64::from(issue), who }
    }

    #[inline(always)]
    fn generation(&self) -> u32 {
        (self.when >> 32) as u32
    }

    #[inline(always)]
    fn issue(&self) -> u32 {
        self.when as u32
    }

    #[inline(always)]
    fn strong(&self) -> bool {
        self.who >> 16 & 1 != 0
    }

    /// The same of another lane, where this is of lane 0.
    #[inline(always)]
    fn of_lane(self, lane: usize) -> Epoch {
        Epoch { who: self.who + lane as u64, ..self }
    }

    /// Number of the thread in its block.
    #[inline(always)]
    pub fn thread(&self) -> u16 {
        self.who as u16
    }

    /// Line of the instruction.
    pub fn line(&self) -> u32 {
        (self.who >> 32) as u32
    }
}

#[derive(Clone, Copy, Default)]
struct Cell {
    write: Epoch,
    reads: [Epoch; 2],
}

/// Two accesses that are not ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Race {
    /// The earlier one.
    pub other: Epoch,
    pub other_wrote: bool,
}

/// An instruction that accesses shared memory.
#[derive(Clone, Copy)]
pub struct Instruction {
    pub warp: u32,
    pub issue: u32,
    pub line: u32,
    pub strong: bool,
}

struct Class {
    /// By thread: the instruction up to which everything is ordered before this class.
    clock: Vec<u32>,
    members: u32,
}

/// The race detector of a block.
pub struct Races {
    generation: u32,
    /// Bytes per cell: 4, or less once smaller accesses were seen.
    granule: usize,
    bytes: usize,
    cells: Vec<Cell>,
    threads: usize,
    classes: Vec<Class>,
    free: Vec<usize>,
    class_of: Vec<u16>,
    /// Whether something but barriers of the block has ordered anything in this generation.
    ordered: bool,
    /// What arrivals at a barrier have released, by barrier; lanes that wait there, by warp.
    barriers: Vec<(Vec<u32>, Vec<Mask>)>,
    /// What was released to a place in shared memory (an mbarrier, a lock).
    places: HashMap<u64, Vec<u32>>,
}

thread_local! {
    /// Cells of blocks that are done, and the generation that they came to: all in them is older than a later one.
    static USED: RefCell<Vec<(u32, Vec<Cell>)>> = const { RefCell::new(Vec::new()) };
}

impl Drop for Races {
    fn drop(&mut self) {
        let used = (self.generation, std::mem::take(&mut self.cells));
        // At the end of a thread there is no list any more.
        let _ = USED.try_with(|all| all.borrow_mut().push(used));
    }
}

impl Races {
    pub fn new(bytes: usize, warps: usize) -> Self {
        let (used, mut cells) =
            USED.try_with(|all| all.borrow_mut().pop()).ok().flatten().unwrap_or_default();
        if used == u32::MAX {
            cells.clear();
        }
        cells.resize(bytes.div_ceil(4), Cell::default());
        let threads = warps * LANES;
        Races {
            generation: used.checked_add(1).unwrap_or(1),
            granule: 4,
            bytes,
            cells,
            threads,
            classes: vec![Class { clock: vec![0; threads], members: threads as u32 }],
            free: Vec::new(),
            class_of: vec![0; threads],
            ordered: false,
            barriers: Vec::new(),
            places: HashMap::new(),
        }
    }

    /// Cells become as small as the accesses.
    #[cold]
    fn refine(&mut self, granule: usize) {
        let factor = self.granule / granule;
        let mut cells = Vec::with_capacity(self.bytes.div_ceil(granule) + factor);
        for cell in &self.cells {
            cells.extend(std::iter::repeat_n(*cell, factor));
        }
        self.cells = cells;
        self.granule = granule;
    }

    #[inline(always)]
    fn range(&mut self, address: usize, bytes: usize) -> std::ops::Range<usize> {
        if bytes < self.granule {
            self.refine(bytes);
        }
        address / self.granule..(address + bytes) / self.granule
    }

    #[inline(always)]
    fn epoch(&self, i: &Instruction, lane: usize) -> Epoch {
        let thread = (i.warp * LANES as u32) as u16 + lane as u16;
        Epoch::new(self.generation, i.issue, thread, i.strong, i.line)
    }

    /// Whether an access of this generation is unordered with one that happens now.
    #[inline(always)]
    fn conflicts(&self, before: &Epoch, now: &Epoch) -> bool {
        before.generation() == now.generation()
            && before.thread() != now.thread()
            && self.unordered(before, now)
    }

    #[inline(never)]
    fn unordered(&self, before: &Epoch, now: &Epoch) -> bool {
        let same_instruction = before.issue() == now.issue() && before.thread() / 32 == now.thread() / 32;
        if before.strong() && now.strong() || same_instruction {
            return false;
        }
        let clock = &self.classes[usize::from(self.class_of[usize::from(now.thread())])].clock;
        !self.ordered || clock[usize::from(before.thread())] < before.issue()
    }

    /// A lane reads bytes (1, 2, or a multiple of 4, aligned and in bounds).
    #[inline(always)]
    pub fn read(&mut self, address: usize, bytes: usize, i: &Instruction, lane: usize) -> Option<Race> {
        let now = self.epoch(i, lane);
        let mut race = None;
        for c in self.range(address, bytes) {
            let cell = self.cells[c];
            if self.conflicts(&cell.write, &now) {
                race = Some(Race { other: cell.write, other_wrote: true });
            }
            let [first, _] = cell.reads;
            // The first read is replaced if it is ordered before this one, which then stands for both.
            let replaces = first.generation() != now.generation()
                || first.thread() == now.thread() && first.strong() >= now.strong()
                || self.ordered
                    && !self.conflicts(&first, &now)
                    && first.strong() == now.strong()
                    && first.issue() != now.issue();
            self.cells[c].reads[usize::from(!replaces)] = now;
        }
        race
    }

    /// A lane writes bytes. `Ok(true)`: another lane of the same instruction has written there too.
    #[inline(always)]
    pub fn write(
        &mut self,
        address: usize,
        bytes: usize,
        i: &Instruction,
        lane: usize,
    ) -> Result<bool, Race> {
        let now = self.epoch(i, lane);
        let (mut race, mut twice) = (None, false);
        for c in self.range(address, bytes) {
            let Cell { write, reads: [first, second] } = self.cells[c];
            if self.conflicts(&write, &now) {
                race = Some(Race { other: write, other_wrote: true });
            } else if self.conflicts(&first, &now) {
                race = Some(Race { other: first, other_wrote: false });
            } else if self.conflicts(&second, &now) {
                race = Some(Race { other: second, other_wrote: false });
            }
            twice |= write.generation() == now.generation()
                && write.issue() == now.issue()
                && write.thread() != now.thread()
                && write.thread() / 32 == now.thread() / 32;
            self.cells[c] = Cell { write: now, reads: [Epoch::default(); 2] };
        }
        race.map_or(Ok(twice), Err)
    }

    /// Whether some lanes of a warp may be ordered behind a write and others not.
    pub fn has_order(&self) -> bool {
        self.ordered
    }

    /// All lanes of a warp read consecutive values of `W` bytes. `false`: there may be a race, look at each lane.
    #[inline(always)]
    pub fn read_run<const W: usize>(&mut self, address: usize, i: &Instruction) -> bool {
        let range = self.range(address, W);
        let (first, per_lane) = (range.start, range.len());
        if self.ordered {
            return false;
        }
        let now = self.epoch(i, 0);
        let base = now.thread();
        let cells = &mut self.cells[first..first + LANES * per_lane];
        let mut suspicious = false;
        for (lane, cells) in cells.chunks_exact(per_lane).enumerate() {
            for Cell { write, .. } in cells {
                suspicious |= write.generation() == now.generation() && write.thread() != base + lane as u16;
            }
        }
        if suspicious {
            return false;
        }
        for (lane, cells) in cells.chunks_exact_mut(per_lane).enumerate() {
            let now = now.of_lane(lane);
            for Cell { reads, .. } in cells {
                let other = reads[0].generation() == now.generation() && reads[0].thread() != now.thread();
                reads[usize::from(other)] = now;
            }
        }
        true
    }

    /// All lanes of a warp write consecutive values of `W` bytes. `false`: nothing is done, look at each lane.
    #[inline(always)]
    pub fn write_run<const W: usize>(&mut self, address: usize, i: &Instruction) -> bool {
        let range = self.range(address, W);
        let (first, per_lane) = (range.start, range.len());
        let now = self.epoch(i, 0);
        let base = now.thread();
        let cells = &mut self.cells[first..first + LANES * per_lane];
        let mut suspicious = false;
        for (lane, cells) in cells.chunks_exact(per_lane).enumerate() {
            let foreign = |e: &Epoch| e.generation() == now.generation() && e.thread() != base + lane as u16;
            for Cell { write, reads: [first, second] } in cells {
                suspicious |= foreign(write) | foreign(first) | foreign(second);
            }
        }
        if suspicious {
            return false;
        }
        for (lane, cells) in cells.chunks_exact_mut(per_lane).enumerate() {
            let now = now.of_lane(lane);
            cells.fill(Cell { write: now, reads: [Epoch::default(); 2] });
        }
        true
    }

    fn threads_of(warp: usize, lanes: Mask) -> impl Iterator<Item = usize> {
        (0..LANES).filter(move |l| lanes >> l & 1 != 0).map(move |l| warp * LANES + l)
    }

    /// Puts threads into one class that knows what all of them know, what `more` says and, if there is an `issue`, what
    /// they have done up to it.
    fn unite(&mut self, warp: usize, lanes: Mask, more: &[u32], issue: Option<u32>) {
        let Some(first) = Self::threads_of(warp, lanes).next() else { return };
        let home = usize::from(self.class_of[first]);
        let together = Self::threads_of(warp, lanes).all(|t| usize::from(self.class_of[t]) == home);
        let target = if together && self.classes[home].members == lanes.count_ones() {
            home
        } else {
            let mut clock = self.classes[home].clock.clone();
            for thread in Self::threads_of(warp, lanes) {
                let class = usize::from(self.class_of[thread]);
                if class != home {
                    join(&mut clock, &self.classes[class].clock);
                }
            }
            for thread in Self::threads_of(warp, lanes) {
                let class = usize::from(self.class_of[thread]);
                self.classes[class].members -= 1;
                if self.classes[class].members == 0 {
                    self.free.push(class);
                }
            }
            let new = Class { clock, members: lanes.count_ones() };
            let target = match self.free.pop() {
                Some(free) => {
                    self.classes[free] = new;
                    free
                }
                None => {
                    self.classes.push(new);
                    self.classes.len() - 1
                }
            };
            for thread in Self::threads_of(warp, lanes) {
                self.class_of[thread] = target as u16;
            }
            target
        };
        let clock = &mut self.classes[target].clock;
        join(clock, more);
        if let Some(issue) = issue {
            for thread in Self::threads_of(warp, lanes) {
                clock[thread] = clock[thread].max(issue);
            }
        }
        self.ordered = true;
    }

    /// Adds what threads know and have done to a clock.
    fn release_to(&self, clock: &mut Vec<u32>, warp: usize, lanes: Mask, issue: u32) {
        clock.resize(self.threads, 0);
        let mut last = usize::MAX;
        for thread in Self::threads_of(warp, lanes) {
            let class = usize::from(self.class_of[thread]);
            if class != last {
                join(clock, &self.classes[class].clock);
                last = class;
            }
        }
        for thread in Self::threads_of(warp, lanes) {
            clock[thread] = clock[thread].max(issue);
        }
    }

    /// `bar.warp.sync`.
    pub fn warp_sync(&mut self, warp: usize, lanes: Mask, issue: u32) {
        self.unite(warp, lanes, &[], Some(issue));
    }

    /// Lanes come to a barrier; those that do not wait there only release.
    pub fn barrier_arrive(&mut self, index: usize, warp: usize, lanes: Mask, issue: u32, waits: bool) {
        if self.barriers.len() <= index {
            self.barriers.resize(index + 1, (Vec::new(), Vec::new()));
        }
        let (mut clock, mut waiting) = std::mem::take(&mut self.barriers[index]);
        self.release_to(&mut clock, warp, lanes, issue);
        waiting.resize(self.threads / LANES, 0);
        waiting[warp] |= if waits { lanes } else { 0 };
        self.barriers[index] = (clock, waiting);
    }

    /// A barrier is complete. `whole`: all threads of the block that are left took part.
    pub fn barrier_complete(&mut self, index: usize, participants: &[Mask], whole: bool) {
        let Some(barrier) = self.barriers.get_mut(index) else { return };
        let (clock, waiting) = std::mem::take(barrier);
        if whole && participants == waiting {
            self.begin_generation();
            return;
        }
        for (warp, &lanes) in waiting.iter().enumerate() {
            self.unite(warp, lanes, &clock, None);
        }
    }

    fn begin_generation(&mut self) {
        match self.generation.checked_add(1) {
            Some(next) => self.generation = next,
            None => {
                self.cells.fill(Cell::default());
                self.generation = 1;
            }
        }
        if self.ordered {
            self.classes.truncate(1);
            self.classes[0].clock.fill(0);
            self.classes[0].members = self.threads as u32;
            self.free.clear();
            self.class_of.fill(0);
            self.ordered = false;
        }
    }

    /// What lanes have done is ordered before whoever acquires from this place.
    pub fn release(&mut self, place: u64, warp: usize, lanes: Mask, issue: u32) {
        let mut clock = self.places.remove(&place).unwrap_or_default();
        self.release_to(&mut clock, warp, lanes, issue);
        self.places.insert(place, clock);
    }

    /// What was released to this place is ordered before what lanes do from now on.
    pub fn acquire(&mut self, place: u64, warp: usize, lanes: Mask) {
        if let Some(clock) = self.places.remove(&place) {
            self.unite(warp, lanes, &clock, None);
            self.places.insert(place, clock);
        }
    }
}

/// Takes the later of each; `other` may be empty.
fn join(clock: &mut [u32], other: &[u32]) {
    for (a, &b) in clock.iter_mut().zip(other) {
        *a = (*a).max(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(warp: u32, issue: u32) -> Instruction {
        Instruction { warp, issue, line: 10 + issue, strong: false }
    }

    fn whole(races: &mut Races, warps: usize, issue: u32) {
        for warp in 0..warps {
            races.barrier_arrive(0, warp, Mask::MAX, issue, true);
        }
        races.barrier_complete(0, &vec![Mask::MAX; warps], true);
    }

    #[test]
    fn barriers_of_the_block_order_everything() {
        let mut races = Races::new(64, 2);
        assert_eq!(races.write(8, 4, &at(0, 1), 3), Ok(false));
        let race = races.read(8, 4, &at(1, 1), 0).unwrap();
        assert_eq!((race.other.thread(), race.other.line(), race.other_wrote), (3, 11, true));
        whole(&mut races, 2, 2);
        assert_eq!(races.read(8, 4, &at(1, 3), 0), None);
        assert!(races.write(8, 4, &at(0, 3), 0).is_err());
    }

    #[test]
    fn bytes_of_a_word_are_apart() {
        let mut races = Races::new(8, 1);
        assert_eq!(races.write(0, 4, &at(0, 1), 0), Ok(false));
        assert!(races.write(1, 1, &at(0, 2), 1).is_err());
        assert_eq!(races.write(5, 1, &at(0, 3), 1), Ok(false));
        assert_eq!(races.write(6, 2, &at(0, 4), 2), Ok(false));
    }

    #[test]
    fn lanes_of_a_warp_need_a_barrier() {
        let mut races = Races::new(8, 2);
        assert_eq!(races.write(0, 4, &at(0, 1), 0), Ok(false));
        assert!(races.read(0, 4, &at(0, 2), 1).is_some());
        races.warp_sync(0, 0b11, 3);
        assert_eq!(races.read(0, 4, &at(0, 4), 1), None);
        assert!(races.read(0, 4, &at(0, 5), 2).is_some(), "lane 2 took no part");
        races.warp_sync(0, 0b110, 6);
        assert_eq!(races.read(0, 4, &at(0, 7), 2), None, "lane 1 has told lane 2");
        assert!(races.read(0, 4, &at(1, 7), 2).is_some(), "the other warp knows nothing");
    }

    #[test]
    fn the_same_instruction_and_atomics_do_not_race() {
        let mut races = Races::new(8, 2);
        assert_eq!(races.write(0, 4, &at(0, 1), 0), Ok(false));
        assert_eq!(races.write(0, 4, &at(0, 1), 1), Ok(true));
        let strong = |warp| Instruction { strong: true, ..at(warp, 1) };
        assert_eq!(races.write(4, 4, &strong(0), 0), Ok(false));
        assert_eq!(races.write(4, 4, &strong(1), 0), Ok(false));
        assert!(races.read(4, 4, &at(0, 2), 9).is_some());
    }

    #[test]
    fn a_read_is_not_forgotten() {
        let mut races = Races::new(4, 3);
        for warp in 0..3 {
            assert_eq!(races.read(0, 4, &at(warp, 1), 0), None);
        }
        let race = races.write(0, 4, &at(0, 2), 0).unwrap_err();
        assert!(!race.other_wrote && race.other.thread() != 0);
    }

    #[test]
    fn named_barriers_join_their_participants() {
        let mut races = Races::new(8, 3);
        assert_eq!(races.write(0, 4, &at(0, 1), 0), Ok(false));
        races.barrier_arrive(1, 0, Mask::MAX, 2, false);
        assert_eq!(races.write(4, 4, &at(0, 3), 0), Ok(false));
        races.barrier_arrive(1, 1, Mask::MAX, 2, true);
        races.barrier_complete(1, &[Mask::MAX, Mask::MAX, 0], false);
        assert_eq!(races.read(0, 4, &at(1, 3), 7), None);
        assert!(races.read(0, 4, &at(2, 3), 7).is_some(), "warp 2 took no part");
        assert!(races.read(4, 4, &at(1, 4), 7).is_some(), "written after the arrival");
    }

    #[test]
    fn places_order_release_before_acquire() {
        let mut races = Races::new(8, 2);
        assert_eq!(races.write(0, 4, &at(0, 1), 0), Ok(false));
        races.release(64, 0, 1, 2);
        races.acquire(64, 1, 1);
        assert_eq!(races.read(0, 4, &at(1, 3), 0), None);
        assert!(races.read(0, 4, &at(1, 3), 1).is_some());
    }
}
