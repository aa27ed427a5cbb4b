//! Loads and stores of a warp: every lane is checked, and everything is counted.

use super::asynchronous::CopyRequest;
use super::global::{GlobalMemory, state};
use super::race::Instruction;
use super::shared::Trouble;
use super::{banks, space_of, window};
use crate::counters::{GlobalTraffic, SharedTraffic, Traffic};
use crate::exec::cx::Cx;
use crate::exec::registers::{LANES, Mask};
use crate::fault::{FaultKind, Stop};
use crate::ptx::types::Space;

/// The bytes that each lane loads or stores.
pub type Staged<const W: usize> = [[u8; W]; LANES];

/// How memory is accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    pub space: Space,
    /// Volatile, relaxed, acquiring or releasing: such accesses do not race with each other.
    pub strong: bool,
}

const SPACES: [Space; 5] = [Space::Global, Space::Shared, Space::Local, Space::Const, Space::Param];

/// Whether lanes access consecutive values of `W` bytes.
#[inline(always)]
fn are_consecutive<const W: usize>(addresses: &[u64; LANES]) -> bool {
    let mut wrong = 0;
    for i in 0..LANES {
        wrong |= addresses[i].wrapping_sub(addresses[0]) ^ (i * W) as u64;
    }
    wrong == 0
}

/// Whether all lanes access the same address.
#[inline(always)]
fn are_equal(addresses: &[u64; LANES]) -> bool {
    let mut wrong = 0;
    for i in 0..LANES {
        wrong |= addresses[i] ^ addresses[0];
    }
    wrong == 0
}

/// The lanes of a mask, in order.
#[inline(always)]
pub fn lanes(mut mask: Mask) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        (mask != 0).then(|| {
            let lane = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            lane
        })
    })
}

/// Whether bytes with these states may be read.
#[inline(always)]
fn are_readable(states: &[u8], uninitialized: bool) -> bool {
    let (mut wrong, mut worst) = (0, 0);
    for &s in states {
        wrong |= s ^ state::WRITTEN;
        worst |= s.wrapping_sub(state::UNWRITTEN) & !1;
    }
    if uninitialized { wrong == 0 } else { worst == 0 }
}

/// Whether bytes with these states may be written.
#[inline(always)]
fn are_writable(states: &[u8]) -> bool {
    are_readable(states, false)
}

