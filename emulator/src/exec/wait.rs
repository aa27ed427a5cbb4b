//! Warps at the barriers of their block, and at their own.

use super::barrier::{Arrival, BARRIERS, Completed, Purpose};
use super::code::{Action, Barrier, Code, Kind, Members, Op};
use super::group::Wait;
use super::warp::{Environment, Warp, holds};
use crate::fault::{FaultKind, Stop};
use crate::state::registers::{LANES, Mask, Slot};

impl Warp {
    /// A group comes to a barrier.
    pub fn barrier(
        &mut self,
        g: usize,
        barrier: &Barrier,
        op: &Op,
        e: &mut Environment<'_>,
    ) -> Result<(), Stop> {
        let lanes = self.groups[g].mask;
        if barrier.aligned && self.wait_for_lanes(g, Members::All, lanes) {
            return Ok(());
        }
        self.count(op, lanes, e);
        let first = lanes.trailing_zeros() as usize;
        let indices = self.registers.read(barrier.index);
        let counts = barrier.count.map(|count| self.registers.read(count));
        let way = |lane: usize| (indices[lane], counts.map(|c| c[lane]));
        let same =
            (0..LANES).filter(|&l| lanes >> l & 1 != 0 && way(l) == way(first)).fold(0, |m, l| m | 1 << l);
        let (index, count) = way(first);

        let fault = if barrier.aligned && lanes != self.state.live {
            let missing = self.state.live & !lanes;
            Some((
                FaultKind::BarrierDivergence,
                format!("lanes {missing:#x} of its warp never come to this barrier"),
            ))
        } else if barrier.aligned && same != lanes {
            Some((FaultKind::BarrierDivergence, "lanes of one warp name different barriers".to_string()))
        } else if index as usize >= BARRIERS {
            Some((FaultKind::Undefined, format!("barrier {index} of {BARRIERS}")))
        } else {
            count
                .filter(|&c| c == 0 || c % LANES as u32 != 0)
                .map(|c| (FaultKind::Undefined, format!("a count of {c} threads is not one of whole warps")))
        };
        if let Some((kind, detail)) = fault {
            self.groups[g].pc += 1;
            return self.cx(e, op).report(kind, first, None, detail);
        }
        if same != lanes {
            let pc = self.groups[g].pc;
            self.split(g, lanes & !same, pc);
        }

        let predicate = match barrier.action {
            Action::Count { predicate, .. } | Action::Vote { predicate, .. } => {
                holds(predicate, &self.registers)
            }
            Action::Wait | Action::Arrive => 0,
        };
        let arrival = Arrival {
            index: index as usize,
            warp: self.state.index as usize,
            lanes: same,
            whole_warp: same == self.state.live,
            expected: count,
            purpose: Purpose::of(&barrier.action),
            holds: predicate,
        };
        let waits = !matches!(barrier.action, Action::Arrive);
        e.block.memory.barrier_arrive(arrival.index, arrival.warp, same, self.state.clock, waits);
        if let Err(detail) = e.barriers.arrive(&arrival) {
            self.groups[g].pc += 1;
            return self.cx(e, op).report(FaultKind::BarrierDivergence, first, None, detail);
        }
        match barrier.action {
            Action::Arrive => self.groups[g].pc += 1,
            _ => self.groups[g].wait = Wait::Barrier(arrival.index),
        }
        Ok(())
    }

    /// A barrier is complete: those who wait there go on.
    pub fn pass(&mut self, completed: &Completed, code: &Code) {
        for group in &mut self.groups {
            if group.wait != Wait::Barrier(completed.index) {
                continue;
            }
            let frame = &self.frames[group.frame];
            self.registers.base = frame.base;
            self.registers.predicate_base = frame.predicate_base;
            if let Kind::Barrier(barrier) = &code.functions[frame.function].ops[group.pc].kind {
                match barrier.action {
                    Action::Count { out, .. } => {
                        self.registers.write(out, &[completed.holds; LANES], group.mask);
                    }
                    Action::Vote { all, out, .. } => {
                        let holds =
                            if all { completed.holds == completed.threads } else { completed.holds > 0 };
                        let value = if holds { Mask::MAX } else { 0 };
                        self.registers.set_predicate(out, value, group.mask);
                    }
                    Action::Wait | Action::Arrive => {}
                }
            }
            group.wait = Wait::Ready;
            group.pc += 1;
        }
    }

    /// `bar.warp.sync`, when all have come who can.
    pub fn warp_barrier(
        &mut self,
        g: usize,
        members: Slot<u32>,
        op: &Op,
        e: &mut Environment<'_>,
    ) -> Result<(), Stop> {
        let (active, live) = (self.groups[g].mask, self.state.live);
        let masks = self.registers.read(members);
        let cx = self.cx(e, op);
        for lane in (0..LANES).filter(|&l| active >> l & 1 != 0) {
            let mask = masks[lane];
            if mask >> lane & 1 == 0 {
                let detail = format!("the member mask {mask:#x} does not name the executing lane {lane}");
                cx.report(FaultKind::InactiveLane, lane, None, detail)?;
            } else if mask & live & !active != 0 {
                let detail = format!("lanes {:#x} never come to this bar.warp.sync", mask & live & !active);
                cx.report(FaultKind::InactiveLane, lane, None, detail)?;
                break;
            }
        }
        cx.block.memory.warp_sync(cx.warp.index as usize, active, cx.warp.clock);
        self.groups[g].pc += 1;
        Ok(())
    }

    /// Lanes may meet at different `bar.warp.sync`s of the same mask: if with this group all have come, they go on.
    pub fn meet_elsewhere(&mut self, g: usize, members: Slot<u32>, e: &mut Environment<'_>) {
        let mask = self.registers.read(members)[self.groups[g].mask.trailing_zeros() as usize];
        let code = e.program.code;
        let (mut here, mut lanes) = (Vec::new(), 0);
        for (i, group) in self.groups.iter().enumerate().filter(|(_, g)| g.wait == Wait::Lanes) {
            let frame = &self.frames[group.frame];
            let op = &code.functions[frame.function].ops[group.pc];
            if let Kind::WarpBarrier(members) = op.kind {
                self.registers.base = frame.base;
                let masks = self.registers.read(members);
                if (0..LANES).all(|l| group.mask >> l & 1 == 0 || masks[l] == mask) {
                    here.push((i, op));
                    lanes |= group.mask;
                }
            }
        }
        if mask & self.state.live & !lanes != 0 || lanes & !mask != 0 {
            return;
        }
        for (i, op) in here {
            self.count(op, self.groups[i].mask, e);
            self.groups[i].wait = Wait::Ready;
            self.groups[i].pc += 1;
        }
        e.block.memory.warp_sync(self.state.index as usize, lanes, self.state.clock);
    }
}
