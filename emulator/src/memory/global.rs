//! Global memory: one reserved mapping, with a byte of shadow per byte.
//!
//! A device address is the host's address. Kernels on several host threads and the host itself touch the mapping at the
//! same time, as they would on a device, so every access goes through pointers as a relaxed atomic: what races, gives one
//! of the values, and is no undefined behaviour.

use super::heap::{Allocation, Heap, Owner};
use super::space::{WINDOWS_END, WINDOWS_START};
use memmap2::{MmapMut, MmapOptions};
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the shadow knows of a byte.
pub mod state {
    pub const UNALLOCATED: u8 = 0;
    /// Allocated, and never written.
    pub const UNWRITTEN: u8 = 1;
    pub const WRITTEN: u8 = 2;
    pub const FREED: u8 = 3;
    /// Shared memory only: a bit that says that a `cp.async` is under way to this byte.
    pub const PENDING: u8 = 4;
}

/// Address ranges beyond the limit, so that freed ones can rest.
const SPARE: u64 = 2 << 30;

/// Bytes of a page of the system's memory.
const PAGE: u64 = 4096;

/// Global memory of a device.
pub struct GlobalMemory {
    /// Own the two mappings; all accesses go through the pointers.
    data: MmapMut,
    shadow: MmapMut,
    start: u64,
    bytes: u64,
    /// The address of a byte's shadow minus the byte's.
    shift: u64,
    heap: Mutex<Heap>,
    /// Taken by atomics that are wider than the processor's.
    wide: Mutex<()>,
}

/// Reserves address space whose pages appear when they are touched.
pub(super) fn reserve(bytes: u64) -> std::io::Result<MmapMut> {
    let too_much = |_| std::io::Error::from(std::io::ErrorKind::OutOfMemory);
    MmapOptions::new().len(usize::try_from(bytes).map_err(too_much)?).no_reserve_swap().map_anon()
}

impl GlobalMemory {
    /// A memory in which so many bytes can be allocated at once.
    pub fn new(limit: u64) -> std::io::Result<Self> {
        let limit = limit.clamp(1, 1 << 42).next_multiple_of(super::heap::ALIGNMENT);
        // Every allocation takes a gap too: the room is for allocations of a kilobyte and more on average.
        let bytes = limit + limit / 4 + SPARE;
        let mut data = reserve(bytes)?;
        let mut shadow = reserve(bytes)?;
        let start = data.as_mut_ptr() as u64;
        if start < WINDOWS_END && start + bytes > WINDOWS_START {
            return Err(std::io::Error::other("device memory lies where other address spaces should"));
        }
        let shift = (shadow.as_mut_ptr() as u64).wrapping_sub(start);
        let heap = Mutex::new(Heap::new(start, start + bytes, limit));
        Ok(GlobalMemory { data, shadow, start, bytes, shift, heap, wide: Mutex::new(()) })
    }

    fn heap(&self) -> MutexGuard<'_, Heap> {
        self.heap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that can be allocated at once.
    pub fn limit(&self) -> u64 {
        self.heap().limit()
    }

    /// Bytes that are allocated, in steps of 256.
    pub fn used(&self) -> u64 {
        self.heap().used()
    }

    /// Memory for the device, or `None` if there is not so much. Its content is undefined, and reads of it are reported.
    pub fn allocate(&self, bytes: u64) -> Option<u64> {
        self.allocate_for(bytes, Owner::Device)
    }

    /// Memory that the host may touch through the same pointer; zero at first.
    pub fn allocate_host(&self, bytes: u64) -> Option<u64> {
        let address = self.allocate_for(bytes, Owner::Host)?;
        self.fill_data::<false>(address, bytes, &[0]);
        Some(address)
    }

    fn allocate_for(&self, bytes: u64, owner: Owner) -> Option<u64> {
        let mut heap = self.heap();
        let recycle = |at, bytes| self.fill_shadow(at, bytes, state::UNALLOCATED);
        let address = heap.allocate(bytes, owner, recycle)?;
        let state = if owner == Owner::Host { state::WRITTEN } else { state::UNWRITTEN };
        self.fill_shadow(address, bytes, state);
        Some(address)
    }

