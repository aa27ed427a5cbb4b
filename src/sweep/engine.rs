//! The numeric engine of a sweep: base activations once per block of images, then every variant from the
//! filtered step on, with masks applied to the packed weights in place. Where one variant alone does not fill a device, several
//! are in flight, each on a lane.

use super::lanes::{Lane, Worker};
use super::measure::{AfterEach, Measure, Outcome, Target};
use super::record::AttackMode;
use crate::attack::Attack;
use crate::backend::{Backend, Batch, Device, SLAB, grain};
use crate::data::Images;
use crate::error::{Error, Result};
use crate::filter::Mask;
use crate::graph::Graph;
use crate::graph::program::{BackStep, Kernel, Mode, Program, StepId, StorageId, Suffix};
use crate::network::{Network, batch};
use crate::tape::{Base, Run, Tape};
use rayon::prelude::*;
use std::collections::VecDeque;
use std::ops::Range;

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
    /// The first, and those beside it.
    lanes: Vec<Lane<B>>,
    /// How many lanes there are to be, in the place of as many as fill the device.
    asked_lanes: Option<usize>,
    /// The steps that are filtered in what lanes have recorded.
    recorded: Vec<StepId>,
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
}

/// Correct images and losses of a group on their way to the host, clean and adversarial.
type Pending<B> = (<B as Device>::Pending, <B as Device>::Pending);

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
        let kept = kept(&network.program, &layers, targets, &network.to_input);
        Engine {
            network,
            images,
            mode,
            attack,
            layers,
            kept,
            block: Vec::new(),
            lanes: vec![Lane::first()],
            asked_lanes: None,
            recorded: Vec::new(),
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

    /// Runs variants on so many lanes, as far as the device has queues and memory for them, in the place of as many as fill
    /// the device. No outcome depends on it.
    pub fn with_lanes(self, lanes: usize) -> Self {
        Engine { asked_lanes: Some(lanes), ..self }
    }

    /// How many lanes many variants of the current target go to. As many as fill the device, once it has shown how full one
    /// variant makes it; until then, 1.
    pub fn lanes(&mut self) -> usize {
        let Some(Filtered { steps, .. }) = &self.target else { return 1 };
        if steps.len() != 1 || self.block.is_empty() {
            return 1;
        }
        let filling = |recording: &B::Recording| self.network.backend.queues_to_fill(recording);
        let filling = self.lanes[0].recording(0).as_ref().map_or(1, filling);
        let wanted = self.asked_lanes.unwrap_or(filling);
        while self.lanes.len() < wanted
            && let Some(lane) = self.another_lane()
        {
            self.lanes.push(lane);
        }
        wanted.min(self.lanes.len())
    }

    fn mask(&mut self, lane: usize, mask: Mask) {
        let Some(Filtered { target, steps, .. }) = &self.target else { return };
        let lane = &mut self.lanes[lane];
        if let &[step] = &steps[..]
            && lane.own(&mut self.network, step)
        {
            let all = 0..outputs_of(&self.network.program, step);
            self.weight_bytes += self.network.prepared.mask_bytes(self.network.backend, step, all) as u64;
        }
        let Network { backend, program, prepared, .. } = &mut self.network;
        let queue = lane.queue().unwrap_or(backend);
        for &step in steps {
            let channels = channels_of(program, step, target);
            self.weight_bytes += prepared.mask_bytes(queue, step, channels.clone()) as u64;
            prepared.mask(queue, step, mask, channels);
        }
    }

    /// Runs `work` on every group of the block, by its position, on all threads, and sets out to fetch what it finds, in the
    /// order of the images.
    fn each_group(
        &self,
        lane: &Lane<B>,
        work: impl Fn(Run<B>, usize, &mut Worker<B>) + Sync,
    ) -> Vec<Pending<B>> {
        self.block
            .par_iter()
            .enumerate()
            .with_min_len(grain::<B>())
            .with_max_len(grain::<B>())
            .map(|(at, group)| {
                let mut worker = self.worker(lane, group.clean.batch());
                let run = lane.run(&self.network);
                work(run, at, &mut worker);
                let pending = (worker.clean.fetch(run), worker.adversary.tape().fetch(run));
                lane.put(worker);
                pending
            })
            .collect()
    }

    /// Waits for what was found of the groups of a block, and adds it up in the order of the images.
    fn outcome(&self, lane: usize, parts: Vec<Pending<B>>) -> Result<Outcome> {
        let queue = self.lanes[lane].run(&self.network).backend;
        let mut outcome = Outcome::default();
        for (clean, adv) in parts {
            let (clean, adv) = (queue.wait(clean)?, queue.wait(adv)?);
            for (clean, adv) in clean.per_image().zip(adv.per_image()) {
                outcome.push(clean, adv);
            }
        }
        Ok(outcome)
    }

    /// Working tapes for a batch: free ones, or new ones.
    fn worker(&self, lane: &Lane<B>, batch: Batch) -> Worker<B> {
        let new = || Worker::new(lane.run(&self.network), &self.network.to_input, batch, &self.attack);
        lane.take(batch).unwrap_or_else(new)
    }

    /// The batches of the block, each once.
    fn batches(&self) -> Vec<Batch> {
        let mut batches: Vec<Batch> = self.block.iter().map(|group| group.clean.batch()).collect();
        batches.dedup();
        batches
    }

    /// One more lane, if the device has a queue and the memory, with working weights of any layer.
    fn another_lane(&self) -> Option<Lane<B>> {
        let Network { backend, program, prepared, to_input, .. } = &self.network;
        let batches = self.batches();
        let lanes: usize = batches.iter().map(|batch| batch.images.next_multiple_of(SLAB)).sum();
        let tapes = lanes * Worker::<B>::bytes_per_image(program, to_input, &self.attack);
        let weights = |&step| prepared.mask_bytes(*backend, step, 0..outputs_of(program, step));
        let weights = self.layers.iter().map(weights).max().unwrap_or_default();
        if backend.memory().is_some_and(|free| free < tapes + weights) {
            return None;
        }
        let queue = backend.queue()?;
        queue.after(backend);
        Some(Lane::beside(queue, &self.network, &batches, self.block.len(), &self.attack))
    }
}

