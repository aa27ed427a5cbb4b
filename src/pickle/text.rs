//! What protocol 0 writes as lines of text: numbers, strings with their escapes, places in the memo.

use super::fault::{Step, Trouble, cut_off, trouble};
use super::input::Input;
use super::object::Object;
use std::str::FromStr;

/// Longest line of a number or of a name of Python code, in bytes.
pub(super) const MAX_LINE: usize = 256;

impl<'a> Input<'a> {
    /// The text up to the next line feed.
    pub(super) fn line(&mut self) -> Step<&'a str> {
        let line = self.raw_line(MAX_LINE)?;
        std::str::from_utf8(line).map_err(|_| trouble("a line of UTF-8", "other bytes"))
    }

    /// The bytes up to the next line feed, which is among the next `most`.
    fn raw_line(&mut self, most: usize) -> Step<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        match rest.iter().take(most).position(|&byte| byte == b'\n') {
            Some(end) => {
                self.at += end + 1;
                Ok(&rest[..end])
            }
            None if rest.len() < most => Err(cut_off("a line of text", "no end of line before its end")),
            None => Err(trouble("a short line of text", "no end of line")),
        }
    }

    /// A number that is written as text.
    pub(super) fn number<T: FromStr>(&mut self) -> Step<T> {
        let line = self.line()?;
        line.trim().parse().map_err(|_| not_a_number(line))
    }

    /// An integer of any size, or a truth value as protocol 1 writes it.
    pub(super) fn integer(&mut self) -> Step<Object> {
        let line = self.line()?;
        Ok(match line {
            "00" => Object::Bool(false),
            "01" => Object::Bool(true),
            _ => {
                let digits = line.strip_suffix('L').unwrap_or(line).trim();
                match digits.parse() {
                    Ok(value) => Object::Int(value),
                    Err(_) => Object::Long(from_decimal(digits).ok_or_else(|| not_a_number(line))?),
                }
            }
        })
    }

    /// Python 2's `str` between quotes, with escapes.
    pub(super) fn quoted(&mut self) -> Step<Vec<u8>> {
        let line = self.raw_line(usize::MAX)?;
        unescaped(line).ok_or_else(|| trouble("a text between quotes", "another line"))
    }

    /// Text of bytes up to U+00FF and `\uXXXX` or `\UXXXXXXXX`.
    pub(super) fn unicode(&mut self) -> Step<String> {
        let mut rest = self.raw_line(usize::MAX)?;
        let mut text = String::new();
        while let Some((&first, after)) = rest.split_first() {
            let digits = match (first, after.first()) {
                (b'\\', Some(b'u')) => after.get(1..5),
                (b'\\', Some(b'U')) => after.get(1..9),
                _ => None,
            };
            rest = match digits.and_then(|digits| Some((hexadecimal(digits)?, digits.len()))) {
                Some((code, length)) => {
                    // Halves of surrogate pairs, as in the names of files that are no UTF-8.
                    text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                    &after[1 + length..]
                }
                None => {
                    text.push(char::from(first));
                    after
                }
            };
        }
        Ok(text)
    }
}

fn not_a_number(line: &str) -> Trouble {
    trouble("a number", format!("`{}`", line.escape_debug()))
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, &digit| Some(16 * value + char::from(digit).to_digit(16)?))
}

/// A decimal integer as little-endian two's complement, as short as can be: as other protocols store it.
fn from_decimal(text: &str) -> Option<Vec<u8>> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    if digits.is_empty() {
        return None;
    }
    let mut bytes: Vec<u8> = Vec::new();
    for digit in digits.chars() {
        let mut carry = digit.to_digit(10)?;
        for byte in &mut bytes {
            carry += 10 * u32::from(*byte);
            *byte = carry as u8; // the low eight bits; the others are carried on
            carry >>= 8;
        }
        if carry > 0 {
            bytes.push(carry as u8); // below 256: 10 · 255 + 255 carried eight bits down
        }
    }
    if bytes.last().is_some_and(|&last| last >= 0x80) {
        bytes.push(0);
    }
    if negative {
        let mut carry = true;
        for byte in &mut bytes {
            (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
        }
    }
    Some(bytes)
}

