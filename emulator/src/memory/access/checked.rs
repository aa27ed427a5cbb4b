//! Loads and stores of a warp: every lane is checked, and everything is counted.

use super::traffic::{count, count_shared, count_shared_run};
use crate::fault::{FaultKind, Stop};
use crate::memory::global::state;
use crate::memory::race::Instruction;
use crate::memory::space::{space_of, window};
use crate::ptx::types::Space;
use crate::state::cx::Cx;
use crate::state::registers::{LANES, Mask, lanes};

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

/// Whether bytes with these states may be read.
#[inline(always)]
pub(super) fn are_readable(states: &[u8], uninitialized: bool) -> bool {
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
    pub(super) fn synchronize(&mut self, addresses: &[u64; LANES], mask: Mask, reads: bool, writes: bool) {
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
}

/// Bytes of a read-only memory; they are always known.
fn piece<const W: usize>(memory: &[u8], address: u64) -> Option<([u8; W], bool)> {
    let bytes = memory.get(usize::try_from(address).ok()?..)?.first_chunk()?;
    Some((*bytes, true))
}

/// Lanes by the space that their generic addresses lie in, with the addresses in that space.
#[inline(always)]
pub(super) fn by_space(addresses: &[u64; LANES], mask: Mask) -> [Option<(Space, Mask, [u64; LANES])>; 5] {
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
