//! Adversarial images, and how many of them are still recognised, against FGSM and PGD of torchattacks 3.5.1 without a random
//! start. Goldens: attacks.json and attacks.safetensors, by generate_attacks.py.

use common::formula;
use common::golden::{AttackCase, GoldenFile, attacks};
use synfilter::attack::{Adversary, Attack, Method, Pgd};
use synfilter::backend::{Backend, Batch, ImageBatch, PixelData};
use synfilter::graph::Shape;
use synfilter::graph::program::Mode;
use synfilter::models::Arch;
use synfilter::network::{Network, Normalisation};
use synfilter::tape::Tape;
use synfilter::weights::Weights;

/// Where a gradient, or the input of a ReLU below it, is within rounding of 0, its sign is that of the rounding: a pixel goes
/// the other way, and in later steps others after it. So of the images of a case, one may be another; it is where it happened
/// for the transformed convolutions in three cases, for the direct ones in one, for torchattacks' own float32 against its
/// float64 in none.
const OTHER_IMAGES: usize = 1;
/// Of all pixels, the share that may have gone another way; found: 7.4e-3.
const OTHER_PIXELS: f64 = 1e-2;
/// How far a pixel may be from itself: a few roundings of z, which is up to 3 in size, and of ε.
const PIXEL: f64 = 2e-6;
/// How far logits may be where the image is the same; found: 7.4e-6.
const LOGIT: f64 = 2e-5;

pub fn agree<B: Backend>(backend: &B) {
    let golden = attacks();
    assert_eq!(golden.torchattacks, "3.5.1");
    for case in &golden.cases {
        assert_agrees(backend, case, golden.stride);
    }
}

fn assert_agrees<B: Backend>(backend: &B, case: &AttackCase, stride: usize) {
    let shape = Shape { c: case.channels, h: case.side, w: case.side };
    let graph = case.arch.parse::<Arch>().unwrap().build(shape, case.classes).unwrap();
    let tensors = graph.params.iter().map(|p| formula::parameter(&p.name, &p.shape, case.bn_gain)).collect();
    let norm = Normalisation { mean: case.mean.clone(), std: case.std.clone() };
    let network = Network::new(backend, graph, &Weights { tensors, batches: 0 }, norm, Mode::Inference);
    let bytes = case.bytes();
    let images = backend.images(ImageBatch { pixels: PixelData::Bytes(&bytes), labels: &case.labels });
    let method = match (case.method.as_str(), case.steps) {
        ("FGSM", None) => Method::Fgsm,
        ("PGD", Some(steps)) => Method::Pgd(Pgd { steps, step_size: case.alpha, seed: None }),
        other => panic!("{}: {other:?}", case.key),
    };
    let attack = Attack { method, eps: case.eps, clamp: true };

    let (run, batch) = (network.run(), Batch { images: case.images });
    let mut clean = Tape::new(backend, &network.program, batch, |_| false, &network.to_input);
    clean.load(run, &images);
    clean.forward(run, true, None);
    clean.loss(run, None, &images, Some(B::GRADIENT_SCALE));
    assert!(
        clean.verdicts(run).unwrap().correct.iter().all(|&c| c),
        "{}: labels are the network's",
        case.key
    );
    clean.backward(run, None, &network.to_input, None);
    let mut adversary = Adversary::new(run, &network.to_input, batch, &[attack]);
    adversary.attack(run, (&images, 0), &clean, &attack);
    let plane = case.side * case.side;
    let pixels = adversary.tape().loaded(run).unwrap().into_iter().enumerate().map(|(i, z)| {
        let c = i / plane % case.channels;
        f64::from(z) * f64::from(case.std[c]) + f64::from(case.mean[c])
    });
    let file = GoldenFile::attacks();
    let expected = file.tensor(&format!("{}.pixels", case.key)).data;
    let pixels: Vec<f64> = pixels.step_by(stride).collect();
    assert_eq!(pixels.len(), expected.len());
    let others = pixels.iter().zip(&expected).filter(|(a, e)| (*a - *e).abs() > PIXEL).count();
    let (share, limit) = (others as f64 / expected.len() as f64, case.float32_flips + OTHER_PIXELS);
    assert!(share <= limit, "{}: {share:.2e} of the pixels differ, limit {limit:.2e}", case.key);

    adversary.judge(run, &images);
    let verdicts = adversary.tape().verdicts(run).unwrap();
    assert_eq!(verdicts.correct.iter().filter(|&&c| c).count(), case.correct, "{}", case.key);
    let logits = adversary.tape().logits(run, None).unwrap();
    let expected = file.tensor(&format!("{}.logits", case.key)).data;
    let off = |(logits, expected): (&[f32], &[f64])| {
        logits.iter().zip(expected).map(|(&a, e)| (f64::from(a) - e).abs()).fold(0.0, f64::max)
    };
    let off: Vec<f64> = logits.chunks(case.classes).zip(expected.chunks(case.classes)).map(off).collect();
    let others = off.iter().filter(|&&off| off > LOGIT).count();
    assert!(others <= OTHER_IMAGES, "{}: logits of {others} images differ, by {off:?}", case.key);
}
