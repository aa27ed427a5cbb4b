//! What went wrong in a kernel, and where.

use serde::Serialize;
use std::fmt;

/// What kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum FaultKind {
    /// An access outside every allocation (or outside the window of its space).
    OutOfBounds,
    /// An address that is not a multiple of the size of the access.
    Misaligned,
    /// An access to memory that was freed.
    UseAfterFree,
    /// A read of memory that nothing has written.
    Uninitialized,
    /// A write to constant or parameter memory.
    ReadOnly,
    /// Two unordered accesses to the same shared memory of which one writes.
    SharedRace,
    /// A read or write of the destination of a `cp.async` before it was waited for.
    AsyncCopyHazard,
    /// A barrier that not all of its threads reach (or reach differently).
    BarrierDivergence,
    /// A shuffle or vote that reads a lane that does not take part, or a member mask without the executing lane.
    InactiveLane,
    /// `trap`, or an `assert` that failed.
    Trap,
    /// A call that cannot be made: a null or wrong function pointer, a stack that is full.
    BadCall,
    /// No thread can go on.
    Deadlock,
    /// A block ran more instructions than the device allows.
    Timeout,
    /// Everything else that PTX leaves undefined and this device refuses to guess.
    Undefined,
}

/// One report.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    pub kind: FaultKind,
    pub kernel: String,
    /// Line of the PTX text.
    pub line: u32,
    /// The instruction, as written there.
    pub instruction: String,
    pub block: [u32; 3],
    pub thread: [u32; 3],
    /// The address, in the space that is named in `detail`.
    pub address: Option<u64>,
    /// What was expected and what was found.
    pub detail: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([bx, by, bz], [tx, ty, tz]) = (self.block, self.thread);
        write!(
            f,
            "{:?} in {} at PTX line {} ({}), block ({bx},{by},{bz}), thread ({tx},{ty},{tz})",
            self.kind, self.kernel, self.line, self.instruction
        )?;
        if let Some(address) = self.address {
            write!(f, ", address {address:#x}")?;
        }
        write!(f, ": {}", self.detail)
    }
}

/// The launch ends here; its fault has been reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop;
