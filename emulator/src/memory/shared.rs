//! What belongs to a block: shared memory, its shadow, and copies under way to it.

use super::checks::Checks;
use super::copies::Copies;
use super::global::state;
use super::race::{Instruction, Race, Races};
use crate::state::registers::{LANES, Mask};

/// Shared memory of a block.
pub struct BlockMemory {
    bytes: Vec<u8>,
    /// A state per byte, as of global memory.
    shadow: Vec<u8>,
    races: Option<Races>,
    pub(super) copies: Copies,
    /// Whether a thread has executed a fence: from then on, atomics may order other accesses.
    fenced: bool,
}

/// What is wrong with an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    OutOfBounds,
    /// A byte at this distance was never written.
    Unwritten(usize),
    /// A copy is under way to these bytes.
    Pending,
    Race(Race),
    /// Another lane of the same instruction wrote another value.
    Contradiction,
}

impl BlockMemory {
    /// Shared memory of so many bytes, for so many warps.
    pub fn new(bytes: usize, warps: usize, checks: &Checks) -> Self {
        let unwritten = if checks.uninitialized { state::UNWRITTEN } else { state::WRITTEN };
        BlockMemory {
            bytes: vec![0; bytes],
            shadow: vec![unwritten; bytes],
            races: (checks.races && bytes > 0).then(|| Races::new(bytes, warps)),
            copies: Copies::new(warps),
            fenced: false,
        }
    }

    /// Its size.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the block has no shared memory.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Lanes of a warp come to a barrier, after so many instructions; if they do not wait there, they only tell.
    pub fn barrier_arrive(&mut self, index: usize, warp: usize, lanes: Mask, issue: u64, waits: bool) {
        if let Some(races) = &mut self.races {
            races.barrier_arrive(index, warp, lanes, issue as u32, waits);
        }
    }

    /// A barrier is complete; these lanes of each warp had come, `whole`: which are all that are left.
    pub fn barrier_complete(&mut self, index: usize, participants: &[Mask], whole: bool) {
        if let Some(races) = &mut self.races {
            races.barrier_complete(index, participants, whole);
        }
    }

    /// Lanes of a warp meet.
    pub fn warp_sync(&mut self, warp: usize, lanes: Mask, issue: u64) {
        if let Some(races) = &mut self.races {
            races.warp_sync(warp, lanes, issue as u32);
        }
    }

    /// A thread has executed a fence.
    pub fn fence(&mut self) {
        self.fenced = true;
    }

    /// Whether atomics order other accesses.
    pub fn is_fenced(&self) -> bool {
        self.fenced
    }

    /// What lanes have done comes before what others do who acquire from the same address.
    pub fn release(&mut self, address: u64, warp: usize, lanes: Mask, issue: u64) {
        if let Some(races) = &mut self.races {
            races.release(address, warp, lanes, issue as u32);
        }
    }

    /// What was released to an address comes before what lanes do from now on.
    pub fn acquire(&mut self, address: u64, warp: usize, lanes: Mask) {
        if let Some(races) = &mut self.races {
            races.acquire(address, warp, lanes);
        }
    }

    #[inline(always)]
    fn place(&self, address: u64, bytes: usize) -> Option<usize> {
        let end = address.checked_add(bytes as u64)?;
        (end <= self.bytes.len() as u64).then_some(address as usize)
    }

    /// A lane reads. The bytes are given even if the access is wrong, so far as they exist.
    #[inline(always)]
    pub fn load<const W: usize>(
        &mut self,
        address: u64,
        i: &Instruction,
        lane: usize,
    ) -> Result<[u8; W], Trouble> {
        let at = self.place(address, W).ok_or(Trouble::OutOfBounds)?;
        let mut wrong = 0;
        for byte in &self.shadow[at..at + W] {
            wrong |= byte ^ state::WRITTEN;
        }
        if wrong != 0 {
            return Err(self.trouble(at, W));
        }
        if let Some(races) = &mut self.races
            && let Some(race) = races.read(at, W, i, lane)
        {
            return Err(Trouble::Race(race));
        }
        let mut value = [0; W];
        value.copy_from_slice(&self.bytes[at..at + W]);
        Ok(value)
    }

    /// All lanes read consecutive values from an aligned address on. `false`: something may be wrong, look at each lane.
    #[inline(always)]
    pub fn load_run<const W: usize>(
        &mut self,
        start: u64,
        i: &Instruction,
        out: &mut [[u8; W]; LANES],
    ) -> bool {
        let Some(at) = self.place(start, LANES * W) else { return false };
        let mut wrong = 0;
        for byte in &self.shadow[at..at + LANES * W] {
            wrong |= byte ^ state::WRITTEN;
        }
        if wrong != 0 || self.races.as_mut().is_some_and(|races| !races.read_run::<W>(at, i)) {
            return false;
        }
        out.as_flattened_mut().copy_from_slice(&self.bytes[at..at + LANES * W]);
        true
    }

