//! Address spaces.

use crate::exec::cx::{Checks, Cx};
use crate::exec::registers::Mask;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Where constant memory lies among generic addresses.
pub const CONST_WINDOW: u64 = 0x7A00_0000_0000;

/// Where local memory lies among generic addresses.
pub const LOCAL_WINDOW: u64 = 0x7B00_0000_0000;

/// Global memory of a device; its addresses are those of the host.
#[derive(Default)]
pub struct GlobalMemory {
    allocations: Mutex<BTreeMap<u64, Vec<u128>>>,
}

impl GlobalMemory {
    /// Memory of so many bytes.
    pub fn new(_bytes: u64) -> std::io::Result<Self> {
        Ok(GlobalMemory::default())
    }

    /// `None`: out of memory.
    pub fn allocate(&self, bytes: u64) -> Option<u64> {
        let memory = vec![0u128; bytes.div_ceil(16).max(1) as usize];
        let address = memory.as_ptr() as u64;
        self.allocations.lock().ok()?.insert(address, memory);
        Some(address)
    }

    /// Whether there was such an allocation.
    pub fn free(&self, address: u64) -> bool {
        self.allocations.lock().is_ok_and(|mut all| all.remove(&address).is_some())
    }

    /// Whether all of it lies in one allocation.
    pub fn write(&self, address: u64, bytes: &[u8]) -> bool {
        let Ok(mut all) = self.allocations.lock() else { return false };
        let Some((start, memory)) = all.range_mut(..=address).next_back() else { return false };
        let offset = (address - start) as usize;
        if offset + bytes.len() > 16 * memory.len() {
            return false;
        }
        for (i, &byte) in bytes.iter().enumerate() {
            let (word, shift) = ((offset + i) / 16, (offset + i) % 16 * 8);
            memory[word] = memory[word] & !(0xff << shift) | u128::from(byte) << shift;
        }
        true
    }

    /// Whether all of it lies in one allocation.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> bool {
        let Ok(all) = self.allocations.lock() else { return false };
        let Some((start, memory)) = all.range(..=address).next_back() else { return false };
        let offset = (address - start) as usize;
        if offset + bytes.len() > 16 * memory.len() {
            return false;
        }
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = memory[(offset + i) / 16].to_le_bytes()[(offset + i) % 16];
        }
        true
    }
}

/// What a launch sees of device memory: global memory, constants of its module, parameters.
pub struct LaunchMemory<'a> {
    pub global: &'a GlobalMemory,
    pub constants: &'a [u8],
    pub parameters: &'a [u8],
}

/// What belongs to a block: shared memory.
pub struct BlockMemory;

impl BlockMemory {
    pub fn new(_bytes: usize, _warps: usize, _checks: &Checks) -> Self {
        BlockMemory
    }

    /// Lanes of a warp come to a barrier.
    pub fn barrier_arrive(&mut self, _index: usize, _warp: usize, _lanes: Mask) {}

    /// A barrier is complete; these lanes of each warp had come.
    pub fn barrier_complete(&mut self, _index: usize, _participants: &[Mask]) {}

    /// Lanes of a warp meet.
    pub fn warp_sync(&mut self, _warp: usize, _lanes: Mask) {}
}

/// What belongs to a warp: local memory, copies under way.
pub struct WarpMemory {
    local: Vec<u8>,
    per_lane: usize,
}

impl WarpMemory {
    /// Local memory of so many bytes per lane.
    pub fn new(per_lane: usize) -> Self {
        WarpMemory { local: vec![0; per_lane * 32], per_lane }
    }

    /// Copies bytes of a lane's local memory, with what is known of them.
    pub fn copy_local(&mut self, lane: usize, from: u64, to: u64, bytes: usize) {
        let base = lane * self.per_lane;
        let (from, to) = (base + from as usize, base + to as usize);
        self.local.copy_within(from..from + bytes, to);
    }

    /// Reads bytes of a lane's local memory, unchecked by the checks.
    pub fn peek_local(&self, lane: usize, address: u64, out: &mut [u8]) {
        let start = lane * self.per_lane + address as usize;
        out.copy_from_slice(&self.local[start..start + out.len()]);
    }

    /// Writes bytes of a lane's local memory.
    pub fn poke_local(&mut self, lane: usize, address: u64, bytes: &[u8]) {
        let start = lane * self.per_lane + address as usize;
        self.local[start..start + bytes.len()].copy_from_slice(bytes);
    }
}

impl Cx<'_> {
    /// Reads bytes at a generic address as a lane sees them; `false` where nothing lies.
    pub fn peek(&self, lane: usize, address: u64, out: &mut [u8]) -> bool {
        if let Some(offset) = address.checked_sub(LOCAL_WINDOW)
            && offset + out.len() as u64 <= self.warp.memory.per_lane as u64
        {
            self.warp.memory.peek_local(lane, offset, out);
            return true;
        }
        if let Some(offset) = address.checked_sub(CONST_WINDOW)
            && let Some(bytes) =
                self.launch.memory.constants.get(offset as usize..offset as usize + out.len())
        {
            out.copy_from_slice(bytes);
            return true;
        }
        self.launch.memory.global.read(address, out)
    }
}
