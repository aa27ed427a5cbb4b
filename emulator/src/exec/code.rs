//! Lowered code: what the warps run.

use super::special::Special;
use crate::counters::Class;
use crate::state::cx::{Compute, Site};
use crate::state::registers::{PredicateSlot, Slot};

/// All functions of a module, kernels included.
pub struct Code {
    pub functions: Vec<FunctionCode>,
    /// Shared variables of the module and of its functions.
    pub shared: Vec<SharedVariable>,
}

/// A variable in shared memory; its place depends on what else a kernel uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedVariable {
    pub bytes: u64,
    pub align: u64,
    /// `.extern .shared .b8 all[];`: the dynamic part of a block's shared memory.
    pub dynamic: bool,
}

/// A function.
pub struct FunctionCode {
    /// Ends with a [`Kind::Return`].
    pub ops: Vec<Op>,
    /// Of each instruction, the basic block it is in.
    pub stretches: Vec<Stretch>,
    pub rows: usize,
    pub predicates: usize,
    /// Rows that are filled when the function is entered; they begin with this one.
    pub first_fill: usize,
    pub fills: Vec<Fill>,
    /// Local memory per lane: variables, `.param` variables, formal parameters.
    pub frame_bytes: u64,
    pub parameters: Vec<Formal>,
    pub returns: Vec<Formal>,
    /// Functions that it calls or whose address it takes.
    pub calls: Vec<usize>,
    /// Whether it calls through pointers.
    pub calls_pointers: bool,
    /// Whether it takes local memory as it runs.
    pub uses_stack: bool,
    /// Shared variables that it names.
    pub shared: Vec<usize>,
    pub is_kernel: bool,
}

/// What diverged lanes need to know of a basic block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The instruction behind it.
    pub end: usize,
    /// Lanes in the block of the lowest rank run first.
    pub rank: u32,
}

impl FunctionCode {
    /// Stands for a function that is only declared; nothing refers to it.
    pub fn absent() -> Self {
        FunctionCode {
            ops: Vec::new(),
            stretches: Vec::new(),
            rows: 0,
            predicates: 0,
            first_fill: 0,
            fills: Vec::new(),
            frame_bytes: 0,
            parameters: Vec::new(),
            returns: Vec::new(),
            calls: Vec::new(),
            calls_pointers: false,
            uses_stack: false,
            shared: Vec::new(),
            is_kernel: true,
        }
    }
}

/// A row with a value that does not change while its function runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Fill {
    pub row: u32,
    /// Rows: 1, 2 or 4.
    pub rows: usize,
    pub value: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    Bits(u128),
    Special(Special),
    /// An address in the local frame.
    Frame(u64),
    /// The address of a shared variable, and a distance from it.
    Shared(usize, i64),
}

impl Value {
    /// Whether it differs between the blocks of a launch (then it is the same in all lanes).
    pub fn depends_on_block(self) -> bool {
        matches!(self, Value::Special(Special::Block(_) | Special::Processor))
    }
}

/// A formal parameter, or an actual one of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Formal {
    /// In the local frame.
    Memory {
        offset: u64,
        bytes: u64,
    },
    Row {
        row: u32,
        rows: usize,
    },
    Predicate(PredicateSlot),
}

/// An instruction.
pub struct Op {
    pub kind: Kind,
    pub guard: Option<(PredicateSlot, bool)>,
    pub class: Class,
    pub macs: u32,
    pub site: Site,
}

/// What an instruction does.
pub enum Kind {
    /// Something to registers and memory.
    Run(Compute),
    /// The same, once all lanes that take part have come here.
    Together(Compute, Members),
    Branch(usize),
    /// A jump to one of several targets.
    Table {
        index: Slot<u32>,
        targets: Box<[usize]>,
    },
    Call(Box<Call>),
    Return,
    Exit,
    Trap,
    Barrier(Box<Barrier>),
    /// `bar.warp.sync`.
    WarpBarrier(Slot<u32>),
    Stack(Stack),
    /// Lets other warps go on (`nanosleep`).
    Yield,
}

/// Which lanes an instruction of a whole warp waits for.
#[derive(Clone, Copy)]
pub enum Members {
    /// `.aligned`: all that have not exited.
    All,
    /// Those of a mask in a register.
    Mask(Slot<u32>),
}

/// A call.
pub struct Call {
    pub target: Target,
    pub arguments: Vec<Formal>,
    pub returns: Vec<Formal>,
}

pub enum Target {
    Function(usize),
    Builtin(Builtin),
    /// Through a pointer, to one of these functions, if they are known.
    Pointer {
        pointer: Slot<u64>,
        narrow: bool,
        allowed: Option<Box<[usize]>>,
    },
}

/// A function that every device has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtin {
    Printf,
    AssertFail,
    Malloc,
    Free,
}

impl Builtin {
    /// By its name in PTX.
    pub fn named(name: &str) -> Option<Builtin> {
        Some(match name {
            "vprintf" => Builtin::Printf,
            "__assertfail" => Builtin::AssertFail,
            "malloc" => Builtin::Malloc,
            "free" => Builtin::Free,
            _ => return None,
        })
    }
}

/// A barrier of a block.
pub struct Barrier {
    pub index: Slot<u32>,
    /// Threads that take part; all that have not exited if absent.
    pub count: Option<Slot<u32>>,
    /// Whether a warp comes as a whole.
    pub aligned: bool,
    pub action: Action,
}

/// What a barrier does besides counting.
pub enum Action {
    Wait,
    /// Goes on at once.
    Arrive,
    /// How many threads hold a predicate.
    Count {
        out: Slot<u32>,
        predicate: (PredicateSlot, bool),
    },
    /// Whether all (or, not `all`, any) threads hold a predicate.
    Vote {
        all: bool,
        out: PredicateSlot,
        predicate: (PredicateSlot, bool),
    },
}

/// What happens to the local memory that a function takes as it runs. Slots of addresses are of 64 bits if `wide`.
#[derive(Clone, Copy)]
pub enum Stack {
    Allocate { out: u32, size: u32, align: u64, wide: bool },
    Save { out: u32, wide: bool },
    Restore { from: u32, wide: bool },
}

/// Function pointers are this plus 16 times (the function's index + 1): nothing else in the address space looks like them.
pub const FUNCTION_BASE: u64 = 0x7CDA_0000_0000;

/// The pointer to a function.
pub fn function_address(index: usize) -> u64 {
    FUNCTION_BASE + 16 * (index as u64 + 1)
}

/// The function that a pointer points to.
pub fn function_at(address: u64, functions: usize) -> Option<usize> {
    let offset = address.checked_sub(FUNCTION_BASE)?;
    let index = (offset / 16).checked_sub(1)? as usize;
    (offset % 16 == 0 && index < functions).then_some(index)
}
