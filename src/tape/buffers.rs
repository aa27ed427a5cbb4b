//! Buffers of a tape: values (or gradients) that are never alive together share one.

use crate::backend::{Batch, Device};
use crate::graph::program::{BackStep, Flow, Program, StorageId};

/// A buffer per storage, several storages to a buffer where their lives don't meet.
pub struct Buffers<B: Device> {
    slots: Vec<Option<B::Values>>,
    slot_of: Vec<Option<usize>>,
}

/// First and last moment at which a storage is used.
type Life = Option<(usize, usize)>;

impl<B: Device> Buffers<B> {
    /// Buffers for the values of a forward pass: see [`Assignment::of_values`].
    pub fn for_values(
        backend: &B,
        program: &Program,
        batch: Batch,
        keep: impl Fn(StorageId) -> bool,
        moves: &[BackStep],
    ) -> Self {
        Self::allocate(backend, batch, Assignment::of_values(program, keep, moves))
    }

    /// Buffers for the gradients of a backward pass.
    pub fn for_gradients(backend: &B, program: &Program, batch: Batch, moves: &[BackStep]) -> Self {
        Self::allocate(backend, batch, Assignment::of_gradients(program, moves))
    }

    fn allocate(backend: &B, batch: Batch, assignment: Assignment) -> Self {
        let slots = assignment.rows.into_iter().map(|rows| Some(backend.values(rows, batch))).collect();
        Buffers { slots, slot_of: assignment.slot_of }
    }

    /// Takes the buffer of a storage out, to be written while others are read.
    ///
    /// # Panics
    /// Where the storage has no buffer or it is out already: an error of the program, not of the user.
    pub fn take(&mut self, storage: StorageId) -> B::Values {
        let slot = self.slot_of[storage].expect("the pass uses this storage");
        self.slots[slot].take().expect("a storage is written by one step at a time")
    }

    /// Puts it back.
    pub fn put(&mut self, storage: StorageId, data: B::Values) {
        let slot = self.slot_of[storage].expect("taken from there");
        self.slots[slot] = Some(data);
    }

    /// The buffer of a storage.
    ///
    /// # Panics
    /// As [`Buffers::take`].
    pub fn get(&self, storage: StorageId) -> &B::Values {
        let slot = self.slot_of[storage].expect("the pass uses this storage");
        self.slots[slot].as_ref().expect("no step reads what it writes")
    }
}

/// Which storages share a buffer, before any memory is taken.
pub struct Assignment {
    /// Rows of each buffer.
    pub rows: Vec<usize>,
    slot_of: Vec<Option<usize>>,
}

impl Assignment {
    /// For the values of a forward pass; what `keep` names is never shared, and what the backward pass `moves` reads lives
    /// until then.
    pub fn of_values(program: &Program, keep: impl Fn(StorageId) -> bool, moves: &[BackStep]) -> Self {
        let mut lives = vec![None; program.storages.len()];
        touch(&mut lives, program.input.storage, 0);
        for (i, step) in program.steps.iter().enumerate() {
            for view in step.reads().chain([step.out]) {
                touch(&mut lives, view.storage, i + 1);
            }
        }
        let end = program.steps.len() + 1;
        touch(&mut lives, program.logits.storage, end);
        for (id, _) in program.saved(moves).iter().enumerate().filter(|(_, saved)| **saved) {
            touch(&mut lives, id, end);
        }
        for (id, life) in lives.iter_mut().enumerate() {
            if keep(id) {
                *life = Some((0, end));
            }
        }
        Self::assign(program, &lives)
    }

    /// For the gradients of a backward pass.
    pub fn of_gradients(program: &Program, moves: &[BackStep]) -> Self {
        let mut lives = vec![None; program.storages.len()];
        if !moves.is_empty() {
            touch(&mut lives, program.logits.storage, 0);
        }
        for (i, back) in moves.iter().enumerate() {
            let mut flow = |into: &Flow, from: StorageId| {
                touch(&mut lives, from, i + 1);
                touch(&mut lives, into.to.storage, i + 1);
                if let Some(add) = into.add {
                    touch(&mut lives, add.storage, i + 1);
                }
            };
            match back {
                BackStep::Params(step) => touch(&mut lives, program.steps[*step].out.storage, i + 1),
                BackStep::Through { step, into, .. } => flow(into, program.steps[*step].out.storage),
                BackStep::Pass { from, into } => flow(into, from.storage),
                BackStep::Zero(storage) | BackStep::Mask(storage) => touch(&mut lives, *storage, i + 1),
            }
        }
        if lives[program.input.storage].is_some() {
            touch(&mut lives, program.input.storage, moves.len() + 1);
        }
        Self::assign(program, &lives)
    }

    /// Goes through the storages by birth and gives each the free buffer whose size fits best.
    fn assign(program: &Program, lives: &[Life]) -> Self {
        let mut order: Vec<StorageId> = (0..lives.len()).filter(|&id| lives[id].is_some()).collect();
        order.sort_by_key(|&id| (lives[id], id));
        let mut slots: Vec<(usize, usize)> = Vec::new(); // (rows, last use)
        let mut slot_of = vec![None; lives.len()];
        for id in order {
            let (birth, death) = lives[id].expect("filtered");
            let need = program.storages[id].rows();
            let free = (0..slots.len()).filter(|&s| slots[s].1 < birth);
            let slot = free.min_by_key(|&s| slots[s].0.abs_diff(need)).unwrap_or_else(|| {
                slots.push((0, 0));
                slots.len() - 1
            });
            slots[slot] = (slots[slot].0.max(need), death);
            slot_of[id] = Some(slot);
        }
        Assignment { rows: slots.into_iter().map(|(rows, _)| rows).collect(), slot_of }
    }
}

/// Extends a life to `moment`.
fn touch(lives: &mut [Life], storage: StorageId, moment: usize) {
    let life = &mut lives[storage];
    *life = Some(life.map_or((moment, moment), |(birth, death)| (birth.min(moment), death.max(moment))));
}
