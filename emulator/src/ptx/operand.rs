//! Operands of instructions.

use super::ast::{Base, Operand, Symbol};
use super::body::BodyParser;
use super::error::{Parsed, shown};
use super::expression::Value;
use super::lexer::Token;
use super::parser::Global;
use super::scope::Entity;

/// Special registers that can be read, without `%`; those of a row of them without their number.
const SPECIALS: [&str; 37] = [
    "tid",
    "ntid",
    "laneid",
    "warpid",
    "nwarpid",
    "ctaid",
    "nctaid",
    "smid",
    "nsmid",
    "gridid",
    "clusterid",
    "nclusterid",
    "cluster_ctaid",
    "cluster_nctaid",
    "cluster_ctarank",
    "cluster_nctarank",
    "is_explicit_cluster",
    "lanemask_eq",
    "lanemask_le",
    "lanemask_lt",
    "lanemask_ge",
    "lanemask_gt",
    "clock",
    "clock_hi",
    "clock64",
    "globaltimer",
    "globaltimer_lo",
    "globaltimer_hi",
    "total_smem_size",
    "aggr_smem_size",
    "dynamic_smem_size",
    "current_graph_exec",
    "reserved_smem_offset_begin",
    "reserved_smem_offset_end",
    "reserved_smem_offset_cap",
    "reserved_smem_offset_0",
    "reserved_smem_offset_1",
];

/// Whether a name without `%` is a special register.
fn is_special(name: &str) -> bool {
    let numbered = |prefix: &str, count: u32, suffix: &str| {
        let number = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix));
        number.and_then(|digits| digits.parse::<u32>().ok().filter(|n| n.to_string() == digits && *n < count))
    };
    SPECIALS.contains(&name)
        || numbered("pm", 8, "").is_some()
        || numbered("pm", 8, "_64").is_some()
        || numbered("envreg", 32, "").is_some()
}

/// `.x` or `.r` is component 0, and so on.
fn component(word: &str) -> Option<u8> {
    Some(match word {
        "x" | "r" => 0,
        "y" | "g" => 1,
        "z" | "b" => 2,
        "w" | "a" => 3,
        _ => return None,
    })
}

/// Whether a word behind a register chooses bytes or halves of it: `b0`, `h1`, `b3210`, `bxyzw`.
fn is_selector(word: &str) -> bool {
    word.len() >= 2 && word.len() <= 5 && word.starts_with(['b', 'h']) && word.is_ascii()
}

