//! Every convolution of the four networks at 32×32 and 64×64 inputs, forward and backward-to-input: one slab of 64
//! images per thread on all threads, as a share of the FMA ceiling (depthwise: of the streaming bandwidth) measured in
//! the same run. Prints a table; `SYNFILTER_RECORD=1` also writes it to `benches/record/conv-<arch>-<date>.csv`.
//!
//! `cargo bench --bench conv -- "3x3/1 64>64"` times only the cases whose name has that part.

mod machine;
mod shapes;

use criterion::Criterion;
use machine::{Machine, on_all_threads};
use shapes::Case;
use std::fmt::Write;
use std::time::{Duration, Instant};
use synfilter::backend::cpu::convolve::{Scratch, Weights};
use synfilter::backend::cpu::layout::{Aligned, Layout};
use synfilter::backend::cpu::select::{Algorithm, ConvMode, choose};
use synfilter::backend::cpu::simd::Level;
use synfilter::backend::cpu::value::{Act, Epilogue, Source, Target};
use synfilter::graph::Rectifier;
use synfilter::graph::conv::Direction;

const LANES: usize = 64;

/// One row of the table.
struct Row {
    case: Case,
    direction: Direction,
    algorithm: Algorithm,
    /// Multiply-adds of the direct method's valid taps per second, on all threads.
    macs: f64,
    /// Bytes of both values per second.
    bytes: f64,
}

/// Repeatable values in [−1, 1).
fn noise(len: usize, seed: u32) -> Aligned {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut values = Aligned::zeros(len);
    for value in values.iter_mut() {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        *value = state as i32 as f32 / 2_147_483_648.0;
    }
    values
}

/// What one thread works on.
struct Slab {
    x: Aligned,
    y: Aligned,
    bits: Vec<u16>,
    scratch: Scratch,
    fastest: Duration,
}

/// Times one algorithm, with the epilogue that it has in the network: scale, shift and ReLU with sign bits
/// forward, sign bits applied backward. Returns the row, or none if the
/// algorithm can't do the case or the command line filters it out.
fn time(
    criterion: &mut Criterion,
    case: &Case,
    direction: Direction,
    algorithm: Algorithm,
    level: Level,
) -> Option<Row> {
    let shape = case.shape;
    let (oh, ow) = shape.output();
    let input = Layout::dense(shape.c, shape.h, shape.w, LANES);
    let output = Layout::dense(shape.k, oh, ow, LANES);
    let (xl, yl) = match direction {
        Direction::Forward => (input, output),
        Direction::BackwardInput => (output, input),
    };
    let mut conv = algorithm.plan(shape, direction, level)?;
    conv.load(Weights { oihw: &noise(shape.weights(), 1), scale: None });
    let factor = noise(yl.c, 2);
    let threads = rayon::current_num_threads();
    let mut slabs: Vec<Slab> = (0..threads)
        .map(|i| Slab {
            x: noise(xl.buffer_len(), 3 + i as u32),
            y: Aligned::zeros(yl.buffer_len()),
            bits: vec![0x5a5a; yl.buffer_len() / 16],
            scratch: Scratch::default(),
            fastest: Duration::MAX,
        })
        .collect();
    let name = format!("{} {direction:?} {}", case.name(), algorithm.name());
    criterion.bench_function(&name, |bencher| {
        bencher.iter_custom(|iterations| {
            on_all_threads(&mut slabs, |slab| {
                for _ in 0..iterations {
                    let start = Instant::now();
                    let target = Target { data: &mut slab.y, layout: yl, rows: 0..yl.h };
                    let epilogue = match direction {
                        Direction::Forward => Epilogue {
                            scale: Some(&factor),
                            shift: Some(&factor),
                            act: Act::RectifySave(Rectifier::RELU, &mut slab.bits),
                            ..Epilogue::default()
                        },
                        Direction::BackwardInput => {
                            Epilogue { act: Act::Mask(&slab.bits, 0.0), ..Epilogue::default() }
                        }
                    };
                    conv.run(Source { data: &slab.x, layout: xl }, target, epilogue, &mut slab.scratch);
                    slab.fastest = slab.fastest.min(start.elapsed());
                }
            })
        });
    });
    // Other work on the machine delays some runs; each thread's fastest one counts, made while all threads run.
    let runs_per_second: f64 = slabs.iter().map(|slab| 1.0 / slab.fastest.as_secs_f64()).sum();
    if slabs.iter().any(|slab| slab.fastest == Duration::MAX) {
        return None;
    }
    let bytes = 4 * (xl.buffer_len() + yl.buffer_len());
    Some(Row {
        case: case.clone(),
        direction,
        algorithm,
        macs: runs_per_second * (LANES * shape.multiply_adds()) as f64,
        bytes: runs_per_second * bytes as f64,
    })
}

