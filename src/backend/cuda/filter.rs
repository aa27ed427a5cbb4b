//! A convolution's weights on the device, under a mask: kernels/filter.cu.

use super::abi::{self, Working, size};
use super::buffer::Buffer;
use super::context::Context;
use super::conv_mma::{ConvMma, Half};
use super::conv_plan::Plan;
use super::conv2d::ConvFma;
use super::format::Format;
use super::launch::Grid;
use super::value::{Count, View};
use crate::error::Result;
use crate::filter;
use crate::graph::conv::{ConvShape, Direction};
use bytemuck::{Pod, Zeroable};
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

/// A convolution's weights: the f32 master, and the working weights of both directions.
pub struct Weights {
    context: Arc<Context>,
    shape: ConvShape,
    master: Buffer,
    forward: Convolver,
    backward: Option<Convolver>,
    /// Factor per output channel of the backward direction.
    scale: Option<Buffer>,
    /// Weights that the last mask kept, a u32.
    kept: Buffer,
    /// Output channels of which a mask is in force.
    masked: Range<usize>,
}

impl Convolver {
    fn new<T: Format>(context: &Arc<Context>, shape: ConvShape, direction: Direction) -> Self {
        match T::HALF.zip(Plan::new(shape, direction)) {
            Some((half, plan)) => Convolver::Matrix(Box::new(ConvMma::new(context, plan)), half),
            None => Convolver::Fma(ConvFma::new(context, shape, direction)),
        }
    }

    fn weights(&self) -> &Buffer {
        match self {
            Convolver::Matrix(conv, _) => &conv.weights,
            Convolver::Fma(conv) => &conv.weights,
        }
    }
}

impl Weights {
    /// Room for the weights of `shape`; `backward` says whether gradients to the input will be asked for.
    pub fn new<T: Format>(context: &Arc<Context>, shape: ConvShape, backward: bool) -> Self {
        Weights {
            context: context.clone(),
            shape,
            master: Buffer::zeros(context, 4 * shape.weights()),
            forward: Convolver::new::<T>(context, shape, Direction::Forward),
            backward: backward.then(|| Convolver::new::<T>(context, shape, Direction::BackwardInput)),
            scale: None,
            kept: Buffer::zeros(context, 4),
            masked: 0..0,
        }
    }

    /// Takes new masters, all of which count.
    pub fn load(&mut self, masters: &Buffer, scale: Option<&Buffer>) {
        self.master.copy_from(masters);
        match (&mut self.scale, scale) {
            (Some(ours), Some(scale)) => ours.copy_from(scale),
            (ours, Some(scale)) => {
                let mut copy = Buffer::new(&self.context, scale.bytes());
                copy.copy_from(scale);
                *ours = Some(copy);
            }
            (ours, None) => *ours = None,
        }
        self.mask(filter::Mask::ALL, 0..self.shape.k);
    }

    /// Rewrites the working weights of some output channels in place: those that `mask` drops are zero. An earlier mask of
    /// other channels is taken back.
    pub fn mask(&mut self, mask: filter::Mask, channels: Range<usize>) {
        let now = if mask == filter::Mask::ALL { 0..0 } else { channels.clone() };
        let before = std::mem::replace(&mut self.masked, now);
        if before.start < channels.start || channels.end < before.end {
            self.pack_both(filter::Mask::ALL, before);
        }
        self.pack_both(mask, channels);
    }

    fn pack_both(&mut self, mask: filter::Mask, channels: Range<usize>) {
        if channels.is_empty() {
            return;
        }
        self.kept.zero();
        self.pack(mask, channels.clone(), &self.forward, 0, self.kept.address());
        if let Some(backward) = &self.backward {
            let scale = self.scale.as_ref().map_or(0, Buffer::address);
            self.pack(mask, channels, backward, scale, 0);
        }
    }

    fn pack(&self, mask: filter::Mask, channels: Range<usize>, to: &Convolver, scale: u64, kept: u64) {
        let ConvShape { c, k, r, s, groups, .. } = self.shape;
        let backward = !std::ptr::eq(to, &self.forward);
        let (kernel, padded, at) = match to {
            Convolver::Matrix(conv, Half::F16) => ("pack_matrix_f16", 0, conv.plan().working),
            Convolver::Matrix(conv, Half::Bf16) => ("pack_matrix_bf16", 0, conv.plan().working),
            Convolver::Fma(conv) => ("pack_fma", conv.padded, Working::zeroed()),
        };
        let columns = columns(r * s);
        let parameters = Pack {
            master: self.master.address(),
            scale,
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
        unsafe { self.context.launch("filter", kernel, grid, &parameters) };
    }

    /// Bytes of working weights that a mask of some output channels writes: their share, padding included.
    pub fn bytes(&self, channels: Range<usize>) -> usize {
        let all = self.forward.weights().bytes() + self.backward.as_ref().map_or(0, |b| b.weights().bytes());
        all * channels.len() / self.shape.k
    }

    /// How many weights the last mask kept, of the channels that it was for.
    ///
    /// # Errors
    /// The first failure on the device.
    pub fn kept(&self) -> Result<u32> {
        Ok(self.kept.read::<u32>()?.first().copied().unwrap_or_default())
    }

    /// Computes y from x, forward or backward.
    ///
    /// # Safety
    /// The addresses are those of buffers of `count` images as the places and `then` say; x and y share no row.
    ///
    /// # Panics
    /// Where the weights were made without a backward direction and it is asked for.
    pub unsafe fn convolve<T: Format>(
        &self,
        direction: Direction,
        count: Count,
        x: View,
        y: View,
        then: abi::Then,
    ) {
        let convolver = match direction {
            Direction::Forward => &self.forward,
            Direction::BackwardInput => self.backward.as_ref().expect("made with a backward direction"),
        };
        // SAFETY: as the caller promises; the number format is the one that the weights were made for.
        unsafe {
            match convolver {
                Convolver::Fma(conv) => conv.launch::<T>(&self.context, count, x, y, then),
                Convolver::Matrix(conv, half) => {
                    let (x, y) = ((x.address, x.place), (y.address, y.place));
                    conv.launch(&self.context, *half, x, y, count.slabs, then);
                }
            }
        }
    }
}
