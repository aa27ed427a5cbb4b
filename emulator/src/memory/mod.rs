//! Address spaces.

/// What a launch sees of device memory: global memory, constant banks, parameters.
pub struct LaunchMemory<'a> {
    pub parameters: &'a [u8],
}

/// What belongs to a block: shared memory.
pub struct BlockMemory;

/// What belongs to a warp: local memory, copies under way.
pub struct WarpMemory;
