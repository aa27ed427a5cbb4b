//! Initialisers: `= 1.0`, `= {1, {2, 3}, name + 4, generic(name), 0xFF00(name)}`.

use super::ast::{Initial, InitialAddress};
use super::error::{Parsed, shown};
use super::expression::Value;
use super::lexer::Token;
use super::parser::{MAX_BYTES, MAX_INITIAL_BYTES, Parser};
use super::types::Type;
use super::variable::Extents;

/// What is filled in, and with what.
struct Filling<'i> {
    initial: &'i mut Initial,
    ty: Type,
    /// Extents from the outermost to the components of a vector; the first may be open.
    dimensions: Vec<usize>,
    open: bool,
}

impl Filling<'_> {
    /// Scalars in one element of dimension `level`.
    fn stride(&self, level: usize) -> usize {
        self.dimensions.iter().skip(level + 1).product()
    }
}

impl<'a> Parser<'a> {
    /// What stands behind `=`; gives the number of elements of the outermost dimension that it covers.
    pub fn initialiser(
        &mut self,
        extents: &Extents,
        ty: Type,
        vector: u32,
        initial: &mut Initial,
    ) -> Parsed<usize> {
        if matches!(ty, Type::Texref | Type::Samplerref | Type::Surfref) {
            // `{ addr_mode_0 = wrap }`: of no use, as no instruction that reads it is known.
            self.skip_braces()?;
            return Ok(1);
        }
        let mut dimensions = extents.dimensions.clone();
        if vector > 1 {
            dimensions.push(vector as usize);
        }
        let mut filling = Filling { initial, ty, dimensions, open: extents.open };
        if filling.dimensions.is_empty() {
            if self.accept("{")? {
                self.fill_one(&mut filling, 0)?;
                self.accept(",")?;
                self.expect("}")?;
            } else {
                self.fill_one(&mut filling, 0)?;
            }
            return Ok(1);
        }
        let scalars = self.fill(&mut filling, 0, 0)?;
        Ok(scalars.div_ceil(filling.stride(0).max(1)))
    }

    /// `{ … }` of dimension `level`, whose first scalar has the index `first`; gives the number of scalars it reaches.
    fn fill(&mut self, filling: &mut Filling<'_>, level: usize, first: usize) -> Parsed<usize> {
        self.expect("{")?;
        let stride = filling.stride(level);
        let bounded = level > 0 || !filling.open;
        let room = if bounded { filling.dimensions[level] * stride } else { MAX_BYTES };
        let mut used = 0usize;
        while !self.is("}") {
            let scalars = if self.is("{") {
                // What braces enclose begins a row of its own.
                used = used.next_multiple_of(stride.max(1));
                stride
            } else {
                1
            };
            if room.saturating_sub(used) < scalars || scalars == 0 {
                return self.error("an initialiser has more elements than the variable");
            }
            if !self.is("{") {
                self.fill_one(filling, first + used)?;
            } else if level + 1 < filling.dimensions.len() {
                self.nested(|p| p.fill(filling, level + 1, first + used))?;
            } else {
                self.advance()?;
                self.fill_one(filling, first + used)?;
                self.expect("}")?;
            }
            used += scalars;
            if !self.accept(",")? {
                break;
            }
        }
        self.expect("}")?;
        Ok(used)
    }

    /// One scalar.
    fn fill_one(&mut self, filling: &mut Filling<'_>, index: usize) -> Parsed<()> {
        let size = filling.ty.bytes();
        let at = index.saturating_mul(size);
        let address = match self.token {
            Token::Word("generic") => {
                self.advance()?;
                self.expect("(")?;
                let address = self.address_of(at, size, true)?;
                self.expect(")")?;
                Some(address)
            }
            Token::Word(word) if word != "WARP_SZ" => Some(self.address_of(at, size, false)?),
            _ => None,
        };
        let bits = match address {
            Some(mut address) => {
                if matches!(self.token, Token::Sign("+" | "-")) {
                    address.offset = address.offset.wrapping_add(self.integer()? as i64);
                }
                filling.initial.addresses.push(address);
                0
            }
            None => {
                let value = self.expression()?;
                match value {
                    // `0xFF00(name)`: what was read is a mask.
                    Value::Integer { bits, .. } if self.accept("(")? => {
                        let byte = self.masked(filling.initial, at, size, bits)?;
                        self.expect(")")?;
                        byte
                    }
                    value => self.bits_of(value, filling.ty)?,
                }
            }
        };
        self.store(filling, at, size, bits)
    }

