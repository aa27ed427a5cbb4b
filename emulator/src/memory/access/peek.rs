//! Reading memory as a lane sees it, past all checks and counts.

use crate::memory::space::{space_of, window};
use crate::ptx::types::Space;
use crate::state::cx::Cx;

impl Cx<'_> {
    /// Reads bytes at a generic address as a lane sees them; `false` where nothing lies.
    pub fn peek(&self, lane: usize, address: u64, out: &mut [u8]) -> bool {
        let space = space_of(address);
        let offset = address - window(space);
        let memory = &self.launch.memory;
        let from = match space {
            Space::Const => memory.constants,
            Space::Param => memory.parameters,
            Space::Shared => return self.block.memory.peek(offset, out).is_some(),
            Space::Local => {
                let local = &self.warp.memory;
                let fits =
                    offset.checked_add(out.len() as u64).is_some_and(|end| end <= local.bytes_per_lane());
                if fits {
                    local.peek_local(lane, offset, out);
                }
                return fits;
            }
            Space::Generic | Space::Global => return memory.global.read(address, out),
        };
        let bytes = from.get(offset as usize..).and_then(|rest| rest.get(..out.len()));
        if let Some(bytes) = bytes {
            out.copy_from_slice(bytes);
        }
        bytes.is_some()
    }
}
