//! Debug directives: read, and forgotten.

use super::error::Parsed;
use super::lexer::Token;
use super::parser::Parser;

impl Parser<'_> {
    /// `.file 1 "a.cu", 1700000000, 1234`
    pub fn file(&mut self) -> Parsed<()> {
        self.advance()?;
        self.literal("the number of a file")?;
        self.string("the name of a file")?;
        if self.accept(",")? {
            self.literal("a time")?;
            self.expect(",")?;
            self.literal("a size")?;
        }
        Ok(())
    }

    /// `.loc 1 12 3, function_name $L__info_string0+4, inlined_at 1 30 5`
    pub fn location(&mut self) -> Parsed<()> {
        self.advance()?;
        self.position()?;
        while self.accept(",")? {
            match self.token {
                Token::Word("function_name") => {
                    self.advance()?;
                    self.word("a label")?;
                    if self.accept("+")? {
                        self.literal("an offset")?;
                    }
                }
                Token::Word("inlined_at") => {
                    self.advance()?;
                    self.position()?;
                }
                _ => return self.expected("`function_name` or `inlined_at`"),
            }
        }
        Ok(())
    }

    fn position(&mut self) -> Parsed<()> {
        self.literal("the number of a file")?;
        self.literal("a line")?;
        self.literal("a column")?;
        Ok(())
    }

    /// `.section .debug_info { … }`
    pub fn section(&mut self) -> Parsed<()> {
        self.advance()?;
        match self.token {
            Token::Dotted(_) | Token::Word(_) => self.advance()?,
            _ => return self.expected("the name of a section"),
        };
        self.skip_braces()
    }
}
