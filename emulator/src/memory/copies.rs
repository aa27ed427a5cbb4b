//! Copies by `cp.async` that have begun and whose data nobody has waited for.

use crate::state::registers::{LANES, Mask};

/// A copy of one lane.
#[derive(Clone, Copy, Debug)]
pub struct Copy {
    pub lane: u8,
    /// Bytes that are written: 4, 8 or 16.
    pub bytes: u8,
    /// Bytes of them that come from the source; the others are zero.
    pub taken: u8,
    /// Where in shared memory.
    pub to: u64,
    pub from: u64,
    /// What lay at the source when the copy began.
    pub data: [u8; 16],
    pub line: u32,
    /// Number of its group in its lane.
    group: u32,
    /// The mbarrier that waits for it.
    pub awaited: Option<Awaited>,
}

/// How an mbarrier waits for a copy.
#[derive(Clone, Copy, Debug)]
pub struct Awaited {
    mbarrier: u64,
    phase: u32,
    /// The warp that has begun the copy, and the instruction that told the mbarrier.
    pub warp: u32,
    pub issue: u32,
}

/// Those of a block.
#[derive(Default)]
pub struct Copies {
    warps: Vec<Warp>,
}

#[derive(Default)]
struct Warp {
    under_way: Vec<Copy>,
    /// Groups that each lane has committed.
    committed: [u32; LANES],
}

impl Copies {
    pub fn new(warps: usize) -> Self {
        Copies { warps: (0..warps).map(|_| Warp::default()).collect() }
    }

    /// A copy begins.
    pub fn begin(&mut self, warp: usize, lane: usize, mut copy: Copy) {
        let warp = &mut self.warps[warp];
        copy.group = warp.committed[lane];
        warp.under_way.push(copy);
    }

    /// What lanes have begun becomes a group.
    pub fn commit(&mut self, warp: usize, lanes: Mask) {
        for (lane, count) in self.warps[warp].committed.iter_mut().enumerate() {
            *count += lanes >> lane & 1;
        }
    }

    /// Takes out the copies of lanes in all but their last `but` groups; `None`: and those that are in no group.
    pub fn wait(&mut self, warp: usize, lanes: Mask, but: Option<u32>) -> Vec<Copy> {
        let Warp { under_way, committed } = &mut self.warps[warp];
        take(under_way, |copy| {
            let left = but.is_some_and(|but| {
                u64::from(copy.group) + u64::from(but) >= u64::from(committed[usize::from(copy.lane)])
            });
            lanes >> copy.lane & 1 != 0 && !left
        })
    }

    /// An mbarrier is to wait for what a lane has begun.
    pub fn attach(&mut self, warp: usize, lane: usize, mbarrier: u64, phase: u32, issue: u32) {
        for copy in &mut self.warps[warp].under_way {
            if usize::from(copy.lane) == lane && copy.awaited.is_none() {
                copy.awaited = Some(Awaited { mbarrier, phase, warp: warp as u32, issue });
            }
        }
    }

    /// Takes out the copies that an mbarrier has waited for, when this phase is the current one.
    pub fn passed(&mut self, mbarrier: u64, phase: u32) -> Vec<Copy> {
        let mut out = Vec::new();
        for warp in &mut self.warps {
            let done = |copy: &Copy| copy.awaited.is_some_and(|a| a.mbarrier == mbarrier && a.phase != phase);
            out.extend(take(&mut warp.under_way, done));
        }
        out
    }

    /// The copy under way to one of these bytes.
    pub fn to(&self, address: u64, bytes: usize) -> Option<Copy> {
        let hit = |c: &&Copy| c.to < address + bytes as u64 && address < c.to + u64::from(c.bytes);
        self.warps.iter().flat_map(|w| &w.under_way).find(hit).copied()
    }
}

impl Copy {
    pub fn new(
        lane: usize,
        to: u64,
        bytes: usize,
        from: u64,
        taken: usize,
        data: [u8; 16],
        line: u32,
    ) -> Self {
        Copy {
            lane: lane as u8,
            bytes: bytes as u8,
            taken: taken as u8,
            to,
            from,
            data,
            line,
            group: 0,
            awaited: None,
        }
    }
}

/// Takes the matching elements out, in order.
fn take(all: &mut Vec<Copy>, mut matches: impl FnMut(&Copy) -> bool) -> Vec<Copy> {
    all.extract_if(.., |copy| matches(copy)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(lane: usize, to: u64) -> Copy {
        Copy::new(lane, to, 16, 0x1000, 16, [0; 16], 1)
    }

    #[test]
    fn groups_are_counted_per_lane() {
        let mut copies = Copies::new(1);
        for stage in 0..3 {
            copies.begin(0, 0, copy(0, 64 * stage));
            copies.begin(0, 1, copy(1, 64 * stage + 16));
            copies.commit(0, 0b01);
        }
        let to = |all: Vec<Copy>| all.iter().map(|c| c.to).collect::<Vec<_>>();
        assert_eq!(to(copies.wait(0, 0b11, Some(1))), [0, 64]);
        assert_eq!(to(copies.wait(0, 0b10, Some(0))), [0u64; 0]);
        copies.commit(0, 0b10);
        assert_eq!(to(copies.wait(0, 0b10, Some(0))), [16, 80, 144]);
        assert_eq!(to(copies.wait(0, 0b11, None)), [128]);
    }

    #[test]
    fn mbarriers_wait_by_phase() {
        let mut copies = Copies::new(2);
        copies.begin(1, 4, copy(4, 0));
        copies.attach(1, 4, 512, 0, 7);
        copies.begin(1, 4, copy(4, 32));
        assert!(copies.passed(512, 0).is_empty());
        let passed = copies.passed(512, 1);
        assert_eq!((passed.len(), passed[0].to), (1, 0));
        assert_eq!(copies.to(40, 4).map(|c| c.to), Some(32));
        assert!(copies.to(48, 4).is_none());
    }
}
