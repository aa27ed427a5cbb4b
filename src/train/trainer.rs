//! A network in training: its parameters, the optimiser's state, and what one step does to them.

use crate::backend::{Backend, Batch, ImageBatch, Optimizer, Verdicts};
use crate::checkpoint::{Checkpoint, Metadata, OPTIMIZER_PREFIX, Tensor};
use crate::error::{Error, Result};
use crate::graph::program::{BackStep, Kernel, Program};
use crate::graph::{Graph, NORM_MOMENTUM, ParamId, ParamKind};
use crate::tape::{Prepared, Run, Tape};
use crate::weights::Weights;
use std::path::Path;

/// A network in training on a device.
pub struct Trainer<'b, B: Backend> {
    backend: &'b B,
    graph: Graph,
    program: Program,
    prepared: Prepared<B>,
    tape: Tape<B>,
    moves: Vec<BackStep>,
    optimizer: Optimizer,
    seed: u64,
    step: u64,
    /// Steps that batch norms had seen before the first.
    batches: i64,
    /// One buffer per parameter of the graph.
    params: Vec<B::Floats>,
    /// The parameters that gradients move, each with the optimiser's state.
    trained: Vec<(ParamId, [B::Floats; 2])>,
}

/// What a network in training starts from.
pub struct Start<'a> {
    /// The network.
    pub graph: Graph,
    /// Its weights.
    pub weights: &'a Weights,
    /// Parameters that stay as they are. A batch norm whose γ is among them goes by running statistics, and leaves these as
    /// they are too.
    pub frozen: &'a [ParamId],
    /// How weights are moved.
    pub optimizer: Optimizer,
    /// Decides dropout.
    pub seed: u64,
    /// Images per step.
    pub batch: usize,
    /// Mean and standard deviation of each channel, in pixel units, by which images are normalised.
    pub norm: [&'a [f32]; 2],
}

impl<'b, B: Backend> Trainer<'b, B> {
    /// Starts a network in training.
    ///
    /// # Panics
    /// If all parameters are frozen.
    pub fn new(backend: &'b B, start: Start) -> Self {
        let Start { graph, weights, frozen, optimizer, seed, batch, norm } = start;
        let program = Program::lower_frozen(&graph, frozen);
        let is_trained =
            |param: ParamId| graph.params[param].kind != ParamKind::Statistic && !frozen.contains(&param);
        let moves = program.backward(false, is_trained);
        let tape = Tape::new(backend, &program, Batch { images: batch }, |_| true, &moves);
        let mut prepared = Prepared::new(backend, &graph, &program, true, norm);
        let params: Vec<_> = weights.tensors.iter().map(|t| backend.upload(t)).collect();
        prepared.load(backend, &program, &params);
        let state = |param: ParamId| {
            let len = graph.params[param].len();
            let second = if moment_names(optimizer)[1].is_empty() { 0 } else { len };
            (param, [backend.floats(len), backend.floats(second)])
        };
        let trained: Vec<_> = (0..graph.params.len()).filter(|&p| is_trained(p)).map(state).collect();
        assert!(!trained.is_empty(), "a network in training has something to train");
        let batches = weights.batches;
        Trainer {
            backend,
            graph,
            program,
            prepared,
            tape,
            moves,
            optimizer,
            seed,
            step: 0,
            batches,
            params,
            trained,
        }
    }

