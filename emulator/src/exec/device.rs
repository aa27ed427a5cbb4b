//! A device: memory and settings.

use crate::memory::GlobalMemory;
use crate::state::cx::Checks;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What happens when a check fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFault {
    /// The launch ends.
    #[default]
    Abort,
    /// It goes on as if the access had not happened, and reports everything at its end.
    Collect,
}

/// How a device is made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes of global memory.
    pub memory_bytes: u64,
    /// Host threads that run blocks.
    pub threads: usize,
    /// Blocks run in order on one thread, so that even atomics on floats give the same every time.
    pub deterministic: bool,
    pub on_fault: OnFault,
    pub checks: Checks,
    /// Warp instructions that a block may run before its launch fails with
    /// [`FaultKind::Timeout`](crate::fault::FaultKind::Timeout); without a limit a kernel may run forever.
    pub instruction_limit: Option<u64>,
    /// Bytes of local memory per thread for functions that call themselves or through pointers, or use `alloca`.
    pub stack_bytes: u64,
    /// Multiprocessors.
    pub processors: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            memory_bytes: 4 << 30,
            threads: std::thread::available_parallelism().map_or(1, |n| n.get()),
            deterministic: false,
            on_fault: OnFault::Abort,
            checks: Checks { uninitialized: true, races: true, async_copies: true },
            instruction_limit: None,
            stack_bytes: 16 << 10,
            processors: 16,
        }
    }
}

/// Limits of a device, as of compute capability 8.0.
pub mod limits {
    pub const THREADS_PER_BLOCK: u32 = 1024;
    pub const BLOCK: [u32; 3] = [1024, 1024, 64];
    pub const GRID: [u32; 3] = [i32::MAX as u32, 65535, 65535];
    /// Static shared memory of a block; with dynamic shared memory that was asked for, and of a multiprocessor.
    pub const STATIC_SHARED: u32 = 48 << 10;
    pub const SHARED: u32 = 163 << 10;
    pub const SHARED_PER_PROCESSOR: u32 = 164 << 10;
    pub const THREADS_PER_PROCESSOR: u32 = 2048;
    pub const BLOCKS_PER_PROCESSOR: u32 = 32;
    pub const REGISTERS_PER_PROCESSOR: u32 = 65536;
    pub const CONSTANT: u64 = 64 << 10;
    pub const PARAMETERS: u64 = 32764;
    /// Local memory of a thread.
    pub const LOCAL: u64 = 512 << 10;
}

/// Where text goes.
type Print = Box<dyn FnMut(&str) + Send>;

/// A device.
pub struct Device {
    memory: GlobalMemory,
    settings: Settings,
    launches: AtomicU64,
    print: Mutex<Print>,
}

impl Device {
    /// A device whose kernels print to standard output.
    pub fn new(settings: Settings) -> std::io::Result<Arc<Device>> {
        Ok(Arc::new(Device {
            memory: GlobalMemory::new(settings.memory_bytes)?,
            settings,
            launches: AtomicU64::new(0),
            print: Mutex::new(Box::new(|text| print!("{text}"))),
        }))
    }

    /// Its global memory.
    pub fn memory(&self) -> &GlobalMemory {
        &self.memory
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where to send what `printf` prints.
    pub fn set_print(&self, print: impl FnMut(&str) + Send + 'static) {
        *self.print.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(print);
    }

    pub(super) fn print(&self, text: &str) {
        self.print.lock().unwrap_or_else(PoisonError::into_inner)(text);
    }

    /// A number for a launch.
    pub(super) fn next_launch(&self) -> u64 {
        self.launches.fetch_add(1, Ordering::Relaxed) + 1
    }
}