/// The bytes that a text between quotes stands for.
fn unescaped(line: &[u8]) -> Option<Vec<u8>> {
    let line = line.trim_ascii();
    let (&quote, rest) = line.split_first()?;
    let mut rest = rest.strip_suffix(&[quote]).filter(|_| matches!(quote, b'\'' | b'"'))?;
    let mut bytes = Vec::new();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'\\' {
            bytes.push(first);
            continue;
        }
        let (&kind, after) = rest.split_first()?;
        rest = after;
        let byte = match kind {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'a' => 7,
            b'b' => 8,
            b'v' => 11,
            b'f' => 12,
            b'x' => {
                let (digits, after) = rest.split_at_checked(2)?;
                rest = after;
                hexadecimal(digits)? as u8 // two digits
            }
            b'0'..=b'7' => {
                let length = rest.iter().take(2).take_while(|digit| matches!(digit, b'0'..=b'7')).count();
                let (digits, after) = rest.split_at_checked(length)?;
                rest = after;
                let value = |value: u8, digit: &u8| value.wrapping_mul(8).wrapping_add(digit - b'0');
                digits.iter().fold(kind - b'0', value)
            }
            b'\\' | b'\'' | b'"' => kind,
            other => {
                bytes.push(b'\\');
                other
            }
        };
        bytes.push(byte);
    }
    Some(bytes)
}

/// The bytes that text of characters up to U+00FF stands for.
pub(super) fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Object, Pickle, read};

    fn root(bytes: &[u8]) -> Pickle {
        let (pickle, used) = read(bytes).unwrap_or_else(|fault| panic!("{fault:?}"));
        assert_eq!(used, bytes.len());
        pickle
    }

    /// What Python reads from the same lines.
    #[test]
    fn lines_of_protocol_0_mean_what_they_mean_in_python() {
        let bytes = |line: &[u8]| match root(line).objects().last() {
            Some(Object::Bytes(bytes)) => bytes.clone(),
            Some(Object::Str(text)) => text.clone().into_bytes(),
            _ => panic!("no text"),
        };
        assert_eq!(bytes(b"S'a\\n\\x41\\101\\'\\\\\\q'\n."), b"a\nAA'\\\\q");
        assert_eq!(bytes(b"S\"\\xff\\0\"\n."), [0xff, 0]);
        assert_eq!(bytes(b"V\xe4\\u000a'\\u005c\\U0001F600\\n\n."), "ä\n'\\😀\\n".as_bytes());
        assert_eq!(bytes(b"V\\ud800\n."), "\u{fffd}".as_bytes());
        // bytes(range(256)) as Python 3 writes them.
        let mut all = b"c_codecs\nencode\n(V".to_vec();
        for byte in 0..=255u8 {
            match byte {
                0 | 10 | 13 | 26 | 92 => all.extend(format!("\\u{byte:04x}").bytes()),
                _ => all.push(byte),
            }
        }
        all.extend(b"\nVlatin1\ntR.");
        assert_eq!(bytes(&all), (0..=255).collect::<Vec<u8>>());

        let long = |line: &[u8]| match root(line).objects().last() {
            Some(Object::Long(bytes)) => bytes.clone(),
            Some(Object::Int(value)) => value.to_le_bytes().to_vec(),
            _ => panic!("no integer"),
        };
        let wide = |value: i128, length: usize| value.to_le_bytes()[..length].to_vec();
        assert_eq!(long(b"L-7L\n."), (-7i64).to_le_bytes());
        assert_eq!(long(b"L1180591620717411303424L\n."), wide(1 << 70, 9));
        assert_eq!(long(b"L-1180591620717411303424L\n."), wide(-(1 << 70), 9));
        assert_eq!(
            long(b"L119547037146038801333356L\n."),
            wide(0x1950_a86a_20f9_469c_fc6c, 10),
            "torch.save's magic number"
        );
        assert!(matches!(root(b"I01\n.").objects(), [Object::Bool(true)]));
        assert!(matches!(root(b"Fnan\n.").objects(), [Object::Float(value)] if value.is_nan()));
        assert!(matches!(root(b"P('storage', 3)\n.").objects(), [Object::Str(_), Object::Persistent(0)]));
        for (line, ended) in [
            (&b"S'a\n."[..], false),
            (b"S'\n.", false),
            (b"S'\\x4'\n.", false),
            (b"I1.5\n.", false),
            (b"L\n.", false),
            (b"V\\u00", true),
        ] {
            let Err(fault) = read(line) else { panic!("{line:?}") };
            assert_eq!((fault.at, fault.ended), (0, ended), "{fault:?}");
        }
        assert_eq!(bytes(b"V\\u00zz\n."), b"\\u00zz");
    }
}
