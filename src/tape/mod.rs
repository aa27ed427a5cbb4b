//! The values of one run of a program: forward, backward.
//!
//! A [`Tape`] owns the buffers of one batch and keeps what the backward pass needs: sign bits, winners of the
//! pools, batch statistics. It can continue another tape: then only the steps of a [`Suffix`] run, and
//! everything fresh is read from the base. [`Prepared`] holds the weights in the form in which steps use them.

mod buffers;
mod prepared;
mod steps;

pub use prepared::Prepared;

use crate::backend::{
    Adversarial, AttackStart, AttackStep, Backend, Batch, Input, Output, Statistics, Then, Verdicts,
};
use crate::error::Result;
use crate::graph::ParamId;
use crate::graph::program::{
    BackStep, Kernel, Mode, Program, Step, StepId, Storage, StorageId, Suffix, View,
};
use buffers::{Assignment, Buffers};

/// What a tape runs: a program, on a device, with weights.
pub struct Run<'a, B: Backend> {
    /// The device.
    pub backend: &'a B,
    /// The steps.
    pub program: &'a Program,
    /// The weights.
    pub prepared: &'a Prepared<B>,
}

impl<B: Backend> Clone for Run<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Backend> Copy for Run<'_, B> {}

/// An earlier run that this one continues.
pub struct Base<'a, B: Backend> {
    /// Its values.
    pub tape: &'a Tape<B>,
    /// What is stale.
    pub suffix: &'a Suffix,
}

impl<B: Backend> Clone for Base<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Backend> Copy for Base<'_, B> {}

/// The values of one run for one batch.
pub struct Tape<B: Backend> {
    batch: Batch,
    values: Buffers<B>,
    gradients: Buffers<B>,
    /// Per storage.
    bits: Vec<Option<B::Bits>>,
    /// Per step.
    winners: Vec<Option<B::Bytes>>,
    norms: Vec<Option<NormState<B>>>,
    /// Per parameter.
    param_gradients: Vec<Option<B::Floats>>,
    verdicts: B::DeviceVerdicts,
}

/// What a batch norm by batch statistics keeps.
struct NormState<B: Backend> {
    statistics: Statistics<B>,
    /// Factor and term per channel that follow from the statistics.
    coefficients: [B::Floats; 2],
    /// Gradients of γ and β, for passes that keep no parameter gradients.
    gradients: Option<[B::Floats; 2]>,
}

impl<B: Backend> Tape<B> {
    /// Buffers for `batch`: those of the values that `keep` names live as long as the tape, the others share memory;
    /// gradients as the backward pass `moves` needs them.
    pub fn new(
        backend: &B,
        program: &Program,
        batch: Batch,
        keep: impl Fn(StorageId) -> bool,
        moves: &[BackStep],
    ) -> Self {
        let keep = |id| keep(id) || program.mode != Mode::Inference;
        let signed = |s: &Storage| s.signed.is_some().then(|| backend.bits(s.rows(), batch));
        let winners = |step: &Step| {
            matches!(step.kernel, Kernel::MaxPool(_)).then(|| backend.bytes(step.out.place.rows(), batch))
        };
        let norm = |(id, step): (StepId, &Step)| match step.kernel {
            Kernel::Norm(_) => {
                let channels = || backend.floats(step.x().place.c);
                let through =
                    moves.iter().any(|m| matches!(m, BackStep::Through { step, .. } if *step == id));
                let params = moves.iter().any(|m| matches!(m, BackStep::Params(step) if *step == id));
                Some(NormState {
                    statistics: Statistics { mean: channels(), var: channels() },
                    coefficients: [channels(), channels()],
                    gradients: (through && !params).then(|| [channels(), channels()]),
                })
            }
            _ => None,
        };
        Tape {
            batch,
            values: Buffers::for_values(backend, program, batch, keep, moves),
            gradients: Buffers::for_gradients(backend, program, batch, moves),
            bits: program.storages.iter().map(signed).collect(),
            winners: program.steps.iter().map(winners).collect(),
            norms: program.steps.iter().enumerate().map(norm).collect(),
            param_gradients: Vec::new(),
            verdicts: backend.verdicts(batch),
        }
    }

