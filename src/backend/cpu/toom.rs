//! One-dimensional Toom–Cook transforms, derived from their points: F(m, taps) computes m outputs of a correlation
//! y_i = Σ_u g_u d_{i+u} with n = m + taps − 1 products in place of m · taps.
//!
//! ```text
//! y = Aᵀ [ (G g) ⊙ (Bᵀ d) ]
//! Aᵀ[i][j] = t_j^i          G[j][u] = t_j^u / N_j          Bᵀ[j] = coefficients of Π_{l ≠ j} (x − t_l)
//! N_j = Π_{l ≠ j} (t_j − t_l)
//! ```
//! over finite points t; the point ∞ takes the last tap, the coefficients of Π (x − t_l) and the last output
//! (Toom and Cook's evaluation and interpolation of a polynomial product, transposed as Winograd did).
//!
//! A set is an optional 0, pairs ±t and ∞. A tile of fewer outputs needs fewer points, and takes them out of the same
//! set, with the same G: only its rows of Bᵀ are multiplied by Π (t_j − t_l) over the points that it leaves out.
//! So one set of transformed weights serves full and partial tiles.
//! Pairs share work: with Q the product over all other points, (x ± t) Q = x Q ± t Q.

use super::bilinear::{Form, MAX_POINTS, MAX_TAPS, MAX_TILE, combination};
use super::simd::Isa;
use std::marker::PhantomData;

/// At most this many pairs.
const MAX_PAIRS: usize = 3;

/// A set of points; ∞ always belongs to it.
pub trait Points: Send + Sync + 'static {
    /// Taps of the correlation.
    const TAPS: usize;
    /// Whether 0 is a point.
    const ZERO: bool;
    /// t for each pair ±t.
    const PAIRS: &'static [f64];
}

/// The [`Form`] of a set of points, which are numbered 0, +t, −t of each pair, ∞.
pub struct Toom<P>(PhantomData<P>);

/// What a tile of some size takes from a set, and its rows of Bᵀ.
#[derive(Clone, Copy)]
struct Rows {
    /// Read pixels, and points.
    n: usize,
    zero: bool,
    pairs: usize,
    infinity: bool,
    /// Numbers of the points within the whole set.
    points: [u8; MAX_POINTS],
    /// Row of the point 0.
    at_zero: [f32; MAX_POINTS],
    /// For each pair: s·x·Q and Q, where s is the factor for the points left out.
    odd: [[f32; MAX_POINTS]; MAX_PAIRS],
    even: [[f32; MAX_POINTS]; MAX_PAIRS],
    /// s·t, the factor of Q.
    factor: [f32; MAX_PAIRS],
    /// Whether s changes its sign between +t and −t: 0 is left out.
    flips: bool,
    /// Row of ∞.
    at_infinity: [f32; MAX_POINTS],
}

/// Coefficients of x^shift · Π (x² − t²) over the first `count` pairs but `skip`.
const fn product(pairs: &[f64], count: usize, skip: usize, shift: usize) -> [f64; MAX_POINTS] {
    let mut poly = [0.0; MAX_POINTS];
    poly[shift] = 1.0;
    let mut i = 0;
    while i < count {
        if i != skip {
            let mut next = [0.0; MAX_POINTS];
            let mut e = 0;
            while e < MAX_POINTS {
                next[e] = -pairs[i] * pairs[i] * poly[e];
                if e >= 2 {
                    next[e] += poly[e - 2];
                }
                e += 1;
            }
            poly = next;
        }
        i += 1;
    }
    poly
}

const fn scaled(poly: [f64; MAX_POINTS], factor: f64) -> [f32; MAX_POINTS] {
    let mut out = [0.0; MAX_POINTS];
    let mut e = 0;
    while e < MAX_POINTS {
        out[e] = (poly[e] * factor) as f32;
        e += 1;
    }
    out
}

/// No pair is skipped.
const NONE: usize = usize::MAX;