    fn store(&mut self, filling: &mut Filling<'_>, at: usize, size: usize, bits: u64) -> Parsed<()> {
        let bytes = &mut filling.initial.bytes;
        let end = at.saturating_add(size);
        self.initial_bytes = self.initial_bytes.saturating_add(end.saturating_sub(bytes.len()));
        if self.initial_bytes > MAX_INITIAL_BYTES {
            return self.error(format!("the initialisers cover more than {MAX_INITIAL_BYTES} bytes"));
        }
        bytes.resize(at, 0);
        let all = u128::from(bits).to_le_bytes();
        bytes.extend_from_slice(&all[..size]);
        Ok(())
    }

    /// `name`, perhaps `name + 4` inside parentheses.
    fn address_of(&mut self, at: usize, size: usize, generic: bool) -> Parsed<InitialAddress> {
        let name = self.word("the name of a variable or function")?;
        let mut offset = 0;
        if matches!(self.token, Token::Sign("+" | "-")) {
            offset = self.integer()? as i64;
        }
        self.spend(1)?;
        if !matches!(size, 4 | 8) {
            return self.error(format!("the address of {} does not fit {size} bytes", shown(name)));
        }
        Ok(InitialAddress { at, size, name: name.to_string(), offset, generic, shift: 0 })
    }

    /// What stands in the parentheses behind a mask: an address or integer of which one byte is stored.
    fn masked(&mut self, initial: &mut Initial, at: usize, size: usize, mask: u64) -> Parsed<u64> {
        let shift = mask.trailing_zeros();
        if mask == 0 || mask >> shift != 0xFF || !shift.is_multiple_of(8) || size != 1 {
            return self.error(format!("{mask:#x} is not the mask of one byte"));
        }
        let generic = self.token == Token::Word("generic");
        match self.token {
            Token::Word(word) if word != "WARP_SZ" => {}
            _ => return Ok((self.integer()? & mask) >> shift),
        }
        if generic {
            self.advance()?;
            self.expect("(")?;
        }
        let mut address = self.address_of(at, 8, generic)?;
        if generic {
            self.expect(")")?;
            if matches!(self.token, Token::Sign("+" | "-")) {
                address.offset = address.offset.wrapping_add(self.integer()? as i64);
            }
        }
        initial.addresses.push(InitialAddress { size, shift, ..address });
        Ok(0)
    }

    /// A constant as the bits of a type.
    fn bits_of(&self, value: Value, ty: Type) -> Parsed<u64> {
        Ok(match (value, ty) {
            (Value::Integer { bits, unsigned }, Type::F64 | Type::F32 | Type::F16 | Type::Bf16) => {
                let number = if unsigned { bits as f64 } else { bits as i64 as f64 };
                return self.bits_of(Value::Float64(number), ty);
            }
            (Value::Integer { bits, .. }, _) => bits,
            (Value::Float32(bits), Type::F64) => f64::from(f32::from_bits(bits)).to_bits(),
            (Value::Float32(bits), Type::F32 | Type::B32) => u64::from(bits),
            (Value::Float64(number), Type::F64 | Type::B64) => number.to_bits(),
            (Value::Float64(number), Type::F32) => u64::from((number as f32).to_bits()),
            (Value::Float64(number), Type::F16) => u64::from(half::f16::from_f64(number).to_bits()),
            (Value::Float64(number), Type::Bf16) => u64::from(half::bf16::from_f64(number).to_bits()),
            (Value::Float32(_) | Value::Float64(_), _) => {
                return self.error(format!("a floating-point number cannot initialise {ty:?}"));
            }
        })
    }
}
