//! Which bytes of global memory a launch has touched: a bit per byte, and counts of the bits that were new.

use super::global::{GlobalMemory, reserve};
use memmap2::MmapMut;
use std::sync::atomic::{AtomicU64, Ordering};

/// A set of addresses of a memory.
pub struct Touched {
    bits: MmapMut,
    start: u64,
    bytes: u64,
}

impl Touched {
    /// The empty set.
    pub fn new(memory: &GlobalMemory) -> std::io::Result<Self> {
        let (start, bytes) = memory.range();
        Ok(Touched { bits: reserve(bytes / 8 + 16)?, start, bytes })
    }

    /// Adds bytes, which must lie in the memory; how many of them were not in the set.
    #[inline(always)]
    pub fn add(&self, address: u64, bytes: u64) -> u64 {
        let mut at = address.wrapping_sub(self.start);
        debug_assert!(at <= self.bytes && bytes <= self.bytes - at);
        let (end, mut new) = (at + bytes, 0);
        while at < end {
            let piece = (64 - at % 64).min(end - at);
            let bits = (u64::MAX >> (64 - piece)) << (at % 64);
            let word = self.word(at / 64);
            let missing = bits & !word.load(Ordering::Relaxed);
            if missing != 0 {
                new += u64::from((missing & !word.fetch_or(missing, Ordering::Relaxed)).count_ones());
            }
            at += piece;
        }
        new
    }

    #[inline(always)]
    fn word(&self, index: u64) -> &AtomicU64 {
        // SAFETY: callers of `add` name bytes of the memory, for each of which the mapping has a bit; it is aligned to a
        // page, lives as long as `self`, and is only accessed through such atomics.
        unsafe { AtomicU64::from_ptr((self.bits.as_ptr() as *mut u64).add(index as usize)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_once() {
        let memory = GlobalMemory::new(1 << 16).unwrap();
        let touched = Touched::new(&memory).unwrap();
        let a = memory.allocate(1024).unwrap();
        assert_eq!(touched.add(a + 3, 128), 128);
        assert_eq!(touched.add(a, 4), 3);
        assert_eq!(touched.add(a, 256), 125);
        assert_eq!(touched.add(a, 256), 0);
    }
}
