//! The register tile that every matrix product of a convolution is made of.
//!
//! ```text
//! acc[KB][NV · 16 lanes] = Σ over taps, Σ over channels:  w[tap][channel][KB] · x[tap][channel][NV · 16 lanes]
//! ```
//! For one channel, NV vectors of x are loaded, and each of the KB weights is broadcast and multiplied into NV
//! accumulators. KB · NV accumulators stay in registers over all taps and channels (a batch-reduced product), so
//! KB · NV is at most [`Isa::ACCUMULATORS`]: 6×4, 8×3, 14×2 or 14×1 on AVX-512, 6×1 or 3×2 on AVX2.

use super::simd::Isa;

/// Adds up `taps`, each a pair of pointers (weights `[c][KB]`, lane 0 of channel 0 of x), where x has `x_step`
/// floats between channels.
///
/// # Safety
/// The machine has `I`'s instruction set. Each weight pointer is valid for `c · KB` floats, each x pointer for
/// `16 · NV` floats at every multiple of `x_step` below `c · x_step`.
#[inline(always)]
pub unsafe fn tile<I: Isa, const KB: usize, const NV: usize>(
    taps: impl Iterator<Item = (*const f32, *const f32)>,
    c: usize,
    x_step: usize,
) -> [[I::V; NV]; KB] {
    // SAFETY: as promised by the caller, each tap being a run of `c` channels.
    unsafe { tile_of_runs::<I, KB, NV>(taps.map(|(w, x)| (w, x, c)), x_step) }
}

/// [`tile`], where each item says for itself how many channels it has: neighbouring taps of a dense value are one run.
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
pub unsafe fn tile_of_runs<I: Isa, const KB: usize, const NV: usize>(
    runs: impl Iterator<Item = (*const f32, *const f32, usize)>,
    x_step: usize,
) -> [[I::V; NV]; KB] {
    // SAFETY: the caller promises the instruction set and that all of these floats are readable.
    unsafe {
        let mut acc = [[I::splat(0.0); NV]; KB];
        for (mut w, mut x, c) in runs {
            for _ in 0..c {
                let mut lanes = [I::splat(0.0); NV];
                for (v, lanes) in lanes.iter_mut().enumerate() {
                    *lanes = I::load(x.add(16 * v));
                }
                for (k, row) in acc.iter_mut().enumerate() {
                    let weight = I::splat_at(w.add(k));
                    for (sum, &lanes) in row.iter_mut().zip(&lanes) {
                        *sum = I::fma(weight, lanes, *sum);
                    }
                }
                w = w.add(KB);
                x = x.add(x_step);
            }
        }
        acc
    }
}
