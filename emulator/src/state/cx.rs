//! What an instruction sees while it runs.

use super::registers::{LANES, Mask, Registers};
use crate::counters::Counters;
use crate::fault::{FaultKind, Stop};
use crate::memory::{BlockMemory, LaunchMemory, WarpMemory};

use std::sync::Arc;

pub use crate::memory::Checks;

/// An instruction, ready to run on the lanes of a mask (never empty). `Err(Stop)` ends the launch.
pub type Compute = Box<dyn Fn(&mut Cx<'_>, Mask) -> Result<(), Stop> + Send + Sync>;

/// Everything an instruction may touch. One host thread runs all warps of a block, so nothing of it is shared but what
/// `launch` holds.
pub struct Cx<'a> {
    pub registers: &'a mut Registers,
    pub warp: &'a mut WarpState,
    pub block: &'a mut BlockState,
    pub launch: &'a LaunchState<'a>,
    pub counters: &'a mut Counters,
    /// The running instruction.
    pub site: &'a Site,
}

/// Where in the program an instruction stands.
#[derive(Clone, Debug)]
pub struct Site {
    /// The function it stands in.
    pub function: Arc<str>,
    pub line: u32,
    /// Its name with all modifiers.
    pub instruction: Box<str>,
    /// Unique among the instructions of a module: the key of per-instruction records.
    pub id: u32,
}

/// A warp, but for its registers.
pub struct WarpState {
    /// Index in its block.
    pub index: u32,
    /// Lanes that have threads.
    pub threads: Mask,
    /// Those of them that have not exited.
    pub live: Mask,
    /// Local memory and copies under way.
    pub memory: WarpMemory,
    /// The condition code register's carry flag.
    pub carry: Mask,
    /// How often it looked whether others have done something: instructions that code waits with (volatile, relaxed and
    /// acquiring loads, atomics, tests of an mbarrier) add one each. From [`POLLS`] on, others have their turn.
    pub polls: u32,
    /// Instructions issued so far (what `%clock` shows).
    pub clock: u64,
}

/// A warp that looks this often whether others have done something lets them run.
pub const POLLS: u32 = 64;

/// A block.
pub struct BlockState {
    pub index: [u32; 3],
    pub memory: BlockMemory,
    /// What `printf` printed and nobody has fetched yet.
    pub printed: String,
}

/// A launch, seen by all its blocks.
pub struct LaunchState<'a> {
    pub kernel: &'a str,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    /// Bytes of shared memory that the kernel declares, and that the launch adds.
    pub static_shared: u32,
    pub dynamic_shared: u32,
    /// `%gridid`: unique among the launches of a device.
    pub id: u64,
    /// Multiprocessors of the device.
    pub processors: u32,
    /// Blocks run in order on one thread, and time is counted in instructions.
    pub deterministic: bool,
    pub memory: LaunchMemory<'a>,
    pub checks: &'a Checks,
    /// Receives faults; says whether to go on.
    pub report: &'a (dyn Fn(crate::fault::Fault) -> Result<(), Stop> + Sync),
}

impl LaunchState<'_> {
    /// The index of a lane's thread in its block.
    pub fn thread(&self, warp: u32, lane: usize) -> [u32; 3] {
        let linear = warp * LANES as u32 + lane as u32;
        let [x, y, _] = self.block;
        [linear % x, linear / x % y, linear / (x * y)]
    }

    /// What `%globaltimer` shows to a warp that has issued so many instructions.
    pub fn nanoseconds(&self, clock: u64) -> u64 {
        if self.deterministic {
            return clock;
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, |since| since.as_nanos() as u64)
    }
}

impl Cx<'_> {
    /// The index of a lane's thread in its block.
    pub fn thread(&self, lane: usize) -> [u32; 3] {
        self.launch.thread(self.warp.index, lane)
    }

    /// Reports a fault of one lane. `Ok`: reports are collected, go on as if the lane's access had not happened (a read
    /// gives 0).
    #[cold]
    pub fn report(
        &self,
        kind: FaultKind,
        lane: usize,
        address: Option<u64>,
        detail: String,
    ) -> Result<(), Stop> {
        (self.launch.report)(crate::fault::Fault {
            kind,
            kernel: self.launch.kernel.to_string(),
            line: self.site.line,
            instruction: self.site.instruction.to_string(),
            block: self.block.index,
            thread: self.thread(lane),
            address,
            detail,
        })
    }
}
