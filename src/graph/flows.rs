//! The backward pass of a program: which gradients flow where, in which order, and how contributions meet.

use super::ParamId;
use super::program::{BackStep, Flow, Kernel, Program, Step, StepId, StorageId, View};

impl Program {
    /// The backward pass from the gradient of the logits to the gradient of the input (where `input`) and of
    /// the parameters that `wanted` names. Nothing else is computed.
    pub fn backward(&self, input: bool, wanted: impl Fn(ParamId) -> bool) -> Vec<BackStep> {
        let has_params = |step: &Step| step.params().any(&wanted);
        // A storage's gradient is needed where the input's is, or where a parameter lies upstream of it.
        let mut needed = vec![false; self.storages.len()];
        needed[self.input.storage] = input;
        for step in &self.steps {
            needed[step.out.storage] |= has_params(step) || step.reads().any(|view| needed[view.storage]);
        }
        let mut moves = Vec::new();
        let mut flows = Flows::new(self, &needed);
        for (i, step) in self.steps.iter().enumerate().rev() {
            if !needed[step.out.storage] {
                continue;
            }
            flows.finish(step.out.storage, &mut moves);
            if has_params(step) {
                moves.push(BackStep::Params(i));
            }
            if let Some(add) = step.add.filter(|a| needed[a.storage]) {
                flows.pass(step.out, add, &mut moves);
            }
            for (input, &view) in step.inputs.iter().enumerate().filter(|(_, view)| needed[view.storage]) {
                match step.kernel {
                    Kernel::Identity => flows.pass(step.out, view, &mut moves),
                    _ => flows.through(i, input, view, &mut moves),
                }
            }
        }
        moves
    }
}

/// Contributions to the gradient of every value, in the order in which the backward pass makes them.
struct Flows<'a> {
    program: &'a Program,
    state: Vec<FlowState>,
}

/// How far the gradient of a storage is.
#[derive(Clone, Default)]
struct FlowState {
    /// Distinct views that are read, the logits by the loss.
    regions: Vec<Region>,
    /// Whether the regions overlap without being equal or leave channels out: then everything accumulates onto zeros.
    onto_zeros: bool,
    /// Whether anything was written.
    begun: bool,
    /// Whether something was written that no sign bits were applied to: then they are applied to all of it at the end, and
    /// to no part before, as the slope of a rectifier must not count twice.
    unmasked: bool,
}

#[derive(Clone)]
struct Region {
    view: View,
    /// Contributions still to come.
    expected: usize,
    /// Whether a contribution was written.
    written: bool,
    /// Another gradient as it is, that the next contribution takes along.
    waiting: Option<View>,
}

impl<'a> Flows<'a> {
    fn new(program: &'a Program, needed: &[bool]) -> Self {
        let mut state = vec![FlowState::default(); program.storages.len()];
        // The loss has written its gradient before the pass begins, and zeros beside it.
        let logits = Region { view: program.logits, expected: 0, written: true, waiting: None };
        state[program.logits.storage] =
            FlowState { regions: vec![logits], onto_zeros: false, begun: true, unmasked: true };
        for step in program.steps.iter().filter(|step| needed[step.out.storage]) {
            for view in step.reads().filter(|view| needed[view.storage]) {
                let regions = &mut state[view.storage].regions;
                match regions.iter_mut().find(|r| r.view == view) {
                    Some(region) => region.expected += 1,
                    None => regions.push(Region { view, expected: 1, written: false, waiting: None }),
                }
            }
        }
        for (state, storage) in state.iter_mut().zip(&program.storages) {
            let mut readers = vec![0; storage.shape.c];
            for place in state.regions.iter().map(|region| region.view.place) {
                for c in 0..place.c {
                    readers[place.offset + c * place.step] += 1;
                }
            }
            state.onto_zeros = readers.iter().any(|&n| n != 1);
        }
        Flows { program, state }
    }

    /// What must happen before a step that writes to `storage` is gone through: by then all contributions to the
    /// gradient of what it wrote are made.
    fn finish(&mut self, storage: StorageId, moves: &mut Vec<BackStep>) {
        let state = &mut self.state[storage];
        if !state.begun {
            state.begun = true;
            moves.push(BackStep::Zero(storage)); // nothing that counts reads it
        }
        if std::mem::take(&mut state.unmasked) && self.program.storages[storage].signed.is_some() {
            moves.push(BackStep::Mask(storage));
        }
    }

    /// A contribution through the kernel of `step` to its input number `input`, which is `to`.
    fn through(&mut self, step: StepId, input: usize, to: View, moves: &mut Vec<BackStep>) {
        let into = self.next(to, moves);
        moves.push(BackStep::Through { step, input, into });
    }

    /// A contribution that is another gradient as it is: it waits for the next one to take it along, unless it is the last.
    fn pass(&mut self, from: View, to: View, moves: &mut Vec<BackStep>) {
        if !self.state[to.storage].onto_zeros {
            let region = self.region(to);
            if region.expected > 1 && region.waiting.is_none() {
                region.waiting = Some(from);
                region.expected -= 1;
                return;
            }
        }
        let into = self.next(to, moves);
        moves.push(BackStep::Pass { from, into });
    }

    /// How the next contribution to `to` is written.
    fn next(&mut self, to: View, moves: &mut Vec<BackStep>) -> Flow {
        let state = &mut self.state[to.storage];
        let begun = std::mem::replace(&mut state.begun, true);
        if state.onto_zeros {
            if !begun {
                moves.push(BackStep::Zero(to.storage));
            }
            state.unmasked = true;
            return Flow { to, add: None, accumulate: true, mask: false };
        }
        let signed = self.program.storages[to.storage].signed.is_some() && !state.unmasked;
        let region = self.region(to);
        region.expected -= 1;
        let accumulate = std::mem::replace(&mut region.written, true);
        Flow { to, add: region.waiting.take(), accumulate, mask: signed && region.expected == 0 }
    }

    fn region(&mut self, view: View) -> &mut Region {
        let regions = &mut self.state[view.storage].regions;
        regions.iter_mut().find(|r| r.view == view).expect("counted in new")
    }
}
