//! Where the address spaces lie among generic addresses. Global memory lies at its host addresses; the others have
//! windows.

use crate::ptx::types::Space;

/// Where the parameters of a kernel lie among generic addresses.
pub const PARAMETER_WINDOW: u64 = 0x7800_0000_0000;

/// Where shared memory lies among generic addresses.
pub const SHARED_WINDOW: u64 = 0x7900_0000_0000;

/// Where constant memory lies among generic addresses.
pub const CONST_WINDOW: u64 = 0x7A00_0000_0000;

/// Where local memory lies among generic addresses.
pub const LOCAL_WINDOW: u64 = 0x7B00_0000_0000;

/// All that is no host address (function pointers follow on local memory).
pub(super) const WINDOWS_START: u64 = PARAMETER_WINDOW;
pub(super) const WINDOWS_END: u64 = 0x7D00_0000_0000;

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
