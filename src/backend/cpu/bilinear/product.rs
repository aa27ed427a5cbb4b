//! The product stage: register tiles, point by point.

use super::super::layout::LANES;
use super::super::simd::{Isa, Kernel, Level, dispatch};

/// One panel of the product stage at some points.
///
/// For each of them, u has `channels · KB` floats at the point's number · `u_stride`, v has `channels` rows at its
/// position · `v_stride`, and m has room for KB rows at its position · `m_stride`. A row is `vectors` vectors.
#[derive(Clone, Copy)]
pub struct Product<'a> {
    pub u: *const f32,
    /// Numbers of the points.
    pub numbers: &'a [usize],
    pub u_stride: usize,
    pub v: *const f32,
    pub v_stride: usize,
    pub channels: usize,
    pub m: *mut f32,
    pub m_stride: usize,
    pub vectors: usize,
    /// Weights that are needed after these: brought into the cache meanwhile.
    pub next: *const f32,
}

/// [`Product`] for panels of KB.
struct ProductOf<'a, const KB: usize>(Product<'a>);

impl<const KB: usize> Kernel for ProductOf<'_, KB> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let p = self.0;
        let row = p.vectors * LANES;
        for (i, &number) in p.numbers.iter().enumerate() {
            // SAFETY: the conditions of Product.
            unsafe {
                let u = p.u.add(number * p.u_stride);
                let next = p.numbers.get(i + 1).map_or(p.next, |next| p.u.add(next * p.u_stride));
                let (mut v, mut m) = (p.v.add(i * p.v_stride), p.m.add(i * p.m_stride));
                let mut left = p.vectors;
                while left >= 2 && 2 * KB <= I::ACCUMULATORS {
                    store::<I, KB, 2>(sums::<I, KB, 2>(u, v, p.channels, row, next), m, row);
                    (v, m, left) = (v.add(2 * LANES), m.add(2 * LANES), left - 2);
                }
                while left >= 1 && KB <= I::ACCUMULATORS {
                    store::<I, KB, 1>(sums::<I, KB, 1>(u, v, p.channels, row, next), m, row);
                    (v, m, left) = (v.add(LANES), m.add(LANES), left - 1);
                }
            }
        }
    }
}

/// [`tile`](super::microkernel::tile) that also brings the weights at `next` into the second-level cache, a line per
/// channel.
///
/// # Safety
/// As for `tile`; `next` may be any address.
#[inline(always)]
unsafe fn sums<I: Isa, const KB: usize, const NV: usize>(
    u: *const f32,
    v: *const f32,
    channels: usize,
    row: usize,
    next: *const f32,
) -> [[I::V; NV]; KB] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut acc = [[I::splat(0.0); NV]; KB];
        let (mut u, mut v, mut next) = (u, v, next);
        for _ in 0..channels {
            I::prefetch(next);
            let mut x = [I::splat(0.0); NV];
            for (i, x) in x.iter_mut().enumerate() {
                *x = I::load(v.add(i * LANES));
            }
            for (k, acc) in acc.iter_mut().enumerate() {
                let weight = I::splat_at(u.add(k));
                for (i, acc) in acc.iter_mut().enumerate() {
                    *acc = I::fma(weight, x[i], *acc);
                }
            }
            (u, v, next) = (u.add(KB), v.add(row), next.wrapping_add(KB));
        }
        acc
    }
}

/// Asks for a line that will be written; it need not be valid.
#[inline(always)]
pub fn prefetch_to_write(at: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch does not fault.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_ET0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// Stores a register tile.
///
/// # Safety
/// The machine has `I`'s instruction set; `m` has room for KB rows.
#[inline(always)]
unsafe fn store<I: Isa, const KB: usize, const NV: usize>(acc: [[I::V; NV]; KB], m: *mut f32, row: usize) {
    for (k, acc) in acc.iter().enumerate() {
        for (v, acc) in acc.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { I::store(m.add(k * row + v * LANES), *acc) }
        }
    }
}

/// The product stage of a panel of `kb` channels.
pub fn product_of(kb: usize) -> unsafe fn(Level, Product<'_>) {
    /// # Safety
    /// The level is available; the conditions of [`Product`].
    unsafe fn of<const KB: usize>(level: Level, product: Product) {
        // SAFETY: the caller's promise.
        unsafe { dispatch(level, ProductOf::<KB>(product)) }
    }
    match kb {
        1 => of::<1>,
        2 => of::<2>,
        3 => of::<3>,
        4 => of::<4>,
        5 => of::<5>,
        6 => of::<6>,
        7 => of::<7>,
        8 => of::<8>,
        9 => of::<9>,
        10 => of::<10>,
        11 => of::<11>,
        12 => of::<12>,
        13 => of::<13>,
        _ => of::<14>,
    }
}
