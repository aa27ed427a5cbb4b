//! A graph run by the engine against its f64 evaluation: logits, finite differences, masked runs.

use super::engine::Engine;
use super::naive::Naive;
use super::net::{Net, graph, parameters};
use super::{IMAGES, SEED, Tried};
use synfilter::backend::Backend;
use synfilter::graph::program::Mode;
use synfilter::graph::{Graph, NodeId, Op, ParamId, ParamKind, Shape};
use synfilter::random::Random;

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

/// Checks logits, gradients and suffixes of a graph in the modes that it makes a difference for.
pub fn check<B: Backend>(
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
pub fn check_frozen<B: Backend>(tried: &Tried<B>, what: &str, build: impl Fn(&mut Net, NodeId) -> NodeId) {
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

pub fn check_mode<B: Backend>(tried: &Tried<B>, what: &str, graph: &Graph, mode: Mode, frozen: &[ParamId]) {
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