    /// Frees what begins at this address; whether something does.
    pub fn free(&self, address: u64) -> bool {
        let mut heap = self.heap();
        let Some(allocation) = heap.free(address) else { return false };
        self.fill_shadow(address, allocation.bytes, state::FREED);
        self.release(address, allocation.bytes);
        true
    }

    /// The allocation that an address lies in.
    pub fn allocation(&self, address: u64) -> Option<Allocation> {
        self.heap().find(address)
    }

    /// The allocation at or below an address, for messages.
    pub(super) fn allocation_below(&self, address: u64) -> Option<Allocation> {
        self.heap().below(address)
    }

    /// All allocations, by address: at the end of a program, the leaks.
    pub fn allocations(&self) -> Vec<Allocation> {
        self.heap().live()
    }

    /// Whether the address is this device's, allocated or not.
    pub fn owns(&self, address: u64) -> bool {
        address.wrapping_sub(self.start) < self.bytes
    }

    /// Whether all of these bytes lie in one allocation.
    pub fn contains(&self, address: u64, bytes: u64) -> bool {
        inside(&self.heap(), address, bytes)
    }

    /// Writes from the host. Whether all of it lies in one allocation; if not, nothing is written.
    pub fn write(&self, address: u64, bytes: &[u8]) -> bool {
        let heap = self.heap();
        if !inside(&heap, address, bytes.len() as u64) {
            return false;
        }
        self.store::<false>(address, bytes);
        self.fill_shadow(address, bytes.len() as u64, state::WRITTEN);
        true
    }

