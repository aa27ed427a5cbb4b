//! Values as launchers pass them to kernels.

use super::abi;
use super::context::Context;
use super::format::Format;
use super::launch::Grid;
use crate::backend::SLAB;
use crate::graph::place::Place;

/// A value: where its buffer lies and where the value lies in it.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Address of the buffer on the device.
    pub address: u64,
    /// Where in it.
    pub place: Place,
}

/// How many images a kernel sees.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    /// Images.
    pub images: usize,
    /// Slabs of 64 that hold them.
    pub slabs: usize,
}

impl Count {
    /// That of a batch.
    pub fn of(images: usize) -> Count {
        Count { images, slabs: images.div_ceil(SLAB) }
    }
}

/// Threads of a block of a kernel over rows.
const THREADS: u32 = 256;

/// Threads that share a row of 64 images, 16 bytes each.
pub fn threads_of_row<T: Format>() -> usize {
    SLAB * T::BYTES / 16
}

/// A grid with [`threads_of_row`] threads for each of `rows` rows, or nothing where a kernel could not count them: that
/// fails.
pub fn over_rows<T: Format>(context: &Context, rows: usize) -> Option<Grid> {
    let threads = rows * threads_of_row::<T>();
    if threads > u32::MAX as usize - THREADS as usize {
        context.fail(format!("a value of {rows} rows of {SLAB} images is more than a kernel can count"));
        return None;
    }
    Some(Grid::over(threads, THREADS))
}

/// Rows of a value in all slabs.
pub fn rows(place: Place, count: Count) -> usize {
    place.h * place.w * place.c * count.slabs
}

/// The name of a kernel's instance for a format.
pub fn instance<T: Format>(kernel: &str) -> String {
    format!("{kernel}_{}", T::NAME)
}

/// Nothing happens to the result.
pub const PLAIN: abi::Then = abi::Then {
    scale: 0,
    shift: 0,
    add: 0,
    bits: 0,
    add_place: abi::Place { h: 0, w: 0, c: 0, pixel: 0, offset: 0, step: 0 },
    sign: 0,
    accumulate: 0,
    capped: 0,
    unused: 0,
    below: 0.0,
};
