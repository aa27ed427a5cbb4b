//! A convolution's weights on the device, under a mask: kernels/filter.cu.

use super::abi::{self, Working, size};
use super::buffer::Buffer;
use super::context::Context;
use super::conv_mma::{ConvMma, Half};
use super::conv_plan::ConvPlan;
use super::conv2d::ConvFma;
use super::format::Format;
use super::launch::Grid;
use super::value::{Count, View};
use crate::error::Result;
use crate::filter;
use crate::graph::conv::{ConvShape, Direction};
use bytemuck::{Pod, Zeroable};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// `Pack` of kernels/filter.cu.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Pack {
    master: u64,
    scale: u64,
    working: u64,
    kept: u64,
    mask: abi::Mask,
    columns: u32,
    k: u32,
    c: u32,
    taps: u32,
    groups: u32,
    padded: u32,
    backward: u32,
    first: u32,
    end: u32,
    at: Working,
}

const _: () = assert!(size_of::<Pack>() == 128);

/// Output channels of a block's tile.
const TILE_K: usize = 32;
/// The most weights of an output channel in a tile.
const MOST_COLUMNS: usize = 320;

/// Weights of an output channel in a tile, for kernels of `taps`: those of up to 32 inputs, or as many as there is room for.
fn columns(taps: usize) -> usize {
    if taps > MOST_COLUMNS { MOST_COLUMNS } else { taps * (MOST_COLUMNS / taps).min(32) }
}

/// One direction of a convolution, with its working weights.
enum Convolver {
    /// On matrix units.
    Matrix(Box<ConvMma>, Half),
    /// On FMA units.
    Fma(ConvFma),
}

/// A convolution's weights: the f32 masters, and the working weights of both directions.
pub struct Weights {
    shape: ConvShape,
    master: Buffer,
    /// Factor per output channel of the backward direction.
    scale: Option<Buffer>,
    /// Those of every stream that has none of its own.
    shared: WorkingWeights,
    /// Those of streams that mask their own, by the streams' numbers.
    own: BTreeMap<usize, WorkingWeights>,
}

/// Working weights of both directions, under a mask.
struct WorkingWeights {
    forward: Convolver,
    backward: Option<Convolver>,
    /// Weights that the last mask kept, a u32.
    kept: Buffer,
    /// Output channels of which a mask is in force.
    masked: Range<usize>,
}

/// What working weights are made from; addresses.
#[derive(Clone, Copy)]
struct Masters {
    shape: ConvShape,
    weights: u64,
    scale: u64,
}

impl Convolver {
    fn new<T: Format>(context: &Arc<Context>, shape: ConvShape, direction: Direction) -> Self {
        match T::HALF.zip(ConvPlan::new(shape, direction)) {
            Some((half, plan)) => Convolver::Matrix(Box::new(ConvMma::new(context, plan)), half),
            None => Convolver::Fma(ConvFma::new(context, shape, direction)),
        }
    }

    /// The same with working weights of its own, all zero, made on another stream.
    fn twin(&self, context: &Arc<Context>) -> Self {
        match self {
            Convolver::Matrix(conv, half) => Convolver::Matrix(Box::new(conv.twin(context)), *half),
            Convolver::Fma(conv) => Convolver::Fma(conv.twin(context)),
        }
    }

    fn weights(&self) -> &Buffer {
        match self {
            Convolver::Matrix(conv, _) => &conv.weights,
            Convolver::Fma(conv) => &conv.weights,
        }
    }
}

impl WorkingWeights {
    fn new<T: Format>(context: &Arc<Context>, shape: ConvShape, backward: bool) -> Self {
        WorkingWeights {
            forward: Convolver::new::<T>(context, shape, Direction::Forward),
            backward: backward.then(|| Convolver::new::<T>(context, shape, Direction::BackwardInput)),
            kept: Buffer::zeros(context, 4),
            masked: 0..0,
        }
    }

    /// The same with weights of its own, all zero.
    fn twin(&self, context: &Arc<Context>) -> Self {
        WorkingWeights {
            forward: self.forward.twin(context),
            backward: self.backward.as_ref().map(|conv| conv.twin(context)),
            kept: Buffer::zeros(context, 4),
            masked: 0..0,
        }
    }

    fn mask(&mut self, context: &Context, of: Masters, mask: filter::Mask, channels: Range<usize>) {
        let now = if mask == filter::Mask::ALL { 0..0 } else { channels.clone() };
        let before = std::mem::replace(&mut self.masked, now);
        if before.start < channels.start || channels.end < before.end {
            self.pack_both(context, of, filter::Mask::ALL, before);
        }
        self.pack_both(context, of, mask, channels);
    }

    fn pack_both(&mut self, context: &Context, of: Masters, mask: filter::Mask, channels: Range<usize>) {
        if channels.is_empty() {
            return;
        }
        self.kept.zero();
        let forward = Masters { scale: 0, ..of };
        pack(context, forward, mask, channels.clone(), &self.forward, false, self.kept.address());
        if let Some(backward) = &self.backward {
            pack(context, of, mask, channels, backward, true, 0);
        }
    }

    fn bytes(&self) -> usize {
        self.forward.weights().bytes() + self.backward.as_ref().map_or(0, |b| b.weights().bytes())
    }
}

