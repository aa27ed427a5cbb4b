//! The cases of every operation's gradient.

#[path = "functions.rs"]
pub mod functions;

use common::activation::{Windows, activation, product};
use common::oracle::{self, BatchNorm, Conv, Map, MaxPool};
use synfilter::backend::{Backend, Batch, DropoutKey, ImageBatch, Input, Output, PixelData, Standard, Then};
use synfilter::filter::{FilterKind, Mask};
use synfilter::graph::build::{Builder, ConvSpec};
use synfilter::graph::place::Place;
use synfilter::graph::program::{BackStep, Mode, Program};
use synfilter::graph::{
    Activation, Graph, Init, Mean, NORM_EPS, NodeId, Op, ParamId, ParamKind, Pool, Shape,
};
use synfilter::random::Random;
use synfilter::tape::{Base, Prepared, Run, Tape};

const CLASSES: usize = 5;
/// More than a slab's 16 lanes, no multiple of them.
const IMAGES: usize = 19;
const SEED: u64 = 11;
const DROPOUT: (u64, u64) = (3, 8);

/// What is tried.
pub struct Tried<'b, B: Backend> {
    /// The device.
    pub device: &'b B,
    /// Whether it computes in f32, so that f64 says what must come out; masked runs equal whole ones in any format.
    pub against_f64: bool,
}

/// A graph under construction: a builder that names parameters itself.
struct Net {
    builder: Builder,
    parts: usize,
}

impl Net {
    fn name(&mut self) -> String {
        self.parts += 1;
        format!("part{}", self.parts)
    }

    fn conv(&mut self, x: NodeId, spec: ConvSpec) -> NodeId {
        let name = self.name();
        let inputs = self.builder.shape(x).c / spec.groups * spec.kernel * spec.kernel;
        self.builder.conv(&name, x, spec, Init::Normal((inputs as f32).powf(-0.5))).unwrap()
    }

    /// A dense 3×3 convolution that keeps the map.
    fn conv3(&mut self, x: NodeId, k: usize) -> NodeId {
        self.conv(x, ConvSpec::new(k, 3, 1, 1))
    }

    fn norm(&mut self, x: NodeId) -> NodeId {
        let name = self.name();
        self.builder.norm(&name, x)
    }

    fn relu(&mut self, x: NodeId) -> NodeId {
        self.builder.relu(x)
    }

    /// Convolution and ReLU, which become one step.
    fn layer(&mut self, x: NodeId, k: usize) -> NodeId {
        let y = self.conv3(x, k);
        self.relu(y)
    }

    /// Convolution, batch norm, ReLU.
    fn block(&mut self, x: NodeId, k: usize) -> NodeId {
        let y = self.conv3(x, k);
        let y = self.norm(y);
        self.relu(y)
    }

    /// Logits in which every pixel of `x` has weights of its own.
    fn head(&mut self, x: NodeId) -> NodeId {
        let side = self.builder.shape(x).h;
        self.conv(x, ConvSpec::new(CLASSES, side, 1, 0).bias(Init::Normal(0.3)))
    }
}

/// A graph with the input `c` × `side` × `side`; `build` returns its logits.
fn graph(c: usize, side: usize, build: impl Fn(&mut Net, NodeId) -> NodeId) -> Graph {
    let mut net = Net { builder: Builder::new("test", Shape { c, h: side, w: side }), parts: 0 };
    let logits = build(&mut net, 0);
    net.builder.finish(logits)
}

/// Values for all parameters: none at a special point.
fn parameters(graph: &Graph, random: &mut Random) -> Vec<Vec<f32>> {
    let mut draw = |i: usize| {
        let param = &graph.params[i];
        let value = |random: &mut Random| match param.init {
            Init::Normal(deviation) => deviation * random.normal(),
            Init::Uniform(bound) => bound * (2.0 * random.uniform() - 1.0),
            Init::Constant(at) => at + if at == 0.0 { 0.4 * random.normal() } else { random.uniform() - 0.4 },
        };
        (0..param.len()).map(|_| value(random)).collect()
    };
    (0..graph.params.len()).map(&mut draw).collect()
}

