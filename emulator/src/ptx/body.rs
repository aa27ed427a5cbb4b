//! Statements of a function: declarations, labels, instructions, nested scopes.

use super::ast::{Body, Guard, Instruction, Linkage, Prototype, Symbol};
use super::cursor::{Cursor, Parsed};
use super::function::{parameters, pragma};
use super::lexer::Token;
use super::operand::operands;
use super::scope::{Meaning, Place, Scopes};
use super::types::Type;
use super::variable::{kind, space, variable};

/// Scopes inside one another, at most.
const MAX_DEPTH: usize = 200;

/// The body whose opening brace comes next.
pub fn body(cursor: &mut Cursor<'_>, mut scopes: Scopes) -> Parsed<Body> {
    let outer = scopes.depth();
    cursor.want('{')?;
    scopes.enter();
    while scopes.depth() > outer {
        statement(cursor, &mut scopes)?;
    }
    scopes.leave()?;
    Ok(scopes.body)
}

fn statement(cursor: &mut Cursor<'_>, scopes: &mut Scopes) -> Parsed<()> {
    match cursor.peek() {
        Token::Sign('{') => {
            cursor.take();
            if scopes.depth() == MAX_DEPTH {
                return cursor.error(format!("scopes are nested deeper than {MAX_DEPTH}"));
            }
            scopes.enter();
            Ok(())
        }
        Token::Sign('}') => {
            cursor.take();
            scopes.leave()
        }
        Token::Sign(';') => {
            cursor.take();
            Ok(())
        }
        Token::Dot(word) => {
            cursor.take();
            directive(cursor, scopes, word)
        }
        Token::Word(name) if cursor.second() == Token::Sign(':') => {
            let line = cursor.line();
            cursor.take();
            cursor.take();
            match cursor.peek() {
                Token::Dot("branchtargets") => branch_targets(cursor, scopes, name),
                Token::Dot("calltargets") => call_targets(cursor, scopes, name),
                Token::Dot("callprototype") => prototype(cursor, scopes, name),
                _ => scopes.label(name, line),
            }
        }
        Token::Word(_) | Token::Sign('@') => instruction(cursor, scopes),
        _ => cursor.expected("a statement or \"}\""),
    }
}

fn directive(cursor: &mut Cursor<'_>, scopes: &mut Scopes, word: &str) -> Parsed<()> {
    match word {
        "reg" => registers(cursor, scopes),
        "loc" => location(cursor),
        "pragma" => pragma(cursor),
        _ => {
            let Some(space) = space(word) else { return cursor.error(format!("unknown directive .{word}")) };
            let kind = kind(cursor)?;
            loop {
                let line = cursor.line();
                let variable = variable(cursor, space, Linkage::Internal, &kind, true)?;
                let index = scopes.body.variables.len();
                scopes.define(&variable.name, Meaning::Symbol(Symbol::Local(index)), line)?;
                scopes.body.variables.push(variable);
                if !cursor.sign(',') {
                    return cursor.want(';');
                }
            }
        }
    }
}

/// `.reg .v2 .f32 a, b<4>;`
fn registers(cursor: &mut Cursor<'_>, scopes: &mut Scopes) -> Parsed<()> {
    let (mut ty, mut vector) = (None, 1);
    while let Token::Dot(word) = cursor.peek() {
        cursor.take();
        match word {
            "v2" => vector = 2,
            "v4" => vector = 4,
            "v8" => vector = 8,
            _ => match Type::parse(word).filter(|t| *t == Type::Pred || t.bits() >= 8) {
                Some(found) if ty.is_none() => ty = Some(found),
                _ => return cursor.error(format!("expected the type of registers, found .{word}")),
            },
        }
    }
    let Some(ty) = ty else { return cursor.expected("the type of registers") };
    loop {
        let line = cursor.line();
        let name = cursor.word("the name of a register")?;
        let mut count = None;
        if cursor.sign('<') {
            count = Some(cursor.integer("a number of registers")?);
            cursor.want('>')?;
        }
        scopes.registers(name, count, ty, vector, line)?;
        if !cursor.sign(',') {
            return cursor.want(';');
        }
    }
}