fn pack(
    context: &Context,
    of: Masters,
    mask: filter::Mask,
    channels: Range<usize>,
    to: &Convolver,
    backward: bool,
    kept: u64,
) {
    let ConvShape { c, k, r, s, groups, .. } = of.shape;
    let (kernel, padded, at) = match to {
        Convolver::Matrix(conv, Half::F16) => ("pack_matrix_f16", 0, conv.plan().working),
        Convolver::Matrix(conv, Half::Bf16) => ("pack_matrix_bf16", 0, conv.plan().working),
        Convolver::Fma(conv) => ("pack_fma", conv.padded, Working::zeroed()),
    };
    let columns = columns(r * s);
    let parameters = Pack {
        master: of.weights,
        scale: of.scale,
        working: to.weights().address(),
        kept,
        mask: mask.into(),
        columns: size(columns),
        k: size(k),
        c: size(c / groups),
        taps: size(r * s),
        groups: size(groups),
        padded: size(padded),
        backward: u32::from(backward),
        first: size(channels.start),
        end: size(channels.end),
        at,
    };
    let blocks = [(c / groups * r * s).div_ceil(columns), channels.len().div_ceil(TILE_K), 1];
    let grid = Grid { blocks, threads: 256, shared: size(4 * TILE_K * (columns | 1)) };
    // SAFETY: the structure is the kernel's; masters and working weights are of the same shape, which has the channels.
    unsafe { context.launch("filter", kernel, grid, &parameters) };
}

impl Weights {
    /// Room for the weights of `shape`; `backward` says whether gradients to the input will be asked for.
    pub fn new<T: Format>(context: &Arc<Context>, shape: ConvShape, backward: bool) -> Self {
        Weights {
            shape,
            master: Buffer::zeros(context, 4 * shape.weights()),
            scale: None,
            shared: WorkingWeights::new::<T>(context, shape, backward),
            own: BTreeMap::new(),
        }
    }

    fn masters(&self) -> Masters {
        let scale = self.scale.as_ref().map_or(0, Buffer::address);
        Masters { shape: self.shape, weights: self.master.address(), scale }
    }

    /// Takes new masters, all of which count. No stream has working weights of its own any more.
    pub fn load(&mut self, context: &Arc<Context>, masters: &Buffer, scale: Option<&Buffer>) {
        self.own.clear();
        self.master.copy_from(masters);
        match (&mut self.scale, scale) {
            (Some(ours), Some(scale)) => ours.copy_from(scale),
            (ours, Some(scale)) => {
                let mut copy = Buffer::new(context, scale.bytes());
                copy.copy_from(scale);
                *ours = Some(copy);
            }
            (ours, None) => *ours = None,
        }
        self.mask(context, filter::Mask::ALL, 0..self.shape.k);
    }

    /// Gives the stream of `context` working weights of its own beside the same masters, all of which count.
    pub fn own(&mut self, context: &Arc<Context>) {
        self.own.insert(context.number(), self.shared.twin(context));
        self.mask(context, filter::Mask::ALL, 0..self.shape.k);
    }

    /// Takes [`Weights::own`] back.
    pub fn share(&mut self, context: &Context) {
        self.own.remove(&context.number());
    }

    /// Rewrites the working weights of some output channels in place, as the stream of `context` sees them: those that
    /// `mask` drops are zero. An earlier mask of other channels is taken back.
    pub fn mask(&mut self, context: &Context, mask: filter::Mask, channels: Range<usize>) {
        let of = self.masters();
        self.own.get_mut(&context.number()).unwrap_or(&mut self.shared).mask(context, of, mask, channels);
    }

    /// Bytes of working weights that a mask of some output channels writes: their share, padding included.
    pub fn bytes(&self, channels: Range<usize>) -> usize {
        self.shared.bytes() * channels.len() / self.shape.k
    }

    /// How many weights the last mask kept, of the channels that it was for; not of streams with weights of their own.
    ///
    /// # Errors
    /// The first failure on the device.
    pub fn kept(&self) -> Result<u32> {
        Ok(self.shared.kept.read::<u32>()?.first().copied().unwrap_or_default())
    }

    /// Computes y from x, forward or backward, with the working weights that the stream of `context` sees.
    ///
    /// # Safety
    /// The addresses are those of buffers of `count` images as the places and `then` say; x and y share no row.
    ///
    /// # Panics
    /// Where the weights were made without a backward direction and it is asked for.
    pub unsafe fn convolve<T: Format>(
        &self,
        context: &Context,
        direction: Direction,
        count: Count,
        x: View,
        y: View,
        then: abi::Then,
    ) {
        let weights = self.own.get(&context.number()).unwrap_or(&self.shared);
        let convolver = match direction {
            Direction::Forward => &weights.forward,
            Direction::BackwardInput => weights.backward.as_ref().expect("made with a backward direction"),
        };
        // SAFETY: as the caller promises; the number format is the one that the weights were made for.
        unsafe {
            match convolver {
                Convolver::Fma(conv) => conv.launch::<T>(context, count, x, y, then),
                Convolver::Matrix(conv, half) => {
                    let (x, y) = ((x.address, x.place), (y.address, y.place));
                    conv.launch(context, *half, x, y, count.slabs, then);
                }
            }
        }
    }
}
