//! A warp: its lanes in groups that run together.
//!
//! Lanes that stand at the same instruction of the same frame form a group. The group of the deepest call runs, among
//! those of one depth the one that is furthest back in the order of [`super::flow`], so that lanes meet again where
//! their ways join. A group that has run long while others wait lends its turn to the one that has waited longest: so a
//! lane that spins on a lock lets the lane that holds it go on. Instructions of the whole warp wait until all that take part have come, whatever the order
//! in which groups run; only when nobody is left who could come, they go ahead and report.

use super::barrier::Barriers;
use super::code::{Code, Fill, Kind, Members, Op, Value};
use super::frames::Frames;
use super::group::{Group, Wait};
use crate::counters::Counters;
use crate::fault::{FaultKind, Stop};
use crate::memory::WarpMemory;
use crate::state::cx::{BlockState, Compute, Cx, LaunchState, POLLS, WarpState};
use crate::state::registers::{LANES, Mask, PredicateSlot, Registers, Row, Slot};

/// A kernel of lowered code, laid out for a launch.
pub struct Program<'a> {
    pub code: &'a Code,
    pub kernel: usize,
    /// Where the shared variables of the module lie in this kernel's block.
    pub shared: &'a [u64],
    /// Local memory per lane.
    pub local_bytes: u64,
}

/// What a warp runs in.
pub struct Environment<'e> {
    pub program: &'e Program<'e>,
    pub launch: &'e LaunchState<'e>,
    pub block: &'e mut BlockState,
    pub barriers: &'e mut Barriers,
    pub counters: &'e mut Counters,
}

/// A warp.
pub struct Warp {
    pub registers: Registers,
    pub state: WarpState,
    pub groups: Vec<Group>,
    pub frames: Frames,
    /// End of the local memory of each lane that `alloca` has not taken.
    pub stack_top: [u64; LANES],
    /// Instructions since a turn was last lent.
    pub(super) patience: u64,
    /// A lane of the group that has a lent turn, and what is left of that.
    pub(super) lent: Option<(u32, u64)>,
    /// Whether its last turn ended because it waits for others.
    pub waited: bool,
}

/// How the inner loop ended.
enum Left {
    /// At an instruction that is not just run.
    At(usize),
    /// Where other lanes wait or after a jump, or when its time was over.
    Pause(usize),
}

impl Warp {
    /// A warp at the start of a kernel. `used` is the register file of the same warp of another block of the launch.
    pub fn new(
        program: &Program<'_>,
        launch: &LaunchState<'_>,
        block: [u32; 3],
        index: u32,
        used: Option<Registers>,
    ) -> Warp {
        let threads = launch.block.iter().product::<u32>() - index * LANES as u32;
        let live = if threads >= LANES as u32 { Mask::MAX } else { (1 << threads) - 1 };
        let is_used = used.is_some();
        let mut warp = Warp {
            registers: used.unwrap_or_default(),
            state: WarpState {
                index,
                threads: live,
                live,
                memory: WarpMemory::new(program.local_bytes as usize),
                carry: 0,
                polls: 0,
                clock: 0,
            },
            groups: vec![Group { mask: live, pc: 0, frame: 0, wait: Wait::Ready, forced: false, ran: 0 }],
            frames: Frames::new(program.kernel),
            stack_top: [program.local_bytes; LANES],
            patience: 0,
            lent: None,
            waited: false,
        };
        if is_used {
            warp.prepare_again(program, launch, block);
        } else {
            warp.prepare_frame(0, program, launch, block, Mask::MAX);
        }
        warp
    }

    /// Makes the kernel's frame as [`Self::prepare_frame`] would, of one of another block: constants are in place.
    fn prepare_again(&mut self, program: &Program<'_>, launch: &LaunchState<'_>, block: [u32; 3]) {
        let kernel = &program.code.functions[program.kernel];
        let Registers { rows, predicates, base, predicate_base } = &mut self.registers;
        rows[..kernel.first_fill].fill(Row([0; LANES]));
        rows[kernel.rows..].fill(Row([0; LANES]));
        predicates.fill(0);
        (*base, *predicate_base) = (0, 0);
        for fill in kernel.fills.iter().filter(|f| f.value.depends_on_block()) {
            if let Value::Special(special) = fill.value {
                let value = special.value(launch, block, self.state.index, 0);
                write_fill(&mut self.registers, fill, Mask::MAX, |_| u128::from(value));
            }
        }
    }

