//! Constant expressions: C's operators over 64-bit integers, signed or unsigned.

use super::cursor::{Cursor, Parsed};
use super::lexer::Token;

/// Parentheses and operators inside one another, at most.
const MAX_DEPTH: u32 = 64;

/// A value and whether it counts as unsigned.
#[derive(Clone, Copy)]
struct Value {
    bits: u64,
    unsigned: bool,
}

/// The value of the expression that begins here.
pub fn constant(cursor: &mut Cursor<'_>) -> Parsed<u64> {
    Ok(conditional(cursor, 0)?.bits)
}

fn conditional(cursor: &mut Cursor<'_>, depth: u32) -> Parsed<Value> {
    let condition = binary(cursor, 0, depth)?;
    if !cursor.sign('?') {
        return Ok(condition);
    }
    deeper(cursor, depth)?;
    let yes = conditional(cursor, depth + 1)?;
    cursor.want(':')?;
    let no = conditional(cursor, depth + 1)?;
    Ok(if condition.bits != 0 { yes } else { no })
}

fn deeper(cursor: &Cursor<'_>, depth: u32) -> Parsed<()> {
    if depth < MAX_DEPTH {
        Ok(())
    } else {
        cursor.error(format!("an expression is nested deeper than {MAX_DEPTH}"))
    }
}

/// Operators by precedence, weakest first; longer spellings before their beginnings.
const LEVELS: [&[&str]; 10] = [
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["==", "!="],
    &["<=", ">=", "<", ">"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
];

/// Takes the operator of a level that comes next. `<` is none where `<<` or `<=` stands.
fn operator(cursor: &mut Cursor<'_>, level: usize) -> Option<&'static str> {
    let Token::Sign(first) = cursor.peek() else { return None };
    let second = match cursor.second() {
        Token::Sign(c) if cursor.touches() => Some(c),
        _ => None,
    };
    let double =
        |pair: &str| pair.chars().eq([Some(first), second].into_iter().flatten()) && second.is_some();
    let found = LEVELS.iter().flat_map(|l| l.iter()).find(|o| o.len() == 2 && double(o));
    let spelling = match found {
        Some(pair) => *pair,
        None => LEVELS.iter().flat_map(|l| l.iter()).find(|o| o.len() == 1 && o.starts_with(first))?,
    };
    if !LEVELS[level].contains(&spelling) {
        return None;
    }
    for _ in 0..spelling.len() {
        cursor.take();
    }
    Some(spelling)
}

fn binary(cursor: &mut Cursor<'_>, level: usize, depth: u32) -> Parsed<Value> {
    if level == LEVELS.len() {
        return unary(cursor, depth);
    }
    let mut left = binary(cursor, level + 1, depth)?;
    while let Some(operator) = operator(cursor, level) {
        let right = binary(cursor, level + 1, depth)?;
        left = apply(cursor, operator, left, right)?;
    }
    Ok(left)
}

fn apply(cursor: &Cursor<'_>, operator: &str, a: Value, b: Value) -> Parsed<Value> {
    let unsigned = a.unsigned || b.unsigned;
    let (x, y, i, j) = (a.bits, b.bits, a.bits as i64, b.bits as i64);
    let compare = |less: bool, equal: bool| match operator {
        "<" => less,
        "<=" => less || equal,
        ">" => !less && !equal,
        _ => !less,
    };
    let truth = |v: bool| Ok(Value { bits: u64::from(v), unsigned: false });
    let bits = match operator {
        "||" => return truth(x != 0 || y != 0),
        "&&" => return truth(x != 0 && y != 0),
        "==" => return truth(x == y),
        "!=" => return truth(x != y),
        "<" | "<=" | ">" | ">=" => return truth(compare(if unsigned { x < y } else { i < j }, x == y)),
        "|" => x | y,
        "^" => x ^ y,
        "&" => x & y,
        "+" => x.wrapping_add(y),
        "-" => x.wrapping_sub(y),
        "*" => x.wrapping_mul(y),
        "<<" | ">>" => {
            // The type of a shift is that of what is shifted.
            let bits = match (operator, y) {
                (">>", _) if !a.unsigned => (i >> y.min(63)) as u64,
                (_, 64..) => 0,
                ("<<", _) => x << y,
                _ => x >> y,
            };
            return Ok(Value { bits, unsigned: a.unsigned });
        }
        _ if y == 0 => return cursor.error("a constant expression divides by zero"),
        "/" if unsigned => x / y,
        "/" => i.wrapping_div(j) as u64,
        _ if unsigned => x % y,
        _ => i.wrapping_rem(j) as u64,
    };
    Ok(Value { bits, unsigned })
}

fn unary(cursor: &mut Cursor<'_>, depth: u32) -> Parsed<Value> {
    deeper(cursor, depth)?;
    let Token::Sign(sign) = cursor.peek() else { return primary(cursor) };
    match sign {
        '+' | '-' | '!' | '~' => {
            cursor.take();
            let v = unary(cursor, depth + 1)?;
            Ok(match sign {
                '-' => Value { bits: v.bits.wrapping_neg(), ..v },
                '!' => Value { bits: u64::from(v.bits == 0), unsigned: false },
                '~' => Value { bits: !v.bits, ..v },
                _ => v,
            })
        }
        '(' => {
            cursor.take();
            let cast = match cursor.peek() {
                Token::Dot("s64") => Some(false),
                Token::Dot("u64") => Some(true),
                _ => None,
            };
            if let Some(unsigned) = cast {
                cursor.take();
                cursor.want(')')?;
                return Ok(Value { unsigned, ..unary(cursor, depth + 1)? });
            }
            let v = conditional(cursor, depth + 1)?;
            cursor.want(')')?;
            Ok(v)
        }
        _ => primary(cursor),
    }
}

fn primary(cursor: &mut Cursor<'_>) -> Parsed<Value> {
    if cursor.peek() == Token::Word("WARP_SZ") {
        cursor.take();
        return Ok(Value { bits: 32, unsigned: false });
    }
    // A literal is unsigned where it does not fit a signed one, or says so.
    let says_so = cursor.spelling().ends_with(['u', 'U']);
    let bits = cursor.integer("a constant")?;
    Ok(Value { bits, unsigned: says_so || bits > i64::MAX as u64 })
}