impl<B: Backend> Measure for Engine<'_, B> {
    fn begin_block(&mut self, images: Range<usize>) -> Result<Outcome> {
        if images.end > self.images.len() {
            return Err(Error::Failed(format!("images {images:?} of a set of {}", self.images.len())));
        }
        self.block.clear();
        self.lanes.drain(1..).for_each(|lane| lane.end(&mut self.network));
        let network = &self.network;
        let kept = |id: StorageId| self.kept[id];
        let tape =
            |range: &Range<usize>| Tape::new(network.backend, &network.program, batch(range), kept, &[]);
        let fixed = self.mode == AttackMode::Fixed;
        let groups = match network.program.mode {
            Mode::Inference if !B::CONCURRENT => vec![images],
            _ => network.groups(images),
        };
        let batches: Vec<Batch> = groups.iter().map(batch).collect();
        self.lanes[0].keep(&batches);
        self.block = groups
            .into_iter()
            .map(|images| Group {
                clean: tape(&images),
                adversarial: fixed.then(|| tape(&images)),
                first: images.start,
                images: network.images(self.images, images),
            })
            .collect();
        self.recorded.clear();
        self.lanes[0].forget(self.block.len());
        let mut block = std::mem::take(&mut self.block);
        block.par_iter_mut().with_min_len(grain::<B>()).with_max_len(grain::<B>()).for_each(|group| {
            group.clean.load(self.network.run(), &group.images);
            group.clean.forward(self.network.run(), true, None);
        });
        self.block = block;
        let nothing = self.network.program.suffix(&[]);
        let outcome = self.each_group(&self.lanes[0], |run, at, worker| {
            let group = &self.block[at];
            self.attack(run, group, worker, Base { tape: &group.clean, suffix: &nothing });
            worker.adversary.judge(run, &group.images);
        });
        let outcome = self.outcome(0, outcome)?;
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
        // Channels of one layer run the same.
        if self.recorded != steps {
            self.lanes.iter_mut().for_each(|lane| lane.forget(self.block.len()));
            self.recorded.clone_from(&steps);
        }
        self.target = Some(Filtered { target: *target, steps, suffix });
        Ok(())
    }

    fn variants(&mut self, masks: &[Mask], after_each: &mut AfterEach) -> Result<Vec<Outcome>> {
        let backend = self.network.backend;
        self.lanes.iter().filter_map(Lane::queue).for_each(|queue| queue.after(backend));
        let outcomes = self.in_turn(masks, after_each);
        // Whatever happened: what comes next may write what they read.
        self.lanes.iter().filter_map(Lane::queue).for_each(|queue| backend.after(queue));
        outcomes
    }

    fn end_target(&mut self) -> Result<()> {
        self.mask(0, Mask::ALL);
        self.target = None;
        Ok(())
    }
}

