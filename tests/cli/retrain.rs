//! `synfilter retrain` on real digits: what it leaves, that it goes on, what it refuses.

use crate::support::*;
use std::fs;
use std::path::Path;
use synfilter::checkpoint::Checkpoint;
use synfilter::columnar::read_table;
use synfilter::retrain::outcome::COLUMNS;
use synfilter::retrain::{Arm, RETRAIN_PARQUET, RetrainingRecord};

const RETRAIN: &str = "retrain --checkpoint {}/train/epoch-0001.safetensors --labels {}/sweep --dataset digits --epochs 1 --seeds 4,9 --eps 0.05,0.1";

/// A network that has learned a little, and its sweep.
fn folder_with_sweep(sweep: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    run(&format!("train --arch {ARCH} --dataset digits --epochs 1 --seed 2 --out {{}}/train"), folder.path());
    let line = "sweep --checkpoint {}/train/epoch-0001.safetensors --dataset digits --images 100 --eps 0.1 --out {}/sweep";
    run(&format!("{line} --thresholds 3 {sweep}"), folder.path());
    folder
}

fn document(folder: &Path) -> RetrainingRecord {
    RetrainingRecord::read(&folder.join(RetrainingRecord::NAME)).unwrap()
}

#[test]
fn arms_are_trained_measured_and_compared_and_what_is_done_is_not_done_again() {
    let folder = folder_with_sweep("");
    // So strict a comparison that some layers are fragile and some are not.
    let line = format!("{RETRAIN} --baseline unfiltered --z 0 --tau 0.2");
    let dry = json(&format!("{line} --dry-run"), folder.path());
    let fragile = dry["fragile"].as_u64().unwrap() as usize;
    assert!(fragile > 0 && fragile < 57, "{fragile}");
    assert_eq!(dry["networks"], 6);
    assert_eq!(names(folder.path()), ["sweep", "train"], "a dry run leaves nothing behind");

    let text = run(&format!("{line} --out {{}}/r"), folder.path());
    for word in
        ["checkpoint", "selective", "full", "random", "ε 0.05", "test images 100 to 2000", "p over seeds"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
    let out = folder.path().join("r");
    let found = document(&out);
    assert_eq!(found.settings.images, [100, 2000]);
    // What the sweep chose comes first, and what is measured on is the rest.
    let (pick, input) = (found.settings.labels.pick.as_ref().unwrap(), found.input.as_ref().unwrap());
    assert_eq!((pick.images, Some(pick)), (100, input.images.pick.as_ref()));
    assert!(input.images.rest_follows && input.images.images == 2000);
    assert_eq!(input.train.as_ref().unwrap().split, "train");
    let arm = |arm: Arm| &found.arms[Arm::ALL.iter().position(|&other| other == arm).unwrap()];
    for result in &found.arms {
        let expected = match result.arm {
            Arm::Checkpoint => 0,
            Arm::Full => 57,
            Arm::Selective | Arm::Random => 57 - fragile,
        };
        assert!(result.networks.iter().all(|network| network.trained.len() == expected), "{}", result.arm);
        assert_eq!(result.same_as, None);
    }
    assert_ne!(arm(Arm::Random).networks[0].trained, arm(Arm::Random).networks[1].trained);

    // The selective networks are the checkpoint but for what they trained.
    let before = Checkpoint::load(folder.path().join("train/epoch-0001.safetensors")).unwrap();
    let network = &arm(Arm::Selective).networks[1];
    let after = Checkpoint::load(out.join(&network.file)).unwrap();
    assert_eq!((network.seed, &after.sha256), (Some(9), &network.sha256));
    assert_eq!(after.meta.epoch, Some(2));
    for (name, tensor) in
        before.tensors.iter().filter(|(name, tensor)| name.ends_with(".weight") && tensor.shape.len() > 1)
    {
        let same = tensor.data == after.tensors[name].data;
        assert_eq!(same, !network.trained.contains(name), "{name}");
    }

    // Accuracy is that of eval on the same images, and every image is kept.
    let line_eval = format!("eval --dataset digits --checkpoint {{}}/r/{} --eps 0.05,0.1", network.file);
    let all = json(&line_eval, folder.path())["adversarial"][1]["correct"].as_u64().unwrap();
    let first = json(&format!("{line_eval} --images 100"), folder.path())["adversarial"][1]["correct"]
        .as_u64()
        .unwrap();
    assert_eq!(network.adversarial[1].correct as u64, all - first);
    let (_, rows) = read_table(&out.join(RETRAIN_PARQUET), COLUMNS).unwrap();
    assert_eq!(rows.len(), 3 * (1 + 2 + 2 + 2));

    // Once more nothing is trained; a network that is gone is made again, to the same bytes.
    let bytes = |name: &str| fs::read(out.join(name)).unwrap();
    let (json_before, table_before) = (document(&out), bytes(RETRAIN_PARQUET));
    let checkpoint = bytes(&network.file);
    fs::remove_dir_all(out.join("selective/seed-9")).unwrap();
    run(&format!("{line} --out {{}}/r"), folder.path());
    assert_eq!((document(&out), bytes(RETRAIN_PARQUET)), (json_before, table_before));
    assert!(bytes(&network.file) == checkpoint);
    // The sweep may lie elsewhere by now.
    fs::rename(folder.path().join("sweep"), folder.path().join("moved")).unwrap();
    run(&format!("{} --out {{}}/r", line.replace("{}/sweep", "{}/moved")), folder.path());
    assert_eq!(document(&out).settings.seeds, [4, 9]);
    fs::rename(folder.path().join("moved"), folder.path().join("sweep")).unwrap();
    let others = ["holds a retraining with other settings: seeds: expected [4,9], found [5,9]"];
    let refused_line = line.replace("--seeds 4,9", "--seeds 5,9");
    refused(&format!("{refused_line} --out {{}}/r"), folder.path(), 2, &others);
}

#[test]
fn without_fragile_layers_selective_is_full() {
    let folder = folder_with_sweep("");
    let line = RETRAIN.replace("--seeds 4,9", "--seeds 4");
    let text = run(&format!("{line} --baseline unfiltered --tau 5 --out {{}}/r"), folder.path());
    assert!(text.contains("selective (as full)") && text.contains("one seed shows nothing"), "{text}");
    assert_eq!(names(folder.path().join("r")).len(), 6, "{:?}", names(folder.path().join("r")));
    let found = document(&folder.path().join("r"));
    assert_eq!(found.arms[1].networks, found.arms[2].networks);
    assert!(found.comparisons.iter().filter(|c| c.against == Arm::Full).all(|c| c.difference == 0.0));
}

#[test]
fn what_cannot_be_retrained() {
    let folder = folder_with_sweep("--layers conv1.0.weight,fc.weight");
    let line = format!("{RETRAIN} --out {{}}/r");
    refused(&line, folder.path(), 2, &["layers: expected all 57 of the network", "found none of stage2"]);
    refused(
        &line.replace("--seeds 4,9", "--seeds 4,4"),
        folder.path(),
        2,
        &["--seeds: expected each once, found 4 twice"],
    );
    refused(&line.replace("--eps 0.05,0.1", "--eps 0.1,0.1"), folder.path(), 2, &["layers"]);
    refused(&line.replace("--labels {}/sweep", "--labels {}/train"), folder.path(), 3, &["run.json"]);
    refused(&line.replace("epoch-0001", "epoch-0007"), folder.path(), 3, &["epoch-0007.safetensors"]);
    checkpoint(ARCH, 1, 10, 4, true).save(folder.path().join("other.safetensors")).unwrap();
    let other = line.replace("train/epoch-0001.safetensors", "other.safetensors");
    refused(&other, folder.path(), 2, &["checkpoint: expected a sweep of"]);
    assert!(!folder.path().join("r").exists());
}

#[test]
fn images_are_prepared_as_those_of_the_sweep_unless_something_else_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let train =
        format!("train --arch {ARCH} --dataset digits --resize 16 --epochs 1 --seed 2 --out {{}}/train");
    run(&train, folder.path());
    let sweep = "sweep --checkpoint {}/train/epoch-0001.safetensors --dataset digits --resize 16 --images 50 --eps 0.1";
    run(&format!("{sweep} --thresholds 2 --out {{}}/sweep"), folder.path());
    let told = told(&format!("{RETRAIN} --dry-run"), folder.path());
    assert!(told.contains("preparation: Resize(16), bilinear"), "{told}");
    assert!(told.contains("note: prepared as the images of the sweep, as nothing else is said"), "{told}");
    let needle = "expected the test images that it measured (2000 test images of digits, Resize(16), bilinear), found 2000 \
                  test images of digits, Resize(20), bilinear";
    refused(&format!("{RETRAIN} --dry-run --resize 20"), folder.path(), 2, &[needle]);
}
