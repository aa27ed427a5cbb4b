//! What handles stand for: contexts, streams, graphs, code. The exported functions, in the files beside this folder, look
//! them up, ask them and change them; nothing here calls those.
//!
//! Streams, captures, graphs, operations and events hold one another: a captured stream adds operations to a graph, whose
//! nodes may be graphs and events, which may be of a capture.

pub mod capture;
pub mod context;
pub mod copy;
pub mod event;
pub mod fill;
pub mod function;
pub mod graph;
pub mod launch;
pub mod module;
pub mod operation;
pub mod primary;
pub mod stream;
pub mod user_object;
