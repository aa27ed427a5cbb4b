//! The numeric engine of a sweep: base activations once per block of images, then every variant from the
//! filtered step on, with masks applied to the packed weights in place.

use super::measure::{AfterEach, Measure, Outcome, Target};
use super::record::AttackMode;
use crate::attack::{Adversary, Attack};
use crate::backend::{Backend, Batch, grain};
use crate::data::Images;
use crate::error::{Error, Result};
use crate::filter::Mask;
use crate::graph::Graph;
use crate::graph::program::{Kernel, Mode, Program, StepId, StorageId, Suffix};
use crate::network::{Network, batch};
use crate::tape::{Base, Tape};
use rayon::prelude::*;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Mutex;

/// Measures the variants of one network on one set of images.
pub struct Engine<'a, B: Backend> {
    network: Network<'a, B>,
    images: &'a Images,
    mode: AttackMode,
    attack: Attack,
    /// The step of each filterable tensor.
    layers: Vec<StepId>,
    /// Storages that some variant reads from the base run.
    kept: Vec<bool>,
    block: Vec<Group<'a, B>>,
    workers: Mutex<Vec<Worker<B>>>,
    target: Option<Filtered>,
    weight_bytes: u64,
}

/// Images that go through the network together, and what the unfiltered network made of them.
struct Group<'a, B: Backend> {
    images: B::Images<'a>,
    /// Position of the first of them in the set.
    first: usize,
    clean: Tape<B>,
    /// The unfiltered network on its own adversarial images, for the fixed attack.
    adversarial: Option<Tape<B>>,
    /// What a variant of the current target runs.
    recording: Mutex<Option<B::Recording>>,
}

/// Correct images and losses of a group on their way to the host, clean and adversarial.
type Pending<B> = (<B as Backend>::Pending, <B as Backend>::Pending);

/// Working tapes of one thread.
struct Worker<B: Backend> {
    clean: Tape<B>,
    adversary: Adversary<B>,
}

struct Filtered {
    target: Target,
    steps: Vec<StepId>,
    suffix: Suffix,
}

impl<'a, B: Backend> Engine<'a, B> {
    /// An engine for `network` on `images`; `targets` are those that will be filtered.
    pub fn new(
        network: Network<'a, B>,
        images: &'a Images,
        mode: AttackMode,
        attack: Attack,
        targets: &[Target],
    ) -> Self {
        let layers = layers_of(&network.graph, &network.program);
        let kept = kept(&network.program, &layers, targets);
        Engine {
            network,
            images,
            mode,
            attack,
            layers,
            kept,
            block: Vec::new(),
            workers: Mutex::new(Vec::new()),
            target: None,
            weight_bytes: 0,
        }
    }

    /// Bytes of packed weights written so far: the only weight memory that a sweep writes.
    pub fn weight_bytes_written(&self) -> u64 {
        self.weight_bytes
    }

    /// Bytes of packed weights that one variant of `target` writes.
    pub fn weight_bytes_per_variant(&self, target: &Target) -> usize {
        let Network { backend, program, prepared, .. } = &self.network;
        let steps = steps_of(&self.layers, target);
        steps.iter().map(|&s| prepared.mask_bytes(*backend, s, channels_of(program, s, target))).sum()
    }

    fn mask(&mut self, mask: Mask) {
        let Network { backend, program, prepared, .. } = &mut self.network;
        let Some(filtered) = &self.target else { return };
        for &step in &filtered.steps {
            let channels = channels_of(program, step, &filtered.target);
            self.weight_bytes += prepared.mask_bytes(backend, step, channels.clone()) as u64;
            prepared.mask(backend, step, mask, channels);
        }
    }

    /// Runs `work` on every group of the block, on all threads, and sets out to fetch what it finds, in the order of the
    /// images.
    fn each_group(&self, work: impl Fn(&Group<B>, &mut Worker<B>) + Sync) -> Vec<Pending<B>> {
        self.block
            .par_iter()
            .with_min_len(grain::<B>())
            .with_max_len(grain::<B>())
            .map(|group| {
                let mut worker = self.worker(group.clean.batch());
                work(group, &mut worker);
                let run = self.network.run();
                let pending = (worker.clean.fetch(run), worker.adversary.tape().fetch(run));
                self.workers.lock().expect("no thread panics with a worker").push(worker);
                pending
            })
            .collect()
    }

