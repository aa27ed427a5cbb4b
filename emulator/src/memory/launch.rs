//! What a launch sees of device memory.

use super::global::GlobalMemory;
use super::touched::Touched;

/// Global memory, constants of the kernel's module, parameters.
pub struct LaunchMemory<'a> {
    pub global: &'a GlobalMemory,
    pub constants: &'a [u8],
    pub parameters: &'a [u8],
    /// Bytes of global memory that were read and written.
    pub(super) loaded: Touched,
    pub(super) stored: Touched,
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
