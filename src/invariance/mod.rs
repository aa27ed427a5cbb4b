//! Invariance: which layers keep their label over epochs, data sets, architectures and seeds.

mod axis;
pub mod document;

pub use axis::Axis;
pub use document::Document;