    /// Bytes that [`Tape::new`] takes per image with the same arguments, sign bits and winners included.
    pub fn bytes_per_image(program: &Program, keep: impl Fn(StorageId) -> bool, moves: &[BackStep]) -> usize {
        let keep = |id| keep(id) || program.mode != Mode::Inference;
        let values: usize = Assignment::of_values(program, keep, moves).rows.iter().sum();
        let gradients: usize = Assignment::of_gradients(program, moves).rows.iter().sum();
        let signs: usize = program.storages.iter().filter(|s| s.signed.is_some()).map(|s| s.rows()).sum();
        let pools = program.steps.iter().filter(|s| matches!(s.kernel, Kernel::MaxPool(_)));
        B::VALUE_BYTES * (values + gradients)
            + signs.div_ceil(8)
            + pools.map(|s| s.out.place.rows()).sum::<usize>()
    }

    /// The images of this tape.
    pub fn batch(&self) -> Batch {
        self.batch
    }

    /// Starts a run from normalised images.
    pub fn load(&mut self, run: Run<B>, images: &B::Images<'_>) {
        let View { storage, place } = run.program.input;
        let mut data = self.values.take(storage);
        let out = Output { data: &mut data, place };
        run.backend.load_images(self.batch, images, run.prepared.standard(), out);
        self.values.put(storage, data);
    }

    /// Starts a run from where an attack starts, in `pixels` too.
    pub fn load_start(
        &mut self,
        run: Run<B>,
        images: &B::Images<'_>,
        start: AttackStart,
        pixels: &mut B::Floats,
    ) {
        let View { storage, place } = run.program.input;
        let mut data = self.values.take(storage);
        let to = Adversarial { pixels: Some(pixels), z: Output { data: &mut data, place } };
        run.backend.attack_start(self.batch, images, run.prepared.standard(), start, to);
        self.values.put(storage, data);
    }

    /// Starts a run one step of an attack from `pixels`, which move along, or from the images themselves, along the gradient
    /// of `from`, or of this tape's own last run, which was run backward.
    pub fn load_step(
        &mut self,
        run: Run<B>,
        images: &B::Images<'_>,
        from: Option<&Tape<B>>,
        step: AttackStep,
        pixels: Option<&mut B::Floats>,
    ) {
        let View { storage, place } = run.program.input;
        let mut data = self.values.take(storage);
        let gradients = from.map_or(&self.gradients, |tape| &tape.gradients);
        let gradient = Input { data: gradients.get(storage), place };
        let at = Adversarial { pixels, z: Output { data: &mut data, place } };
        run.backend.attack_step(self.batch, images, run.prepared.standard(), gradient, step, at);
        self.values.put(storage, data);
    }

    /// Starts a run from the images that `other` starts from.
    pub fn load_as(&mut self, run: Run<B>, other: &Tape<B>) {
        let View { storage, place } = run.program.input;
        let mut data = self.values.take(storage);
        let from = Input { data: other.values.get(storage), place };
        run.backend.map(self.batch, from, Output { data: &mut data, place }, Then::default());
        self.values.put(storage, data);
    }

    /// Runs all steps. With `save`, what a backward pass needs is kept; `dropout` is the seed and the training step that
    /// its random stream starts from, and is needed in [`Mode::Training`] alone.
    pub fn forward(&mut self, run: Run<B>, save: bool, dropout: Option<(u64, u64)>) {
        for step in 0..run.program.steps.len() {
            self.step(run, step, None, save, dropout);
        }
    }

    /// Runs the stale steps of a suffix on top of a base run.
    pub fn forward_suffix(&mut self, run: Run<B>, base: Base<B>, save: bool) {
        for &step in &base.suffix.steps {
            for (_, view) in base.suffix.copies.iter().filter(|(first, _)| *first == step) {
                self.copy_fresh(run, base, *view);
            }
            self.step(run, step, Some(base), save, None);
        }
    }

    /// Cross-entropy of the logits; with `factor`, its gradient times that factor starts the backward pass.
    pub fn loss(&mut self, run: Run<B>, base: Option<Base<B>>, images: &B::Images<'_>, factor: Option<f32>) {
        let View { storage, place } = run.program.logits;
        let mut gradient = factor.map(|factor| (self.gradients.take(storage), factor));
        if let Some((data, _)) = gradient.as_mut().filter(|_| place.c < place.pixel) {
            run.backend.zero(data); // what lies beside the logits in their buffer has gradient zero
        }
        let logits = match base {
            Some(base) if !base.suffix.dirty[storage] => base.tape.values.get(storage),
            _ => self.values.get(storage),
        };
        let logits = Input { data: logits, place };
        let out = gradient.as_mut().map(|(data, factor)| (Output { data, place }, *factor));
        run.backend.cross_entropy(self.batch, logits, images, out, &mut self.verdicts);
        if let Some((data, _)) = gradient {
            self.gradients.put(storage, data);
        }
    }

