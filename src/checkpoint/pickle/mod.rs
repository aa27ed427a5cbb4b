//! Reads the pickles of `torch.save` without Python and without running anything in them.
//!
//! A pickle is a program for a stack machine, and Python's machine lets it call any function. This one
//! (`machine.rs`) builds plain values only. A name of Python code is looked up in a list (`rebuild.rs`):
//! a handful of rebuild functions have a meaning here, some value types that often lie beside weights
//! become an opaque value, and every other name ends the reading with an error that tells it.
//!
//! Values live in an arena and refer to each other by index, so a value that is used many times costs
//! its memory once, cycles are harmless and nothing recurses. Each byte of input makes at most one value, and
//! their number is limited.

mod machine;
mod rebuild;

use super::dtype::Dtype;
use super::{Fault, Parsed};
use machine::Machine;
use rebuild::Global;

/// First byte of every pickle since protocol 2.
pub(super) const PROTO: u8 = 0x80;

/// Index of a value in its pickle.
pub(super) type Id = u32;

/// A finished pickle.
pub(super) struct Pickle {
    objects: Vec<Object>,
    root: Id,
}

/// A Python value.
pub(super) enum Object {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits: little-endian two's complement.
    Long(Vec<u8>),
    Float(f64),
    Str(String),
    /// A byte string; what it holds is of no use here.
    Bytes,
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// Items in the order they were set; of equal keys the last counts.
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Storage),
    Tensor(TensorRef),
    /// A Python object of a known type that means nothing to us.
    Opaque,
}

/// Where a run of elements lies in the file.
#[derive(Clone, Copy)]
pub(super) struct Storage {
    /// The text that names it.
    pub(super) key: Id,
    pub(super) dtype: Dtype,
    /// Elements that the pickle says it has.
    pub(super) elements: usize,
    /// First element of it, where it is itself a view (PyTorch before 1.6).
    pub(super) offset: usize,
}

/// A tensor: a view of a storage. Offset and strides count elements.
pub(super) struct TensorRef {
    pub(super) storage: Storage,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// Reads the pickle at the start of `bytes`; also returns how many bytes it takes. `name` is what
/// errors call it, `base` the offset in that from which they count.
pub(super) fn read(bytes: &[u8], name: &str, base: usize) -> Parsed<(Pickle, usize)> {
    let mut machine = Machine::new(bytes);
    match machine.run() {
        Ok(root) => Ok((Pickle { objects: machine.objects, root }, machine.at)),
        Err(Trouble { expected, found }) => {
            Err(Fault::new(format!("{name}, byte {}", base + machine.opcode_at), expected, found))
        }
    }
}

impl Pickle {
    pub(super) fn root(&self) -> &Object {
        self.get(self.root)
    }

    pub(super) fn get(&self, id: Id) -> &Object {
        &self.objects[id as usize]
    }

    /// All values, in the order they were made.
    pub(super) fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// The items of a dict whose keys are texts.
    pub(super) fn items<'a>(&'a self, dict: &'a [(Id, Id)]) -> impl Iterator<Item = (&'a str, &'a Object)> {
        dict.iter().filter_map(|&(key, value)| Some((self.text(key)?, self.get(value))))
    }

    /// The value as text, if it is one.
    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Object::Str(text) => Some(text),
            _ => None,
        }
    }
}

impl Object {
    /// What an error calls a value of this kind.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Object::None => "None",
            Object::Bool(_) => "a bool",
            Object::Int(_) | Object::Long(_) => "an int",
            Object::Float(_) => "a float",
            Object::Str(_) => "a text",
            Object::Bytes => "bytes",
            Object::Tuple(_) => "a tuple",
            Object::List(_) => "a list",
            Object::Dict(_) => "a dict",
            Object::Global(_) => "a Python type or function",
            Object::Storage(_) => "a storage",
            Object::Tensor(_) => "a tensor",
            Object::Opaque => "a Python object",
        }
    }
}

/// A fault at the current opcode.
struct Trouble {
    expected: String,
    found: String,
}

type Step<T> = Result<T, Trouble>;

fn trouble(expected: impl Into<String>, found: impl Into<String>) -> Trouble {
    Trouble { expected: expected.into(), found: found.into() }
}
