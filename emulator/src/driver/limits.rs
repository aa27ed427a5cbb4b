//! What a device can hold: the limits of compute capabilities.

/// What differs between compute capabilities.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub multiprocessors: u32,
    pub threads_per_multiprocessor: u32,
    pub blocks_per_multiprocessor: u32,
    pub shared_per_multiprocessor: u32,
    pub shared_opt_in: u32,
    /// What the system takes of the shared memory of each block.
    pub shared_reserved: u32,
    pub l2: u32,
    pub clock_khz: u32,
    pub memory_clock_khz: u32,
    pub bus_bits: u32,
}

/// Bytes of shared memory that a block may have without asking.
pub const SHARED_PER_BLOCK: u32 = 48 << 10;
/// 32-bit registers of a multiprocessor, which one block may take.
pub const REGISTERS: u32 = 64 << 10;
pub const MAX_THREADS: u32 = 1024;
pub const MAX_BLOCK: [u32; 3] = [1024, 1024, 64];
pub const MAX_GRID: [u32; 3] = [i32::MAX as u32, 65535, 65535];

/// The limits of a compute capability; the sizes are those of its data-centre or largest part.
pub fn limits(compute: (u32, u32)) -> Limits {
    let (multiprocessors, threads, blocks, shared, l2, clock_khz, memory_clock_khz, bus_bits) = match compute
    {
        (7, 5) => (40, 1024, 16, 64, 4, 1_590_000, 5_001_000, 256),
        (8, 6) => (84, 1536, 16, 100, 6, 1_695_000, 9_751_000, 384),
        (8, 7) => (16, 1536, 16, 164, 4, 1_300_000, 3_200_000, 256),
        (8, 9) => (128, 1536, 24, 100, 72, 2_520_000, 10_501_000, 384),
        (9, 0) => (132, 2048, 32, 228, 50, 1_980_000, 2_619_000, 5120),
        _ => (108, 2048, 32, 164, 40, 1_410_000, 1_215_000, 5120),
    };
    let shared_reserved = if compute.0 >= 8 { 1 << 10 } else { 0 };
    Limits {
        multiprocessors,
        threads_per_multiprocessor: threads,
        blocks_per_multiprocessor: blocks,
        shared_per_multiprocessor: shared << 10,
        shared_opt_in: (shared << 10) - shared_reserved,
        shared_reserved,
        l2: l2 << 20,
        clock_khz,
        memory_clock_khz,
        bus_bits,
    }
}