/// The tile of `m` outputs of the set of `taps`, `zero` and `pairs`.
const fn rows(taps: usize, zero: bool, pairs: &[f64], m: usize) -> Rows {
    let n = m + taps - 1;
    let count = if n / 2 < pairs.len() { n / 2 } else { pairs.len() };
    let rest = n - 2 * count;
    assert!(rest <= 1 + zero as usize, "a set has as many points as its largest tile needs");
    let (with_zero, infinity) = (rest == 2, rest >= 1);
    let mut out = Rows {
        n,
        zero: with_zero,
        pairs: count,
        infinity,
        points: [0; MAX_POINTS],
        at_zero: [0.0; MAX_POINTS],
        odd: [[0.0; MAX_POINTS]; MAX_PAIRS],
        even: [[0.0; MAX_POINTS]; MAX_PAIRS],
        factor: [0.0; MAX_PAIRS],
        flips: zero && !with_zero,
        at_infinity: scaled(product(pairs, count, NONE, with_zero as usize), 1.0),
    };
    let first = with_zero as usize;
    let mut i = 0;
    while i < 2 * count {
        out.points[first + i] = (zero as usize + i) as u8;
        i += 1;
    }
    if infinity {
        out.points[n - 1] = (zero as usize + 2 * pairs.len()) as u8;
    }
    let mut left_out = 1.0;
    let mut l = count;
    while l < pairs.len() {
        left_out *= -pairs[l] * pairs[l];
        l += 1;
    }
    out.at_zero = scaled(product(pairs, count, NONE, 0), left_out);
    let mut i = 0;
    while i < count {
        let t = pairs[i];
        let mut s = if out.flips { t } else { 1.0 };
        let mut l = count;
        while l < pairs.len() {
            s *= t * t - pairs[l] * pairs[l];
            l += 1;
        }
        out.odd[i] = scaled(product(pairs, count, i, with_zero as usize + 1), s);
        out.even[i] = scaled(product(pairs, count, i, with_zero as usize), 1.0);
        out.factor[i] = (s * t) as f32;
        i += 1;
    }
    out
}

/// [`Rows`] of tiles of `M` outputs.
struct Tile<P, const M: usize>(PhantomData<P>);

impl<P: Points, const M: usize> Tile<P, M> {
    const ROWS: Rows = rows(P::TAPS, P::ZERO, P::PAIRS, M);
    /// t^i of each pair.
    const POWERS: [[f32; MAX_TILE]; MAX_PAIRS] = {
        let mut out = [[0.0; MAX_TILE]; MAX_PAIRS];
        let mut p = 0;
        while p < P::PAIRS.len() {
            let (mut i, mut power) = (0, 1.0);
            while i < MAX_TILE {
                out[p][i] = power as f32;
                power *= P::PAIRS[p];
                i += 1;
            }
            p += 1;
        }
        out
    };
}

/// G: t^u / N of every point, and the last tap.
const fn weights(taps: usize, zero: bool, pairs: &[f64]) -> [[f32; MAX_TAPS]; MAX_POINTS] {
    let mut points = [0.0; MAX_POINTS];
    let (mut count, mut i) = (zero as usize, 0);
    while i < pairs.len() {
        (points[count], points[count + 1]) = (pairs[i], -pairs[i]);
        count += 2;
        i += 1;
    }
    let mut matrix = [[0.0; MAX_TAPS]; MAX_POINTS];
    let mut j = 0;
    while j < count {
        let (mut n, mut l) = (1.0, 0);
        while l < count {
            if l != j {
                n *= points[j] - points[l];
            }
            l += 1;
        }
        let (mut power, mut u) = (1.0 / n, 0);
        while u < taps {
            matrix[j][u] = power as f32;
            power *= points[j];
            u += 1;
        }
        j += 1;
    }
    matrix[count][taps - 1] = 1.0;
    matrix
}

