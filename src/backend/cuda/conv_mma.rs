//! Convolutions of 16-bit values on matrix units: kernels/conv_mma.cu.

use super::abi::{self, Working, size};
use super::buffer::Buffer;
use super::context::Context;
use super::launch::Grid;
use super::tiles::{Launch, TILES, Tile};
use crate::graph::conv::{ConvShape, Direction};
use crate::graph::place::Place;
use bytemuck::{Pod, Zeroable};
use std::sync::Arc;

/// Input channels of a step.
const CHUNK: usize = 32;
/// Zeroed elements behind the working weights: a tile of outputs may read past the last one. `WORKING_PAD` of
/// kernels/weights.cuh.
const PAD: usize = 128 * CHUNK;
/// Channels up to which taps and channels are one reduction, and outputs up to which the narrow tile is used.
const FEW: usize = 16;
/// Length of the table of a packed reduction.
const PACKED: usize = 2048;

/// `Form` of kernels/weights.cuh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Forward = 0,
    Backward = 1,
    Packed = 2,
    Residues = 3,
}

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

/// One direction of a convolution, as the matrix kernels compute it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How its working weights lie.
    pub working: Working,
    form: Form,
    /// Pixels of the result along each axis; `residues` times fewer than those of the map.
    height: usize,
    width: usize,
    residues: usize,
    vertical: Axis,
    horizontal: Axis,
    /// Pixels of the result, those with the most taps first.
    order: Vec<u32>,
    /// Steps of the longest reduction.
    steps: usize,
}

/// How pixels of the result read those of the source along one axis.
#[derive(Clone, Copy, Debug)]
struct Axis {
    backward: bool,
    taps: usize,
    stride: usize,
    pad: usize,
    /// Pixels of the source.
    size: usize,
}

/// One direction of a convolution on a device.
pub struct ConvMma {
    plan: Plan,
    /// The working weights; zero until something is written.
    pub weights: Buffer,
    order: Buffer,
}

/// The number formats that matrix units multiply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// IEEE half precision.
    F16,
    /// bfloat16.
    Bf16,
}

impl Axis {
    /// Taps that meet the source for pixel `at` of the result.
    fn count(self, at: usize) -> usize {
        let meets = |tap: &usize| match self.backward {
            false => (at * self.stride + tap).checked_sub(self.pad).is_some_and(|i| i < self.size),
            true => (at + self.pad)
                .checked_sub(*tap)
                .is_some_and(|i| i % self.stride == 0 && i / self.stride < self.size),
        };
        (0..self.taps).filter(meets).count()
    }
}

impl Plan {
    /// How to compute one direction of `shape`, or nothing where it has groups.
    pub fn new(shape: ConvShape, direction: Direction) -> Option<Self> {
        let ConvShape { c, k, h, w, r, s, stride, pad, groups } = shape;
        if groups != 1 {
            return None;
        }
        let (oh, ow) = shape.output();
        let backward = direction == Direction::BackwardInput;
        let (inputs, outputs) = if backward { (k, c) } else { (c, k) };
        let axis = |taps, size| Axis { backward, taps, stride, pad, size };
        let mut plan = Plan {
            working: Working::zeroed(),
            form: if backward { Form::Backward } else { Form::Forward },
            height: if backward { h } else { oh },
            width: if backward { w } else { ow },
            residues: 1,
            vertical: axis(r, if backward { oh } else { h }),
            horizontal: axis(s, if backward { ow } else { w }),
            order: Vec::new(),
            steps: 0,
        };
        let (mut outputs, mut inputs, mut taps, mut first) = (outputs, inputs, r * s, 0);
        let packed = (r * s * c).div_ceil(CHUNK);
        if backward && stride > 1 && outputs * stride * stride <= FEW {
            // Pixel i·stride + a of the result reads pixel i − d of the source under tap a + pad + d·stride.
            let (stride, pad) = (stride.cast_signed(), pad.cast_signed());
            first = -((stride - 1 + pad) / stride);
            let last = (r.max(s).cast_signed() - 1 - pad).div_euclid(stride);
            let axis = |size| Axis {
                backward,
                taps: (last - first + 1).unsigned_abs(),
                stride: 1,
                pad: first.unsigned_abs(),
                size,
            };
            plan.residues = stride.unsigned_abs();
            (plan.vertical, plan.horizontal) = (axis(oh), axis(ow));
            (plan.height, plan.width) = (h.div_ceil(plan.residues), w.div_ceil(plan.residues));
            plan.form = Form::Residues;
            outputs *= plan.residues * plan.residues;
            taps = plan.vertical.taps * plan.horizontal.taps;
        } else if !backward && c <= FEW && packed < r * s && packed * CHUNK <= PACKED {
            plan.form = Form::Packed;
            (inputs, taps) = (r * s * c, 1);
        }
        plan.working = Working {
            form: plan.form as u32,
            k: size(k),
            c: size(c),
            r: size(r),
            s: size(s),
            outputs: size(outputs),
            chunks: size(inputs.div_ceil(CHUNK)),
            taps: size(taps),
            stride: size(stride),
            pad: size(pad),
            first: i32::try_from(first).expect("a tap"),
            side: size(plan.vertical.taps),
        };
        let rows: Vec<usize> = (0..plan.height).map(|i| plan.vertical.count(i)).collect();
        let columns: Vec<usize> = (0..plan.width).map(|i| plan.horizontal.count(i)).collect();
        let taps_of = |&pixel: &u32| rows[pixel as usize / plan.width] * columns[pixel as usize % plan.width];
        plan.order = (0..size(plan.height * plan.width)).collect();
        plan.order.sort_by_key(|pixel| std::cmp::Reverse(taps_of(pixel)));
        let longest = if plan.form == Form::Packed { 1 } else { plan.order.first().map_or(0, taps_of) };
        plan.steps = longest * inputs.div_ceil(CHUNK);
        Some(plan)
    }