    /// Waits for what was found of the groups of a block, and adds it up in the order of the images.
    fn outcome(&self, parts: Vec<Pending<B>>) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        for (clean, adv) in parts {
            let (clean, adv) = (self.network.backend.wait(clean)?, self.network.backend.wait(adv)?);
            for (clean, adv) in clean.per_image().zip(adv.per_image()) {
                outcome.push(clean, adv);
            }
        }
        Ok(outcome)
    }

    /// Working tapes for a batch: free ones, or new ones.
    fn worker(&self, batch: Batch) -> Worker<B> {
        let mut free = self.workers.lock().expect("no thread panics with a worker");
        if let Some(i) = free.iter().position(|w| w.clean.batch() == batch) {
            return free.swap_remove(i);
        }
        drop(free);
        let Network { backend, program, to_input, .. } = &self.network;
        let moves = if self.attack.starts_clean() { &to_input[..] } else { &[] };
        Worker {
            clean: Tape::new(*backend, program, batch, |_| false, moves),
            adversary: Adversary::new(&self.network, batch, &[self.attack]),
        }
    }
}

impl<B: Backend> Measure for Engine<'_, B> {
    fn begin_block(&mut self, images: Range<usize>) -> Result<Outcome> {
        if images.end > self.images.len() {
            return Err(Error::Failed(format!("images {images:?} of a set of {}", self.images.len())));
        }
        self.block.clear();
        let network = &self.network;
        let kept = |id: StorageId| self.kept[id];
        let tape =
            |range: &Range<usize>| Tape::new(network.backend, &network.program, batch(range), kept, &[]);
        let fixed = self.mode == AttackMode::Fixed;
        let groups = match network.program.mode {
            Mode::Inference if !B::CONCURRENT => vec![images],
            _ => network.groups(images),
        };
        self.block = groups
            .into_iter()
            .map(|images| Group {
                clean: tape(&images),
                adversarial: fixed.then(|| tape(&images)),
                first: images.start,
                images: network.images(self.images, images),
                recording: Mutex::new(None),
            })
            .collect();
        let mut block = std::mem::take(&mut self.block);
        block.par_iter_mut().with_min_len(grain::<B>()).with_max_len(grain::<B>()).for_each(|group| {
            group.clean.load(self.network.run(), &group.images);
            group.clean.forward(self.network.run(), true, None);
        });
        self.block = block;
        let nothing = self.network.program.suffix(&[]);
        let outcome = self.each_group(|group, worker| {
            let base = Base { tape: &group.clean, suffix: &nothing };
            self.attack(group, worker, base);
            worker.adversary.judge(&self.network, &group.images);
        });
        let outcome = self.outcome(outcome)?;
        if fixed {
            self.keep_adversarial_base();
        }
        Ok(outcome)
    }

    fn begin_target(&mut self, target: &Target) -> Result<()> {
        if let Target::Layer(layer) | Target::Channel { layer, .. } = target
            && *layer >= self.layers.len()
        {
            return Err(Error::usage(format!("layer {layer} of a network with {}", self.layers.len())));
        }
        if let Target::Channel { layer, channel } = *target {
            let channels = outputs_of(&self.network.program, self.layers[layer]);
            if channel >= channels {
                return Err(Error::usage(format!("channel {channel} of a layer with {channels}")));
            }
        }
        let steps = steps_of(&self.layers, target);
        let suffix = self.network.program.suffix(&steps);
        self.target = Some(Filtered { target: *target, steps, suffix });
        for group in &mut self.block {
            group.recording = Mutex::new(None);
        }
        Ok(())
    }

    fn variants(&mut self, masks: &[Mask], after_each: &mut AfterEach) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(masks.len());
        let mut waiting = VecDeque::new();
        for mask in masks {
            self.mask(*mask);
            waiting.push_back(self.each_group(|group, worker| {
                let mut recording = group.recording.lock().expect("no thread panics with a recording");
                let backend = self.network.backend;
                backend.replayable(&mut recording, || self.filtered(group, worker));
            }));
            if waiting.len() >= B::IN_FLIGHT
                && let Some(first) = waiting.pop_front()
            {
                outcomes.push(self.outcome(first)?);
                after_each()?;
            }
        }
        for parts in waiting {
            outcomes.push(self.outcome(parts)?);
            after_each()?;
        }
        Ok(outcomes)
    }

    fn end_target(&mut self) -> Result<()> {
        self.mask(Mask::ALL);
        self.target = None;
        Ok(())
    }
}

