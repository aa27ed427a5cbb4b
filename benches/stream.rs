//! Every kernel that is a stream over rows, in bytes per second as a share of the streaming bandwidth (one buffer read,
//! one written) measured in the same run: all threads at once, each cycling through slabs that no cache holds.
//! Prints a table; `SYNFILTER_RECORD=1` also writes it to `benches/record/stream-<arch>-<date>.csv`.

mod machine;

use criterion::Criterion;
use machine::{Machine, on_all_threads};
use std::fmt::Write;
use std::time::Duration;
use synfilter::backend::cpu::attack;
use synfilter::backend::cpu::batch_norm::{InputGradient, Slab, parameter_gradients, statistics};
use synfilter::backend::cpu::elementwise::map;
use synfilter::backend::cpu::image::{Normalisation, Pixels, load};
use synfilter::backend::cpu::layout::{Aligned, Layout};
use synfilter::backend::cpu::mean;
use synfilter::backend::cpu::pool::{max_backward, max_forward};
use synfilter::backend::cpu::simd::Level;
use synfilter::backend::cpu::value::{Act, Epilogue, Source, Target};
use synfilter::backend::{AttackStart, AttackStep, Noise};
use synfilter::graph::{Mean, Pool, Rectifier};

const LANES: usize = 64;

/// Bytes of all slabs of a thread: more than a share of the last-level cache.
const FOOTPRINT: usize = 96 << 20;

/// Two inputs, an output, and what belongs to them.
struct Buffers {
    a: Aligned,
    b: Aligned,
    y: Aligned,
    bits: Vec<u16>,
    bytes: Vec<u8>,
}

/// A kernel on one slab.
struct Case {
    name: String,
    /// Layouts of `a` (and `b`) and of `y`.
    input: Layout,
    output: Layout,
    /// Bytes that it has to read and write.
    bytes: usize,
    run: Box<dyn Fn(&mut Buffers) + Sync>,
}

fn source(data: &[f32], layout: Layout) -> Source<'_> {
    Source { data, layout }
}

fn target(data: &mut [f32], layout: Layout) -> Target<'_> {
    Target { data: &mut data[..layout.buffer_len()], layout, rows: 0..layout.h }
}