    /// Reads to the host. Whether all of it lies in one allocation.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> bool {
        let heap = self.heap();
        if !inside(&heap, address, bytes.len() as u64) {
            return false;
        }
        self.load::<false>(address, bytes);
        true
    }

    /// Repeats a pattern of 1, 2 or 4 bytes over so many bytes. Whether all of it lies in one allocation.
    pub fn fill(&self, address: u64, bytes: u64, pattern: &[u8]) -> bool {
        let heap = self.heap();
        if !inside(&heap, address, bytes) || pattern.is_empty() {
            return false;
        }
        self.fill_data::<false>(address, bytes, pattern);
        self.fill_shadow(address, bytes, state::WRITTEN);
        true
    }

    /// Copies on the device, also between overlapping ranges; what is unwritten stays so. Whether both ranges lie in
    /// allocations.
    pub fn copy(&self, to: u64, from: u64, bytes: u64) -> bool {
        let heap = self.heap();
        if !inside(&heap, to, bytes) || !inside(&heap, from, bytes) {
            return false;
        }
        const PIECE: u64 = 4096;
        let mut buffer = [0; PIECE as usize];
        let pieces = bytes.div_ceil(PIECE);
        for i in 0..pieces {
            // Backwards where the target lies above the source, so that an overlap is read before it is written.
            let start = if to > from { (pieces - 1 - i) * PIECE } else { i * PIECE };
            let buffer = &mut buffer[..(bytes - start).min(PIECE) as usize];
            self.load::<false>(from + start, buffer);
            self.store::<false>(to + start, buffer);
            self.load::<true>(from + start, buffer);
            self.store::<true>(to + start, buffer);
        }
        true
    }

    /// Whether all bytes lie in the mapping.
    #[inline(always)]
    pub(super) fn maps(&self, address: u64, bytes: u64) -> bool {
        bytes <= self.bytes && address.wrapping_sub(self.start) <= self.bytes - bytes
    }

    /// First address and length of the mapping.
    pub(super) fn range(&self) -> (u64, u64) {
        (self.start, self.bytes)
    }

    /// Gives the whole pages of freed memory back to the system: nothing reads them any more.
    fn release(&self, address: u64, bytes: u64) {
        let start = address - self.start;
        let (first, last) = (start.next_multiple_of(PAGE), (start + bytes) / PAGE * PAGE);
        if first < last {
            // SAFETY: the range lies in the mapping, which is private and anonymous; what stands there is of no allocation.
            // Where the system refuses, the pages stay: no harm.
            let _ = unsafe {
                self.data.unchecked_advise_range(
                    memmap2::UncheckedAdvice::DontNeed,
                    first as usize,
                    (last - first) as usize,
                )
            };
        }
    }

    /// Sets the states of bytes that lie in the mapping.
    pub(super) fn fill_shadow(&self, address: u64, bytes: u64, state: u8) {
        let start = address - self.start;
        if state == state::UNALLOCATED && bytes >= 16 * PAGE {
            // Whole pages go back to the system, and read as zero afterwards.
            let (first, last) = (start.next_multiple_of(PAGE), (start + bytes) / PAGE * PAGE);
            // SAFETY: the range lies in the mapping, which is private and anonymous: its pages become zero, as is meant.
            let advised = unsafe {
                self.shadow.unchecked_advise_range(
                    memmap2::UncheckedAdvice::DontNeed,
                    first as usize,
                    (last - first) as usize,
                )
            };
            if advised.is_ok() {
                self.fill_data::<true>(address, first - start, &[state]);
                self.fill_data::<true>(self.start + last, start + bytes - last, &[state]);
                return;
            }
        }
        self.fill_data::<true>(address, bytes, &[state]);
    }

    /// Copies out of the mapping, or, `SHADOW`, the states of these bytes.
    pub(super) fn load<const SHADOW: bool>(&self, address: u64, out: &mut [u8]) {
        let from = self.pointer::<SHADOW>(address, out.len() as u64);
        let head = (address.wrapping_neg() % 8).min(out.len() as u64) as usize;
        let (head, rest) = out.split_at_mut(head);
        let (words, tail) = rest.as_chunks_mut();
        let behind = head.len() + 8 * words.len();
        // SAFETY: `pointer` has found all of the range in the mapping, which lives as long as `self` and is only accessed
        // by atomics; behind the head, pointers are aligned to 8.
        unsafe {
            for (i, byte) in head.iter_mut().enumerate() {
                *byte = AtomicU8::from_ptr(from.add(i)).load(Ordering::Relaxed);
            }
            for (i, word) in words.iter_mut().enumerate() {
                let at = from.add(head.len() + 8 * i).cast();
                *word = AtomicU64::from_ptr(at).load(Ordering::Relaxed).to_le_bytes();
            }
            for (i, byte) in tail.iter_mut().enumerate() {
                *byte = AtomicU8::from_ptr(from.add(behind + i)).load(Ordering::Relaxed);
            }
        }
    }

    /// Copies into the mapping, or sets the states.
    pub(super) fn store<const SHADOW: bool>(&self, address: u64, bytes: &[u8]) {
        let to = self.pointer::<SHADOW>(address, bytes.len() as u64);
        let head = (address.wrapping_neg() % 8).min(bytes.len() as u64) as usize;
        let (head, rest) = bytes.split_at(head);
        let (words, tail) = rest.as_chunks();
        let behind = head.len() + 8 * words.len();
        // SAFETY: as in `load`.
        unsafe {
            for (i, &byte) in head.iter().enumerate() {
                AtomicU8::from_ptr(to.add(i)).store(byte, Ordering::Relaxed);
            }
            for (i, &word) in words.iter().enumerate() {
                let at = to.add(head.len() + 8 * i).cast();
                AtomicU64::from_ptr(at).store(u64::from_le_bytes(word), Ordering::Relaxed);
            }
            for (i, &byte) in tail.iter().enumerate() {
                AtomicU8::from_ptr(to.add(behind + i)).store(byte, Ordering::Relaxed);
            }
        }
    }

    /// A value of 1, 2, 4 or a multiple of 8 bytes at a multiple of its size, or its states.
    #[inline(always)]
    pub(super) fn get<const SHADOW: bool, const W: usize>(&self, address: u64) -> [u8; W] {
        let from = self.pointer::<SHADOW>(address, W as u64);
        assert!(address.is_multiple_of(W as u64));
        let mut out = [0; W];
        // SAFETY: as in `load`; pages are aligned, so the pointer is as much as the address.
        unsafe {
            match W {
                1 => out[0] = AtomicU8::from_ptr(from).load(Ordering::Relaxed),
                2 => out
                    .copy_from_slice(&AtomicU16::from_ptr(from.cast()).load(Ordering::Relaxed).to_le_bytes()),
                4 => out
                    .copy_from_slice(&AtomicU32::from_ptr(from.cast()).load(Ordering::Relaxed).to_le_bytes()),
                _ => {
                    for (i, word) in out.as_chunks_mut().0.iter_mut().enumerate() {
                        let at = from.add(8 * i).cast();
                        *word = AtomicU64::from_ptr(at).load(Ordering::Relaxed).to_le_bytes();
                    }
                }
            }
        }
        out
    }

    /// Writes a value of 1, 2, 4 or a multiple of 8 bytes to a multiple of its size, or sets its states.
    #[inline(always)]
    pub(super) fn put<const SHADOW: bool, const W: usize>(&self, address: u64, value: &[u8; W]) {
        let to = self.pointer::<SHADOW>(address, W as u64);
        assert!(address.is_multiple_of(W as u64));
        let mut word = [0; 8];
        word[..W.min(8)].copy_from_slice(&value[..W.min(8)]);
        let word = u64::from_le_bytes(word);
        // SAFETY: as in `get`.
        unsafe {
            match W {
                1 => AtomicU8::from_ptr(to).store(word as u8, Ordering::Relaxed),
                2 => AtomicU16::from_ptr(to.cast()).store(word as u16, Ordering::Relaxed),
                4 => AtomicU32::from_ptr(to.cast()).store(word as u32, Ordering::Relaxed),
                _ => {
                    for (i, &word) in value.as_chunks().0.iter().enumerate() {
                        let at = to.add(8 * i).cast();
                        AtomicU64::from_ptr(at).store(u64::from_le_bytes(word), Ordering::Relaxed);
                    }
                }
            }
        }
    }

    /// Changes a value of 2, 4 or 8 bytes at a multiple of its size in one step, and gives what it was. `change` may run
    /// more than once.
    #[inline(always)]
    pub(super) fn update<const W: usize>(
        &self,
        address: u64,
        change: impl Fn([u8; W]) -> [u8; W],
    ) -> [u8; W] {
        let at = self.pointer::<false>(address, W as u64);
        assert!(address.is_multiple_of(W as u64));
        macro_rules! exchange {
            ($atomic:ty, $integer:ty) => {{
                // SAFETY: as in `get`.
                let cell = unsafe { <$atomic>::from_ptr(at.cast()) };
                let mut old = cell.load(Ordering::Relaxed);
                loop {
                    let mut bytes = [0; W];
                    bytes.copy_from_slice(&old.to_le_bytes());
                    let mut new = old.to_le_bytes();
                    new.copy_from_slice(&change(bytes));
                    let new = <$integer>::from_le_bytes(new);
                    match cell.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Acquire) {
                        Ok(_) => break bytes,
                        Err(found) => old = found,
                    }
                }
            }};
        }
        match W {
            2 => exchange!(AtomicU16, u16),
            4 => exchange!(AtomicU32, u32),
            8 => exchange!(AtomicU64, u64),
            _ => self.update_wide(address, change),
        }
    }

    /// Of 16 bytes: atomic among its kind, as long as nothing else writes there.
    fn update_wide<const W: usize>(&self, address: u64, change: impl Fn([u8; W]) -> [u8; W]) -> [u8; W] {
        let _one_at_a_time = self.wide.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.get::<false, W>(address);
        self.put::<false, W>(address, &change(old));
        old
    }

    /// Repeats a pattern over a range of either mapping.
    fn fill_data<const SHADOW: bool>(&self, address: u64, bytes: u64, pattern: &[u8]) {
        let mut block = [0; 512];
        let period = 512 / pattern.len() * pattern.len();
        for (i, byte) in block[..period].iter_mut().enumerate() {
            *byte = pattern[i % pattern.len()];
        }
        let mut done = 0;
        while done < bytes {
            let piece = (bytes - done).min(period as u64);
            self.store::<SHADOW>(address + done, &block[..piece as usize]);
            done += piece;
        }
    }

    /// Where bytes of the mapping, or their states, lie.
    #[inline(always)]
    fn pointer<const SHADOW: bool>(&self, address: u64, bytes: u64) -> *mut u8 {
        assert!(self.maps(address, bytes));
        // The mappings' provenance is that of `map_anon`, which exposes its addresses to whoever it gives them.
        address.wrapping_add(if SHADOW { self.shift } else { 0 }) as *mut u8
    }
}

