//! What an array is, and the header of NumPy's `.npy` format that says it (versions 1 to 3).
//!
//! `\x93NUMPY`, major and minor version, the length of the header (two bytes, little-endian; four since version 2), the
//! header, the elements. The header is a dict as Python writes it, with `descr`, `fortran_order` and `shape`. It is read
//! as data: only such a dict is understood.

use std::io::Read;

/// Longest header that is read; NumPy's own limit is 10,000.
const MAX_HEADER: usize = 1 << 16;

/// The type of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Element {
    /// Signed integers of that many bytes.
    Int(usize),
    /// Unsigned integers of that many bytes.
    Uint(usize),
    /// Floats of that many bytes.
    Float(usize),
    /// Floats of two bytes with the exponent of four.
    Bfloat16,
    /// Text of that many characters of four bytes each.
    Text(usize),
    /// Text of that many bytes.
    Bytes(usize),
    /// Python objects, which are pickled.
    Object,
    /// Anything else, by its name.
    Other(String),
}

impl Element {
    /// Bytes of one element; `None` for what is not read.
    pub(super) fn size(&self) -> Option<usize> {
        match self {
            Element::Int(size) | Element::Uint(size) | Element::Float(size) | Element::Bytes(size) => {
                Some(*size)
            }
            Element::Bfloat16 => Some(2),
            Element::Text(characters) => characters.checked_mul(4),
            Element::Object | Element::Other(_) => None,
        }
    }

    /// What messages call it.
    pub(super) fn name(&self) -> String {
        match self {
            Element::Int(size) => format!("int{}", 8 * size),
            Element::Uint(size) => format!("uint{}", 8 * size),
            Element::Float(size) => format!("float{}", 8 * size),
            Element::Bfloat16 => "bfloat16".to_owned(),
            Element::Text(_) | Element::Bytes(_) => "text".to_owned(),
            Element::Object => "Python objects".to_owned(),
            Element::Other(name) => name.clone(),
        }
    }

    /// Whether it is an integer.
    pub(super) fn is_integer(&self) -> bool {
        matches!(self, Element::Int(_) | Element::Uint(_))
    }

    /// Whether it is a number.
    pub(super) fn is_number(&self) -> bool {
        self.is_integer() || matches!(self, Element::Float(_) | Element::Bfloat16)
    }

    /// The type behind a `descr`, and whether its bytes stand the other way round.
    fn of_descr(descr: &str) -> (Element, bool) {
        let big = descr.starts_with('>');
        let code = descr.trim_start_matches(['<', '>', '|', '=']);
        let other = || Element::Other(format!("dtype {descr}"));
        let mut characters = code.chars();
        let kind = characters.next();
        let Ok(size) = characters.as_str().parse::<usize>() else {
            return (if kind == Some('O') { Element::Object } else { other() }, big);
        };
        let element = match (kind, size) {
            (Some('i'), 1 | 2 | 4 | 8) => Element::Int(size),
            (Some('u'), 1 | 2 | 4 | 8) => Element::Uint(size),
            (Some('f'), 2 | 4 | 8) => Element::Float(size),
            (Some('U'), _) => Element::Text(size),
            (Some('S'), _) => Element::Bytes(size),
            (Some('O'), _) => Element::Object,
            _ => other(),
        };
        (element, big)
    }
}

/// An array without its elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    /// Its name in the file.
    pub name: String,
    /// The type of an element.
    pub element: Element,
    /// Whether an element's first byte is its highest.
    pub big_endian: bool,
    /// The sizes of its dimensions.
    pub shape: Vec<usize>,
    /// Whether the first dimension is the fastest.
    pub fortran: bool,
}

impl Spec {
    /// Bytes of all elements, if that can be said.
    pub(super) fn bytes(&self) -> Option<usize> {
        self.shape.iter().try_fold(self.element.size()?, |product, &extent| product.checked_mul(extent))
    }

    /// Type and shape, as `uint8 [60000, 28, 28]`.
    pub(super) fn describe(&self) -> String {
        format!("{} {:?}", self.element.name(), self.shape)
    }
}

/// An array with its elements.
pub(super) struct Array {
    pub spec: Spec,
    pub bytes: Vec<u8>,
}