    /// Makes room for a frame and fills its constants in the lanes that enter it.
    pub fn prepare_frame(
        &mut self,
        frame: usize,
        program: &Program<'_>,
        launch: &LaunchState<'_>,
        block: [u32; 3],
        mask: Mask,
    ) {
        let frame = &self.frames[frame];
        let function = &program.code.functions[frame.function];
        let rows = frame.base + function.rows;
        if self.registers.rows.len() < rows {
            self.registers.rows.resize(rows, Row([0; LANES]));
        }
        let predicates = frame.predicate_base + function.predicates;
        if self.registers.predicates.len() < predicates {
            self.registers.predicates.resize(predicates, 0);
        }
        self.registers.base = frame.base;
        self.registers.predicate_base = frame.predicate_base;
        for fill in &function.fills {
            let value = |lane| match fill.value {
                Value::Bits(bits) => bits,
                Value::Special(special) => u128::from(special.value(launch, block, self.state.index, lane)),
                Value::Frame(offset) => u128::from(frame.local_base.wrapping_add(offset)),
                Value::Shared(variable, offset) => {
                    u128::from(program.shared[variable].wrapping_add_signed(offset))
                }
            };
            write_fill(&mut self.registers, fill, mask, value);
        }
    }

    pub fn is_done(&self) -> bool {
        self.groups.is_empty()
    }

    pub fn is_ready(&self) -> bool {
        self.groups.iter().any(|g| g.wait == Wait::Ready)
    }

    /// Runs until nothing is ready, a barrier completes, `budget` instructions have run or the warp yields. Returns how
    /// many have run.
    pub fn run(&mut self, budget: u64, e: &mut Environment<'_>) -> Result<u64, Stop> {
        let start = self.state.clock;
        self.waited = false;
        loop {
            let ran = self.state.clock - start;
            if self.state.polls >= POLLS {
                self.lend();
                return Ok(ran);
            }
            if ran >= budget || e.barriers.has_completed() {
                return Ok(ran);
            }
            let Some(g) = self.pick(e.program.code) else {
                // Nobody else of this warp can come: the lanes that wait for others go ahead.
                if !self.groups.iter().all(|g| g.wait == Wait::Lanes) || !self.force() {
                    return Ok(ran);
                }
                continue;
            };
            self.merge(g);
            let g = self.groups.len() - 1;
            let left = self.run_group(g, budget - ran, e)?;
            let (Left::At(pc) | Left::Pause(pc)) = left;
            self.groups[g].pc = pc;
            self.groups[g].ran = self.state.clock;
            if let Left::At(_) = left
                && self.control(g, e)?
            {
                return Ok(self.state.clock - start);
            }
        }
    }

    /// The inner loop: runs the last group over instructions that only touch registers and memory.
    fn run_group(&mut self, g: usize, budget: u64, e: &mut Environment<'_>) -> Result<Left, Stop> {
        let (group, program) = (&self.groups[g], e.program);
        let frame = &self.frames[group.frame];
        let function = &program.code.functions[frame.function];
        let ops = &function.ops[..];
        let (mask, alone, mut pc) = (group.mask, self.groups.len() == 1, group.pc);
        let whole = mask == self.state.live;
        // Others in the same block wait for this group: it stops at the first of them. Otherwise it stops where the block
        // ends: another group may then come first.
        let end = if alone {
            ops.len()
        } else {
            let meets =
                |o: &&Group| o.frame == group.frame && o.pc > pc && !matches!(o.wait, Wait::Barrier(_));
            let block = function.stretches[pc].end;
            self.groups.iter().filter(meets).map(|o| o.pc).min().map_or(block, |pc| pc.min(block))
        };
        self.registers.base = frame.base;
        self.registers.predicate_base = frame.predicate_base;
        let until = self.state.clock + budget;
        let lanes = u64::from(mask.count_ones());
        let mut cx = Cx {
            registers: &mut self.registers,
            warp: &mut self.state,
            block: e.block,
            launch: e.launch,
            counters: e.counters,
            site: &ops[pc].site,
        };
        while pc < end {
            let op = &ops[pc];
            match &op.kind {
                Kind::Run(run) => {
                    pc += 1;
                    issue(op, run, mask, &mut cx)?;
                }
                Kind::Together(run, _) if whole => {
                    pc += 1;
                    issue(op, run, mask, &mut cx)?;
                }
                Kind::Branch(target) => {
                    let taken = active(op, mask, cx.registers);
                    if taken != mask && taken != 0 {
                        return Ok(Left::At(pc));
                    }
                    cx.warp.clock += 1;
                    count(op, lanes, cx.counters);
                    cx.counters.branches += u64::from(op.guard.is_some());
                    pc = if taken == 0 { pc + 1 } else { *target };
                    if taken != 0 && !alone || cx.warp.clock >= until || cx.warp.polls >= POLLS {
                        return Ok(Left::Pause(pc));
                    }
                }
                _ => return Ok(Left::At(pc)),
            }
        }
        Ok(Left::Pause(pc))
    }

