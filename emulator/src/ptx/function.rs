//! Headers of kernels, functions and prototypes.

use super::ast::{Body, Directives, Function, Linkage, Parameter, Prototype, RegisterInfo};
use super::error::{ParseError, Parsed, shown};
use super::lexer::Token;
use super::parser::{Global, Parser};
use super::types::Space;

/// A formal parameter with the name that its text gives it.
type Named<'a> = (&'a str, Parameter);

impl<'a> Parser<'a> {
    /// `.entry …` or `.func …`, with or without a body.
    pub fn function(&mut self, linkage: Linkage) -> Parsed<()> {
        let is_kernel = self.token == Token::Dotted("entry");
        self.advance()?;
        while self.token == Token::Dotted("attribute") {
            self.attribute()?;
        }
        let mut body = Body::default();
        let returns = if !is_kernel && self.is("(") { self.formals(&mut body)? } else { Vec::new() };
        let line = self.line;
        let name = self.word("the name of a function")?;
        let parameters = if self.is("(") { self.formals(&mut body)? } else { Vec::new() };
        let directives = self.directives()?;
        let split = |named: &[Named<'a>]| named.iter().map(|(_, parameter)| parameter.clone()).collect();
        let mut function = Function {
            name: name.to_string(),
            line,
            linkage,
            is_kernel,
            returns: split(&returns),
            parameters: split(&parameters),
            directives,
            body: None,
        };
        if !self.accept(";")? {
            if !self.is("{") {
                return self.expected("`{` or `;`");
            }
            let names = |named: Vec<Named<'a>>| named.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
            function.body = Some(self.body(body, &function, &names(returns), &names(parameters))?);
        }
        self.spend(1)?;
        self.declare_function(name, function)
    }

    /// `(.param .b64 a, .reg .b32 b)`. Registers are added to `body`.
    fn formals(&mut self, body: &mut Body) -> Parsed<Vec<Named<'a>>> {
        self.expect("(")?;
        let mut formals = Vec::new();
        while !self.is(")") {
            match self.token {
                Token::Dotted("param") => {
                    self.advance()?;
                    let shape = self.shape(true)?;
                    let (name, variable) = self.declarator(Space::Param, Linkage::Internal, shape)?;
                    formals.push((name, Parameter::Memory(variable)));
                }
                Token::Dotted("reg") => {
                    self.advance()?;
                    let shape = self.shape(false)?;
                    let name = match self.token {
                        Token::Sign("_") => {
                            self.advance()?;
                            "_"
                        }
                        _ => self.word("the name of a register")?,
                    };
                    let register = self.add_register(body, name, shape.ty, shape.vector)?;
                    let name_of = name.to_string();
                    formals.push((name, Parameter::Register { name: name_of, ty: shape.ty, register }));
                }
                _ => return self.expected("`.param` or `.reg`"),
            }
            if !self.accept(",")? {
                break;
            }
        }
        self.expect(")")?;
        Ok(formals)
    }

    /// Appends a register with its components; gives the index of the first.
    pub fn add_register(
        &mut self,
        body: &mut Body,
        name: &str,
        ty: super::types::Type,
        vector: u32,
    ) -> Parsed<usize> {
        self.spend(vector as usize)?;
        let index = body.registers.len();
        body.registers.push(RegisterInfo { name: name.to_string(), ty, vector });
        for component in (1..vector).map(|c| ["x", "y", "z", "w"].get(c as usize).copied().unwrap_or("?")) {
            body.registers.push(RegisterInfo { name: format!("{name}.{component}"), ty, vector: 1 });
        }
        Ok(index)
    }

    /// What stands between the parameters and the body.
    fn directives(&mut self) -> Parsed<Directives> {
        let mut directives = Directives::default();
        while let Token::Dotted(word) = self.token {
            self.advance()?;
            match word {
                "maxntid" => directives.max_threads = Some(self.sizes()?),
                "reqntid" => directives.required_threads = Some(self.sizes()?),
                "minnctapersm" => directives.min_blocks = Some(self.literal32("a number of blocks")?),
                "maxnreg" => directives.max_registers = Some(self.literal32("a number of registers")?),
                "noreturn" => directives.no_return = true,
                "reqnctapercluster" => {
                    self.sizes()?;
                    directives.cluster = true;
                }
                "explicitcluster" | "blocksareclusters" => directives.cluster = true,
                // Hints and bounds for the assembler.
                "maxnctapersm" | "maxclusterrank" | "abi_preserve" | "abi_preserve_control" => {
                    self.literal32("a number")?;
                }
                "pragma" => self.pragma()?,
                _ => return self.error(format!("unknown directive {} of a function", shown(word))),
            }
        }
        Ok(directives)
    }

