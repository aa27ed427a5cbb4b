//! What stands outside of functions.

use super::ParseError;
use super::ast::{Function, Linkage, Module, Parameter, Variable};
use super::cursor::{Cursor, Parsed};
use super::function::{function, pragma};
use super::lexer::{Token, tokens};
use super::variable::{kind, space, variable};
use std::collections::HashMap;

/// Reads a whole text.
pub fn module(text: &str) -> Parsed<Module> {
    let mut cursor = Cursor::new(text, tokens(text)?);
    let cursor = &mut cursor;
    if !cursor.dot("version") {
        return cursor.expected(".version");
    }
    let version = version(cursor)?;
    let mut reader = Reader::default();
    reader.module.version = version;
    while cursor.peek() != Token::End {
        reader.item(cursor)?;
    }
    if reader.module.target == 0 {
        return cursor.error("expected .target sm_NN, found none");
    }
    if reader.module.address_size == 0 {
        reader.module.address_size = 32; // what the language says where the directive is missing
    }
    Ok(reader.module)
}

/// `9.0`: as it is spelled, since `8.10` is not `8.1`.
fn version(cursor: &mut Cursor<'_>) -> Parsed<(u32, u32)> {
    let spelled = cursor.spelling();
    let parts = spelled.split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    match parts {
        Some(version @ (1..=9, _)) => {
            cursor.take();
            Ok(version)
        }
        Some(_) => cursor.error(format!("PTX version {spelled} is newer than 9.x, the newest that is known")),
        None => cursor.expected("a version such as 8.0"),
    }
}

#[derive(Default)]
struct Reader {
    module: Module,
    functions: HashMap<String, usize>,
    variables: HashMap<String, usize>,
}

impl Reader {
    fn item(&mut self, cursor: &mut Cursor<'_>) -> Parsed<()> {
        let mut linkage = Linkage::Internal;
        loop {
            let Token::Dot(word) = cursor.peek() else { return cursor.expected("a directive") };
            cursor.take();
            match word {
                "visible" => linkage = Linkage::Visible,
                "extern" => linkage = Linkage::Extern,
                "weak" => linkage = Linkage::Weak,
                "common" => linkage = Linkage::Common,
                "entry" | "func" => {
                    let line = cursor.line();
                    let function = function(cursor, linkage, word == "entry")?;
                    return self.add_function(function, line);
                }
                _ => return self.directive(cursor, word, linkage),
            }
        }
    }

    fn directive(&mut self, cursor: &mut Cursor<'_>, word: &str, linkage: Linkage) -> Parsed<()> {
        match word {
            "target" => self.target(cursor),
            "address_size" => match cursor.integer("32 or 64")? {
                size @ (32 | 64) => {
                    self.module.address_size = size as u32;
                    Ok(())
                }
                size => cursor.error(format!("expected an address size of 32 or 64, found {size}")),
            },
            "version" => version(cursor).map(|_| ()),
            "pragma" => pragma(cursor),
            "file" => {
                cursor.integer("a file number")?;
                let Token::Text(_) = cursor.take() else { return cursor.error("expected a file name") };
                while cursor.sign(',') {
                    cursor.integer("a time stamp or size")?;
                }
                Ok(())
            }
            "section" => {
                match cursor.take() {
                    Token::Dot(_) | Token::Word(_) => {}
                    _ => return cursor.error("expected the name of a section"),
                }
                cursor.skip_braces()
            }
            "alias" => self.alias(cursor),
            _ => {
                let Some(space) = space(word) else {
                    return cursor.error(format!("unknown directive .{word}"));
                };
                let kind = kind(cursor)?;
                loop {
                    let variable = variable(cursor, space, linkage, &kind, linkage != Linkage::Extern)?;
                    self.add_variable(variable)?;
                    if !cursor.sign(',') {
                        return cursor.want(';');
                    }
                }
            }
        }
    }

    fn target(&mut self, cursor: &mut Cursor<'_>) -> Parsed<()> {
        loop {
            let line = cursor.line();
            let word = cursor.word("a target")?;
            match word.strip_prefix("sm_").or_else(|| word.strip_prefix("compute_")) {
                Some(number) => {
                    let digits = number.trim_end_matches(|c: char| c.is_ascii_alphabetic());
                    self.module.target =
                        digits.parse().ok().filter(|n| (10..1000).contains(n)).ok_or_else(|| {
                            ParseError::new(line, format!("expected a target such as sm_80, found {word}"))
                        })?;
                    if digits.len() < number.len() {
                        self.module.target_options.push(number[digits.len()..].to_string());
                    }
                }
                None => self.module.target_options.push(word.to_string()),
            }
            if !cursor.sign(',') {
                return Ok(());
            }
        }
    }

    /// `.alias a, b;`: `a`, which has been declared, is `b`.
    fn alias(&mut self, cursor: &mut Cursor<'_>) -> Parsed<()> {
        let alias = cursor.word("the name of a function")?.to_string();
        cursor.want(',')?;
        let target = cursor.word("the name of a function")?;
        let Some(&at) = self.functions.get(target) else {
            return cursor.error(format!("no function {target} to be named {alias}"));
        };
        cursor.want(';')?;
        let (line, mut function) = (cursor.line(), self.module.functions[at].clone());
        function.name = alias;
        self.add_function(function, line)
    }

    /// A definition takes the place of a declaration.
    fn add_function(&mut self, function: Function, line: u32) -> Parsed<()> {
        if self.variables.contains_key(&function.name) {
            return Err(ParseError::new(line, format!("{} is a variable and a function", function.name)));
        }
        let Some(&at) = self.functions.get(&function.name) else {
            self.functions.insert(function.name.clone(), self.module.functions.len());
            self.module.functions.push(function);
            return Ok(());
        };
        let known = &mut self.module.functions[at];
        let shape = |f: &Function| (f.is_kernel, shapes(&f.returns), shapes(&f.parameters));
        if shape(known) != shape(&function) {
            let what = format!("{} is declared in line {} with other parameters", function.name, known.line);
            return Err(ParseError::new(line, what));
        }
        match (&known.body, &function.body) {
            (Some(_), Some(_)) => Err(ParseError::new(
                line,
                format!("{} is defined in line {} already", function.name, known.line),
            )),
            (None, _) => {
                *known = function;
                Ok(())
            }
            (Some(_), None) => Ok(()),
        }
    }

    fn add_variable(&mut self, variable: Variable) -> Parsed<()> {
        let line = variable.line;
        if self.functions.contains_key(&variable.name) {
            return Err(ParseError::new(line, format!("{} is a function and a variable", variable.name)));
        }
        let Some(&at) = self.variables.get(&variable.name) else {
            self.variables.insert(variable.name.clone(), self.module.variables.len());
            self.module.variables.push(variable);
            return Ok(());
        };
        let known = &mut self.module.variables[at];
        match (known.linkage, variable.linkage) {
            (_, Linkage::Extern) => Ok(()),
            (Linkage::Extern, _) => {
                *known = variable;
                Ok(())
            }
            _ => Err(ParseError::new(
                line,
                format!("{} is declared in line {} already", variable.name, known.line),
            )),
        }
    }
}

/// What two declarations of a function must agree in: sizes and places.
fn shapes(parameters: &[Parameter]) -> Vec<(bool, usize, usize)> {
    let shape = |p: &Parameter| match p {
        Parameter::Memory(v) => (true, v.bytes(), v.align),
        Parameter::Register { ty, .. } => (false, ty.bytes(), ty.bytes()),
    };
    parameters.iter().map(shape).collect()
}
