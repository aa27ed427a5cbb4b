//! Lanes: variants of a sweep side by side, where one alone does not fill the device.
//!
//! A lane is a queue of the device with working tapes, recordings and, of the filtered step, working weights of its own; all
//! else is read by all lanes. The first one is the network's own queue, and the only one where a device has no other.

use crate::attack::{Adversary, Attack};
use crate::backend::{Backend, Batch};
use crate::graph::program::{BackStep, Program, StepId};
use crate::network::Network;
use crate::tape::{Run, Tape};
use std::sync::{Mutex, MutexGuard};

/// What a variant needs for itself.
pub(super) struct Lane<B: Backend> {
    /// Its queue; none for the first lane.
    queue: Option<B>,
    /// Working tapes that no thread uses.
    workers: Mutex<Vec<Worker<B>>>,
    /// What a variant of the current target runs, for each group of the block.
    recordings: Vec<Mutex<Option<B::Recording>>>,
    /// The step of which it has working weights of its own.
    owned: Option<StepId>,
}

/// Working tapes of one thread.
pub(super) struct Worker<B: Backend> {
    pub clean: Tape<B>,
    pub adversary: Adversary<B>,
}

impl<B: Backend> Worker<B> {
    /// Tapes for a batch; `to_input` is the backward pass to the images.
    pub fn new(run: Run<B>, to_input: &[BackStep], batch: Batch, attack: &Attack) -> Self {
        Worker {
            clean: Tape::new(run.backend, run.program, batch, |_| false, moves(to_input, attack)),
            adversary: Adversary::new(run, to_input, batch, std::slice::from_ref(attack)),
        }
    }

    /// Bytes that [`Worker::new`] takes per image.
    pub fn bytes_per_image(program: &Program, to_input: &[BackStep], attack: &Attack) -> usize {
        Tape::<B>::bytes_per_image(program, |_| false, moves(to_input, attack))
            + Adversary::<B>::bytes_per_image(program, to_input, std::slice::from_ref(attack))
    }
}

/// The backward pass of the clean run.
fn moves<'a>(to_input: &'a [BackStep], attack: &Attack) -> &'a [BackStep] {
    if attack.starts_clean() { to_input } else { &[] }
}

impl<B: Backend> Lane<B> {
    /// The lane on the network's queue.
    pub fn first() -> Self {
        Lane { queue: None, workers: Mutex::default(), recordings: Vec::new(), owned: None }
    }

    /// A lane on another queue, with tapes for `batches`.
    pub fn beside(queue: B, network: &Network<B>, batches: &[Batch], groups: usize, attack: &Attack) -> Self {
        let run = network.run_on(&queue);
        let worker = |&batch| Worker::new(run, &network.to_input, batch, attack);
        let workers = batches.iter().map(worker).collect();
        let mut lane = Lane { workers: Mutex::new(workers), queue: Some(queue), ..Lane::first() };
        lane.forget(groups);
        lane
    }

    /// Its queue, unless that is the network's.
    pub fn queue(&self) -> Option<&B> {
        self.queue.as_ref()
    }

    /// What a tape needs on this lane.
    pub fn run<'a>(&'a self, network: &'a Network<'_, B>) -> Run<'a, B> {
        network.run_on(self.queue.as_ref().unwrap_or(network.backend))
    }

    /// Forgets what was recorded; from now on there is something to be recorded for each of `groups`.
    pub fn forget(&mut self, groups: usize) {
        self.recordings.clear();
        self.recordings.resize_with(groups, Mutex::default);
    }

    /// What was recorded for a group.
    pub fn recording(&self, group: usize) -> MutexGuard<'_, Option<B::Recording>> {
        self.recordings[group].lock().expect("no thread panics with a recording")
    }

    /// Takes a worker for a batch, if there is one.
    pub fn take(&self, batch: Batch) -> Option<Worker<B>> {
        let mut free = self.free();
        let at = free.iter().position(|worker| worker.clean.batch() == batch)?;
        Some(free.swap_remove(at))
    }

    /// Puts a worker back.
    pub fn put(&self, worker: Worker<B>) {
        self.free().push(worker);
    }

    /// Frees the tapes of all batches but `batches`.
    pub fn keep(&self, batches: &[Batch]) {
        self.free().retain(|worker| batches.contains(&worker.clean.batch()));
    }

    fn free(&self) -> MutexGuard<'_, Vec<Worker<B>>> {
        self.workers.lock().expect("no thread panics with a worker")
    }

    /// Makes sure that it has working weights of its own of `step`, and of no other. Returns whether they are new.
    pub fn own(&mut self, network: &mut Network<B>, step: StepId) -> bool {
        let Some(queue) = self.queue.as_ref().filter(|_| self.owned != Some(step)) else { return false };
        if let Some(before) = self.owned.replace(step) {
            network.prepared.share(queue, before);
        }
        network.prepared.own(queue, step);
        true
    }

    /// Frees all that it has.
    pub fn end(self, network: &mut Network<B>) {
        let Lane { queue: Some(queue), workers, recordings, owned } = self else { return };
        if let Some(step) = owned {
            network.prepared.share(&queue, step);
        }
        drop((workers, recordings));
        // Memory comes free in the order of a queue: from here on, in that of the network's too.
        network.backend.after(&queue);
    }
}