impl<P: Points> Form for Toom<P> {
    const TAPS: usize = P::TAPS;
    const POINTS: usize = P::ZERO as usize + 2 * P::PAIRS.len() + 1;
    const TILE: usize = Self::POINTS + 1 - P::TAPS;

    fn fits(_read: usize, _written: usize, _pad: usize) -> bool {
        true
    }

    fn extent(m: usize) -> usize {
        m + P::TAPS - 1
    }

    fn shift(pad: usize) -> usize {
        pad
    }

    fn points(m: usize) -> [u8; MAX_POINTS] {
        rows(P::TAPS, P::ZERO, P::PAIRS, m).points
    }

    fn point_count(m: usize) -> usize {
        m + P::TAPS - 1
    }

    const WEIGHTS: [[f32; MAX_TAPS]; MAX_POINTS] = weights(P::TAPS, P::ZERO, P::PAIRS);

    #[inline(always)]
    unsafe fn input<I: Isa, const M: usize>(d: &[I::V; MAX_POINTS]) -> [I::V; MAX_POINTS] {
        let rows = const { &Tile::<P, M>::ROWS };
        // SAFETY: the caller promises the instruction set.
        unsafe {
            let mut v = [I::splat(0.0); MAX_POINTS];
            let mut at = 0;
            if rows.zero {
                v[0] = combination::<I, MAX_POINTS>(&rows.at_zero, d);
                at = 1;
            }
            for i in 0..MAX_PAIRS {
                if i < rows.pairs {
                    let odd = combination::<I, MAX_POINTS>(&rows.odd[i], d);
                    let even = combination::<I, MAX_POINTS>(&rows.even[i], d);
                    if rows.flips {
                        let even = I::mul(I::splat(rows.factor[i]), even);
                        v[at] = I::add(even, odd);
                        v[at + 1] = I::sub(even, odd);
                    } else {
                        v[at] = I::fma(I::splat(rows.factor[i]), even, odd);
                        v[at + 1] = I::fma(I::splat(-rows.factor[i]), even, odd);
                    }
                    at += 2;
                }
            }
            if rows.infinity {
                v[at] = combination::<I, MAX_POINTS>(&rows.at_infinity, d);
            }
            v
        }
    }

    #[inline(always)]
    unsafe fn output<I: Isa, const M: usize>(p: &[I::V; MAX_POINTS]) -> [I::V; MAX_TILE] {
        let rows = const { &Tile::<P, M>::ROWS };
        let powers = const { &Tile::<P, M>::POWERS };
        // SAFETY: the caller promises the instruction set.
        unsafe {
            let first = usize::from(rows.zero);
            let zero = I::splat(0.0);
            let (mut sum, mut difference) = ([zero; MAX_PAIRS], [zero; MAX_PAIRS]);
            for i in 0..MAX_PAIRS {
                if i < rows.pairs {
                    sum[i] = I::add(p[first + 2 * i], p[first + 2 * i + 1]);
                    difference[i] = I::sub(p[first + 2 * i], p[first + 2 * i + 1]);
                }
            }
            let mut y = [zero; MAX_TILE];
            for (m, y) in y.iter_mut().enumerate() {
                if m < M {
                    let mut started = true;
                    if m == 0 && rows.zero {
                        *y = p[0];
                    } else if m == M - 1 && rows.infinity {
                        *y = p[rows.n - 1];
                    } else {
                        started = false;
                    }
                    for i in 0..MAX_PAIRS {
                        if i < rows.pairs {
                            let pair = if m % 2 == 0 { sum[i] } else { difference[i] };
                            *y = match (started, m == 0) {
                                (false, true) => pair,
                                (false, false) => I::mul(I::splat(powers[i][m]), pair),
                                (true, true) => I::add(*y, pair),
                                (true, false) => I::fma(I::splat(powers[i][m]), pair, *y),
                            };
                            started = true;
                        }
                    }
                    if M == 1 && rows.zero && rows.infinity {
                        *y = I::add(*y, p[rows.n - 1]);
                    }
                }
            }
            y
        }
    }
}
