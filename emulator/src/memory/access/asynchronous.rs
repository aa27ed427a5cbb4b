//! `cp.async` and mbarriers, as a warp executes them.
//!
//! A copy takes its data when it begins and delivers them when somebody waits for it, so that whoever reads too early
//! does not find them. In between its destination is marked, and at the end its source must still be what it was.

use crate::fault::{FaultKind, Stop};
use crate::memory::banks;
use crate::memory::copies::{Awaited, Copy};
use crate::memory::global::state;
use crate::memory::mbarrier::{MAX_COUNT, State};
use crate::memory::shared::Trouble;
use crate::memory::space::{space_of, window};
use crate::ptx::types::Space;
use crate::state::cx::Cx;
use crate::state::registers::{LANES, Mask, lanes};

/// What `cp.async` is to do, by lane.
pub struct CopyRequest {
    /// In shared memory.
    pub to: [u64; LANES],
    /// In global memory.
    pub from: [u64; LANES],
    /// 4, 8 or 16.
    pub bytes: usize,
    /// How many of them are taken from the source.
    pub taken: [u32; LANES],
}

/// An arrival at an mbarrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrivalKind {
    /// The arrivals are not awaited in later phases.
    pub drop: bool,
    /// It may complete the phase.
    pub completes: bool,
}

