//! What happens to a sum on its way from the registers to memory: an [`Epilogue`] applied to rows and tiles.

use super::layout::Layout;
use super::simd::{self, Isa};
use super::value::{Act, Epilogue, Target};
use crate::graph::Rectifier;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::ptr;

/// The last step, without its data; constants, as they are parameters of generic functions.
mod last {
    pub const NONE: u8 = 0;
    pub const RELU: u8 = 1;
    pub const RELU_SAVE: u8 = 2;
    pub const MASK: u8 = 3;
    /// Any other rectifier, with bits or without.
    pub const BEND: u8 = 4;
    /// Its backward.
    pub const BEND_MASK: u8 = 5;
}

/// Bytes that a core's own caches are sure to keep.
const NEAR_BYTES: usize = 4 << 20;

/// Bytes of a target from which on writing past the caches pays: storing into them would fetch every line first, and
/// push out what is still needed.
const STREAMED_BYTES: usize = 7 << 20;

/// The factor of an epilogue that only has a term, and the term of one that only has a factor.
static ONE: f32 = 1.0;
static ZERO: f32 = 0.0;

/// A [`Target`] and an [`Epilogue`] as kernels see them: checked once, then raw pointers.
#[derive(Clone, Copy)]
pub struct Output<'a> {
    y: *mut f32,
    layout: Layout,
    /// First pixel of the target's rows; `y` and `bits` start there.
    first: usize,
    /// Whether there is a factor or a term.
    affine: bool,
    scale: *const f32,
    /// Floats from one channel's factor to the next one's: 1, or 0 where all are [`ONE`].
    scale_step: usize,
    shift: *const f32,
    shift_step: usize,
    /// Null where there is none.
    add: *const f32,
    add_layout: Layout,
    accumulate: bool,
    /// Whether the target is larger than [`NEAR_BYTES`].
    far: bool,
    /// Whether the target is written past the caches: it is larger than [`STREAMED_BYTES`].
    streamed: bool,
    last: u8,
    /// What [`last::BEND`] and [`last::BEND_MASK`] do.
    rectifier: Rectifier,
    /// Null where none are read or written.
    bits: *mut u16,
    borrowed: PhantomData<&'a mut [f32]>,
}

/// An [`Output`] that is being written. When it goes, other threads may read the target.
pub struct Writing<'a>(Output<'a>);

impl<'a> Deref for Writing<'a> {
    type Target = Output<'a>;
    fn deref(&self) -> &Output<'a> {
        &self.0
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if self.0.streamed {
            simd::settle();
        }
    }
}

/// Memory that will be touched soon, asked for a row at a time while sums are being made: what a tile's epilogue
/// writes and adds, and input that later tiles read. Any address will do.
#[derive(Clone, Copy)]
pub struct Ahead {
    /// The row that is asked for next, and the one after it.
    rows: [*const f32; 2],
    /// Floats from row to row.
    steps: [usize; 2],
    /// Rows that have not been asked for, of both.
    left: usize,
    bits: *const f32,
    /// Lines of input, and how many.
    input: *const f32,
    lines: usize,
}

impl Ahead {
    /// Nothing to ask for.
    pub const NOTHING: Ahead = Ahead {
        rows: [ptr::null(); 2],
        steps: [0; 2],
        left: 0,
        bits: ptr::null(),
        input: ptr::null(),
        lines: 0,
    };

    /// With lines of input.
    #[inline(always)]
    pub fn with_input(self, input: *const f32, lines: usize) -> Self {
        Ahead { input, lines, ..self }
    }

    /// Calls of [`Ahead::next`] until nothing is left to ask for.
    #[inline(always)]
    pub fn steps(&self) -> usize {
        self.left.max(self.lines)
    }

    /// Asks for the next row and the next line of input.
    ///
    /// # Safety
    /// The machine has `I`'s instruction set.
    #[inline(always)]
    pub unsafe fn next<I: Isa, const NV: usize>(&mut self) {
        // SAFETY: the caller's promise; any address may be asked for.
        unsafe {
            {
                let [row, other] = self.rows;
                for v in 0..NV {
                    I::prefetch(row.wrapping_add(16 * v));
                }
                I::prefetch(self.bits);
                self.rows = [other, row.wrapping_add(self.steps[0])];
                self.steps = [self.steps[1], self.steps[0]];
                self.bits = self.bits.wrapping_add(1);
                self.left = self.left.saturating_sub(1);
            }
            I::prefetch_l2(self.input);
            self.input = self.input.wrapping_add(16);
            self.lines = self.lines.saturating_sub(1);
        }
    }
}

