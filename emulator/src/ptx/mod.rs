//! PTX as text and as a tree.
//!
//! `lexer` cuts the text into tokens, `cursor` walks over them; `module` reads what stands outside of functions,
//! `variable` declarations, `function` signatures, `body` statements, `operand` operands, `expression` constants.
//! Malformed or hostile text gives an error that names a line; depth, counts and sizes are bounded.

pub mod ast;
mod body;
mod cursor;
mod expression;
mod function;
mod lexer;
mod module;
mod operand;
mod scope;
pub mod types;
mod variable;

/// Why a text is not PTX.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("PTX line {line}: {message}")]
pub struct ParseError {
    /// From 1.
    pub line: u32,
    /// What was expected and what was found.
    pub message: String,
}

impl ParseError {
    fn new(line: u32, message: impl Into<String>) -> Self {
        ParseError { line, message: message.into() }
    }
}

/// Reads one translation unit.
///
/// # Errors
/// The first thing that is not PTX, and its line. Whether instructions exist is not asked here: that is known where they
/// are lowered.
pub fn parse(text: &str) -> Result<ast::Module, ParseError> {
    module::module(text)
}
