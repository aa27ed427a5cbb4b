//! Loops over the lanes of a warp, compiled twice: for AVX2, FMA, F16C and BMI2, and for any processor.
//!
//! Which one runs is chosen when an instruction is lowered. Everything in the loop must be inlined to be compiled for
//! both: a [`Body`] marks its `run` `#[inline(always)]`, and so should the functions that it calls. Operations on a
//! single lane may be closures: they are small enough to be inlined on their own.
//!
//! The loops compute all 32 lanes and write those of the mask, because a loop without branches is a vector loop. An
//! operation therefore sees the leftovers of lanes that do not take part, and must neither panic nor loop on any bits.

use crate::fault::Stop;
use crate::state::cx::{Compute, Cx};
use crate::state::registers::{LANES, Lane, Mask, PredicateSlot, Slot};

/// What an instruction does to the lanes of a mask. Mark `run` `#[inline(always)]`.
pub trait Body: Send + Sync + 'static {
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop>;
}

/// An instruction whose body is compiled for this processor.
pub fn compute<B: Body>(body: B) -> Compute {
    #[cfg(target_arch = "x86_64")]
    if has_vectors() {
        // SAFETY: `has_vectors` has found every feature that `run_vectors` is compiled for.
        return Box::new(move |cx, mask| unsafe { run_vectors(&body, cx, mask) });
    }
    Box::new(move |cx, mask| body.run(cx, mask))
}

/// Whether this processor has what [`run_vectors`] is compiled for (the standard library caches the answer).
#[cfg(target_arch = "x86_64")]
fn has_vectors() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
        && is_x86_feature_detected!("bmi2")
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c,bmi2")]
fn run_vectors<B: Body>(body: &B, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
    body.run(cx, mask)
}

/// An operation on one lane.
pub trait Op1<A, D>: Fn(A) -> D + Send + Sync + 'static {}
impl<A, D, F: Fn(A) -> D + Send + Sync + 'static> Op1<A, D> for F {}

/// An operation on two operands of one lane.
pub trait Op2<A, B, D>: Fn(A, B) -> D + Send + Sync + 'static {}
impl<A, B, D, F: Fn(A, B) -> D + Send + Sync + 'static> Op2<A, B, D> for F {}

/// An operation on three operands of one lane.
pub trait Op3<A, B, C, D>: Fn(A, B, C) -> D + Send + Sync + 'static {}
impl<A, B, C, D, F: Fn(A, B, C) -> D + Send + Sync + 'static> Op3<A, B, C, D> for F {}

/// `d = op(a)`.
pub fn unary<A: Lane, D: Lane>(d: Slot<D>, a: Slot<A>, op: impl Op1<A, D>) -> Compute {
    compute(Unary { d, a, op })
}

/// `d = op(a, b)`.
pub fn binary<A: Lane, B: Lane, D: Lane>(
    d: Slot<D>,
    a: Slot<A>,
    b: Slot<B>,
    op: impl Op2<A, B, D>,
) -> Compute {
    compute(Binary { d, a, b, op })
}

/// `d = op(a, b, c)`.
pub fn ternary<A: Lane, B: Lane, C: Lane, D: Lane>(
    d: Slot<D>,
    a: Slot<A>,
    b: Slot<B>,
    c: Slot<C>,
    op: impl Op3<A, B, C, D>,
) -> Compute {
    compute(Ternary { d, a, b, c, op })
}

/// The lanes of a test as a predicate: `p = test(a)`.
pub fn test<A: Lane>(p: PredicateSlot, a: Slot<A>, op: impl Op1<A, bool>) -> Compute {
    compute(Test { p, a, op })
}

/// A bit per lane.
#[inline(always)]
pub fn mask_of(lanes: &[bool; LANES]) -> Mask {
    let mut words = [0; LANES];
    for i in 0..LANES {
        words[i] = u32::from(lanes[i]).wrapping_neg();
    }
    signs(&words)
}

/// The sign bits of 32 words.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn signs(words: &[u32; LANES]) -> Mask {
    use std::arch::x86_64::{_mm_loadu_si128, _mm_movemask_epi8, _mm_packs_epi16, _mm_packs_epi32};
    let mut mask = 0;
    for half in 0..2 {
        // SAFETY: SSE2 is part of x86-64; the four loads of 16 bytes begin at words 16·half + 0, 4, 8, 12 of 32.
        let bits = unsafe {
            let from = words.as_ptr().add(16 * half);
            let load = |word: usize| _mm_loadu_si128(from.add(word).cast());
            let low = _mm_packs_epi32(load(0), load(4));
            let high = _mm_packs_epi32(load(8), load(12));
            _mm_movemask_epi8(_mm_packs_epi16(low, high))
        };
        mask |= (bits as Mask) << (16 * half);
    }
    mask
}

/// The sign bits of 32 words.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn signs(words: &[u32; LANES]) -> Mask {
    let mut mask = 0;
    for (i, word) in words.iter().enumerate() {
        mask |= (word >> 31) << i;
    }
    mask
}

struct Unary<A, D, F> {
    d: Slot<D>,
    a: Slot<A>,
    op: F,
}

impl<A: Lane, D: Lane, F: Op1<A, D>> Body for Unary<A, D, F> {
    #[inline(always)]
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
        let a = cx.registers.read(self.a);
        let mut d = [D::default(); LANES];
        for i in 0..LANES {
            d[i] = (self.op)(a[i]);
        }
        cx.registers.write(self.d, &d, mask);
        Ok(())
    }
}

struct Binary<A, B, D, F> {
    d: Slot<D>,
    a: Slot<A>,
    b: Slot<B>,
    op: F,
}

impl<A: Lane, B: Lane, D: Lane, F: Op2<A, B, D>> Body for Binary<A, B, D, F> {
    #[inline(always)]
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
        let a = cx.registers.read(self.a);
        let b = cx.registers.read(self.b);
        let mut d = [D::default(); LANES];
        for i in 0..LANES {
            d[i] = (self.op)(a[i], b[i]);
        }
        cx.registers.write(self.d, &d, mask);
        Ok(())
    }
}

struct Ternary<A, B, C, D, F> {
    d: Slot<D>,
    a: Slot<A>,
    b: Slot<B>,
    c: Slot<C>,
    op: F,
}

impl<A: Lane, B: Lane, C: Lane, D: Lane, F: Op3<A, B, C, D>> Body for Ternary<A, B, C, D, F> {
    #[inline(always)]
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
        let a = cx.registers.read(self.a);
        let b = cx.registers.read(self.b);
        let c = cx.registers.read(self.c);
        let mut d = [D::default(); LANES];
        for i in 0..LANES {
            d[i] = (self.op)(a[i], b[i], c[i]);
        }
        cx.registers.write(self.d, &d, mask);
        Ok(())
    }
}

struct Test<A, F> {
    p: PredicateSlot,
    a: Slot<A>,
    op: F,
}

impl<A: Lane, F: Op1<A, bool>> Body for Test<A, F> {
    #[inline(always)]
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
        let a = cx.registers.read(self.a);
        let mut lanes = [false; LANES];
        for i in 0..LANES {
            lanes[i] = (self.op)(a[i]);
        }
        cx.registers.set_predicate(self.p, mask_of(&lanes), mask);
        Ok(())
    }
}
