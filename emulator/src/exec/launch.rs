//! Launching kernels.

use super::device::{Device, OnFault, limits};
use super::grid::{self, Schedule};
use super::module::{KernelInfo, Module};
use super::warp::Program;
use crate::counters::Counters;
use crate::fault::{Fault, Stop};
use crate::memory::LaunchMemory;
use crate::state::cx::LaunchState;
use std::sync::{Mutex, PoisonError};

/// Faults that one launch keeps: the first in the order of blocks.
const MAX_FAULTS: usize = 1000;

/// The shape of a launch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaunchConfig {
    pub grid: [u32; 3],
    pub block: [u32; 3],
    /// Bytes of shared memory beyond what the kernel declares.
    pub dynamic_shared: u32,
    /// All blocks are under way at once, so that they can wait for each other.
    pub cooperative: bool,
}

/// Why a launch failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("{kernel}: {what}")]
    Configuration { kernel: String, what: String },
    #[error("{kernel}: {given} bytes of parameters where it takes {wanted}")]
    Parameters { kernel: String, given: u64, wanted: u64 },
    /// More registers, threads or shared memory than the device has.
    #[error("{kernel}: {what}")]
    Resources { kernel: String, what: String },
    /// Blocks of a cooperative launch that the device cannot hold at once.
    #[error("{kernel}: a cooperative launch of {blocks} blocks where {resident} fit on the device")]
    TooManyBlocks { kernel: String, blocks: u64, resident: u64 },
    #[error("{} (and {} more)", faults[0], faults.len() - 1 + *dropped as usize)]
    Faults {
        /// In the order of blocks; never empty.
        faults: Vec<Fault>,
        /// Faults beyond those.
        dropped: u64,
        /// What was counted all the same.
        counters: Box<Counters>,
    },
}

/// A kernel of a module.
#[derive(Clone, Copy)]
pub struct Kernel<'m> {
    module: &'m Module,
    info: &'m KernelInfo,
}

impl Module {
    /// The kernel of a name.
    pub fn kernel(&self, name: &str) -> Option<Kernel<'_>> {
        let info = self.kernels.iter().find(|k| k.name == name)?;
        Some(Kernel { module: self, info })
    }
}