impl<B: Backend> Engine<'_, B> {
    /// The network as it is filtered now, on one group.
    fn filtered(&self, group: &Group<B>, worker: &mut Worker<B>) {
        let run = self.network.run();
        let Some(target) = &self.target else { return };
        let base = Base { tape: &group.clean, suffix: &target.suffix };
        match &group.adversarial {
            Some(adversarial) => {
                worker.clean.forward_suffix(run, base, false);
                worker.clean.loss(run, Some(base), &group.images, None);
                let base = Base { tape: adversarial, suffix: &target.suffix };
                let tape = worker.adversary.tape();
                tape.forward_suffix(run, base, false);
                tape.loss(run, Some(base), &group.images, None);
            }
            None => {
                worker.clean.forward_suffix(run, base, self.attack.starts_clean());
                self.attack(group, worker, base);
                worker.adversary.judge(&self.network, &group.images);
            }
        }
    }

    /// Loss of the clean run, and the adversarial images of the network as it is filtered now.
    fn attack(&self, group: &Group<B>, worker: &mut Worker<B>, base: Base<B>) {
        let run = self.network.run();
        let Worker { clean, adversary } = worker;
        let backward = self.attack.starts_clean();
        clean.loss(run, Some(base), &group.images, backward.then_some(B::GRADIENT_SCALE));
        if backward {
            clean.backward(run, Some(base), &self.network.to_input, None);
        }
        adversary.attack(&self.network, (&group.images, group.first), clean, &self.attack);
    }

    /// Runs the unfiltered network on its adversarial images and keeps what variants read of that.
    fn keep_adversarial_base(&mut self) {
        let nothing = self.network.program.suffix(&[]);
        let mut block = std::mem::take(&mut self.block);
        block.par_iter_mut().with_min_len(grain::<B>()).with_max_len(grain::<B>()).for_each(|group| {
            let mut worker = self.worker(group.clean.batch());
            self.attack(group, &mut worker, Base { tape: &group.clean, suffix: &nothing });
            let run = self.network.run();
            if let Some(tape) = &mut group.adversarial {
                tape.load_as(run, worker.adversary.tape());
                tape.forward(run, false, None);
            }
            self.workers.lock().expect("no thread panics with a worker").push(worker);
        });
        self.block = block;
    }
}

/// Bytes that a block of images takes per image, before any weight is loaded: what is kept of the unfiltered network and,
/// where a device runs a whole block at once, what a variant needs.
pub fn bytes_per_image<B: Backend>(
    graph: &Graph,
    program: &Program,
    mode: AttackMode,
    attack: &Attack,
    targets: &[Target],
) -> usize {
    let tapes = match mode {
        AttackMode::Adaptive => 1,
        AttackMode::Fixed => 2,
    };
    let kept = kept(program, &layers_of(graph, program), targets);
    let base = tapes * Tape::<B>::bytes_per_image(program, |id| kept[id], &[]);
    if B::CONCURRENT {
        return base; // the tapes of a thread are those of one slab, whatever the block
    }
    let to_input = program.backward(true, |_| false);
    let moves = if attack.starts_clean() { &to_input[..] } else { &[] };
    let clean = Tape::<B>::bytes_per_image(program, |_| false, moves);
    base + clean + Adversary::<B>::bytes_per_image(program, &to_input, std::slice::from_ref(attack))
}

/// The step of each filterable tensor.
fn layers_of(graph: &Graph, program: &Program) -> Vec<StepId> {
    let step = |param| program.step_of(param).expect("every parameter belongs to a step");
    graph.filterable().into_iter().map(step).collect()
}

/// The storages that some variant reads from the base run.
fn kept(program: &Program, layers: &[StepId], targets: &[Target]) -> Vec<bool> {
    let mut kept = vec![false; program.storages.len()];
    for target in targets {
        let suffix = program.suffix(&steps_of(layers, target));
        for &step in &suffix.steps {
            let step = &program.steps[step];
            for view in [Some(step.x), step.add].into_iter().flatten() {
                kept[view.storage] |= !suffix.dirty[view.storage];
            }
        }
        for (_, view) in &suffix.copies {
            kept[view.storage] = true;
        }
    }
    kept
}

/// The steps that a target filters.
fn steps_of(layers: &[StepId], target: &Target) -> Vec<StepId> {
    match target {
        Target::Layer(layer) | Target::Channel { layer, .. } => vec![layers[*layer]],
        Target::Network => layers.to_vec(),
    }
}

/// The output channels of a step that a target filters.
fn channels_of(program: &Program, step: StepId, target: &Target) -> Range<usize> {
    match *target {
        Target::Channel { channel, .. } => channel..channel + 1,
        Target::Layer(_) | Target::Network => 0..outputs_of(program, step),
    }
}

/// The output channels of a step, if it is a convolution.
fn outputs_of(program: &Program, step: StepId) -> usize {
    match program.steps[step].kernel {
        Kernel::Conv { shape, .. } => shape.k,
        _ => 0,
    }
}
