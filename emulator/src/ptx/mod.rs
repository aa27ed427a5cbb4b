//! PTX as text and as a tree.
//!
//! [`parse`] reads a module as nvcc, NVRTC and NVVM write it (PTX ISA up to 9.5). It knows the grammar, not the
//! instructions: an opcode is a word with modifiers and operands, and those who lower it say whether there is such an
//! instruction. Names are resolved, debug sections dropped. No text makes it panic, loop, or take memory out of
//! proportion to the text ([`limits`]).

pub mod ast;
mod body;
mod debug;
mod error;
mod expression;
mod function;
mod initial;
mod lexer;
mod link;
mod module;
mod operand;
mod parser;
mod scope;
pub mod types;
mod variable;

pub use error::ParseError;

/// What is refused because of its size.
pub mod limits {
    pub use super::parser::{
        MAX_ALIGN, MAX_BYTES, MAX_DIMENSIONS, MAX_INITIAL_BYTES, MAX_NESTING, MAX_NODES, MAX_REGISTERS,
        MAX_TEXT,
    };
}

/// Reads the text of a module.
pub fn parse(text: &str) -> Result<ast::Module, ParseError> {
    let mut parser = parser::Parser::new(text)?;
    parser.module()?;
    parser.link()?;
    Ok(parser.module)
}