    /// Sets out to bring to the host what [`Tape::loss`] found.
    pub fn fetch(&mut self, run: Run<B>) -> B::Pending {
        run.backend.fetch(&mut self.verdicts)
    }

    /// What [`Tape::loss`] found.
    ///
    /// # Errors
    /// Those of the device.
    pub fn verdicts(&mut self, run: Run<B>) -> Result<Verdicts> {
        run.backend.wait(self.fetch(run))
    }

    /// Runs a backward pass. `base` is the one that the forward pass continued.
    pub fn backward(
        &mut self,
        run: Run<B>,
        base: Option<Base<B>>,
        moves: &[BackStep],
        dropout: Option<(u64, u64)>,
    ) {
        for &back in moves {
            match back {
                BackStep::Params(step) => self.params(run, base, step),
                BackStep::Through { step, input, into } => {
                    self.through(run, base, (step, input), into, dropout);
                }
                BackStep::Pass { from, into } => self.pass(run, base, from, into),
                BackStep::Zero(storage) => {
                    let mut data = self.gradients.take(storage);
                    run.backend.zero(&mut data);
                    self.gradients.put(storage, data);
                }
                BackStep::Mask(storage) => {
                    let mut data = self.gradients.take(storage);
                    let below = run.program.storages[storage].signed.expect("the storage is signed");
                    run.backend.mask(&mut data, self.sign_bits(base, storage), below);
                    self.gradients.put(storage, data);
                }
            }
        }
    }

    /// The logits, `[images, classes]`.
    ///
    /// # Errors
    /// Those of the device.
    pub fn logits(&self, run: Run<B>, base: Option<Base<B>>) -> Result<Vec<f32>> {
        run.backend.download_nchw(self.batch, self.read(base, run.program.logits))
    }

    /// The normalised images that a run was started from, `[images, C, H, W]`; a run may overwrite them.
    ///
    /// # Errors
    /// Those of the device.
    pub fn loaded(&self, run: Run<B>) -> Result<Vec<f32>> {
        let View { storage, place } = run.program.input;
        run.backend.download_nchw(self.batch, Input { data: self.values.get(storage), place })
    }

    /// The gradient by the normalised images, `[images, C, H, W]`; the gradient by pixel is this over the
    /// standard deviation.
    ///
    /// # Errors
    /// Those of the device.
    pub fn input_gradient(&self, run: Run<B>) -> Result<Vec<f32>> {
        let View { storage, place } = run.program.input;
        run.backend.download_nchw(self.batch, Input { data: self.gradients.get(storage), place })
    }

    /// The gradient of a parameter, after a backward pass that was asked for it.
    pub fn param_gradient(&self, param: ParamId) -> Option<&B::Floats> {
        self.param_gradients.get(param)?.as_ref()
    }

    /// The batch statistics that step `step` saw.
    pub fn statistics(&self, step: StepId) -> Option<&Statistics<B>> {
        self.norms[step].as_ref().map(|norm| &norm.statistics)
    }

    fn read<'t>(&'t self, base: Option<Base<'t, B>>, view: View) -> Input<'t, B> {
        let data = match base {
            Some(base) if !base.suffix.dirty[view.storage] => base.tape.values.get(view.storage),
            _ => self.values.get(view.storage),
        };
        Input { data, place: view.place }
    }

    fn gradient(&self, view: View) -> Input<'_, B> {
        Input { data: self.gradients.get(view.storage), place: view.place }
    }

    fn sign_bits<'t>(&'t self, base: Option<Base<'t, B>>, storage: StorageId) -> &'t B::Bits {
        let fresh = base.filter(|b| !b.suffix.dirty[storage]);
        fresh.map_or(&self.bits, |b| &b.tape.bits)[storage].as_ref().expect("the storage is signed")
    }

    /// The tape that ran a step last: the base, unless the step is stale. (A fresh step may well have written to a
    /// storage that is stale because of another one.)
    fn owner<'t>(&'t self, base: Option<Base<'t, B>>, step: StepId) -> &'t Self {
        match base {
            Some(base) if base.suffix.steps.binary_search(&step).is_err() => base.tape,
            _ => self,
        }
    }

    fn copy_fresh(&mut self, run: Run<B>, base: Base<B>, view: View) {
        let View { storage, place } = view;
        let mut data = self.values.take(storage);
        let x = Input { data: base.tape.values.get(storage), place };
        run.backend.map(self.batch, x, Output { data: &mut data, place }, Then::default());
        self.values.put(storage, data);
        if let (Some(from), Some(to)) = (&base.tape.bits[storage], &mut self.bits[storage]) {
            run.backend.copy_bits(self.batch, Some((from, place)), (to, place));
        }
    }
}
