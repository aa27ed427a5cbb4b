//! Address spaces: what lies where, whether it may be touched, and what was touched.
//!
//! Global memory lies at its host addresses; the other spaces have windows at fixed generic addresses. Instructions
//! go through `access`, which finds the memory, checks every lane, and counts.

mod access;
mod asynchronous;
mod atomic;
mod banks;
mod copies;
mod global;
mod heap;
mod local;
mod mbarrier;
mod race;
mod report;
mod shared;
mod touched;
mod traffic;

pub use access::{Staged, Way, lanes};
pub use asynchronous::{ArrivalKind, CopyRequest};
pub use global::GlobalMemory;
pub use heap::{Allocation, Owner};
pub use local::WarpMemory;
pub use mbarrier::{MAX_COUNT, State};
pub use shared::BlockMemory;

use crate::exec::cx::Cx;
use crate::ptx::types::Space;
use copies::Copy;
use touched::Touched;

/// Where the parameters of a kernel lie among generic addresses.
pub const PARAMETER_WINDOW: u64 = 0x7800_0000_0000;

/// Where shared memory lies among generic addresses.
pub const SHARED_WINDOW: u64 = 0x7900_0000_0000;

/// Where constant memory lies among generic addresses.
pub const CONST_WINDOW: u64 = 0x7A00_0000_0000;

/// Where local memory lies among generic addresses.
pub const LOCAL_WINDOW: u64 = 0x7B00_0000_0000;

/// All that is no host address (function pointers follow on local memory).
const WINDOWS_START: u64 = PARAMETER_WINDOW;
const WINDOWS_END: u64 = 0x7D00_0000_0000;

/// Bytes of a window.
const WINDOW: u64 = 1 << 32;

/// Where the window of a space begins; 0 for global memory, whose addresses are generic ones.
pub fn window(space: Space) -> u64 {
    match space {
        Space::Generic | Space::Global => 0,
        Space::Shared => SHARED_WINDOW,
        Space::Const => CONST_WINDOW,
        Space::Local => LOCAL_WINDOW,
        Space::Param => PARAMETER_WINDOW,
    }
}

/// The space that a generic address lies in.
#[inline(always)]
pub fn space_of(address: u64) -> Space {
    if !(WINDOWS_START..WINDOWS_END).contains(&address) {
        return Space::Global;
    }
    let windows = [Space::Param, Space::Shared, Space::Const, Space::Local];
    windows.into_iter().find(|&s| address.wrapping_sub(window(s)) < WINDOW).unwrap_or(Space::Global)
}

/// What a launch sees of device memory: global memory, constants of its module, parameters.
pub struct LaunchMemory<'a> {
    pub global: &'a GlobalMemory,
    pub constants: &'a [u8],
    pub parameters: &'a [u8],
    /// Bytes of global memory that were read and written.
    loaded: Touched,
    stored: Touched,
}

impl<'a> LaunchMemory<'a> {
    /// What a launch sees before it begins.
    pub fn new(
        global: &'a GlobalMemory,
        constants: &'a [u8],
        parameters: &'a [u8],
    ) -> std::io::Result<LaunchMemory<'a>> {
        let (loaded, stored) = (Touched::new(global)?, Touched::new(global)?);
        Ok(LaunchMemory { global, constants, parameters, loaded, stored })
    }
}

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