fn cases(level: Level, c: usize, size: usize) -> Vec<Case> {
    let l = Layout::dense(c, size, size, LANES);
    let factor: Vec<f32> = (0..c).map(|i| 0.5 + i as f32 / c as f32).collect();
    let full = 4 * l.buffer_len();
    let bits = full / 32;
    let mut cases = Vec::new();
    let mut add =
        |name: &str, input: Layout, output: Layout, bytes: usize, run: Box<dyn Fn(&mut Buffers) + Sync>| {
            cases.push(Case { name: format!("{name} {c}x{size}x{size}"), input, output, bytes, run });
        };

    add(
        "copy",
        l,
        l,
        2 * full,
        Box::new(move |s| map(level, source(&s.a, l), target(&mut s.y, l), Epilogue::default())),
    );
    let scale = factor.clone();
    add(
        "batch norm apply + relu",
        l,
        l,
        2 * full + bits,
        Box::new(move |s| {
            let epilogue = Epilogue {
                scale: Some(&scale),
                shift: Some(&scale),
                act: Act::RectifySave(Rectifier::RELU, &mut s.bits[..l.buffer_len() / 16]),
                ..Epilogue::default()
            };
            map(level, source(&s.a, l), target(&mut s.y, l), epilogue);
        }),
    );
    add(
        "add + relu",
        l,
        l,
        3 * full,
        Box::new(move |s| {
            let epilogue = Epilogue {
                add: Some(source(&s.b, l)),
                act: Act::Rectify(Rectifier::RELU),
                ..Epilogue::default()
            };
            map(level, source(&s.a, l), target(&mut s.y, l), epilogue);
        }),
    );
    add(
        "relu backward",
        l,
        l,
        2 * full + bits,
        Box::new(move |s| {
            let epilogue =
                Epilogue { act: Act::Mask(&s.bits[..l.buffer_len() / 16], 0.0), ..Epilogue::default() };
            map(level, source(&s.a, l), target(&mut s.y, l), epilogue);
        }),
    );
    add(
        "batch norm statistics",
        l,
        l,
        full,
        Box::new(move |s| {
            let (mut mean, mut variance) = (vec![0.0; c], vec![0.0; c]);
            let slab = Slab { value: source(&s.a, l), images: LANES };
            statistics(level, &[slab], 0..c, &mut mean, &mut variance);
        }),
    );
    let mean = factor.clone();
    add(
        "batch norm dγ, dβ",
        l,
        l,
        2 * full,
        Box::new(move |s| {
            let (mut d_gamma, mut d_beta) = (vec![0.0; c], vec![0.0; c]);
            let pair = (source(&s.a, l), source(&s.b, l));
            parameter_gradients(level, &[pair], 0..c, [&mean, &mean], &mut d_gamma, &mut d_beta);
        }),
    );
    let gradient = InputGradient::new([&factor; 5].map(|f| &f[..]), size * size * LANES);
    add(
        "batch norm dx",
        l,
        l,
        3 * full,
        Box::new(move |s| {
            gradient.apply(
                level,
                source(&s.a, l),
                source(&s.b, l),
                LANES,
                target(&mut s.y, l),
                Epilogue::default(),
            );
        }),
    );

    let pool = Pool { kernel: 3, stride: 2, pad: 1, ceil: false };
    let (oh, ow) = (pool.output(size), pool.output(size));
    let p = Layout::dense(c, oh, ow, LANES);
    let winners = p.buffer_len();
    add(
        "max pool",
        l,
        p,
        full + 4 * winners,
        Box::new(move |s| {
            max_forward(level, pool, source(&s.a, l), target(&mut s.y, p), None);
        }),
    );
    add(
        "max pool, winners saved",
        l,
        p,
        full + 5 * winners,
        Box::new(move |s| {
            max_forward(level, pool, source(&s.a, l), target(&mut s.y, p), Some(&mut s.bytes[..winners]));
        }),
    );
    add(
        "max pool backward",
        p,
        l,
        full + 5 * winners,
        Box::new(move |s| {
            max_backward(
                level,
                pool,
                source(&s.a, p),
                &s.bytes[..winners],
                target(&mut s.y, l),
                Epilogue::default(),
            );
        }),
    );
    let one = Layout::dense(c, 1, 1, LANES);
    add(
        "average pool",
        l,
        one,
        full + 4 * one.buffer_len(),
        Box::new(move |s| {
            mean::forward(level, Mean::Adaptive, source(&s.a, l), target(&mut s.y, one));
        }),
    );
    add(
        "average pool backward",
        one,
        l,
        full + 4 * one.buffer_len(),
        Box::new(move |s| {
            mean::backward(
                level,
                Mean::Adaptive,
                source(&s.a, one),
                target(&mut s.y, l),
                Epilogue::default(),
            );
        }),
    );
    cases
}

