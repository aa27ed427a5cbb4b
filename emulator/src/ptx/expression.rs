//! Constant expressions, evaluated as they are read: 64-bit integers, signed or not, and doubles.

use super::error::Parsed;
use super::lexer::Token;
use super::parser::Parser;

/// The value of a constant expression.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    Integer {
        bits: u64,
        unsigned: bool,
    },
    /// A literal `0f…`, which only a sign may precede.
    Float32(u32),
    Float64(f64),
}

/// Lanes of a warp.
const WARP_SZ: u64 = 32;

impl Value {
    fn signed(bits: i64) -> Value {
        Value::Integer { bits: bits as u64, unsigned: false }
    }

    fn truth(condition: bool) -> Value {
        Value::signed(i64::from(condition))
    }
}

/// How strongly operators of two operands bind; the weakest is 0.
fn binding(sign: &str) -> Option<u32> {
    Some(match sign {
        "||" => 0,
        "&&" => 1,
        "|" => 2,
        "^" => 3,
        "&" => 4,
        "==" | "!=" => 5,
        "<" | "<=" | ">" | ">=" => 6,
        "<<" | ">>" => 7,
        "+" | "-" => 8,
        "*" | "/" | "%" => 9,
        _ => return None,
    })
}

impl<'a> Parser<'a> {
    /// A constant expression.
    pub fn expression(&mut self) -> Parsed<Value> {
        let first = self.unary()?;
        self.expression_from(first)
    }

    /// The rest of a constant expression whose first operand has been read.
    pub fn expression_from(&mut self, first: Value) -> Parsed<Value> {
        let condition = self.binary(first, 0)?;
        if !self.accept("?")? {
            return Ok(condition);
        }
        let condition = self.truth_of(condition)?;
        let yes = self.nested(Self::expression)?;
        self.expect(":")?;
        let no = self.nested(Self::expression)?;
        Ok(match (yes, no) {
            (Value::Integer { bits: a, unsigned: u }, Value::Integer { bits: b, unsigned: v }) => {
                Value::Integer { bits: if condition { a } else { b }, unsigned: u | v }
            }
            _ if condition => yes,
            _ => no,
        })
    }

    /// A constant expression that must be an integer.
    pub fn integer(&mut self) -> Parsed<u64> {
        match self.expression()? {
            Value::Integer { bits, .. } => Ok(bits),
            _ => self.error("expected an integer, found a floating-point number"),
        }
    }

    fn binary(&mut self, mut left: Value, weakest: u32) -> Parsed<Value> {
        while let Token::Sign(sign) = self.token
            && let Some(strength) = binding(sign)
            && strength >= weakest
        {
            self.advance()?;
            let first = self.unary()?;
            let right = self.nested(|p| p.binary(first, strength + 1))?;
            left = self.apply(sign, left, right)?;
        }
        Ok(left)
    }

    /// An operand with what stands in front of it.
    pub fn unary(&mut self) -> Parsed<Value> {
        match self.token {
            Token::Sign(sign @ ("+" | "-" | "!" | "~")) => {
                self.advance()?;
                let value = self.nested(Self::unary)?;
                self.apply_unary(sign, value)
            }
            Token::Sign("(") => {
                self.advance()?;
                if let Token::Dotted(ty @ ("s64" | "u64")) = self.token {
                    self.advance()?;
                    self.expect(")")?;
                    let value = self.nested(Self::unary)?;
                    let Value::Integer { bits, .. } = value else {
                        return self.error("only integers can be cast");
                    };
                    return Ok(Value::Integer { bits, unsigned: ty == "u64" });
                }
                let value = self.nested(Self::expression)?;
                self.expect(")")?;
                Ok(value)
            }
            Token::Integer { value, unsigned } => {
                self.advance()?;
                Ok(Value::Integer { bits: value, unsigned })
            }
            Token::Float32(bits) => {
                self.advance()?;
                Ok(Value::Float32(bits))
            }
            Token::Float64(bits) => {
                self.advance()?;
                Ok(Value::Float64(f64::from_bits(bits)))
            }
            Token::Word("WARP_SZ") => {
                self.advance()?;
                Ok(Value::Integer { bits: WARP_SZ, unsigned: false })
            }
            _ => self.expected("a constant"),
        }
    }

