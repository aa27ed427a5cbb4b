//! What a PTX text says, with names resolved: scopes are flattened, so that every register, variable and label of a
//! function has an index of its own.

use super::types::{Space, Type};

/// One `.version … .target …` translation unit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Module {
    /// `.version`, major and minor.
    pub version: (u32, u32),
    /// The number of `.target sm_NN` (80 for `sm_80`, 90 for `sm_90a`).
    pub target: u32,
    /// What else `.target` lists (`texmode_independent`, `debug`, the `a` of `sm_90a`).
    pub target_options: Vec<String>,
    /// `.address_size`: 32 or 64.
    pub address_size: u32,
    /// Variables at module level.
    pub variables: Vec<Variable>,
    /// Kernels and functions; one entry per name (a declaration is replaced by its definition).
    pub functions: Vec<Function>,
}

/// `.visible`, `.extern`, `.weak`, `.common`, or none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linkage {
    Internal,
    Visible,
    Extern,
    Weak,
    Common,
}

/// A variable in memory, at module level, in a function body, or a parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    pub name: String,
    pub line: u32,
    pub space: Space,
    pub linkage: Linkage,
    /// Element type (`.v2`/`.v4` count as `vector` elements).
    pub ty: Type,
    /// 1, 2 or 4 (8 for `.v8`).
    pub vector: u32,
    /// Bytes; `.align`, or the natural alignment.
    pub align: usize,
    /// Elements of type `ty`×`vector`; `None` is an array of unknown extent (`.extern .shared .b8 smem[];`).
    pub elements: Option<usize>,
    /// `.attribute(.managed)`.
    pub managed: bool,
    /// `= { … }`; nothing in it where there is none.
    pub initial: Initial,
}

impl Variable {
    /// Bytes it takes; 0 where the extent is unknown.
    pub fn bytes(&self) -> usize {
        self.ty.bytes() * self.vector as usize * self.elements.unwrap_or(0)
    }
}

/// What a variable holds at first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Initial {
    /// The first bytes in memory order, row after row; what lies behind them is zero. Zero, too, where an address goes.
    pub bytes: Vec<u8>,
    /// The addresses among them.
    pub addresses: Vec<InitialAddress>,
}

/// An address in an initialiser.
#[derive(Clone, Debug, PartialEq)]
pub struct InitialAddress {
    /// Where it goes: a byte offset into the variable, and how many bytes are stored.
    pub at: usize,
    pub size: usize,
    /// Variable or function of the module, and what is added to its address.
    pub name: String,
    pub offset: i64,
    /// `generic(name)`: the generic address, not the one in the variable's own space.
    pub generic: bool,
    /// `0xFF00(name)` stores the byte of the address that begins at bit 8; 0 for a whole address.
    pub shift: u32,
}

/// A kernel (`.entry`) or a device function (`.func`).
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    pub name: String,
    pub line: u32,
    pub linkage: Linkage,
    pub is_kernel: bool,
    /// Return parameters of a `.func`: `.param` variables, or registers.
    pub returns: Vec<Parameter>,
    pub parameters: Vec<Parameter>,
    pub directives: Directives,
    /// `None` for a declaration.
    pub body: Option<Body>,
}

/// A formal parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Parameter {
    /// In `.param` space.
    Memory(Variable),
    /// In a register (old-style functions): an index into [`Body::registers`] (0 where there is no body).
    Register { name: String, ty: Type, register: usize },
}

/// Performance directives of a function that matter when it is launched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Directives {
    pub max_threads: Option<[u32; 3]>,
    pub required_threads: Option<[u32; 3]>,
    pub min_blocks: Option<u32>,
    pub max_registers: Option<u32>,
    pub no_return: bool,
    /// `.reqnctapercluster`, `.explicitcluster` or `.blocksareclusters`: to be launched in clusters (sm_90).
    pub cluster: bool,
}

