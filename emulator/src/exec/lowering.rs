//! A function while it is lowered: where its registers, constants, variables and parameters lie.

use super::allocate::{Allocation, Place, allocate, rows_of};
use super::code::{Builtin, Fill, Formal, Value, function_address};
use super::flow::Block;
use super::special::{changing, special};
use crate::isa::{Address, Lower, Lowering, Refusal};
use crate::ptx::ast::{Body, Function, Parameter, Symbol, Variable};
use crate::ptx::types::{Space, Type};
use crate::state::registers::PredicateSlot;
use std::collections::HashMap;

/// More rows than this a function may not have: a register file of 8 MiB per warp.
pub(super) const MAX_ROWS: u32 = 1 << 16;

/// What a name of the module stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// A variable in global or constant memory.
    Fixed(u64, Space),
    /// A shared variable, by number.
    Shared(usize),
    Function(usize),
    Builtin(Builtin),
}

/// What the functions of a module have in common while they are lowered.
pub struct Names<'a> {
    pub functions: &'a [Function],
    pub target: u32,
    pub module: HashMap<&'a str, Named>,
    /// Of each function, its `.shared`, `.global` and `.const` variables by index in its body.
    pub locals: Vec<HashMap<usize, Named>>,
}

/// Byte offsets of a kernel's parameters, and their bytes altogether.
pub fn parameter_layout(parameters: &[Parameter]) -> Lowering<(Vec<u64>, u64)> {
    let (mut offsets, mut end) = (Vec::new(), 0u64);
    for parameter in parameters {
        let Parameter::Memory(variable) = parameter else {
            return Err(Refusal("a kernel cannot have parameters in registers".to_string()));
        };
        offsets.push(place(&mut end, variable)?);
    }
    Ok((offsets, end))
}

/// Takes aligned room for a variable.
fn place(end: &mut u64, variable: &Variable) -> Lowering<u64> {
    let align = (variable.align as u64).max(1);
    let start = end.checked_next_multiple_of(align);
    let new = start.and_then(|s| s.checked_add(variable.bytes() as u64)).filter(|&e| e < 1 << 32);
    let (Some(start), Some(new)) = (start, new) else {
        return Err(Refusal(format!("no room for {}", variable.name)));
    };
    *end = new;
    Ok(start)
}

/// The local memory of a function.
#[derive(Default)]
pub(super) struct Frame {
    parameters: Vec<u64>,
    returns: Vec<u64>,
    /// By index in the body; only for `.local` and `.param` variables.
    variables: HashMap<usize, u64>,
    pub(super) bytes: u64,
}

impl Frame {
    fn new(function: &Function, body: &Body) -> Lowering<Frame> {
        let mut frame = Frame::default();
        let formals = |all: &[Parameter], end: &mut u64| -> Lowering<Vec<u64>> {
            let offset = |p: &Parameter| match p {
                Parameter::Memory(variable) => place(end, variable),
                Parameter::Register { .. } => Ok(0),
            };
            all.iter().map(offset).collect()
        };
        if function.is_kernel {
            (frame.parameters, _) = parameter_layout(&function.parameters)?;
        } else {
            frame.parameters = formals(&function.parameters, &mut frame.bytes)?;
            frame.returns = formals(&function.returns, &mut frame.bytes)?;
        }
        for (i, variable) in body.variables.iter().enumerate() {
            if matches!(variable.space, Space::Local | Space::Param) {
                frame.variables.insert(i, place(&mut frame.bytes, variable)?);
            }
        }
        frame.bytes = frame.bytes.next_multiple_of(16);
        Ok(frame)
    }
}

/// The state of lowering one function.
pub struct Driver<'a> {
    pub names: &'a Names<'a>,
    index: usize,
    function: &'a Function,
    body: &'a Body,
    pub(super) allocation: Allocation,
    pub(super) frame: Frame,
    pub(super) fills: Vec<Fill>,
    filled: HashMap<(Value, usize), u32>,
    pub calls: Vec<usize>,
    pub calls_pointers: bool,
    pub uses_stack: bool,
    pub(super) shared: Vec<usize>,
}

