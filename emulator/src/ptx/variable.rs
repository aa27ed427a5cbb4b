//! Declarations of variables and parameters, and what they hold at first.

use super::ParseError;
use super::ast::{Initial, InitialAddress, Linkage, Variable};
use super::cursor::{Cursor, Parsed};
use super::expression::constant;
use super::lexer::Token;
use super::types::{Space, Type};

/// A variable takes at most this many bytes: more than a device has, and far from an overflow.
const MAX_BYTES: usize = 1 << 40;
/// What is written down of it, as bytes: gaps between rows count.
const MAX_INITIAL: usize = 1 << 28;

/// The state space that a directive names.
pub fn space(word: &str) -> Option<Space> {
    Some(match word {
        "global" => Space::Global,
        "shared" | "shared::cta" => Space::Shared,
        "const" => Space::Const,
        "local" => Space::Local,
        "param" => Space::Param,
        _ => return None,
    })
}

/// What stands between the space and the name: type, vector width, alignment, attributes.
pub struct Kind {
    pub ty: Type,
    pub vector: u32,
    pub align: usize,
    pub managed: bool,
}

/// Reads type and attributes in whatever order they stand.
pub fn kind(cursor: &mut Cursor<'_>) -> Parsed<Kind> {
    let (mut ty, mut vector, mut align, mut managed) = (None, 1, None, false);
    while let Token::Dot(word) = cursor.peek() {
        cursor.take();
        match word {
            "align" => {
                let line = cursor.line();
                let bytes = cursor.small("an alignment")? as usize;
                if !bytes.is_power_of_two() || bytes > 1 << 20 {
                    let expected =
                        format!("expected an alignment that is a power of two up to 2^20, found {bytes}");
                    return Err(ParseError::new(line, expected));
                }
                align = Some(bytes);
            }
            "attribute" => {
                cursor.want('(')?;
                loop {
                    match cursor.take() {
                        Token::Dot("managed") => managed = true,
                        Token::Dot("unified") => {
                            cursor.want('(')?;
                            while !cursor.sign(')') {
                                if cursor.take() == Token::End {
                                    return cursor.expected("\")\"");
                                }
                            }
                        }
                        _ => {
                            return cursor
                                .expected("the end of .attribute(.managed) or .attribute(.unified(…))");
                        }
                    }
                    if !cursor.sign(',') {
                        break;
                    }
                }
                cursor.want(')')?;
            }
            // What a pointer parameter points to: nothing that running it needs.
            "ptr" | "const" | "global" | "local" | "shared" | "generic" => {}
            "v2" => vector = 2,
            "v4" => vector = 4,
            "v8" => vector = 8,
            _ => match Type::parse(word) {
                Some(found) if ty.is_none() => ty = Some(found),
                _ => return cursor.error(format!("expected one type, found .{word}")),
            },
        }
    }
    let Some(ty) = ty else { return cursor.expected("a type") };
    if ty == Type::Pred || ty.bytes() == 0 {
        return cursor.error("a value of this type cannot lie in memory");
    }
    Ok(Kind { ty, vector, align: align.unwrap_or(ty.bytes() * vector as usize), managed })
}

/// The variable whose kind has been read and whose name comes next. `initialised`: an initialiser may follow.
pub fn variable(
    cursor: &mut Cursor<'_>,
    space: Space,
    linkage: Linkage,
    kind: &Kind,
    initialised: bool,
) -> Parsed<Variable> {
    let line = cursor.line();
    let name = cursor.word("the name of a variable")?.to_string();
    let mut dimensions = Vec::new();
    while cursor.sign('[') {
        if cursor.is_sign(']') && dimensions.is_empty() {
            dimensions.push(None);
        } else {
            dimensions.push(Some(constant(cursor)?));
        }
        cursor.want(']')?;
        if dimensions.len() > 16 {
            return cursor.error("an array of more than 16 dimensions");
        }
    }
    let unit = kind.ty.bytes() * kind.vector as usize;
    let mut row = 1usize;
    for &dimension in dimensions.iter().flatten() {
        let product = usize::try_from(dimension).ok().and_then(|d| row.checked_mul(d));
        row = match product.filter(|p| p.checked_mul(unit).is_some_and(|b| b <= MAX_BYTES)) {
            Some(product) => product,
            None => return Err(ParseError::new(line, format!("{name} has more than {MAX_BYTES} bytes"))),
        };
    }
    let unknown = dimensions.first() == Some(&None);
    let mut variable = Variable {
        name,
        line,
        space,
        linkage,
        ty: kind.ty,
        vector: kind.vector,
        align: kind.align,
        elements: (!unknown).then_some(row),
        managed: kind.managed,
        initial: Initial::default(),
    };
    if initialised && cursor.sign('=') {
        // Elements of one entry of each dimension; a vector is one more dimension.
        let mut extents: Vec<usize> =
            dimensions.iter().map(|d| d.map_or(usize::MAX, |d| d as usize)).collect();
        if kind.vector > 1 {
            extents.push(kind.vector as usize);
        }
        let mut filler = Filler { element: kind.ty, at: 0, initial: Initial::default() };
        filler.entry(cursor, &extents)?;
        if unknown {
            variable.elements = Some(filler.at.div_ceil(unit.max(1) * row.max(1)) * row);
        }
        variable.initial = filler.initial;
    }
    Ok(variable)
}

