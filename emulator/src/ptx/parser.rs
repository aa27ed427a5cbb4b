//! The cursor that all parts of the grammar share, and the limits that keep hostile texts from costing more than
//! they are long.

use super::ast::Module;
use super::error::{ParseError, Parsed};
use super::lexer::{Lexer, Token};
use std::collections::HashMap;

/// Longer texts are refused.
pub const MAX_TEXT: usize = 64 << 20;
/// Modifiers, operands, registers, variables, labels and table entries of a module; an instruction counts as four.
pub const MAX_NODES: usize = 16 << 20;
/// Scopes, vectors, brackets and initialisers within one another, and the depth of a constant expression.
pub const MAX_NESTING: u32 = 64;
/// Registers of one `%r<count>`. They take no memory until an instruction names them.
pub const MAX_REGISTERS: u64 = 1 << 24;
/// Bytes of a variable.
pub const MAX_BYTES: usize = 1 << 40;
/// Bytes that the initialisers of a module cover.
pub const MAX_INITIAL_BYTES: usize = 256 << 20;
/// Dimensions of an array.
pub const MAX_DIMENSIONS: usize = 32;
/// Bytes to which a variable may ask to be aligned.
pub const MAX_ALIGN: u64 = 1 << 20;

/// What a name of the module stands for: an index into `Module::variables` or `Module::functions`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Global {
    Variable(usize),
    Function(usize),
}

/// The state of the front end: a token, what is built, and how much of the limits is used.
pub(super) struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The token that comes next, and its line.
    pub token: Token<'a>,
    pub line: u32,
    nodes: usize,
    depth: u32,
    pub initial_bytes: usize,
    pub module: Module,
    pub names: HashMap<&'a str, Global>,
    /// `.alias a, b;` with their lines, resolved when all is known.
    pub aliases: Vec<(&'a str, &'a str, u32)>,
}

impl<'a> Parser<'a> {
    pub fn new(text: &'a str) -> Parsed<Self> {
        if text.len() > MAX_TEXT {
            let message = format!("the text has {} bytes, more than {MAX_TEXT}", text.len());
            return Err(ParseError { line: 1, message });
        }
        let mut parser = Parser {
            lexer: Lexer::new(text),
            token: Token::End,
            line: 1,
            nodes: 0,
            depth: 0,
            initial_bytes: 0,
            module: Module {
                version: (0, 0),
                target: 0,
                target_options: Vec::new(),
                address_size: 64,
                variables: Vec::new(),
                functions: Vec::new(),
            },
            names: HashMap::new(),
            aliases: Vec::new(),
        };
        parser.advance()?;
        Ok(parser)
    }

    /// Takes the token, and reads the one behind it.
    pub fn advance(&mut self) -> Parsed<Token<'a>> {
        let taken = self.token;
        self.token = self.lexer.next()?;
        self.line = self.lexer.line();
        Ok(taken)
    }

    /// The next token, as written.
    pub fn written(&self) -> &'a str {
        self.lexer.written()
    }

    pub fn error<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(ParseError { line: self.line, message: message.into() })
    }

    /// The error that something else was expected than the next token.
    pub fn expected<T>(&self, what: &str) -> Parsed<T> {
        self.error(format!("expected {what}, found {}", self.token.describe()))
    }

    pub fn is(&self, sign: &'static str) -> bool {
        self.token == Token::Sign(sign)
    }

    /// Takes a sign if it comes next.
    pub fn accept(&mut self, sign: &'static str) -> Parsed<bool> {
        let found = self.is(sign);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    pub fn expect(&mut self, sign: &'static str) -> Parsed<()> {
        if !self.accept(sign)? {
            return self.expected(&format!("`{sign}`"));
        }
        Ok(())
    }

    /// Takes `.word` if it comes next.
    pub fn accept_dotted(&mut self, word: &str) -> Parsed<bool> {
        let found = self.token == Token::Dotted(word);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    /// Takes a name; `what` it is goes into the message.
    pub fn word(&mut self, what: &str) -> Parsed<&'a str> {
        match self.token {
            Token::Word(word) => {
                self.advance()?;
                Ok(word)
            }
            _ => self.expected(what),
        }
    }

    /// Takes an integer literal.
    pub fn literal(&mut self, what: &str) -> Parsed<u64> {
        match self.token {
            Token::Integer { value, .. } => {
                self.advance()?;
                Ok(value)
            }
            _ => self.expected(what),
        }
    }

    /// Takes an integer literal of 32 bits.
    pub fn literal32(&mut self, what: &str) -> Parsed<u32> {
        match self.token {
            Token::Integer { value, .. } if value <= u64::from(u32::MAX) => {
                self.advance()?;
                Ok(value as u32)
            }
            _ => self.expected(&format!("{what} of at most 32 bits")),
        }
    }

    pub fn string(&mut self, what: &str) -> Parsed<&'a str> {
        match self.token {
            Token::Text(text) => {
                self.advance()?;
                Ok(text)
            }
            _ => self.expected(what),
        }
    }

    /// Counts what the tree grows by.
    pub fn spend(&mut self, nodes: usize) -> Parsed<()> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return self
                .error(format!("the module has more than {MAX_NODES} instructions, operands and names"));
        }
        Ok(())
    }

    /// Runs `inner` one level deeper.
    pub fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.deeper()?;
        let result = inner(self);
        self.shallower();
        result
    }

    pub fn deeper(&mut self) -> Parsed<()> {
        if self.depth >= MAX_NESTING {
            return self.error(format!("nested more than {MAX_NESTING} deep"));
        }
        self.depth += 1;
        Ok(())
    }

    pub fn shallower(&mut self) {
        self.depth -= 1;
    }

    /// Skips to behind the `}` that closes what is open.
    pub fn skip_braces(&mut self) -> Parsed<()> {
        self.expect("{")?;
        let mut open = 1u64;
        while open > 0 {
            match self.advance()? {
                Token::Sign("{") => open += 1,
                Token::Sign("}") => open -= 1,
                Token::End => return self.expected("`}`"),
                _ => {}
            }
        }
        Ok(())
    }
}
