//! What belongs to a warp: the local memory of its lanes.

use super::global::state;
use crate::state::registers::LANES;

/// Local memory: variables of functions, and parameters and results of calls. A lane's bytes lie together.
pub struct WarpMemory {
    bytes: Vec<u8>,
    /// Which of them are written.
    shadow: Vec<u8>,
    per_lane: usize,
}

impl WarpMemory {
    /// Local memory of so many bytes per lane.
    pub fn new(per_lane: usize) -> Self {
        // The shadow starts as zero, not as `UNWRITTEN`: large stacks then take no memory before they are used.
        WarpMemory { bytes: vec![0; per_lane * LANES], shadow: vec![0; per_lane * LANES], per_lane }
    }

    /// Bytes of a lane.
    pub fn bytes_per_lane(&self) -> u64 {
        self.per_lane as u64
    }

    /// Where bytes of a lane lie in the whole, if they do.
    #[inline(always)]
    fn place(&self, lane: usize, address: u64, bytes: usize) -> Option<std::ops::Range<usize>> {
        let end = address.checked_add(bytes as u64)?;
        let start = lane * self.per_lane + address as usize;
        (end <= self.per_lane as u64).then_some(start..start + bytes)
    }

    /// Copies bytes of a lane's local memory, with what is known of them. The caller knows that they lie in it.
    pub fn copy_local(&mut self, lane: usize, from: u64, to: u64, bytes: usize) {
        if let (Some(from), Some(to)) = (self.place(lane, from, bytes), self.place(lane, to, bytes)) {
            self.bytes.copy_within(from.clone(), to.start);
            self.shadow.copy_within(from, to.start);
        }
    }

    /// Reads bytes of a lane's local memory, unchecked by the checks; zeros where it has none.
    pub fn peek_local(&self, lane: usize, address: u64, out: &mut [u8]) {
        match self.place(lane, address, out.len()) {
            Some(place) => out.copy_from_slice(&self.bytes[place]),
            None => out.fill(0),
        }
    }

    /// Writes bytes of a lane's local memory, where it has them.
    pub fn poke_local(&mut self, lane: usize, address: u64, bytes: &[u8]) {
        if let Some(place) = self.place(lane, address, bytes.len()) {
            self.bytes[place.clone()].copy_from_slice(bytes);
            self.shadow[place].fill(state::WRITTEN);
        }
    }

    /// Reads; also whether any byte is written. `None`: out of bounds.
    #[inline(always)]
    pub(super) fn load<const W: usize>(&self, lane: usize, address: u64) -> Option<([u8; W], bool)> {
        let place = self.place(lane, address, W)?;
        let bytes = self.bytes[place.clone()].try_into().ok()?;
        let known = self.shadow[place].iter().fold(0, |all, s| all | s);
        Some((bytes, known != 0))
    }

    /// Writes; `None`: out of bounds.
    #[inline(always)]
    pub(super) fn store<const W: usize>(&mut self, lane: usize, address: u64, value: &[u8; W]) -> Option<()> {
        let place = self.place(lane, address, W)?;
        self.bytes[place.clone()].copy_from_slice(value);
        self.shadow[place].fill(state::WRITTEN);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_have_their_own() {
        let mut memory = WarpMemory::new(16);
        memory.poke_local(3, 4, &[1, 2, 3, 4]);
        assert_eq!(memory.load::<4>(3, 4), Some(([1, 2, 3, 4], true)));
        assert_eq!(memory.load::<4>(2, 4), Some(([0; 4], false)));
        assert_eq!(memory.load::<4>(3, 13), None);
        assert_eq!(memory.store(3, u64::MAX, &[0]), None);
        memory.copy_local(3, 4, 8, 4);
        memory.copy_local(3, 0, 12, 4);
        assert_eq!(memory.load::<4>(3, 8), Some(([1, 2, 3, 4], true)));
        assert_eq!(memory.load::<4>(3, 12), Some(([0; 4], false)));
    }
}
