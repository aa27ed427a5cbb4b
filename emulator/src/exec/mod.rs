//! Running: registers, warps, blocks and grids.

pub mod cx;
pub mod registers;
