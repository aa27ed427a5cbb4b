//! Every instruction, type and modifier against exact arithmetic of the host.

mod bits;
mod compare;
mod integer;
mod kit;
mod logic;
mod moves;
mod video;
mod warp;