    /// The instruction that the last group stands at, which does more than the inner loop. Whether the warp gives up its
    /// turn.
    fn control(&mut self, g: usize, e: &mut Environment<'_>) -> Result<bool, Stop> {
        let program = e.program;
        let (pc, frame) = (self.groups[g].pc, self.groups[g].frame);
        let op = &program.code.functions[self.frames[frame].function].ops[pc];
        self.registers.base = self.frames[frame].base;
        self.registers.predicate_base = self.frames[frame].predicate_base;
        let mask = self.groups[g].mask;
        let active = active(op, mask, &self.registers);
        if let Kind::Together(run, members) = &op.kind {
            // Lanes whose guard is false have come too.
            if !self.wait_for_lanes(g, *members, active) {
                self.count(op, active, e);
                self.groups[g].pc += 1;
                if active != 0 {
                    run(&mut self.cx(e, op), active)?;
                }
            }
            return Ok(false);
        }
        if active == 0 {
            self.count(op, 0, e);
            self.groups[g].pc += 1;
            return Ok(false);
        }
        if let Kind::Branch(target) = op.kind {
            // Both ways: otherwise the inner loop would have done it.
            self.count(op, mask, e);
            e.counters.branches += 1;
            e.counters.divergent_branches += 1;
            self.split(g, mask & !active, pc + 1);
            self.groups[g].pc = target;
            return Ok(false);
        }
        if active != mask {
            self.split(g, mask & !active, pc + 1);
        }
        match &op.kind {
            Kind::Table { index, targets } => {
                self.count(op, active, e);
                self.table(g, *index, targets, op, e)?;
            }
            Kind::Call(call) => {
                self.count(op, active, e);
                self.call(g, call, op, e)?;
            }
            Kind::Return => {
                self.count(op, active, e);
                self.ret(g, e);
            }
            Kind::Exit => {
                self.count(op, active, e);
                self.exit(g, e);
            }
            Kind::Trap => {
                self.count(op, active, e);
                let lane = active.trailing_zeros() as usize;
                self.cx(e, op).report(FaultKind::Trap, lane, None, "the kernel trapped".to_string())?;
                self.exit(g, e);
            }
            Kind::Barrier(barrier) => self.barrier(g, barrier, op, e)?,
            Kind::WarpBarrier(members) => {
                if !self.wait_for_lanes(g, Members::Mask(*members), active) {
                    self.count(op, active, e);
                    self.warp_barrier(g, *members, op, e)?;
                } else {
                    self.meet_elsewhere(g, *members, e);
                }
            }
            Kind::Stack(stack) => {
                self.count(op, active, e);
                self.stack(g, *stack, op, e)?;
            }
            Kind::Yield => {
                self.count(op, active, e);
                self.groups[g].pc += 1;
                self.lend();
                return Ok(true);
            }
            Kind::Run(_) | Kind::Together(..) | Kind::Branch(_) => {}
        }
        Ok(false)
    }

    /// What an instruction of this warp sees.
    pub fn cx<'c>(&'c mut self, e: &'c mut Environment<'_>, op: &'c Op) -> Cx<'c> {
        Cx {
            registers: &mut self.registers,
            warp: &mut self.state,
            block: e.block,
            launch: e.launch,
            counters: e.counters,
            site: &op.site,
        }
    }

