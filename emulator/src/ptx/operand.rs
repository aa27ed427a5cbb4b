//! Operands of instructions.

use super::ast::{Base, Operand, Symbol};
use super::cursor::{Cursor, Parsed};
use super::expression::constant;
use super::lexer::Token;
use super::scope::{Meaning, Place, Scopes};
use super::variable::offset;

/// Lists inside one another, at most.
const MAX_DEPTH: u32 = 8;
/// Operands of one list, at most.
const MAX_OPERANDS: usize = 4096;

/// All operands up to the semicolon. `index` is the place that the instruction will have.
pub fn operands(
    cursor: &mut Cursor<'_>,
    scopes: &mut Scopes,
    opcode: &str,
    index: usize,
) -> Parsed<Vec<Operand>> {
    let mut all = Vec::new();
    if cursor.is_sign(';') {
        return Ok(all);
    }
    loop {
        if all.len() == MAX_OPERANDS {
            return cursor.error(format!("more than {MAX_OPERANDS} operands"));
        }
        let line = cursor.line();
        if opcode == "bra"
            && let Token::Word(label) = cursor.peek()
        {
            cursor.take();
            scopes.want_label(label, Place::Operand { instruction: index, operand: all.len() }, line);
            all.push(Operand::Label(0));
        } else if opcode == "call" && cursor.is_sign('(') {
            cursor.take();
            all.push(Operand::List(list(cursor, scopes, ')', 0)?));
        } else {
            all.push(operand(cursor, scopes, 0)?);
        }
        if !cursor.sign(',') {
            return Ok(all);
        }
    }
}

/// What stands before a closing sign.
fn list(cursor: &mut Cursor<'_>, scopes: &Scopes, close: char, depth: u32) -> Parsed<Vec<Operand>> {
    if depth >= MAX_DEPTH {
        return cursor.error(format!("operands are nested deeper than {MAX_DEPTH}"));
    }
    let mut all = Vec::new();
    while !cursor.is_sign(close) {
        if all.len() == MAX_OPERANDS {
            return cursor.error(format!("more than {MAX_OPERANDS} operands"));
        }
        all.push(operand(cursor, scopes, depth + 1)?);
        if !cursor.sign(',') {
            break;
        }
    }
    cursor.want(close)?;
    Ok(all)
}

fn operand(cursor: &mut Cursor<'_>, scopes: &Scopes, depth: u32) -> Parsed<Operand> {
    let first = match cursor.peek() {
        Token::Sign('{') => {
            cursor.take();
            Operand::Vector(list(cursor, scopes, '}', depth)?)
        }
        Token::Sign('[') => {
            cursor.take();
            return bracketed(cursor, scopes, depth);
        }
        Token::Sign('!') => match cursor.second() {
            Token::Word(name) => {
                cursor.take();
                cursor.take();
                match scopes.find(name) {
                    Some(Meaning::Register(r)) => Operand::Not(r),
                    _ => return cursor.error(format!("expected a predicate behind \"!\", found {name}")),
                }
            }
            _ => Operand::Integer(constant(cursor)?),
        },
        Token::Sign('-') => match cursor.second() {
            Token::Word(name) if name != "WARP_SZ" => {
                cursor.take();
                match word(cursor, scopes)? {
                    Operand::Register(r) => Operand::Negative(r),
                    Operand::Select { register, selector, negative: false } => {
                        Operand::Select { register, selector, negative: true }
                    }
                    _ => return cursor.error(format!("expected a register behind \"-\", found {name}")),
                }
            }
            Token::Float32(bits) => {
                cursor.take();
                cursor.take();
                Operand::Float32(bits ^ 1 << 31)
            }
            Token::Float64(bits) => {
                cursor.take();
                cursor.take();
                Operand::Float64(bits ^ 1 << 63)
            }
            _ => Operand::Integer(constant(cursor)?),
        },
        Token::Float32(bits) => {
            cursor.take();
            Operand::Float32(bits)
        }
        Token::Float64(bits) => {
            cursor.take();
            Operand::Float64(bits)
        }
        Token::Word(name) if name != "WARP_SZ" => word(cursor, scopes)?,
        _ => Operand::Integer(constant(cursor)?),
    };
    if cursor.is_sign('|') && !matches!(first, Operand::Integer(_)) {
        cursor.take();
        if depth >= MAX_DEPTH {
            return cursor.error(format!("operands are nested deeper than {MAX_DEPTH}"));
        }
        let second = operand(cursor, scopes, depth + 1)?;
        if matches!(second, Operand::Pair(..)) {
            return cursor.error("expected two destinations, found more");
        }
        return Ok(Operand::Pair(Box::new(first), Box::new(second)));
    }
    Ok(first)
}

/// A register, a symbol with its offset, a special register.
fn word(cursor: &mut Cursor<'_>, scopes: &Scopes) -> Parsed<Operand> {
    let name = cursor.word("an operand")?;
    if name == "_" {
        return Ok(Operand::Sink);
    }
    let dot = match cursor.peek() {
        Token::Dot(part) if cursor.touches_last() => Some(part),
        _ => None,
    };
    match scopes.value(name) {
        Some(Operand::Register(register)) => {
            let Some(part) = dot else { return Ok(Operand::Register(register)) };
            cursor.take();
            let vector = scopes.body.registers[register].vector as usize;
            match component(part).filter(|_| vector > 1) {
                Some(at) if usize::from(at) < vector => Ok(Operand::Register(register + usize::from(at))),
                Some(_) => cursor.error(format!("{name} has no component .{part}")),
                None => Ok(Operand::Select { register, selector: part.to_string(), negative: false }),
            }
        }
        Some(Operand::Symbol { symbol, .. }) => Ok(Operand::Symbol { symbol, offset: offset(cursor)? }),
        Some(other) => Ok(other),
        None => {
            if let Some(special) = name.strip_prefix('%') {
                let component = match dot {
                    Some(part) => {
                        cursor.take();
                        match component(part) {
                            Some(at) => Some(at),
                            None => return cursor.error(format!("{name} has no component .{part}")),
                        }
                    }
                    None => None,
                };
                return Ok(Operand::Special { name: special.to_string(), component });
            }
            Ok(Operand::Symbol { symbol: Symbol::Module(name.to_string()), offset: offset(cursor)? })
        }
    }
}

fn component(part: &str) -> Option<u8> {
    Some(match part {
        "x" | "r" => 0,
        "y" | "g" => 1,
        "z" | "b" => 2,
        "w" | "a" => 3,
        _ => return None,
    })
}

/// What stands in brackets: an address, or a list of operands of a texture or tensor.
fn bracketed(cursor: &mut Cursor<'_>, scopes: &Scopes, depth: u32) -> Parsed<Operand> {
    let first = match cursor.peek() {
        Token::Word(name) if name != "WARP_SZ" => {
            cursor.take();
            let Some(base) = scopes.base(name) else {
                return cursor.error(format!("expected an address, found {name}"));
            };
            if let Base::Symbol(Symbol::Module(name)) = &base
                && name.starts_with('%')
            {
                return cursor.error(format!("{name} is not declared"));
            }
            Operand::Address { base, offset: offset(cursor)? }
        }
        Token::Sign('{') => operand(cursor, scopes, depth + 1)?,
        _ => Operand::Address { base: Base::Zero, offset: constant(cursor)? as i64 },
    };
    if cursor.sign(']') {
        return Ok(first);
    }
    let mut all = vec![first];
    cursor.want(',')?;
    all.extend(list(cursor, scopes, ']', depth)?);
    Ok(Operand::Bracketed(all))
}
