//! The cases, for any device.

use common::compare::{Tolerance, assert_close};
use common::formula;
use common::golden::{Case, Check, Results, Slack, manifest};
use synfilter::backend::Adam;
use synfilter::backend::{Backend, Batch, ImageBatch, Optimizer, PixelData};
use synfilter::graph::program::{Mode, Program};
use synfilter::graph::{Graph, ParamKind, Shape};
use synfilter::models::{Arch, Stem};
use synfilter::tape::{Prepared, Run, Tape};

/// Where a ReLU input is nearer to 0 than this many of PyTorch's own largest errors in its tensor, it may fall on the
/// other side here, which moves every gradient below it: by up to a hundredth of an image's gradient under running
/// statistics, by up to a tenth or so of all gradients under the statistics of a small batch. The largest error of a
/// tensor is some four standard deviations, so twice that is far. The cases that are safe are the tight test.
const SAFE_MARGIN: f64 = 2.0;
/// Below this, as in networks of a hundred layers or of twice the channels, several may fall there in one image.
const MANY_MARGIN: f64 = 0.2;

/// Logits, loss and input gradients of every case.
pub fn inference<B: Backend>(backend: &B, name: &str, which: impl Fn(&Case) -> bool) {
    for case in manifest().cases.into_iter().filter(|case| which(case)) {
        let graph = graph(&case);
        let program = Program::lower(&graph, Mode::Inference);
        let params = params(backend, &graph, &case);
        let (mean, std) = normalisation(&case);
        let mut prepared = Prepared::new(backend, &graph, &program, true, [&mean, &std]);
        prepared.load(backend, &program, &params);
        let run = Run { backend, program: &program, prepared: &prepared };
        let moves = program.backward(true, |_| false);
        let mut tape = Tape::new(backend, &program, Batch { images: case.batch }, |_| false, &moves);
        let (images, labels) = case.images();
        let images = backend.images(ImageBatch { pixels: PixelData::Floats(&images), labels: &labels });
        tape.load(run, &images);
        tape.forward(run, true, None);
        tape.loss(run, None, &images, Some(B::GRADIENT_SCALE));
        let verdicts = tape.verdicts(run).unwrap();
        tape.backward(run, None, &moves, None);

        let what = format!("{} {} {name}", case.network(), case.side);
        let golden = case.results();
        // PyTorch's own f32 run deviates by `error` at its worst element; Winograd forms add a little.
        let logits = tape.logits(run, None).unwrap();
        let close = |error: f64, floor: f64| Tolerance::new(8.0 * error + floor, 0.0);
        assert_close(
            format!("{what} logits"),
            &logits,
            &golden.eval_logits.data,
            close(golden.eval_logits.error, 1e-6),
        );
        let loss = verdicts.loss.iter().map(|&l| f64::from(l)).sum::<f64>() / case.batch as f64;
        let tolerance = close(golden.eval_loss.error, 1e-5);
        assert_close(format!("{what} loss"), &[loss], &golden.eval_loss.data, tolerance);
        let mut gradient = tape.input_gradient(run).unwrap();
        let plane = case.side * case.side;
        for (i, plane) in gradient.chunks_mut(plane).enumerate() {
            plane.iter_mut().for_each(|g| *g /= B::GRADIENT_SCALE * std[i % case.channels]);
        }
        let image = plane * case.channels;
        let tie = match case.margin {
            SAFE_MARGIN.. => 0.0,
            MANY_MARGIN.. => 1e-2,
            _ => 3e-2,
        };
        for (i, check) in golden.input_grad.iter().enumerate() {
            let slack = Slack { errors: 8.0, relative: 3e-5 + tie, absolute: 1e-7 };
            verify(
                &format!("{what} input gradient {i}"),
                check,
                &gradient[i * image..(i + 1) * image],
                slack,
            );
        }
    }
}

