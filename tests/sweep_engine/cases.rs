//! The cases, for any device.

use synfilter::attack::{Attack, Method, Pgd};
use synfilter::backend::Backend;
use synfilter::data::{DatasetKind, Images, Split, load};
use synfilter::eval::evaluate;
use synfilter::filter::{Census, FilterKind, Mask, Variant, WeightRange, variants};
use synfilter::graph::build::{Builder, ConvSpec};
use synfilter::graph::program::Mode;
use synfilter::graph::{Activation, Graph, Init, Pool, Shape};
use synfilter::models::{Arch, Stem};
use synfilter::network::{Network, Normalisation};
use synfilter::sweep::{AttackMode, Engine, Measure, Outcome, Target};
use synfilter::weights::Weights;

const FILTERS: [FilterKind; 3] = [FilterKind::HighPass, FilterKind::LowPass, FilterKind::Pulse];
pub const FGSM: Attack = Attack { method: Method::Fgsm, eps: 0.1, clamp: true };

/// Three steps; the first starts at the image, or at random.
pub fn pgd(seed: Option<u64>) -> Attack {
    Attack { method: Method::Pgd(Pgd { steps: 3, step_size: None, seed }), ..FGSM }
}

/// Weights with structure: some layers hold values that lie exactly on thresholds.
pub fn setup(arch: Arch) -> (Graph, Weights, Images) {
    setup_with(arch, Stem::Imagenet)
}

/// The same with a stem.
pub fn setup_with(arch: Arch, stem: Stem) -> (Graph, Weights, Images) {
    filled(arch.build_with(Shape { c: 1, h: 28, w: 28 }, 10, stem).unwrap())
}

/// A network whose backward pass reads values and not bits alone: SiLU, a gate per channel, windows of means, two slopes.
pub fn gated() -> (Graph, Weights, Images) {
    let mut b = Builder::new("gated", Shape { c: 1, h: 28, w: 28 });
    let conv = |b: &mut Builder, name: &str, x, spec: ConvSpec| {
        let bias = Init::Uniform(0.1);
        b.conv(name, x, spec.bias(bias), Init::Normal(0.3)).unwrap()
    };
    let x = conv(&mut b, "stem", 0, ConvSpec::new(8, 3, 2, 1));
    let x = b.norm("norm", x);
    let x = b.activation("silu", x, Activation::Silu);
    let gate = b.global_avg_pool("squeeze", x);
    let gate = conv(&mut b, "gate", gate, ConvSpec::new(8, 1, 1, 0));
    let gate = b.activation("sigmoid", gate, Activation::Sigmoid);
    let y = b.product(x, gate);
    let y = b.avg_pool("pool", y, Pool { kernel: 3, stride: 2, pad: 1, ceil: false }, true).unwrap();
    let one = conv(&mut b, "one", y, ConvSpec::new(4, 1, 1, 0));
    let one = b.activation("leaky", one, Activation::LeakyRelu { slope: 0.1 });
    let two = conv(&mut b, "two", y, ConvSpec::new(4, 3, 1, 1));
    let two = b.activation("relu6", two, Activation::Relu6);
    let y = b.concat(&[one, two]);
    let y = b.adaptive_avg_pool("mean", y, [2, 2]);
    let logits = conv(&mut b, "head", y, ConvSpec::new(10, 2, 1, 0));
    filled(b.finish(logits))
}

fn filled(graph: Graph) -> (Graph, Weights, Images) {
    let images = load(DatasetKind::Digits, None, Split::Test, None).unwrap().first(20).unwrap();
    let mut weights = Weights::init(&graph, 7);
    for tensor in &mut weights.tensors {
        let (min, max) = tensor.iter().fold((f32::MAX, f32::MIN), |(l, h), &w| (l.min(w), h.max(w)));
        for (i, w) in tensor.iter_mut().enumerate().filter(|(i, _)| i % 11 == 3) {
            *w = min + (max - min) / 3.0 * (i % 4) as f32;
        }
    }
    (graph, weights, images)
}

pub fn network<'b, B: Backend>(
    device: &'b B,
    graph: &Graph,
    weights: &Weights,
    mode: Mode,
) -> Network<'b, B> {
    let norm = Normalisation { mean: vec![0.1307], std: vec![0.3081] };
    Network::new(device, graph.clone(), weights, norm, mode)
}

/// The variants of one tensor, at four thresholds.
pub fn masks(values: &[f32]) -> Vec<Variant> {
    let range = WeightRange::of(&[("tensor", values)], std::path::Path::new("test")).unwrap();
    variants(&FILTERS, 4, range).unwrap()
}

pub fn zeroed(weights: &Weights, params: &[usize], mask: Mask) -> Weights {
    let mut copy = weights.clone();
    for &param in params {
        copy.tensors[param].iter_mut().filter(|w| !mask.keeps(**w)).for_each(|w| *w = 0.0);
    }
    copy
}

/// What the engine says must be what a network with zeros in its weights does, run whole.
pub fn assert_same<B: Backend>(
    what: &str,
    attack: Attack,
    outcome: &Outcome,
    zeroed: &Network<B>,
    images: &Images,
) {
    let full = evaluate(zeroed, images, 0..images.len(), &[attack], false, |_| ()).unwrap();
    let mut plain = Outcome::default();
    for (clean, adv) in full.clean.per_image().zip(full.adversarial[0].per_image()) {
        plain.push(clean, adv);
    }
    assert_eq!(*outcome, plain, "{what}");
}

/// Every filter, every threshold (with `apart` 1; else one in so many variants), boundary values among the weights.
pub fn masked_suffix_equals_zeroed_copy_run_whole<B: Backend>(
    device: &B,
    networks: &[(Arch, &[usize])],
    apart: usize,
    attack: Attack,
) {
    for &(arch, layers) in networks {
        variants_equal_zeroed_copies(device, setup(arch), layers, apart, attack);
    }
}