impl<B: Backend> Engine<'_, B> {
    /// Runs variants on the lanes, one after the other in turn.
    fn in_turn(&mut self, masks: &[Mask], after_each: &mut AfterEach) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(masks.len());
        let mut waiting = VecDeque::new();
        let mut lanes = 1;
        for (at, mask) in masks.iter().enumerate() {
            if at == 1 {
                lanes = self.lanes(); // the first variant has run, or is running
            }
            let lane = at % lanes;
            self.mask(lane, *mask);
            let parts = self.each_group(&self.lanes[lane], |run, at, worker| {
                let mut recording = self.lanes[lane].recording(at);
                run.backend.replayable(&mut recording, || self.filtered(run, &self.block[at], worker));
            });
            waiting.push_back((lane, parts));
            if waiting.len() >= B::IN_FLIGHT
                && let Some((lane, first)) = waiting.pop_front()
            {
                outcomes.push(self.outcome(lane, first)?);
                after_each()?;
            }
        }
        for (lane, parts) in waiting {
            outcomes.push(self.outcome(lane, parts)?);
            after_each()?;
        }
        Ok(outcomes)
    }

    /// The network as it is filtered now, on one group.
    fn filtered(&self, run: Run<B>, group: &Group<B>, worker: &mut Worker<B>) {
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
                self.attack(run, group, worker, base);
                worker.adversary.judge(run, &group.images);
            }
        }
    }

    /// Loss of the clean run, and the adversarial images of the network as it is filtered now.
    fn attack(&self, run: Run<B>, group: &Group<B>, worker: &mut Worker<B>, base: Base<B>) {
        let Worker { clean, adversary } = worker;
        let backward = self.attack.starts_clean();
        clean.loss(run, Some(base), &group.images, backward.then_some(B::GRADIENT_SCALE));
        if backward {
            clean.backward(run, Some(base), &self.network.to_input, None);
        }
        adversary.attack(run, (&group.images, group.first), clean, &self.attack);
    }

    /// Runs the unfiltered network on its adversarial images and keeps what variants read of that.
    fn keep_adversarial_base(&mut self) {
        let nothing = self.network.program.suffix(&[]);
        let mut block = std::mem::take(&mut self.block);
        let (lane, run) = (&self.lanes[0], self.network.run());
        block.par_iter_mut().with_min_len(grain::<B>()).with_max_len(grain::<B>()).for_each(|group| {
            let mut worker = self.worker(lane, group.clean.batch());
            self.attack(run, group, &mut worker, Base { tape: &group.clean, suffix: &nothing });
            if let Some(tape) = &mut group.adversarial {
                tape.load_as(run, worker.adversary.tape());
                tape.forward(run, false, None);
            }
            lane.put(worker);
        });
        self.block = block;
    }
}

/// Bytes that a block of images takes per image, before any weight is loaded: what is kept of the unfiltered network and,
/// where a device runs a whole block at once, what a variant needs. Further lanes take what memory is left.
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
    let to_input = program.backward(true, |_| false);
    let kept = kept(program, &layers_of(graph, program), targets, &to_input);
    let base = tapes * Tape::<B>::bytes_per_image(program, |id| kept[id], &[]);
    if B::CONCURRENT {
        return base; // the tapes of a thread are those of one slab, whatever the block
    }
    base + Worker::<B>::bytes_per_image(program, &to_input, attack)
}

/// The step of each filterable tensor.
fn layers_of(graph: &Graph, program: &Program) -> Vec<StepId> {
    let step = |param| program.step_of(param).expect("every parameter belongs to a step");
    graph.filterable().into_iter().map(step).collect()
}

/// The storages that some variant reads from the base run, on its way forward or back.
fn kept(program: &Program, layers: &[StepId], targets: &[Target], to_input: &[BackStep]) -> Vec<bool> {
    let mut kept = program.saved(to_input);
    for target in targets {
        let suffix = program.suffix(&steps_of(layers, target));
        for &step in &suffix.steps {
            let step = &program.steps[step];
            for view in step.reads() {
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
