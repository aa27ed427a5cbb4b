//! What happens to a sum on its way from the registers to memory: an [`Epilogue`] applied to rows and tiles.

use super::conv2d::{Act, Epilogue, Target};
use super::layout::Layout;
use super::simd::Isa;
use std::marker::PhantomData;
use std::ptr;

/// The last step, without its data.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    None,
    Relu,
    ReluSave,
    Mask,
}

/// A [`Target`] and an [`Epilogue`] as kernels see them: checked once, then raw pointers.
#[derive(Clone, Copy)]
pub struct Output<'a> {
    y: *mut f32,
    layout: Layout,
    /// First pixel of the target's rows; `y` and `bits` start there.
    first: usize,
    /// Null where the epilogue has none; so `shift` and `add`.
    scale: *const f32,
    shift: *const f32,
    add: *const f32,
    add_layout: Layout,
    accumulate: bool,
    last: Last,
    bits: *mut u16,
    borrowed: PhantomData<&'a mut [f32]>,
}

impl<'a> Output<'a> {
    /// Checks that everything has the size that the layout and the rows ask for.
    pub fn new(target: Target<'a>, epilogue: Epilogue<'a>) -> Self {
        let (layout, rows) = (target.layout, target.rows);
        let part = layout.rows(rows.clone());
        assert!(rows.end <= layout.h && target.data.len() == part.len(), "rows of a target");
        assert!(
            layout.c == 0 || layout.offset + (layout.c - 1) * layout.step < layout.pixel,
            "layout of a target"
        );
        let channels = |values: Option<&[f32]>, what: &str| {
            values.map_or(ptr::null(), |values| {
                assert_eq!(values.len(), layout.c, "{what} per written channel");
                values.as_ptr()
            })
        };
        let (add, add_layout) = epilogue.add.map_or((ptr::null(), layout), |add| {
            let a = add.layout;
            assert_eq!((a.h, a.w, a.c), (layout.h, layout.w, layout.c), "shape of an addend");
            add.check(layout.lanes);
            (add.data.as_ptr(), a)
        });
        let (last, bits) = match epilogue.act {
            Act::None => (Last::None, ptr::null_mut()),
            Act::Relu => (Last::Relu, ptr::null_mut()),
            Act::ReluSave(bits) => {
                assert_eq!(bits.len(), part.len() / 16, "sign bits to save");
                (Last::ReluSave, bits.as_mut_ptr())
            }
            Act::Mask(bits) => {
                assert_eq!(bits.len(), part.len() / 16, "sign bits to apply");
                (Last::Mask, bits.as_ptr().cast_mut())
            }
        };
        Output {
            y: target.data.as_mut_ptr(),
            layout,
            first: rows.start * layout.w,
            scale: channels(epilogue.scale, "factor"),
            shift: channels(epilogue.shift, "term"),
            add,
            add_layout,
            accumulate: epilogue.accumulate,
            last,
            bits,
            borrowed: PhantomData,
        }
    }

    /// The layout of the written value.
    pub fn layout(&self) -> Layout {
        self.layout
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
        for (k, row) in acc.iter().enumerate() {
            // SAFETY: the caller's promise, channel by channel.
            unsafe { self.row::<I, NV>(pixel, channel + k, lane, *row) }
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
        mut v: [I::V; NV],
    ) {
        let at = self.layout.at(pixel - self.first, channel) + lane;
        // SAFETY: `new` checked that all slices cover the target's rows and channels, in which the caller promises
        // that pixel, channel and lanes lie; null pointers are not read.
        unsafe {
            if !self.scale.is_null() {
                let scale = I::splat_at(self.scale.add(channel));
                v = v.map(|v| I::mul(v, scale));
            }
            if !self.shift.is_null() {
                let shift = I::splat_at(self.shift.add(channel));
                v = v.map(|v| I::add(v, shift));
            }
            if !self.add.is_null() {
                let add = self.add.add(self.add_layout.at(pixel, channel) + lane);
                for (i, v) in v.iter_mut().enumerate() {
                    *v = I::add(*v, I::load(add.add(16 * i)));
                }
            }
            let y = self.y.add(at);
            for (i, v) in v.iter_mut().enumerate() {
                if self.accumulate {
                    *v = I::add(*v, I::load(y.add(16 * i)));
                }
                match self.last {
                    Last::None => {}
                    Last::Relu => *v = I::max(*v, I::splat(0.0)),
                    Last::ReluSave => {
                        *self.bits.add(at / 16 + i) = I::gt(*v, I::splat(0.0));
                        *v = I::max(*v, I::splat(0.0));
                    }
                    Last::Mask => *v = I::keep(*self.bits.add(at / 16 + i), *v),
                }
                I::store(y.add(16 * i), *v);
            }
        }
    }
}