    /// Reports something about a group as a whole, at the instruction that it stands at.
    pub fn report(
        &mut self,
        g: usize,
        kind: FaultKind,
        detail: String,
        e: &mut Environment<'_>,
    ) -> Result<(), Stop> {
        let group = &self.groups[g];
        let ops = &e.program.code.functions[self.frames[group.frame].function].ops;
        let (op, lane) = (&ops[group.pc.min(ops.len() - 1)], group.mask.trailing_zeros() as usize);
        self.cx(e, op).report(kind, lane, None, detail)
    }

    pub fn count(&mut self, op: &Op, active: Mask, e: &mut Environment<'_>) {
        self.state.clock += 1;
        count(op, u64::from(active.count_ones()), e.counters);
    }

    /// A jump through a table.
    fn table(
        &mut self,
        g: usize,
        index: Slot<u32>,
        targets: &[usize],
        op: &Op,
        e: &mut Environment<'_>,
    ) -> Result<(), Stop> {
        let indices = self.registers.read(index);
        let mut rest = self.groups[g].mask;
        e.counters.branches += 1;
        let mut ways = 0;
        while rest != 0 {
            let lane = rest.trailing_zeros() as usize;
            let way = indices[lane];
            let same =
                (0..LANES).filter(|&l| rest >> l & 1 != 0 && indices[l] == way).fold(0, |m, l| m | 1 << l);
            rest &= !same;
            let target = match targets.get(way as usize) {
                Some(&target) => target,
                None => {
                    let detail = format!("index {way} into a table of {} targets", targets.len());
                    self.cx(e, op).report(FaultKind::Undefined, lane, None, detail)?;
                    self.groups[g].pc + 1
                }
            };
            ways += 1;
            if rest == 0 {
                self.groups[g].pc = target;
            } else {
                self.split(g, same, target);
            }
        }
        e.counters.divergent_branches += u64::from(ways > 1);
        Ok(())
    }

    /// The lanes of a group are done.
    pub fn exit(&mut self, g: usize, e: &mut Environment<'_>) {
        let group = self.groups.swap_remove(g);
        self.frames.leave(group.frame);
        self.state.live &= !group.mask;
        e.barriers.exit(group.mask.count_ones());
        // Those that wait for lanes may have waited for these.
        for other in self.groups.iter_mut().filter(|o| o.wait == Wait::Lanes) {
            other.wait = Wait::Ready;
        }
    }
}

/// The lanes of a group for which an instruction's guard holds.
#[inline(always)]
fn active(op: &Op, mask: Mask, registers: &Registers) -> Mask {
    match op.guard {
        None => mask,
        Some(guard) => mask & holds(guard, registers),
    }
}

/// The lanes in which a predicate (or its negation) holds.
#[inline(always)]
pub fn holds((slot, negated): (PredicateSlot, bool), registers: &Registers) -> Mask {
    let value = registers.predicate(slot);
    if negated { !value } else { value }
}

/// Counts an instruction and runs it in the lanes for which its guard holds.
#[inline(always)]
fn issue<'a>(op: &'a Op, run: &Compute, mask: Mask, cx: &mut Cx<'a>) -> Result<(), Stop> {
    cx.warp.clock += 1;
    let active = active(op, mask, cx.registers);
    count(op, u64::from(active.count_ones()), cx.counters);
    if active == 0 {
        return Ok(());
    }
    cx.site = &op.site;
    run(cx, active)
}

#[inline(always)]
fn count(op: &Op, lanes: u64, counters: &mut Counters) {
    counters.warp_instructions.add(op.class, 1);
    counters.lane_instructions.add(op.class, lanes);
    if op.macs != 0 {
        if op.class == crate::isa::Class::Matrix {
            counters.matrix_macs += u64::from(op.macs) * u64::from(lanes != 0);
        } else {
            counters.fma_macs += u64::from(op.macs) * lanes;
        }
    }
}

fn write_fill(registers: &mut Registers, fill: &Fill, mask: Mask, value: impl Fn(usize) -> u128) {
    let start = registers.base + fill.row as usize;
    for lane in (0..LANES).filter(|&l| mask >> l & 1 != 0) {
        let bits = value(lane);
        for j in 0..fill.rows {
            let word = lane * fill.rows + j;
            registers.rows[start + word / LANES].0[word % LANES] = (bits >> (32 * j)) as u32;
        }
    }
}