impl Cx<'_> {
    /// Loads `W` bytes per lane of `mask`. Lanes whose load is reported get zeros.
    #[inline(always)]
    pub fn load<const W: usize>(
        &mut self,
        way: Way,
        addresses: &[u64; LANES],
        mask: Mask,
        out: &mut Staged<W>,
    ) -> Result<(), Stop> {
        match way.space {
            Space::Global => self.load_global(addresses, mask, out),
            Space::Shared => self.load_shared(way, addresses, mask, out),
            Space::Generic => self.load_generic(way, addresses, mask, out),
            space => self.load_other(space, addresses, mask, out),
        }
    }

    /// Stores `W` bytes per lane of `mask`, in the order of lanes. What is reported is not stored.
    #[inline(always)]
    pub fn store<const W: usize>(
        &mut self,
        way: Way,
        addresses: &[u64; LANES],
        mask: Mask,
        value: &Staged<W>,
    ) -> Result<(), Stop> {
        match way.space {
            Space::Global => self.store_global(addresses, mask, value),
            Space::Shared => self.store_shared(way, addresses, mask, value),
            Space::Generic => self.store_generic(way, addresses, mask, value),
            space => self.store_other(space, addresses, mask, value),
        }
    }

    #[inline(always)]
    fn load_generic<const W: usize>(
        &mut self,
        way: Way,
        addresses: &[u64; LANES],
        mask: Mask,
        out: &mut Staged<W>,
    ) -> Result<(), Stop> {
        for (space, mask, addresses) in by_space(addresses, mask).into_iter().flatten() {
            self.load(Way { space, ..way }, &addresses, mask, out)?;
        }
        Ok(())
    }

    #[inline(always)]
    fn store_generic<const W: usize>(
        &mut self,
        way: Way,
        addresses: &[u64; LANES],
        mask: Mask,
        value: &Staged<W>,
    ) -> Result<(), Stop> {
        for (space, mask, addresses) in by_space(addresses, mask).into_iter().flatten() {
            self.store(Way { space, ..way }, &addresses, mask, value)?;
        }
        Ok(())
    }

    #[inline(always)]
    fn load_global<const W: usize>(
        &mut self,
        addresses: &[u64; LANES],
        mask: Mask,
        out: &mut Staged<W>,
    ) -> Result<(), Stop> {
        let memory = self.launch.memory.global;
        let check = self.launch.checks.uninitialized;
        let start = addresses[0];
        if mask == Mask::MAX && start.is_multiple_of(W as u64) && memory.maps(start, (LANES * W) as u64) {
            if are_consecutive::<W>(addresses) {
                let mut states = [[0; W]; LANES];
                memory.load::<true>(start, states.as_flattened_mut());
                if are_readable(states.as_flattened(), check) {
                    memory.load::<false>(start, out.as_flattened_mut());
                    self.count_run::<W>(start, false);
                    return Ok(());
                }
            } else if are_equal(addresses) && are_readable(&memory.get::<true, W>(start), check) {
                *out = [memory.get::<false, W>(start); LANES];
                self.count_global(addresses, 1, LANES, W, false);
                return Ok(());
            }
        }
        let mut good = 0;
        for lane in lanes(mask) {
            let address = addresses[lane];
            let fits = address.is_multiple_of(W as u64) && memory.maps(address, W as u64);
            if fits && are_readable(&memory.get::<true, W>(address), check) {
                out[lane] = memory.get::<false, W>(address);
                good |= 1 << lane;
            } else {
                out[lane] = [0; W];
                self.report_global(lane, address, W, "read", check)?;
            }
        }
        self.count_global(addresses, good, good.count_ones() as usize, W, false);
        Ok(())
    }

    #[inline(always)]
    fn store_global<const W: usize>(
        &mut self,
        addresses: &[u64; LANES],
        mask: Mask,
        value: &Staged<W>,
    ) -> Result<(), Stop> {
        let memory = self.launch.memory.global;
        let start = addresses[0];
        if mask == Mask::MAX
            && start.is_multiple_of(W as u64)
            && memory.maps(start, (LANES * W) as u64)
            && are_consecutive::<W>(addresses)
        {
            let mut states = [[0; W]; LANES];
            memory.load::<true>(start, states.as_flattened_mut());
            if are_writable(states.as_flattened()) {
                if !are_readable(states.as_flattened(), true) {
                    memory.fill_shadow(start, (LANES * W) as u64, state::WRITTEN);
                }
                memory.store::<false>(start, value.as_flattened());
                self.count_run::<W>(start, true);
                return Ok(());
            }
        }
        let mut good = 0;
        for lane in lanes(mask) {
            let address = addresses[lane];
            if self.may_write_global::<W>(lane, address)? {
                memory.put::<false, W>(address, &value[lane]);
                good |= 1 << lane;
            }
        }
        self.count_global(addresses, good, good.count_ones() as usize, W, true);
        Ok(())
    }

    /// Checks a write, and marks the bytes as written.
    #[inline(always)]
    fn may_write_global<const W: usize>(&self, lane: usize, address: u64) -> Result<bool, Stop> {
        let memory = self.launch.memory.global;
        let fits = address.is_multiple_of(W as u64) && memory.maps(address, W as u64);
        if fits && are_writable(&memory.get::<true, W>(address)) {
            memory.put::<true, W>(address, &[state::WRITTEN; W]);
            return Ok(true);
        }
        self.report_global(lane, address, W, "write", false)?;
        Ok(false)
    }

    /// Says what is wrong with an access to global memory.
    #[cold]
    pub(super) fn report_global(
        &self,
        lane: usize,
        address: u64,
        bytes: usize,
        verb: &str,
        uninitialized: bool,
    ) -> Result<(), Stop> {
        let memory = self.launch.memory.global;
        if !address.is_multiple_of(bytes as u64) {
            return self.report_misaligned(lane, Space::Global, address, bytes, verb);
        }
        let mut states = [0; 32];
        let states = &mut states[..bytes];
        if memory.maps(address, bytes as u64) {
            memory.load::<true>(address, states);
        }
        let what = format!("{verb} of {bytes} bytes of global memory");
        let (kind, detail) = if states.contains(&state::FREED) {
            (FaultKind::UseAfterFree, format!("{what} that was freed"))
        } else if states.contains(&state::UNALLOCATED) {
            (FaultKind::OutOfBounds, format!("{what} outside every allocation{}", nearby(memory, address)))
        } else if uninitialized {
            let first = states.iter().position(|&s| s == state::UNWRITTEN).unwrap_or(0);
            let detail = format!("{what}, whose byte {first} nothing has written{}", nearby(memory, address));
            (FaultKind::Uninitialized, detail)
        } else {
            // Another thread has changed the state since it was found wrong.
            return Ok(());
        };
        self.report(kind, lane, Some(address), detail)
    }

    #[cold]
    fn report_misaligned(
        &self,
        lane: usize,
        space: Space,
        address: u64,
        bytes: usize,
        verb: &str,
    ) -> Result<(), Stop> {
        let detail = format!("{verb} of {bytes} bytes of {} memory at no multiple of {bytes}", space.name());
        self.report(FaultKind::Misaligned, lane, Some(address), detail)
    }

    #[inline(always)]
    fn count_run<const W: usize>(&mut self, start: u64, stores: bool) {
        let bytes = (LANES * W) as u64;
        let memory = &self.launch.memory;
        let (traffic, touched) = match stores {
            true => (&mut self.counters.global_stores, &memory.stored),
            false => (&mut self.counters.global_loads, &memory.loaded),
        };
        traffic.requests += 1;
        traffic.bytes += bytes;
        traffic.used_bytes += bytes;
        traffic.sectors += (start + bytes - 1) / SECTOR - start / SECTOR + 1;
        traffic.distinct_bytes += touched.add(start, bytes);
    }

    /// Counts accesses of lanes to global memory; `accesses` of them there were, if several stand for one lane of `mask`.
    fn count_global(
        &mut self,
        addresses: &[u64; LANES],
        mask: Mask,
        accesses: usize,
        bytes: usize,
        stores: bool,
    ) {
        let memory = &self.launch.memory;
        let (traffic, touched): (&mut GlobalTraffic, _) = match stores {
            true => (&mut self.counters.global_stores, &memory.stored),
            false => (&mut self.counters.global_loads, &memory.loaded),
        };
        traffic.requests += 1;
        traffic.bytes += (accesses * bytes) as u64;
        let (mut seen, mut sectors) = (Distinct::default(), Distinct::default());
        for lane in lanes(mask) {
            let address = addresses[lane];
            if seen.add(address) {
                sectors.add(address / SECTOR);
                traffic.distinct_bytes += touched.add(address, bytes as u64);
            }
        }
        traffic.used_bytes += (seen.count * bytes) as u64;
        traffic.sectors += sectors.count as u64;
    }

    /// Counts what copies read of global memory.
    pub(super) fn count_copy_sources(&mut self, request: &CopyRequest, mask: Mask) {
        if mask == 0 {
            return;
        }
        let traffic = &mut self.counters.global_loads;
        traffic.requests += 1;
        let (mut seen, mut sectors) = (Distinct::default(), Distinct::default());
        for lane in lanes(mask) {
            let (address, bytes) = (request.from[lane], u64::from(request.taken[lane]));
            traffic.bytes += bytes;
            if seen.add(address) {
                traffic.used_bytes += bytes;
                sectors.add(address / SECTOR);
                traffic.distinct_bytes += self.launch.memory.loaded.add(address, bytes);
            }
        }
        traffic.sectors += sectors.count as u64;
    }

    /// The running instruction, as the race detector wants to know it.
    #[inline(always)]
    pub(super) fn instruction(&self, strong: bool) -> Instruction {
        Instruction { warp: self.warp.index, issue: self.warp.clock as u32, line: self.site.line, strong }
    }

    #[inline(always)]
    fn load_shared<const W: usize>(
        &mut self,
        way: Way,
        addresses: &[u64; LANES],
        mask: Mask,
        out: &mut Staged<W>,
    ) -> Result<(), Stop> {
        let instruction = self.instruction(way.strong);
        let start = addresses[0];
        if mask == Mask::MAX && !way.strong && start.is_multiple_of(W as u64) {
            let memory = &mut self.block.memory;
            if are_consecutive::<W>(addresses) {
                if memory.load_run(start, &instruction, out) {
                    count_shared_run::<W>(&mut self.counters.shared_loads);
                    return Ok(());
                }
            } else if are_equal(addresses) && memory.load_equal(start, &instruction, out) {
                count_shared(&mut self.counters.shared_loads, addresses, mask, W);
                return Ok(());
            }
        }
        for lane in lanes(mask) {
            let address = addresses[lane];
            out[lane] = [0; W];
            if !address.is_multiple_of(W as u64) {
                self.report_misaligned(lane, Space::Shared, address, W, "read")?;
                continue;
            }
            match self.block.memory.load(address, &instruction, lane) {
                Ok(value) => out[lane] = value,
                Err(trouble) => self.report_shared(trouble, lane, address, W, "read")?,
            }
        }
        if way.strong {
            self.synchronize(addresses, mask, true, false);
        }
        count_shared(&mut self.counters.shared_loads, addresses, mask, W);
        Ok(())
    }

    #[inline(always)]
    fn store_shared<const W: usize>(
        &mut self,
        way: Way,
        addresses: &[u64; LANES],
        mask: Mask,
        value: &Staged<W>,
    ) -> Result<(), Stop> {
        let instruction = self.instruction(way.strong);
        let start = addresses[0];
        if mask == Mask::MAX
            && !way.strong
            && start.is_multiple_of(W as u64)
            && are_consecutive::<W>(addresses)
            && self.block.memory.store_run(start, &instruction, value)
        {
            count_shared_run::<W>(&mut self.counters.shared_stores);
            return Ok(());
        }
        for lane in lanes(mask) {
            let address = addresses[lane];
            if !address.is_multiple_of(W as u64) {
                self.report_misaligned(lane, Space::Shared, address, W, "write")?;
                continue;
            }
            if let Err(trouble) = self.block.memory.store(address, &value[lane], &instruction, lane) {
                self.report_shared(trouble, lane, address, W, "write")?;
            }
        }
        if way.strong {
            self.synchronize(addresses, mask, false, true);
        }
        count_shared(&mut self.counters.shared_stores, addresses, mask, W);
        Ok(())
    }

    /// Atomics and volatile accesses to shared memory order others, in kernels with fences: what is before a write of a
    /// flag and its fence comes before what follows a read of the flag.
    fn synchronize(&mut self, addresses: &[u64; LANES], mask: Mask, reads: bool, writes: bool) {
        if !self.block.memory.is_fenced() {
            return;
        }
        let (warp, issue) = (self.warp.index as usize, self.warp.clock);
        for lane in lanes(mask) {
            if reads {
                self.block.memory.acquire(addresses[lane], warp, 1 << lane);
            }
            if writes {
                self.block.memory.release(addresses[lane], warp, 1 << lane, issue);
            }
        }
    }

    /// Says what is wrong with an access to shared memory.
    #[cold]
    pub(super) fn report_shared(
        &self,
        trouble: Trouble,
        lane: usize,
        address: u64,
        bytes: usize,
        verb: &str,
    ) -> Result<(), Stop> {
        let what = format!("{verb} of {bytes} bytes of shared memory");
        let (kind, detail) = match trouble {
            Trouble::OutOfBounds => {
                let size = self.block.memory.len();
                (FaultKind::OutOfBounds, format!("{what}, of which the block has {size}"))
            }
            Trouble::Unwritten(byte) => {
                (FaultKind::Uninitialized, format!("{what}, whose byte {byte} nothing has written"))
            }
            Trouble::Pending => {
                let copy = self.block.memory.copies.to(address, bytes);
                let line = copy.map_or(0, |c| c.line);
                (
                    FaultKind::AsyncCopyHazard,
                    format!("{what} to which the cp.async of line {line} is still under way"),
                )
            }
            Trouble::Race(race) => {
                let other = usize::from(race.other.thread());
                let [x, y, z] = self.launch.thread((other / LANES) as u32, other % LANES);
                let did = if race.other_wrote { "written" } else { "read" };
                (
                    FaultKind::SharedRace,
                    format!(
                        "{what} that thread ({x},{y},{z}) has {did} at line {}, with no barrier in between",
                        race.other.line()
                    ),
                )
            }
            Trouble::Contradiction => (
                FaultKind::SharedRace,
                format!("{what} to which another lane of the same instruction writes something else"),
            ),
        };
        self.report(kind, lane, Some(address), detail)
    }

    /// Local, constant and parameter memory.
    #[inline(always)]
    fn load_other<const W: usize>(
        &mut self,
        space: Space,
        addresses: &[u64; LANES],
        mask: Mask,
        out: &mut Staged<W>,
    ) -> Result<(), Stop> {
        for lane in lanes(mask) {
            let address = addresses[lane];
            out[lane] = [0; W];
            if !address.is_multiple_of(W as u64) {
                self.report_misaligned(lane, space, address, W, "read")?;
                continue;
            }
            let memory = &self.launch.memory;
            let found = match space {
                Space::Local => self.warp.memory.load(lane, address),
                Space::Const => piece(memory.constants, address),
                _ => piece(memory.parameters, address),
            };
            match found {
                // Copies of structures take their padding along: one written byte is enough.
                Some((value, known)) if known || !self.launch.checks.uninitialized => out[lane] = value,
                Some(_) => {
                    let detail = format!("read of {W} bytes of local memory that nothing has written");
                    self.report(FaultKind::Uninitialized, lane, Some(address), detail)?;
                }
                None => self.report_outside(space, lane, address, W, "read")?,
            }
        }
        let traffic = match space {
            Space::Local => &mut self.counters.local_loads,
            Space::Const => &mut self.counters.constant_loads,
            _ => &mut self.counters.parameter_loads,
        };
        count(traffic, mask, W);
        Ok(())
    }

    #[inline(always)]
    fn store_other<const W: usize>(
        &mut self,
        space: Space,
        addresses: &[u64; LANES],
        mask: Mask,
        value: &Staged<W>,
    ) -> Result<(), Stop> {
        for lane in lanes(mask) {
            let address = addresses[lane];
            if space != Space::Local {
                let detail = format!("write of {W} bytes of {} memory", space.name());
                self.report(FaultKind::ReadOnly, lane, Some(address), detail)?;
            } else if !address.is_multiple_of(W as u64) {
                self.report_misaligned(lane, space, address, W, "write")?;
            } else if self.warp.memory.store(lane, address, &value[lane]).is_none() {
                self.report_outside(space, lane, address, W, "write")?;
            }
        }
        count(&mut self.counters.local_stores, mask, W);
        Ok(())
    }

    #[cold]
    fn report_outside(
        &self,
        space: Space,
        lane: usize,
        address: u64,
        bytes: usize,
        verb: &str,
    ) -> Result<(), Stop> {
        let memory = &self.launch.memory;
        let size = match space {
            Space::Local => self.warp.memory.bytes_per_lane(),
            Space::Const => memory.constants.len() as u64,
            _ => memory.parameters.len() as u64,
        };
        let detail = format!("{verb} of {bytes} bytes of {} memory, of which there are {size}", space.name());
        self.report(FaultKind::OutOfBounds, lane, Some(address), detail)
    }

    /// Changes a value of each lane in one step, in the order of lanes, and gives what it was. `change` gets the lane and
    /// the old value.
    #[inline(always)]
    pub fn update<const W: usize>(
        &mut self,
        space: Space,
        addresses: &[u64; LANES],
        mask: Mask,
        old: &mut Staged<W>,
        change: impl Fn(usize, [u8; W]) -> [u8; W],
    ) -> Result<(), Stop> {
        if space == Space::Generic {
            for (space, mask, addresses) in by_space(addresses, mask).into_iter().flatten() {
                self.update_in(space, &addresses, mask, old, &change)?;
            }
            return Ok(());
        }
        self.update_in(space, addresses, mask, old, &change)
    }

    fn update_in<const W: usize>(
        &mut self,
        space: Space,
        addresses: &[u64; LANES],
        mask: Mask,
        old: &mut Staged<W>,
        change: &impl Fn(usize, [u8; W]) -> [u8; W],
    ) -> Result<(), Stop> {
        let instruction = self.instruction(true);
        if space == Space::Shared {
            self.synchronize(addresses, mask, true, true);
        }
        for lane in lanes(mask) {
            let address = addresses[lane];
            old[lane] = [0; W];
            match space {
                Space::Global => {
                    let memory = self.launch.memory.global;
                    let check = self.launch.checks.uninitialized;
                    let fits = address.is_multiple_of(W as u64) && memory.maps(address, W as u64);
                    if fits && are_readable(&memory.get::<true, W>(address), check) {
                        old[lane] = memory.update(address, |old| change(lane, old));
                    } else {
                        self.report_global(lane, address, W, "atomic", check)?;
                    }
                }
                Space::Shared if !address.is_multiple_of(W as u64) => {
                    self.report_misaligned(lane, space, address, W, "atomic")?;
                }
                Space::Shared => {
                    let update = |old| change(lane, old);
                    match self.block.memory.update(address, &instruction, lane, update) {
                        Ok(value) => old[lane] = value,
                        Err(trouble) => self.report_shared(trouble, lane, address, W, "atomic")?,
                    }
                }
                _ => {
                    let detail = format!("an atomic on {} memory", space.name());
                    self.report(FaultKind::Undefined, lane, Some(address), detail)?;
                }
            }
        }
        match space {
            Space::Shared => count(&mut self.counters.shared_atomics, mask, W),
            _ => count(&mut self.counters.global_atomics, mask, W),
        }
        Ok(())
    }
}