    /// `128`, `16, 16` or `8, 8, 4`.
    fn sizes(&mut self) -> Parsed<[u32; 3]> {
        let mut sizes = [1; 3];
        for (index, size) in sizes.iter_mut().enumerate() {
            if index > 0 && !self.accept(",")? {
                break;
            }
            *size = self.literal32("a size")?;
        }
        Ok(sizes)
    }

    /// `"nounroll", "used_bytes_mask 0xff";` behind `.pragma`. None of them changes what a program means.
    pub fn pragma(&mut self) -> Parsed<()> {
        self.string("a string")?;
        while self.accept(",")? {
            self.string("a string")?;
        }
        self.expect(";")
    }

    /// `.callprototype (.param .b32 _) _ (.param .b64 _) .noreturn;`
    pub fn prototype(&mut self) -> Parsed<Prototype> {
        self.advance()?;
        // Registers of a prototype belong to no function.
        let mut nowhere = Body::default();
        let returns = if self.is("(") { self.formals(&mut nowhere)? } else { Vec::new() };
        if !self.accept("_")? {
            self.word("`_`")?;
        }
        let parameters = if self.is("(") { self.formals(&mut nowhere)? } else { Vec::new() };
        self.directives()?;
        self.expect(";")?;
        let unnamed = |named: Vec<Named<'a>>| {
            let bare = |(_, parameter)| match parameter {
                Parameter::Register { name, ty, .. } => Parameter::Register { name, ty, register: 0 },
                memory => memory,
            };
            named.into_iter().map(bare).collect()
        };
        Ok(Prototype { returns: unnamed(returns), parameters: unnamed(parameters) })
    }

    /// Enters a function into the module; a definition replaces declarations.
    fn declare_function(&mut self, name: &'a str, mut function: Function) -> Parsed<()> {
        let error = |message: String| Err(ParseError { line: function.line, message });
        let index = match self.names.get(name) {
            None => {
                if function.body.is_none() {
                    forget_registers(&mut function);
                }
                self.names.insert(name, Global::Function(self.module.functions.len()));
                self.module.functions.push(function);
                return Ok(());
            }
            Some(Global::Variable(index)) => {
                let before = self.module.variables[*index].line;
                return error(format!("{} is a variable since line {before}", shown(name)));
            }
            Some(Global::Function(index)) => *index,
        };
        let before = &mut self.module.functions[index];
        if before.body.is_some() && function.body.is_some() {
            return error(format!("{} is defined again (first on line {})", shown(name), before.line));
        }
        if !agree(before, &function) {
            let line = before.line;
            return error(format!("{} has other parameters than where line {line} declares it", shown(name)));
        }
        if function.body.is_some() {
            *before = function;
        }
        Ok(())
    }
}

/// A declaration has no body whose registers its parameters could be.
fn forget_registers(function: &mut Function) {
    for parameter in function.returns.iter_mut().chain(&mut function.parameters) {
        if let Parameter::Register { register, .. } = parameter {
            *register = 0;
        }
    }
}

/// Whether two functions of a name can be the same.
fn agree(a: &Function, b: &Function) -> bool {
    let same = |a: &[Parameter], b: &[Parameter]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| agree_parameters(a, b))
    };
    a.is_kernel == b.is_kernel && same(&a.returns, &b.returns) && same(&a.parameters, &b.parameters)
}

fn agree_parameters(a: &Parameter, b: &Parameter) -> bool {
    match (a, b) {
        (Parameter::Memory(a), Parameter::Memory(b)) => {
            // `.param .b8 a[16]` and `.param .v4 .b32 a` are passed alike; an open extent takes anything.
            a.elements.is_none() || b.elements.is_none() || a.bytes() == b.bytes()
        }
        (Parameter::Register { ty: a, .. }, Parameter::Register { ty: b, .. }) => a.bits() == b.bits(),
        _ => false,
    }
}