/// The body of a function.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body {
    /// Every register of every scope.
    pub registers: Vec<RegisterInfo>,
    /// Every variable declared inside (`.shared`, `.local`, `.param`, `.global`, `.const`), of every scope.
    pub variables: Vec<Variable>,
    pub instructions: Vec<Instruction>,
    /// `.branchtargets` tables: instruction indices.
    pub branch_targets: Vec<Vec<usize>>,
    /// `.calltargets` tables: names of functions.
    pub call_targets: Vec<Vec<String>>,
    /// `.callprototype`s: bytes and alignments of what is returned and passed.
    pub prototypes: Vec<Prototype>,
}

/// The declaration of a register.
#[derive(Clone, Debug, PartialEq)]
pub struct RegisterInfo {
    pub name: String,
    pub ty: Type,
    /// `.reg .v4 .f32 %v;` has 4 components: it is registers `i..i+4` of this list, of which `i` says 4 and the others 1.
    pub vector: u32,
}

/// What a function pointer takes and gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Prototype {
    pub returns: Vec<Parameter>,
    pub parameters: Vec<Parameter>,
}

/// One instruction.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    /// Line of the PTX text, from 1.
    pub line: u32,
    /// `@p` or `@!p`.
    pub guard: Option<Guard>,
    /// The first word: `ld`, `cp`, `mma`.
    pub opcode: String,
    /// The words behind it, no dots: `["global", "nc", "v4", "f32"]`. `::` stays inside a word: `L2::128B`, `shared::cta`.
    pub modifiers: Vec<String>,
    pub operands: Vec<Operand>,
}

impl Instruction {
    /// `ld.global.nc.v4.f32`.
    pub fn name(&self) -> String {
        std::iter::once(&self.opcode).chain(&self.modifiers).map(String::as_str).collect::<Vec<_>>().join(".")
    }
}

/// The predicate that guards an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Index into [`Body::registers`].
    pub register: usize,
    pub negated: bool,
}

/// An operand.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// A register, by index into [`Body::registers`].
    Register(usize),
    /// `!p`.
    Not(usize),
    /// `-r` where an instruction allows it.
    Negative(usize),
    /// `r.h1`, `r.b3210`, `-r.b0`: the part of a register that a video instruction takes or writes.
    Select { register: usize, selector: String, negative: bool },
    /// `d|p`: two destinations; either may be [`Operand::Sink`].
    Pair(Box<Operand>, Box<Operand>),
    /// `_`.
    Sink,
    /// An integer literal, constant expression or `WARP_SZ`, as 64 bits in two's complement.
    Integer(u64),
    /// `0f3F800000`.
    Float32(u32),
    /// `0d3FF0000000000000`, or a decimal literal.
    Float64(u64),
    /// `{a, b, c, d}`.
    Vector(Vec<Operand>),
    /// `[base + offset]`.
    Address { base: Base, offset: i64 },
    /// A variable or function as a value: its address (in its own space), plus an offset.
    Symbol { symbol: Symbol, offset: i64 },
    /// `[tex, sampler, {x, y}]`, `[a, {x, y}]`: a bracketed list (textures, surfaces, tensors).
    Bracketed(Vec<Operand>),
    /// `%tid.x`, `%laneid`, `%clock64`: name without `%`, and component 0..4 for `.x .y .z .w`.
    Special { name: String, component: Option<u8> },
    /// The target of a branch: an index into [`Body::instructions`] (may equal its length: the end).
    Label(usize),
    /// A table of `.branchtargets`, by index into [`Body::branch_targets`].
    BranchTargets(usize),
    /// A table of `.calltargets`, by index into [`Body::call_targets`].
    CallTargets(usize),
    /// A `.callprototype`, by index into [`Body::prototypes`].
    Prototype(usize),
    /// `(a, b)` of a call: in front of the callee what is returned, behind it what is passed.
    List(Vec<Operand>),
}

/// What an address starts from.
#[derive(Clone, Debug, PartialEq)]
pub enum Base {
    Register(usize),
    Symbol(Symbol),
    /// `[0x100]`.
    Zero,
}

/// A name that is not a register.
#[derive(Clone, Debug, PartialEq)]
pub enum Symbol {
    /// Index into [`Function::parameters`].
    Parameter(usize),
    /// Index into [`Function::returns`].
    Return(usize),
    /// Index into [`Body::variables`].
    Local(usize),
    /// A variable or function of the module, by name.
    Module(String),
}
