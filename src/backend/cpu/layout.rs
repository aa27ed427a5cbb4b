//! How a value lies in a slab buffer, and buffers aligned for SIMD.

use memmap2::MmapMut;
use std::ops::Range;

/// Lanes that every SIMD step handles together; a slab is 16, 32, 48 or 64 images wide.
pub const LANES: usize = 16;

/// A value of `c` channels of an `h`×`w` map inside a slab buffer.
///
/// The buffer holds `h·w` pixels of `pixel` rows each; a row is `lanes` floats, one per image. Channel `k` of
/// pixel `p` is row `p·pixel + offset + k·step`. A dense value has `pixel = c`, `offset = 0`, `step = 1`; a
/// part of a concatenation, a half of a split and every other channel of a shuffle are the same with other numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Height of the map.
    pub h: usize,
    /// Width of the map.
    pub w: usize,
    /// Channels of this value.
    pub c: usize,
    /// Rows per pixel of the buffer.
    pub pixel: usize,
    /// Row of channel 0 within a pixel.
    pub offset: usize,
    /// Rows from one channel to the next.
    pub step: usize,
    /// Images per row: a multiple of 16, at most 64.
    pub lanes: usize,
}

impl Layout {
    /// A value that fills its buffer.
    pub fn dense(c: usize, h: usize, w: usize, lanes: usize) -> Self {
        Layout { h, w, c, pixel: c, offset: 0, step: 1, lanes }
    }

    /// Floats in the whole buffer.
    pub fn buffer_len(&self) -> usize {
        self.h * self.w * self.pixel * self.lanes
    }

    /// Index of lane 0 of channel `c` of pixel `p`.
    #[inline(always)]
    pub fn at(&self, p: usize, c: usize) -> usize {
        (p * self.pixel + self.offset + c * self.step) * self.lanes
    }

    /// Channels `range` of this value.
    pub fn channels(&self, range: Range<usize>) -> Self {
        assert!(range.end <= self.c);
        Layout { c: range.len(), offset: self.offset + range.start * self.step, ..*self }
    }

    /// The part of the buffer that holds map rows `rows`.
    pub fn rows(&self, rows: Range<usize>) -> Range<usize> {
        let row = self.w * self.pixel * self.lanes;
        rows.start * row..rows.end * row
    }
}

/// A 64-byte line of floats, the unit of [`Aligned`]'s storage.
#[repr(C, align(64))]
#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
struct Line([f32; 16]);

/// Buffers from this size on are memory maps of their own, for which the system is asked to use huge pages: with
/// small ones, the weights and activations of a layer are more than the address caches of a core know.
const MAPPED_BYTES: usize = 2 << 20;

/// A buffer of floats that starts on a 64-byte boundary.
#[derive(Default)]
pub struct Aligned {
    lines: Lines,
    len: usize,
}

/// Where the lines lie.
enum Lines {
    Heap(Vec<Line>),
    Mapped(MmapMut),
}

impl Default for Lines {
    fn default() -> Self {
        Lines::Heap(Vec::new())
    }
}

impl Lines {
    fn zeros(count: usize) -> Self {
        let bytes = count * size_of::<Line>();
        let map = (bytes >= MAPPED_BYTES).then(|| MmapMut::map_anon(bytes.next_multiple_of(MAPPED_BYTES)));
        match map {
            Some(Ok(map)) => {
                #[cfg(target_os = "linux")]
                let _ = map.advise(memmap2::Advice::HugePage); // without them it is slower, not wrong
                Lines::Mapped(map)
            }
            _ => Lines::Heap(vec![bytemuck::Zeroable::zeroed(); count]),
        }
    }
}

impl Aligned {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        Aligned { lines: Lines::zeros(len.div_ceil(16)), len }
    }

    /// Makes room for at least `len` floats; what stands there is unspecified.
    pub fn reserve_len(&mut self, len: usize) -> &mut [f32] {
        if self.len < len {
            *self = Self::zeros(len);
        }
        &mut self[..len]
    }
}

impl Clone for Aligned {
    fn clone(&self) -> Self {
        let mut copy = Self::zeros(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl std::ops::Deref for Aligned {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        match &self.lines {
            Lines::Heap(lines) => &bytemuck::cast_slice(lines)[..self.len],
            Lines::Mapped(map) => &bytemuck::cast_slice(map)[..self.len],
        }
    }
}

impl std::ops::DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        match &mut self.lines {
            Lines::Heap(lines) => &mut bytemuck::cast_slice_mut(lines)[..self.len],
            Lines::Mapped(map) => &mut bytemuck::cast_slice_mut(map)[..self.len],
        }
    }
}
