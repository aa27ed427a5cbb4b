//! Counting accesses.

use super::asynchronous::CopyRequest;
use crate::counters::{GlobalTraffic, SharedTraffic, Traffic};
use crate::memory::banks;
use crate::state::cx::Cx;
use crate::state::registers::{LANES, Mask, lanes};

/// Bytes of a 32-byte sector, the unit of traffic.
const SECTOR: u64 = 32;

impl Cx<'_> {
    #[inline(always)]
    pub(super) fn count_run<const W: usize>(&mut self, start: u64, stores: bool) {
        let bytes = (LANES * W) as u64;
        let memory = &self.launch.memory;
        let (traffic, touched) = match stores {
            true => (&mut self.counters.global_stores, &memory.stored),
            false => (&mut self.counters.global_loads, &memory.loaded),
        };
        traffic.requests += 1;
        traffic.bytes += bytes;
        traffic.used_bytes += bytes;
        traffic.sectors += (start + bytes - 1) / SECTOR - start / SECTOR + 1;
        traffic.distinct_bytes += touched.add(start, bytes);
    }

    /// Counts accesses of lanes to global memory; `accesses` of them there were, if several stand for one lane of `mask`.
    pub(super) fn count_global(
        &mut self,
        addresses: &[u64; LANES],
        mask: Mask,
        accesses: usize,
        bytes: usize,
        stores: bool,
    ) {
        let memory = &self.launch.memory;
        let (traffic, touched): (&mut GlobalTraffic, _) = match stores {
            true => (&mut self.counters.global_stores, &memory.stored),
            false => (&mut self.counters.global_loads, &memory.loaded),
        };
        traffic.requests += 1;
        traffic.bytes += (accesses * bytes) as u64;
        let (mut seen, mut sectors) = (Distinct::default(), Distinct::default());
        for lane in lanes(mask) {
            let address = addresses[lane];
            if seen.add(address) {
                sectors.add(address / SECTOR);
                traffic.distinct_bytes += touched.add(address, bytes as u64);
            }
        }
        traffic.used_bytes += (seen.count * bytes) as u64;
        traffic.sectors += sectors.count as u64;
    }

    /// Counts what copies read of global memory.
    pub(super) fn count_copy_sources(&mut self, request: &CopyRequest, mask: Mask) {
        if mask == 0 {
            return;
        }
        let traffic = &mut self.counters.global_loads;
        traffic.requests += 1;
        let (mut seen, mut sectors) = (Distinct::default(), Distinct::default());
        for lane in lanes(mask) {
            let (address, bytes) = (request.from[lane], u64::from(request.taken[lane]));
            traffic.bytes += bytes;
            if seen.add(address) {
                traffic.used_bytes += bytes;
                sectors.add(address / SECTOR);
                traffic.distinct_bytes += self.launch.memory.loaded.add(address, bytes);
            }
        }
        traffic.sectors += sectors.count as u64;
    }
}

pub(super) fn count(traffic: &mut Traffic, mask: Mask, bytes: usize) {
    traffic.requests += 1;
    traffic.bytes += u64::from(mask.count_ones()) * bytes as u64;
}

pub(super) fn count_shared(traffic: &mut SharedTraffic, addresses: &[u64; LANES], mask: Mask, bytes: usize) {
    let (taken, ideal) = banks::wavefronts(addresses, bytes, mask);
    traffic.requests += 1;
    traffic.bytes += u64::from(mask.count_ones()) * bytes as u64;
    traffic.wavefronts += taken;
    traffic.ideal_wavefronts += ideal;
}

/// Counts an access to consecutive values, which has no conflicts.
pub(super) fn count_shared_run<const W: usize>(traffic: &mut SharedTraffic) {
    let parts = W.div_ceil(4) as u64;
    traffic.requests += 1;
    traffic.bytes += (LANES * W) as u64;
    traffic.wavefronts += parts;
    traffic.ideal_wavefronts += parts;
}

/// Up to 32 different values.
#[derive(Default)]
struct Distinct {
    values: [u64; LANES],
    count: usize,
    largest: u64,
}

impl Distinct {
    /// Whether it is new.
    #[inline(always)]
    fn add(&mut self, value: u64) -> bool {
        // Most addresses ascend from lane to lane.
        if self.count != 0 && value <= self.largest {
            if value == self.largest || self.values[..self.count].contains(&value) {
                return false;
            }
        } else {
            self.largest = value;
        }
        self.values[self.count] = value;
        self.count += 1;
        true
    }
}
