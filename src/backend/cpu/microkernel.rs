//! The register tile that every matrix product of a convolution is made of.
//!
//! ```text
//! acc[KB][NV · 16 lanes] = Σ over taps, Σ over channels:  w[tap][channel][KB] · x[tap][channel][NV · 16 lanes]
//! ```
//! For one channel, NV vectors of x are loaded, and each of the KB weights is broadcast and multiplied into NV
//! accumulators. KB · NV accumulators stay in registers over all taps and channels (a batch-reduced product), so
//! KB · NV is at most [`Isa::ACCUMULATORS`]: 6×4, 8×3, 14×2 or 14×1 on AVX-512, 6×1 or 3×2 on AVX2.

use super::epilogue::Ahead;
use super::simd::Isa;

/// How many channels ahead weights are asked for: they are read in order, and by large layers from the L3 cache.
const WEIGHTS_AHEAD: usize = 24;

/// Likewise for x, where it is not the next tile's that is asked for.
const X_AHEAD: usize = 16;

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
    unsafe { sum::<I, KB, NV, false>(taps.map(|(w, x)| (w, x, c)), x_step, 0, Ahead::NOTHING) }
}

/// [`tile`], where each item says for itself how many channels it has: neighbouring taps of a dense value are one run.
/// The x that lies `ahead` floats further on is asked for meanwhile: the next tile's.
///
/// # Safety
/// As for [`tile`]; nothing is asked of what lies ahead.
#[inline(always)]
pub unsafe fn tile_of_runs<I: Isa, const KB: usize, const NV: usize>(
    runs: impl Iterator<Item = (*const f32, *const f32, usize)>,
    x_step: usize,
    ahead: usize,
    later: Ahead,
) -> [[I::V; NV]; KB] {
    // SAFETY: as promised by the caller.
    unsafe { sum::<I, KB, NV, true>(runs, x_step, ahead, later) }
}

/// # Safety
/// As for [`tile_of_runs`].
#[inline(always)]
unsafe fn sum<I: Isa, const KB: usize, const NV: usize, const FETCH_X: bool>(
    runs: impl Iterator<Item = (*const f32, *const f32, usize)>,
    x_step: usize,
    ahead: usize,
    mut later: Ahead,
) -> [[I::V; NV]; KB] {
    // SAFETY: the caller promises the instruction set and that all floats that are loaded are readable.
    unsafe {
        let mut acc = [[I::splat(0.0); NV]; KB];
        for (w, x, c) in runs {
            run::<I, KB, NV, FETCH_X>(&mut acc, w, x, c, x_step, ahead, &mut later);
        }
        acc
    }
}

/// Adds `c` channels to sums; `later` is asked for meanwhile.
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
pub unsafe fn add_run<I: Isa, const KB: usize, const NV: usize>(
    acc: &mut [[I::V; NV]; KB],
    w: *const f32,
    x: *const f32,
    c: usize,
    x_step: usize,
    mut later: Ahead,
) {
    // SAFETY: as promised by the caller.
    unsafe { run::<I, KB, NV, true>(acc, w, x, c, x_step, X_AHEAD * x_step, &mut later) }
}

/// # Safety
/// As for [`tile`].
#[inline(always)]
unsafe fn run<I: Isa, const KB: usize, const NV: usize, const FETCH: bool>(
    acc: &mut [[I::V; NV]; KB],
    mut w: *const f32,
    mut x: *const f32,
    c: usize,
    x_step: usize,
    ahead: usize,
    later: &mut Ahead,
) {
    // Small tiles have no load to spare per multiply-add.
    let spare = const { KB * NV >= 16 };
    // SAFETY: the caller promises the instruction set and that all floats that are loaded are readable.
    unsafe {
        let mut left = c;
        if FETCH && spare {
            let first = c.min(later.steps());
            left -= first;
            for _ in 0..first {
                later.next::<I, NV>();
                channel::<I, KB, NV>(acc, w, x);
                ask_for_next::<I, KB, NV>(w, x.wrapping_add(ahead), true);
                w = w.add(KB);
                x = x.wrapping_add(x_step);
            }
        }
        for _ in 0..left {
            channel::<I, KB, NV>(acc, w, x);
            if spare {
                ask_for_next::<I, KB, NV>(w, x.wrapping_add(ahead), FETCH);
            }
            w = w.add(KB);
            // Wrapping: one step beyond the last channel may lie outside the buffer.
            x = x.wrapping_add(x_step);
        }
    }
}

/// Adds the products of one channel.
///
/// # Safety
/// The machine has `I`'s instruction set; `w` is valid for KB floats, `x` for `16 · NV`.
#[inline(always)]
unsafe fn channel<I: Isa, const KB: usize, const NV: usize>(
    acc: &mut [[I::V; NV]; KB],
    w: *const f32,
    x: *const f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut lanes = [I::splat(0.0); NV];
        for (v, lanes) in lanes.iter_mut().enumerate() {
            *lanes = I::load(x.add(16 * v));
        }
        for (k, row) in acc.iter_mut().enumerate() {
            let weight = I::splat_at(w.add(k));
            for (v, sum) in row.iter_mut().enumerate() {
                *sum = I::fma(weight, lanes[v], *sum);
            }
        }
    }
}

/// Asks for weights some channels on, and for the x of the next tile.
///
/// # Safety
/// The machine has `I`'s instruction set.
#[inline(always)]
unsafe fn ask_for_next<I: Isa, const KB: usize, const NV: usize>(
    w: *const f32,
    x: *const f32,
    fetch_x: bool,
) {
    // SAFETY: any address may be asked for.
    unsafe {
        if fetch_x {
            for v in 0..NV {
                I::prefetch(x.wrapping_add(16 * v));
            }
        }
        I::prefetch(w.wrapping_add(WEIGHTS_AHEAD * KB));
    }
}
