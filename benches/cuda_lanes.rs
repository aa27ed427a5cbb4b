//! Variants of a sweep side by side on a GPU: whether as many lanes as the engine chooses are the fastest.
//!
//! ```text
//! cargo bench --features cuda --bench cuda_lanes -- [IMAGES,..]   64, 256, 1000 and 2000 if left out
//! ```
//!
//! ResNet-18 on digits, f16, a middle layer: microseconds per variant, from the first mask to the last verdict on the host.
//! On the software device they mean nothing: it does one thing after the other.

use half::f16;
use std::error::Error;
use std::time::Instant;
use synfilter::attack::{Attack, Method};
use synfilter::backend::cuda::device::Cuda;
use synfilter::data::{DatasetKind, Split, load};
use synfilter::filter::Mask;
use synfilter::graph::Shape;
use synfilter::graph::program::Mode;
use synfilter::models::Arch;
use synfilter::network::{Network, Normalisation};
use synfilter::sweep::{AttackMode, Engine, Measure, Target};
use synfilter::weights::Weights;

/// Variants of which the mean is taken.
const VARIANTS: usize = 48;
/// The most lanes that are tried: more than the engine takes.
const LANES: usize = 6;
/// The filtered layer.
const LAYER: usize = 9;

fn main() -> Result<(), Box<dyn Error>> {
    let counts = std::env::args().skip(1).find(|a| !a.starts_with("--"));
    let counts = counts.unwrap_or_else(|| "64,256,1000,2000".into());
    let counts: Vec<usize> = counts.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let device = Cuda::<f16>::open(0)?;
    println!("{}\n", device.context().facts()?.name);
    let columns: Vec<String> = (1..=LANES).map(|lanes| lanes.to_string()).collect();
    println!("| images | chosen | {} |", columns.join(" | "));
    println!("|---|---|{}", "---|".repeat(LANES));

    let graph = Arch::Resnet18.build(Shape { c: 1, h: 28, w: 28 }, 10)?;
    let weights = Weights::init(&graph, 7);
    let target = Target::Layer(LAYER);
    let attack = Attack { method: Method::Fgsm, eps: 0.1, clamp: true };
    // Windows that drop a few weights each.
    let mask = |i: usize| Mask { lo: 1e-3 * i as f32, hi: 1e-3 * (i + 1) as f32, keep_inside: false };
    let masks: Vec<Mask> = (0..VARIANTS).map(mask).collect();
    for count in counts {
        let images = load(DatasetKind::Digits, None, Split::Test, None)?.first(count)?;
        let norm = Normalisation { mean: vec![0.1307], std: vec![0.3081] };
        let network = Network::new(&device, graph.clone(), &weights, norm, Mode::Inference);
        let mut engine = Engine::new(network, &images, AttackMode::Adaptive, attack, &[target]);
        engine.begin_block(0..images.len())?;
        engine.begin_target(&target)?;
        engine.variant(&masks[0])?;
        let chosen = engine.lanes();
        let mut times = Vec::new();
        for lanes in 1..=LANES {
            engine = engine.with_lanes(lanes);
            // The first variant of a lane pays for its tapes, the second for its recording.
            engine.variants(&masks[..2 * lanes], &mut || Ok(()))?;
            let started = Instant::now();
            engine.variants(&masks, &mut || Ok(()))?;
            times.push(format!("{:.0}", started.elapsed().as_secs_f64() / VARIANTS as f64 * 1e6));
        }
        println!("| {} | {chosen} | {} |", images.len(), times.join(" | "));
    }
    Ok(())
}
