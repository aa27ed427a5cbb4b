//! Comparisons of made-up scores, worked out by hand.

use serde_json::{Value, json};
use std::fs;
use synfilter::filter::FilterKind;
use synfilter::invariance::document::{
    Bin, Common, ComparedCheckpoint, Findings, InvarianceRecord, Layer, LayerAgreement, Measure, Role, Share,
};
use synfilter::invariance::gather::{Gathered, Scored};
use synfilter::invariance::{Axis, compare, table};
use synfilter::models::Stem;
use synfilter::provenance::Provenance;
use synfilter::score::{Baseline, Label, Options, Score, Which};
use synfilter::sweep::{AttackMode, BnMode, Scope};

/// A score that is far beyond its error, or 0, or none.
type Made = Option<f64>;

fn label(score: Made) -> Label {
    match score {
        None => Label::UndefinedAdversarial,
        Some(score) => Options::default().label(score, 0.01),
    }
}

/// A score by which layers are labelled, in all three places.
fn score(layer: &Layer, filter: Option<FilterKind>, made: Made) -> Score {
    Score {
        checkpoint: String::new(),
        arch: String::new(),
        stem: Stem::Imagenet,
        dataset: String::new(),
        epoch: None,
        seed: None,
        layer: Some(layer.name.clone()),
        layer_index: Some(layer.index),
        channel: None,
        filter,
        over: Vec::new(),
        baseline: Baseline::Density,
        score_clean: made,
        score_adv: made,
        score_diff: made,
        se_clean: made.map(|_| 0.01),
        se_adv: made.map(|_| 0.01),
        se_diff: made.map(|_| 0.01),
        label_clean: label(made),
        label_adv: label(made),
        label_diff: label(made),
    }
}

fn scored(
    (arch, dataset, seed, epoch): (&str, &str, Option<u64>, Option<u32>),
    layers: &[(&str, usize)],
    scores: &[Made],
) -> Scored {
    let layers: Vec<Layer> =
        layers.iter().map(|(name, index)| Layer { name: (*name).to_owned(), index: *index }).collect();
    let of_layer = |(layer, made): (&Layer, &Made)| score(layer, Some(FilterKind::Pulse), *made);
    let scores: Vec<Score> = layers.iter().zip(scores).map(of_layer).collect();
    let checkpoint = ComparedCheckpoint {
        arch: arch.into(),
        stem: Stem::Imagenet,
        dataset: dataset.into(),
        seed,
        epoch,
        sha256: format!("{arch}{dataset}{seed:?}{epoch:?}"),
        file: "nets/net.safetensors".into(),
        run: "run".into(),
        hash: "ab".into(),
        dataset_digest: "cd".into(),
        images: 100,
        correct_clean: 90,
        correct_adv: 40,
        eps: 0.1,
        dtype: "f32".into(),
        backend: "cpu".into(),
        swept_by: "0.1.0".into(),
    };
    Scored { checkpoint, layers, scores }
}

fn gathered(checkpoints: Vec<Scored>) -> Gathered {
    let common = Common {
        scope: Scope::Layer,
        filters: vec![FilterKind::Pulse],
        thresholds: 5,
        attack: AttackMode::Adaptive,
        pgd: None,
        clamp: true,
        bn: BnMode::Running,
    };
    Gathered { common, checkpoints, notes: vec!["something to know".into()] }
}

fn compared(checkpoints: Vec<Scored>) -> InvarianceRecord {
    let by = [Which::Adversarial];
    compare(&gathered(checkpoints), Options::default(), &by, Provenance::default()).unwrap()
}

/// Checkpoints of some epochs of one ResNet-18, with the scores of its first layers.
fn epochs(scores: &[&[Made]]) -> Vec<Scored> {
    const NAMES: [&str; 7] = [
        "conv1.weight",
        "layer1.0.conv1.weight",
        "layer1.0.conv2.weight",
        "layer1.1.conv1.weight",
        "layer1.1.conv2.weight",
        "layer2.0.conv1.weight",
        "layer2.0.conv2.weight",
    ];
    let each = scores.iter().enumerate().map(|(epoch, scores)| {
        let layers: Vec<(&str, usize)> = NAMES.iter().copied().zip(0..).take(scores.len()).collect();
        scored(("resnet18", "digits", Some(0), Some(epoch as u32 + 1)), &layers, scores)
    });
    each.collect()
}