impl<'a> Driver<'a> {
    pub(super) fn new(
        names: &'a Names<'a>,
        index: usize,
        function: &'a Function,
        body: &'a Body,
        blocks: &[Block],
    ) -> Lowering<Self> {
        let allocation = allocate(function, body, blocks);
        if allocation.rows > MAX_ROWS {
            return Err(Refusal(format!("{} rows of registers are alive at once", allocation.rows)));
        }
        Ok(Driver {
            names,
            index,
            function,
            body,
            allocation,
            frame: Frame::new(function, body)?,
            fills: Vec::new(),
            filled: HashMap::new(),
            calls: Vec::new(),
            calls_pointers: false,
            uses_stack: false,
            shared: Vec::new(),
        })
    }

    fn fill(&mut self, value: Value, rows: usize) -> u32 {
        let (allocation, fills) = (&mut self.allocation, &mut self.fills);
        *self.filled.entry((value, rows)).or_insert_with(|| {
            let row = allocation.rows;
            allocation.rows += rows as u32;
            fills.push(Fill { row, rows, value });
            row
        })
    }

    /// The places of formal parameters.
    pub(super) fn formals(&mut self, all: &[Parameter], are_parameters: bool) -> Lowering<Vec<Formal>> {
        if self.function.is_kernel {
            return Ok(Vec::new());
        }
        let mut out = Vec::new();
        for (i, parameter) in all.iter().enumerate() {
            let offsets = if are_parameters { &self.frame.parameters } else { &self.frame.returns };
            out.push(match parameter {
                Parameter::Memory(v) => Formal::Memory { offset: offsets[i], bytes: v.bytes() as u64 },
                Parameter::Register { register, .. } => self.in_register(*register)?,
            });
        }
        Ok(out)
    }

    /// A register as a parameter.
    pub fn in_register(&mut self, register: usize) -> Lowering<Formal> {
        let ty = self.body.registers.get(register).map(|r| r.ty);
        match ty {
            Some(Type::Pred) => Ok(Formal::Predicate(self.predicate(register)?)),
            Some(ty) => Ok(Formal::Row { row: self.register(register)?, rows: rows_of(ty) }),
            None => Err(Refusal("a register that does not exist".to_string())),
        }
    }

    /// A `.param` variable of the body, a formal parameter or return parameter, as the parameter of a call.
    pub fn in_frame(&self, symbol: &Symbol) -> Option<Formal> {
        let of = |parameter: &Parameter, offsets: &[u64], i: usize| match parameter {
            Parameter::Memory(v) => {
                Some(Formal::Memory { offset: *offsets.get(i)?, bytes: v.bytes() as u64 })
            }
            Parameter::Register { .. } => None,
        };
        match symbol {
            Symbol::Local(i) => {
                let offset = *self.frame.variables.get(i)?;
                Some(Formal::Memory { offset, bytes: self.body.variables[*i].bytes() as u64 })
            }
            Symbol::Parameter(i) if !self.function.is_kernel => {
                of(self.function.parameters.get(*i)?, &self.frame.parameters, *i)
            }
            Symbol::Return(i) => of(self.function.returns.get(*i)?, &self.frame.returns, *i),
            _ => None,
        }
    }

    fn frame_address(&self, offset: u64) -> (Address, Space) {
        // The frame of a kernel lies at 0.
        let address = if self.function.is_kernel { Address::Fixed(offset) } else { Address::Frame(offset) };
        (address, Space::Local)
    }

    fn named(&mut self, named: Named) -> Lowering<(Address, Space)> {
        Ok(match named {
            Named::Fixed(address, space) => (Address::Fixed(address), space),
            Named::Shared(variable) => {
                if !self.shared.contains(&variable) {
                    self.shared.push(variable);
                }
                (Address::Shared(variable), Space::Shared)
            }
            Named::Function(index) => {
                self.calls.push(index);
                (Address::Fixed(function_address(index)), Space::Global)
            }
            Named::Builtin(_) => return Err(Refusal("a function of the system has no address".to_string())),
        })
    }
}

