//! Matrix instructions against products on the host, on fragments that are built by the formulas of the PTX ISA.

mod element;
mod layout;
mod load;
mod mma;
mod moves;
mod quads;
mod sparse;
mod wmma;
