//! The instruction set: one file per family, each of which turns instructions of the tree into closures.
//!
//! A family's `lower` returns `None` for an opcode that is not its own, and an error for a form it does not know. All
//! modifiers must be consumed ([`Modifiers::finish`]), so that nothing is ignored by oversight. Instructions that move
//! the program counter (`bra`, `brx`, `call`, `ret`, `exit`, `bar`, `trap`) are `exec`'s.

mod address;
mod async_copy;
mod atomic;
mod bits;
mod cache;
mod carry;
mod compare;
mod conversion;
mod convert;
mod convert_fast;
mod f32;
mod f64;
mod fence;
mod float;
mod half;
mod integer;
mod load_store;
mod logic;
mod lower;
mod matrix;
mod mbarrier;
mod memory_operand;
mod modifiers;
mod moves;
mod operand;
mod rounding;
pub mod simd;
mod special;
mod video;
mod video_simd;
mod warp;

pub use crate::counters::Class;
pub use lower::{Address, Lower, Lowered, Lowering, Refusal};
pub use modifiers::Modifiers;
pub use operand::{destination, predicate, source};

use crate::ptx::ast::Instruction;

/// What a family offers: `None` for opcodes of others.
pub type Family = fn(&Instruction, &mut dyn Lower) -> Option<Lowering<Lowered>>;

/// All families, asked in this order.
pub const FAMILIES: &[Family] = &[
    load_store::lower,
    address::lower,
    atomic::lower,
    async_copy::lower,
    mbarrier::lower,
    fence::lower,
    cache::lower,
    integer::lower,
    bits::lower,
    logic::lower,
    compare::lower,
    moves::lower,
    warp::lower,
    video::lower,
    video_simd::lower,
    matrix::lower,
    f32::lower,
    f64::lower,
    half::lower,
    special::lower,
    convert::lower,
];
