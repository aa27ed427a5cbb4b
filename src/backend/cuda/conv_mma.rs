//! Convolutions of 16-bit values on matrix units: kernels/conv_mma.cu and kernels/conv_strip.cu.

use super::abi::{self, size};
use super::buffer::Buffer;
use super::context::Context;
use super::conv_plan::ConvPlan;
use super::tiles::Tile;
use crate::graph::place::Place;
use bytemuck::{Pod, Zeroable};
use std::sync::Arc;

/// What a kernel takes; `ConvMma` of kernels/conv_mma.cuh.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Parameters {
    x: u64,
    w: u64,
    y: u64,
    pixels: u64,
    from: abi::Place,
    to: abi::Place,
    outputs: u32,
    chunks: u32,
    height: u32,
    width: u32,
    residues: u32,
    r: u32,
    s: u32,
    stride: u32,
    pad: u32,
    backward: u32,
    slabs: u32,
    unused: u32,
    then: abi::Then,
}

const _: () = assert!(size_of::<Parameters>() == 192);

/// Pieces of 16 bytes in a row of 64 images, and elements of one.
const PIECES_OF_ROW: usize = 8;
const HALVES_OF_PIECE: usize = 8;

/// One direction of a convolution on a device.
pub struct ConvMma {
    plan: ConvPlan,
    /// The working weights; zero until something is written.
    pub weights: Buffer,
    /// Pixels, and first pixels of strips, in the order of their work.
    orders: Arc<[Buffer; 2]>,
}

/// The number formats that matrix units multiply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// IEEE half precision.
    F16,
    /// bfloat16.
    Bf16,
}

impl Half {
    /// As kernels name it.
    fn name(self) -> &'static str {
        match self {
            Half::F16 => "f16",
            Half::Bf16 => "bf16",
        }
    }
}

impl ConvMma {
    /// Room for the working weights of `plan`.
    pub fn new(context: &Arc<Context>, plan: ConvPlan) -> Self {
        let weights = Buffer::zeros(context, 2 * plan.len());
        let orders = plan.orders().map(|order| Buffer::of(context, order));
        ConvMma { plan, weights, orders: Arc::new(orders) }
    }

    /// The same with working weights of its own, all zero, made on another stream.
    pub fn twin(&self, context: &Arc<Context>) -> Self {
        let weights = Buffer::zeros(context, self.weights.bytes());
        ConvMma { plan: self.plan.clone(), weights, orders: self.orders.clone() }
    }

    /// How it is computed.
    pub fn plan(&self) -> &ConvPlan {
        &self.plan
    }

    /// Computes a value `y` from a value `x`, each an address on the device and a place, with the tile that the table names.
    ///
    /// # Safety
    /// The addresses are those of buffers of `slabs` slabs of what their places and `then` say, in the format `half`, as
    /// the working weights are; x and y share no row, nor do y and what `then` adds.
    pub unsafe fn launch(
        &self,
        context: &Context,
        half: Half,
        x: (u64, Place),
        y: (u64, Place),
        slabs: usize,
        then: abi::Then,
    ) {
        let tile = self.plan.tile(x.1, slabs, context.multiprocessors());
        // SAFETY: as the caller promises.
        unsafe { self.launch_with(context, tile, half, x, y, slabs, then) };
    }

    /// As [`ConvMma::launch`], with one of [`ConvPlan::tiles`].
    ///
    /// # Safety
    /// As there.
    #[allow(clippy::too_many_arguments)] // those of `launch`, and the tile
    pub unsafe fn launch_with(
        &self,
        context: &Context,
        tile: Tile,
        half: Half,
        (x, from): (u64, Place),
        (y, to): (u64, Place),
        slabs: usize,
        then: abi::Then,
    ) {
        let plan = &self.plan;
        // Kernels count what they copy in pieces of 16 bytes.
        let pieces = (slabs * from.rows()).saturating_mul(PIECES_OF_ROW).max(plan.len() / HALVES_OF_PIECE);
        if u32::try_from(pieces).is_err() {
            context.fail(format!("a convolution of {pieces} × 16 bytes is more than its kernel can count"));
            return;
        }
        let parameters = Parameters {
            x,
            w: self.weights.address(),
            y,
            pixels: self.orders[usize::from(tile.pixels() > 1)].address(),
            from: from.into(),
            to: to.into(),
            outputs: plan.working.outputs,
            chunks: plan.working.chunks,
            height: size(plan.height),
            width: size(plan.width),
            residues: size(plan.residues),
            r: size(plan.vertical.taps),
            s: size(plan.horizontal.taps),
            stride: size(plan.vertical.stride),
            pad: size(plan.vertical.pad),
            backward: u32::from(plan.vertical.backward),
            slabs: size(slabs),
            unused: 0,
            then,
        };
        let chosen = plan.kernel(tile, from, slabs);
        let name = format!("{}_{}", chosen.name, half.name());
        // SAFETY: the structure is the kernel's; its addresses are as the caller promises, and the weights and the order
        // of the pixels are of the plan's size.
        unsafe { context.launch(chosen.module, &name, chosen.grid, &parameters) };
    }
}
