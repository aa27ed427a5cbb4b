//! Directives of a module.

use super::ast::Variable;
use super::error::{ParseError, Parsed, shown};
use super::lexer::Token;
use super::parser::{Global, Parser};
use super::variable::space;

impl<'a> Parser<'a> {
    /// The whole text.
    pub fn module(&mut self) -> Parsed<()> {
        if self.token != Token::Dotted("version") {
            return self.expected("`.version`");
        }
        self.version()?;
        if self.token != Token::Dotted("target") {
            return self.expected("`.target`");
        }
        self.target()?;
        loop {
            match self.token {
                Token::End => return Ok(()),
                Token::Dotted("target") => self.target()?,
                Token::Dotted("address_size") => {
                    self.advance()?;
                    self.module.address_size = match self.literal("32 or 64")? {
                        32 => 32,
                        64 => 64,
                        other => {
                            return self.error(format!("the size of an address is 32 or 64, not {other}"));
                        }
                    };
                }
                Token::Dotted("file") => self.file()?,
                Token::Dotted("loc") => self.location()?,
                Token::Dotted("section") => self.section()?,
                Token::Dotted("pragma") => {
                    self.advance()?;
                    self.pragma()?;
                }
                Token::Dotted("alias") => self.alias()?,
                Token::Sign(";") => {
                    self.advance()?;
                }
                _ => self.definition()?,
            }
        }
    }

    /// `.version 8.5`
    fn version(&mut self) -> Parsed<()> {
        self.advance()?;
        let parts = self.written().split_once('.');
        let number = |digits: &str| digits.parse::<u32>().ok().filter(|_| !digits.starts_with('+'));
        match parts.and_then(|(major, minor)| number(major).zip(number(minor))) {
            Some(version) => self.module.version = version,
            None => return self.expected("a version such as 8.5"),
        }
        self.advance()?;
        Ok(())
    }

    /// `.target sm_90a, texmode_independent, debug`
    fn target(&mut self) -> Parsed<()> {
        self.advance()?;
        loop {
            let word = self.word("a target such as sm_80")?;
            match word.strip_prefix("sm_").or(word.strip_prefix("compute_")) {
                Some(architecture) => {
                    let digits = architecture.trim_end_matches(|c: char| c.is_ascii_lowercase());
                    let Some(number) = digits.parse::<u32>().ok().filter(|_| !digits.starts_with('+')) else {
                        return self.error(format!("{} is not a target such as sm_80", shown(word)));
                    };
                    self.module.target = number;
                    let variant = &architecture[digits.len()..];
                    if !variant.is_empty() {
                        self.module.target_options.push(variant.to_string());
                    }
                }
                None => self.module.target_options.push(word.to_string()),
            }
            self.spend(1)?;
            if !self.accept(",")? {
                break;
            }
        }
        if self.module.target == 0 {
            return self.error("`.target` names no architecture such as sm_80");
        }
        Ok(())
    }

    /// `.alias a, b;`
    fn alias(&mut self) -> Parsed<()> {
        let line = self.line;
        self.advance()?;
        let name = self.word("the name of a function")?;
        self.expect(",")?;
        let target = self.word("the name of a function")?;
        self.expect(";")?;
        self.spend(1)?;
        self.aliases.push((name, target, line));
        Ok(())
    }

    /// A kernel, a function or variables.
    fn definition(&mut self) -> Parsed<()> {
        let linkage = self.linkage()?;
        let Token::Dotted(word) = self.token else {
            return self.expected("a directive");
        };
        if matches!(word, "entry" | "func") {
            return self.function(linkage);
        }
        let Some(space) = space(word) else {
            return self.expected("a directive of a module");
        };
        self.advance()?;
        let shape = self.shape(false)?;
        loop {
            let (name, variable) = self.declarator(space, linkage, shape)?;
            self.declare_variable(name, variable)?;
            if !self.accept(",")? {
                return self.expect(";");
            }
        }
    }

    /// Enters a variable into the module; a definition replaces declarations.
    fn declare_variable(&mut self, name: &'a str, variable: Variable) -> Parsed<()> {
        use super::ast::Linkage::Extern;
        let error = |message: String| Err(ParseError { line: variable.line, message });
        let index = match self.names.get(name) {
            None => {
                self.names.insert(name, Global::Variable(self.module.variables.len()));
                self.module.variables.push(variable);
                return Ok(());
            }
            Some(Global::Function(index)) => {
                let before = self.module.functions[*index].line;
                return error(format!("{} is a function since line {before}", shown(name)));
            }
            Some(Global::Variable(index)) => *index,
        };
        let before = &mut self.module.variables[index];
        if before.linkage != Extern && variable.linkage != Extern {
            return error(format!("{} is defined again (first on line {})", shown(name), before.line));
        }
        let shape = |v: &Variable| (v.space, v.ty.bits(), v.vector);
        let open = before.elements.is_none() || variable.elements.is_none();
        if shape(before) != shape(&variable) || !(open || before.elements == variable.elements) {
            let line = before.line;
            return error(format!("{} has another shape than where line {line} declares it", shown(name)));
        }
        if before.linkage == Extern && (variable.linkage != Extern || before.elements.is_none()) {
            *before = variable;
        }
        Ok(())
    }
}