/// What the engine makes of a graph.
struct Engine<'b, B: Backend> {
    device: &'b B,
    graph: Graph,
    program: Program,
    moves: Vec<BackStep>,
    prepared: Prepared<B>,
    pixels: Vec<f32>,
    labels: Vec<u16>,
}

impl<'b, B: Backend> Engine<'b, B> {
    fn new(
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

    fn run(&self) -> Run<'_, B> {
        Run { backend: self.device, program: &self.program, prepared: &self.prepared }
    }

    fn tape(&self, keep: bool) -> Tape<B> {
        Tape::new(self.device, &self.program, Batch { images: IMAGES }, |_| keep, &self.moves)
    }

    fn images(&self) -> B::Images<'_> {
        let pixels = PixelData::Floats(&self.pixels);
        self.device.images(ImageBatch { pixels, labels: &self.labels })
    }

    fn load(&self, tape: &mut Tape<B>) {
        tape.load(self.run(), &self.images());
    }

    /// Forward and backward of everything.
    fn whole(&self) -> Tape<B> {
        let mut tape = self.tape(false);
        self.load(&mut tape);
        tape.forward(self.run(), true, Some(DROPOUT));
        tape.loss(self.run(), None, &self.images(), Some(1.0));
        tape.backward(self.run(), None, &self.moves, Some(DROPOUT));
        tape
    }

    /// What stands in the outputs that gradients are taken of: logits, input gradient, parameter gradients.
    fn results(&self, tape: &Tape<B>, base: Option<Base<B>>) -> Vec<Vec<f32>> {
        let params = (0..self.graph.params.len()).filter_map(|p| tape.param_gradient(p));
        let mut all = vec![tape.logits(self.run(), base), tape.input_gradient(self.run())];
        all.extend(params.map(|g| self.device.download(g)));
        all.into_iter().map(|numbers| numbers.expect("a device that works")).collect()
    }

    /// Masks one convolution after the other, and compares runs that continue a base with whole ones.
    fn check_suffixes(&mut self, what: &str, params: &[Vec<f32>]) {
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
    fn kept(&self, stream: u32, p: f32, shape: Shape) -> Vec<bool> {
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

/// The graph in f64, one plain operation after the other.
struct Naive<'a> {
    graph: &'a Graph,
    mode: Mode,
    frozen: &'a [ParamId],
    labels: Vec<usize>,
    /// Per dropout.
    kept: Vec<Vec<bool>>,
}

impl Naive<'_> {
    fn logits(&self, pixels: &[f64], params: &[Vec<f64>]) -> Map {
        let mut values: Vec<Map> = Vec::new();
        let mut kept = self.kept.iter();
        for node in &self.graph.nodes {
            let x = |i: usize| &values[node.inputs[i]];
            let value = match &node.op {
                Op::Input => Map::new([IMAGES, node.shape.c, node.shape.h, node.shape.w], pixels),
                Op::Conv { weight, bias, shape } => {
                    let conv = Conv { stride: shape.stride, pad: shape.pad, groups: shape.groups };
                    let oihw = [shape.k, shape.c / shape.groups, shape.r, shape.s];
                    conv.forward(x(0), &Map::new(oihw, &params[*weight]), bias.map(|b| &params[b][..]))
                }
                Op::Norm(norm) => {
                    let is_frozen = self.frozen.contains(&norm.weight);
                    let [weight, bias, running_mean, running_var] = norm.all().map(|p| params[p].clone());
                    let eps = f64::from(NORM_EPS);
                    let mut norm = BatchNorm { weight, bias, running_mean, running_var, momentum: 0.1, eps };
                    norm.forward(x(0), self.mode != Mode::Inference && !is_frozen)
                }
                Op::Activation(function) => {
                    let (name, parameter) = named(*function);
                    x(0).map(|_, v| activation(name, parameter, v).0)
                }
                Op::Product => product(x(0), x(1)),
                Op::AvgPool(mean) => windows(*mean, node.shape).forward(x(0)),
                Op::Add => oracle::add(x(0), x(1)),
                Op::MaxPool(Pool { kernel, stride, pad, ceil }) => {
                    let pool = MaxPool { kernel: *kernel, stride: *stride, pad: *pad, ceil: *ceil };
                    pool.forward(x(0)).0
                }
                Op::GlobalAvgPool => oracle::global_avg_pool(x(0)),
                Op::Dropout { p } if self.mode == Mode::Training => {
                    oracle::dropout(x(0), kept.next().unwrap(), f64::from(*p))
                }
                Op::Dropout { .. } => x(0).clone(),
                Op::Slice { start } => oracle::channel_slice(x(0), *start, node.shape.c),
                Op::Concat => (1..node.inputs.len()).fold(x(0).clone(), |all, i| oracle::concat(&all, x(i))),
                Op::Shuffle { groups } => oracle::channel_shuffle(x(0), *groups),
            };
            values.push(value);
        }
        values.swap_remove(self.graph.logits)
    }

    fn loss(&self, pixels: &[f64], params: &[Vec<f64>]) -> f64 {
        oracle::cross_entropy(&self.logits(pixels, params), &self.labels).iter().sum()
    }
}