/// Loading and attacking images, for which bandwidth is only a yardstick.
fn image_cases(level: Level) -> Vec<Case> {
    let l = Layout::dense(3, 64, 64, LANES);
    let n = l.buffer_len();
    let norm = Normalisation { mean: &[0.5; 3], std: &[0.25; 3] };
    let loading = move |s: &mut Buffers| load(level, Pixels::U8(&s.bytes[..n]), norm, &mut s.y, l);
    let fgsm = move |s: &mut Buffers| {
        let step = AttackStep { eps: 0.1, alpha: 0.1, clamp: true };
        let step = attack::Step { step, gradient: source(&s.a, l) };
        step.apply(level, Pixels::U8(&s.bytes[..n]), norm, None, &mut s.y, l);
    };
    let start = move |s: &mut Buffers| {
        let noise = Noise { eps: 0.1, seed: 7, first_image: 0 };
        let at = AttackStart { noise: Some(noise), clamp: true };
        attack::start(level, Pixels::U8(&s.bytes[..n]), norm, at, Some(&mut s.b[..n]), &mut s.y, l);
    };
    let descend = move |s: &mut Buffers| {
        let step = AttackStep { eps: 0.1, alpha: 0.02, clamp: true };
        let step = attack::Step { step, gradient: source(&s.a, l) };
        step.apply(level, Pixels::U8(&s.bytes[..n]), norm, Some(&mut s.b[..n]), &mut s.y, l);
    };
    vec![
        Case {
            name: "pgd start with noise 3x64x64".into(),
            input: l,
            output: l,
            bytes: 9 * n,
            run: Box::new(start),
        },
        Case { name: "pgd step 3x64x64".into(), input: l, output: l, bytes: 17 * n, run: Box::new(descend) },
        Case { name: "load 3x64x64".into(), input: l, output: l, bytes: 5 * n, run: Box::new(loading) },
        Case { name: "fgsm 3x64x64".into(), input: l, output: l, bytes: 9 * n, run: Box::new(fgsm) },
    ]
}

/// Floats that were written: pages that never were all read from one page of zeros.
fn written(len: usize) -> Aligned {
    let mut floats = Aligned::zeros(len);
    for (i, float) in floats.iter_mut().enumerate() {
        *float = (i % 251) as f32 / 125.5 - 1.0;
    }
    floats
}

/// Seconds per slab on all threads, or none if the command line filters the case out.
fn time(criterion: &mut Criterion, case: &Case) -> Option<f64> {
    let (a, y) = (case.input.buffer_len(), case.output.buffer_len());
    let largest = a.max(y);
    let buffers = || Buffers {
        a: written(a),
        b: written(a),
        y: written(y),
        bits: vec![0x5a5a; largest / 16],
        bytes: vec![4; largest],
    };
    let count = (FOOTPRINT / (4 * (2 * a + y))).max(1);
    let mut slabs: Vec<Vec<Buffers>> =
        (0..rayon::current_num_threads()).map(|_| (0..count).map(|_| buffers()).collect()).collect();
    let mut best: Option<Duration> = None;
    criterion.bench_function(&case.name, |bencher| {
        bencher.iter_custom(|iterations| {
            let elapsed = on_all_threads(&mut slabs, |slabs| {
                for _ in 0..iterations {
                    slabs.iter_mut().for_each(|slab| (case.run)(slab));
                }
            });
            let each = elapsed / iterations as u32;
            best = Some(best.map_or(each, |best| best.min(each)));
            elapsed
        });
    });
    Some(best?.as_secs_f64() / count as f64)
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(20))
        .measurement_time(Duration::from_millis(80))
        .without_plots()
        .configure_from_args();
    let level = Level::best();
    let mut machine = Machine::measure(level);
    let mut rows = Vec::new();
    let all = [cases(level, 64, 16), cases(level, 256, 4), cases(level, 512, 1), image_cases(level)];
    for case in all.into_iter().flatten() {
        if let Some(seconds) = time(&mut criterion, &case) {
            rows.push((case.name, (case.bytes * rayon::current_num_threads()) as f64 / seconds));
        }
        machine.measure_again();
    }
    println!("\n{machine}");
    let mut csv = format!("{},kernel,gb_s,share\n", machine::CSV_HEAD);
    for (name, bandwidth) in rows {
        let (gb, share) = (bandwidth / 1e9, bandwidth / machine.bandwidth);
        println!("{name:<36} {gb:>8.1} GB/s {:>6.1} %", 100.0 * share);
        let _ = writeln!(csv, "{},{},{gb:.2},{share:.4}", machine.csv(), name.replace(',', ""));
    }
    machine::record("stream", &csv);
    criterion.final_summary();
}
