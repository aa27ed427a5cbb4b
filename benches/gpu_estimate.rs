//! What a full sweep costs on a GPU, from counts alone:
//! `cargo bench --features cuda --bench gpu_estimate` (no GPU is needed).
//!
//! Every operation of every variant is counted as the engine would run it (clean suffix, backward to the images, FGSM
//! step, adversarial forward): multiply-adds over valid taps, and the bytes that must be read or written once. The
//! *bound* of an operation is the larger of its two times at a device's public peak figures; nothing that computes the
//! same cells operation by operation is faster. The *estimate* adds what this design costs on top: tiles that hang over
//! the edges, reductions padded to 32, waves that do not fill the multiprocessors, a share of the peak that kernels
//! reach, and the launch of each node of a graph. Both are arithmetic, not measurements.
//!
//! A second table says how full one variant makes each device, and so how many lanes a sweep takes there.

use half::f16;
use std::collections::BTreeMap;
use synfilter::backend::SLAB;
use synfilter::backend::cuda::conv_plan::ConvPlan;
use synfilter::backend::cuda::device::Cuda;
use synfilter::backend::cuda::fill::Fill;
use synfilter::backend::cuda::tiles::Tile;
use synfilter::graph::Shape;
use synfilter::graph::conv::{ConvShape, Direction};
use synfilter::graph::place::Place;
use synfilter::graph::program::{BackStep, Kernel, Mode, Program, View};
use synfilter::models::Arch;
use synfilter::tape::Tape;

/// Public peak figures of a device.
struct Device {
    name: &'static str,
    /// Dense f16 products with sums in f32 on matrix units, multiply-adds per second.
    matrix: f64,
    /// Device memory, bytes per second.
    bandwidth: f64,
    multiprocessors: f64,
    /// Of a multiprocessor: threads, blocks, bytes of shared memory.
    threads: usize,
    blocks: usize,
    shared: usize,
    /// Share of `matrix` that `mma.sync` can reach: Hopper keeps the rest for its own instructions.
    reachable: f64,
}

const DEVICES: [Device; 3] = [
    Device {
        name: "A100 SXM 80 GB",
        matrix: 156e12,
        bandwidth: 2.039e12,
        multiprocessors: 108.0,
        threads: 2048,
        blocks: 32,
        shared: 164 << 10,
        reachable: 1.0,
    },
    Device {
        name: "H100 SXM",
        matrix: 494.7e12,
        bandwidth: 3.35e12,
        multiprocessors: 132.0,
        threads: 2048,
        blocks: 32,
        shared: 228 << 10,
        reachable: 0.63,
    },
    Device {
        name: "RTX 4090",
        matrix: 82.6e12,
        bandwidth: 1.008e12,
        multiprocessors: 128.0,
        threads: 1536,
        blocks: 24,
        shared: 100 << 10,
        reachable: 1.0,
    },
];

/// Share of the reachable peak in the main loop of a matrix kernel, and of the bandwidth in a streaming one.
const MATRIX_SHARE: f64 = 0.80;
const BANDWIDTH_SHARE: f64 = 0.85;
/// From one node of a graph to the next, seconds.
const NODE: f64 = 1.5e-6;
/// Those for which tiles are chosen.
const MULTIPROCESSORS: usize = 108;
/// Bytes of an element.
const HALF: f64 = 2.0;
/// Registers of a multiprocessor, and bytes of shared memory that a block takes beside its own.
const REGISTERS: usize = 1 << 16;
const RESERVED: usize = 1 << 10;
/// Threads and registers of a block of a streaming kernel, and pixels of an image that a block turns.
const STREAM: Block = Block { threads: 256, registers: 48, shared: 0 };
const IMAGE_TILE: usize = 64;
/// Pixels that a thread of a mean's backward writes, and of a depthwise convolution computes.
const MEAN_STRIP: usize = 8;
const DEPTHWISE_STRIP: usize = 4;

/// What a block takes of a multiprocessor.
#[derive(Clone, Copy)]
struct Block {
    threads: usize,
    registers: usize,
    shared: usize,
}

impl Device {
    /// Blocks that it holds at once.
    fn wave(&self, block: Block) -> usize {
        let registers = REGISTERS / (block.threads * block.registers);
        let shared = self.shared / (block.shared + RESERVED);
        let most = (self.threads / block.threads).min(registers).min(shared).min(self.blocks);
        most.max(1) * self.multiprocessors as usize
    }

