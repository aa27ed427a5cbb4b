//! A network with its weights on a device, ready to be run on images.

use crate::backend::{Backend, Batch, ImageBatch, PixelData};
use crate::data::Images;
use crate::filter::Mask;
use crate::graph::program::{BackStep, Mode, Program, StepId};
use crate::graph::{Graph, ParamId};
use crate::named_choice::named_choice;
use crate::tape::{Prepared, Run};
use crate::weights::Weights;
use std::ops::Range;

/// Images per run where batch norm uses the statistics of the batch.
pub const STATISTICS_BATCH: usize = 100;

named_choice!(
    /// Which statistics batch norm uses.
    BnMode, "batch-norm mode" {
        /// The running statistics of the checkpoint.
        Running = "running",
        /// Those of each batch of [`STATISTICS_BATCH`] images.
        Batch = "batch"
    }
);

impl BnMode {
    /// How a network runs with it.
    pub fn mode(self) -> Mode {
        match self {
            BnMode::Running => Mode::Inference,
            BnMode::Batch => Mode::BatchStatistics,
        }
    }
}

/// How images become the values that the first layer sees, per channel and in pixel units: (x − mean) / std.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalisation {
    /// Mean.
    pub mean: Vec<f32>,
    /// Standard deviation, positive.
    pub std: Vec<f32>,
}

impl Normalisation {
    /// None: mean 0, standard deviation 1.
    pub fn none(channels: usize) -> Self {
        Normalisation { mean: vec![0.0; channels], std: vec![1.0; channels] }
    }

    /// Mean and standard deviation.
    pub fn slices(&self) -> [&[f32]; 2] {
        [&self.mean, &self.std]
    }
}

/// A network on a device.
pub struct Network<'b, B: Backend> {
    /// The device.
    pub backend: &'b B,
    /// The network.
    pub graph: Graph,
    /// Its steps.
    pub program: Program,
    /// Its weights.
    pub prepared: Prepared<B>,
    /// What stands before the first layer.
    pub norm: Normalisation,
    /// The backward pass to the images.
    pub to_input: Vec<BackStep>,
}

impl<'b, B: Backend> Network<'b, B> {
    /// Puts a network on a device, for evaluation and attacks.
    pub fn new(backend: &'b B, graph: Graph, weights: &Weights, norm: Normalisation, mode: Mode) -> Self {
        let program = Program::lower(&graph, mode);
        let mut prepared = Prepared::new(backend, &graph, &program, true, norm.slices());
        let params: Vec<_> = weights.tensors.iter().map(|t| backend.upload(t)).collect();
        prepared.load(backend, &program, &params);
        let to_input = program.backward(true, |_| false);
        Network { backend, graph, program, prepared, norm, to_input }
    }

    /// What a tape needs.
    pub fn run(&self) -> Run<'_, B> {
        self.run_on(self.backend)
    }

    /// The same on another queue of the device.
    pub fn run_on<'a>(&'a self, queue: &'a B) -> Run<'a, B> {
        Run { backend: queue, program: &self.program, prepared: &self.prepared }
    }

    /// Takes some images of a set to the device.
    pub fn images<'a>(&self, images: &'a Images, range: Range<usize>) -> B::Images<'a> {
        let size = images.shape.iter().product::<usize>();
        self.backend.images(ImageBatch {
            pixels: PixelData::Bytes(&images.pixels[range.start * size..range.end * size]),
            labels: &images.labels[range],
        })
    }

    /// The images that go through the network together: a slab, or a batch whose statistics they share.
    pub fn groups(&self, images: Range<usize>) -> Vec<Range<usize>> {
        let size = match self.program.mode {
            Mode::Inference => self.backend.images_per_run(),
            Mode::BatchStatistics | Mode::Training => STATISTICS_BATCH,
        };
        images.clone().step_by(size).map(|start| start..(start + size).min(images.end)).collect()
    }

    /// Lets only those weights of a filterable tensor count, by its position among them, that `mask` keeps: in place.
    ///
    /// # Panics
    /// Where the network has no tensor at that position.
    pub fn mask(&mut self, layer: usize, mask: Mask) {
        let step = self.step_of(self.graph.filterable()[layer]);
        let channels = 0..self.graph.filterable_channels()[layer];
        self.prepared.mask(self.backend, step, mask, channels);
    }

    /// The step that uses a parameter.
    ///
    /// # Panics
    /// Where no step does: every parameter of a graph belongs to an operation.
    pub fn step_of(&self, param: ParamId) -> StepId {
        self.program.step_of(param).expect("every parameter belongs to a step")
    }
}

/// The batch that `images` make.
pub fn batch(images: &Range<usize>) -> Batch {
    Batch { images: images.len() }
}
