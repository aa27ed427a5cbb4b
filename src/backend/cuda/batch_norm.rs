//! Batch normalisation by the statistics of the batch: kernels/batch_norm.cu.

use super::abi::{self, size};
use super::buffer::Buffer;
use super::context::Context;
use super::format::Format;
use super::launch::Grid;
use super::value::{Count, View, instance, over_rows, rows};
use crate::graph::NORM_EPS;
use bytemuck::{Pod, Zeroable};
use std::sync::Arc;

/// `Sums` of kernels/batch_norm.cu.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Sums {
    x: u64,
    dy: u64,
    at: abi::Place,
    dy_at: abi::Place,
    mean: u64,
    var: u64,
    first: u64,
    second: u64,
    parts: u64,
    slabs: u32,
    images: u32,
    part_rows: u32,
    epsilon: f32,
}

/// `Merge` of kernels/batch_norm.cu.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Merge {
    of: Sums,
    parts: u32,
    unused: u32,
}

/// `NormBackward` of kernels/batch_norm.cu.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct NormBackward {
    x: u64,
    dy: u64,
    dx: u64,
    at: abi::Place,
    dy_at: abi::Place,
    to: abi::Place,
    mean: u64,
    var: u64,
    gamma: u64,
    d_gamma: u64,
    d_beta: u64,
    slabs: u32,
    images: u32,
    epsilon: f32,
    count: f32,
    then: abi::Then,
}

/// `Coefficients` of kernels/batch_norm.cu.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Coefficients {
    gamma: u64,
    beta: u64,
    mean: u64,
    var: u64,
    term: u64,
    scale: u64,
    shift: u64,
    channels: u32,
    epsilon: f32,
}

/// `UpdateRunning` of kernels/batch_norm.cu.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct UpdateRunning {
    mean: u64,
    var: u64,
    running_mean: u64,
    running_var: u64,
    channels: u32,
    momentum: f32,
    unbiased: f32,
    unused: u32,
}

const _: () = assert!(size_of::<Sums>() == 120 && size_of::<NormBackward>() == 216);
const _: () = assert!(size_of::<Merge>() == 128);
const _: () = assert!(size_of::<Coefficients>() == 64 && size_of::<UpdateRunning>() == 48);

/// Addresses of numbers per channel.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    /// Mean.
    pub mean: u64,
    /// Biased variance.
    pub var: u64,
}

/// Blocks of a kernel that sums over channels, for each multiprocessor.
const BLOCKS: usize = 4;
/// Rows that a block has in registers at a time: a part has no fewer.
const BLOCK_ROWS: usize = 128;
/// Bytes of the sums of one part.
const PART_BYTES: usize = 3 * size_of::<f64>();
/// Channels of a block that merges parts.
const MERGED_CHANNELS: usize = 8;

/// Room for the sums of all parts of all channels, whatever value they are those of.
pub fn room(context: &Arc<Context>) -> Buffer {
    // Where there is more than one part of a channel, there are fewer channels than wanted blocks.
    Buffer::new(context, 2 * BLOCKS * context.multiprocessors() * PART_BYTES)
}

/// Sums over channels: a kernel with a block for every part of every channel, and, where a channel has more than one,
/// one that merges them.
///
/// # Safety
/// As [`statistics`], for the addresses in `sums`.
unsafe fn launch<T: Format>(context: &Context, count: Count, x: View, room: &Buffer, sums: Sums, what: &str) {
    let (channels, rows) = (x.place.c, x.place.h * x.place.w * count.slabs);
    let wanted = (BLOCKS * context.multiprocessors()).div_ceil(channels.max(1));
    let part_rows = rows.div_ceil(wanted).next_multiple_of(BLOCK_ROWS);
    let parts = rows.div_ceil(part_rows);
    let sums = Sums {
        x: x.address,
        at: x.place.into(),
        parts: room.address(),
        slabs: size(count.slabs),
        images: size(count.images),
        part_rows: size(part_rows),
        epsilon: NORM_EPS,
        ..sums
    };
    let grid = Grid { blocks: [channels, parts, 1], threads: 256, shared: 0 };
    // SAFETY: the structure is the kernel's; its addresses are as the caller promises, and there is room for the parts.
    unsafe { context.launch("batch_norm", &instance::<T>(&format!("norm_{what}")), grid, &sums) };
    if parts > 1 {
        assert!(
            channels * parts * PART_BYTES <= room.bytes(),
            "room for {parts} parts of {channels} channels"
        );
        let merge = Merge { of: sums, parts: size(parts), unused: 0 };
        let grid = Grid::line(channels.div_ceil(MERGED_CHANNELS), 256);
        // SAFETY: as above.
        unsafe { context.launch("batch_norm", &format!("merge_{what}"), grid, &merge) };
    }
}