    /// All lanes read the same value at an aligned address. `false`: look at each lane.
    #[inline(always)]
    pub fn load_equal<const W: usize>(
        &mut self,
        start: u64,
        i: &Instruction,
        out: &mut [[u8; W]; LANES],
    ) -> bool {
        if self.races.as_ref().is_some_and(Races::has_order) {
            return false;
        }
        // Of all reads of a place two are remembered; one of the two lanes did not write it itself.
        let (Ok(value), Ok(_)) = (self.load::<W>(start, i, 0), self.load::<W>(start, i, LANES - 1)) else {
            return false;
        };
        *out = [value; LANES];
        true
    }

    /// All lanes write consecutive values from an aligned address on. `false`: nothing is done, look at each lane.
    #[inline(always)]
    pub fn store_run<const W: usize>(
        &mut self,
        start: u64,
        i: &Instruction,
        value: &[[u8; W]; LANES],
    ) -> bool {
        let Some(at) = self.place(start, LANES * W) else { return false };
        let shadow = &mut self.shadow[at..at + LANES * W];
        let mut all = 0;
        for byte in shadow.iter() {
            all |= *byte;
        }
        if all & state::PENDING != 0 || self.races.as_mut().is_some_and(|races| !races.write_run::<W>(at, i))
        {
            return false;
        }
        shadow.fill(state::WRITTEN);
        self.bytes[at..at + LANES * W].copy_from_slice(value.as_flattened());
        true
    }

    /// Why bytes cannot be read.
    #[cold]
    fn trouble(&self, at: usize, bytes: usize) -> Trouble {
        let states = &self.shadow[at..at + bytes];
        if states.iter().any(|s| s & state::PENDING != 0) {
            return Trouble::Pending;
        }
        Trouble::Unwritten(states.iter().position(|&s| s != state::WRITTEN).unwrap_or(0))
    }

    /// A lane writes. A race is told after the write is done, everything else prevents it.
    #[inline(always)]
    pub fn store<const W: usize>(
        &mut self,
        address: u64,
        value: &[u8; W],
        i: &Instruction,
        lane: usize,
    ) -> Result<(), Trouble> {
        let at = self.place(address, W).ok_or(Trouble::OutOfBounds)?;
        let shadow = &mut self.shadow[at..at + W];
        let mut all = 0;
        for byte in shadow.iter() {
            all |= *byte;
        }
        if all & state::PENDING != 0 {
            return Err(Trouble::Pending);
        }
        shadow.fill(state::WRITTEN);
        let written = self.races.as_mut().map_or(Ok(false), |races| races.write(at, W, i, lane));
        let bytes = &mut self.bytes[at..at + W];
        if written == Ok(true) && !i.strong && bytes != value {
            return Err(Trouble::Contradiction);
        }
        bytes.copy_from_slice(value);
        written.map(|_| ()).map_err(Trouble::Race)
    }

    /// Reads and writes in one step: an atomic.
    pub fn update<const W: usize>(
        &mut self,
        address: u64,
        i: &Instruction,
        lane: usize,
        change: impl FnOnce([u8; W]) -> [u8; W],
    ) -> Result<[u8; W], Trouble> {
        let old = self.load(address, i, lane)?;
        self.store(address, &change(old), i, lane)?;
        Ok(old)
    }

    /// Bytes as they are, unchecked by the checks.
    pub fn peek(&self, address: u64, out: &mut [u8]) -> Option<()> {
        let at = self.place(address, out.len())?;
        out.copy_from_slice(&self.bytes[at..at + out.len()]);
        Some(())
    }

    /// An mbarrier object, whose accesses order others and do not race: its 8 bytes, if they exist.
    pub fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.peek(address, &mut bytes)?;
        Some(u64::from_le_bytes(bytes))
    }

    /// Changes an mbarrier object.
    pub fn set_word(&mut self, address: u64, value: u64) -> Option<()> {
        let at = self.place(address, 8)?;
        self.bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        self.shadow[at..at + 8].fill(state::WRITTEN);
        Some(())
    }

    /// Marks bytes as the destination of a copy under way, or reports that they are one already.
    pub(super) fn begin_copy(
        &mut self,
        address: u64,
        bytes: usize,
        i: &Instruction,
        lane: usize,
        marks: bool,
    ) -> Result<(), Trouble> {
        let at = self.place(address, bytes).ok_or(Trouble::OutOfBounds)?;
        if self.shadow[at..at + bytes].iter().any(|s| s & state::PENDING != 0) {
            return Err(Trouble::Pending);
        }
        let written = self.races.as_mut().map_or(Ok(false), |races| races.write(at, bytes, i, lane));
        if marks {
            self.shadow[at..at + bytes].iter_mut().for_each(|s| *s |= state::PENDING);
        }
        match written {
            Err(race) => Err(Trouble::Race(race)),
            Ok(true) => Err(Trouble::Contradiction),
            Ok(false) => Ok(()),
        }
    }

    /// The data of a copy arrive. It was in bounds when it began.
    pub(super) fn end_copy(&mut self, address: u64, data: &[u8], i: &Instruction, lane: usize) {
        let Some(at) = self.place(address, data.len()) else { return };
        self.shadow[at..at + data.len()].fill(state::WRITTEN);
        self.bytes[at..at + data.len()].copy_from_slice(data);
        if let Some(races) = &mut self.races {
            // Who touched the destination meanwhile has been reported.
            let _ = races.write(at, data.len(), i, lane);
        }
    }
}
