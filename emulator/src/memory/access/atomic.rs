//! Values that are read and written in one step.

use super::checked::{Staged, are_readable, by_space};
use super::traffic::count;
use crate::fault::{FaultKind, Stop};
use crate::ptx::types::Space;
use crate::state::cx::Cx;
use crate::state::registers::{LANES, Mask, lanes};

impl Cx<'_> {
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
