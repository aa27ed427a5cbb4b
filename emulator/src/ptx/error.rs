//! Why a text is not PTX.

/// Where a text stops being PTX, and what should have stood there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ParseError {
    /// From 1.
    pub line: u32,
    pub message: String,
}

/// A result of the front end.
pub type Parsed<T> = Result<T, ParseError>;

/// Names in messages are cut to this many characters.
const SHOWN: usize = 80;

/// A name for a message: in quotes, and cut where it is very long.
pub(super) fn shown(name: &str) -> String {
    match name.char_indices().nth(SHOWN) {
        None => format!("`{name}`"),
        Some((end, _)) => format!("`{}…`", &name[..end]),
    }
}
