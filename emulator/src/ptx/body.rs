//! Bodies of functions: declarations, labels, instructions, scopes.

use super::ast::{Body, Function, Guard, Instruction, Operand, Parameter, Symbol};
use super::error::{ParseError, Parsed, shown};
use super::lexer::Token;
use super::parser::{MAX_REGISTERS, Parser};
use super::scope::{Entity, Range, Scope};
use super::types::{Space, Type};
use super::variable::space;

/// A use of a name that may turn out to be a label.
#[derive(Clone, Copy)]
pub(super) enum Unresolved<'a> {
    /// Operands of an instruction that are symbols of the module for now.
    Operands(usize),
    /// An entry of a table of branch targets.
    Target { table: usize, slot: usize, name: &'a str, line: u32 },
}

/// A function whose body is being read.
pub(super) struct BodyParser<'p, 'a> {
    pub parser: &'p mut Parser<'a>,
    pub body: Body,
    pub scopes: Vec<Scope<'a>>,
    /// Uses in open scopes.
    pub unresolved: Vec<Unresolved<'a>>,
}

impl<'a> Parser<'a> {
    /// `{ … }` of a function, whose register parameters are in `body`.
    pub fn body(
        &mut self,
        body: Body,
        function: &Function,
        returns: &[&'a str],
        parameters: &[&'a str],
    ) -> Parsed<Body> {
        let mut outer = Scope::new(0);
        let formals = returns.iter().zip(&function.returns).enumerate().map(|(i, f)| (Entity::Return(i), f));
        let passed = parameters.iter().zip(&function.parameters).enumerate();
        for (place, (name, parameter)) in formals.chain(passed.map(|(i, f)| (Entity::Parameter(i), f))) {
            let entity = match parameter {
                Parameter::Memory(_) => place,
                Parameter::Register { register, .. } => {
                    Entity::Register(*register, body.registers[*register].vector)
                }
            };
            if *name != "_" && outer.declare(name, entity, function.line).is_err() {
                return self.error(format!("{} has two parameters {}", shown(&function.name), shown(name)));
            }
        }
        let mut inner = BodyParser { parser: self, body, scopes: vec![outer], unresolved: Vec::new() };
        inner.statements()?;
        Ok(inner.body)
    }
}

impl<'a> BodyParser<'_, 'a> {
    /// Everything from the first `{` to the `}` that closes it.
    fn statements(&mut self) -> Parsed<()> {
        self.parser.expect("{")?;
        loop {
            match self.parser.token {
                Token::Sign("}") => {
                    self.parser.advance()?;
                    self.close_scope()?;
                    if self.scopes.is_empty() {
                        return Ok(());
                    }
                    self.parser.shallower();
                }
                Token::Sign("{") => {
                    self.parser.deeper()?;
                    self.parser.advance()?;
                    self.scopes.push(Scope::new(self.unresolved.len()));
                }
                Token::Sign("@") => {
                    self.parser.advance()?;
                    let negated = self.parser.accept("!")?;
                    let register = self.predicate()?;
                    let line = self.parser.line;
                    let opcode = self.parser.word("an instruction")?;
                    self.instruction(opcode, line, Some(Guard { register, negated }))?;
                }
                Token::Sign(";") => {
                    self.parser.advance()?;
                }
                Token::Word(word) => {
                    let line = self.parser.line;
                    self.parser.advance()?;
                    if self.parser.accept(":")? {
                        self.label(word, line)?;
                    } else {
                        self.instruction(word, line, None)?;
                    }
                }
                Token::Dotted(word) => self.directive(word)?,
                _ => return self.parser.expected("an instruction, a declaration or `}`"),
            }
        }
    }

    fn directive(&mut self, word: &'a str) -> Parsed<()> {
        match word {
            "reg" => self.registers(),
            "loc" => self.parser.location(),
            "file" => self.parser.file(),
            "pragma" => {
                self.parser.advance()?;
                self.parser.pragma()
            }
            _ => self.variables(),
        }
    }

    /// Declares a name in the innermost scope.
    fn declare(&mut self, name: &'a str, entity: Entity, line: u32) -> Parsed<()> {
        let declared = match self.scopes.last_mut() {
            Some(scope) => scope.declare(name, entity, line),
            None => Ok(()),
        };
        declared.map_err(|before| again(name, line, before))
    }

    /// `.reg .v4 .f32 %v, %r<10>;`
    fn registers(&mut self) -> Parsed<()> {
        self.parser.advance()?;
        let shape = self.parser.shape(false)?;
        loop {
            let line = self.parser.line;
            let name = self.parser.word("the name of a register")?;
            if self.parser.accept("<")? {
                let count = self.parser.literal("a number of registers")?;
                if count > MAX_REGISTERS {
                    return self.parser.error(format!("{count} registers are more than {MAX_REGISTERS}"));
                }
                self.parser.expect(">")?;
                self.parser.spend(1)?;
                let range = Range { count, ty: shape.ty, vector: shape.vector };
                if let Some(scope) = self.scopes.last_mut() {
                    scope
                        .declare_range(name, &format!("{name}0"), range, line)
                        .map_err(|before| again(name, line, before))?;
                }
            } else {
                let register = self.parser.add_register(&mut self.body, name, shape.ty, shape.vector)?;
                self.declare(name, Entity::Register(register, shape.vector), line)?;
            }
            if !self.parser.accept(",")? {
                return self.parser.expect(";");
            }
        }
    }

    /// `.shared .align 4 .b8 tile[64];`
    fn variables(&mut self) -> Parsed<()> {
        let linkage = self.parser.linkage()?;
        let space = match self.parser.token {
            Token::Dotted(word) => space(word),
            _ => None,
        };
        let Some(space) = space else {
            return self
                .parser
                .expected("`.reg`, `.param`, `.local`, `.shared`, `.global`, `.const` or `.loc`");
        };
        self.parser.advance()?;
        let shape = self.parser.shape(space == Space::Param)?;
        loop {
            let line = self.parser.line;
            let (name, variable) = self.parser.declarator(space, linkage, shape)?;
            if space == Space::Param && (variable.elements.is_none() || name == "_") {
                return self.parser.error("a .param variable of a body must have a name and an extent");
            }
            let index = self.body.variables.len();
            self.body.variables.push(variable);
            self.declare(name, Entity::Local(index), line)?;
            if !self.parser.accept(",")? {
                return self.parser.expect(";");
            }
        }
    }

    /// What stands behind `name:`.
    fn label(&mut self, name: &'a str, line: u32) -> Parsed<()> {
        self.parser.spend(1)?;
        let entity = match self.parser.token {
            Token::Dotted("branchtargets") => {
                let table = self.body.branch_targets.len();
                let names = self.names_of_table("a label")?;
                for (slot, &(name, line)) in names.iter().enumerate() {
                    self.unresolved.push(Unresolved::Target { table, slot, name, line });
                }
                self.body.branch_targets.push(vec![0; names.len()]);
                Entity::BranchTargets(table)
            }
            Token::Dotted("calltargets") => {
                let names = self.names_of_table("the name of a function")?;
                let names = names.into_iter().map(|(name, _)| name.to_string()).collect();
                self.body.call_targets.push(names);
                Entity::CallTargets(self.body.call_targets.len() - 1)
            }
            Token::Dotted("callprototype") => {
                let prototype = self.parser.prototype()?;
                self.body.prototypes.push(prototype);
                Entity::Prototype(self.body.prototypes.len() - 1)
            }
            _ => Entity::Label(self.body.instructions.len()),
        };
        self.declare(name, entity, line)
    }

    /// `a, b, c;` behind a directive, with lines.
    fn names_of_table(&mut self, what: &str) -> Parsed<Vec<(&'a str, u32)>> {
        self.parser.advance()?;
        let mut names = Vec::new();
        loop {
            self.parser.spend(1)?;
            let line = self.parser.line;
            names.push((self.parser.word(what)?, line));
            if !self.parser.accept(",")? {
                self.parser.expect(";")?;
                return Ok(names);
            }
        }
    }

    /// The rest of an instruction whose opcode has been read.
    fn instruction(&mut self, opcode: &'a str, line: u32, guard: Option<Guard>) -> Parsed<()> {
        let mut modifiers = Vec::new();
        while let Token::Dotted(word) = self.parser.token {
            self.parser.spend(1)?;
            self.parser.advance()?;
            modifiers.push(word.to_string());
        }
        let mut operands = Vec::new();
        while !self.parser.is(";") {
            operands.push(self.operand(opcode)?);
            if !self.parser.accept(",")? {
                break;
            }
            if self.parser.is(";") {
                return self.parser.expected("an operand");
            }
        }
        if !self.parser.is(";") {
            return self.parser.expected("`,` or `;`");
        }
        self.parser.advance()?;
        self.parser.spend(4)?;
        if operands.iter().any(names_symbol) {
            self.unresolved.push(Unresolved::Operands(self.body.instructions.len()));
        }
        let opcode = opcode.to_string();
        self.body.instructions.push(Instruction { line, guard, opcode, modifiers, operands });
        Ok(())
    }

    /// A register that must be a predicate.
    pub fn predicate(&mut self) -> Parsed<usize> {
        let name = self.parser.word("a predicate")?;
        match self.lookup(name)? {
            Some(Entity::Register(register, _)) if self.body.registers[register].ty == Type::Pred => {
                Ok(register)
            }
            Some(_) => self.parser.error(format!("{} is not a predicate", shown(name))),
            None => self.parser.error(format!("{} is not declared", shown(name))),
        }
    }

    /// What a name stands for in the scopes that are open; makes the register of a range when it is first used.
    pub fn lookup(&mut self, name: &'a str) -> Parsed<Option<Entity>> {
        for index in (0..self.scopes.len()).rev() {
            if let Some(entity) = self.scopes[index].get(name) {
                return Ok(Some(entity));
            }
            if let Some((range, line)) = self.scopes[index].unused(name) {
                let register = self.parser.add_register(&mut self.body, name, range.ty, range.vector)?;
                let entity = Entity::Register(register, range.vector);
                self.scopes[index].instantiate(name, entity, line);
                return Ok(Some(entity));
            }
        }
        Ok(None)
    }

    /// Ends the innermost scope: its labels are all known now.
    fn close_scope(&mut self) -> Parsed<()> {
        let Some(scope) = self.scopes.pop() else { return Ok(()) };
        let inner = self.unresolved.split_off(scope.unresolved_before);
        for entry in inner {
            let open = match entry {
                Unresolved::Operands(index) => {
                    let instruction = &mut self.body.instructions[index];
                    let mut open = false;
                    for operand in &mut instruction.operands {
                        open |= resolve(operand, &scope, instruction.line)?;
                    }
                    open
                }
                Unresolved::Target { table, slot, name, line } => match scope.get(name) {
                    Some(Entity::Label(at)) => {
                        self.body.branch_targets[table][slot] = at;
                        false
                    }
                    _ if self.scopes.is_empty() => {
                        return Err(ParseError {
                            line,
                            message: format!("label {} is missing", shown(name)),
                        });
                    }
                    _ => true,
                },
            };
            if open {
                self.unresolved.push(entry);
            }
        }
        Ok(())
    }
}

fn again(name: &str, line: u32, before: u32) -> ParseError {
    ParseError { line, message: format!("{} is declared again (first on line {before})", shown(name)) }
}

/// Whether an operand has a part that may be a label.
fn names_symbol(operand: &Operand) -> bool {
    match operand {
        Operand::Symbol { symbol: Symbol::Module(_), .. } => true,
        Operand::List(parts) => parts.iter().any(names_symbol),
        _ => false,
    }
}

/// Turns names of a scope's labels and tables into what they are; gives whether other names are left.
fn resolve(operand: &mut Operand, scope: &Scope<'_>, line: u32) -> Parsed<bool> {
    match operand {
        Operand::List(parts) => {
            let mut open = false;
            for part in parts {
                open |= resolve(part, scope, line)?;
            }
            Ok(open)
        }
        Operand::Symbol { symbol: Symbol::Module(name), offset } => {
            let resolved = match scope.get(name) {
                Some(Entity::Label(at)) => Operand::Label(at),
                Some(Entity::BranchTargets(table)) => Operand::BranchTargets(table),
                Some(Entity::CallTargets(table)) => Operand::CallTargets(table),
                Some(Entity::Prototype(index)) => Operand::Prototype(index),
                _ => return Ok(true),
            };
            if *offset != 0 {
                return Err(ParseError {
                    line,
                    message: format!("{} is a label, not a number", shown(name)),
                });
            }
            *operand = resolved;
            Ok(false)
        }
        _ => Ok(false),
    }
}
