//! Which addresses are allocated: bookkeeping without memory of its own.
//!
//! Addresses are handed out upwards, with gaps, and what is freed stays unused as long as there is room, so that late
//! accesses are recognised. Only when the end is reached the oldest freed ranges are used again.

use std::collections::{BTreeMap, VecDeque};

/// Allocations begin at multiples of this, and at least so many bytes lie between two of them.
pub const ALIGNMENT: u64 = 256;

/// Who may touch an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The device; the host through copies.
    Device,
    /// Host and device: pinned or managed memory. It counts as written from the start.
    Host,
}

/// An allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    pub address: u64,
    pub bytes: u64,
    pub owner: Owner,
    /// Counts all allocations of a device, in order.
    pub number: u64,
}

/// The address range of a device.
pub struct Heap {
    /// Never handed out so far: from here to `end`.
    fresh: u64,
    end: u64,
    /// Bytes that may be allocated at once, and are.
    limit: u64,
    used: u64,
    count: u64,
    live: BTreeMap<u64, Allocation>,
    /// Freed ranges, oldest first: address and span.
    quarantine: VecDeque<(u64, u64)>,
    /// Ranges that can be used again: span by address.
    free: BTreeMap<u64, u64>,
}

/// What an allocation takes of the address range.
fn span(bytes: u64) -> Option<u64> {
    bytes.max(1).checked_next_multiple_of(ALIGNMENT)?.checked_add(ALIGNMENT)
}

/// What it takes of the limit.
fn charge(bytes: u64) -> u64 {
    bytes.max(1).next_multiple_of(ALIGNMENT)
}

impl Heap {
    pub fn new(start: u64, end: u64, limit: u64) -> Self {
        Heap {
            fresh: start.next_multiple_of(ALIGNMENT) + ALIGNMENT,
            end,
            limit,
            used: 0,
            count: 0,
            live: BTreeMap::new(),
            quarantine: VecDeque::new(),
            free: BTreeMap::new(),
        }
    }

    pub fn limit(&self) -> u64 {
        self.limit
    }

    pub fn used(&self) -> u64 {
        self.used
    }

    /// Finds room. `recycle` is told ranges (address, bytes) that stop being freed memory.
    pub fn allocate(&mut self, bytes: u64, owner: Owner, mut recycle: impl FnMut(u64, u64)) -> Option<u64> {
        let span = span(bytes)?;
        if charge(bytes) > self.limit - self.used {
            return None;
        }
        let address = if span <= self.end - self.fresh {
            self.fresh += span;
            self.fresh - span
        } else {
            loop {
                if let Some(address) = self.reuse(span) {
                    break address;
                }
                let (address, span) = self.quarantine.pop_front()?;
                recycle(address, span);
                self.release(address, span);
            }
        };
        self.used += charge(bytes);
        self.live.insert(address, Allocation { address, bytes, owner, number: self.count });
        self.count += 1;
        Some(address)
    }

    /// The first free range that is large enough.
    fn reuse(&mut self, span: u64) -> Option<u64> {
        let (&address, &room) = self.free.iter().find(|&(_, &room)| room >= span)?;
        self.free.remove(&address);
        if room > span {
            self.free.insert(address + span, room - span);
        }
        Some(address)
    }

    /// Makes a range free, together with its neighbours.
    fn release(&mut self, mut address: u64, mut span: u64) {
        if let Some((&before, &room)) = self.free.range(..address).next_back()
            && before + room == address
        {
            self.free.remove(&before);
            (address, span) = (before, room + span);
        }
        if let Some(room) = self.free.remove(&(address + span)) {
            span += room;
        }
        self.free.insert(address, span);
    }

    /// Ends an allocation that begins at this address.
    pub fn free(&mut self, address: u64) -> Option<Allocation> {
        let allocation = self.live.remove(&address)?;
        self.used -= charge(allocation.bytes);
        if let Some(span) = span(allocation.bytes) {
            self.quarantine.push_back((address, span));
        }
        Some(allocation)
    }

    /// The allocation that an address lies in.
    pub fn find(&self, address: u64) -> Option<Allocation> {
        let (_, allocation) = self.live.range(..=address).next_back()?;
        // An empty allocation contains its own address.
        (address - allocation.address < allocation.bytes.max(1)).then_some(*allocation)
    }

    /// The allocation at or below an address.
    pub fn below(&self, address: u64) -> Option<Allocation> {
        self.live.range(..=address).next_back().map(|(_, a)| *a)
    }

    /// All allocations, by address.
    pub fn live(&self) -> Vec<Allocation> {
        self.live.values().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_ranges_rest_until_the_end_is_reached() {
        let mut heap = Heap::new(0, 4096, 1 << 20);
        let mut recycled = Vec::new();
        let a = heap.allocate(1000, Owner::Device, |_, _| {}).unwrap();
        let b = heap.allocate(1000, Owner::Device, |_, _| {}).unwrap();
        assert!(b >= a + 1024 + ALIGNMENT && a.is_multiple_of(ALIGNMENT));
        assert!(heap.free(a).is_some() && heap.free(a).is_none());
        let c = heap.allocate(900, Owner::Device, |_, _| {}).unwrap();
        assert!(c > b, "the freed range rests");
        let d = heap.allocate(1000, Owner::Device, |at, bytes| recycled.push((at, bytes))).unwrap();
        assert_eq!((d, recycled), (a, vec![(a, 1280)]));
        assert_eq!(heap.allocate(1, Owner::Device, |_, _| {}), None);
    }

    #[test]
    fn neighbours_join() {
        let mut heap = Heap::new(0, 4096, 1 << 20);
        let all: Vec<u64> = (0..7).map(|_| heap.allocate(256, Owner::Device, |_, _| {}).unwrap()).collect();
        for &address in [all[2], all[0], all[1]].iter() {
            heap.free(address);
        }
        assert_eq!(heap.allocate(1280, Owner::Device, |_, _| {}), Some(all[0]));
    }

    #[test]
    fn the_limit_holds() {
        let mut heap = Heap::new(0, 1 << 30, 1024);
        assert_eq!(heap.allocate(1025, Owner::Device, |_, _| {}), None);
        let a = heap.allocate(513, Owner::Device, |_, _| {}).unwrap();
        assert_eq!((heap.used(), heap.allocate(512, Owner::Device, |_, _| {})), (768, None));
        heap.free(a);
        assert!(heap.allocate(1024, Owner::Device, |_, _| {}).is_some());
        assert_eq!(heap.allocate(u64::MAX, Owner::Device, |_, _| {}), None);
    }

    #[test]
    fn lookup() {
        let mut heap = Heap::new(0, 1 << 20, 1 << 20);
        let a = heap.allocate(100, Owner::Host, |_, _| {}).unwrap();
        assert_eq!(heap.find(a + 99).map(|x| (x.address, x.owner)), Some((a, Owner::Host)));
        assert_eq!((heap.find(a + 100), heap.find(a - 1)), (None, None));
        assert_eq!(heap.live().len(), 1);
    }
}
