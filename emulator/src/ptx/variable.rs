//! Declarations of variables: space, type, alignment, name, extents.

use super::ast::{Initial, Linkage, Variable};
use super::error::{Parsed, shown};
use super::lexer::Token;
use super::parser::{MAX_ALIGN, MAX_BYTES, MAX_DIMENSIONS, Parser};
use super::types::{Space, Type};

/// What stands in front of the names of a declaration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub ty: Type,
    pub vector: u32,
    align: Option<usize>,
    managed: bool,
}

/// The state space that a directive names.
pub(super) fn space(word: &str) -> Option<Space> {
    Some(match word {
        "global" => Space::Global,
        "shared" | "shared::cta" => Space::Shared,
        "const" => Space::Const,
        "local" => Space::Local,
        "param" => Space::Param,
        _ => return None,
    })
}

/// The extents of an array: the product of all but the first where the first is open.
pub(super) struct Extents {
    /// Outermost first; empty for a scalar. An open first extent is 0.
    pub dimensions: Vec<usize>,
    pub open: bool,
}

impl<'a> Parser<'a> {
    /// `.visible`, `.extern`, `.weak` or `.common`, if one of them comes next.
    pub fn linkage(&mut self) -> Parsed<Linkage> {
        let linkage = match self.token {
            Token::Dotted("visible") => Linkage::Visible,
            Token::Dotted("extern") => Linkage::Extern,
            Token::Dotted("weak") => Linkage::Weak,
            Token::Dotted("common") => Linkage::Common,
            _ => return Ok(Linkage::Internal),
        };
        self.advance()?;
        Ok(linkage)
    }

    /// What stands behind the space: `.align`, `.attribute`, vector and type, and for parameters `.ptr`.
    pub fn shape(&mut self, parameter: bool) -> Parsed<Shape> {
        let (mut ty, mut vector, mut align, mut managed) = (None, 1, None, false);
        while let Token::Dotted(word) = self.token {
            match word {
                "align" => {
                    self.advance()?;
                    align = Some(self.alignment()?);
                    continue;
                }
                "attribute" => {
                    managed |= self.attribute()?;
                    continue;
                }
                "ptr" if parameter && ty.is_some() => {
                    self.pointer()?;
                    continue;
                }
                "v2" => vector = 2,
                "v4" => vector = 4,
                "v8" => vector = 8,
                _ => match Type::parse(word) {
                    Some(_) if ty.is_some() => return self.expected("a name behind the type"),
                    Some(known) if known == Type::Pred || known.bits() >= 8 => ty = Some(known),
                    _ => return self.expected("a type"),
                },
            }
            self.advance()?;
        }
        match ty {
            Some(ty) => Ok(Shape { ty, vector, align, managed }),
            None => self.expected("a type"),
        }
    }

    fn alignment(&mut self) -> Parsed<usize> {
        let value = self.literal("an alignment")?;
        if !value.is_power_of_two() || value > MAX_ALIGN {
            return self
                .error(format!("an alignment must be a power of two up to {MAX_ALIGN}, found {value}"));
        }
        Ok(value as usize)
    }

    /// `.attribute(.managed)`, `.attribute(.unified(1, 2))`: whether it is managed.
    pub fn attribute(&mut self) -> Parsed<bool> {
        self.advance()?;
        self.expect("(")?;
        let mut managed = false;
        loop {
            match self.token {
                Token::Dotted("managed") => {
                    self.advance()?;
                    managed = true;
                }
                Token::Dotted("unified") => {
                    self.advance()?;
                    self.expect("(")?;
                    self.literal("a number")?;
                    self.expect(",")?;
                    self.literal("a number")?;
                    self.expect(")")?;
                }
                _ => return self.expected("`.managed` or `.unified`"),
            }
            if !self.accept(",")? {
                break;
            }
        }
        self.expect(")")?;
        Ok(managed)
    }

    /// `.ptr .global .align 16`: what a parameter points to. Nothing follows from it: memory is checked as it is used.
    fn pointer(&mut self) -> Parsed<()> {
        self.advance()?;
        if let Token::Dotted(word) = self.token
            && (word == "generic" || space(word).is_some())
        {
            self.advance()?;
        }
        if self.accept_dotted("align")? {
            self.alignment()?;
        }
        Ok(())
    }

    /// `[2][4]` behind a name; `[]` may stand first.
    pub fn extents(&mut self) -> Parsed<Extents> {
        let (mut dimensions, mut open) = (Vec::new(), false);
        while self.accept("[")? {
            if dimensions.len() == MAX_DIMENSIONS {
                return self.error(format!("an array has more than {MAX_DIMENSIONS} dimensions"));
            }
            if dimensions.is_empty() && self.is("]") {
                open = true;
                dimensions.push(0);
            } else {
                let extent = self.integer()?;
                match usize::try_from(extent) {
                    Ok(extent) if extent <= MAX_BYTES => dimensions.push(extent),
                    _ => return self.error(format!("an array cannot have {} elements", extent as i64)),
                }
            }
            self.expect("]")?;
        }
        Ok(Extents { dimensions, open })
    }

    /// One variable behind its space and shape: name, extents, initialiser.
    pub fn declarator(
        &mut self,
        space: Space,
        linkage: Linkage,
        shape: Shape,
    ) -> Parsed<(&'a str, Variable)> {
        let line = self.line;
        let name = match self.token {
            // Parameters of prototypes need no name.
            Token::Sign("_") if space == Space::Param => {
                self.advance()?;
                "_"
            }
            _ => self.word("the name of a variable")?,
        };
        if shape.ty == Type::Pred {
            return self.error(format!("{} cannot be a predicate: it lies in memory", shown(name)));
        }
        let extents = self.extents()?;
        let element = shape.ty.bytes() * shape.vector as usize;
        let inner =
            extents.dimensions.iter().skip(usize::from(extents.open)).try_fold(1usize, |all, &extent| {
                // An empty dimension must not hide that the others overflow.
                all.checked_mul(extent.max(1))
                    .filter(|&all| all.checked_mul(element).is_some_and(|all| all <= MAX_BYTES))
            });
        let too_large = format!("{} has more than {MAX_BYTES} bytes", shown(name));
        let Some(inner) = inner else {
            return self.error(too_large);
        };
        let inner = if extents.dimensions.iter().skip(usize::from(extents.open)).any(|&e| e == 0) {
            0
        } else {
            inner
        };
        let mut elements = (!extents.open).then_some(inner);
        let mut initial = Initial::default();
        if self.accept("=")? {
            if !matches!(space, Space::Global | Space::Const) || linkage == Linkage::Extern {
                return self.error(format!("{} cannot have an initialiser", shown(name)));
            }
            let rows = self.initialiser(&extents, shape.ty, shape.vector, &mut initial)?;
            if extents.open {
                elements = rows.checked_mul(inner).filter(|&all| all <= MAX_BYTES / element.max(1));
                if elements.is_none() {
                    return self.error(too_large);
                }
            }
        }
        if elements.is_none() && linkage != Linkage::Extern && space != Space::Param {
            return self.error(format!("the extent of {} is missing", shown(name)));
        }
        self.spend(1)?;
        let align = shape.align.unwrap_or(element);
        let variable = Variable {
            name: name.to_string(),
            line,
            space,
            linkage,
            ty: shape.ty,
            vector: shape.vector,
            align,
            elements,
            managed: shape.managed,
            initial,
        };
        Ok((name, variable))
    }
}
