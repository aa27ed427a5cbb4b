//! Softmax cross-entropy: kernels/loss.cu.

use super::abi::{self, size};
use super::context::Context;
use super::format::Format;
use super::launch::Grid;
use super::value::{Count, View, instance};
use bytemuck::{Pod, Zeroable};

/// `CrossEntropy` of kernels/loss.cu.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct CrossEntropy {
    logits: u64,
    labels: u64,
    gradient: u64,
    loss: u64,
    correct: u64,
    at: abi::Place,
    gradient_at: abi::Place,
    images: u32,
    factor: f32,
}

const _: () = assert!(size_of::<CrossEntropy>() == 96);

/// Addresses of what is found of each image.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Cross-entropy, an f32 per lane.
    pub loss: u64,
    /// Correct bits, a word of 64 per slab.
    pub correct: u64,
}

/// Loss and verdict of every image; the gradient times a factor, if it is asked for.
///
/// # Safety
/// The addresses are those of buffers of `count` images as the places say, of a u16 per image, and of what is found.
pub unsafe fn cross_entropy<T: Format>(
    context: &Context,
    count: Count,
    logits: View,
    labels: u64,
    gradient: Option<(View, f32)>,
    found: Found,
) {
    let (gradient, factor) = gradient.unwrap_or((View { address: 0, place: logits.place }, 0.0));
    let parameters = CrossEntropy {
        logits: logits.address,
        labels,
        gradient: gradient.address,
        loss: found.loss,
        correct: found.correct,
        at: logits.place.into(),
        gradient_at: gradient.place.into(),
        images: size(count.images),
        factor,
    };
    let grid = Grid::line(count.slabs, 256);
    // SAFETY: the structure is the kernel's; its addresses are as the caller promises.
    unsafe { context.launch("loss", &instance::<T>("cross_entropy"), grid, &parameters) };
}