    /// Number of working weights, with what a tile may read behind them.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        let Working { taps, chunks, outputs, .. } = self.working;
        taps as usize * chunks as usize * outputs as usize * CHUNK + PAD
    }

    /// Tiles that this plan can run with.
    pub fn tiles(&self) -> &'static [Tile] {
        match self.form {
            Form::Packed => &[Tile::K64N256, Tile::K64N128],
            Form::Residues => &[Tile::K16N128],
            _ if self.working.outputs as usize <= FEW => &[Tile::K16N128],
            _ => &TILES,
        }
    }

    /// The tile for `slabs` slabs.
    pub fn tile(&self, slabs: usize, multiprocessors: usize) -> Tile {
        let launch = Launch {
            outputs: self.working.outputs as usize,
            pixels: self.order.len(),
            slabs,
            steps: self.steps,
            multiprocessors,
        };
        match self.tiles() {
            [only] => *only,
            // The wider one unless more of its slabs do not exist.
            [wide, narrow]
                if slabs.next_multiple_of(wide.slabs()) == slabs.next_multiple_of(narrow.slabs()) =>
            {
                *wide
            }
            [_, narrow] => *narrow,
            _ => Tile::choose(launch),
        }
    }

    fn kernel(&self, tile: Tile, from: Place, half: Half) -> String {
        let source = match (self.form, tile) {
            (Form::Packed, _) => "packed",
            (_, Tile::K16N128) => "few",
            _ if from.c.is_multiple_of(CHUNK) && from.step == 1 => "dense",
            _ => "ragged",
        };
        let half = match half {
            Half::F16 => "f16",
            Half::Bf16 => "bf16",
        };
        format!("conv_mma_{}_{source}_{half}", tile.name())
    }

    fn grid(&self, tile: Tile, slabs: usize) -> Grid {
        let (outputs, chunks) = (self.working.outputs as usize, self.working.chunks as usize);
        let blocks = outputs.div_ceil(tile.outputs()) * self.order.len() * slabs.div_ceil(tile.slabs());
        let table = if self.form == Form::Packed { chunks * CHUNK * 4 } else { 0 };
        Grid { blocks: [blocks, 1, 1], threads: size(tile.threads()), shared: size(tile.shared() + table) }
    }
}

impl ConvMma {
    /// Room for the working weights of `plan`.
    pub fn new(context: &Arc<Context>, plan: Plan) -> Self {
        let weights = Buffer::zeros(context, 2 * plan.len());
        let order = Buffer::of(context, &plan.order);
        ConvMma { plan, weights, order }
    }

    /// How it is computed.
    pub fn plan(&self) -> &Plan {
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
        let tile = self.plan.tile(slabs, context.multiprocessors());
        // SAFETY: as the caller promises.
        unsafe { self.launch_with(context, tile, half, x, y, slabs, then) };
    }

    /// As [`ConvMma::launch`], with one of [`Plan::tiles`].
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
        let parameters = Parameters {
            x,
            w: self.weights.address(),
            y,
            pixels: self.order.address(),
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
        let (name, grid) = (plan.kernel(tile, from, half), plan.grid(tile, slabs));
        // SAFETY: the structure is the kernel's; its addresses are as the caller promises, and the weights and the order
        // of the pixels are of the plan's size.
        unsafe { context.launch("conv_mma", &name, grid, &parameters) };
    }
}