/// Bytes of a 32-byte sector, the unit of traffic.
const SECTOR: u64 = 32;

/// Bytes of a read-only memory; they are always known.
fn piece<const W: usize>(memory: &[u8], address: u64) -> Option<([u8; W], bool)> {
    let bytes = memory.get(usize::try_from(address).ok()?..)?.first_chunk()?;
    Some((*bytes, true))
}

fn count(traffic: &mut Traffic, mask: Mask, bytes: usize) {
    traffic.requests += 1;
    traffic.bytes += u64::from(mask.count_ones()) * bytes as u64;
}

fn count_shared(traffic: &mut SharedTraffic, addresses: &[u64; LANES], mask: Mask, bytes: usize) {
    let (taken, ideal) = banks::wavefronts(addresses, bytes, mask);
    traffic.requests += 1;
    traffic.bytes += u64::from(mask.count_ones()) * bytes as u64;
    traffic.wavefronts += taken;
    traffic.ideal_wavefronts += ideal;
}

/// Counts an access to consecutive values, which has no conflicts.
fn count_shared_run<const W: usize>(traffic: &mut SharedTraffic) {
    let parts = W.div_ceil(4) as u64;
    traffic.requests += 1;
    traffic.bytes += (LANES * W) as u64;
    traffic.wavefronts += parts;
    traffic.ideal_wavefronts += parts;
}