/// Writes an initialiser's elements one after another.
struct Filler {
    element: Type,
    /// Where the next element goes.
    at: usize,
    initial: Initial,
}

impl Filler {
    /// One entry: an element, or braces around the entries of the first extent.
    fn entry(&mut self, cursor: &mut Cursor<'_>, extents: &[usize]) -> Parsed<()> {
        if !cursor.is_sign('{') {
            return if extents.is_empty() { self.value(cursor) } else { cursor.expected("\"{\"") };
        }
        cursor.want('{')?;
        let Some((&extent, inner)) = extents.split_first() else {
            // Braces around one element.
            self.value(cursor)?;
            return cursor.want('}');
        };
        let start = self.at;
        let size = inner.iter().fold(self.element.bytes(), |size, &e| size.saturating_mul(e));
        let mut count = 0usize;
        while !cursor.is_sign('}') {
            if count == extent {
                return cursor.error(format!("expected at most {extent} values, found more"));
            }
            if cursor.is_sign('{') || inner.is_empty() {
                self.at = start.saturating_add(count.saturating_mul(size));
                self.entry(cursor, inner)?;
                count += 1;
            } else {
                // Rows without braces of their own fill up one after another.
                self.value(cursor)?;
                count = (self.at - start).div_ceil(size.max(1));
            }
            if !cursor.sign(',') {
                break;
            }
        }
        cursor.want('}')?;
        self.at = if extent == usize::MAX {
            start.saturating_add(count.saturating_mul(size))
        } else {
            start.saturating_add(extent.saturating_mul(size))
        };
        Ok(())
    }

    /// Writes the low bytes of an element.
    fn write(&mut self, cursor: &Cursor<'_>, bits: u128) -> Parsed<()> {
        let size = self.element.bytes();
        let end = self.at.saturating_add(size);
        if end > MAX_INITIAL {
            return cursor.error(format!("an initialiser of more than {MAX_INITIAL} bytes"));
        }
        if self.initial.bytes.len() < end {
            self.initial.bytes.resize(end, 0);
        }
        self.initial.bytes[self.at..end].copy_from_slice(&bits.to_le_bytes()[..size]);
        self.at = end;
        Ok(())
    }

    fn value(&mut self, cursor: &mut Cursor<'_>) -> Parsed<()> {
        let negative =
            cursor.is_sign('-') && matches!(cursor.second(), Token::Float32(_) | Token::Float64(_));
        if negative {
            cursor.take();
        }
        match cursor.peek() {
            Token::Float32(bits) => {
                cursor.take();
                let value = f32::from_bits(bits);
                let bits = if negative { (-value).to_bits() } else { bits };
                let wide = self.element == Type::F64;
                self.write(
                    cursor,
                    if wide { u128::from(f64::from(value).to_bits()) } else { u128::from(bits) },
                )
            }
            Token::Float64(bits) => {
                cursor.take();
                let value = if negative { -f64::from_bits(bits) } else { f64::from_bits(bits) };
                let bits = match self.element {
                    Type::F32 => u64::from((value as f32).to_bits()),
                    Type::F16 => u64::from(half::f16::from_f64(value).to_bits()),
                    Type::Bf16 => u64::from(half::bf16::from_f64(value).to_bits()),
                    _ => value.to_bits(),
                };
                self.write(cursor, u128::from(bits))
            }
            Token::Word(word) if word != "WARP_SZ" => self.address(cursor, 0),
            // 0xFF00(name): the byte of an address.
            Token::Integer(mask) if cursor.second() == Token::Sign('(') => {
                cursor.take();
                cursor.take();
                if mask.count_ones() != 8 || !mask.trailing_zeros().is_multiple_of(8) {
                    return cursor.error(format!("expected a mask of one byte, found {mask:#x}"));
                }
                self.address(cursor, mask.trailing_zeros())?;
                cursor.want(')')
            }
            _ => {
                let value = constant(cursor)?;
                let bits = match self.element {
                    Type::F32 => u128::from((value as i64 as f32).to_bits()),
                    Type::F64 => u128::from((value as i64 as f64).to_bits()),
                    _ => value as i64 as i128 as u128,
                };
                self.write(cursor, bits)
            }
        }
    }

    /// `name + 8`, `generic(name) + 8`.
    fn address(&mut self, cursor: &mut Cursor<'_>, shift: u32) -> Parsed<()> {
        let generic = cursor.peek() == Token::Word("generic") && cursor.second() == Token::Sign('(');
        if generic {
            cursor.take();
            cursor.take();
        }
        let name = cursor.word("the name of a variable or function")?.to_string();
        if generic {
            cursor.want(')')?;
        }
        let offset = offset(cursor)?;
        let (at, size) = (self.at, self.element.bytes());
        self.write(cursor, 0)?;
        self.initial.addresses.push(InitialAddress { at, size, name, offset, generic, shift });
        Ok(())
    }
}

/// `+ 8`, `- 8`, or nothing.
pub fn offset(cursor: &mut Cursor<'_>) -> Parsed<i64> {
    if cursor.is_sign('-') || cursor.is_sign('+') && cursor.second() != Token::Sign('+') {
        let minus = cursor.take() == Token::Sign('-');
        let value = constant(cursor)? as i64;
        return Ok(if minus { value.wrapping_neg() } else { value });
    }
    Ok(0)
}