impl<'m> Kernel<'m> {
    /// What is known of it.
    pub fn info(&self) -> &'m KernelInfo {
        self.info
    }

    /// Threads that a block of it may have.
    pub fn max_threads_per_block(&self) -> u32 {
        let declared = self.info.required_threads.or(self.info.max_threads);
        let declared = declared.map(|d| d.iter().map(|&n| u64::from(n.max(1))).product::<u64>());
        declared.map_or(limits::THREADS_PER_BLOCK, |d| d.min(u64::from(limits::THREADS_PER_BLOCK)) as u32)
    }

    /// Blocks of so many threads that a multiprocessor holds at once.
    pub fn blocks_per_processor(&self, threads: u32, dynamic_shared: u32) -> u32 {
        let warps = threads.div_ceil(32).max(1);
        let shared = self.shared_bytes(dynamic_shared).unwrap_or(u32::MAX).max(1);
        let registers = self.info.max_registers.map_or(u32::MAX, |r| {
            limits::REGISTERS_PER_PROCESSOR / (r.clamp(1, 255).next_multiple_of(8) * 32 * warps)
        });
        (limits::THREADS_PER_PROCESSOR / (32 * warps))
            .min(limits::BLOCKS_PER_PROCESSOR)
            .min(limits::SHARED_PER_PROCESSOR / shared)
            .min(registers)
    }

    /// Shared memory of a block.
    fn shared_bytes(&self, dynamic: u32) -> Option<u32> {
        if dynamic == 0 {
            Some(self.info.static_shared)
        } else {
            self.info.dynamic_start.checked_add(dynamic)
        }
    }

    fn check(&self, config: &LaunchConfig, parameters: &[u8]) -> Result<u64, LaunchError> {
        let kernel = self.info.name.clone();
        let configuration = |what: String| LaunchError::Configuration { kernel: kernel.clone(), what };
        for axis in 0..3 {
            let (grid, block) = (config.grid[axis], config.block[axis]);
            if grid == 0 || grid > limits::GRID[axis] {
                return Err(configuration(format!("a grid of {:?} blocks", config.grid)));
            }
            if block == 0 || block > limits::BLOCK[axis] {
                return Err(configuration(format!("blocks of {:?} threads", config.block)));
            }
        }
        let threads = config.block.iter().map(|&n| u64::from(n)).product::<u64>();
        if threads > u64::from(limits::THREADS_PER_BLOCK) {
            return Err(configuration(format!("{threads} threads per block")));
        }
        if self.info.required_threads.is_some_and(|r| r.map(|n| n.max(1)) != config.block) {
            return Err(configuration(format!("blocks of {:?} threads, not as .reqntid says", config.block)));
        }
        if threads > u64::from(self.max_threads_per_block()) {
            return Err(LaunchError::Resources {
                kernel,
                what: format!("{threads} threads per block, more than .maxntid says"),
            });
        }
        if self.shared_bytes(config.dynamic_shared).is_none_or(|bytes| bytes > limits::SHARED) {
            let (own, added) = (self.info.static_shared, config.dynamic_shared);
            return Err(LaunchError::Resources {
                kernel,
                what: format!("{own} + {added} bytes of shared memory per block"),
            });
        }
        if parameters.len() as u64 != self.info.parameter_bytes {
            let (given, wanted) = (parameters.len() as u64, self.info.parameter_bytes);
            return Err(LaunchError::Parameters { kernel, given, wanted });
        }
        let settings = self.module.device.settings();
        let local = (threads * self.info.local_bytes).max(1);
        if local > settings.memory_bytes {
            return Err(LaunchError::Resources {
                kernel,
                what: format!("{local} bytes of local memory per block"),
            });
        }
        let resident = u64::from(settings.processors)
            * u64::from(self.blocks_per_processor(threads as u32, config.dynamic_shared));
        let resident = resident.min(settings.memory_bytes / local);
        let blocks = config.grid.iter().map(|&n| u64::from(n)).product::<u64>();
        if config.cooperative && blocks > resident {
            return Err(LaunchError::TooManyBlocks { kernel, blocks, resident });
        }
        Ok(resident)
    }

    /// Runs it to its end. `parameters` are laid out as [`KernelInfo::parameters`] says.
    pub fn launch(&self, config: &LaunchConfig, parameters: &[u8]) -> Result<Counters, LaunchError> {
        let resident = self.check(config, parameters)?;
        let device: &Device = &self.module.device;
        let settings = device.settings();
        let program = Program {
            code: &self.module.code,
            kernel: self.info.function,
            shared: &self.info.shared,
            local_bytes: self.info.local_bytes,
        };
        let faults = Faults::default();
        let collect = settings.on_fault == OnFault::Collect;
        let report = |fault: Fault| {
            faults.add(fault, config.grid);
            if collect { Ok(()) } else { Err(Stop) }
        };
        let shared = self.shared_bytes(config.dynamic_shared).unwrap_or(0);
        let constants = self.module.constants();
        let memory = LaunchMemory::new(device.memory(), &constants, parameters);
        let memory = memory.map_err(|error| LaunchError::Resources {
            kernel: self.info.name.clone(),
            what: format!("address space for records of it: {error}"),
        })?;
        let launch = LaunchState {
            kernel: &self.info.name,
            grid: config.grid,
            block: config.block,
            static_shared: shared - config.dynamic_shared,
            dynamic_shared: config.dynamic_shared,
            id: device.next_launch(),
            processors: settings.processors,
            deterministic: settings.deterministic,
            memory,
            checks: &settings.checks,
            report: &report,
        };
        let schedule = Schedule {
            threads: if settings.deterministic { 1 } else { settings.threads },
            cooperative: config.cooperative,
            resident,
            limit: settings.instruction_limit,
        };
        let outcome = grid::run(&program, &launch, schedule);
        for text in outcome.printed.values() {
            device.print(text);
        }
        let (faults, dropped) = faults.finish(collect);
        if faults.is_empty() {
            return Ok(outcome.counters);
        }
        Err(LaunchError::Faults { faults, dropped, counters: Box::new(outcome.counters) })
    }
}

/// The faults of a launch, with the number of their block and their order in it.
#[derive(Default)]
struct Faults(Mutex<(Vec<(u64, Fault)>, u64)>);

impl Faults {
    fn add(&self, fault: Fault, grid: [u32; 3]) {
        let [x, y, z] = fault.block.map(u64::from);
        let number = x + u64::from(grid[0]) * (y + u64::from(grid[1]) * z);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.0.push((number, fault));
        if kept.0.len() >= 2 * MAX_FAULTS {
            kept.1 += cut(&mut kept.0, MAX_FAULTS);
        }
    }

    /// In the order of blocks; of an aborted launch, the first alone.
    fn finish(self, collect: bool) -> (Vec<Fault>, u64) {
        let (mut all, mut dropped) = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        dropped += cut(&mut all, if collect { MAX_FAULTS } else { 1 });
        (all.into_iter().map(|f| f.1).collect(), if collect { dropped } else { 0 })
    }
}

/// Keeps the first so many and says how many that drops. The sort keeps the order within a block.
fn cut(faults: &mut Vec<(u64, Fault)>, keep: usize) -> u64 {
    faults.sort_by_key(|f| f.0);
    let dropped = faults.len().saturating_sub(keep);
    faults.truncate(keep);
    dropped as u64
}