    pub fn apply_unary(&self, sign: &str, value: Value) -> Parsed<Value> {
        Ok(match (sign, value) {
            ("-", Value::Integer { bits, unsigned }) => {
                Value::Integer { bits: bits.wrapping_neg(), unsigned }
            }
            ("-", Value::Float32(bits)) => Value::Float32(bits ^ 1 << 31),
            ("-", Value::Float64(number)) => Value::Float64(-number),
            ("+", value) => value,
            ("!", value) => Value::truth(!self.truth_of(value)?),
            (_, Value::Integer { bits, .. }) => Value::Integer { bits: !bits, unsigned: true },
            _ => return self.error(format!("`{sign}` takes an integer")),
        })
    }

    fn truth_of(&self, value: Value) -> Parsed<bool> {
        match value {
            Value::Integer { bits, .. } => Ok(bits != 0),
            _ => self.error("a floating-point number is not a condition"),
        }
    }

    fn apply(&self, sign: &str, left: Value, right: Value) -> Parsed<Value> {
        use Value::{Float64, Integer};
        match (left, right) {
            (Integer { bits: a, unsigned: u }, Integer { bits: b, unsigned: v }) => {
                self.apply_integers(sign, (a, u), (b, v))
            }
            (Float64(a), Float64(b)) => self.apply_floats(sign, a, b),
            (Float64(a), Integer { bits, unsigned }) => self.apply_floats(sign, a, real(bits, unsigned)),
            (Integer { bits, unsigned }, Float64(b)) => self.apply_floats(sign, real(bits, unsigned), b),
            _ => self.error(format!("`{sign}` does not take a literal `0f…`")),
        }
    }

    fn apply_integers(&self, sign: &str, (a, u): (u64, bool), (b, v): (u64, bool)) -> Parsed<Value> {
        let unsigned = u | v;
        let (x, y) = (a as i64, b as i64);
        let kept = |bits| Value::Integer { bits, unsigned };
        let logic = |bits| Value::Integer { bits, unsigned: true };
        let order = if unsigned { a.cmp(&b) } else { x.cmp(&y) };
        Ok(match sign {
            "+" => kept(a.wrapping_add(b)),
            "-" => kept(a.wrapping_sub(b)),
            "*" => kept(a.wrapping_mul(b)),
            "/" | "%" if b == 0 => return self.error("a constant is divided by zero"),
            "/" if unsigned => kept(a / b),
            "/" => kept(x.wrapping_div(y) as u64),
            // The remainder is that of unsigned numbers, and itself signed.
            "%" => Value::Integer { bits: a % b, unsigned: false },
            // Shifts keep the type of what is shifted.
            "<<" => Value::Integer { bits: if b < 64 { a << b } else { 0 }, unsigned: u },
            ">>" if u => logic(if b < 64 { a >> b } else { 0 }),
            ">>" => Value::signed(x >> b.min(63)),
            "&" => logic(a & b),
            "|" => logic(a | b),
            "^" => logic(a ^ b),
            "&&" => Value::truth(a != 0 && b != 0),
            "||" => Value::truth(a != 0 || b != 0),
            "==" => Value::truth(a == b),
            "!=" => Value::truth(a != b),
            "<" => Value::truth(order.is_lt()),
            "<=" => Value::truth(order.is_le()),
            ">" => Value::truth(order.is_gt()),
            _ => Value::truth(order.is_ge()),
        })
    }

