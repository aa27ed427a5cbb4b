//! Projected gradient descent: kernels/pgd.cu.

use super::abi::{self, size};
use super::context::Context;
use super::format::Format;
use super::image::{Source, grid};
use super::value::{Count, View, instance};
use crate::backend::{PgdStart, PgdStep};
use bytemuck::{Pod, Zeroable};

/// `Pgd` of kernels/pgd.cu.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Pgd {
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

const _: () = assert!(size_of::<Pgd>() == 136);

/// Adversarial images: the address of their pixels, f32 as a dense value of their shape, and their z.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// Address of the pixels.
    pub pixels: u64,
    /// What the first layer sees.
    pub z: View,
}

/// Where it starts.
///
/// # Safety
/// The addresses are those of `count` images and of buffers as the places say; there is an f32 per element of z in its pixels.
pub unsafe fn start<T: Format>(context: &Context, count: Count, source: Source, start: PgdStart, at: At) {
    let mut parameters = parameters(count, source, at, start.clamp);
    if let Some(noise) = start.noise {
        parameters.noise = 1;
        parameters.eps = noise.eps;
        parameters.first_image = noise.first_image;
        (parameters.seed_low, parameters.seed_high) = (noise.seed as u32, (noise.seed >> 32) as u32);
    }
    let kernel = instance::<T>(&source.kernel("pgd_start"));
    // SAFETY: the structure is the kernel's; its addresses are as the caller promises.
    unsafe { context.launch("pgd", &kernel, grid(at.z.place, count), &parameters) };
}

/// One step.
///
/// # Safety
/// As [`start`]; the gradient is one of as many images.
pub unsafe fn step<T: Format>(
    context: &Context,
    count: Count,
    source: Source,
    gradient: View,
    step: PgdStep,
    at: At,
) {
    let parameters = Pgd {
        gradient: gradient.address,
        gradient_at: gradient.place.into(),
        eps: step.eps,
        alpha: step.alpha,
        ..parameters(count, source, at, step.clamp)
    };
    let kernel = instance::<T>(&source.kernel("pgd_step"));
    // SAFETY: the structure is the kernel's; its addresses are as the caller promises. Each thread reads the pixels that it
    // writes, before it does.
    unsafe { context.launch("pgd", &kernel, grid(at.z.place, count), &parameters) };
}

fn parameters(count: Count, source: Source, at: At, clamp: bool) -> Pgd {
    Pgd {
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