/// PyTorch's name of an activation, and its parameter.
fn named(function: Activation) -> (&'static str, f64) {
    match function {
        Activation::Relu => ("relu", 0.0),
        Activation::Relu6 => ("relu6", 0.0),
        Activation::LeakyRelu { slope } => ("leaky_relu", slope.into()),
        Activation::HardSwish => ("hardswish", 0.0),
        Activation::HardSigmoid => ("hardsigmoid", 0.0),
        Activation::Sigmoid => ("sigmoid", 0.0),
        Activation::Silu => ("silu", 0.0),
        Activation::Tanh => ("tanh", 0.0),
        Activation::Elu { alpha } => ("elu", alpha.into()),
        Activation::Gelu => ("gelu", 0.0),
    }
}

fn windows(mean: Mean, out: Shape) -> Windows {
    match mean {
        Mean::Windows { pool: Pool { kernel, stride, pad, ceil }, count_pad } => {
            Windows::Square { kernel, stride, pad, ceil, count_pad }
        }
        Mean::Adaptive => Windows::Adaptive { h: out.h, w: out.w },
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

/// Checks logits, gradients and suffixes of a graph in the modes that it makes a difference for.
fn check<B: Backend>(
    tried: &Tried<B>,
    what: &str,
    c: usize,
    side: usize,
    build: impl Fn(&mut Net, NodeId) -> NodeId,
) {
    let graph = graph(c, side, build);
    check_mode(tried, what, &graph, Mode::Inference, &[]);
    check_mode(tried, what, &graph, Mode::BatchStatistics, &[]);
    if graph.nodes.iter().any(|node| matches!(node.op, Op::Dropout { .. })) {
        check_mode(tried, what, &graph, Mode::Training, &[]);
    }
}

/// Checks the training of a graph with each of its layers frozen by itself, and all but one.
fn check_frozen<B: Backend>(tried: &Tried<B>, what: &str, build: impl Fn(&mut Net, NodeId) -> NodeId) {
    let graph = graph(3, 6, build);
    let layers = graph.filterable();
    for &layer in &layers {
        let name = &graph.params[layer].name;
        check_mode(tried, &format!("{what}, {name} frozen"), &graph, Mode::Training, &graph.layer(layer));
        let others: Vec<ParamId> =
            layers.iter().filter(|&&other| other != layer).flat_map(|&other| graph.layer(other)).collect();
        check_mode(tried, &format!("{what}, all but {name} frozen"), &graph, Mode::Training, &others);
    }
}

fn check_mode<B: Backend>(tried: &Tried<B>, what: &str, graph: &Graph, mode: Mode, frozen: &[ParamId]) {
    let what = format!("{what} ({mode:?})");
    let mut random = Random::new(SEED, 0);
    let params = parameters(graph, &mut random);
    let Shape { c, h, w } = graph.input();
    let pixels: Vec<f32> = (0..IMAGES * c * h * w).map(|_| random.normal()).collect();
    let labels: Vec<u16> = (0..IMAGES).map(|_| random.below(graph.classes() as u32) as u16).collect();
    let mut engine = Engine::new(tried.device, graph.clone(), (mode, frozen), &params, pixels, labels);

    if mode != Mode::Training {
        engine.check_suffixes(&what, &params);
    }
    if !tried.against_f64 {
        return;
    }
    let dropouts: Vec<(f32, Shape)> = (graph.nodes.iter())
        .filter_map(|node| match node.op {
            Op::Dropout { p } => Some((p, node.shape)),
            _ => None,
        })
        .collect();
    let kept = dropouts.iter().zip(0..).map(|(&(p, shape), stream)| engine.kept(stream, p, shape)).collect();
    let labels = engine.labels.iter().map(|&l| usize::from(l)).collect();
    let naive = Naive { graph, mode, frozen, labels, kept };
    let (pixels, exact) = (wide(&engine.pixels), params.iter().map(|p| wide(p)).collect::<Vec<_>>());

    let tape = engine.whole();
    let expected = naive.logits(&pixels, &exact);
    let scale = expected.data.iter().fold(1.0, |m: f64, v| m.max(v.abs()));
    for (i, (got, want)) in tape.logits(engine.run(), None).unwrap().iter().zip(&expected.data).enumerate() {
        // Sums of some hundred f32 products, a few layers deep, with F(4×4) transforms among them.
        assert!((f64::from(*got) - want).abs() < 3e-5 * scale, "{what}: logit {i}: {got}, expected {want}");
    }

    let gradient = tape.input_gradient(engine.run()).unwrap();
    let loss = |at: &[f64]| naive.loss(at, &exact);
    check_gradient(&format!("{what}: input"), &gradient, &pixels, loss, &mut random);
    for param in (0..graph.params.len()).filter(|_| mode != Mode::Inference) {
        if graph.params[param].kind == ParamKind::Statistic || frozen.contains(&param) {
            assert!(tape.param_gradient(param).is_none(), "{what}: {}", graph.params[param].name);
            continue;
        }
        let gradient = engine.device.download(tape.param_gradient(param).expect("asked for")).unwrap();
        let loss = |at: &[f64]| {
            let mut moved = exact.clone();
            moved[param] = at.to_vec();
            naive.loss(&pixels, &moved)
        };
        let what = format!("{what}: {}", graph.params[param].name);
        check_gradient(&what, &gradient, &exact[param], loss, &mut random);
    }
}

/// ⟨g, d⟩ against (L(x + h·d) − L(x − h·d)) / 2h for some directions d.
///
/// h is so small that practically no ReLU and no winner of a pool changes between the two points, while f64 leaves
/// seven digits of the quotient: what is left is the error of g. f32 sums err by about 10⁻⁶ of their size per layer in
/// every element; the product with a normal d has size |g|, and errs by as small a part of that. Of thousands of
/// elements a single wrong one would be a hundred times the limit.
fn check_gradient(
    what: &str,
    gradient: &[f32],
    at: &[f64],
    loss: impl Fn(&[f64]) -> f64,
    random: &mut Random,
) {
    const H: f64 = 1e-7;
    let size = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
    for direction in 0..3 {
        let d: Vec<f64> = at.iter().map(|_| f64::from(random.normal())).collect();
        let shifted = |h: f64| -> Vec<f64> { at.iter().zip(&d).map(|(x, d)| x + h * d).collect() };
        let difference = (loss(&shifted(H)) - loss(&shifted(-H))) / (2.0 * H);
        let product: f64 = gradient.iter().zip(&d).map(|(&g, d)| f64::from(g) * d).sum();
        let limit = 5e-5 * (size + 0.1);
        assert!(
            (product - difference).abs() < limit,
            "{what}: direction {direction}: gradient {product:e}, finite difference {difference:e}, limit {limit:e}"
        );
    }
}

pub fn convolutions<B: Backend>(tried: &Tried<B>) {
    let bias = Init::Normal(0.3);
    for (what, spec, side) in [
        ("dense 3×3", ConvSpec::new(9, 3, 1, 1), 6),
        ("dense 3×3 with bias", ConvSpec::new(16, 3, 1, 1).bias(bias), 5),
        ("dense 3×3 on 2×2", ConvSpec::new(16, 3, 1, 1), 2),
        ("no padding", ConvSpec::new(5, 3, 1, 0), 6),
        ("stride 2", ConvSpec::new(7, 3, 2, 1).bias(bias), 7),
        ("stride 2 that skips a border", ConvSpec::new(7, 3, 2, 0), 6),
        ("grouped", ConvSpec::new(12, 3, 1, 1).groups(2).bias(bias), 5),
        ("depthwise", ConvSpec::new(8, 3, 1, 1).groups(8), 5),
        ("depthwise, stride 2", ConvSpec::new(8, 3, 2, 1).groups(8).bias(bias), 6),
        ("1×1", ConvSpec::new(11, 1, 1, 0).bias(bias), 4),
        ("1×1, stride 2", ConvSpec::new(11, 1, 2, 0), 5),
        ("7×7, stride 2", ConvSpec::new(6, 7, 2, 3), 9),
    ] {
        // Once on the images, once on a value that is a ReLU's.
        check(tried, what, 8, side, |net, x| {
            let x = net.conv(x, spec);
            let x = net.relu(x);
            net.head(x)
        });
        check(tried, &format!("{what}, later"), 3, side, |net, x| {
            let x = net.layer(x, 8);
            let x = net.conv(x, spec);
            net.head(x)
        });
    }
    check(tried, "stem of three channels", 3, 16, |net, x| {
        let x = net.conv(x, ConvSpec::new(6, 7, 2, 3));
        net.head(x)
    });
}

pub fn norms<B: Backend>(tried: &Tried<B>) {
    check(tried, "convolution, norm, ReLU", 3, 5, |net, x| {
        let x = net.block(x, 7);
        net.head(x)
    });
    check(tried, "norm on its own", 3, 5, |net, x| {
        let x = net.norm(x);
        let x = net.layer(x, 6);
        let x = net.norm(x);
        net.head(x)
    });
    check(tried, "norm of a value with two readers", 3, 5, |net, x| {
        let x = net.conv3(x, 6);
        let y = net.norm(x);
        let x = net.builder.add(x, y);
        net.head(x)
    });
}

/// Layers that are not trained, with their batch norms by running statistics, between others that are.
pub fn frozen_layers<B: Backend>(tried: &Tried<B>) {
    check_frozen(tried, "residual", |net, x| {
        let x = net.block(x, 6);
        let y = net.block(x, 6);
        let y = net.conv3(y, 6);
        let y = net.norm(y);
        let x = net.builder.add(x, y);
        let x = net.relu(x);
        net.head(x)
    });
    check_frozen(tried, "dropout and bias", |net, x| {
        let x = net.layer(x, 6);
        let x = net.builder.dropout("dropout", x, 0.5);
        let x = net.layer(x, 5);
        net.head(x)
    });
    // A norm that no convolution takes along.
    let graph = graph(3, 5, |net, x| {
        let x = net.conv3(x, 6);
        let y = net.norm(x);
        let x = net.builder.add(x, y);
        net.head(x)
    });
    let first = graph.layer(graph.filterable()[0]);
    check_mode(tried, "norm of a value with two readers, frozen", &graph, Mode::Training, &first);
}

pub fn sums<B: Backend>(tried: &Tried<B>) {
    check(tried, "residual with ReLU", 3, 5, |net, x| {
        let x = net.block(x, 6);
        let y = net.block(x, 6);
        let y = net.conv3(y, 6);
        let y = net.norm(y);
        let x = net.builder.add(y, x);
        let x = net.relu(x);
        net.head(x)
    });
    check(tried, "residual with its own convolution", 3, 5, |net, x| {
        let x = net.layer(x, 6);
        let y = net.conv(x, ConvSpec::new(8, 3, 2, 1));
        let z = net.conv(x, ConvSpec::new(8, 1, 2, 0));
        let z = net.norm(z);
        let x = net.builder.add(y, z);
        let x = net.relu(x);
        net.head(x)
    });
    check(tried, "a value added to itself", 3, 4, |net, x| {
        let x = net.layer(x, 6);
        let x = net.builder.add(x, x);
        let x = net.relu(x);
        net.head(x)
    });
    check(tried, "both operands used twice", 3, 4, |net, x| {
        let a = net.layer(x, 6);
        let b = net.conv3(x, 6);
        let c = net.builder.add(a, b);
        let d = net.builder.add(b, a);
        let c = net.relu(c);
        let e = net.builder.add(c, d);
        net.head(e)
    });
    check(tried, "sums of the images", 6, 4, |net, x| {
        let y = net.conv3(x, 6);
        let y = net.builder.add(x, y);
        let y = net.builder.add(y, x);
        net.head(y)
    });
    check(tried, "a value with five readers of two kinds", 3, 4, |net, x| {
        let x = net.layer(x, 6);
        let a = net.conv3(x, 6);
        let b = net.builder.add(x, a);
        let c = net.builder.add(b, x);
        let d = net.conv3(x, 6);
        let e = net.builder.add(d, c);
        let f = net.builder.add(e, x);
        net.head(f)
    });
}

pub fn pools_and_linear_layers<B: Backend>(tried: &Tried<B>) {
    for (what, side, kernel, stride, pad, ceil) in [
        ("2×2", 6, 2, 2, 0, false),
        ("3×3 with padding", 7, 3, 2, 1, false),
        ("3×3, ceil", 6, 3, 2, 0, true),
        ("3×3 with padding, ceil", 8, 3, 2, 1, true),
        ("overlapping", 5, 3, 1, 1, false),
    ] {
        let pool = Pool { kernel, stride, pad, ceil };
        check(tried, &format!("max pool {what}"), 3, side, |net, x| {
            let x = net.layer(x, 5);
            let x = net.builder.max_pool("pool", x, pool).unwrap();
            net.head(x)
        });
        check(tried, &format!("max pool {what} of the images"), 3, side, |net, x| {
            let x = net.builder.max_pool("pool", x, pool).unwrap();
            let x = net.relu(x);
            net.head(x)
        });
    }
    check(tried, "average pool and linear layers", 3, 5, |net, x| {
        let x = net.layer(x, 7);
        let x = net.builder.global_avg_pool("pool", x);
        let x = net.builder.linear("hidden", x, 9);
        let x = net.relu(x);
        net.builder.linear("fc", x, CLASSES)
    });
}

pub fn dropouts<B: Backend>(tried: &Tried<B>) {
    check(tried, "dropout", 3, 4, |net, x| {
        let x = net.layer(x, 6);
        let x = net.builder.dropout("first", x, 0.5);
        let x = net.layer(x, 5);
        let x = net.builder.dropout("second", x, 0.2);
        net.head(x)
    });
    check(tried, "a value beside its dropout", 3, 4, |net, x| {
        let x = net.layer(x, 4);
        let y = net.builder.dropout("drop", x, 0.3);
        let x = net.builder.concat(&[y, x]);
        net.head(x)
    });
    check(tried, "logits behind a dropout", 3, 4, |net, x| {
        let x = net.head(x);
        net.builder.dropout("drop", x, 0.4)
    });
}

pub fn slices<B: Backend>(tried: &Tried<B>) {
    check(tried, "channels that nothing reads", 3, 4, |net, x| {
        let x = net.layer(x, 8);
        let x = net.builder.slice(x, 2..5);
        net.head(x)
    });
    check(tried, "of the images", 4, 4, |net, x| {
        let x = net.builder.slice(x, 1..3);
        net.head(x)
    });
    check(tried, "overlapping", 3, 4, |net, x| {
        let x = net.layer(x, 8);
        let a = net.builder.slice(x, 0..5);
        let b = net.builder.slice(x, 3..8);
        let x = net.builder.add(a, b);
        net.head(x)
    });
    check(tried, "a slice beside its whole", 3, 4, |net, x| {
        let x = net.block(x, 8);
        let a = net.builder.slice(x, 4..8);
        let a = net.conv3(a, 8);
        let x = net.builder.add(a, x);
        let x = net.relu(x);
        net.head(x)
    });
    check(tried, "a slice of a slice, two halves", 3, 4, |net, x| {
        let x = net.layer(x, 8);
        let a = net.builder.slice(x, 0..4);
        let b = net.builder.slice(x, 4..8);
        let b = net.builder.slice(b, 1..4);
        let a = net.layer(a, 3);
        let x = net.builder.concat(&[b, a]);
        net.head(x)
    });
    check(tried, "logits that are a slice", 3, 4, |net, x| {
        let x = net.head(x);
        net.builder.slice(x, 1..4)
    });
}

pub fn concatenations<B: Backend>(tried: &Tried<B>) {
    check(tried, "of ReLUs", 3, 4, |net, x| {
        let x = net.layer(x, 4);
        let (a, b) = (net.layer(x, 3), net.layer(x, 5));
        let x = net.builder.concat(&[a, b]);
        net.head(x)
    });
    check(tried, "with and without ReLU", 3, 4, |net, x| {
        let x = net.layer(x, 4);
        let (a, b, c) = (net.conv3(x, 3), net.block(x, 5), net.norm(x));
        let x = net.builder.concat(&[a, b, c]);
        net.head(x)
    });
    check(tried, "of a value with itself", 3, 4, |net, x| {
        let x = net.layer(x, 4);
        let x = net.builder.concat(&[x, x]);
        net.head(x)
    });
    check(tried, "of a value with itself, and read by others", 3, 4, |net, x| {
        let x = net.block(x, 4);
        let y = net.conv3(x, 8);
        let z = net.builder.concat(&[x, x]);
        let x = net.builder.add(y, z);
        net.head(x)
    });
    check(tried, "of a value with a slice of it", 3, 4, |net, x| {
        let x = net.layer(x, 4);
        let a = net.builder.slice(x, 1..3);
        let x = net.builder.concat(&[x, a]);
        net.head(x)
    });
    check(tried, "of a value with what is made of it", 3, 4, |net, x| {
        let a = net.layer(x, 4);
        let b = net.layer(a, 3);
        let c = net.block(b, 5);
        let x = net.builder.concat(&[a, b, c]);
        let x = net.layer(x, 4);
        net.head(x)
    });
    check(tried, "of a value with what is made of it, with steps between", 3, 4, |net, x| {
        let a = net.layer(x, 4);
        let b = net.conv3(a, 3);
        let b = net.norm(b);
        let c = net.layer(b, 5);
        let d = net.builder.concat(&[a, c]);
        net.head(d)
    });
    check(tried, "a fresh part that a stale step reads before another part is written", 3, 4, |net, x| {
        let a = net.layer(x, 4);
        let b = net.conv3(x, 4);
        let c = net.builder.add(b, a);
        let c = net.norm(c);
        let d = net.layer(c, 5);
        let e = net.builder.concat(&[a, d]);
        net.head(e)
    });
    check(tried, "the same value in two of them", 3, 4, |net, x| {
        let (a, b) = (net.block(x, 4), net.block(x, 3));
        let c = net.builder.concat(&[a, b]);
        let d = net.builder.concat(&[b, a]);
        let x = net.builder.add(c, d);
        net.head(x)
    });
    check(tried, "nested, with the images", 3, 4, |net, x| {
        let a = net.layer(x, 4);
        let b = net.builder.concat(&[x, a]);
        let c = net.builder.concat(&[b, a, x]);
        net.head(c)
    });
    check(tried, "with a residual inside", 3, 4, |net, x| {
        let a = net.block(x, 4);
        let b = net.conv3(x, 4);
        let b = net.norm(b);
        let b = net.builder.add(b, a);
        let b = net.relu(b);
        let x = net.builder.concat(&[a, b]);
        net.head(x)
    });
    check(tried, "logits that are one", 3, 4, |net, x| {
        let a = net.head(x);
        let a = net.relu(a);
        let b = net.builder.linear("fc", a, 3);
        let b = net.relu(b);
        net.builder.concat(&[a, b])
    });
}

pub fn shuffles<B: Backend>(tried: &Tried<B>) {
    check(tried, "behind a concatenation", 3, 4, |net, x| {
        let (a, b) = (net.block(x, 4), net.block(x, 4));
        let x = net.builder.concat(&[a, b]);
        let x = net.builder.shuffle(x, 2);
        net.head(x)
    });
    check(tried, "behind a concatenation, as ShuffleNet's units have it", 3, 4, |net, x| {
        let x = net.block(x, 4);
        let (a, b) = (net.block(x, 4), net.block(x, 4));
        let x = net.builder.concat(&[a, b]);
        let x = net.builder.shuffle(x, 2);
        let (a, b) = (net.builder.slice(x, 0..4), net.builder.slice(x, 4..8));
        let b = net.block(b, 4);
        let x = net.builder.concat(&[a, b]);
        let x = net.builder.shuffle(x, 2);
        net.head(x)
    });
    check(tried, "behind parts of another size", 3, 4, |net, x| {
        let (a, b) = (net.layer(x, 4), net.layer(x, 2));
        let x = net.builder.concat(&[a, b]);
        let x = net.builder.shuffle(x, 3);
        net.head(x)
    });
    check(tried, "with a second reader of the concatenation", 3, 4, |net, x| {
        let (a, b) = (net.layer(x, 3), net.layer(x, 3));
        let x = net.builder.concat(&[a, b]);
        let y = net.builder.shuffle(x, 2);
        let x = net.builder.add(x, y);
        net.head(x)
    });
    check(tried, "not behind a concatenation", 3, 4, |net, x| {
        let x = net.block(x, 6);
        let x = net.builder.shuffle(x, 3);
        let x = net.layer(x, 4);
        net.head(x)
    });
    check(tried, "of the images", 6, 4, |net, x| {
        let x = net.builder.shuffle(x, 2);
        net.head(x)
    });
}

pub fn ends_of_the_network<B: Backend>(tried: &Tried<B>) {
    check(tried, "logits that end in a ReLU", 3, 4, |net, x| {
        let x = net.head(x);
        net.relu(x)
    });
    check(tried, "logits that something else reads too", 3, 4, |net, x| {
        let x = net.head(x);
        net.relu(x);
        x
    });
    check(tried, "a branch that leads nowhere", 3, 4, |net, x| {
        let x = net.layer(x, 4);
        let y = net.layer(x, 4);
        net.block(y, 3);
        net.head(x)
    });
}
