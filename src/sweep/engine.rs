//! The numeric engine of a sweep: base activations once per block of images, then every variant from the
//! filtered step on, with masks applied to the packed weights in place.

use super::measure::{Measure, Outcome, Target};
use super::record::AttackMode;
use crate::backend::{Backend, Batch, Fgsm, Verdicts};
use crate::data::Images;
use crate::error::{Error, Result};
use crate::filter::Mask;
use crate::graph::Graph;
use crate::graph::program::{Program, StepId, StorageId, Suffix};
use crate::network::{Network, batch};
use crate::tape::{Base, Tape};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Mutex;

/// Measures the variants of one network on one set of images.
pub struct Engine<'a, B: Backend> {
    network: Network<'a, B>,
    images: &'a Images,
    attack: AttackMode,
    step: Fgsm,
    /// The step of each filterable tensor.
    layers: Vec<StepId>,
    /// Storages that some variant reads from the base run.
    kept: Vec<bool>,
    block: Vec<Group<B>>,
    workers: Mutex<Vec<Worker<B>>>,
    target: Option<Filtered>,
    weight_bytes: u64,
}

/// Images that go through the network together, and what the unfiltered network made of them.
struct Group<B: Backend> {
    images: Range<usize>,
    clean: Tape<B>,
    /// The unfiltered network on its own adversarial images, for the fixed attack.
    adversarial: Option<Tape<B>>,
}

/// Working tapes of one thread.
struct Worker<B: Backend> {
    clean: Tape<B>,
    adversarial: Tape<B>,
}

struct Filtered {
    steps: Vec<StepId>,
    suffix: Suffix,
}

