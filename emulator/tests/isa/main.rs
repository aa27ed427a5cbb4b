//! Every instruction, type and modifier against exact arithmetic of the host.

mod bits;
mod compare;
mod exact;
mod float_arithmetic;
mod float_convert;
mod float_half;
mod float_special;
mod floats;
mod integer;
mod kit;
mod logic;
mod matrix;
mod moves;
mod video;
mod warp;
