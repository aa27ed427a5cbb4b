//! What is said of accesses that are wrong.

use crate::fault::{FaultKind, Stop};
use crate::memory::global::{GlobalMemory, state};
use crate::memory::shared::Trouble;
use crate::ptx::types::Space;
use crate::state::cx::Cx;
use crate::state::registers::LANES;

impl Cx<'_> {
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
    pub(super) fn report_misaligned(
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

    #[cold]
    pub(super) fn report_outside(
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
