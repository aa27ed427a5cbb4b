//! What a convolution by fewer products is made from: the transforms of one axis.

use super::super::simd::Isa;

/// Points of one axis, and pixels that a tile reads along it, are at most this many.
pub const MAX_POINTS: usize = 8;
/// Taps of one axis are at most this many.
pub const MAX_TAPS: usize = 4;
/// Outputs of a tile along one axis are at most this many.
pub const MAX_TILE: usize = 4;

/// Transforms of one axis: a correlation of [`Form::TAPS`] taps with up to [`Form::TILE`] outputs.
pub trait Form: Send + Sync + 'static {
    /// Taps.
    const TAPS: usize;
    /// Outputs of a full tile.
    const TILE: usize;
    /// Points of a full tile.
    const POINTS: usize;

    /// Whether it can be used where an axis has `read` and `written` pixels and `pad` zeros before the read ones.
    fn fits(read: usize, written: usize, pad: usize) -> bool;

    /// Pixels that a tile of `m` outputs reads.
    fn extent(m: usize) -> usize;

    /// The first pixel it reads lies this much before its first output, where the padding is `pad`.
    fn shift(pad: usize) -> usize;

    /// Points that a tile of `m` outputs uses.
    fn point_count(m: usize) -> usize;

    /// Their numbers.
    fn points(m: usize) -> [u8; MAX_POINTS];

    /// The weight transform G, point by tap.
    const WEIGHTS: [[f32; MAX_TAPS]; MAX_POINTS];

    /// All points of the taps.
    ///
    /// # Safety
    /// The machine has `I`'s instruction set.
    #[inline(always)]
    unsafe fn weights<I: Isa>(g: &[I::V; MAX_TAPS]) -> [I::V; MAX_POINTS] {
        let matrix = const { &Self::WEIGHTS };
        // SAFETY: the caller's promise.
        unsafe {
            let mut u = [I::splat(0.0); MAX_POINTS];
            for (point, u) in u.iter_mut().enumerate().take(Self::POINTS) {
                *u = combination::<I, MAX_TAPS>(&matrix[point], g);
            }
            u
        }
    }

    /// The used points of the pixels of a tile of `M` outputs.
    ///
    /// # Safety
    /// The machine has `I`'s instruction set.
    unsafe fn input<I: Isa, const M: usize>(d: &[I::V; MAX_POINTS]) -> [I::V; MAX_POINTS];

    /// The outputs of a tile of `M` from its used points.
    ///
    /// # Safety
    /// The machine has `I`'s instruction set.
    unsafe fn output<I: Isa, const M: usize>(p: &[I::V; MAX_POINTS]) -> [I::V; MAX_TILE];
}

/// `Σ row[i] · v[i]` over the coefficients that are not 0, highest first; a first coefficient of 1 costs nothing. For
/// constant rows, of which nothing else is left when compiled.
///
/// # Safety
/// The machine has `I`'s instruction set.
#[inline(always)]
pub unsafe fn combination<I: Isa, const N: usize>(row: &[f32; N], v: &[I::V; N]) -> I::V {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sum = I::splat(0.0);
        let mut first = true;
        for i in (0..N).rev() {
            if row[i] != 0.0 {
                sum = match (first, row[i] == 1.0) {
                    (true, true) => v[i],
                    (true, false) => I::mul(I::splat(row[i]), v[i]),
                    (false, true) => I::add(sum, v[i]),
                    (false, false) => I::fma(I::splat(row[i]), v[i], sum),
                };
                first = false;
            }
        }
        sum
    }
}