#[track_caller]
fn by_layer(document: &InvarianceRecord) -> &LayerAgreement {
    match &document.comparisons[0].findings {
        Findings::ByLayer { agreements, .. } => &agreements[0],
        Findings::ByDepth { .. } => panic!("by depth"),
    }
}

#[track_caller]
fn assert_close(measure: &Measure, expected: f64) {
    let found = measure.value().unwrap_or_else(|| panic!("{measure:?}, expected {expected}"));
    assert!((found - expected).abs() < 1e-14, "{found}, expected {expected}");
}

const F: Made = Some(-0.5);
const R: Made = Some(0.0);
const A: Made = Some(0.5);

#[test]
fn layers_by_hand() {
    // Labels FFF, FFR, AAA, FRA, RRA, RRR, FFF: the three categories of the table in the tests of κ.
    let document = compared(epochs(&[
        &[F, F, A, F, R, R, F],
        &[Some(-0.4), Some(-0.6), Some(0.6), R, R, R, Some(-0.6)],
        &[F, R, A, A, A, R, Some(-0.7)],
    ]));
    let comparison = &document.comparisons[0];
    assert_eq!((document.comparisons.len(), comparison.over), (1, Axis::Epochs));
    assert_eq!(
        (comparison.arch.as_deref(), comparison.seed, comparison.epoch),
        (Some("resnet18"), Some(0), None)
    );
    assert_eq!(comparison.names, ["epoch 1", "epoch 2", "epoch 3"]);

    let found = by_layer(&document);
    let agreeing: Vec<usize> = found.rows.iter().map(|row| row.share.agreeing).collect();
    assert_eq!(agreeing, [3, 1, 3, 0, 1, 3, 3]);
    assert_eq!(found.share, Share { agreeing: 14, compared: 21 });
    // statsmodels 0.15.0.
    assert_close(&found.kappa, 0.48601398601398604);
    let keeps: Vec<Option<Label>> = found.rows.iter().map(|row| row.keeps).collect();
    let [f, r, a] = [Label::Fragile, Label::Robust, Label::Antifragile].map(Some);
    assert_eq!(keeps, [f, None, a, None, None, r, f]);
    assert_eq!(found.pairs[0].share, Share { agreeing: 6, compared: 7 });
    // SciPy 1.17.1: spearmanr([-.5, -.5, .5, -.5, 0, 0, -.5], [-.4, -.6, .6, 0, 0, 0, -.6]) and so on.
    for (pair, expected) in found.pairs.iter().zip([PAIR_12, PAIR_13, PAIR_23]) {
        assert_close(&pair.rho, expected);
    }
    assert_close(&found.mean_rho, (PAIR_12 + PAIR_13 + PAIR_23) / 3.0);

    let text = table(&document);
    for line in [
        "── over epochs: resnet18 on digits, seed 0 ──",
        "adversarial  pulse        14/21  66.7 %     +0.486",
        "layer2.0.conv1.weight  RRR          3/3  robust",
        "layer1.1.conv1.weight  FRA          0/3",
        "keep their label                    4/7 layers",
        "note: something to know",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

const PAIR_12: f64 = 0.8140915784106943;
const PAIR_13: f64 = 0.5636018619766345;
const PAIR_23: f64 = 0.7941176470588236;

/// The same training with another stem is neither another epoch nor another seed of it.
#[test]
fn a_stem_makes_another_architecture() {
    let mut all = epochs(&[&[F, R, A], &[F, A, A], &[F, A, A]]);
    all[2].checkpoint.stem = Stem::Small;
    all[2].checkpoint.epoch = Some(1);
    let document = compared(all);
    let found: Vec<_> = document
        .comparisons
        .iter()
        .map(|found| (found.over, found.members.clone(), found.network()))
        .collect();
    let expected =
        [(Axis::Epochs, vec![0, 1], Some("resnet18".to_owned())), (Axis::Architectures, vec![0, 2], None)];
    assert_eq!(found, expected);
    assert_eq!(document.comparisons[1].names, ["resnet18", "resnet18 (3x3 stem)"]);
    let text = table(&document);
    assert!(text.contains("resnet18 (3x3 stem) on digits, seed 0, epoch 1"), "{text}");
}

#[test]
fn undefined_scores_are_counted_and_used_for_nothing() {
    let document = compared(epochs(&[&[F, R, A], &[None, None, None], &[F, A, A]]));
    let found = by_layer(&document);
    assert_eq!(found.without_score, [1]);
    assert_eq!(found.share, Share { agreeing: 2, compared: 3 });
    assert_eq!(found.pairs.len(), 1);
    assert_eq!((found.pairs[0].a, found.pairs[0].b), (0, 2));
    assert_eq!(found.rows[0].keeps, Some(Label::Fragile));
    assert_eq!((found.rows[0].labels[1], found.rows[0].scores[1]), (Label::UndefinedAdversarial, None));
    // P̄ = 2/3; labels F 2, R 1, A 3 of 6: P̄ₑ = 14/36.
    assert_close(&found.kappa, (2.0 / 3.0 - 14.0 / 36.0) / (1.0 - 14.0 / 36.0));
    let text = table(&document);
    let line = "no score in 1 of 3, the unfiltered accuracy being 0: epoch 2 (adversarial pulse)";
    assert!(text.contains(line) && text.contains("F–F"), "{text}");

    // One that is left agrees with nobody; none has no agreement either.
    for scores in [&[&[F, R, A][..], &[None; 3]], &[&[None; 3][..], &[None; 3]]] {
        let document = compared(epochs(scores));
        let found = by_layer(&document);
        assert_eq!(found.share, Share::default());
        assert!(found.kappa.value().is_none() && found.mean_rho.value().is_none(), "{found:?}");
        assert!(found.pairs.is_empty() && found.rows.iter().all(|row| row.keeps.is_none()));
        assert!(table(&document).contains("–"));
    }
}

#[test]
fn what_is_no_number_is_told_with_its_reason() {
    let document = compared(epochs(&[&[R, R, R], &[R, R, R]]));
    let found = by_layer(&document);
    assert_eq!(found.share, Share { agreeing: 3, compared: 3 });
    let json: Value = serde_json::to_value(found).unwrap();
    assert_eq!(json["kappa"], json!({"missing": "all labels are the same: chance would agree as well"}));
    assert_eq!(json["pairs"][0]["rho"], json!({"missing": "all values are equal: they have no order"}));
    assert_eq!(json["mean_rho"], json["pairs"][0]["rho"]);
    assert!(
        table(&document)
            .contains("no κ: all labels are the same: chance would agree as well (adversarial pulse)")
    );
}

#[test]
fn networks_by_depth() {
    // Bins of ResNet-18 are two layers wide; of ShuffleNet's 57 layers 5.6.
    let resnet = [("conv1.weight", 0), ("layer1.0.conv1.weight", 1), ("layer1.1.conv1.weight", 3)];
    let resnet = [&resnet[..], &[("layer2.0.downsample.0.weight", 7), ("fc.weight", 20)]].concat();
    let shuffle = [("conv1.0.weight", 0), ("stage2.0.branch1.0.weight", 1), ("stage2.2.branch2.0.weight", 9)];
    let shuffle = [&shuffle[..], &[("stage3.0.branch2.0.weight", 17), ("fc.weight", 56)]].concat();
    let document = compared(vec![
        scored(
            ("resnet18", "digits", Some(0), None),
            &resnet,
            &[Some(-0.5), Some(-0.3), Some(0.1), Some(0.3), Some(0.2)],
        ),
        scored(
            ("shufflenet_v2_x1_0", "digits", Some(0), None),
            &shuffle,
            &[Some(-0.2), Some(0.4), Some(0.5), Some(0.6), R],
        ),
    ]);
    let comparison = &document.comparisons[0];
    assert_eq!((comparison.over, comparison.arch.as_ref()), (Axis::Architectures, None));
    let Findings::ByDepth { landmarks, agreements } = &comparison.findings else { panic!("by layer") };
    let bins: Vec<Vec<usize>> =
        agreements[0].bins.iter().map(|bins| bins.iter().map(|bin| bin.layers).collect()).collect();
    assert_eq!(bins, [[2, 1, 0, 1, 0, 0, 0, 0, 0, 1], [2, 1, 0, 1, 0, 0, 0, 0, 0, 1]]);
    assert_eq!(agreements[0].bins[0][0], Bin { layers: 2, mean: Some(-0.4) });
    assert_eq!(agreements[0].bins[0][2], Bin { layers: 0, mean: None });
    let pair = &agreements[0].pairs[0];
    assert_eq!((pair.bins, pair.left_out), (4, 6));
    // Means −0.4, 0.1, 0.3, 0.2 and 0.1, 0.5, 0.6, 0: ranks 1 2 4 3 and 2 3 4 1; 1 − 6·(1 + 1 + 0 + 4)/(4·15) = 0.4.
    assert_close(&pair.rho, 0.4);

    let of = |member: usize, role: Role| -> Vec<(&str, bool)> {
        let found = landmarks[member].iter().filter(move |landmark| landmark.role == role);
        found.map(|landmark| (&*landmark.layer.name, landmark.swept)).collect()
    };
    assert_eq!(of(0, Role::First), [("conv1.weight", true)]);
    assert_eq!(
        of(0, Role::Branch)[..2],
        [("layer2.0.downsample.0.weight", true), ("layer3.0.downsample.0.weight", false)]
    );
    assert_eq!(of(1, Role::Last), [("fc.weight", true)]);
    let scores = &agreements[0].landmarks[0];
    assert_eq!((scores[0].score, scores[0].label), (Some(-0.5), Some(Label::Fragile)));
    assert_eq!((scores[2].score, scores[2].label), (None, None));
    let text = table(&document);
    for line in [
        "resnet18 and shufflenet_v2_x1_0: 6 of 10 bins are empty in one of them, and left out",
        "0.0–0.1  -0.4000 (2)         +0.1000 (2)",
        "last             shufflenet_v2_x1_0  fc.weight                     1.00   +0.0000      robust",
        "not swept",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn networks_that_are_unknown_have_no_depth() {
    let refusal = |arch: &str, layer: (&str, usize)| {
        let other = scored(("squeezenet1_1", "digits", None, None), &[("features.0.weight", 0)], &[R]);
        let all = gathered(vec![scored((arch, "digits", None, None), &[layer], &[R]), other]);
        compare(&all, Options::default(), &Which::ALL, Provenance::default()).unwrap_err().to_string()
    };
    let found = refusal("alexnet", ("features.0.weight", 0));
    assert!(
        found.contains("architecture: expected one that this program knows, found \"alexnet\""),
        "{found}"
    );
    let found = refusal("resnet18", ("fc.weight", 3));
    assert!(
        found.contains("layer 3 of resnet18: expected layer1.1.conv1.weight, found fc.weight"),
        "{found}"
    );
}

/// Comparisons as "axis: members' names (what is fixed)".
fn groups(document: &InvarianceRecord) -> Vec<String> {
    let one = |found: &synfilter::invariance::document::Comparison| {
        let fixed = [
            found.arch.clone(),
            found.dataset.clone(),
            found.seed.map(|s| s.to_string()),
            found.epoch.map(|e| e.to_string()),
        ];
        let fixed: Vec<String> = fixed.into_iter().map(|part| part.unwrap_or("·".into())).collect();
        format!("{}: {} ({})", found.over, found.names.join(", "), fixed.join(" "))
    };
    document.comparisons.iter().map(one).collect()
}

#[test]
fn what_varies_alone_is_compared() {
    let layer = [("conv1.weight", 0)];
    let resnet = |dataset, seed, epoch| scored(("resnet18", dataset, seed, epoch), &layer, &[R]);
    let document = compared(vec![
        resnet("digits", Some(0), Some(1)),
        resnet("digits", Some(0), Some(2)),
        resnet("digits", Some(1), Some(2)),
        resnet("mnist", Some(1), Some(2)),
        resnet("mnist", Some(1), Some(3)),
        scored(("squeezenet1_1", "mnist", Some(1), Some(3)), &[("features.0.weight", 0)], &[A]),
        resnet("cifar10", Some(7), Some(9)),
    ]);
    assert_eq!(
        groups(&document),
        [
            "epochs: epoch 1, epoch 2 (resnet18 digits 0 ·)",
            "epochs: epoch 2, epoch 3 (resnet18 mnist 1 ·)",
            "seeds: seed 0, seed 1 (resnet18 digits · 2)",
            "datasets: digits, mnist (resnet18 · 1 2)",
            "architectures: resnet18, squeezenet1_1 (· mnist 1 3)",
        ]
    );
    let text = table(&document);
    let row =
        "datasets                 1  adversarial  pulse      100.0 %         –        –         –        –";
    assert!(text.contains(row), "{text}");
    let alone = "resnet18 on cifar10, seed 7, epoch 9 is compared with nothing: no other differs in one respect alone";
    assert!(document.notes.iter().any(|note| note == alone), "{:?}", document.notes);
}

#[test]
fn what_is_not_recorded_is_not_guessed() {
    let layer = [("conv1.weight", 0)];
    let named = |sha: &str, file: &str, epoch| {
        let mut found = scored(("resnet18", "digits", None, epoch), &layer, &[R]);
        (found.checkpoint.sha256, found.checkpoint.file) = (sha.into(), file.into());
        found
    };
    // Two files that differ, nobody knows in what, and two epochs of what is taken for one training.
    let document = compared(vec![
        named("0123456789", "nets/a.pth", None),
        named("9876543210", "", None),
        named("ab", "c.pth", Some(1)),
        named("cd", "d.pth", Some(2)),
    ]);
    assert_eq!(
        groups(&document),
        [
            "epochs: epoch 1, epoch 2 (resnet18 digits · ·)",
            "checkpoints: a.pth (01234567), 98765432 (resnet18 digits · ·)"
        ]
    );
    assert!(
        document.notes.iter().any(|note| note.contains("taken for one training")),
        "{:?}",
        document.notes
    );

    let refusal = |checkpoints| {
        let error = compare(&gathered(checkpoints), Options::default(), &Which::ALL, Provenance::default());
        let error = error.unwrap_err();
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    };
    let one = refusal(vec![named("ab", "", Some(1))]);
    assert!(
        one.ends_with("expected at least two checkpoints, found one: resnet18 on digits, epoch 1"),
        "{one}"
    );
    let apart =
        refusal(vec![named("ab", "", Some(1)), scored(("resnet18", "mnist", None, Some(2)), &layer, &[R])]);
    assert!(
        apart.contains("differ in one respect alone") && apart.contains("resnet18 on mnist, epoch 2"),
        "{apart}"
    );
}

#[test]
fn a_document_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(InvarianceRecord::NAME);
    let document = compared(epochs(&[&[F, R, A], &[None, None, None], &[Some(0.1 + 0.2), A, R]]));
    document.write(folder.path()).unwrap();
    assert_eq!(InvarianceRecord::read(&path).unwrap(), document);
    let text = fs::read_to_string(&path).unwrap();
    let refusal = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let error = InvarianceRecord::read(&path).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        error.to_string()
    };
    let other = refusal("\"version\": 1,", "\"version\": 2,");
    assert!(other.contains("compare.json: version: expected 1, found 2"), "{other}");
    let label = refusal("\"fragile\"", "\"brittle\"");
    assert!(label.contains("unknown label \"brittle\""), "{label}");
    let member = refusal("\"members\": [\n        0,", "\"members\": [\n        7,");
    assert!(member.contains("members over epochs: expected less than 3, found 7"), "{member}");
    assert!(refusal("\"pulse\"", "\"notch\"").contains("notch"));
}
