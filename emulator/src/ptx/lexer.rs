//! Text to tokens.

use super::ParseError;

/// The longest text that is read: token positions are 32 bits, and nothing real comes near.
const MAX_TEXT: usize = 1 << 28;

/// A token; words are slices of the text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Token<'t> {
    /// An identifier: `mov`, `%r1`, `$L__BB0_1`, `_`.
    Word(&'t str),
    /// A dot and what follows it, without the dot: `reg`, `f32`, `L2::128B`.
    Dot(&'t str),
    Integer(u64),
    /// Bits of `0f…`.
    Float32(u32),
    /// Bits of `0d…` or of a decimal literal.
    Float64(u64),
    /// What stands between quotes.
    Text(&'t str),
    /// Any other character.
    Sign(char),
    End,
}

/// A token and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Located<'t> {
    pub token: Token<'t>,
    pub line: u32,
    /// Bytes of the text that it takes.
    pub start: u32,
    pub end: u32,
}

/// All tokens, [`Token::End`] last.
pub fn tokens(text: &str) -> Result<Vec<Located<'_>>, ParseError> {
    if text.len() > MAX_TEXT {
        return Err(ParseError::new(1, format!("the text has {} bytes, more than {MAX_TEXT}", text.len())));
    }
    let mut lexer = Lexer { text, at: 0, line: 1 };
    let mut all = Vec::with_capacity(text.len() / 6);
    loop {
        lexer.skip()?;
        let (line, start) = (lexer.line, lexer.at);
        let token = lexer.next()?;
        all.push(Located { token, line, start: start as u32, end: lexer.at as u32 });
        if token == Token::End {
            return Ok(all);
        }
    }
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    line: u32,
}

impl<'t> Lexer<'t> {
    fn byte(&self, ahead: usize) -> u8 {
        self.text.as_bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T, ParseError> {
        Err(ParseError::new(self.line, message))
    }

    /// White space, comments, `@@DWARF` lines, and the zero bytes that end texts of some programs.
    fn skip(&mut self) -> Result<(), ParseError> {
        let bytes = self.text.as_bytes();
        loop {
            match (self.byte(0), self.byte(1)) {
                (b'\n', _) => {
                    self.line += 1;
                    self.at += 1;
                }
                (b' ' | b'\t' | b'\r' | 0x0b | 0x0c, _) => self.at += 1,
                (0, _) if self.at < bytes.len() => self.at += 1,
                (b'/', b'/') | (b'@', b'@') | (b'#', _) => {
                    let rest = &bytes[self.at..];
                    self.at += rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
                }
                (b'/', b'*') => {
                    let Some(length) = self.text[self.at + 2..].find("*/") else {
                        return self.error("a comment begins here and never ends");
                    };
                    let comment = &bytes[self.at..self.at + 2 + length];
                    self.line += comment.iter().filter(|&&b| b == b'\n').count() as u32;
                    self.at += length + 4;
                }
                _ => return Ok(()),
            }
        }
    }

    fn next(&mut self) -> Result<Token<'t>, ParseError> {
        let (first, second) = (self.byte(0), self.byte(1));
        if self.at >= self.text.len() {
            return Ok(Token::End);
        }
        if is_word_start(first) || first == b'%' && is_word_start(second) {
            let start = self.at;
            self.at += 1;
            self.take_while(is_word);
            return Ok(Token::Word(&self.text[start..self.at]));
        }
        if first == b'.' && is_word(second) {
            self.at += 1;
            let start = self.at;
            loop {
                self.take_while(is_word);
                if !(self.byte(0) == b':' && self.byte(1) == b':' && is_word(self.byte(2))) {
                    return Ok(Token::Dot(&self.text[start..self.at]));
                }
                self.at += 2;
            }
        }
        if first.is_ascii_digit() {
            return self.number();
        }
        if first == b'"' {
            let start = self.at + 1;
            let Some(length) = self.text[start..].find(['"', '\n']) else {
                return self.error("a string begins here and never ends");
            };
            self.at = start + length + 1;
            if self.text.as_bytes()[self.at - 1] == b'\n' {
                return self.error("a string does not end in its line");
            }
            return Ok(Token::Text(&self.text[start..start + length]));
        }
        let sign = self.text[self.at..].chars().next().unwrap_or('\0');
        self.at += sign.len_utf8();
        Ok(Token::Sign(sign))
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) {
        while wanted(self.byte(0)) {
            self.at += 1;
        }
    }

    fn number(&mut self) -> Result<Token<'t>, ParseError> {
        let start = self.at;
        let radix = match (self.byte(0), self.byte(1)) {
            (b'0', b'x' | b'X') => 16,
            (b'0', b'b' | b'B') => 2,
            (b'0', kind @ (b'f' | b'F' | b'd' | b'D')) => {
                let digits = if matches!(kind, b'f' | b'F') { 8 } else { 16 };
                self.at += 2;
                self.take_while(|b| b.is_ascii_hexdigit());
                let found = &self.text[start + 2..self.at];
                let Some(bits) = u64::from_str_radix(found, 16).ok().filter(|_| found.len() == digits) else {
                    return self.error(format!("expected {digits} hexadecimal digits, found \"{found}\""));
                };
                return Ok(if digits == 8 { Token::Float32(bits as u32) } else { Token::Float64(bits) });
            }
            (b'0', _) => 8,
            _ => 10,
        };
        if radix == 16 || radix == 2 {
            self.at += 2;
            let from = self.at;
            self.take_while(|b| b.is_ascii_hexdigit());
            return self.integer(from, radix);
        }
        self.take_while(|b| b.is_ascii_digit());
        let fraction = self.byte(0) == b'.' && self.byte(1).is_ascii_digit();
        let whole = self.byte(0) == b'.' && !is_word(self.byte(1));
        let exponent = matches!(self.byte(0), b'e' | b'E')
            && (self.byte(1).is_ascii_digit()
                || matches!(self.byte(1), b'+' | b'-') && self.byte(2).is_ascii_digit());
        if !(fraction || whole || exponent) {
            return self.integer(start, radix);
        }
        if fraction || whole {
            self.at += 1;
            self.take_while(|b| b.is_ascii_digit());
        }
        if matches!(self.byte(0), b'e' | b'E') {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(0), b'+' | b'-'));
            self.take_while(|b| b.is_ascii_digit());
        }
        match self.text[start..self.at].parse::<f64>() {
            Ok(value) => Ok(Token::Float64(value.to_bits())),
            Err(_) => self.error(format!("\"{}\" is no number", &self.text[start..self.at])),
        }
    }

    fn integer(&mut self, from: usize, radix: u32) -> Result<Token<'t>, ParseError> {
        let digits = &self.text[from..self.at];
        let Ok(value) = u64::from_str_radix(digits, radix) else {
            return self.error(format!("\"{digits}\" is no integer of base {radix} and up to 64 bits"));
        };
        if matches!(self.byte(0), b'u' | b'U') {
            self.at += 1;
        }
        Ok(Token::Integer(value))
    }
}

fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte == b'$'
}

fn is_word(byte: u8) -> bool {
    is_word_start(byte) || byte.is_ascii_digit()
}