/// `.loc 1 10 3, function_name $L__info, inlined_at 1 5 2`: says nothing that running needs, and has no end mark.
fn location(cursor: &mut Cursor<'_>) -> Parsed<()> {
    for _ in 0..3 {
        cursor.integer("file, line and column")?;
    }
    while cursor.sign(',') {
        match cursor.word("function_name or inlined_at")? {
            "function_name" => {
                cursor.word("a label")?;
                if cursor.sign('+') {
                    cursor.integer("an offset")?;
                }
            }
            "inlined_at" => {
                for _ in 0..3 {
                    cursor.integer("file, line and column")?;
                }
            }
            other => return cursor.error(format!("expected function_name or inlined_at, found {other}")),
        }
    }
    Ok(())
}

fn branch_targets(cursor: &mut Cursor<'_>, scopes: &mut Scopes, name: &str) -> Parsed<()> {
    let line = cursor.line();
    cursor.take();
    let table = scopes.body.branch_targets.len();
    scopes.body.branch_targets.push(Vec::new());
    scopes.define(name, Meaning::BranchTargets(table), line)?;
    loop {
        let line = cursor.line();
        let label = cursor.word("a label")?;
        let entry = scopes.body.branch_targets[table].len();
        scopes.body.branch_targets[table].push(0);
        scopes.want_label(label, Place::Table { table, entry }, line);
        if !cursor.sign(',') {
            return cursor.want(';');
        }
    }
}

fn call_targets(cursor: &mut Cursor<'_>, scopes: &mut Scopes, name: &str) -> Parsed<()> {
    let line = cursor.line();
    cursor.take();
    let mut names = Vec::new();
    loop {
        names.push(cursor.word("the name of a function")?.to_string());
        if !cursor.sign(',') {
            break;
        }
    }
    scopes.define(name, Meaning::CallTargets(scopes.body.call_targets.len()), line)?;
    scopes.body.call_targets.push(names);
    cursor.want(';')
}

/// `name: .callprototype (.param .b32 _) _ (.param .b64 _, .param .b32 _);`
fn prototype(cursor: &mut Cursor<'_>, scopes: &mut Scopes, name: &str) -> Parsed<()> {
    let line = cursor.line();
    cursor.take();
    let returns = if cursor.is_sign('(') { parameters(cursor, None, true)? } else { Vec::new() };
    cursor.word("\"_\"")?;
    let parameters = if cursor.is_sign('(') { parameters(cursor, None, false)? } else { Vec::new() };
    while let Token::Dot(word) = cursor.peek() {
        cursor.take();
        match word {
            "noreturn" => {}
            "abi_preserve" | "abi_preserve_control" => {
                cursor.small("a number")?;
            }
            _ => return cursor.error(format!("unknown directive .{word} of a prototype")),
        }
    }
    scopes.define(name, Meaning::Prototype(scopes.body.prototypes.len()), line)?;
    scopes.body.prototypes.push(Prototype { returns, parameters });
    cursor.want(';')
}

fn instruction(cursor: &mut Cursor<'_>, scopes: &mut Scopes) -> Parsed<()> {
    let guard = if cursor.sign('@') {
        let negated = cursor.sign('!');
        let name = cursor.word("a predicate")?;
        match scopes.find(name) {
            Some(Meaning::Register(register)) if scopes.body.registers[register].ty == Type::Pred => {
                Some(Guard { register, negated })
            }
            _ => return cursor.error(format!("expected a predicate behind \"@\", found {name}")),
        }
    } else {
        None
    };
    let line = cursor.line();
    let opcode = cursor.word("an instruction")?.to_string();
    let mut modifiers = Vec::new();
    while let Token::Dot(word) = cursor.peek() {
        cursor.take();
        modifiers.push(word.to_string());
        if modifiers.len() > 32 {
            return cursor.error("an instruction of more than 32 modifiers");
        }
    }
    let index = scopes.body.instructions.len();
    let operands = operands(cursor, scopes, &opcode, index)?;
    cursor.want(';')?;
    scopes.body.instructions.push(Instruction { line, guard, opcode, modifiers, operands });
    Ok(())
}
