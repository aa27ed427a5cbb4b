//! Images, steps of attacks on them, and values: kernels/image.cu.

use super::abi::{self, size};
use super::context::Context;
use super::format::Format;
use super::launch::Grid;
use super::value::{Count, View, instance};
use crate::backend::{AttackStart, AttackStep};
use crate::graph::place::Place;
use bytemuck::{Pod, Zeroable};

/// `Load` of kernels/image.cu.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Load {
    images: u64,
    mean: u64,
    std: u64,
    gradient: u64,
    pixels: u64,
    z: u64,
    at: abi::Place,
    gradient_at: abi::Place,
    first_image: u64,
    count: u32,
    seed_low: u32,
    seed_high: u32,
    eps: f32,
    alpha: f32,
    clamp: u32,
    noise: u32,
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

const _: () = assert!(size_of::<Load>() == 136 && size_of::<Download>() == 48);

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

/// Images between two steps: the address of their pixels, f32 as a dense value of their shape, and their z.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// Address of the pixels, 0 for none.
    pub pixels: u64,
    /// What the first layer sees.
    pub z: View,
}

/// Where an attack starts: at the images themselves, or at some with noise.
///
/// # Safety
/// The addresses are those of `count` images and of buffers as the places say; there is an f32 per element of z in its pixels, if there are any.
pub unsafe fn start<T: Format>(context: &Context, count: Count, source: Source, start: AttackStart, at: At) {
    let mut parameters = parameters(count, source, at, start.clamp);
    if let Some(noise) = start.noise {
        parameters.noise = 1;
        parameters.eps = noise.eps;
        parameters.first_image = noise.first_image;
        (parameters.seed_low, parameters.seed_high) = (noise.seed as u32, (noise.seed >> 32) as u32);
    }
    let kernel = instance::<T>(&source.kernel("load"));
    // SAFETY: the structure is the kernel's; its addresses are as the caller promises.
    unsafe { context.launch("image", &kernel, grid(at.z.place, count), &parameters) };
}

/// One step of an attack, from the pixels of `at`, or from the images themselves where there are none.
///
/// # Safety
/// As [`start`]; the gradient is one of as many images.
pub unsafe fn step<T: Format>(
    context: &Context,
    count: Count,
    source: Source,
    gradient: View,
    step: AttackStep,
    at: At,
) {
    let parameters = Load {
        gradient: gradient.address,
        gradient_at: gradient.place.into(),
        eps: step.eps,
        alpha: step.alpha,
        ..parameters(count, source, at, step.clamp)
    };
    let kernel = instance::<T>(&source.kernel("attack_step"));
    // SAFETY: the structure is the kernel's; its addresses are as the caller promises. Each thread reads the pixels that it
    // writes, before it does.
    unsafe { context.launch("image", &kernel, grid(at.z.place, count), &parameters) };
}

fn parameters(count: Count, source: Source, at: At, clamp: bool) -> Load {
    Load {
        images: source.pixels,
        mean: source.mean,
        std: source.std,
        pixels: at.pixels,
        z: at.z.address,
        at: at.z.place.into(),
        count: size(count.images),
        clamp: u32::from(clamp),
        ..Zeroable::zeroed()
    }
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
