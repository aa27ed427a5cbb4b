//! The cases of every operation's gradient.

mod channels;
mod check;
mod engine;
pub mod functions;
mod layers;
mod naive;
mod net;

pub use channels::{concatenations, ends_of_the_network, shuffles, slices};
pub use layers::{convolutions, dropouts, frozen_layers, norms, pools_and_linear_layers, sums};

use synfilter::backend::Backend;

const CLASSES: usize = 5;
/// More than a slab's 16 lanes, no multiple of them.
const IMAGES: usize = 19;
const SEED: u64 = 11;
const DROPOUT: (u64, u64) = (3, 8);

/// What is tried.
pub struct Tried<'b, B: Backend> {
    /// The device.
    pub device: &'b B,
    /// Whether it computes in f32, so that f64 says what must come out; masked runs equal whole ones in any format.
    pub against_f64: bool,
}