/// Geometric mean.
fn mean(shares: &[f64]) -> f64 {
    (shares.iter().map(|share| share.ln()).sum::<f64>() / shares.len() as f64).exp()
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(20))
        .measurement_time(Duration::from_millis(150))
        .nresamples(1_000)
        .without_plots()
        .configure_from_args();
    let level = Level::best();
    let mut machine = Machine::measure(level);
    let mut rows = Vec::new();
    for case in shapes::cases() {
        for direction in [Direction::Forward, Direction::BackwardInput] {
            for algorithm in Algorithm::ALL {
                // Direct can do a depthwise convolution, one channel at a time: nothing to compare with.
                if case.shape.groups == 1 || algorithm == Algorithm::Depthwise {
                    rows.extend(time(&mut criterion, &case, direction, algorithm, level));
                }
            }
        }
        machine.measure_again();
    }

    println!("\n{machine}");
    println!(
        "{:<28} {:<14} {:<10} {:>9} {:>9} {:>7}",
        "shape", "direction", "algorithm", "GMAC/s", "GB/s", "share"
    );
    let mut csv = format!("{},networks,shape,direction,algorithm,gmac_s,gb_s,share\n", machine::CSV_HEAD);
    let mut shares: Vec<(&str, Vec<f64>)> =
        ["direct", "direct, first layer", "depthwise", "winograd", "karatsuba", "stem", "strassen"]
            .map(|group| (group, Vec::new()))
            .into();
    for row in &rows {
        let shape = row.case.shape;
        let group = match row.algorithm {
            Algorithm::Direct if shape.c == 3 => "direct, first layer",
            algorithm => algorithm.name(),
        };
        let chosen = choose(shape, row.direction, LANES, level, ConvMode::Auto) == row.algorithm;
        let mark = if chosen { "chosen" } else { "" };
        let share =
            if group == "depthwise" { row.bytes / machine.bandwidth } else { row.macs / machine.ceiling };
        let (name, direction) = (row.case.name(), format!("{:?}", row.direction));
        let (gmac, gb) = (row.macs / 1e9, row.bytes / 1e9);
        println!(
            "{name:<28} {direction:<14} {:<10} {gmac:>9.1} {gb:>9.1} {:>6.1}% {mark}",
            row.algorithm.name(),
            100.0 * share
        );
        let networks = &row.case.networks;
        let _ = writeln!(
            csv,
            "{},{networks},{name},{direction},{},{gmac:.2},{gb:.2},{share:.4}",
            machine.csv(),
            row.algorithm.name()
        );
        shares.iter_mut().filter(|(name, _)| *name == group).for_each(|(_, shares)| shares.push(share));
    }
    for (group, shares) in shares.iter().filter(|(_, shares)| !shares.is_empty()) {
        let lowest = shares.iter().copied().fold(f64::INFINITY, f64::min);
        println!("{group}: geometric mean {:.1} %, lowest {:.1} %", 100.0 * mean(shares), 100.0 * lowest);
    }
    machine::record("conv", &csv);
    criterion.final_summary();
}
