//! ResNets with other stems than torchvision's: said once, and told in everything that comes of them.

use crate::support::*;
use serde_json::Value;
use std::fs;
use std::path::Path;
use synfilter::checkpoint::{Checkpoint, Metadata};
use synfilter::columnar::read_table;
use synfilter::graph::Shape;
use synfilter::models::{Arch, Stem};
use synfilter::score::{SCORE_COLUMNS, SCORES_PARQUET};
use synfilter::weights::Weights;

const DATA: &str = "--dataset mnist --data-dir {}/data";
const SWEEP: &str = "--layers fc.weight --thresholds 3 --eps 0.1";
const NAME: &str = "resnet18 (3x3-pool stem)";

fn document(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A ResNet-18 with initial weights for digits, which says nothing of itself.
fn untold(stem: Stem) -> Checkpoint {
    let graph = Arch::Resnet18.build_with(Shape { c: 1, h: 28, w: 28 }, 10, stem).unwrap();
    Weights::init(&graph, 1).to_checkpoint(&graph, Metadata::default())
}

#[test]
fn a_stem_is_told_from_training_to_report() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    mnist_split(&at("data/mnist"), "train", 40);
    mnist_split(&at("data/mnist"), "t10k", 20);
    let train =
        format!("train --arch resnet18 {DATA} --batch-size 20 --epochs 1 --save-every 1 --out {{}}/train");
    run(&format!("{train} --stem 3x3-pool"), folder.path());
    assert_eq!(document(&at("train/train.json"))["settings"]["stem"], "3x3-pool");
    let net = Checkpoint::load(at("train/epoch-0001.safetensors")).unwrap();
    assert_eq!(net.meta.stem.as_deref(), Some("3x3-pool"));
    let other = "settings.stem: expected \"3x3-pool\", found ";
    refused(&format!("{train} --resume --stem 3x3"), folder.path(), 2, &[other, "\"3x3\""]);
    refused(&format!("{train} --resume"), folder.path(), 2, &[other, "null"]);

    // The file says it; a flag that says something else is refused.
    let file = "--checkpoint {}/train/epoch-0001.safetensors";
    let eval = json(&format!("eval {DATA} {file}"), folder.path());
    assert_eq!((&eval["arch"], &eval["stem"]), (&"resnet18".into(), &"3x3-pool".into()));
    let told = synfilter(&words(&format!("eval {DATA} {file}"), folder.path())).output().unwrap();
    let told = String::from_utf8(told.stderr).unwrap();
    assert!(told.contains("  stem: 3x3-pool (as the checkpoint says)\n"), "{told}");
    let text = run(&format!("eval {DATA} {file} --stem 3x3-pool"), folder.path());
    assert!(text.starts_with(&format!("{NAME} on mnist, 20 test images\n")), "{text}");
    let why = ["--stem 3x3: ", "epoch-0001.safetensors has the stem 3x3-pool, as its metadata say"];
    refused(&format!("eval {DATA} {file} --stem 3x3"), folder.path(), 2, &why);

    // Without metadata it has to be said.
    Checkpoint { meta: Metadata::default(), ..net }.save(at("untold.safetensors")).unwrap();
    let untold = format!("eval {DATA} --arch resnet18 --checkpoint {{}}/untold.safetensors");
    let norm = "--mean 0.1307 --std 0.3081";
    let said = json(&format!("{untold} {norm} --stem 3x3-pool"), folder.path());
    assert_eq!(said["loss_clean"], eval["loss_clean"]);
    assert_ne!(json(&format!("{untold} {norm} --stem 3x3"), folder.path())["loss_clean"], eval["loss_clean"]);
    let why = ["untold.safetensors: a resnet18 for small images", "--stem 3x3 (no pool) or --stem 3x3-pool"];
    refused(&untold, folder.path(), 2, &why);

    // Another network with the same seed and epoch: another architecture, not another training.
    let graph = Arch::Resnet18.build(Shape { c: 1, h: 28, w: 28 }, 10).unwrap();
    let meta =
        Metadata { arch: Some("resnet18".into()), epoch: Some(1), seed: Some(0), ..Metadata::default() };
    Weights::init(&graph, 1).to_checkpoint(&graph, meta).save(at("imagenet.safetensors")).unwrap();
    let two = format!("{file},{{}}/imagenet.safetensors");
    let why = [&format!("expected {NAME} as"), "imagenet.safetensors", "found resnet18; a sweep is of one"];
    refused(&format!("sweep {DATA} {two} {SWEEP} --out {{}}/no"), folder.path(), 2, &why);
    run(&format!("sweep {DATA} {file} {SWEEP} --out {{}}/runs/small"), folder.path());
    run(
        &format!("sweep {DATA} --checkpoint {{}}/imagenet.safetensors {SWEEP} --out {{}}/runs/large"),
        folder.path(),
    );
    assert_eq!(document(&at("runs/small/run.json"))["settings"]["stem"], "3x3-pool");
    assert!(document(&at("runs/large/run.json"))["settings"].get("stem").is_none());
    let cells = |run: &str| fs::read_to_string(at(&format!("runs/{run}/cells.jsonl"))).unwrap();
    assert!(cells("small").lines().all(|line| line.contains(r#""arch":"resnet18","stem":"3x3-pool","#)));
    assert!(!cells("large").contains("stem"));
    let text = run("score {}/runs/small", folder.path());
    assert!(text.contains(&format!("{NAME} on mnist, ")), "{text}");
    run("score {}/runs/large", folder.path());
    let column = SCORE_COLUMNS.iter().position(|field| field.name == "stem").unwrap();
    let stem = |run: &str| {
        let (_, rows) = read_table(&at(&format!("runs/{run}/{SCORES_PARQUET}")), SCORE_COLUMNS).unwrap();
        rows[0][column].clone().text()
    };
    assert_eq!([stem("small"), stem("large")], [Some("3x3-pool".to_owned()), None]);

    let compared = json("compare {}/runs --out {}/runs/compared", folder.path());
    assert_eq!(compared["comparisons"].as_array().unwrap().len(), 1);
    let comparison = &compared["comparisons"][0];
    assert_eq!(comparison["over"], "architectures");
    assert_eq!(comparison["names"], serde_json::json!(["resnet18", NAME]));

    run(&format!("attack {DATA} {file} --method fgsm --eps 0.1 --out {{}}/runs/attack"), folder.path());
    assert_eq!(document(&at("runs/attack/attack.json"))["networks"][0]["stem"], "3x3-pool");

    run("report {}/runs --out {}/report.html", folder.path());
    let html = fs::read_to_string(at("report.html")).unwrap();
    for words in [
        format!("{NAME} on mnist, seed 0, epoch 1"),
        format!("<title>Synaptic filtering: resnet18 on mnist, {NAME}"),
    ] {
        assert!(html.contains(&words), "{words}");
    }
    run("report {}/runs --format svg --out {}/figures", folder.path());
    let figures = names(at("figures"));
    assert!(
        figures.iter().any(|name| name.starts_with("scores-resnet18-3x3-pool-stem-mnist")),
        "{figures:?}"
    );
}

/// A retraining goes by labels of the same network: 7×7 weights fit two.
#[test]
fn labels_of_another_stem_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    mnist_split(&folder.path().join("data/mnist"), "train", 20);
    mnist_split(&folder.path().join("data/mnist"), "t10k", 20);
    untold(Stem::Imagenet).save(folder.path().join("net.safetensors")).unwrap();
    let net = format!("{DATA} --arch resnet18 --checkpoint {{}}/net.safetensors");
    run(&format!("sweep {net} {SWEEP} --out {{}}/run"), folder.path());
    let line = format!("retrain {net} --labels {{}}/run --batch-size 10 --stem 7x7-no-pool --out {{}}/r");
    refused(&line, folder.path(), 2, &["run: stem: expected 7x7-no-pool, found imagenet"]);
}

#[test]
fn stems_that_cannot_be() {
    let folder = folder_with_net();
    untold(Stem::Small).save(folder.path().join("small.safetensors")).unwrap();
    untold(Stem::NoPool).save(folder.path().join("large.safetensors")).unwrap();
    let case = |line: &str, needles: &[&str]| refused(line, folder.path(), 2, needles);
    let small = "--dataset digits --images 10 --arch resnet18 --checkpoint {}/small.safetensors";
    for command in ["eval", "sweep --out {}/o", "attack --out {}/o"] {
        case(
            &format!("{command} {small}"),
            &["small.safetensors", "expected --stem 3x3 (no pool) or --stem 3x3-pool"],
        );
        case(
            &format!("{command} {small} --stem imagenet"),
            &["--stem imagenet: expected 3x3 or 3x3-pool", "[64, 1, 3, 3]"],
        );
        case(&format!("{command} {small} --stem 5x5"), &["unknown stem \"5x5\"", "7x7-no-pool"]);
    }
    let large = "--dataset digits --images 10 --arch resnet18 --checkpoint {}/large.safetensors";
    case(
        &format!("eval {large} --stem 3x3"),
        &["--stem 3x3: expected imagenet or 7x7-no-pool", "[64, 1, 7, 7]"],
    );
    let of = |flags: &str| json(&format!("eval {large} {flags}"), folder.path())["loss_clean"].clone();
    assert_ne!(of(""), of("--stem 7x7-no-pool"));
    assert_eq!(of(""), of("--stem imagenet"));
    let inspected = json("inspect {}/small.safetensors", folder.path());
    assert_eq!(inspected["networks"][0]["stems"], serde_json::json!(["3x3", "3x3-pool"]));
    let text = run("inspect {}/large.safetensors", folder.path());
    assert!(text.contains("first convolution 7x7 (--stem imagenet or --stem 7x7-no-pool)"), "{text}");
    let one = format!(" have stems; {ARCH} has one of its own");
    let with = Arch::ALL.into_iter().filter(|arch| arch.has_stems()).map(Arch::name);
    let mut why: Vec<&str> = with.collect();
    why.extend(["--stem 3x3: ", &one]);
    case("eval --dataset digits --images 10 --checkpoint {}/net.safetensors --stem 3x3", &why);
    case(&format!("train --arch {ARCH} --dataset digits --stem 3x3 --out {{}}/o"), &why);
    assert_eq!(names(folder.path()), ["large.safetensors", "net.safetensors", "small.safetensors"]);
}