impl Cx<'_> {
    /// Begins copies of the lanes of a mask.
    pub fn begin_copies(&mut self, request: &CopyRequest, mask: Mask) -> Result<(), Stop> {
        let (mut begun, mut reading) = (0, 0);
        for lane in lanes(mask) {
            let Some(data) = self.source_of_copy(request, lane)? else { continue };
            let (to, bytes) = (request.to[lane], request.bytes);
            if !to.is_multiple_of(bytes as u64) {
                let detail = format!("cp.async of {bytes} bytes to shared memory at no multiple of {bytes}");
                self.report(FaultKind::Misaligned, lane, Some(to), detail)?;
                continue;
            }
            let instruction = self.instruction(false);
            let marks = self.launch.checks.async_copies;
            match self.block.memory.begin_copy(to, bytes, &instruction, lane, marks) {
                Ok(()) => {}
                Err(trouble) => {
                    self.report_shared(trouble, lane, to, bytes, "cp.async")?;
                    if matches!(trouble, Trouble::OutOfBounds | Trouble::Pending) {
                        continue;
                    }
                }
            }
            let (from, taken) = (request.from[lane], request.taken[lane] as usize);
            let copy = Copy::new(lane, to, bytes, from, taken, data, self.site.line);
            self.block.memory.copies.begin(self.warp.index as usize, lane, copy);
            begun |= 1 << lane;
            reading |= Mask::from(taken != 0) << lane;
        }
        let traffic = &mut self.counters.async_copies;
        let (wavefronts, ideal) = banks::wavefronts(&request.to, request.bytes, begun);
        traffic.requests += 1;
        traffic.bytes += u64::from(begun.count_ones()) * request.bytes as u64;
        traffic.wavefronts += wavefronts;
        traffic.ideal_wavefronts += ideal;
        self.count_copy_sources(request, reading);
        Ok(())
    }

    /// Reads what a copy takes; `None` if that was reported.
    fn source_of_copy(&self, request: &CopyRequest, lane: usize) -> Result<Option<[u8; 16]>, Stop> {
        let (from, bytes, taken) = (request.from[lane], request.bytes, request.taken[lane] as usize);
        let mut data = [0; 16];
        if taken > bytes {
            let detail = format!("cp.async of {bytes} bytes is to take {taken} from its source");
            self.report(FaultKind::Undefined, lane, Some(from), detail)?;
            return Ok(None);
        }
        if taken == 0 {
            return Ok(Some(data));
        }
        let memory = self.launch.memory.global;
        let fits = from.is_multiple_of(bytes as u64) && memory.maps(from, bytes as u64);
        if fits && taken == 16 && memory.get::<true, 16>(from) == [state::WRITTEN; 16] {
            return Ok(Some(memory.get::<false, 16>(from)));
        }
        if fits {
            let mut states = [0; 16];
            memory.load::<true>(from, &mut states[..taken]);
            let wanted = if self.launch.checks.uninitialized { state::WRITTEN } else { state::UNWRITTEN };
            if states[..taken].iter().all(|&s| s == state::WRITTEN || s == wanted) {
                memory.load::<false>(from, &mut data[..taken]);
                return Ok(Some(data));
            }
        }
        let size = if from.is_multiple_of(bytes as u64) { taken } else { bytes };
        self.report_global(lane, from, size, "cp.async", self.launch.checks.uninitialized)?;
        Ok(None)
    }

    /// What lanes have begun becomes a group.
    pub fn commit_copies(&mut self, mask: Mask) {
        self.block.memory.copies.commit(self.warp.index as usize, mask);
    }

    /// Delivers the copies of lanes in all but their last `but` groups; `None`: all of them.
    pub fn wait_for_copies(&mut self, mask: Mask, but: Option<u32>) -> Result<(), Stop> {
        let warp = self.warp.index as usize;
        for copy in self.block.memory.copies.wait(warp, mask, but) {
            self.deliver(&copy)?;
        }
        Ok(())
    }

    fn deliver(&mut self, copy: &Copy) -> Result<(), Stop> {
        let (lane, taken) = (usize::from(copy.lane), usize::from(copy.taken));
        if self.launch.checks.async_copies && taken != 0 {
            let mut now = [0; 16];
            match taken {
                16 => now = self.launch.memory.global.get::<false, 16>(copy.from),
                _ => self.launch.memory.global.load::<false>(copy.from, &mut now[..taken]),
            }
            if now[..taken] != copy.data[..taken] {
                let detail = format!(
                    "the source of the cp.async of line {}, which had begun and was not waited for, was overwritten",
                    copy.line
                );
                self.report(FaultKind::AsyncCopyHazard, lane, Some(copy.from), detail)?;
            }
        }
        let mut instruction = self.instruction(false);
        if let Some(Awaited { warp, issue, .. }) = copy.awaited {
            // Whoever has waited for the mbarrier comes behind what it was told.
            (instruction.warp, instruction.issue, instruction.line) = (warp, issue, copy.line);
        }
        self.block.memory.end_copy(copy.to, &copy.data[..usize::from(copy.bytes)], &instruction, lane);
        Ok(())
    }

    /// The offset of an mbarrier in shared memory, checked.
    fn mbarrier(&self, space: Space, address: u64, lane: usize) -> Result<Option<u64>, Stop> {
        let offset = match space {
            Space::Generic if space_of(address) == Space::Shared => address - window(Space::Shared),
            Space::Generic => {
                let detail = "an mbarrier outside shared memory".to_string();
                self.report(FaultKind::OutOfBounds, lane, Some(address), detail)?;
                return Ok(None);
            }
            _ => address,
        };
        let (kind, detail) = if !offset.is_multiple_of(8) {
            (FaultKind::Misaligned, "an mbarrier at no multiple of 8".to_string())
        } else if self.block.memory.word(offset).is_none() {
            let size = self.block.memory.len();
            (FaultKind::OutOfBounds, format!("an mbarrier beyond the {size} bytes of shared memory"))
        } else {
            return Ok(Some(offset));
        };
        self.report(kind, lane, Some(offset), detail)?;
        Ok(None)
    }

    /// The same, and its state.
    fn mbarrier_state(&self, space: Space, address: u64, lane: usize) -> Result<Option<(u64, State)>, Stop> {
        let Some(offset) = self.mbarrier(space, address, lane)? else { return Ok(None) };
        if let Some(state) = self.block.memory.word(offset).and_then(State::decode) {
            return Ok(Some((offset, state)));
        }
        let detail = "no mbarrier was initialised here".to_string();
        self.report(FaultKind::Undefined, lane, Some(offset), detail)?;
        Ok(None)
    }

    /// `mbarrier.init`.
    pub fn init_mbarriers(
        &mut self,
        space: Space,
        addresses: &[u64; LANES],
        counts: &[u32; LANES],
        mask: Mask,
    ) -> Result<(), Stop> {
        for lane in lanes(mask) {
            let Some(offset) = self.mbarrier(space, addresses[lane], lane)? else { continue };
            if !(1..=MAX_COUNT).contains(&counts[lane]) {
                let detail = format!("an mbarrier for {} arrivals", counts[lane]);
                self.report(FaultKind::Undefined, lane, Some(offset), detail)?;
                continue;
            }
            self.block.memory.set_word(offset, State::new(counts[lane]).encode());
        }
        Ok(())
    }

    /// `mbarrier.inval`.
    pub fn invalidate_mbarriers(
        &mut self,
        space: Space,
        addresses: &[u64; LANES],
        mask: Mask,
    ) -> Result<(), Stop> {
        for lane in lanes(mask) {
            if let Some((offset, _)) = self.mbarrier_state(space, addresses[lane], lane)? {
                self.block.memory.set_word(offset, 0);
            }
        }
        Ok(())
    }

    /// Arrivals at mbarriers; gives the states before.
    pub fn arrive(
        &mut self,
        space: Space,
        addresses: &[u64; LANES],
        counts: &[u32; LANES],
        kind: ArrivalKind,
        mask: Mask,
    ) -> Result<[u64; LANES], Stop> {
        let mut states = [0; LANES];
        for lane in lanes(mask) {
            let Some((offset, state)) = self.mbarrier_state(space, addresses[lane], lane)? else { continue };
            states[lane] = state.encode();
            self.arrive_once(offset, state, counts[lane], kind, lane)?;
        }
        Ok(states)
    }

    fn arrive_once(
        &mut self,
        offset: u64,
        state: State,
        count: u32,
        kind: ArrivalKind,
        lane: usize,
    ) -> Result<(), Stop> {
        let new = if count == 0 { None } else { state.arrive(count, kind.drop, kind.completes) };
        let Some(new) = new else {
            let detail = format!("{count} arrivals at an mbarrier that waits for {} more", state.pending);
            return self.report(FaultKind::Undefined, lane, Some(offset), detail);
        };
        self.block.memory.set_word(offset, new.encode());
        let (warp, issue) = (self.warp.index as usize, self.warp.clock);
        self.block.memory.release(offset, warp, 1 << lane, issue);
        Ok(())
    }

    /// `cp.async.mbarrier.arrive`: the arrival counts once the copies of the lane are there, and they are there for
    /// whoever has waited for it.
    pub fn arrive_after_copies(
        &mut self,
        space: Space,
        addresses: &[u64; LANES],
        increments: bool,
        mask: Mask,
    ) -> Result<(), Stop> {
        let kind = ArrivalKind { drop: false, completes: true };
        for lane in lanes(mask) {
            let found = self.mbarrier_state(space, addresses[lane], lane)?;
            let Some((offset, mut state)) = found else { continue };
            if increments {
                let Some(more) = state.expect_more(1) else {
                    let detail = format!("more than {MAX_COUNT} arrivals at an mbarrier");
                    self.report(FaultKind::Undefined, lane, Some(offset), detail)?;
                    continue;
                };
                state = more;
            }
            let (warp, issue) = (self.warp.index as usize, self.warp.clock as u32);
            self.block.memory.copies.attach(warp, lane, offset, state.phase, issue);
            self.arrive_once(offset, state, 1, kind, lane)?;
        }
        Ok(())
    }

    /// Whether the phases are complete that lanes wait for. `has_passed` gets the lane and the current state.
    pub fn test_mbarriers(
        &mut self,
        space: Space,
        addresses: &[u64; LANES],
        mask: Mask,
        has_passed: impl Fn(usize, State) -> bool,
    ) -> Result<Mask, Stop> {
        let mut passed = 0;
        let warp = self.warp.index as usize;
        for lane in lanes(mask) {
            let found = self.mbarrier_state(space, addresses[lane], lane)?;
            let Some((offset, state)) = found else {
                // Nobody could ever complete it: do not let the lane wait forever.
                passed |= 1 << lane;
                continue;
            };
            if has_passed(lane, state) {
                passed |= 1 << lane;
                self.block.memory.acquire(offset, warp, 1 << lane);
                for copy in self.block.memory.copies.passed(offset, state.phase) {
                    self.deliver(&copy)?;
                }
            }
        }
        Ok(passed)
    }

    /// `discard.L2`: 128 bytes of global memory become undefined.
    pub fn discard(&mut self, space: Space, addresses: &[u64; LANES], mask: Mask) -> Result<(), Stop> {
        const LINE: u64 = 128;
        for lane in lanes(mask) {
            let address = addresses[lane];
            let memory = self.launch.memory.global;
            if !address.is_multiple_of(LINE) || space == Space::Generic && space_of(address) != Space::Global
            {
                let detail = "discard of something else than 128 aligned bytes of global memory".to_string();
                self.report(FaultKind::Misaligned, lane, Some(address), detail)?;
            } else if memory.contains(address, LINE) {
                memory.fill_shadow(address, LINE, state::UNWRITTEN);
            } else {
                let detail = "discard of 128 bytes outside every allocation".to_string();
                self.report(FaultKind::OutOfBounds, lane, Some(address), detail)?;
            }
        }
        Ok(())
    }
}
