//! Where the arithmetic happens.

pub mod cpu;