/// Mean and biased variance per channel; `room` is [`room`].
///
/// # Safety
/// The addresses are those of a buffer of `count` images as the place says, and of a number per channel.
pub unsafe fn statistics<T: Format>(context: &Context, count: Count, x: View, out: Moments, room: &Buffer) {
    let sums = Sums { first: out.mean, second: out.var, ..Sums::zeroed() };
    // SAFETY: as the caller promises.
    unsafe { launch::<T>(context, count, x, room, sums, "statistics") };
}

/// Σ dy·x̂ and Σ dy per channel, into `[gamma, beta]`; `room` is [`room`].
///
/// # Safety
/// As [`statistics`].
pub unsafe fn gradients<T: Format>(
    context: &Context,
    count: Count,
    [x, dy]: [View; 2],
    of: Moments,
    [gamma, beta]: [u64; 2],
    room: &Buffer,
) {
    let sums = Sums {
        dy: dy.address,
        dy_at: dy.place.into(),
        mean: of.mean,
        var: of.var,
        first: gamma,
        second: beta,
        ..Sums::zeroed()
    };
    // SAFETY: as the caller promises.
    unsafe { launch::<T>(context, count, x, room, sums, "gradients") };
}

/// Addresses of what a batch norm's backward needs per channel.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Statistics of the batch.
    pub moments: Moments,
    /// γ.
    pub gamma: u64,
    /// Σ dy·x̂.
    pub d_gamma: u64,
    /// Σ dy.
    pub d_beta: u64,
}

/// Gradient of the input.
///
/// # Safety
/// As [`statistics`].
pub unsafe fn backward<T: Format>(
    context: &Context,
    count: Count,
    [x, dy, dx]: [View; 3],
    terms: Terms,
    then: abi::Then,
) {
    let parameters = NormBackward {
        x: x.address,
        dy: dy.address,
        dx: dx.address,
        at: x.place.into(),
        dy_at: dy.place.into(),
        to: dx.place.into(),
        mean: terms.moments.mean,
        var: terms.moments.var,
        gamma: terms.gamma,
        d_gamma: terms.d_gamma,
        d_beta: terms.d_beta,
        slabs: size(count.slabs),
        images: size(count.images),
        epsilon: NORM_EPS,
        count: (count.images * x.place.h * x.place.w) as f32,
        then,
    };
    let Some(grid) = over_rows::<T>(context, rows(dx.place, count)) else { return };
    // SAFETY: as the caller promises.
    unsafe { context.launch("batch_norm", &instance::<T>("norm_backward"), grid, &parameters) };
}

/// Addresses of a batch norm's four tensors, and of a term before it (0 for none).
#[derive(Clone, Copy, Debug)]
pub struct Tensors {
    /// γ.
    pub gamma: u64,
    /// β.
    pub beta: u64,
    /// Statistics.
    pub moments: Moments,
    /// What is added to the input.
    pub term: u64,
}

/// A batch norm as factor and term per channel, into `[scale, shift]`.
///
/// # Safety
/// The addresses are those of `channels` numbers each.
pub unsafe fn coefficients(context: &Context, channels: usize, of: Tensors, [scale, shift]: [u64; 2]) {
    let parameters = Coefficients {
        gamma: of.gamma,
        beta: of.beta,
        mean: of.moments.mean,
        var: of.moments.var,
        term: of.term,
        scale,
        shift,
        channels: size(channels),
        epsilon: NORM_EPS,
    };
    // SAFETY: as the caller promises.
    unsafe { context.launch("batch_norm", "coefficients", Grid::over(channels, 256), &parameters) };
}

/// Takes the statistics of a batch of `count` values per channel into the running ones.
///
/// # Safety
/// As [`coefficients`].
pub unsafe fn update_running(
    context: &Context,
    channels: usize,
    batch: Moments,
    running: Moments,
    count: usize,
    momentum: f32,
) {
    let parameters = UpdateRunning {
        mean: batch.mean,
        var: batch.var,
        running_mean: running.mean,
        running_var: running.var,
        channels: size(channels),
        momentum,
        unbiased: count as f32 / (count.max(2) - 1) as f32,
        unused: 0,
    };
    // SAFETY: as the caller promises.
    unsafe { context.launch("batch_norm", "update_running", Grid::over(channels, 256), &parameters) };
}