/// Logits, gradients of all parameters and one Adam step of every case.
pub fn training<B: Backend>(backend: &B, which: impl Fn(&Case) -> bool) {
    for case in manifest().cases.into_iter().filter(|case| which(case)) {
        let graph = graph(&case);
        // The goldens were made without dropout: its mask is the one thing that no two programs share.
        let program = Program::lower(&graph, Mode::BatchStatistics);
        let mut params = params(backend, &graph, &case);
        let (mean, std) = normalisation(&case);
        let mut prepared = Prepared::new(backend, &graph, &program, true, [&mean, &std]);
        prepared.load(backend, &program, &params);
        let run = Run { backend, program: &program, prepared: &prepared };
        let moves = program.backward(false, |_| true);
        let mut tape = Tape::new(backend, &program, Batch { images: case.train_batch }, |_| true, &moves);
        let (images, labels) = case.train_images();
        let images = backend.images(ImageBatch { pixels: PixelData::Floats(&images), labels: &labels });
        tape.load(run, &images);
        tape.forward(run, true, None);
        tape.loss(run, None, &images, Some(1.0 / case.train_batch as f32));
        tape.backward(run, None, &moves, None);

        let what = format!("{} {}", case.network(), case.side);
        let golden: Results = case.results();
        let logits = tape.logits(run, None).unwrap();
        let tolerance = Tolerance::new(8.0 * golden.train_logits.error + 1e-6, 0.0);
        assert_close(format!("{what} logits"), &logits, &golden.train_logits.data, tolerance);

        let trained: Vec<usize> =
            (0..graph.params.len()).filter(|&p| graph.params[p].kind != ParamKind::Statistic).collect();
        let optimizer = Optimizer::Adam(Adam::new(manifest().adam_lr));
        for (i, &param) in trained.iter().enumerate() {
            let name = &graph.params[param].name;
            let gradient = tape.param_gradient(param).expect("every parameter has a gradient");
            let tie = if case.train_margin < SAFE_MARGIN { 0.15 } else { 0.0 };
            let slack = Slack { errors: 8.0, relative: 1e-4 + tie, absolute: 1e-6 };
            verify(
                &format!("{what} {name}"),
                &golden.train_grads[i],
                &backend.download(gradient).unwrap(),
                slack,
            );
            let before = backend.download(&params[param]).unwrap();
            let zeros = vec![0.0; before.len()];
            let mut moments = [backend.upload(&zeros), backend.upload(&zeros)];
            backend.optimize(optimizer, 1, &mut params[param], gradient, &mut moments);
            let after = backend.download(&params[param]).unwrap();
            let change: Vec<f64> =
                after.iter().zip(&before).map(|(a, b)| f64::from(*a) - f64::from(*b)).collect();
            // The first Adam step is lr·sign(gradient) wherever the gradient is not tiny, so a gradient that is off by
            // a share δ of its norm turns about 0.64·δ of the signs, 2·lr each: relative to the step's norm, a
            // dot product moves by 1.6·√δ standard deviations. Where the gradient is 0, its sign is rounding.
            let truth = &golden.train_grads[i];
            if truth.error > 1e-2 * truth.norm {
                continue;
            }
            let off = 8.0 * truth.error / truth.norm + 1e-4 + tie;
            let slack =
                Slack { errors: 0.0, relative: 4.0 * 1.6 * off.sqrt(), absolute: 4.0 * manifest().adam_lr };
            verify(&format!("{what} Adam {name}"), &golden.adam_change[i], &change, slack);
        }
    }
}

fn graph(case: &Case) -> Graph {
    let shape = Shape { c: case.channels, h: case.side, w: case.side };
    let stem = case.stem.as_deref().map_or(Stem::Imagenet, |stem| stem.parse().unwrap());
    case.arch.parse::<Arch>().unwrap().build_with(shape, case.classes, stem).unwrap()
}

fn params<B: Backend>(backend: &B, graph: &Graph, case: &Case) -> Vec<B::Floats> {
    let values = |p: &synfilter::graph::Param| formula::parameter(&p.name, &p.shape, case.bn_gain);
    graph.params.iter().map(|p| backend.upload(&values(p))).collect()
}

fn normalisation(case: &Case) -> (Vec<f32>, Vec<f32>) {
    let narrow = |v: &[f64]| v.iter().map(|&v| v as f32).collect();
    (narrow(&case.mean), narrow(&case.std))
}

#[track_caller]
fn verify<T: Copy + Into<f64>>(what: &str, check: &Check, tensor: &[T], slack: Slack) {
    if let Err(why) = check.verify(tensor, slack) {
        panic!("{what}: {why}");
    }
}
