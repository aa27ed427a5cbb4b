//! A network that is no named architecture, built by hand: `cargo run --release --example own_network`. Its weights are drawn
//! here; `Weights::from_checkpoint` takes them from a file.

use synfilter::data::{DatasetKind, Split, load};
use synfilter::graph::build::{Builder, ConvSpec};
use synfilter::graph::{Graph, Init, Pool, Shape};
use synfilter::model::Model;
use synfilter::network::Normalisation;
use synfilter::score::{Options, table};
use synfilter::sweep::Job;
use synfilter::weights::Weights;
use synfilter::{Device, Result};

/// Two convolutions with batch norm, a max pool and a linear classifier.
fn two_convolutions(input: Shape, classes: usize) -> Result<Graph> {
    let mut b = Builder::new("two_convolutions", input);
    let kaiming = |channels: usize| Init::Normal((2.0 / (9 * channels) as f32).sqrt());
    let x = b.conv("conv1", 0, ConvSpec::new(16, 3, 1, 1), kaiming(input.c))?;
    let x = b.norm("bn1", x);
    let x = b.relu(x);
    let x = b.max_pool("pool", x, Pool { kernel: 2, stride: 2, pad: 0, ceil: false })?;
    let x = b.conv("conv2", x, ConvSpec::new(32, 3, 2, 1), kaiming(16))?;
    let x = b.norm("bn2", x);
    let x = b.relu(x);
    let x = b.global_avg_pool("mean", x);
    let logits = b.linear("fc", x, classes);
    Ok(b.finish(logits))
}

fn main() -> Result<()> {
    let images = load(DatasetKind::Digits, None, Split::Test, None)?.first(256)?;
    let [c, h, w] = images.shape;
    let graph = two_convolutions(Shape { c, h, w }, images.classes.len())?;
    let weights = Weights::init(&graph, 7);
    let norm = Normalisation { mean: vec![0.1307], std: vec![0.3081] };
    let model = Model::new("two_convolutions", graph, weights, norm)?;
    let folder = std::env::temp_dir().join(format!("synfilter-own-network-{}", std::process::id()));
    let run = Job::new(&Device::cpu(), &images, [model]).eps("0.1")?.run(&folder)?;
    print!("{}", table(&run.scores(Options::default())?.scores));
    Ok(())
}
