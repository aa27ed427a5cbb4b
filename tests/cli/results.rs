//! What the commands compute and print.

use crate::support::*;
use safetensors::SafeTensors;
use serde_json::Value;
use std::fs;
use std::path::Path;
use synfilter::backend::open::cuda_build;

const NET: &str = "--dataset digits --checkpoint {}/net.safetensors";

/// Lines of a run's `cells.jsonl`.
fn cells(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("cells.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[track_caller]
fn assert_same_files(a: &Path, b: &Path) {
    for name in ["cells.jsonl", "cells.parquet", "journal-1-of-1.jsonl"] {
        let read = |run: &Path| fs::read(run.join(name)).unwrap();
        assert!(read(a) == read(b), "{name} of {} and {} differ", a.display(), b.display());
    }
}

#[test]
fn eval_as_table_as_json_and_as_tensors() {
    let folder = folder_with_net();
    let line = format!("eval {NET} --images 130 --eps 8/255,0.1");
    let table = run(&line, folder.path());
    assert!(table.starts_with("shufflenet_v2_x0_5 on digits, 130 test images\n"), "{table}");
    assert!(table.contains("FGSM ε 0.0314 (8/255)") && table.contains("FGSM ε 0.1 (25.5/255)"), "{table}");

    let document = json(&format!("{line} --save-outputs {{}}/out.safetensors"), folder.path());
    let keys: Vec<&String> = document.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["adversarial", "arch", "correct_clean", "dataset", "images", "input", "loss_clean"]);
    assert_eq!(document["images"], 130);
    assert_eq!(document["adversarial"][1]["eps"], 0.1);
    let correct = document["correct_clean"].as_u64().unwrap();
    assert!(table.contains(&format!("{:.2} %", 100.0 * correct as f64 / 130.0)), "{table}");

    let bytes = fs::read(folder.path().join("out.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let logits = tensors.tensor("logits").unwrap();
    assert_eq!(logits.shape(), [130, 10]);
    assert_eq!(tensors.tensor("input_grad").unwrap().shape(), [130, 1, 28, 28]);
    let logits: Vec<f32> =
        logits.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let labels = tensors.tensor("labels").unwrap();
    let labels: Vec<i64> =
        labels.data().as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect();
    let right = logits.chunks(10).zip(&labels).filter(|(logits, label)| {
        let best = (1..10).fold(0, |best, class| if logits[class] > logits[best] { class } else { best });
        best as i64 == **label
    });
    assert_eq!(right.count() as u64, correct);

    // Nothing depends on how many images are computed at a time, or on how many threads.
    for flags in ["--batch-size 1", "--batch-size 64 --threads 1", "--threads 3"] {
        let other = json(&format!("{line} {flags}"), folder.path());
        assert_eq!(other["correct_clean"], document["correct_clean"], "{flags}");
        assert_eq!(other["adversarial"][0]["correct"], document["adversarial"][0]["correct"], "{flags}");
    }
    let batch = json(&format!("{line} --bn batch"), folder.path());
    assert_ne!(batch["loss_clean"], document["loss_clean"]);
    let unclamped = json(&format!("{line} --no-clamp"), folder.path());
    assert_ne!(unclamped["adversarial"][1]["loss"], document["adversarial"][1]["loss"]);
    let shifted = json(&format!("{line} --mean 0.3 --std 0.7"), folder.path());
    assert_ne!(shifted["loss_clean"], document["loss_clean"]);
}

#[test]
fn a_checkpoint_brings_its_own_normalisation() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = checkpoint(ARCH, 1, 10, 1, true);
    (net.meta.mean, net.meta.std) = (Some(vec![0.25]), Some(vec![0.5]));
    net.save(folder.path().join("net.safetensors")).unwrap();
    // Who says so differs, the results do not.
    let json = |line: &str| {
        let mut document = json(line, folder.path());
        let said = document["input"]["networks"][0]["normalised_by"].take();
        document["input"]["networks"] = Value::Null;
        (document, said)
    };
    let (own, said) = json(&format!("eval {NET} --images 64"));
    assert_eq!(said, "metadata");
    let (default, said) = json(&format!("eval {NET} --images 64 --mean 0.1307 --std 0.3081"));
    assert_eq!(said, "flag");
    assert_ne!(own["loss_clean"], default["loss_clean"]);
    (net.meta.mean, net.meta.std) = (None, None);
    net.save(folder.path().join("net.safetensors")).unwrap();
    assert_eq!(json(&format!("eval {NET} --images 64")), (default, Value::from("dataset")));
    assert_eq!(json(&format!("eval {NET} --images 64 --mean 0.25 --std 0.5")), (own, Value::from("flag")));
}

#[test]
fn sweep_score_and_their_documents() {
    let folder = folder_with_net();
    let sweep = format!("sweep {NET} --images 100 --layers {LAYERS} --thresholds 5 --eps 0.1");
    let document = json(&format!("{sweep} --out {{}}/run"), folder.path());
    let run_folder = folder.path().join("run");
    assert_eq!(document["cells"], 1 + 3 * 3 * 5);
    assert_eq!((&document["missing"], &document["units"]), (&Value::from(0), &Value::from(4)));
    assert_eq!(names(&run_folder), ["cells.jsonl", "cells.parquet", "journal-1-of-1.jsonl", "run.json"]);

    let cells = cells(&run_folder);
    assert_eq!(cells.len(), 46);
    let eval = json(&format!("eval {NET} --images 100 --eps 0.1"), folder.path());
    assert_eq!((&cells[0]["filter"], &cells[0]["layer"]), (&Value::from("none"), &Value::Null));
    assert_eq!(cells[0]["correct_clean"], eval["correct_clean"]);
    assert_eq!(cells[0]["correct_adv"], eval["adversarial"][0]["correct"]);
    let last = |filter: &str| cells.iter().rfind(|cell| cell["filter"] == filter).unwrap();
    assert_eq!((&last("high-pass")["k"], &last("high-pass")["kept"]), (&Value::from(4), &Value::from(0)));

    let record: Value = serde_json::from_slice(&fs::read(run_folder.join("run.json")).unwrap()).unwrap();
    assert_eq!(record["hash"], document["hash"]);
    let provenance = &record["provenance"];
    assert_eq!(
        (&provenance["command"][0], &provenance["command"][1]),
        (&"synfilter".into(), &"sweep".into())
    );
    assert!(provenance["device"].as_str().unwrap().starts_with("cpu, "));

    let table = run("score {}/run", folder.path());
    assert!(
        table.contains("fc.weight") && table.contains("combined") && table.contains("scores.parquet"),
        "{table}"
    );
    let scores = json("score {}/run", folder.path());
    let rows = scores["runs"][0]["scores"].as_array().unwrap();
    assert_eq!(rows.len(), 3 * 4);
    assert_eq!((&rows[3]["filter"], &rows[3]["layer"]), (&"combined".into(), &"conv1.0.weight".into()));
    assert_eq!((&scores["runs"][0]["tau"], &scores["runs"][0]["z"]), (&0.0.into(), &1.96.into()));
    assert!(names(&run_folder).contains(&"scores.parquet".to_owned()));
    // An untouched network is what the unfiltered baseline compares with, so its scores are never the higher ones.
    let other = json("score {}/run --baseline unfiltered --tau 0.1 --z 3", folder.path());
    for (row, other) in rows.iter().zip(other["runs"][0]["scores"].as_array().unwrap()) {
        if let (Some(density), Some(unfiltered)) =
            (row["score_clean"].as_f64(), other["score_clean"].as_f64())
        {
            assert!(unfiltered < density, "{row} {other}");
        }
    }
}

#[test]
fn blocks_threads_and_shards_change_nothing() {
    let folder = folder_with_net();
    let sweep = format!("sweep {NET} --images 150 --layers {LAYERS} --thresholds 4");
    run(&format!("{sweep} --out {{}}/whole --batch-size 64"), folder.path());
    for shard in ["1/2", "2/2"] {
        let out = format!("--out {{}}/part{}", &shard[..1]);
        run(&format!("{sweep} --batch-size 64 --threads 1 --shard {shard} {out}"), folder.path());
    }
    let merged = json("merge {}/part1 {}/part2 --out {}/merged", folder.path());
    assert_eq!(merged["cells"], 1 + 3 * 3 * 4);
    let at = |name: &str| folder.path().join(name);
    assert_same_files(&at("whole"), &at("merged"));
    // Two shards in one folder finish it together.
    run(&format!("{sweep} --batch-size 64 --shard 2/2 --out {{}}/shared"), folder.path());
    let second =
        json(&format!("{sweep} --batch-size 64 --shard 1/2 --out {{}}/shared --resume"), folder.path());
    assert_eq!(second["missing"], 0);
    assert_eq!(cells(&at("whole")), cells(&at("shared")));
    run(&format!("{sweep} --out {{}}/one-block"), folder.path());
    assert_eq!(cells(&at("whole")), cells(&at("one-block")));
    // A run that is resumed keeps its block.
    let resumed = json(&format!("{sweep} --out {{}}/whole --resume --batch-size 128"), folder.path());
    assert_eq!(resumed["block"], 64);
}

#[test]
fn two_checkpoints() {
    let folder = folder_with_net();
    checkpoint(ARCH, 1, 10, 2, true).save(folder.path().join("second.safetensors")).unwrap();
    let line = format!("sweep {NET},{{}}/second.safetensors --images 64 --layers fc.weight --thresholds 3");
    let document = json(&format!("{line} --out {{}}/run"), folder.path());
    assert_eq!(document["cells"], 2 * (1 + 9));
    let both = cells(&folder.path().join("run"));
    assert_eq!((&both[0]["epoch"], &both[10]["epoch"]), (&1.into(), &2.into()));
    run(&format!("{line} --out {{}}/one").replace("{}/net.safetensors,", ""), folder.path());
    assert_eq!(cells(&folder.path().join("one")), both[10..]);
    let scores = json("score {}/run {}/one", folder.path());
    let rows = |run: usize| scores["runs"][run]["scores"].as_array().unwrap().clone();
    assert_eq!((rows(0).len(), rows(0)[4..].to_vec()), (8, rows(1)));
}

#[test]
fn what_can_be_chosen() {
    let folder = folder_with_net();
    let sweep = |flags: &str, out: &str| {
        run(&format!("sweep {NET} --images 110 --thresholds 3 {flags} --out {{}}/{out}"), folder.path());
        cells(&folder.path().join(out))
    };
    let network = sweep("--scope network", "network");
    assert_eq!(network.len(), 10);
    assert!(network[1]["layer"].is_null() && network[1]["scope"] == "network");
    let adaptive = sweep("--layers conv1.0.weight --filters pulse --eps 0.2", "adaptive");
    assert_eq!(adaptive.len(), 4);
    let fixed = sweep("--layers conv1.0.weight --filters pulse --eps 0.2 --attack fixed", "fixed");
    assert_eq!(fixed[2]["attack"], "fixed");
    for (a, f) in adaptive.iter().zip(&fixed) {
        assert_eq!(a["loss_clean"], f["loss_clean"]);
    }
    assert_eq!(adaptive[0]["loss_adv"], fixed[0]["loss_adv"]);
    assert!((1..4).any(|k| adaptive[k]["loss_adv"] != fixed[k]["loss_adv"]));
    let unclamped = sweep("--layers conv1.0.weight --filters pulse --eps 0.2 --no-clamp", "unclamped");
    assert_ne!(unclamped[0]["loss_adv"], adaptive[0]["loss_adv"]);
    let batch = sweep("--layers conv1.0.weight --filters pulse --eps 0.2 --bn batch --batch-size 1", "batch");
    assert_ne!(batch[0]["loss_clean"], adaptive[0]["loss_clean"]);
}

#[test]
fn channels_are_swept_scored_and_ranked() {
    let folder = folder_with_net();
    // 24 output channels of 9 weights each, and the 10 rows of the classifier.
    let layers = "conv1.0.weight,fc.weight";
    let sweep = format!("sweep {NET} --scope channel --layers {layers} --images 64 --thresholds 3 --eps 0.1");
    let dry = json(&format!("{sweep} --dry-run"), folder.path());
    assert_eq!((&dry["units"], &dry["cells"]), (&35.into(), &307.into()));
    let document = json(&format!("{sweep} --out {{}}/run"), folder.path());
    assert_eq!(document["cells"], 307);
    let cells = cells(&folder.path().join("run"));
    assert_eq!((&cells[0]["channel"], &cells[0]["scope"]), (&Value::Null, &"channel".into()));
    let last = &cells[306];
    assert_eq!(
        (&last["layer"], &last["channel"], &last["total"]),
        (&"fc.weight".into(), &9.into(), &1024.into())
    );
    let table = run("score {}/run --top 3 --rank-by clean", folder.path());
    assert!(table.contains("34 channels by clean score, combined\nmost fragile\n"), "{table}");
    assert_eq!(table.lines().filter(|line| line.contains("  channel ")).count(), 6, "{table}");
    let scores = json("score {}/run --top 2", folder.path());
    let run = &scores["runs"][0];
    assert_eq!(run["scores"].as_array().unwrap().len(), 34 * 4);
    let ranking = &run["rankings"][0];
    assert_eq!((&ranking["by"], &ranking["channels"]), (&"adversarial".into(), &34.into()));
    assert_eq!(ranking["most_fragile"].as_array().unwrap().len(), 2);
}

#[test]
fn a_dry_run_leaves_nothing_behind() {
    let folder = folder_with_net();
    let line =
        format!("sweep {NET} --images 200 --layers {LAYERS} --thresholds 4 --batch-size 128 --dry-run");
    let document = json(&format!("{line} --out {{}}/run"), folder.path());
    assert_eq!((&document["units"], &document["cells"]), (&8.into(), &37.into()));
    assert_eq!((&document["images"], &document["block"]), (&200.into(), &128.into()));
    let distinct = document["distinct"].as_u64().unwrap();
    assert!((2..37).contains(&distinct), "{distinct}");
    assert!(document["estimated_seconds"].as_f64().unwrap() > 0.0);
    let text = run(&line, folder.path());
    assert!(text.contains("8 units, 37 cells") && text.contains("estimated time"), "{text}");
    let half = json(&format!("{line} --shard 1/2"), folder.path());
    assert_eq!(half["units"], 4);
    assert_eq!(names(folder.path()), ["net.safetensors"]);
}

#[test]
fn train_then_use_the_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    mnist_split(&folder.path().join("data/mnist"), "train", 100);
    mnist_split(&folder.path().join("data/mnist"), "t10k", 40);
    let data = "--dataset mnist --data-dir {}/data";
    let train =
        format!("train --arch shufflenet_v2_x0_5 {data} --batch-size 20 --save-every 2 --seed 5 --out {{}}");
    let whole = json(&format!("{train}/whole --epochs 4"), folder.path());
    assert_eq!(whole["epochs"].as_array().unwrap().len(), 4);
    let last = folder.path().join("whole/epoch-0004.safetensors");
    assert_eq!(whole["checkpoint"], last.display().to_string());
    let text = run(&format!("{train}/parts --epochs 2"), folder.path());
    assert!(text.contains("test accuracy") && text.contains("epoch-0002.safetensors"), "{text}");
    run(&format!("{train}/parts --epochs 4 --resume"), folder.path());
    assert!(
        fs::read(&last).unwrap() == fs::read(folder.path().join("parts/epoch-0004.safetensors")).unwrap()
    );

    let checkpoints = "{}/whole/epoch-0002.safetensors,{}/whole/epoch-0004.safetensors";
    let sweep =
        format!("sweep {data} --checkpoint {checkpoints} --layers fc.weight --thresholds 3 --out {{}}/run");
    assert_eq!(json(&sweep, folder.path())["cells"], 20);
    let eval = json(&format!("eval {data} --checkpoint {{}}/whole/epoch-0004.safetensors"), folder.path());
    let accuracy = eval["correct_clean"].as_f64().unwrap() / 40.0;
    assert_eq!(whole["epochs"][3]["test_accuracy"].as_f64().unwrap(), accuracy);
    let sgd = format!("{train}/sgd --epochs 1 --optimizer sgd --lr 0.05 --momentum 0 --weight-decay 1e-4");
    assert_eq!(json(&sgd, folder.path())["epochs"][0]["lr"], 0.05);
}

#[test]
fn devices_help_and_version() {
    let folder = tempfile::tempdir().unwrap();
    let devices = json("devices", folder.path());
    assert_eq!(devices["devices"][0]["name"], "cpu");
    assert!(devices["devices"][0]["threads"].as_u64().unwrap() >= 1);
    let build = cuda_build();
    assert_eq!(devices["cuda"]["built_in"], build.is_some());
    assert_eq!(devices["cuda"]["devices"], serde_json::json!([]));
    assert!(devices["cuda"]["missing"].as_str().unwrap().contains(no_cuda()), "{devices}");
    let text = run("devices", folder.path());
    let said =
        build.map_or("not built in".to_owned(), |build| format!("nvcc {} for {}", build.nvcc, build.arch));
    assert!(text.starts_with("cpu ") && text.contains("\ncuda  ") && text.contains(&said), "{text}");
    assert_eq!(run("--version", folder.path()), format!("synfilter {}\n", env!("CARGO_PKG_VERSION")));
    let help = run("--help", folder.path());
    for command in
        ["demo", "train", "eval", "sweep", "score", "compare", "report", "study", "data", "merge", "devices"]
    {
        assert!(help.contains(&format!("\n  {command} ")), "{command}: {help}");
        run(&format!("{command} --help"), folder.path());
    }
}
