//! Activations that are steps of their own: kernels/activation.cu.

use super::abi::{self, size};
use super::context::Context;
use super::format::Format;
use super::value::{Count, PLAIN, View, instance, over_rows, rows};
use crate::graph::Activation;
use bytemuck::{Pod, Zeroable};

/// `Activate` of kernels/activation.cu.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Activate {
    x: u64,
    dy: u64,
    y: u64,
    x_at: abi::Place,
    dy_at: abi::Place,
    to: abi::Place,
    function: u32,
    slope: f32,
    slabs: u32,
    unused: u32,
    then: abi::Then,
}

const _: () = assert!(size_of::<Activate>() == 176);

/// The number of a function in kernels/activation.cuh, and its slope or α.
fn kind(function: Activation) -> (u32, f32) {
    match function {
        Activation::Relu => (0, 0.0),
        Activation::Relu6 => (1, 0.0),
        Activation::LeakyRelu { slope } => (2, slope),
        Activation::HardSwish => (3, 0.0),
        Activation::HardSigmoid => (4, 0.0),
        Activation::Sigmoid => (5, 0.0),
        Activation::Silu => (6, 0.0),
        Activation::Tanh => (7, 0.0),
        Activation::Elu { alpha } => (8, alpha),
        Activation::Gelu => (9, 0.0),
    }
}

/// y = f(x), or with dy, and what happens then, y = then(f′(x)·dy).
///
/// # Safety
/// The addresses are those of buffers of `count` images as the places and `then` say.
pub unsafe fn activate<T: Format>(
    context: &Context,
    count: Count,
    function: Activation,
    x: View,
    backward: Option<(View, abi::Then)>,
    y: View,
) {
    let (kernel, dy, then) = match backward {
        None => ("activate", View { address: 0, place: x.place }, PLAIN),
        Some((dy, then)) => ("activate_backward", dy, then),
    };
    let (function, slope) = kind(function);
    let parameters = Activate {
        x: x.address,
        dy: dy.address,
        y: y.address,
        x_at: x.place.into(),
        dy_at: dy.place.into(),
        to: y.place.into(),
        function,
        slope,
        slabs: size(count.slabs),
        unused: 0,
        then,
    };
    let Some(grid) = over_rows::<T>(context, rows(y.place, count)) else { return };
    // SAFETY: the structure is the kernel's; its addresses are as the caller promises.
    unsafe { context.launch("activation", &instance::<T>(kernel), grid, &parameters) };
}
