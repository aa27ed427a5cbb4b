//! What is wrong with a pickle: what an opcode expected, what it found, and where.

/// What is wrong with a pickle.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Offset of the opcode.
    pub(crate) at: usize,
    pub(crate) expected: String,
    pub(crate) found: String,
    /// Whether the bytes end within the opcode.
    pub(crate) ended: bool,
}

/// A fault at the current opcode.
pub(super) struct Trouble {
    pub(super) expected: String,
    pub(super) found: String,
    pub(super) ended: bool,
}

pub(super) type Step<T> = Result<T, Trouble>;

pub(super) fn trouble(expected: impl Into<String>, found: impl Into<String>) -> Trouble {
    Trouble { expected: expected.into(), found: found.into(), ended: false }
}

/// A fault because the bytes end.
pub(super) fn cut_off(expected: impl Into<String>, found: impl Into<String>) -> Trouble {
    Trouble { ended: true, ..trouble(expected, found) }
}