    /// Seconds of one launch, by the estimate, where `lanes` variants run side by side.
    fn estimate(&self, work: Work, lanes: usize) -> f64 {
        let lanes = lanes as f64;
        let waves = lanes * work.blocks as f64 / self.multiprocessors;
        let idle = if waves > 0.0 { waves.ceil() / waves } else { 1.0 };
        let matrix = work.padded * idle / (self.matrix * self.reachable * MATRIX_SHARE);
        let memory = work.bytes / (self.bandwidth * BANDWIDTH_SHARE);
        matrix.max(memory) + NODE / lanes
    }
}

/// One operation on all images.
#[derive(Clone, Copy)]
struct Work {
    kernel: &'static str,
    multiply_adds: f64,
    bytes: f64,
    /// Multiply-adds with the padding of tiles, and blocks that share them.
    padded: f64,
    blocks: usize,
    block: Block,
}

/// What a kind of operation adds up to.
#[derive(Clone, Copy, Default)]
struct Total {
    launches: f64,
    multiply_adds: f64,
    bytes: f64,
    bound: [f64; DEVICES.len()],
    estimate: [f64; DEVICES.len()],
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let (arch, side, classes, images, variants) = match &arguments[..] {
        [] => (Arch::Resnet50, 64, 200, 10_000, 75),
        [arch, side, classes, images, variants] => {
            let number = |text: &String| text.parse().expect("a number");
            let arch = arch.parse().expect("an architecture");
            (arch, number(side), number(classes), number(images), number(variants))
        }
        _ => panic!("expected ARCH SIDE CLASSES IMAGES VARIANTS, or nothing"),
    };
    let graph = arch.build(Shape { c: 3, h: side, w: side }, classes).expect("a network");
    let program = Program::lower(&graph, Mode::Inference);
    let layers = graph.filterable();
    let mut totals = BTreeMap::new();
    let mut side_by_side = [Lanes::default(); DEVICES.len()];
    let moves = program.backward(true, |_| false);
    for &layer in &layers {
        let step = program.step_of(layer).expect("every weight belongs to a step");
        let suffix = program.suffix(&[step]);
        let all = 0..program.steps.len();
        let clean = suffix.steps.iter().map(|&id| forward(&program, id, images, true));
        let back = moves.iter().filter_map(|&back| backward(&program, back, images));
        let adversarial = all.map(|id| forward(&program, id, images, false));
        let ends = [loss(&program, images, true), step_on(&program, images), loss(&program, images, false)];
        let variant: Vec<Work> = clean.chain(back).chain(adversarial).chain(ends).collect();
        for &work in &variant {
            add(totals.entry(work.kernel).or_default(), work, variants as f64);
        }
        for (lanes, device) in side_by_side.iter_mut().zip(&DEVICES) {
            lanes.add(device, &variant, variants as f64);
        }
    }
    println!(
        "{arch} at {side}×{side}, {classes} classes: {} layers × {variants} variants × {images} images\n",
        layers.len()
    );
    table(&totals);
    println!("\n| device | blocks over those it holds, mean of the launches | lanes | one lane | on lanes |");
    println!("|---|---|---|---|---|");
    for (lanes, device) in side_by_side.iter().zip(&DEVICES) {
        lanes.row(device, layers.len() as f64);
    }
    let tapes = [&moves[..], &[]].map(|moves| Tape::<Cuda<f16>>::bytes_per_image(&program, |_| false, moves));
    let bytes = tapes.iter().sum::<usize>() * images.next_multiple_of(SLAB);
    println!("\ntapes of a lane: {:.1} MB", bytes as f64 / 1e6);
}

/// How variants share a device: of all layers together.
#[derive(Clone, Copy, Default)]
struct Lanes {
    /// Sum of the layers' means of how full their launches make the device.
    fill: f64,
    /// The fewest and the most lanes of a layer.
    least: usize,
    most: usize,
    alone: f64,
    together: f64,
}

impl Lanes {
    fn add(&mut self, device: &Device, variant: &[Work], times: f64) {
        let mut fill = Fill::default();
        variant.iter().filter(|work| work.blocks > 0).for_each(|w| fill.add(w.blocks, device.wave(w.block)));
        let lanes = fill.queues();
        self.least = if self.least == 0 { lanes } else { self.least.min(lanes) };
        self.most = self.most.max(lanes);
        self.fill += fill.mean();
        self.alone += times * variant.iter().map(|&work| device.estimate(work, 1)).sum::<f64>();
        self.together += times * variant.iter().map(|&work| device.estimate(work, lanes)).sum::<f64>();
    }

