//! Training steps of the networks on batches of 100 images: images per second, and the share of the FMA ceiling (measured
//! in the same run) that the direct method's valid-tap multiply-adds would take: forward, backward to the input, weights.
//! Prints a table; `SYNFILTER_RECORD=1` also writes it to `benches/record/train-<arch>-<date>.csv`.

mod machine;

use criterion::Criterion;
use machine::Machine;
use std::fmt::Write;
use std::time::Duration;
use synfilter::backend::Adam;
use synfilter::backend::cpu::device::Cpu;
use synfilter::backend::cpu::select::ConvMode;
use synfilter::backend::cpu::simd::Level;
use synfilter::backend::{ImageBatch, Optimizer, PixelData};
use synfilter::graph::{Graph, Op, Shape};
use synfilter::models::Arch;
use synfilter::random::Random;
use synfilter::train::{Start, Trainer};
use synfilter::weights::Weights;

const BATCH: usize = 100;

/// Networks, channels and side of the images.
const CASES: [(Arch, usize, usize); 5] = [
    (Arch::Resnet18, 1, 28),
    (Arch::Resnet18, 3, 32),
    (Arch::Resnet50, 3, 32),
    (Arch::Squeezenet1_1, 3, 32),
    (Arch::ShufflenetV2X1_0, 3, 32),
];

/// Multiply-adds of one image in a training step: three of each of the forward pass, but the first layer has no input
/// gradient.
fn multiply_adds(graph: &Graph) -> usize {
    let convolutions = graph.nodes.iter().filter_map(|node| match node.op {
        Op::Conv { shape, .. } => Some(shape.multiply_adds() * if node.inputs == [0] { 2 } else { 3 }),
        _ => None,
    });
    convolutions.sum()
}

/// The fastest of a few training steps, or none if the command line filters the case out.
fn time(criterion: &mut Criterion, name: &str, conv: ConvMode, graph: &Graph) -> Option<Duration> {
    let backend = Cpu::new(conv, true);
    let weights = Weights::init(graph, 0);
    let optimizer = Optimizer::Adam(Adam::new(1e-3));
    let Shape { c, h, w } = graph.input();
    let norm = vec![0.5; c];
    let mut trainer = Trainer::new(
        &backend,
        Start {
            graph: graph.clone(),
            weights: &weights,
            frozen: &[],
            optimizer,
            seed: 0,
            batch: BATCH,
            norm: [&norm, &norm],
        },
    );
    let mut random = Random::new(0, 0);
    let bytes: Vec<u8> = (0..BATCH * c * h * w).map(|_| random.below(256) as u8).collect();
    let labels: Vec<u16> = (0..BATCH).map(|_| random.below(10) as u16).collect();
    let images = ImageBatch { pixels: PixelData::Bytes(&bytes), labels: &labels };
    let mut best: Option<Duration> = None;
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|iterations| {
            (0..iterations)
                .map(|_| {
                    let started = std::time::Instant::now();
                    trainer.step(images).expect("the processor does not fail");
                    let each = started.elapsed();
                    best = Some(best.map_or(each, |best| best.min(each)));
                    each
                })
                .sum()
        });
    });
    best
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(2))
        .without_plots()
        .configure_from_args();
    let mut machine = Machine::measure(Level::best());
    let mut rows = Vec::new();
    for (arch, c, side) in CASES {
        let graph = arch.build(Shape { c, h: side, w: side }, 10).expect("the networks take these images");
        for conv in [ConvMode::Direct, ConvMode::Auto] {
            let name = format!("{arch} {c}x{side}x{side} {conv:?}").to_lowercase();
            if let Some(step) = time(&mut criterion, &name, conv, &graph) {
                rows.push((name, multiply_adds(&graph), BATCH as f64 / step.as_secs_f64()));
            }
            machine.measure_again();
        }
    }
    println!("\n{machine}");
    let mut csv = format!("{},case,images_s,share\n", machine::CSV_HEAD);
    for (name, multiply_adds, rate) in rows {
        let share = rate * multiply_adds as f64 / machine.ceiling;
        println!("{name:<36} {rate:>8.1} images/s {:>6.1} %", 100.0 * share);
        let _ = writeln!(csv, "{},{name},{rate:.1},{share:.4}", machine.csv());
    }
    machine::record("train", &csv);
    criterion.final_summary();
}
