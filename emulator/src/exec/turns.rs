//! Which group of a warp runs next; groups that meet, part and wait.

use super::code::{Code, Members};
use super::group::{Group, Wait};
use super::warp::Warp;
use crate::state::registers::{LANES, Mask};

/// Instructions after which a group that keeps others waiting lends its turn, and how many the other then has.
const PATIENCE: u64 = 4096;
const LENT: u64 = 1024;

impl Warp {
    /// The turn is over because lanes wait for others, be it in this warp.
    pub fn lend(&mut self) {
        self.waited = true;
        self.state.polls = 0;
        if self.lent.is_none() {
            self.patience = self.state.clock.wrapping_sub(PATIENCE + 1);
        }
    }

    /// The group that runs next.
    pub fn pick(&mut self, code: &Code) -> Option<usize> {
        if self.groups.len() == 1 {
            self.patience = self.state.clock;
            return (self.groups[0].wait == Wait::Ready).then_some(0);
        }
        if let Some((lane, until)) = self.lent {
            let lent = self.ready().find(|&(_, g)| g.mask >> lane & 1 != 0);
            if let Some((i, _)) = lent
                && self.state.clock < until
            {
                return Some(i);
            }
            self.lent = None;
            self.patience = self.state.clock;
        }
        if self.state.clock.wrapping_sub(self.patience) > PATIENCE {
            let (oldest, group) = self.ready().min_by_key(|(_, g)| (g.ran, g.mask))?;
            self.lent = Some((group.mask.trailing_zeros(), self.state.clock + LENT));
            return Some(oldest);
        }
        let (first, _) = self.ready().min_by_key(|(_, g)| {
            let frame = &self.frames[g.frame];
            let rank = code.functions[frame.function].stretches[g.pc].rank;
            (std::cmp::Reverse(frame.depth), frame.function, rank, g.pc, frame.base, g.frame)
        })?;
        Some(first)
    }

    fn ready(&self) -> impl Iterator<Item = (usize, &Group)> {
        self.groups.iter().enumerate().filter(|(_, g)| g.wait == Wait::Ready)
    }

    /// Joins all groups that stand where `g` does and moves it to the end of the list.
    pub fn merge(&mut self, g: usize) {
        let mut group = self.groups.swap_remove(g);
        let mut i = 0;
        while i < self.groups.len() {
            let other = &self.groups[i];
            let same = (other.frame, other.pc) == (group.frame, group.pc);
            if same && !matches!(other.wait, Wait::Barrier(_)) {
                group.mask |= other.mask;
                self.frames.leave(group.frame);
                self.groups.swap_remove(i);
            } else {
                i += 1;
            }
        }
        self.groups.push(group);
    }

    /// Lets the group that stands furthest back of those that wait for lanes go ahead without them.
    pub fn force(&mut self) -> bool {
        let waiting = self.groups.iter_mut().filter(|g| g.wait == Wait::Lanes);
        let Some(group) = waiting.min_by_key(|g| (g.pc, g.mask)) else { return false };
        group.wait = Wait::Ready;
        group.forced = true;
        true
    }

    /// Moves lanes of a group to a group of their own.
    pub fn split(&mut self, g: usize, lanes: Mask, pc: usize) {
        let group = &mut self.groups[g];
        group.mask &= !lanes;
        let other = Group { mask: lanes, pc, forced: false, ..*group };
        self.frames.enter(other.frame);
        self.groups.push(other);
    }

    /// Whether a group must wait for lanes that take part in its instruction; then it is marked so.
    pub fn wait_for_lanes(&mut self, g: usize, members: Members, active: Mask) -> bool {
        let group = &self.groups[g];
        if group.mask == self.state.live || group.forced {
            self.groups[g].forced = false;
            return false;
        }
        let wanted = match members {
            Members::All => Mask::MAX,
            Members::Mask(slot) => {
                let masks = self.registers.read(slot);
                (0..LANES).filter(|&l| active >> l & 1 != 0).fold(0, |all, l| all | masks[l])
            }
        };
        let waits = wanted & self.state.live & !group.mask != 0;
        if waits {
            self.groups[g].wait = Wait::Lanes;
        }
        waits
    }
}
