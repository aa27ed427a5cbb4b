//! The register file of a warp: rows of 32 lanes.
//!
//! A virtual register of up to 32 bits takes one row, of 64 bits two, of 128 bits four; predicates are bit masks in a
//! file of their own. Immediates, addresses of symbols and special registers that do not change while a warp runs
//! (`%tid`, `%ctaid`) are rows too, filled when the function is entered: an instruction only ever reads rows.
//! Slots count from the frame of the running function. Lanes are columns that nothing else touches, so diverged lanes
//! may sit in different frames of the same file.

use std::marker::PhantomData;

/// Lanes of a warp.
pub const LANES: usize = 32;

/// A set of lanes.
pub type Mask = u32;

/// 32 lanes of 32 bits.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Row(pub [u32; LANES]);

/// Where a value of type `T` lies: a row of the frame.
pub struct Slot<T> {
    pub row: u32,
    kind: PhantomData<fn() -> T>,
}

impl<T> Slot<T> {
    pub fn new(row: u32) -> Self {
        Slot { row, kind: PhantomData }
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Slot<T> {}

/// A predicate of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PredicateSlot(pub u32);

/// The register file.
#[derive(Default)]
pub struct Registers {
    pub rows: Vec<Row>,
    pub predicates: Vec<Mask>,
    /// First row and first predicate of the running frame.
    pub base: usize,
    pub predicate_base: usize,
}

/// A value that a register can hold: how 32 lanes of it are read and written.
pub trait Lane: Copy + Default + Send + Sync + 'static {
    /// Rows that it takes.
    const ROWS: usize;
    /// All lanes.
    fn read(file: &Registers, slot: Slot<Self>) -> [Self; LANES];
    /// The lanes of `mask`; the others stay.
    fn write(file: &mut Registers, slot: Slot<Self>, value: &[Self; LANES], mask: Mask);
    /// The bits of one value, zero-extended.
    fn to_bits(self) -> u128;
    /// The value of the low bits.
    fn from_bits(bits: u128) -> Self;
}

/// Types of 32 bits: the row as it is.
macro_rules! lane32 {
    ($($t:ty: $to:expr, $from:expr;)*) => {$(
        impl Lane for $t {
            const ROWS: usize = 1;
            #[inline(always)]
            fn read(file: &Registers, slot: Slot<Self>) -> [Self; LANES] {
                let row = &file.rows[file.base + slot.row as usize].0;
                let mut out = [<$t>::default(); LANES];
                for i in 0..LANES { out[i] = $from(row[i]); }
                out
            }
            #[inline(always)]
            fn write(file: &mut Registers, slot: Slot<Self>, value: &[Self; LANES], mask: Mask) {
                let row = &mut file.rows[file.base + slot.row as usize].0;
                if mask == Mask::MAX {
                    for i in 0..LANES { row[i] = $to(value[i]); }
                } else {
                    let mut bits = [0; LANES];
                    for i in 0..LANES { bits[i] = $to(value[i]); }
                    merge_u32(row, &bits, mask);
                }
            }
            #[inline(always)]
            fn to_bits(self) -> u128 { u128::from($to(self)) }
            #[inline(always)]
            fn from_bits(bits: u128) -> Self { $from(bits as u32) }
        }
    )*};
}

lane32! {
    u32: (|v: u32| v), (|v: u32| v);
    i32: (|v: i32| v as u32), (|v: u32| v as i32);
    f32: f32::to_bits, f32::from_bits;
    u16: (|v: u16| u32::from(v)), (|v: u32| v as u16);
    i16: (|v: i16| u32::from(v as u16)), (|v: u32| v as i16);
    u8: (|v: u8| u32::from(v)), (|v: u32| v as u8);
    i8: (|v: i8| u32::from(v as u8)), (|v: u32| v as i8);
    half::f16: (|v: half::f16| u32::from(v.to_bits())), (|v: u32| half::f16::from_bits(v as u16));
    half::bf16: (|v: half::bf16| u32::from(v.to_bits())), (|v: u32| half::bf16::from_bits(v as u16));
}

/// Types of several rows: lane i of the value is the `ROWS` consecutive words from word `i·ROWS` of the rows taken
/// together, so that a value of 64 bits is contiguous.
macro_rules! lane_wide {
    ($($t:ty, $rows:literal, $bits:ty, $merge:ident: $to:expr, $from:expr;)*) => {$(
        impl Lane for $t {
            const ROWS: usize = $rows;
            #[inline(always)]
            fn read(file: &Registers, slot: Slot<Self>) -> [Self; LANES] {
                let rows = &file.rows[file.base + slot.row as usize..][..$rows];
                // SAFETY: the rows are contiguous, as long as 32 values, aligned to 64 bytes, and any bits are a value.
                unsafe { *rows.as_ptr().cast() }
            }
            #[inline(always)]
            fn write(file: &mut Registers, slot: Slot<Self>, value: &[Self; LANES], mask: Mask) {
                let rows = &mut file.rows[file.base + slot.row as usize..][..$rows];
                if mask == Mask::MAX {
                    // SAFETY: as in `read`; the borrow of the rows is exclusive.
                    let lanes: &mut [$bits; LANES] = unsafe { &mut *rows.as_mut_ptr().cast() };
                    for i in 0..LANES { lanes[i] = $to(value[i]); }
                } else {
                    let mut bits: [$bits; LANES] = [0; LANES];
                    for i in 0..LANES { bits[i] = $to(value[i]); }
                    // SAFETY: as in `read`; the words of `bits` are as many, and aligned.
                    unsafe { $merge(&mut *rows.as_mut_ptr().cast(), &*bits.as_ptr().cast(), mask) };
                }
            }
            #[inline(always)]
            fn to_bits(self) -> u128 { u128::from($to(self)) }
            #[inline(always)]
            fn from_bits(bits: u128) -> Self { $from(bits) }
        }
    )*};
}

lane_wide! {
    u64, 2, u64, merge_u64: (|v: u64| v), (|v: u128| v as u64);
    i64, 2, u64, merge_u64: (|v: i64| v as u64), (|v: u128| v as i64);
    f64, 2, u64, merge_u64: f64::to_bits, (|v: u128| f64::from_bits(v as u64));
    u128, 4, u128, merge_u128: (|v: u128| v), (|v: u128| v);
}

/// Takes the lanes of `mask`, of so many words each, from `value`. Out of line: every instruction has this path, few take
/// it often.
macro_rules! merge {
    ($($name:ident: $words:literal;)*) => {$(
        #[inline(never)]
        fn $name(words: &mut [u32; LANES * $words], value: &[u32; LANES * $words], mask: Mask) {
            for i in 0..LANES * $words {
                let chosen = u32::from(mask & 1 << (i / $words) != 0).wrapping_neg();
                words[i] ^= (words[i] ^ value[i]) & chosen;
            }
        }
    )*};
}

merge! { merge_u32: 1; merge_u64: 2; merge_u128: 4; }

impl Registers {
    /// All lanes of a value.
    #[inline(always)]
    pub fn read<T: Lane>(&self, slot: Slot<T>) -> [T; LANES] {
        T::read(self, slot)
    }

    /// Writes the lanes of `mask`.
    #[inline(always)]
    pub fn write<T: Lane>(&mut self, slot: Slot<T>, value: &[T; LANES], mask: Mask) {
        T::write(self, slot, value, mask);
    }

    /// The lanes where a predicate holds.
    #[inline(always)]
    pub fn predicate(&self, slot: PredicateSlot) -> Mask {
        self.predicates[self.predicate_base + slot.0 as usize]
    }

    /// Sets a predicate in the lanes of `mask`.
    #[inline(always)]
    pub fn set_predicate(&mut self, slot: PredicateSlot, value: Mask, mask: Mask) {
        let p = &mut self.predicates[self.predicate_base + slot.0 as usize];
        *p = *p & !mask | value & mask;
    }
}

/// The lanes of a mask, in order.
#[inline(always)]
pub fn lanes(mut mask: Mask) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        (mask != 0).then(|| {
            let lane = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            lane
        })
    })
}