/// The same of one network.
pub fn variants_equal_zeroed_copies<B: Backend>(
    device: &B,
    (graph, weights, images): (Graph, Weights, Images),
    layers: &[usize],
    apart: usize,
    attack: Attack,
) {
    let params = graph.filterable();
    let targets: Vec<Target> = layers.iter().map(|&layer| Target::Layer(layer)).collect();
    let net = network(device, &graph, &weights, Mode::Inference);
    let mut engine = Engine::new(net, &images, AttackMode::Adaptive, attack, &targets);
    let base = engine.begin_block(0..images.len()).unwrap();
    assert_same("unfiltered", attack, &base, &network(device, &graph, &weights, Mode::Inference), &images);
    for (&layer, target) in layers.iter().zip(&targets) {
        engine.begin_target(target).unwrap();
        for variant in masks(&weights.tensors[params[layer]]).into_iter().step_by(apart) {
            let outcome = engine.variant(&variant.mask).unwrap();
            let copy = zeroed(&weights, &params[layer..=layer], variant.mask);
            let name = &graph.params[params[layer]].name;
            let what = format!("{} {name} {:?} {} {}", graph.arch, variant.filter, variant.k, attack.method);
            assert_same(&what, attack, &outcome, &network(device, &graph, &copy, Mode::Inference), &images);
        }
        engine.end_target().unwrap();
    }
    assert_eq!(engine.begin_block(0..images.len()).unwrap(), base, "weights are restored");
}

/// Masks of single output channels, one after the other: the copy has zeros in that channel alone.
pub fn masked_channels_equal_zeroed_copies<B: Backend>(
    device: &B,
    arch: Arch,
    channels: &[(usize, usize)],
    apart: usize,
) {
    let (graph, weights, images) = setup(arch);
    let (params, outputs) = (graph.filterable(), graph.filterable_channels());
    let targets: Vec<Target> =
        channels.iter().map(|&(layer, channel)| Target::Channel { layer, channel }).collect();
    let net = network(device, &graph, &weights, Mode::Inference);
    let mut engine = Engine::new(net, &images, AttackMode::Adaptive, FGSM, &targets);
    let base = engine.begin_block(0..images.len()).unwrap();
    for (&(layer, channel), target) in channels.iter().zip(&targets) {
        let param = params[layer];
        let size = weights.tensors[param].len() / outputs[layer];
        let own = channel * size..(channel + 1) * size;
        engine.begin_target(target).unwrap();
        for variant in masks(&weights.tensors[param][own.clone()]).into_iter().step_by(apart) {
            let outcome = engine.variant(&variant.mask).unwrap();
            let mut copy = weights.clone();
            let dropped = copy.tensors[param][own.clone()].iter_mut().filter(|w| !variant.mask.keeps(**w));
            dropped.for_each(|w| *w = 0.0);
            let what =
                format!("{arch} {} {channel} {:?} {}", graph.params[param].name, variant.filter, variant.k);
            assert_same(&what, FGSM, &outcome, &network(device, &graph, &copy, Mode::Inference), &images);
        }
        engine.end_target().unwrap();
    }
    assert_eq!(engine.begin_block(0..images.len()).unwrap(), base, "weights are restored");
    let beyond = Target::Channel { layer: 0, channel: outputs[0] };
    assert_eq!(engine.begin_target(&beyond).unwrap_err().exit_code(), 2);
}

pub fn batch_statistics_use_batches_of_a_hundred<B: Backend>(device: &B, attack: Attack) {
    let (graph, weights, _) = setup(Arch::ShufflenetV2X0_5);
    let images = load(DatasetKind::Digits, None, Split::Test, None).unwrap().first(150).unwrap();
    let layers = graph.filterable();
    let net = network(device, &graph, &weights, Mode::BatchStatistics);
    let mut engine = Engine::new(net, &images, AttackMode::Adaptive, attack, &[Target::Layer(9)]);
    engine.begin_block(0..images.len()).unwrap();
    engine.begin_target(&Target::Layer(9)).unwrap();
    for variant in masks(&weights.tensors[layers[9]]).into_iter().step_by(4) {
        let outcome = engine.variant(&variant.mask).unwrap();
        let copy = zeroed(&weights, &layers[9..10], variant.mask);
        assert_same(
            "batch",
            attack,
            &outcome,
            &network(device, &graph, &copy, Mode::BatchStatistics),
            &images,
        );
    }
}

/// Distinct kept sets are computed once; equal ones really give equal outcomes.
pub fn equal_kept_sets_give_equal_outcomes<B: Backend>(device: &B, arch: Arch) {
    let (graph, weights, images) = setup(arch);
    let param = *graph.filterable().last().unwrap();
    let target = Target::Layer(graph.filterable().len() - 1);
    let variants = masks(&weights.tensors[param]);
    let census = Census::of(&variants, &[&weights.tensors[param]]);
    let net = network(device, &graph, &weights, Mode::Inference);
    let mut engine = Engine::new(net, &images, AttackMode::Adaptive, FGSM, &[target]);
    let base = engine.begin_block(0..images.len()).unwrap();
    engine.begin_target(&target).unwrap();
    let outcomes: Vec<Outcome> = variants.iter().map(|v| engine.variant(&v.mask).unwrap()).collect();
    let mut shared = 0;
    for (i, same) in census.same_as.iter().enumerate() {
        let expected = same.map_or(&base, |first| &outcomes[first]);
        shared += usize::from(*same != Some(i));
        assert_eq!(outcomes[i], *expected, "variant {i}");
    }
    assert!(shared > 0, "the last steps of high-pass and low-pass drop everything alike");
}
