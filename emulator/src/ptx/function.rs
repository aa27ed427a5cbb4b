//! Signatures of kernels and functions.

use super::ParseError;
use super::ast::{Directives, Function, Linkage, Parameter, Symbol};
use super::body;
use super::cursor::{Cursor, Parsed};
use super::lexer::Token;
use super::scope::{Meaning, Scopes};
use super::types::{Space, Type};
use super::variable::{kind, variable};

/// Parameters of one function, at most.
const MAX_PARAMETERS: usize = 4096;

/// The function behind `.entry` or `.func`.
pub fn function(cursor: &mut Cursor<'_>, linkage: Linkage, is_kernel: bool) -> Parsed<Function> {
    let mut scopes = Scopes::new();
    let mut noted = Directives::default();
    directives(cursor, &mut noted)?;
    let returns = if cursor.is_sign('(') && !is_kernel {
        parameters(cursor, Some(&mut scopes), true)?
    } else {
        Vec::new()
    };
    let line = cursor.line();
    let name = cursor.word("the name of a function")?.to_string();
    let parameters =
        if cursor.is_sign('(') { parameters(cursor, Some(&mut scopes), false)? } else { Vec::new() };
    directives(cursor, &mut noted)?;
    let body = if cursor.sign(';') { None } else { Some(body::body(cursor, scopes)?) };
    Ok(Function { name, line, linkage, is_kernel, returns, parameters, directives: noted, body })
}

/// `( .param .u64 a, .reg .b32 b )`. With scopes, names are declared there.
pub fn parameters(
    cursor: &mut Cursor<'_>,
    mut scopes: Option<&mut Scopes>,
    returns: bool,
) -> Parsed<Vec<Parameter>> {
    let mut all = Vec::new();
    cursor.want('(')?;
    while !cursor.is_sign(')') {
        if all.len() == MAX_PARAMETERS {
            return cursor.error(format!("more than {MAX_PARAMETERS} parameters"));
        }
        let line = cursor.line();
        match cursor.take() {
            Token::Dot("param") => {
                let kind = kind(cursor)?;
                let parameter = variable(cursor, Space::Param, Linkage::Internal, &kind, false)?;
                if let Some(scopes) = scopes.as_deref_mut() {
                    let symbol =
                        if returns { Symbol::Return(all.len()) } else { Symbol::Parameter(all.len()) };
                    scopes.define(&parameter.name, Meaning::Symbol(symbol), line)?;
                }
                all.push(Parameter::Memory(parameter));
            }
            Token::Dot("reg") => {
                let ty = match cursor.take() {
                    Token::Dot(word) => Type::parse(word).filter(|t| t.bits() == 1 || t.bits() >= 8),
                    _ => None,
                };
                let Some(ty) = ty else {
                    return Err(ParseError::new(line, "expected the type of a register parameter"));
                };
                let name = cursor.word("the name of a parameter")?.to_string();
                let register = match scopes.as_deref_mut() {
                    Some(scopes) => scopes.registers(&name, None, ty, 1, line)?,
                    None => 0,
                };
                all.push(Parameter::Register { name, ty, register });
            }
            _ => return Err(ParseError::new(line, "expected .param or .reg in a list of parameters")),
        }
        if !cursor.sign(',') {
            break;
        }
    }
    cursor.want(')')?;
    Ok(all)
}

/// What stands between a signature and its body.
fn directives(cursor: &mut Cursor<'_>, noted: &mut Directives) -> Parsed<()> {
    while let Token::Dot(word) = cursor.peek() {
        cursor.take();
        match word {
            "maxntid" => noted.max_threads = Some(three(cursor)?),
            "reqntid" => noted.required_threads = Some(three(cursor)?),
            "minnctapersm" => noted.min_blocks = Some(cursor.small("a number of blocks")?),
            "maxnreg" => noted.max_registers = Some(cursor.small("a number of registers")?),
            "maxnctapersm" | "maxclusterrank" | "abi_preserve" | "abi_preserve_control" => {
                cursor.small("a number")?;
            }
            "reqnctapercluster" => {
                three(cursor)?;
                noted.cluster = true;
            }
            "explicitcluster" | "blocksareclusters" => noted.cluster = true,
            "noreturn" => noted.no_return = true,
            "pragma" => pragma(cursor)?,
            // The attribute of a function: where it may run, which a software device does not ask.
            "attribute" => {
                cursor.want('(')?;
                while !cursor.sign(')') {
                    if cursor.take() == Token::End {
                        return cursor.expected("\")\"");
                    }
                }
            }
            _ => return cursor.error(format!("unknown directive .{word} of a function")),
        }
    }
    Ok(())
}

/// `x`, `x, y` or `x, y, z`; absent ones are 1.
fn three(cursor: &mut Cursor<'_>) -> Parsed<[u32; 3]> {
    let mut all = [1; 3];
    for (i, value) in all.iter_mut().enumerate() {
        if i > 0 && !cursor.sign(',') {
            break;
        }
        *value = cursor.small("a number of threads")?;
    }
    Ok(all)
}

/// `"…", "…";`
pub fn pragma(cursor: &mut Cursor<'_>) -> Parsed<()> {
    loop {
        match cursor.take() {
            Token::Text(_) => {}
            _ => return cursor.error("expected a string behind .pragma"),
        }
        if !cursor.sign(',') {
            break;
        }
    }
    cursor.want(';')
}