/// Reads the header at the start of a `.npy` file. The error says what was expected and what was found.
pub(super) fn header(name: &str, reader: &mut impl Read) -> Result<Spec, (String, String)> {
    let mut take = |count: usize| {
        let mut bytes = Vec::new();
        match reader.by_ref().take(count as u64).read_to_end(&mut bytes) {
            Ok(got) if got == count => Ok(bytes),
            Ok(_) => Err(("a whole NumPy header".to_owned(), "the end of the data".to_owned())),
            Err(error) => Err(("a NumPy header".to_owned(), error.to_string())),
        }
    };
    let start = take(8)?;
    if !start.starts_with(b"\x93NUMPY") {
        return Err(("NumPy's magic".to_owned(), format!("{start:02x?}")));
    }
    let wide = match start[6] {
        1 => 2,
        2 | 3 => 4,
        version => return Err(("version 1 to 3 of NumPy's format".to_owned(), version.to_string())),
    };
    let length = take(wide)?.iter().rev().fold(0usize, |length, &byte| length << 8 | usize::from(byte));
    if length > MAX_HEADER {
        return Err((format!("a header of at most {MAX_HEADER} bytes"), length.to_string()));
    }
    let text = String::from_utf8_lossy(&take(length)?).into_owned();
    parse(name, &text).ok_or_else(|| {
        let shown: String = text.trim().chars().take(200).collect();
        ("a header with descr, fortran_order and shape".to_owned(), format!("{shown:?}"))
    })
}

/// The dict of a header.
fn parse(name: &str, text: &str) -> Option<Spec> {
    let mut rest = text.trim().strip_prefix('{')?.trim_start();
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    while !rest.starts_with('}') {
        let (key, after) = quoted(rest)?;
        rest = after.trim_start().strip_prefix(':')?.trim_start();
        rest = match key {
            "descr" if rest.starts_with('[') => {
                let (_, after) = enclosed(rest, '[', ']')?;
                descr = Some("of several fields");
                after
            }
            "descr" => {
                let (value, after) = quoted(rest)?;
                descr = Some(value);
                after
            }
            "fortran_order" => {
                let (value, after) = [(true, "True"), (false, "False")]
                    .into_iter()
                    .find_map(|(value, word)| Some((value, rest.strip_prefix(word)?)))?;
                fortran = Some(value);
                after
            }
            "shape" => {
                let (inside, after) = enclosed(rest, '(', ')')?;
                // Python 2 wrote `3L`.
                let sizes = inside.split(',').map(|size| size.trim().trim_end_matches('L'));
                shape = Some(
                    sizes
                        .filter(|size| !size.is_empty())
                        .map(|size| size.parse().ok())
                        .collect::<Option<_>>()?,
                );
                after
            }
            _ => return None,
        };
        rest = rest.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    let (element, big_endian) = Element::of_descr(descr?);
    Some(Spec { name: name.to_owned(), element, big_endian, shape: shape?, fortran: fortran? })
}

/// A text in quotes at the start of `rest`, and what follows it.
fn quoted(rest: &str) -> Option<(&str, &str)> {
    let quote = rest.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    rest[1..].split_once(quote)
}

/// What stands between brackets at the start of `rest`, and what follows them.
fn enclosed(rest: &str, open: char, close: char) -> Option<(&str, &str)> {
    let mut depth = 0usize;
    for (at, character) in rest.char_indices() {
        if character == open {
            depth += 1;
        } else if character == close {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some((&rest[open.len_utf8()..at], &rest[at + close.len_utf8()..]));
            }
        } else if depth == 0 {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_numpy_are_understood() {
        let spec = |text: &str| {
            parse("a", text).map(|spec| (spec.element, spec.big_endian, spec.fortran, spec.shape))
        };
        let cases = [
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }  \n",
                Element::Float(4),
                false,
                false,
                vec![2, 3],
            ),
            (
                "{'descr': '|u1', 'fortran_order': True, 'shape': (7,), }",
                Element::Uint(1),
                false,
                true,
                vec![7],
            ),
            ("{'shape': (), 'fortran_order': False, 'descr': '>i8'}", Element::Int(8), true, false, vec![]),
            (
                "{'descr': '<U12', 'fortran_order': False, 'shape': (3L, 4L)}",
                Element::Text(12),
                false,
                false,
                vec![3, 4],
            ),
            (
                "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }",
                Element::Object,
                false,
                false,
                vec![2],
            ),
        ];
        for (text, element, big, fortran, shape) in cases {
            assert_eq!(spec(text), Some((element, big, fortran, shape)), "{text}");
        }
        let fields =
            spec("{'descr': [('x', '<f4'), ('y', '<i2', (2,))], 'fortran_order': False, 'shape': (1,)}");
        assert!(matches!(fields, Some((Element::Other(_), ..))), "{fields:?}");
    }

    #[test]
    fn other_texts_are_no_headers() {
        for text in [
            "",
            "{",
            "{'descr'",
            "{'descr': '<f4'}",
            "{'descr': '<f4', 'fortran_order': 1, 'shape': (1,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1, }",
            "{'descr': __import__('os'), 'fortran_order': False, 'shape': (1,)}",
            "{é",
        ] {
            assert_eq!(parse("a", text), None, "{text}");
        }
    }
}
