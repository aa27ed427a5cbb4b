//! Images and values: kernels/image.cu.

use super::abi::{self, size};
use super::context::Context;
use super::format::Format;
use super::launch::Grid;
use super::value::{Count, View, instance};
use crate::backend::Fgsm;
use crate::graph::place::Place;
use bytemuck::{Pod, Zeroable};

/// `Load` of kernels/image.cu.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Load {
    pixels: u64,
    mean: u64,
    std: u64,
    gradient: u64,
    z: u64,
    at: abi::Place,
    gradient_at: abi::Place,
    images: u32,
    eps: f32,
    clamp: u32,
    unused: u32,
}

/// `Download` of kernels/image.cu.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Download {
    x: u64,
    out: u64,
    at: abi::Place,
    images: u32,
    unused: u32,
}

const _: () = assert!(size_of::<Load>() == 104 && size_of::<Download>() == 48);

/// Images on the device, and how they are normalised; addresses.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// `[images, C, H, W]`.
    pub pixels: u64,
    /// Whether pixels are bytes; otherwise they are f32.
    pub bytes: bool,
    /// Mean per channel.
    pub mean: u64,
    /// Standard deviation per channel.
    pub std: u64,
}

impl Source {
    /// The name of a kernel for this kind of pixels, without the number format of values.
    pub(super) fn kernel(&self, name: &str) -> String {
        format!("{name}_{}", if self.bytes { "bytes" } else { "floats" })
    }
}

/// Pixels that a block turns.
const TILE: usize = 64;

/// A grid of blocks that each turn that many pixels of 64 images.
pub(super) fn grid(place: Place, count: Count) -> Grid {
    Grid { blocks: [(place.h * place.w).div_ceil(TILE), place.c, count.slabs], threads: 256, shared: 0 }
}

/// Normalised images, after one step along the sign of a gradient if there is one.
///
/// # Safety
/// The addresses are those of `count` images and of buffers as the places say.
pub unsafe fn load<T: Format>(
    context: &Context,
    count: Count,
    source: Source,
    attack: Option<(Fgsm, View)>,
    z: View,
) {
    let (step, gradient) = match attack {
        Some((step, gradient)) => (step, gradient),
        None => (Fgsm { eps: 0.0, clamp: false }, View { address: 0, place: z.place }),
    };
    let parameters = Load {
        pixels: source.pixels,
        mean: source.mean,
        std: source.std,
        gradient: gradient.address,
        z: z.address,
        at: z.place.into(),
        gradient_at: gradient.place.into(),
        images: size(count.images),
        eps: step.eps,
        clamp: u32::from(step.clamp),
        unused: 0,
    };
    let kernel = instance::<T>(&source.kernel("load"));
    // SAFETY: the structure is the kernel's; its addresses are as the caller promises.
    unsafe { context.launch("image", &kernel, grid(z.place, count), &parameters) };
}

/// `[images, C, H, W]` in f32 of a value.
///
/// # Safety
/// The addresses are those of a buffer of `count` images as the place says, and of as many f32 as the value has.
pub unsafe fn download<T: Format>(context: &Context, count: Count, x: View, out: u64) {
    let at = x.place.into();
    let parameters = Download { x: x.address, out, at, images: size(count.images), unused: 0 };
    // SAFETY: as the caller promises.
    unsafe { context.launch("image", &instance::<T>("download"), grid(x.place, count), &parameters) };
}
