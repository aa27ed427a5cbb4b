//! What an instruction sees and changes while it runs: the registers of its warp, and all else through [`cx::Cx`].

pub mod cx;
pub mod registers;
