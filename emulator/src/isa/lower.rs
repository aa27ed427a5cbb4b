//! What a family and the function that is being lowered tell each other: where operands lie, and what an instruction
//! becomes.

use crate::counters::Class;
use crate::ptx::ast::{Body, Symbol};
use crate::ptx::types::Space;
use crate::state::cx::Compute;
use crate::state::registers::PredicateSlot;

/// Why an instruction cannot be run; the caller adds kernel and line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

pub type Lowering<T> = Result<T, Refusal>;

/// A lowered instruction.
pub struct Lowered {
    pub run: Compute,
    pub class: Class,
    /// Multiply-adds per active lane on the FMA units (scalar code), or per warp on matrix units.
    pub macs: u32,
}

/// What a family asks of the function that is being lowered: where operands lie.
pub trait Lower {
    fn body(&self) -> &Body;
    /// The number of `.target sm_NN`.
    fn target(&self) -> u32;
    /// The row of a fresh constant of up to 128 bits.
    fn constant(&mut self, bits: u128, rows: usize) -> u32;
    /// The row of a register (index into `body().registers`); refused for predicates.
    fn register(&mut self, register: usize) -> Lowering<u32>;
    /// The place of a predicate register; refused for others.
    fn predicate(&mut self, register: usize) -> Lowering<PredicateSlot>;
    /// The row of a special register's value in `rows` rows, or `None` for one that changes (`%clock`): `exec` lowers
    /// the `mov` that reads those.
    fn special(&mut self, name: &str, component: Option<u8>, rows: usize) -> Lowering<Option<u32>>;
    /// The address of a variable or function in its own space (counted from the start of the space's window; device
    /// addresses for global memory), and which space that is. `.param` variables of functions, as opposed to the
    /// parameters of kernels, are in local memory.
    fn symbol(&mut self, symbol: &Symbol) -> Lowering<(Address, Space)>;
    /// The row of an address plus an offset in bytes.
    fn address(&mut self, address: Address, offset: i64, rows: usize) -> u32;
}

/// What is known of an address when code is lowered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// All of it.
    Fixed(u64),
    /// Its distance from the local frame of the running function ([`Lower::address`] adds where that is).
    Frame(u64),
    /// That of a shared variable (by number) in a device function, whose place depends on the kernel that calls.
    Shared(usize),
}