impl<'a> Output<'a> {
    /// Checks that everything has the size that the layout and the rows ask for.
    #[allow(clippy::new_ret_no_self)] // who writes has to hold the Writing
    pub fn new(target: Target<'a>, epilogue: Epilogue<'a>) -> Writing<'a> {
        let (layout, rows) = (target.layout, target.rows);
        let part = layout.rows(rows.clone());
        assert!(rows.end <= layout.h && target.data.len() == part.len(), "rows of a target");
        assert!(
            layout.c == 0 || layout.offset + (layout.c - 1) * layout.step < layout.pixel,
            "layout of a target"
        );
        let channels = |values: Option<&'a [f32]>, otherwise: &'static f32, what: &str| {
            values.map_or((ptr::from_ref(otherwise), 0), |values| {
                assert_eq!(values.len(), layout.c, "{what} per written channel");
                (values.as_ptr(), 1)
            })
        };
        let (scale, scale_step) = channels(epilogue.scale, &ONE, "factor");
        let (shift, shift_step) = channels(epilogue.shift, &ZERO, "term");
        let (add, add_layout) = epilogue.add.map_or((ptr::null(), layout), |add| {
            let a = add.layout;
            assert_eq!((a.h, a.w, a.c), (layout.h, layout.w, layout.c), "shape of an addend");
            add.check(layout.lanes);
            (add.data.as_ptr(), a)
        });
        let words = |len: usize, what: &str| assert_eq!(len, part.len() / 16, "sign bits to {what}");
        let (last, rectifier, bits) = match epilogue.act {
            Act::None => (last::NONE, Rectifier::RELU, ptr::null_mut()),
            Act::Rectify(Rectifier::RELU) => (last::RELU, Rectifier::RELU, ptr::null_mut()),
            Act::Rectify(rectifier) => (last::BEND, rectifier, ptr::null_mut()),
            Act::RectifySave(rectifier, bits) => {
                words(bits.len(), "save");
                let last = if rectifier == Rectifier::RELU { last::RELU_SAVE } else { last::BEND };
                (last, rectifier, bits.as_mut_ptr())
            }
            Act::Mask(bits, below) => {
                words(bits.len(), "apply");
                let last = if below == 0.0 { last::MASK } else { last::BEND_MASK };
                (last, Rectifier { below, capped: false }, bits.as_ptr().cast_mut())
            }
        };
        Writing(Output {
            y: target.data.as_mut_ptr(),
            layout,
            first: rows.start * layout.w,
            affine: epilogue.scale.is_some() || epilogue.shift.is_some(),
            scale,
            scale_step,
            shift,
            shift_step,
            add,
            add_layout,
            accumulate: epilogue.accumulate,
            far: 4 * part.len() > NEAR_BYTES,
            streamed: 4 * part.len() > STREAMED_BYTES && target.data.as_ptr().addr().is_multiple_of(64),
            last,
            rectifier,
            bits,
            borrowed: PhantomData,
        })
    }

    /// The layout of the written value.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// What [`Output::tile`] is going to write and add, to be asked for while the sums are still being made.
    #[inline(always)]
    pub fn ahead<const KB: usize>(&self, pixel: usize, channel: usize, lane: usize) -> Ahead {
        let (l, a) = (&self.layout, &self.add_layout);
        let y = self.y.wrapping_add(l.at(pixel - self.first, channel) + lane).cast_const();
        let y_step = l.step * l.lanes;
        let (rows, steps, left) = match self.add.is_null() {
            true if self.streamed => ([y; 2], [0; 2], 0),
            true => ([y, y.wrapping_add(y_step)], [2 * y_step; 2], KB),
            false if self.streamed => {
                let add = self.add.wrapping_add(a.at(pixel, channel) + lane);
                let step = a.step * a.lanes;
                ([add, add.wrapping_add(step)], [2 * step; 2], KB)
            }
            false => {
                let add = self.add.wrapping_add(a.at(pixel, channel) + lane);
                ([add, y], [a.step * a.lanes, y_step], 2 * KB)
            }
        };
        let bits = if !self.bits.is_null() {
            self.bits.wrapping_add(l.at(pixel - self.first, channel) / 16).cast()
        } else {
            y
        };
        Ahead { rows, steps, left, bits, input: y, ..Ahead::NOTHING }
    }

    /// Whether [`Output::prefetch`] asks for anything.
    pub fn wants_prefetch(&self) -> bool {
        self.far && !self.streamed || !self.add.is_null()
    }

    /// Asks for what a row adds, and, where the target is too large to stay in a cache, for the row itself.
    ///
    /// # Safety
    /// As for [`Output::tile`], for one row.
    #[inline(always)]
    pub unsafe fn prefetch<I: Isa, const NV: usize>(&self, pixel: usize, channel: usize, lane: usize) {
        // SAFETY: the caller promises the instruction set; any address may be asked for.
        unsafe {
            if self.far && !self.streamed {
                let y = self.y.wrapping_add(self.layout.at(pixel - self.first, channel) + lane);
                for v in 0..NV {
                    I::prefetch(y.wrapping_add(16 * v));
                }
            }
            if !self.add.is_null() {
                let add = self.add.wrapping_add(self.add_layout.at(pixel, channel) + lane);
                for v in 0..NV {
                    I::prefetch(add.wrapping_add(16 * v));
                }
            }
        }
    }

    /// Finishes and stores lanes `lane..lane + 16·NV` of channels `channel..channel + KB` of map pixel `pixel`.
    ///
    /// # Safety
    /// The machine has `I`'s instruction set; the pixel lies in the target's rows, the channels and lanes in its layout.
    #[inline(always)]
    pub unsafe fn tile<I: Isa, const KB: usize, const NV: usize>(
        &self,
        pixel: usize,
        channel: usize,
        lane: usize,
        acc: &[[I::V; NV]; KB],
    ) {
        // SAFETY: the caller's promise. All rows of a tile go one way, which is chosen here once.
        unsafe {
            // Narrow tiles of wide registers, tiles without intrinsics and rectifiers that bend otherwise than ReLU go the
            // general way: each form that is compiled for them costs build time and gains little.
            let listed = const { NV > 1 || I::ACCUMULATORS < 28 && I::ACCUMULATORS > 3 };
            let listed = listed && self.last <= last::MASK;
            if listed && !self.add.is_null() && !self.accumulate {
                match (self.affine, self.last) {
                    (true, last::RELU) => {
                        return self.rows::<I, KB, NV, true, true, { last::RELU }>(pixel, channel, lane, acc);
                    }
                    (true, last::RELU_SAVE) => {
                        return self
                            .rows::<I, KB, NV, true, true, { last::RELU_SAVE }>(pixel, channel, lane, acc);
                    }
                    (false, last::MASK) => {
                        return self
                            .rows::<I, KB, NV, false, true, { last::MASK }>(pixel, channel, lane, acc);
                    }
                    _ => {}
                }
            }
            if listed && self.add.is_null() && !self.accumulate && (!self.affine || self.last != last::MASK) {
                match (self.affine, self.last) {
                    (false, last::NONE) => {
                        self.rows::<I, KB, NV, false, false, { last::NONE }>(pixel, channel, lane, acc)
                    }
                    (false, last::MASK) => {
                        self.rows::<I, KB, NV, false, false, { last::MASK }>(pixel, channel, lane, acc)
                    }
                    (_, last::NONE) => {
                        self.rows::<I, KB, NV, true, false, { last::NONE }>(pixel, channel, lane, acc)
                    }
                    (_, last::RELU) => {
                        self.rows::<I, KB, NV, true, false, { last::RELU }>(pixel, channel, lane, acc)
                    }
                    _ => self.rows::<I, KB, NV, true, false, { last::RELU_SAVE }>(pixel, channel, lane, acc),
                }
            } else {
                // This loop isn't unrolled, so that it needs the sums in memory. It gets its own copy of them: otherwise
                // they would live in memory on the ways above, too.
                let mut sums = MaybeUninit::<[[I::V; NV]; KB]>::uninit();
                sums.write(*acc);
                for (k, row) in sums.assume_init_ref().iter().enumerate() {
                    self.row::<I, NV>(pixel, channel + k, lane, *row);
                }
            }
        }
    }

    /// Finishes and stores lanes `lane..lane + 16·NV` of channel `channel` of map pixel `pixel`.
    ///
    /// # Safety
    /// As for [`Output::tile`].
    #[inline(always)]
    pub unsafe fn row<I: Isa, const NV: usize>(
        &self,
        pixel: usize,
        channel: usize,
        lane: usize,
        v: [I::V; NV],
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.last {
                last::NONE => self.rows::<I, 1, NV, true, true, { last::NONE }>(pixel, channel, lane, &[v]),
                last::RELU => self.rows::<I, 1, NV, true, true, { last::RELU }>(pixel, channel, lane, &[v]),
                last::RELU_SAVE => {
                    self.rows::<I, 1, NV, true, true, { last::RELU_SAVE }>(pixel, channel, lane, &[v])
                }
                last::MASK => self.rows::<I, 1, NV, true, true, { last::MASK }>(pixel, channel, lane, &[v]),
                last::BEND => self.rows::<I, 1, NV, true, true, { last::BEND }>(pixel, channel, lane, &[v]),
                _ => self.rows::<I, 1, NV, true, true, { last::BEND_MASK }>(pixel, channel, lane, &[v]),
            }
        }
    }

    /// [`Output::tile`] for one form of epilogue: with factor and term or not, with `add` and `accumulate` or not, and
    /// one last step. What the epilogue has must be among what the form has.
    ///
    /// # Safety
    /// As for [`Output::tile`].
    #[inline(always)]
    unsafe fn rows<
        I: Isa,
        const KB: usize,
        const NV: usize,
        const AFFINE: bool,
        const ADD: bool,
        const LAST: u8,
    >(
        &self,
        pixel: usize,
        channel: usize,
        lane: usize,
        acc: &[[I::V; NV]; KB],
    ) {
        // A copy that stores can't change as far as the compiler knows: nothing is read again from row to row.
        let out = *self;
        let at = out.layout.at(pixel - out.first, channel) + lane;
        let step = out.layout.step * out.layout.lanes;
        // SAFETY: `new` checked that all slices cover the target's rows and channels, in which the caller promises
        // that pixel, channels and lanes lie; a null addend is not read.
        unsafe {
            let first_y = out.y.add(at);
            let first_bits = if LAST >= last::RELU_SAVE { out.bits.wrapping_add(at / 16) } else { out.bits };
            let first_scale = out.scale.add(channel * out.scale_step);
            let first_shift = out.shift.add(channel * out.shift_step);
            // Unrolled by hand: the compiler gives up at the taller tiles, whose sums would then have to lie in memory.
            macro_rules! each_row {
                ($($k:literal)*) => {$(if $k < KB {
                    let mut v = acc[$k];
                    let (y, bits) = (first_y.add($k * step), first_bits.wrapping_add($k * (step / 16)));
                    if AFFINE {
                        let (scale, shift) = (first_scale.add($k * out.scale_step), first_shift.add($k * out.shift_step));
                        let (a, b) = (I::splat_at(scale), I::splat_at(shift));
                        for v in v.iter_mut() {
                            *v = I::fma(*v, a, b);
                        }
                    }
                    if ADD && !out.add.is_null() {
                        let add = out.add.add(out.add_layout.at(pixel, channel + $k) + lane);
                        for (i, v) in v.iter_mut().enumerate() {
                            *v = I::add(*v, I::load(add.add(16 * i)));
                        }
                    }
                    for (i, v) in v.iter_mut().enumerate() {
                        if ADD && out.accumulate {
                            *v = I::add(*v, I::load(y.add(16 * i)));
                        }
                        match LAST {
                            last::RELU => *v = I::max(*v, I::splat(0.0)),
                            last::RELU_SAVE => {
                                *bits.add(i) = I::gt(*v, I::splat(0.0));
                                *v = I::max(*v, I::splat(0.0));
                            }
                            last::MASK => *v = I::keep(*bits.add(i), *v),
                            last::BEND => {
                                let (bent, straight) = bend::<I>(out.rectifier, *v);
                                if !out.bits.is_null() {
                                    *bits.add(i) = straight;
                                }
                                *v = bent;
                            }
                            last::BEND_MASK => {
                                *v = I::select(*bits.add(i), *v, I::mul(*v, I::splat(out.rectifier.below)));
                            }
                            _ => {}
                        }
                        match out.streamed {
                            true => I::stream(y.add(16 * i), *v),
                            false => I::store(y.add(16 * i), *v),
                        }
                    }
                })*};
            }
            const { assert!(KB <= 14, "rows that are listed here") }
            each_row!(0 1 2 3 4 5 6 7 8 9 10 11 12 13);
        }
    }
}

/// What a rectifier makes of numbers, and the bits where its derivative is 1.
///
/// # Safety
/// The machine has `I`'s instruction set.
#[inline(always)]
unsafe fn bend<I: Isa>(rectifier: Rectifier, v: I::V) -> (I::V, u16) {
    // SAFETY: as the caller promises.
    unsafe {
        let positive = I::gt(v, I::splat(0.0));
        if rectifier.capped {
            let cap = I::splat(Rectifier::CAP);
            return (I::min(I::max(v, I::splat(0.0)), cap), positive & I::gt(cap, v));
        }
        (I::select(positive, v, I::mul(v, I::splat(rectifier.below))), positive)
    }
}
