//! The weight gradient of every convolution of the four networks at 32×32 inputs, for a training batch of 100 images (a
//! slab of 64 lanes and one of 48), each thread with its own batch: multiply-adds per second as a share of the FMA ceiling
//! measured in the same run, transposition of the input included.
//! Prints a table; `SYNFILTER_RECORD=1` also writes it to `benches/record/weight_grad-<arch>-<date>.csv`.

mod machine;
mod shapes;

use criterion::Criterion;
use machine::{Machine, on_all_threads};
use shapes::Case;
use std::fmt::Write;
use std::time::Duration;
use synfilter::backend::cpu::layout::{Aligned, Layout};
use synfilter::backend::cpu::simd::Level;
use synfilter::backend::cpu::value::Source;
use synfilter::backend::cpu::weight_grad::{GradSlab, WeightGrad};

/// Lanes and images of the slabs of a batch.
const BATCH: [(usize, usize); 2] = [(64, 64), (48, 36)];

/// What one thread works on.
struct Batch {
    /// dy, x and panels of each slab.
    slabs: Vec<(Aligned, Aligned, Aligned)>,
    dw: Vec<f32>,
}

/// Values that are neither zero nor denormal.
fn ones(len: usize) -> Aligned {
    let mut values = Aligned::zeros(len);
    values.fill(0.5);
    values
}

/// Multiply-adds per second on all threads, or none if the command line filters the case out.
fn time(criterion: &mut Criterion, case: &Case, level: Level) -> Option<f64> {
    let shape = case.shape;
    let (oh, ow) = shape.output();
    let gradient = WeightGrad::new(level, shape);
    let layouts =
        |lanes| (Layout::dense(shape.k, oh, ow, lanes), Layout::dense(shape.c, shape.h, shape.w, lanes));
    let batch = || Batch {
        slabs: BATCH
            .iter()
            .map(|&(lanes, images)| {
                let (dl, xl) = layouts(lanes);
                (ones(dl.buffer_len()), ones(xl.buffer_len()), ones(gradient.panels_len(images)))
            })
            .collect(),
        dw: vec![0.0; shape.weights()],
    };
    let mut batches: Vec<Batch> = (0..rayon::current_num_threads()).map(|_| batch()).collect();
    let mut best: Option<Duration> = None;
    criterion.bench_function(&case.name(), |bencher| {
        bencher.iter_custom(|iterations| {
            let elapsed = on_all_threads(&mut batches, |batch| {
                for _ in 0..iterations {
                    let mut slabs = Vec::new();
                    for ((dy, x, panels), (lanes, images)) in batch.slabs.iter_mut().zip(BATCH) {
                        let (dl, xl) = layouts(lanes);
                        gradient.pack(Source { data: x, layout: xl }, images, panels);
                        let (dy, x) = (Source { data: dy, layout: dl }, Source { data: x, layout: xl });
                        slabs.push(GradSlab { dy, x, panels, images });
                    }
                    gradient.weights(&slabs, 0..shape.k, &mut batch.dw);
                }
            });
            let each = elapsed / iterations as u32;
            best = Some(best.map_or(each, |best| best.min(each)));
            elapsed
        });
    });
    let images: usize = BATCH.iter().map(|(_, images)| images).sum();
    let multiply_adds = batches.len() * images * shape.multiply_adds();
    Some(multiply_adds as f64 / best?.as_secs_f64())
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(10))
        .measurement_time(Duration::from_millis(50))
        .without_plots()
        .configure_from_args();
    let level = Level::best();
    let mut machine = Machine::measure(level);
    let mut rows = Vec::new();
    for case in shapes::cases().into_iter().filter(|case| case.networks.contains("@32")) {
        if let Some(rate) = time(&mut criterion, &case, level) {
            rows.push((case, rate));
        }
        machine.measure_again();
    }
    println!("\n{machine}");
    let mut csv = format!("{},networks,shape,gmac_s,share\n", machine::CSV_HEAD);
    for (case, rate) in rows {
        let (name, gmac, share) = (case.name(), rate / 1e9, rate / machine.ceiling);
        println!("{name:<28} {gmac:>8.1} GMAC/s {:>6.1} %", 100.0 * share);
        let _ = writeln!(csv, "{},{},{name},{gmac:.2},{share:.4}", machine.csv(), case.networks);
    }
    machine::record("weight_grad", &csv);
    criterion.final_summary();
}
