//! Names in nested scopes.

use super::ParseError;
use super::ast::{Base, Body, Operand, RegisterInfo, Symbol};
use super::cursor::Parsed;
use super::types::Type;
use std::collections::HashMap;

/// Registers of one function, at most.
const MAX_REGISTERS: usize = 1 << 20;

/// What a name stands for.
#[derive(Clone, Debug)]
pub enum Meaning {
    /// First register of the body; more than one for vectors.
    Register(usize),
    Symbol(Symbol),
    BranchTargets(usize),
    CallTargets(usize),
    Prototype(usize),
}

/// `%r<100>`: names that are a stem and a number.
struct Range {
    first: usize,
    count: usize,
}

#[derive(Default)]
struct Scope {
    names: HashMap<String, Meaning>,
    ranges: HashMap<String, Range>,
    labels: HashMap<String, usize>,
    /// Labels that were named before they stood anywhere.
    pending: Vec<Pending>,
}

struct Pending {
    label: String,
    line: u32,
    place: Place,
}

/// Where the index of a label belongs.
pub enum Place {
    Operand { instruction: usize, operand: usize },
    Table { table: usize, entry: usize },
}

/// The body that is being read, and the names that hold where it is read.
#[derive(Default)]
pub struct Scopes {
    pub body: Body,
    open: Vec<Scope>,
}

impl Scopes {
    /// One scope for the parameters, in which the body's braces open another.
    pub fn new() -> Self {
        Scopes { body: Body::default(), open: vec![Scope::default()] }
    }

    pub fn depth(&self) -> usize {
        self.open.len()
    }

    pub fn enter(&mut self) {
        self.open.push(Scope::default());
    }

    /// Ends the innermost scope; what it could not resolve is left to the one around it.
    pub fn leave(&mut self) -> Parsed<()> {
        let Some(scope) = self.open.pop() else { return Ok(()) };
        for pending in scope.pending {
            match (scope.labels.get(&pending.label), self.open.last_mut()) {
                (Some(&index), _) => set(&mut self.body, &pending.place, index),
                (None, Some(outer)) => outer.pending.push(pending),
                (None, None) => {
                    return Err(ParseError::new(
                        pending.line,
                        format!("no label {} in reach", pending.label),
                    ));
                }
            }
        }
        Ok(())
    }

    pub fn define(&mut self, name: &str, meaning: Meaning, line: u32) -> Parsed<()> {
        let scope = self.open.last_mut().ok_or_else(|| ParseError::new(line, "outside of every scope"))?;
        if name != "_" && scope.names.insert(name.to_string(), meaning).is_some() {
            return Err(ParseError::new(line, format!("{name} is declared twice in one scope")));
        }
        Ok(())
    }

    /// Adds registers of one declaration: one, or `count` that are numbered from 0.
    pub fn registers(
        &mut self,
        name: &str,
        count: Option<u64>,
        ty: Type,
        vector: u32,
        line: u32,
    ) -> Parsed<usize> {
        let first = self.body.registers.len();
        let number = usize::try_from(count.unwrap_or(1)).unwrap_or(usize::MAX);
        if number.saturating_mul(vector as usize).saturating_add(first) > MAX_REGISTERS {
            return Err(ParseError::new(
                line,
                format!("more than {MAX_REGISTERS} registers in one function"),
            ));
        }
        for i in 0..number {
            let name = if count.is_some() { format!("{name}{i}") } else { name.to_string() };
            self.body.registers.push(RegisterInfo { name: name.clone(), ty, vector });
            for _ in 1..vector {
                self.body.registers.push(RegisterInfo { name: name.clone(), ty, vector: 1 });
            }
        }
        if count.is_none() {
            self.define(name, Meaning::Register(first), line)?;
        } else if let Some(scope) = self.open.last_mut()
            && scope.ranges.insert(name.to_string(), Range { first, count: number }).is_some()
        {
            return Err(ParseError::new(line, format!("{name}<…> is declared twice in one scope")));
        }
        Ok(first)
    }

    /// What a name stands for here, innermost scope first.
    pub fn find(&self, name: &str) -> Option<Meaning> {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        // Where a name ends in several digits, the stem of a range may itself end in some.
        let splits =
            (stem.len()..name.len()).filter(|&at| at == name.len() - 1 || name.as_bytes()[at] != b'0');
        let numbered: Vec<(&str, usize)> =
            splits.filter_map(|at| Some((&name[..at], name[at..].parse().ok()?))).take(24).collect();
        for scope in self.open.iter().rev() {
            if let Some(meaning) = scope.names.get(name) {
                return Some(meaning.clone());
            }
            for (stem, number) in &numbered {
                if let Some(range) = scope.ranges.get(*stem)
                    && *number < range.count
                {
                    let vector = self.body.registers[range.first].vector as usize;
                    return Some(Meaning::Register(range.first + number * vector));
                }
            }
        }
        None
    }

    /// A label that stands here: before the next instruction.
    pub fn label(&mut self, name: &str, line: u32) -> Parsed<()> {
        let index = self.body.instructions.len();
        let scope = self.open.last_mut().ok_or_else(|| ParseError::new(line, "outside of every scope"))?;
        match scope.labels.insert(name.to_string(), index) {
            None => Ok(()),
            Some(_) => Err(ParseError::new(line, format!("the label {name} stands twice in one scope"))),
        }
    }

    /// Notes that a label is wanted in a place; it is filled in when the scope that has it ends.
    pub fn want_label(&mut self, label: &str, place: Place, line: u32) {
        if let Some(scope) = self.open.last_mut() {
            scope.pending.push(Pending { label: label.to_string(), line, place });
        }
    }

    /// A name as a value, or `None` where it can only be something of the module.
    pub fn value(&self, name: &str) -> Option<Operand> {
        Some(match self.find(name)? {
            Meaning::Register(r) => Operand::Register(r),
            Meaning::Symbol(symbol) => Operand::Symbol { symbol, offset: 0 },
            Meaning::BranchTargets(i) => Operand::BranchTargets(i),
            Meaning::CallTargets(i) => Operand::CallTargets(i),
            Meaning::Prototype(i) => Operand::Prototype(i),
        })
    }

    /// A name as the start of an address.
    pub fn base(&self, name: &str) -> Option<Base> {
        match self.find(name) {
            Some(Meaning::Register(r)) => Some(Base::Register(r)),
            Some(Meaning::Symbol(symbol)) => Some(Base::Symbol(symbol)),
            Some(_) => None,
            None => Some(Base::Symbol(Symbol::Module(name.to_string()))),
        }
    }
}

fn set(body: &mut Body, place: &Place, index: usize) {
    match *place {
        Place::Operand { instruction, operand } => {
            body.instructions[instruction].operands[operand] = Operand::Label(index);
        }
        Place::Table { table, entry } => body.branch_targets[table][entry] = index,
    }
}
