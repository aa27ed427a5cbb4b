//! What stands below everything: errors, files that are whole or not there, random numbers, bits, tables, plain text.

pub mod atomic_file;
pub mod bits;
pub mod columnar;
pub mod content;
pub mod error;
pub mod lock;
pub(crate) mod named_choice;
pub mod provenance;
pub mod random;
pub mod text;
pub mod versioned;
