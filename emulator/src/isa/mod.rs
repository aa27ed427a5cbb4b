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
mod matrix;
mod mbarrier;
mod memory_operand;
mod moves;
mod rounding;
pub mod simd;
mod special;
mod video;
mod video_simd;
mod warp;

use crate::exec::cx::Compute;
use crate::exec::registers::{Lane, PredicateSlot, Slot};
use crate::ptx::ast::{Body, Instruction, Operand};
use crate::ptx::types::{Space, Type};

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

/// What instructions are counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Class {
    Integer,
    Logic,
    Move,
    Compare,
    Convert,
    F16,
    F32,
    F64,
    Special,
    Matrix,
    LoadGlobal,
    StoreGlobal,
    LoadShared,
    StoreShared,
    LoadLocal,
    StoreLocal,
    LoadConstant,
    LoadParameter,
    StoreParameter,
    Atomic,
    AsyncCopy,
    LoadMatrix,
    Shuffle,
    Vote,
    Barrier,
    Fence,
    Branch,
    Call,
    Other,
}

impl Class {
    /// All of them, in the order of their numbers.
    pub const ALL: [Class; 29] = {
        use Class::*;
        [
            Integer,
            Logic,
            Move,
            Compare,
            Convert,
            F16,
            F32,
            F64,
            Special,
            Matrix,
            LoadGlobal,
            StoreGlobal,
            LoadShared,
            StoreShared,
            LoadLocal,
            StoreLocal,
            LoadConstant,
            LoadParameter,
            StoreParameter,
            Atomic,
            AsyncCopy,
            LoadMatrix,
            Shuffle,
            Vote,
            Barrier,
            Fence,
            Branch,
            Call,
            Other,
        ]
    };
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
    fn symbol(&mut self, symbol: &crate::ptx::ast::Symbol) -> Lowering<(Address, Space)>;
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

/// An operand that is read: where, for a value of type `T`.
///
/// A register must be as wide as `T`, or both have up to 32 bits (what loads, stores and conversions allow beyond that
/// is theirs to narrow). An integer literal is truncated to it (converted, if `T` is a floating type
/// and the literal is one), a symbol gives its address.
pub fn source<T: Lane>(cx: &mut dyn Lower, operand: &Operand) -> Lowering<Slot<T>> {
    let row = match operand {
        Operand::Register(r) => row_of::<T>(cx, *r)?,
        Operand::Integer(bits) => cx.constant(u128::from(*bits) & width_mask::<T>(), T::ROWS),
        Operand::Float32(bits) => cx.constant(u128::from(*bits), T::ROWS),
        Operand::Float64(bits) if T::ROWS == 1 => {
            cx.constant(u128::from((f64::from_bits(*bits) as f32).to_bits()), T::ROWS)
        }
        Operand::Float64(bits) => cx.constant(u128::from(*bits), T::ROWS),
        Operand::Symbol { symbol, offset } => {
            let (address, _) = cx.symbol(symbol)?;
            cx.address(address, *offset, T::ROWS)
        }
        Operand::Special { name, component } => cx
            .special(name, *component, T::ROWS)?
            .ok_or_else(|| Refusal(format!("%{name} can only be read by mov")))?,
        other => return Err(Refusal(format!("{other:?} is not a value"))),
    };
    Ok(Slot::new(row))
}

/// The row of a register that takes as many rows as `T`.
fn row_of<T: Lane>(cx: &mut dyn Lower, register: usize) -> Lowering<u32> {
    let row = cx.register(register)?;
    match cx.body().registers.get(register) {
        Some(info) if info.ty.bits().div_ceil(32) as usize == T::ROWS => Ok(row),
        Some(info) => Err(Refusal(format!(
            "register {} is of type {:?}, but {} bits are meant",
            info.name,
            info.ty,
            8 * size_of::<T>()
        ))),
        None => Err(Refusal(format!("no register {register}"))),
    }
}

fn width_mask<T: Lane>() -> u128 {
    match size_of::<T>() {
        16 => u128::MAX,
        bytes => (1 << (8 * bytes)) - 1,
    }
}

/// A register that is written.
pub fn destination<T: Lane>(cx: &mut dyn Lower, operand: &Operand) -> Lowering<Slot<T>> {
    match operand {
        Operand::Register(r) => Ok(Slot::new(row_of::<T>(cx, *r)?)),
        other => Err(Refusal(format!("{other:?} is not a register to write"))),
    }
}

/// A predicate that is read, and whether it is negated.
pub fn predicate(cx: &mut dyn Lower, operand: &Operand) -> Lowering<(PredicateSlot, bool)> {
    match operand {
        Operand::Register(r) => Ok((cx.predicate(*r)?, false)),
        Operand::Not(r) => Ok((cx.predicate(*r)?, true)),
        other => Err(Refusal(format!("{other:?} is not a predicate"))),
    }
}

/// The modifiers of an instruction, taken one by one.
///
/// What is asked for is taken wherever it stands: ptxas does not mind the order either, and libraries make use of that
/// (`red.add.global.relaxed.gpu.f64`). Only types keep their order among themselves.
pub struct Modifiers<'a> {
    rest: Vec<&'a str>,
}

impl<'a> Modifiers<'a> {
    pub fn new(instruction: &'a Instruction) -> Self {
        Modifiers { rest: instruction.modifiers.iter().map(String::as_str).collect() }
    }

    /// The first that is left, left in place.
    pub fn peek(&self) -> Option<&'a str> {
        self.rest.first().copied()
    }

    /// Takes `word` if it is there.
    pub fn flag(&mut self, word: &str) -> bool {
        let place = self.rest.iter().position(|w| *w == word);
        place.map(|place| self.rest.remove(place)).is_some()
    }

    /// Takes the first that is in the list.
    pub fn one_of<T: Copy>(&mut self, choices: &[(&str, T)]) -> Option<T> {
        let choice = |word: &&str| choices.iter().find(|c| c.0 == *word).map(|c| c.1);
        let (place, found) = self.rest.iter().enumerate().find_map(|(i, word)| Some((i, choice(word)?)))?;
        self.rest.remove(place);
        Some(found)
    }

    /// Takes the first that is one of these.
    pub fn word_of(&mut self, words: &[&str]) -> Option<&'a str> {
        let place = self.rest.iter().position(|word| words.contains(word))?;
        Some(self.rest.remove(place))
    }

    /// Takes the first that is a type.
    pub fn ty(&mut self) -> Lowering<Type> {
        let found = self.rest.iter().enumerate().find_map(|(i, word)| Some((i, Type::parse(word)?)));
        let (place, ty) = found.ok_or_else(|| Refusal("a type is missing".to_string()))?;
        self.rest.remove(place);
        Ok(ty)
    }

    /// Takes the first that is left.
    pub fn word(&mut self) -> Option<&'a str> {
        (!self.rest.is_empty()).then(|| self.rest.remove(0))
    }

    /// All must have been taken.
    pub fn finish(self) -> Lowering<()> {
        match self.rest.first() {
            None => Ok(()),
            Some(word) => Err(Refusal(format!("unknown modifier .{word}"))),
        }
    }
}
