//! Reads Python pickles without Python and without running anything in them.
//!
//! A pickle is a program for a stack machine, and Python's machine lets it call any function. This one
//! (`machine.rs`; `text.rs` for protocol 0) builds plain values only: the name of a class or function stays a name
//! ([`Object::Global`]), and a call stays a note of what would have been called with what ([`Object::Made`]). Who reads the
//! values decides which of these notes mean something (`array.rs`: NumPy's numbers; `checkpoint/torch.rs`: PyTorch's
//! tensors).
//!
//! Values live in an arena and refer to each other by index, so a value that is used many times costs
//! its memory once, cycles are harmless and nothing recurses. Each byte of input makes at most one value, and
//! their number is limited.

pub(crate) mod array;
mod fault;
mod input;
mod machine;
mod object;
mod text;

pub(crate) use fault::Fault;
pub(crate) use machine::{PROTO, read};
pub(crate) use object::{Id, Object, Pickle};
