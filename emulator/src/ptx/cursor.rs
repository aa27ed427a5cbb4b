//! A place in the tokens, and what is expected there.

use super::ParseError;
use super::lexer::{Located, Token};

/// Walks over tokens; never past the last one.
pub struct Cursor<'t> {
    text: &'t str,
    tokens: Vec<Located<'t>>,
    at: usize,
}

pub type Parsed<T> = Result<T, ParseError>;

impl<'t> Cursor<'t> {
    pub fn new(text: &'t str, tokens: Vec<Located<'t>>) -> Self {
        Cursor { text, tokens, at: 0 }
    }

    pub fn peek(&self) -> Token<'t> {
        self.tokens[self.at].token
    }

    /// The token behind the next one.
    pub fn second(&self) -> Token<'t> {
        self.tokens[(self.at + 1).min(self.tokens.len() - 1)].token
    }

    /// Whether the next two tokens touch, as those of `<<` and of `%v.x` do.
    pub fn touches(&self) -> bool {
        let next = (self.at + 1).min(self.tokens.len() - 1);
        self.tokens[self.at].end == self.tokens[next].start
    }

    /// Whether the next token begins where the last one ended.
    pub fn touches_last(&self) -> bool {
        self.at > 0 && self.tokens[self.at - 1].end == self.tokens[self.at].start
    }

    pub fn line(&self) -> u32 {
        self.tokens[self.at].line
    }

    pub fn take(&mut self) -> Token<'t> {
        let token = self.peek();
        if token != Token::End {
            self.at += 1;
        }
        token
    }

    /// The text of the next token.
    pub fn spelling(&self) -> &'t str {
        let located = &self.tokens[self.at];
        if located.token == Token::End {
            "the end"
        } else {
            &self.text[located.start as usize..located.end as usize]
        }
    }

    pub fn error<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(ParseError::new(self.line(), message))
    }

    /// The error that something else stands here.
    pub fn expected<T>(&self, what: &str) -> Parsed<T> {
        let found: String = self.spelling().chars().take(60).collect();
        self.error(format!("expected {what}, found \"{found}\""))
    }

    pub fn is_sign(&self, sign: char) -> bool {
        self.peek() == Token::Sign(sign)
    }

    /// Takes a sign if it comes next.
    pub fn sign(&mut self, sign: char) -> bool {
        let found = self.is_sign(sign);
        if found {
            self.at += 1;
        }
        found
    }

    pub fn want(&mut self, sign: char) -> Parsed<()> {
        if self.sign(sign) { Ok(()) } else { self.expected(&format!("\"{sign}\"")) }
    }

    /// Takes `.word` if it comes next.
    pub fn dot(&mut self, word: &str) -> bool {
        let found = self.peek() == Token::Dot(word);
        if found {
            self.at += 1;
        }
        found
    }

    pub fn word(&mut self, what: &str) -> Parsed<&'t str> {
        match self.peek() {
            Token::Word(word) => {
                self.at += 1;
                Ok(word)
            }
            _ => self.expected(what),
        }
    }

    pub fn integer(&mut self, what: &str) -> Parsed<u64> {
        match self.peek() {
            Token::Integer(value) => {
                self.at += 1;
                Ok(value)
            }
            _ => self.expected(what),
        }
    }

    /// An integer that fits 32 bits.
    pub fn small(&mut self, what: &str) -> Parsed<u32> {
        let line = self.line();
        let value = self.integer(what)?;
        u32::try_from(value).map_err(|_| ParseError::new(line, format!("expected {what}, found {value}")))
    }

    /// Skips what stands in braces, braces inside included.
    pub fn skip_braces(&mut self) -> Parsed<()> {
        self.want('{')?;
        let mut depth = 1;
        while depth > 0 {
            match self.take() {
                Token::Sign('{') => depth += 1,
                Token::Sign('}') => depth -= 1,
                Token::End => return self.expected("\"}\""),
                _ => {}
            }
        }
        Ok(())
    }
}