/// The allocation that an address misses, in words.
fn nearby(memory: &GlobalMemory, address: u64) -> String {
    match memory.allocation_below(address) {
        Some(a) if address - a.address >= a.bytes => {
            let beyond = address - a.address - a.bytes;
            format!(", {beyond} bytes behind the end of the {} bytes at {:#x}", a.bytes, a.address)
        }
        Some(a) => {
            format!(", at offset {} of the {} bytes at {:#x}", address - a.address, a.bytes, a.address)
        }
        None => String::new(),
    }
}

/// Up to 32 different values.
#[derive(Default)]
struct Distinct {
    values: [u64; LANES],
    count: usize,
    largest: u64,
}

impl Distinct {
    /// Whether it is new.
    #[inline(always)]
    fn add(&mut self, value: u64) -> bool {
        // Most addresses ascend from lane to lane.
        if self.count != 0 && value <= self.largest {
            if value == self.largest || self.values[..self.count].contains(&value) {
                return false;
            }
        } else {
            self.largest = value;
        }
        self.values[self.count] = value;
        self.count += 1;
        true
    }
}

/// Lanes by the space that their generic addresses lie in, with the addresses in that space.
#[inline(always)]
fn by_space(addresses: &[u64; LANES], mask: Mask) -> [Option<(Space, Mask, [u64; LANES])>; 5] {
    let mut masks = [0; 5];
    for lane in lanes(mask) {
        masks[SPACES.iter().position(|&s| s == space_of(addresses[lane])).unwrap_or(0)] |= 1 << lane;
    }
    let mut out = [None; 5];
    for i in 0..5 {
        if masks[i] != 0 {
            let mut inside = *addresses;
            for address in &mut inside {
                *address = address.wrapping_sub(window(SPACES[i]));
            }
            out[i] = Some((SPACES[i], masks[i], inside));
        }
    }
    out
}