    fn apply_floats(&self, sign: &str, a: f64, b: f64) -> Parsed<Value> {
        Ok(match sign {
            "+" => Value::Float64(a + b),
            "-" => Value::Float64(a - b),
            "*" => Value::Float64(a * b),
            "/" => Value::Float64(a / b),
            "<" => Value::truth(a < b),
            "<=" => Value::truth(a <= b),
            ">" => Value::truth(a > b),
            ">=" => Value::truth(a >= b),
            "==" => Value::truth(a == b),
            "!=" => Value::truth(a != b),
            _ => return self.error(format!("`{sign}` takes integers")),
        })
    }
}

fn real(bits: u64, unsigned: bool) -> f64 {
    if unsigned { bits as f64 } else { bits as i64 as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Parsed<Value> {
        let mut parser = Parser::new(text)?;
        let value = parser.expression()?;
        match parser.token {
            Token::End => Ok(value),
            _ => parser.expected("the end"),
        }
    }

    #[test]
    fn values_and_types() {
        let signed = |bits: i64| Value::Integer { bits: bits as u64, unsigned: false };
        let unsigned = |bits| Value::Integer { bits, unsigned: true };
        for (text, expected) in [
            ("1 + 2 * 3", signed(7)),
            ("(1 + 2) * 3", signed(9)),
            ("10 - 4 - 3", signed(3)),
            ("-5 / 2", signed(-2)),
            ("-5 / 2U", unsigned((u64::MAX - 4) / 2)),
            ("-1 % 10", signed((u64::MAX % 10) as i64)),
            ("1 << 3 + 1", signed(16)),
            ("1 << 64", signed(0)),
            ("-8 >> 1", signed(-4)),
            ("-8 >> 99", signed(-1)),
            ("(.u64)-8 >> 60", unsigned(15)),
            ("6 & 3 | 8 ^ 1", unsigned(2 | 9)),
            ("~0", unsigned(u64::MAX)),
            ("!5 || 2 > 1 && 3 != 3", signed(0)),
            ("-1 < 1", signed(1)),
            ("-1 < 1U", signed(0)),
            ("(.s64)0xFFFFFFFFFFFFFFFF", signed(-1)),
            ("0 ? 1 : 2 ? 3 : 4", signed(3)),
            ("1 ? -1 : 2U", unsigned(u64::MAX)),
            ("WARP_SZ * 4 - +2", signed(126)),
            ("-9223372036854775807 - 1", signed(i64::MIN)),
            ("(-9223372036854775807 - 1) / -1", signed(i64::MIN)),
            ("1.5 + 1", Value::Float64(2.5)),
            ("-1.5 * 2.0 / 4", Value::Float64(-0.75)),
            ("1.0 < 2", signed(1)),
            ("1 ? 1.5 : 2", Value::Float64(1.5)),
            ("-0f3F800000", Value::Float32(0xBF80_0000)),
        ] {
            assert_eq!(value(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_evaluated() {
        for (text, message) in [
            ("1 / 0", "divided by zero"),
            ("1 % (2 - 2)", "divided by zero"),
            ("1.5 % 2", "takes integers"),
            ("~1.0", "takes an integer"),
            ("!1.0", "not a condition"),
            ("1.0 ? 1 : 2", "not a condition"),
            ("0f3F800000 + 1", "does not take"),
            ("(.u64)1.0", "only integers"),
            ("1 +", "expected a constant, found the end"),
            ("1 ? 2", "expected `:`"),
            ("%r1", "expected a constant, found `%r1`"),
        ] {
            let error = value(text).unwrap_err();
            assert!(error.message.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn depth_is_limited() {
        for text in [
            "(".repeat(100_000),
            "-".repeat(100_000),
            "(.u64)".repeat(100_000),
            "1?".repeat(100_000),
            "1?1:".repeat(100_000),
        ] {
            assert!(value(&text).unwrap_err().message.contains("deep"));
        }
        let long = format!("0{}", "+1".repeat(100_000));
        assert_eq!(value(&long), Ok(Value::Integer { bits: 100_000, unsigned: false }));
    }
}