    /// Moves weights by another optimiser of the same kind from now on: the learning rate changes, the moments stay.
    pub fn set_optimizer(&mut self, optimizer: Optimizer) {
        self.optimizer = optimizer;
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// One step on a batch: forward with the statistics of the batch, backward of the mean loss, one step of the
    /// optimiser, and the batch's share in the running statistics. What it returns was seen before the step.
    ///
    /// # Errors
    /// Those of the device.
    pub fn step(&mut self, batch: ImageBatch) -> Result<Verdicts> {
        let dropout = Some((self.seed, self.step));
        let run = Run { backend: self.backend, program: &self.program, prepared: &self.prepared };
        let images = self.backend.images(batch);
        self.tape.load(run, &images);
        self.tape.forward(run, true, dropout);
        self.tape.loss(run, None, &images, Some(1.0 / batch.labels.len() as f32));
        let verdicts = self.tape.fetch(run);
        self.tape.backward(run, None, &self.moves, dropout);
        self.step += 1;
        for (param, moments) in &mut self.trained {
            let gradient = self.tape.param_gradient(*param).expect("the backward pass was asked for all");
            self.backend.optimize(self.optimizer, self.step, &mut self.params[*param], gradient, moments);
        }
        self.update_running(batch.labels.len());
        self.prepared.load(self.backend, &self.program, &self.params);
        self.backend.wait(verdicts)
    }

    /// The parameters, in the graph's order, on the device.
    pub fn params(&self) -> &[B::Floats] {
        &self.params
    }

    /// The weights as they are.
    ///
    /// # Errors
    /// Those of the device.
    pub fn weights(&self) -> Result<Weights> {
        let tensors: Result<_> = self.params.iter().map(|p| self.backend.download(p)).collect();
        Ok(Weights { tensors: tensors?, batches: self.batches.saturating_add(self.step as i64) })
    }

    /// Weights, optimiser and step count: all that a later [`Trainer::restore`] needs to go on as if nothing had been.
    ///
    /// # Errors
    /// Those of the device.
    pub fn state(&self, meta: Metadata) -> Result<Checkpoint> {
        let mut checkpoint = self.weights()?.to_checkpoint(&self.graph, meta);
        for (param, moments) in &self.trained {
            let graph = &self.graph.params[*param];
            for (name, moment) in moment_names(self.optimizer).into_iter().zip(moments) {
                if !name.is_empty() {
                    let tensor = Tensor { shape: graph.shape.clone(), data: self.backend.download(moment)? };
                    checkpoint.tensors.insert(moment_name(&graph.name, name), tensor);
                }
            }
        }
        checkpoint.counters.insert(format!("{OPTIMIZER_PREFIX}step"), self.step as i64);
        Ok(checkpoint)
    }

    /// Takes up what [`Trainer::state`] gave; `path` is the file that errors name.
    ///
    /// # Errors
    /// [`Error::Input`] naming the first tensor that is missing or of another shape.
    pub fn restore(&mut self, checkpoint: &Checkpoint, path: &Path) -> Result<()> {
        let weights = Weights::from_checkpoint(&self.graph, checkpoint, path)?;
        let counter = format!("{OPTIMIZER_PREFIX}step");
        let step = checkpoint.counters.get(&counter).and_then(|&step| u64::try_from(step).ok());
        self.step = step.ok_or_else(|| Error::input(path, &counter, "a number of steps", "none"))?;
        self.batches = weights.batches.saturating_sub(self.step as i64);
        for (param, values) in self.params.iter_mut().zip(&weights.tensors) {
            self.backend.write(param, values);
        }
        for (param, moments) in &mut self.trained {
            let graph = &self.graph.params[*param];
            for (name, moment) in moment_names(self.optimizer).into_iter().zip(moments) {
                if name.is_empty() {
                    continue;
                }
                let name = moment_name(&graph.name, name);
                let expected = format!("shape {:?}", graph.shape);
                match checkpoint.tensors.get(&name) {
                    Some(tensor) if tensor.shape == graph.shape => self.backend.write(moment, &tensor.data),
                    Some(tensor) => {
                        return Err(Error::input(path, name, expected, format!("{:?}", tensor.shape)));
                    }
                    None => return Err(Error::input(path, name, expected, "no such tensor")),
                }
            }
        }
        self.prepared.load(self.backend, &self.program, &self.params);
        Ok(())
    }

    fn update_running(&mut self, images: usize) {
        for (id, step) in self.program.steps.iter().enumerate() {
            let Kernel::Norm(norm) = step.kernel else { continue };
            let batch = self.tape.statistics(id).expect("kept by forward");
            let count = images * step.x().place.h * step.x().place.w;
            let [mean, var] = self.params.get_disjoint_mut([norm.mean, norm.var]).expect("two parameters");
            self.backend.update_running(batch, count, NORM_MOMENTUM, mean, var);
        }
    }
}

/// What PyTorch calls the two states of an optimiser; an empty name where it has but one.
fn moment_names(optimizer: Optimizer) -> [&'static str; 2] {
    match optimizer {
        Optimizer::Adam(_) => ["exp_avg", "exp_avg_sq"],
        Optimizer::Sgd(_) => ["momentum_buffer", ""],
    }
}

fn moment_name(param: &str, moment: &str) -> String {
    format!("{OPTIMIZER_PREFIX}{param}.{moment}")
}