impl Lower for Driver<'_> {
    fn body(&self) -> &Body {
        self.body
    }

    fn target(&self) -> u32 {
        self.names.target
    }

    fn constant(&mut self, bits: u128, rows: usize) -> u32 {
        self.fill(Value::Bits(bits), rows)
    }

    fn register(&mut self, register: usize) -> Lowering<u32> {
        match self.allocation.places.get(register) {
            Some(Place::Row(row)) => Ok(*row),
            Some(Place::Nowhere) if self.body.registers[register].ty != Type::Pred => {
                let row = self.allocation.rows;
                self.allocation.rows += rows_of(self.body.registers[register].ty) as u32;
                self.allocation.places[register] = Place::Row(row);
                Ok(row)
            }
            Some(_) => Err(Refusal(format!("{} is a predicate", self.body.registers[register].name))),
            None => Err(Refusal("a register that does not exist".to_string())),
        }
    }

    fn predicate(&mut self, register: usize) -> Lowering<PredicateSlot> {
        match self.allocation.places.get(register) {
            Some(Place::Predicate(slot)) => Ok(PredicateSlot(*slot)),
            Some(Place::Nowhere) if self.body.registers[register].ty == Type::Pred => {
                let slot = self.allocation.predicates;
                self.allocation.predicates += 1;
                self.allocation.places[register] = Place::Predicate(slot);
                Ok(PredicateSlot(slot))
            }
            Some(_) => Err(Refusal(format!("{} is not a predicate", self.body.registers[register].name))),
            None => Err(Refusal("a register that does not exist".to_string())),
        }
    }

    fn special(&mut self, name: &str, component: Option<u8>, rows: usize) -> Lowering<Option<u32>> {
        match special(name, component) {
            Some(special) => Ok(Some(self.fill(Value::Special(special), rows))),
            None if changing(name).is_some() => Ok(None),
            None => Err(Refusal(format!("%{name} does not exist here"))),
        }
    }

    fn symbol(&mut self, symbol: &Symbol) -> Lowering<(Address, Space)> {
        let missing = || Refusal("a variable that does not exist".to_string());
        match symbol {
            Symbol::Parameter(i) if self.function.is_kernel => {
                let offset = *self.frame.parameters.get(*i).ok_or_else(missing)?;
                Ok((Address::Fixed(offset), Space::Param))
            }
            Symbol::Parameter(i) => {
                let offset = *self.frame.parameters.get(*i).ok_or_else(missing)?;
                Ok(self.frame_address(offset))
            }
            Symbol::Return(i) => {
                let offset = *self.frame.returns.get(*i).ok_or_else(missing)?;
                Ok(self.frame_address(offset))
            }
            Symbol::Local(i) => match self.frame.variables.get(i) {
                Some(&offset) => Ok(self.frame_address(offset)),
                None => {
                    let named = *self.names.locals[self.index].get(i).ok_or_else(missing)?;
                    self.named(named)
                }
            },
            Symbol::Module(name) => {
                let named = self.names.module.get(name.as_str()).copied();
                let named = named.ok_or_else(|| Refusal(format!("{name} is not defined in this module")))?;
                self.named(named)
            }
        }
    }

    fn address(&mut self, address: Address, offset: i64, rows: usize) -> u32 {
        match address {
            Address::Fixed(address) => {
                let sum = address.wrapping_add_signed(offset);
                let bits = if rows == 1 { u128::from(sum as u32) } else { u128::from(sum) };
                self.fill(Value::Bits(bits), rows)
            }
            Address::Frame(start) => self.fill(Value::Frame(start.wrapping_add_signed(offset)), rows),
            Address::Shared(variable) => self.fill(Value::Shared(variable, offset), rows),
        }
    }
}