impl<'a> BodyParser<'_, 'a> {
    /// One operand of an instruction, also a pair `d|p`.
    pub fn operand(&mut self, opcode: &str) -> Parsed<Operand> {
        let first = self.single(opcode)?;
        if matches!(first, Operand::Register(_) | Operand::Sink) && self.parser.accept("|")? {
            let second = self.single(opcode)?;
            if !matches!(second, Operand::Register(_) | Operand::Sink) {
                return self.parser.error("expected a register behind `|`");
            }
            return Ok(Operand::Pair(Box::new(first), Box::new(second)));
        }
        Ok(first)
    }

    fn single(&mut self, opcode: &str) -> Parsed<Operand> {
        self.parser.spend(1)?;
        match self.parser.token {
            Token::Word(word) if word != "WARP_SZ" => {
                self.parser.advance()?;
                self.named(word, opcode)
            }
            Token::Sign("_") => {
                self.parser.advance()?;
                Ok(Operand::Sink)
            }
            Token::Sign("{") => {
                self.parser.advance()?;
                Ok(Operand::Vector(self.list("}", opcode)?))
            }
            Token::Sign("[") => {
                self.parser.advance()?;
                self.bracketed(opcode)
            }
            Token::Sign("(") if opcode == "call" => {
                self.parser.advance()?;
                Ok(Operand::List(self.list(")", opcode)?))
            }
            Token::Sign("!") => {
                self.parser.advance()?;
                match self.parser.token {
                    Token::Word(word) if word != "WARP_SZ" => Ok(Operand::Not(self.predicate()?)),
                    _ => self.constant_behind("!"),
                }
            }
            Token::Sign("-") => {
                self.parser.advance()?;
                match self.parser.token {
                    Token::Word(word) if word != "WARP_SZ" => {
                        self.parser.advance()?;
                        self.negative(word, opcode)
                    }
                    _ => self.constant_behind("-"),
                }
            }
            _ => {
                let value = self.parser.expression()?;
                Ok(constant(value))
            }
        }
    }

    /// Operands up to a closing sign, which is taken.
    fn list(&mut self, close: &'static str, opcode: &str) -> Parsed<Vec<Operand>> {
        let mut parts = Vec::new();
        self.parser.deeper()?;
        while !self.parser.is(close) {
            parts.push(self.operand(opcode)?);
            if !self.parser.accept(",")? {
                break;
            }
        }
        self.parser.shallower();
        self.parser.expect(close)?;
        Ok(parts)
    }

    /// A constant expression whose first sign has been taken.
    fn constant_behind(&mut self, sign: &str) -> Parsed<Operand> {
        let value = self.parser.nested(|p| p.unary())?;
        let first = self.parser.apply_unary(sign, value)?;
        Ok(constant(self.parser.expression_from(first)?))
    }

    fn negative(&mut self, word: &'a str, opcode: &str) -> Parsed<Operand> {
        match self.named(word, opcode)? {
            Operand::Register(register) => Ok(Operand::Negative(register)),
            Operand::Select { register, selector, .. } => {
                Ok(Operand::Select { register, selector, negative: true })
            }
            _ => self.parser.error(format!("`-` takes a register, not {}", shown(word))),
        }
    }

    /// What a name means, with what follows it.
    fn named(&mut self, word: &'a str, opcode: &str) -> Parsed<Operand> {
        // The target of a branch is a label, whatever else its name may mean.
        let entity = if opcode == "bra" { None } else { self.lookup(word)? };
        let symbol = match entity {
            Some(Entity::Register(register, vector)) => return self.register(word, register, vector),
            Some(Entity::BranchTargets(table)) => return Ok(Operand::BranchTargets(table)),
            Some(Entity::CallTargets(table)) => return Ok(Operand::CallTargets(table)),
            Some(Entity::Prototype(index)) => return Ok(Operand::Prototype(index)),
            Some(Entity::Local(index)) => Symbol::Local(index),
            Some(Entity::Parameter(index)) => Symbol::Parameter(index),
            Some(Entity::Return(index)) => Symbol::Return(index),
            // A scope that is still open may have a label of that name, too.
            Some(Entity::Label(_)) | None => {
                if let Some(name) = word.strip_prefix('%').filter(|name| entity.is_none() && is_special(name))
                {
                    return self.special(name);
                }
                Symbol::Module(word.to_string())
            }
        };
        if self.parser.is("[") {
            return self.indexed(word, symbol, opcode);
        }
        let offset = self.offset()?;
        Ok(Operand::Symbol { symbol, offset })
    }

    /// `a[3]`: what lies there, or for `mov` its address.
    fn indexed(&mut self, name: &str, symbol: Symbol, opcode: &str) -> Parsed<Operand> {
        let element = match (&symbol, self.parser.names.get(name)) {
            (Symbol::Local(index), _) => self.body.variables.get(*index),
            (Symbol::Module(_), Some(Global::Variable(index))) => self.parser.module.variables.get(*index),
            _ => None,
        };
        let Some(element) = element.map(|variable| variable.ty.bytes() * variable.vector as usize) else {
            return self.parser.error(format!("{} is not an array", shown(name)));
        };
        self.parser.expect("[")?;
        let index = self.parser.integer()?;
        self.parser.expect("]")?;
        let offset = (index as i64).wrapping_mul(element as i64);
        Ok(match opcode {
            "mov" | "cvta" => Operand::Symbol { symbol, offset },
            _ => Operand::Address { base: Base::Symbol(symbol), offset },
        })
    }

    /// A register, a component of it, or a part of it.
    fn register(&mut self, name: &str, register: usize, vector: u32) -> Parsed<Operand> {
        let Token::Dotted(word) = self.parser.token else { return Ok(Operand::Register(register)) };
        if vector > 1
            && let Some(index) = component(word)
        {
            if u32::from(index) >= vector {
                return self.parser.error(format!("{} has no component .{word}", shown(name)));
            }
            self.parser.advance()?;
            return Ok(Operand::Register(register + usize::from(index)));
        }
        if vector == 1 && is_selector(word) {
            self.parser.advance()?;
            return Ok(Operand::Select { register, selector: word.to_string(), negative: false });
        }
        self.parser.expected(&format!("`,` or `;` behind {}", shown(name)))
    }

    fn special(&mut self, name: &str) -> Parsed<Operand> {
        let mut chosen = None;
        if let Token::Dotted(word) = self.parser.token {
            chosen = component(word);
            if chosen.is_none() {
                return self.parser.expected(&format!("a component of %{name}"));
            }
            self.parser.advance()?;
        }
        Ok(Operand::Special { name: name.to_string(), component: chosen })
    }

    /// `+ 4` or `-4` behind a base.
    fn offset(&mut self) -> Parsed<i64> {
        match self.parser.token {
            Token::Sign("+" | "-") => Ok(self.parser.integer()? as i64),
            _ => Ok(0),
        }
    }

    /// What stands in brackets.
    fn bracketed(&mut self, opcode: &str) -> Parsed<Operand> {
        let base = match self.parser.token {
            Token::Word(word) if word != "WARP_SZ" => {
                self.parser.advance()?;
                self.named(word, opcode)?
            }
            _ => Operand::Integer(self.parser.integer()?),
        };
        if self.parser.is(",") {
            self.parser.advance()?;
            let mut parts = vec![base];
            parts.extend(self.list("]", opcode)?);
            return Ok(Operand::Bracketed(parts));
        }
        let (base, offset) = match base {
            Operand::Register(register) => (Base::Register(register), self.offset()?),
            Operand::Symbol { symbol, offset } => (Base::Symbol(symbol), offset),
            Operand::Integer(bits) => (Base::Zero, bits as i64),
            _ => return self.parser.error("an address starts from a register, a variable or a number"),
        };
        self.parser.expect("]")?;
        Ok(Operand::Address { base, offset })
    }
}

fn constant(value: Value) -> Operand {
    match value {
        Value::Integer { bits, .. } => Operand::Integer(bits),
        Value::Float32(bits) => Operand::Float32(bits),
        Value::Float64(number) => Operand::Float64(number.to_bits()),
    }
}
