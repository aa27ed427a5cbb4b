//! Text to tokens.

use super::error::{ParseError, Parsed, shown};

/// A token. Names borrow from the text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// A name or an opcode: `ld`, `%r1`, `$L__BB0_1`, `_Z3foov`; `_` alone is a sign.
    Word(&'a str),
    /// A directive or modifier, without its dot: `u32`, `L2::128B`, `2d`.
    Dotted(&'a str),
    /// `unsigned`: with suffix `U`, or too large for a signed one.
    Integer {
        value: u64,
        unsigned: bool,
    },
    /// `0f3F800000`.
    Float32(u32),
    /// `0d3FF0000000000000`, `1.5e-3`.
    Float64(u64),
    /// What stands between quotation marks.
    Text(&'a str),
    /// Everything else.
    Sign(&'static str),
    End,
}

impl Token<'_> {
    /// How messages call it.
    pub fn describe(&self) -> String {
        match self {
            Token::Word(word) => shown(word),
            Token::Dotted(word) => shown(&format!(".{}", word.get(..word.len().min(100)).unwrap_or(word))),
            Token::Integer { value, .. } => format!("the number {value}"),
            Token::Float32(bits) => format!("the number {}", f32::from_bits(*bits)),
            Token::Float64(bits) => format!("the number {}", f64::from_bits(*bits)),
            Token::Text(_) => "a string".to_string(),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::End => "the end of the text".to_string(),
        }
    }
}

/// Signs of two characters come before those that they begin with.
const SIGNS_OF_TWO: [&str; 8] = ["<<", ">>", "<=", ">=", "==", "!=", "&&", "||"];
const SIGNS: [&str; 23] = [
    ",", ";", "[", "]", "{", "}", "(", ")", "+", "-", "@", ":", "|", "!", "=", "*", "/", "<", ">", "&", "^",
    "~", "?",
];

/// Reads a text from front to back.
#[derive(Clone, Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    /// Where the token that was read last begins, and how far the text is read.
    start: usize,
    position: usize,
    line: u32,
    /// Whether the token that was read last is a word: then `.2d` is a modifier, else `.2` a number.
    after_word: bool,
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a str) -> Self {
        Lexer { text, start: 0, position: 0, line: 1, after_word: false }
    }

    /// The line on which the token that was read last ends.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The token that was read last, as written.
    pub fn written(&self) -> &'a str {
        self.since(self.start)
    }

    fn at(&self, ahead: usize) -> u8 {
        self.text.as_bytes().get(self.position + ahead).copied().unwrap_or(0)
    }

    fn error<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(ParseError { line: self.line, message: message.into() })
    }

    /// The text from `start` to here.
    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.position).unwrap_or("")
    }

    fn take_while(&mut self, keep: impl Fn(u8) -> bool) -> &'a str {
        let start = self.position;
        let rest = &self.text.as_bytes()[start..];
        self.position += rest.iter().position(|&b| !keep(b)).unwrap_or(rest.len());
        self.since(start)
    }

    /// The next token.
    pub fn next(&mut self) -> Parsed<Token<'a>> {
        let token = self.token()?;
        self.after_word = matches!(token, Token::Word(_) | Token::Dotted(_));
        Ok(token)
    }

    fn token(&mut self) -> Parsed<Token<'a>> {
        self.skip_blank()?;
        let start = self.position;
        self.start = start;
        let Some(&first) = self.text.as_bytes().get(start) else { return Ok(Token::End) };
        match first {
            b'0'..=b'9' => self.number(),
            b'a'..=b'z' | b'A'..=b'Z' | b'$' | b'_' => Ok(match self.take_while(is_name) {
                "_" => Token::Sign("_"),
                word => Token::Word(word),
            }),
            b'%' => {
                self.position += 1;
                Ok(match self.take_while(is_name) {
                    "" => Token::Sign("%"),
                    _ => Token::Word(self.since(start)),
                })
            }
            b'.' if self.at(1).is_ascii_digit() && !self.after_word => self.number(),
            b'.' => self.dotted(),
            b'"' => self.string(),
            b'#' => self.error("`#`: the text must be preprocessed"),
            _ => self.sign(),
        }
    }

    /// Skips white space, comments, lines of old debug information (`@@DWARF …`) and of a preprocessor (`#line 3`).
    fn skip_blank(&mut self) -> Parsed<()> {
        loop {
            match (self.at(0), self.at(1)) {
                (b'\n', _) => {
                    self.line = self.line.saturating_add(1);
                    self.position += 1;
                }
                (b' ' | b'\t' | b'\r' | 0x0b | 0x0c, _) => self.position += 1,
                // Some programs pass the zero that ends a C string.
                (0, _) if self.position < self.text.len() => self.position += 1,
                (b'/', b'/') | (b'@', b'@') | (b'#', b' ' | b'l') => {
                    self.take_while(|b| b != b'\n');
                }
                (b'/', b'*') => {
                    let begin = self.position + 2;
                    let Some(length) = self.text.get(begin..).and_then(|rest| rest.find("*/")) else {
                        return self.error("a comment `/*` is not closed");
                    };
                    self.position = begin + length + 2;
                    self.count_lines(begin);
                }
                _ => return Ok(()),
            }
        }
    }

    fn count_lines(&mut self, from: usize) {
        let lines = self.since(from).bytes().filter(|&b| b == b'\n').count();
        self.line = self.line.saturating_add(lines as u32);
    }

    /// `.word`, also with parts behind `::`.
    fn dotted(&mut self) -> Parsed<Token<'a>> {
        self.position += 1;
        let start = self.position;
        if self.take_while(is_name).is_empty() {
            return self.error("a word must stand behind `.`");
        }
        while self.at(0) == b':' && self.at(1) == b':' && is_name(self.at(2)) {
            self.position += 2;
            self.take_while(is_name);
        }
        Ok(Token::Dotted(self.since(start)))
    }

    fn string(&mut self) -> Parsed<Token<'a>> {
        self.position += 1;
        let start = self.position;
        loop {
            self.take_while(|b| !matches!(b, b'"' | b'\\' | b'\n'));
            match (self.at(0), self.at(1)) {
                (b'"', _) => break,
                (b'\\', b'\n') => return self.error("a string is not closed on its line"),
                (b'\\', _) => {
                    // What is escaped may be a character of several bytes.
                    let escaped = self.text[self.position + 1..].chars().next().map_or(0, char::len_utf8);
                    self.position += 1 + escaped;
                }
                _ => return self.error("a string is not closed on its line"),
            }
        }
        let text = self.since(start);
        self.position += 1;
        Ok(Token::Text(text))
    }

    fn sign(&mut self) -> Parsed<Token<'a>> {
        let rest = &self.text[self.position..];
        match SIGNS_OF_TWO.iter().chain(&SIGNS).find(|sign| rest.starts_with(**sign)) {
            Some(sign) => {
                self.position += sign.len();
                Ok(Token::Sign(sign))
            }
            None => {
                let character = rest.chars().next().unwrap_or('\0');
                self.error(format!("{character:?} does not belong into PTX"))
            }
        }
    }

    fn number(&mut self) -> Parsed<Token<'a>> {
        let start = self.position;
        let word = self.take_while(|b| b.is_ascii_alphanumeric());
        let exact = match word.as_bytes() {
            [b'0', b'f' | b'F', ..] if word.len() == 10 => {
                u32::from_str_radix(&word[2..], 16).ok().map(Token::Float32)
            }
            [b'0', b'd' | b'D', ..] if word.len() == 18 => {
                u64::from_str_radix(&word[2..], 16).ok().map(Token::Float64)
            }
            [b'0', b'x' | b'X', ..] => integer(&word[2..], 16),
            [b'0', b'b' | b'B', ..] => integer(&word[2..], 2),
            _ => None,
        };
        if let Some(token) = exact {
            return Ok(token);
        }
        // A decimal number: digits, a fraction, an exponent.
        self.position = start;
        let digits = self.take_while(|b| b.is_ascii_digit());
        let mut real = false;
        if self.at(0) == b'.' {
            real = true;
            self.position += 1;
            self.take_while(|b| b.is_ascii_digit());
        }
        if matches!(self.at(0), b'e' | b'E') {
            let sign = usize::from(matches!(self.at(1), b'+' | b'-'));
            if self.at(1 + sign).is_ascii_digit() {
                real = true;
                self.position += 1 + sign;
                self.take_while(|b| b.is_ascii_digit());
            }
        }
        let token = if real {
            self.since(start).parse::<f64>().ok().map(|value| Token::Float64(value.to_bits()))
        } else {
            let suffix = matches!(self.at(0), b'U' | b'u');
            self.position += usize::from(suffix);
            match digits {
                "0" => integer(self.since(start), 10),
                _ if digits.starts_with('0') => integer(&self.since(start)[1..], 8),
                _ => integer(self.since(start), 10),
            }
        };
        let tail = self.take_while(is_name);
        match token {
            Some(token) if tail.is_empty() => Ok(token),
            _ => self.error(format!("{} is not a number of at most 64 bits", shown(self.since(start)))),
        }
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$'
}

