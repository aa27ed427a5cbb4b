//! Accuracy of one network on clean images and under attacks.
//!
//! [`evaluate`] is the measurement on a backend, [`Chunks`] goes through many images with it, [`Accuracy`] does that on a device
//! for whoever just wants to know. [`halving`](mod@halving) searches the ε that halves the accuracy.

mod accuracy;
mod chunks;
pub mod estimate;
pub mod halving;
mod outputs;

pub use accuracy::Accuracy;
pub use chunks::{Chunks, chunk};
pub(crate) use estimate::seconds_per_image;
pub use halving::{Halving, halving};
pub use outputs::write_outputs;

use crate::attack::{Adversary, Attack};
use crate::backend::{Backend, Verdicts, grain};
use crate::data::Images;
use crate::error::Result;
use crate::network::{Network, batch};
use crate::tape::Tape;
use rayon::prelude::*;
use std::ops::Range;

/// What an evaluation found.
#[derive(Clone, Debug, Default)]
pub struct Evaluation {
    /// Number of images.
    pub images: usize,
    /// On the clean images.
    pub clean: Verdicts,
    /// On the adversarial images of each attack, in the order asked for.
    pub adversarial: Vec<Verdicts>,
    /// `[images, classes]`, where asked for.
    pub logits: Vec<f32>,
    /// Gradient of the summed cross-entropy by the pixels, `[images, C, H, W]`, where asked for.
    pub input_gradient: Vec<f32>,
}

impl Evaluation {
    /// Adds what was found of the images that follow; both were attacked alike.
    pub fn append(&mut self, next: Evaluation) {
        self.images += next.images;
        self.clean.append(next.clean);
        for (all, next) in self.adversarial.iter_mut().zip(next.adversarial) {
            all.append(next);
        }
        self.logits.extend(next.logits);
        self.input_gradient.extend(next.input_gradient);
    }
}

/// Counts over images.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Images whose label is the arg-max.
    pub correct: usize,
    /// Sum of the cross-entropies.
    pub loss: f64,
}

impl Tally {
    /// Counts the images of a batch.
    pub fn add(&mut self, verdicts: &Verdicts) {
        self.correct += verdicts.correct.iter().filter(|c| **c).count();
        self.loss += verdicts.loss.iter().map(|&l| f64::from(l)).sum::<f64>();
    }
}

impl From<&Verdicts> for Tally {
    fn from(verdicts: &Verdicts) -> Self {
        let mut tally = Tally::default();
        tally.add(verdicts);
        tally
    }
}

/// Evaluates `network` on those of `images` that `range` says, clean and under each of `attacks`. `outputs` asks for logits and
/// input gradients too; `done` hears of every finished group of images.
///
/// # Errors
/// Those of the device.
pub fn evaluate<B: Backend>(
    network: &Network<B>,
    images: &Images,
    range: Range<usize>,
    attacks: &[Attack],
    outputs: bool,
    done: impl Fn(usize) + Sync,
) -> Result<Evaluation> {
    let groups = network.groups(range);
    let parts: Result<Vec<Evaluation>> = groups
        .par_iter()
        .with_min_len(grain::<B>())
        .with_max_len(grain::<B>())
        .map(|range| {
            let part = group(network, images, range, attacks, outputs);
            done(range.len());
            part
        })
        .collect();
    let adversarial = vec![Verdicts::default(); attacks.len()];
    let mut all = Evaluation { adversarial, ..Evaluation::default() };
    parts?.into_iter().for_each(|part| all.append(part));
    Ok(all)
}

fn group<B: Backend>(
    network: &Network<B>,
    images: &Images,
    range: &Range<usize>,
    attacks: &[Attack],
    outputs: bool,
) -> Result<Evaluation> {
    let run = network.run();
    let on_device = network.images(images, range.clone());
    let backward = outputs || attacks.iter().any(Attack::starts_clean);
    let moves = if backward { &network.to_input[..] } else { &[] };
    let mut tape = Tape::new(network.backend, &network.program, batch(range), |_| false, moves);
    tape.load(run, &on_device);
    tape.forward(run, backward, None);
    tape.loss(run, None, &on_device, backward.then_some(B::GRADIENT_SCALE));
    let clean = tape.verdicts(run)?;
    let logits = if outputs { tape.logits(run, None)? } else { Vec::new() };
    tape.backward(run, None, moves, None);
    let mut input_gradient = if outputs { tape.input_gradient(run)? } else { Vec::new() };
    let plane = images.shape[1] * images.shape[2];
    for (i, plane) in input_gradient.chunks_mut(plane).enumerate() {
        let scale = B::GRADIENT_SCALE * network.norm.std[i % images.shape[0]];
        plane.iter_mut().for_each(|g| *g /= scale);
    }
    let mut adversary = Adversary::new(run, &network.to_input, batch(range), attacks);
    let mut adversarial = Vec::with_capacity(attacks.len());
    for attack in attacks {
        adversary.attack(run, (&on_device, range.start), &tape, attack);
        adversary.judge(run, &on_device);
        adversarial.push(adversary.tape().verdicts(run)?);
    }
    Ok(Evaluation { images: range.len(), clean, adversarial, logits, input_gradient })
}
