//! What can only be checked when the whole module is known: names that lead out of a function.

use super::ast::{Base, InitialAddress, Operand, Symbol};
use super::error::{ParseError, Parsed, shown};
use super::parser::{Global, Parser};
use std::collections::HashMap;

/// The names of a module.
struct Names<'n, 'a> {
    globals: &'n HashMap<&'a str, Global>,
    aliases: HashMap<&'a str, &'a str>,
}

impl Names<'_, '_> {
    /// Puts the function that an alias stands for in its place; the name must be known.
    fn settle(&self, name: &mut String, line: u32) -> Parsed<()> {
        if let Some(target) = self.aliases.get(name.as_str()) {
            *name = target.to_string();
        }
        if self.globals.contains_key(name.as_str()) {
            return Ok(());
        }
        Err(ParseError { line, message: format!("{} is not declared", shown(name)) })
    }

    fn operand(&self, operand: &mut Operand, line: u32) -> Parsed<()> {
        match operand {
            Operand::Symbol { symbol: Symbol::Module(name), .. }
            | Operand::Address { base: Base::Symbol(Symbol::Module(name)), .. } => self.settle(name, line),
            Operand::Vector(parts) | Operand::List(parts) | Operand::Bracketed(parts) => {
                parts.iter_mut().try_for_each(|part| self.operand(part, line))
            }
            _ => Ok(()),
        }
    }

    fn addresses(&self, addresses: &mut [InitialAddress], line: u32) -> Parsed<()> {
        addresses.iter_mut().try_for_each(|address| self.settle(&mut address.name, line))
    }
}

impl Parser<'_> {
    /// Resolves aliases, and checks that every name is declared.
    pub fn link(&mut self) -> Parsed<()> {
        let mut aliases = HashMap::new();
        for &(name, target, line) in &self.aliases {
            for function in [name, target] {
                if !matches!(self.names.get(function), Some(Global::Function(_))) {
                    let message = format!("`.alias` needs a function, {} is none", shown(function));
                    return Err(ParseError { line, message });
                }
            }
            if aliases.insert(name, target).is_some() {
                return Err(ParseError { line, message: format!("{} is an alias already", shown(name)) });
            }
        }
        let names = Names { globals: &self.names, aliases };
        for variable in &mut self.module.variables {
            names.addresses(&mut variable.initial.addresses, variable.line)?;
        }
        for function in &mut self.module.functions {
            let Some(body) = &mut function.body else { continue };
            for variable in &mut body.variables {
                names.addresses(&mut variable.initial.addresses, variable.line)?;
            }
            for target in body.call_targets.iter_mut().flatten() {
                names.settle(target, function.line)?;
            }
            for instruction in &mut body.instructions {
                for operand in &mut instruction.operands {
                    names.operand(operand, instruction.line)?;
                }
            }
        }
        Ok(())
    }
}