/// An integer literal without its prefix, perhaps with suffix.
fn integer(digits: &str, radix: u32) -> Option<Token<'static>> {
    let bare = digits.strip_suffix(['U', 'u']).unwrap_or(digits);
    if !bare.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    let value = u64::from_str_radix(bare, radix).ok()?;
    Some(Token::Integer { value, unsigned: bare.len() < digits.len() || value > i64::MAX as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Parsed<Vec<Token<'_>>> {
        let mut lexer = Lexer::new(text);
        let mut all = Vec::new();
        loop {
            match lexer.next()? {
                Token::End => return Ok(all),
                token => all.push(token),
            }
        }
    }

    fn one(text: &str) -> Option<Token<'_>> {
        match tokens(text) {
            Ok(all) if all.len() == 1 => Some(all[0]),
            _ => None,
        }
    }

    #[test]
    fn numbers_of_every_notation() {
        let signed = |value| Some(Token::Integer { value, unsigned: false });
        let unsigned = |value| Some(Token::Integer { value, unsigned: true });
        assert_eq!(one("0"), signed(0));
        assert_eq!(one("0U"), unsigned(0));
        assert_eq!(one("42U"), unsigned(42));
        assert_eq!(one("0x1fU"), unsigned(31));
        assert_eq!(one("0XFF"), signed(255));
        assert_eq!(one("0777"), signed(0o777));
        assert_eq!(one("0b101u"), unsigned(5));
        assert_eq!(one("9223372036854775807"), signed(i64::MAX as u64));
        assert_eq!(one("18446744073709551615"), unsigned(u64::MAX));
        assert_eq!(one("0f3f800000"), Some(Token::Float32(0x3f80_0000)));
        assert_eq!(one("0D3FF0000000000000"), Some(Token::Float64(1f64.to_bits())));
        for (text, value) in
            [("1.5", 1.5), ("2.", 2.0), ("1e3", 1e3), ("12.5E-2", 0.125), ("0.5e+1", 5.0), (".5", 0.5)]
        {
            assert_eq!(one(text), Some(Token::Float64(f64::to_bits(value))), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_number() {
        let long = "9".repeat(10_000);
        for text in
            ["18446744073709551616", "0x", "0xU", "089", "0b2", "12abc", "0f3f8000", "1UU", "1e", &long]
        {
            let error = tokens(text).unwrap_err();
            assert!(error.message.contains("is not a number"), "{text}: {error}");
            assert!(error.message.len() < 400, "{error}");
        }
    }

    #[test]
    fn words_and_signs() {
        use Token::*;
        assert_eq!(
            tokens("ld.global.L2::128B.v2 {%r1,_}, [%rd1+-8];//x\n@!%p a%b 5 % 3").unwrap(),
            [
                Word("ld"),
                Dotted("global"),
                Dotted("L2::128B"),
                Dotted("v2"),
                Sign("{"),
                Word("%r1"),
                Sign(","),
                Sign("_"),
                Sign("}"),
                Sign(","),
                Sign("["),
                Word("%rd1"),
                Sign("+"),
                Sign("-"),
                Integer { value: 8, unsigned: false },
                Sign("]"),
                Sign(";"),
                Sign("@"),
                Sign("!"),
                Word("%p"),
                Word("a"),
                Word("%b"),
                Integer { value: 5, unsigned: false },
                Sign("%"),
                Integer { value: 3, unsigned: false },
            ]
        );
    }

    #[test]
    fn comments_strings_and_lines() {
        let mut lexer = Lexer::new("/* 1\n2\n*/ a // b\n#line 7 \"x\n@@DWARF .byte 0x12, '\n\"x\\\"é\" c");
        assert_eq!((lexer.next().unwrap(), lexer.line()), (Token::Word("a"), 3));
        assert_eq!((lexer.next().unwrap(), lexer.line()), (Token::Text("x\\\"é"), 6));
        assert_eq!((lexer.next().unwrap(), lexer.line()), (Token::Word("c"), 6));
        assert_eq!((lexer.next().unwrap(), lexer.line()), (Token::End, 6));
    }

    #[test]
    fn broken_texts() {
        for (text, word) in [
            ("/* *", "comment"),
            ("\"abc\n\"", "string"),
            ("\"abc\\", "string"),
            ("\"abc\\\n\"", "string"),
            ("é", "'é'"),
            (". x", "behind `.`"),
            ("#define a", "preprocessed"),
        ] {
            let error = tokens(text).unwrap_err();
            assert!(error.message.contains(word), "{text:?}: {error}");
        }
    }
}