fn inside(heap: &Heap, address: u64, bytes: u64) -> bool {
    heap.find(address).is_some_and(|a| bytes <= a.bytes - (address - a.address).min(a.bytes))
        || bytes == 0 && heap.below(address).is_some_and(|a| address <= a.address + a.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back() {
        let memory = GlobalMemory::new(1 << 20).unwrap();
        let a = memory.allocate(1000).unwrap();
        let data: Vec<u8> = (0..997).map(|i| (i * 7) as u8).collect();
        assert!(memory.write(a + 3, &data));
        let mut back = vec![0; 997];
        assert!(memory.read(a + 3, &mut back));
        assert_eq!(back, data);
        let mut states = [0; 1001];
        memory.load::<true>(a, &mut states);
        let mut wanted = [state::WRITTEN; 1001];
        wanted[..3].fill(state::UNWRITTEN);
        wanted[1000] = state::UNALLOCATED;
        assert_eq!(states, wanted);
    }

    #[test]
    fn bounds_hold_for_the_host() {
        let memory = GlobalMemory::new(1 << 20).unwrap();
        let a = memory.allocate(16).unwrap();
        assert!(
            !memory.write(a + 1, &[0; 16]) && !memory.read(a + 16, &mut [0]) && !memory.read(8, &mut [0])
        );
        assert!(!memory.fill(a, 17, &[0]) && memory.fill(a, 16, &[1, 2]));
        assert!(memory.write(a + 16, &[]));
        let mut back = [0; 16];
        memory.read(a, &mut back);
        assert_eq!(back, [1, 2].repeat(8)[..]);
        assert!(memory.free(a) && !memory.free(a) && !memory.read(a, &mut [0]));
    }

    #[test]
    fn copies_overlap_and_keep_what_is_unwritten() {
        let memory = GlobalMemory::new(1 << 20).unwrap();
        let a = memory.allocate(20_000).unwrap();
        let data: Vec<u8> = (0..10_000u32).map(|i| (i % 251) as u8).collect();
        memory.write(a, &data);
        assert!(memory.copy(a + 100, a, 10_000));
        let mut back = vec![0; 10_000];
        memory.read(a + 100, &mut back);
        assert_eq!(back, data);
        assert!(memory.copy(a + 50, a + 100, 10_000));
        memory.read(a + 50, &mut back);
        assert_eq!(back, data);
        memory.copy(a, a + 19_000, 1000);
        let mut states = [0; 1000];
        memory.load::<true>(a, &mut states);
        assert_eq!(states, [state::UNWRITTEN; 1000]);
    }

    #[test]
    fn host_memory_counts_as_written() {
        let memory = GlobalMemory::new(1 << 20).unwrap();
        let a = memory.allocate_host(64).unwrap();
        let (mut states, mut back) = ([0; 64], [1; 64]);
        memory.load::<true>(a, &mut states);
        memory.read(a, &mut back);
        assert_eq!((states, back), ([state::WRITTEN; 64], [0; 64]));
        assert_eq!(memory.allocation(a + 63).unwrap().owner, Owner::Host);
        assert_eq!(memory.allocation(a + 64), None);
    }
}