    fn row(&self, device: &Device, layers: f64) {
        let Lanes { fill, least, most, alone, together } = *self;
        let lanes = if least == most { least.to_string() } else { format!("{least} to {most}") };
        let (name, fill) = (device.name, fill / layers);
        println!("| {name} | {fill:.2} | {lanes} | {alone:.1} s | {together:.1} s |");
    }
}

fn table(totals: &BTreeMap<&str, Total>) {
    let names = DEVICES.map(|d| d.name);
    println!(
        "| kernel | launches | multiply-adds | bytes | {} |",
        names.map(|n| format!("{n}: bound, estimate")).join(" | ")
    );
    println!("|---|---|---|---|{}", "---|".repeat(DEVICES.len()));
    let mut sum = Total::default();
    for (name, total) in totals {
        row(name, total);
        sum.launches += total.launches;
        sum.multiply_adds += total.multiply_adds;
        sum.bytes += total.bytes;
        for d in 0..DEVICES.len() {
            sum.bound[d] += total.bound[d];
            sum.estimate[d] += total.estimate[d];
        }
    }
    row("all", &sum);
    let ratios: Vec<String> =
        (0..DEVICES.len()).map(|d| format!("{:.2}", sum.estimate[d] / sum.bound[d])).collect();
    println!("\nestimate / bound: {}", ratios.join(", "));
}

fn row(name: &str, total: &Total) {
    let times: Vec<String> =
        (0..DEVICES.len()).map(|d| format!("{:.1} s, {:.1} s", total.bound[d], total.estimate[d])).collect();
    println!(
        "| {name} | {:.0} | {:.3e} | {:.3e} | {} |",
        total.launches,
        total.multiply_adds,
        total.bytes,
        times.join(" | ")
    );
}

fn add(total: &mut Total, work: Work, times: f64) {
    total.launches += times;
    total.multiply_adds += times * work.multiply_adds;
    total.bytes += times * work.bytes;
    for (d, device) in DEVICES.iter().enumerate() {
        let bound = (work.multiply_adds / device.matrix).max(work.bytes / device.bandwidth);
        total.bound[d] += times * bound;
        total.estimate[d] += times * device.estimate(work, 1);
    }
}

/// Blocks of a streaming kernel with 8 threads for each of `rows` rows of a slab.
fn blocks(rows: usize, images: usize) -> usize {
    (8 * rows * images.div_ceil(SLAB)).div_ceil(STREAM.threads)
}

/// Bytes of a value of all images.
fn value(view: View, images: usize) -> f64 {
    let place = view.place;
    HALF * (place.h * place.w * place.c * images) as f64
}

/// A step of the forward pass; with `save`, sign bits and winners are written.
fn forward(program: &Program, id: usize, images: usize, save: bool) -> Work {
    let step = &program.steps[id];
    let elements = value(step.out, images) / HALF;
    let mut bytes = value(step.out, images);
    bytes += step.reads().map(|view| value(view, images)).sum::<f64>();
    if save && step.rectifier.is_some() {
        bytes += elements / 8.0;
    }
    let blocks = blocks(step.out.place.values(), images);
    match step.kernel {
        Kernel::Conv { shape, .. } => convolution(shape, Direction::Forward, images, bytes),
        Kernel::MaxPool(_) => stream("max pool", bytes + if save { elements } else { 0.0 }, blocks),
        Kernel::AvgPool(_) => stream("average pool", bytes, blocks),
        Kernel::Norm(_)
        | Kernel::RunningNorm(_)
        | Kernel::Activation(_)
        | Kernel::Product
        | Kernel::Identity
        | Kernel::Dropout { .. } => stream("elementwise", bytes, blocks),
    }
}

