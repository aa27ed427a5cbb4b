//! What the engine makes of a graph: whole runs, and masked ones that continue a base.

use super::{DROPOUT, IMAGES};
use synfilter::backend::{Backend, Batch, DropoutKey, ImageBatch, Input, Output, PixelData, Standard, Then};
use synfilter::filter::{FilterKind, Mask};
use synfilter::graph::place::Place;
use synfilter::graph::program::{BackStep, Mode, Program};
use synfilter::graph::{Graph, ParamId, ParamKind, Shape};
use synfilter::tape::{Base, Prepared, Run, Tape};

/// What the engine makes of a graph.
pub struct Engine<'b, B: Backend> {
    pub device: &'b B,
    pub graph: Graph,
    program: Program,
    moves: Vec<BackStep>,
    prepared: Prepared<B>,
    pub pixels: Vec<f32>,
    pub labels: Vec<u16>,
}

impl<'b, B: Backend> Engine<'b, B> {
    pub fn new(
        device: &'b B,
        graph: Graph,
        (mode, frozen): (Mode, &[ParamId]),
        params: &[Vec<f32>],
        pixels: Vec<f32>,
        labels: Vec<u16>,
    ) -> Self {
        let program = match mode {
            Mode::Training => Program::lower_frozen(&graph, frozen),
            mode => Program::lower(&graph, mode),
        };
        let trains = |p: ParamId| {
            mode != Mode::Inference && graph.params[p].kind != ParamKind::Statistic && !frozen.contains(&p)
        };
        let moves = program.backward(true, trains);
        let c = graph.input().c;
        let norm = [&vec![0.0; c][..], &vec![1.0; c]];
        let mut prepared = Prepared::new(device, &graph, &program, true, norm);
        let params: Vec<_> = params.iter().map(|p| device.upload(p)).collect();
        prepared.load(device, &program, &params);
        Engine { device, graph, program, moves, prepared, pixels, labels }
    }

    pub fn run(&self) -> Run<'_, B> {
        Run { backend: self.device, program: &self.program, prepared: &self.prepared }
    }

    pub fn tape(&self, keep: bool) -> Tape<B> {
        Tape::new(self.device, &self.program, Batch { images: IMAGES }, |_| keep, &self.moves)
    }

    pub fn images(&self) -> B::Images<'_> {
        let pixels = PixelData::Floats(&self.pixels);
        self.device.images(ImageBatch { pixels, labels: &self.labels })
    }

    pub fn load(&self, tape: &mut Tape<B>) {
        tape.load(self.run(), &self.images());
    }

    /// Forward and backward of everything.
    pub fn whole(&self) -> Tape<B> {
        let mut tape = self.tape(false);
        self.load(&mut tape);
        tape.forward(self.run(), true, Some(DROPOUT));
        tape.loss(self.run(), None, &self.images(), Some(1.0));
        tape.backward(self.run(), None, &self.moves, Some(DROPOUT));
        tape
    }

    /// What stands in the outputs that gradients are taken of: logits, input gradient, parameter gradients.
    pub fn results(&self, tape: &Tape<B>, base: Option<Base<B>>) -> Vec<Vec<f32>> {
        let params = (0..self.graph.params.len()).filter_map(|p| tape.param_gradient(p));
        let mut all = vec![tape.logits(self.run(), base), tape.input_gradient(self.run())];
        all.extend(params.map(|g| self.device.download(g)));
        all.into_iter().map(|numbers| numbers.expect("a device that works")).collect()
    }

    /// Masks one convolution after the other, and compares runs that continue a base with whole ones.
    pub fn check_suffixes(&mut self, what: &str, params: &[Vec<f32>]) {
        let mut base = self.tape(true);
        self.load(&mut base);
        base.forward(self.run(), true, None);
        let mut worker = self.tape(false);
        for param in self.graph.filterable() {
            let step = self.program.step_of(param).unwrap();
            let mask = Mask::new(FilterKind::HighPass, params[param][0].abs(), 0.0);
            let channels = 0..self.graph.params[param].shape[0];
            self.prepared.mask(self.device, step, mask, channels.clone());
            let suffix = self.program.suffix(&[step]);
            let continued = Base { tape: &base, suffix: &suffix };
            worker.forward_suffix(self.run(), continued, true);
            worker.loss(self.run(), Some(continued), &self.images(), Some(1.0));
            worker.backward(self.run(), Some(continued), &self.moves, None);
            let (whole, name) = (self.whole(), &self.graph.params[param].name);
            let bits = |results: Vec<Vec<f32>>| -> Vec<Vec<u32>> {
                results.iter().map(|r| r.iter().map(|v| v.to_bits()).collect()).collect()
            };
            let (part, all) = (self.results(&worker, Some(continued)), self.results(&whole, None));
            assert!(bits(part) == bits(all), "{what}: {name} filtered, continued from a base and run whole");
            self.prepared.mask(self.device, step, Mask::ALL, channels);
        }
    }

    /// Which elements each dropout keeps: what it makes of ones.
    pub fn kept(&self, stream: u32, p: f32, shape: Shape) -> Vec<bool> {
        let (batch, place) = (Batch { images: IMAGES }, Place::dense(shape));
        let (zeros, ones) = (self.device.floats(shape.c), vec![1.0; shape.c]);
        let norm = Standard { mean: &zeros, std: &self.device.upload(&ones) };
        let (pixels, labels) = (vec![1.0; IMAGES * place.rows()], [0; IMAGES]);
        let images = self.device.images(ImageBatch { pixels: PixelData::Floats(&pixels), labels: &labels });
        let mut ones = self.device.values(place.rows(), batch);
        self.device.load_images(batch, &images, norm, Output { data: &mut ones, place });
        let mut out = self.device.values(place.rows(), batch);
        let key = DropoutKey { seed: DROPOUT.0, step: DROPOUT.1, stream };
        let x = Input { data: &ones, place };
        self.device.dropout(batch, p, key, x, Output { data: &mut out, place }, Then::default());
        let out = self.device.download_nchw(batch, Input { data: &out, place });
        out.expect("a device that works").iter().map(|&v| v != 0.0).collect()
    }
}
