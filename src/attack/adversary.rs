//! Making adversarial images of one batch, on a device.

use super::method::{Attack, Method};
use crate::backend::{Backend, Batch};
use crate::graph::program::{BackStep, Program};
use crate::tape::{Run, Tape};

/// The adversarial images of one batch, and what a network makes of them.
pub struct Adversary<B: Backend> {
    tape: Tape<B>,
    /// The backward pass to the images, where gradients at adversarial ones are needed.
    moves: Vec<BackStep>,
    /// In pixel units, between the steps of PGD.
    pixels: Option<B::Floats>,
}

impl<B: Backend> Adversary<B> {
    /// Room for `attacks` on a batch; `to_input` is the backward pass to the images.
    pub fn new(run: Run<B>, to_input: &[BackStep], batch: Batch, attacks: &[Attack]) -> Self {
        let Run { backend, program, .. } = run;
        let needs = Needs::of(attacks, to_input);
        Adversary {
            tape: Tape::new(backend, program, batch, |_| false, needs.moves),
            moves: needs.moves.to_vec(),
            pixels: needs.pixels.then(|| backend.pixels(program.input.place.values(), batch)),
        }
    }

    /// Bytes that [`Adversary::new`] takes per image.
    pub fn bytes_per_image(program: &Program, to_input: &[BackStep], attacks: &[Attack]) -> usize {
        let needs = Needs::of(attacks, to_input);
        let pixels = if needs.pixels { size_of::<f32>() * program.input.place.values() } else { 0 };
        pixels + Tape::<B>::bytes_per_image(program, |_| false, needs.moves)
    }

    /// Makes adversarial images against a network with the weights that it has now. `images` are those of `clean`, which has
    /// been run back to them where the attack [starts clean](Attack::starts_clean); `first` is the position of the first in
    /// the test set.
    pub fn attack(
        &mut self,
        run: Run<B>,
        (images, first): (&B::Images<'_>, usize),
        clean: &Tape<B>,
        attack: &Attack,
    ) {
        let pgd = match &attack.method {
            Method::Fgsm => return self.tape.load_step(run, images, Some(clean), attack.step(), None),
            Method::Pgd(pgd) => pgd,
        };
        let pixels = self.pixels.as_mut().expect("made for this attack");
        let (start, step) = (attack.start(first), attack.step());
        self.tape.load_start(run, images, start, pixels);
        for number in 0..pgd.steps {
            if number == 0 && attack.starts_clean() {
                self.tape.load_step(run, images, Some(clean), step, Some(pixels));
            } else {
                self.tape.forward(run, true, None);
                self.tape.loss(run, None, images, Some(B::GRADIENT_SCALE));
                self.tape.backward(run, None, &self.moves, None);
                self.tape.load_step(run, images, None, step, Some(pixels));
            }
        }
    }

    /// Runs the network on the images that [`Adversary::attack`] made.
    pub fn judge(&mut self, run: Run<B>, images: &B::Images<'_>) {
        self.tape.forward(run, false, None);
        self.tape.loss(run, None, images, None);
    }

    /// The run on those images.
    pub fn tape(&mut self) -> &mut Tape<B> {
        &mut self.tape
    }
}

/// What attacks need.
struct Needs<'a> {
    moves: &'a [BackStep],
    pixels: bool,
}

impl<'a> Needs<'a> {
    fn of(attacks: &[Attack], to_input: &'a [BackStep]) -> Self {
        Needs {
            moves: if attacks.iter().any(Attack::goes_on) { to_input } else { &[] },
            pixels: attacks.iter().any(|attack| matches!(attack.method, Method::Pgd(_))),
        }
    }
}