/// A step of the backward pass to the images.
fn backward(program: &Program, back: BackStep, images: usize) -> Option<Work> {
    let storage = |id: usize| HALF * (program.storages[id].rows() * images) as f64;
    let bits = |id: usize| storage(id) / HALF / 8.0;
    let into = |from: View, to: View, add: Option<View>, accumulate: bool, mask: bool| {
        let again = if accumulate { value(to, images) } else { 0.0 };
        let signs = if mask { value(to, images) / HALF / 8.0 } else { 0.0 };
        value(from, images) + value(to, images) + add.map_or(0.0, |a| value(a, images)) + again + signs
    };
    match back {
        BackStep::Params(_) => None,
        BackStep::Zero(id) => Some(stream("elementwise", storage(id), 0)), // no kernel of ours
        BackStep::Mask(id) => {
            let blocks = blocks(program.storages[id].rows(), images);
            Some(stream("elementwise", 2.0 * storage(id) + bits(id), blocks))
        }
        BackStep::Pass { from, into: flow } => {
            let bytes = into(from, flow.to, flow.add, flow.accumulate, flow.mask);
            Some(stream("elementwise", bytes, blocks(flow.to.place.values(), images)))
        }
        BackStep::Through { step, into: flow, .. } => {
            let step = &program.steps[step];
            let bytes = into(step.out, flow.to, flow.add, flow.accumulate, flow.mask);
            let to = flow.to.place;
            let blocks_to = blocks(to.values(), images);
            Some(match step.kernel {
                Kernel::Conv { shape, .. } => convolution(shape, Direction::BackwardInput, images, bytes),
                Kernel::MaxPool(_) => {
                    stream("max pool, backward", bytes + value(step.out, images) / HALF, blocks_to)
                }
                Kernel::AvgPool(_) => {
                    let strips = to.c * (to.h * to.w).div_ceil(MEAN_STRIP);
                    stream("average pool, backward", bytes, blocks(strips, images))
                }
                Kernel::Norm(_)
                | Kernel::RunningNorm(_)
                | Kernel::Activation(_)
                | Kernel::Product
                | Kernel::Identity
                | Kernel::Dropout { .. } => stream("elementwise", bytes, blocks_to),
            })
        }
    }
}

fn loss(program: &Program, images: usize, gradient: bool) -> Work {
    let bytes = value(program.logits, images) * if gradient { 2.0 } else { 1.0 };
    stream("cross-entropy", bytes, images.div_ceil(SLAB))
}

/// The FGSM step: pixels as bytes, the gradient, the adversarial image.
fn step_on(program: &Program, images: usize) -> Work {
    let Place { h, w, c, .. } = program.input.place;
    let blocks = (h * w).div_ceil(IMAGE_TILE) * c * images.div_ceil(SLAB);
    stream("FGSM step", 2.5 * value(program.input, images), blocks)
}

fn stream(kernel: &'static str, bytes: f64, blocks: usize) -> Work {
    Work { kernel, multiply_adds: 0.0, bytes, padded: 0.0, blocks, block: STREAM }
}

/// A convolution with the bytes of its values; its weights are read once.
fn convolution(shape: ConvShape, direction: Direction, images: usize, bytes: f64) -> Work {
    let multiply_adds = (shape.multiply_adds() * images) as f64;
    let bytes = bytes + HALF * shape.weights() as f64;
    if shape.groups > 1 {
        // Not on matrix units, and bound by memory: its products cost nothing beside its bytes.
        let ((h, w), c) = match direction {
            Direction::Forward => (shape.output(), shape.k),
            Direction::BackwardInput => ((shape.h, shape.w), shape.c),
        };
        let strips = c * h * w.div_ceil(DEPTHWISE_STRIP);
        return stream("depthwise convolution", bytes, blocks(strips, images));
    }
    let (map, from) = match direction {
        Direction::Forward => (shape.output(), Shape { c: shape.c, h: shape.h, w: shape.w }),
        Direction::BackwardInput => {
            let (h, w) = shape.output();
            ((shape.h, shape.w), Shape { c: shape.k, h, w })
        }
    };
    let plan = ConvPlan::new(shape, direction).expect("no groups");
    let (from, slabs) = (Place::dense(from), images.div_ceil(SLAB));
    let tile = plan.tile(from, slabs, MULTIPROCESSORS);
    let grid = plan.kernel(tile, from, slabs).grid;
    let blocks = grid.blocks[0];
    let block = Block { threads: tile.threads(), registers: Tile::REGISTERS, shared: grid.shared as usize };
    let working = plan.working;
    // Products of a block, from the mean number of taps of a pixel; of packed reductions, all of them.
    let pixels = map.0 * map.1;
    let taps = shape.multiply_adds() as f64 / (shape.k * shape.c * pixels) as f64;
    let few = shape.c <= 4;
    let reduction = match (few, direction) {
        (true, Direction::Forward) => f64::from(working.chunks * 32),
        (true, Direction::BackwardInput) => f64::from(working.taps * working.chunks * 32),
        _ => taps * f64::from(working.chunks * 32),
    };
    let padded = (blocks * tile.outputs() * tile.slabs() * SLAB * tile.pixels()) as f64 * reduction;
    let kernel = match (few, direction) {
        (true, Direction::Forward) => "first convolution",
        (true, Direction::BackwardInput) => "first convolution, backward",
        (false, Direction::Forward) => "convolution",
        (false, Direction::BackwardInput) => "convolution, backward",
    };
    Work { kernel, multiply_adds, bytes, padded, blocks, block }
}