impl<'a, B: Backend> Engine<'a, B> {
    /// An engine for `network` on `images`, attacked with FGSM's `step`; `targets` are those that will be filtered.
    pub fn new(
        network: Network<'a, B>,
        images: &'a Images,
        attack: AttackMode,
        step: Fgsm,
        targets: &[Target],
    ) -> Self {
        let layers = layers_of(&network.graph, &network.program);
        let kept = kept(&network.program, &layers, targets);
        Engine {
            network,
            images,
            attack,
            step,
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
        let steps = steps_of(&self.layers, target);
        steps.iter().map(|&s| self.network.prepared.mask_bytes(self.network.backend, s)).sum()
    }

    fn mask(&mut self, mask: Mask) {
        let Network { backend, prepared, .. } = &mut self.network;
        for &step in self.target.iter().flat_map(|t| &t.steps) {
            prepared.mask(backend, step, mask);
            self.weight_bytes += prepared.mask_bytes(backend, step) as u64;
        }
    }

    /// Runs `work` on every group of the block, on all threads, and adds up what it finds in the order of the images.
    fn each_group(&self, work: impl Fn(&Group<B>, &mut Worker<B>) -> (Verdicts, Verdicts) + Sync) -> Outcome {
        let parts: Vec<(Verdicts, Verdicts)> = self
            .block
            .par_iter()
            .with_max_len(1)
            .map(|group| {
                let mut worker = self.worker(batch(&group.images));
                let verdicts = work(group, &mut worker);
                self.workers.lock().expect("no thread panics with a worker").push(worker);
                verdicts
            })
            .collect();
        let mut outcome = Outcome::default();
        for (clean, adv) in parts {
            for (clean, adv) in clean.per_image().zip(adv.per_image()) {
                outcome.push(clean, adv);
            }
        }
        outcome
    }

    /// Working tapes for a batch: free ones, or new ones.
    fn worker(&self, batch: Batch) -> Worker<B> {
        let mut free = self.workers.lock().expect("no thread panics with a worker");
        if let Some(i) = free.iter().position(|w| w.clean.batch() == batch) {
            return free.swap_remove(i);
        }
        drop(free);
        let Network { backend, program, to_input, .. } = &self.network;
        Worker {
            clean: Tape::new(*backend, program, batch, |_| false, to_input),
            adversarial: Tape::new(*backend, program, batch, |_| false, &[]),
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
        let fixed = self.attack == AttackMode::Fixed;
        let groups = network.groups(images);
        self.block = groups
            .into_iter()
            .map(|images| Group { clean: tape(&images), adversarial: fixed.then(|| tape(&images)), images })
            .collect();
        let mut block = std::mem::take(&mut self.block);
        block.par_iter_mut().with_max_len(1).for_each(|group| {
            group.clean.load(self.network.run(), self.network.pixels(self.images, group.images.clone()));
            group.clean.forward(self.network.run(), true, None);
        });
        self.block = block;
        let nothing = self.network.program.suffix(&[]);
        let outcome = self.each_group(|group, worker| {
            let base = Base { tape: &group.clean, suffix: &nothing };
            let clean = self.attack_base(group, worker, base);
            let adv = self.adversarial_forward(group, worker);
            (clean, adv)
        });
        if fixed {
            self.keep_adversarial_base();
        }
        Ok(outcome)
    }

    fn begin_target(&mut self, target: &Target) -> Result<()> {
        if let Target::Layer(layer) = target
            && *layer >= self.layers.len()
        {
            return Err(Error::usage(format!("layer {layer} of a network with {}", self.layers.len())));
        }
        let steps = steps_of(&self.layers, target);
        let suffix = self.network.program.suffix(&steps);
        self.target = Some(Filtered { steps, suffix });
        Ok(())
    }

    fn variant(&mut self, mask: &Mask) -> Result<Outcome> {
        self.mask(*mask);
        let target =
            self.target.as_ref().ok_or_else(|| Error::Failed("a variant without a target".into()))?;
        Ok(self.each_group(|group, worker| {
            let run = self.network.run();
            let labels = &self.images.labels[group.images.clone()];
            let base = Base { tape: &group.clean, suffix: &target.suffix };
            match &group.adversarial {
                Some(adversarial) => {
                    worker.clean.forward_suffix(run, base, false);
                    let clean = worker.clean.loss(run, Some(base), labels, None);
                    let base = Base { tape: adversarial, suffix: &target.suffix };
                    worker.adversarial.forward_suffix(run, base, false);
                    (clean, worker.adversarial.loss(run, Some(base), labels, None))
                }
                None => {
                    worker.clean.forward_suffix(run, base, true);
                    let clean = self.attack_base(group, worker, base);
                    (clean, self.adversarial_forward(group, worker))
                }
            }
        }))
    }

    fn end_target(&mut self) -> Result<()> {
        self.mask(Mask::ALL);
        self.target = None;
        Ok(())
    }
}

impl<B: Backend> Engine<'_, B> {
    /// Loss of the clean run, and the FGSM images into the worker's second tape.
    fn attack_base(&self, group: &Group<B>, worker: &mut Worker<B>, base: Base<B>) -> Verdicts {
        let run = self.network.run();
        let labels = &self.images.labels[group.images.clone()];
        let clean = worker.clean.loss(run, Some(base), labels, Some(1.0));
        worker.clean.backward(run, Some(base), &self.network.to_input, None);
        let pixels = self.network.pixels(self.images, group.images.clone());
        worker.adversarial.load_adversarial(run, pixels, &worker.clean, self.step);
        clean
    }

    fn adversarial_forward(&self, group: &Group<B>, worker: &mut Worker<B>) -> Verdicts {
        let run = self.network.run();
        worker.adversarial.forward(run, false, None);
        worker.adversarial.loss(run, None, &self.images.labels[group.images.clone()], None)
    }

    /// Runs the unfiltered network on its adversarial images and keeps what variants read of that.
    fn keep_adversarial_base(&mut self) {
        let nothing = self.network.program.suffix(&[]);
        let mut block = std::mem::take(&mut self.block);
        block.par_iter_mut().with_max_len(1).for_each(|group| {
            let mut worker = self.worker(batch(&group.images));
            self.attack_base(group, &mut worker, Base { tape: &group.clean, suffix: &nothing });
            let run = self.network.run();
            let pixels = self.network.pixels(self.images, group.images.clone());
            if let Some(tape) = &mut group.adversarial {
                tape.load_adversarial(run, pixels, &worker.clean, self.step);
                tape.forward(run, false, None);
            }
            self.workers.lock().expect("no thread panics with a worker").push(worker);
        });
        self.block = block;
    }
}

/// Bytes that a block of images takes per image, before any weight is loaded.
pub fn bytes_per_image<B: Backend>(
    graph: &Graph,
    program: &Program,
    attack: AttackMode,
    targets: &[Target],
) -> usize {
    let tapes = match attack {
        AttackMode::Adaptive => 1,
        AttackMode::Fixed => 2,
    };
    let kept = kept(program, &layers_of(graph, program), targets);
    tapes * Tape::<B>::bytes_per_image(program, |id| kept[id], &[])
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
        Target::Layer(layer) => vec![layers[*layer]],
        Target::Network => layers.to_vec(),
    }
}
