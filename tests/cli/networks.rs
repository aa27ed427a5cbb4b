//! Which network of a file is taken: what is told, what is recorded, how another one is named.

use crate::support::{ARCH, checkpoint, json, refused, run, told};
use serde_json::{Value, json};
use std::path::Path;
use synfilter::checkpoint::{Checkpoint, Metadata};

const EVAL: &str = "eval --dataset digits --images 64 --eps 0.1";

/// Writes a checkpoint whose tensors are those of networks of some seeds, each under a prefix.
fn save(path: &Path, networks: &[(&str, u64)]) {
    let mut file = Checkpoint::default();
    for (prefix, seed) in networks {
        let network = checkpoint(ARCH, 1, 10, *seed, false);
        file.tensors
            .extend(network.tensors.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)));
    }
    file.save(path).unwrap();
}

#[test]
fn an_unnamed_network_is_known_by_its_tensors_and_that_is_told() {
    let folder = tempfile::tempdir().unwrap();
    save(&folder.path().join("net.safetensors"), &[("module.net.", 3)]);
    let line = format!("{EVAL} --checkpoint {{}}/net.safetensors");
    let stderr = told(&line, folder.path());
    for part in [
        "shufflenet_v2_x0_5 (as its tensors say)",
        "under `module.net`",
        "mean 0.1307, std 0.3081 (the data set's default",
    ] {
        assert!(stderr.contains(part), "{part} is not in {stderr}");
    }
    let document = json(&line, folder.path());
    let network = &document["input"]["networks"][0];
    assert_eq!(
        (&network["key"], &network["arch_from"], &network["normalised_by"]),
        (&json!("module.net"), &json!("tensors"), &json!("dataset"))
    );
    assert_eq!(network["others"], Value::Null);
    // The same network under torchvision's names.
    save(&folder.path().join("plain.safetensors"), &[("", 3)]);
    let plain = json(&format!("{EVAL} --checkpoint {{}}/plain.safetensors"), folder.path());
    assert_eq!(
        (&plain["loss_clean"], &plain["adversarial"]),
        (&document["loss_clean"], &document["adversarial"])
    );
}

#[test]
fn of_two_networks_one_is_told_and_the_other_has_a_key() {
    let folder = tempfile::tempdir().unwrap();
    save(&folder.path().join("two.safetensors"), &[("ema.", 5), ("model.", 4)]);
    for (name, seed) in [("model", 4), ("ema", 5)] {
        save(&folder.path().join(name), &[("", seed)]);
    }
    let loss = |rest: &str| json(&format!("{EVAL} {rest}"), folder.path())["loss_clean"].clone();
    let [model, ema] = ["model", "ema"].map(|name| loss(&format!("--checkpoint {{}}/{name}")));
    assert_ne!(model, ema);
    assert_eq!(loss("--checkpoint {}/two.safetensors"), model);
    assert_eq!(loss("--checkpoint {}/two.safetensors --key ema"), ema);
    let stderr = told(&format!("{EVAL} --checkpoint {{}}/two.safetensors"), folder.path());
    assert!(stderr.contains("that under `model` is taken; --key takes another: `ema`"), "{stderr}");
    refused(
        &format!("{EVAL} --arch shufflenet_v2_x0_5 --checkpoint {{}}/two.safetensors --key teacher"),
        folder.path(),
        2,
        &["key `teacher`: expected a complete shufflenet_v2_x0_5, found such under `model`, `ema`"],
    );

    // Sweeps of the two are of different checkpoints.
    let sweep = |key: &str, out: &str| {
        let line = format!(
            "sweep --dataset digits --images 64 --eps 0.1 --layers fc.weight --thresholds 3 --checkpoint {{}}/two.safetensors \
             --key {key} --out {{}}/{out}"
        );
        run(&line, folder.path());
        let text = std::fs::read_to_string(folder.path().join(out).join("run.json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let (model, ema) = (sweep("model", "of-model"), sweep("ema", "of-ema"));
    assert_eq!(ema["settings"]["checkpoints"][0]["key"], "ema");
    assert_eq!(ema["input"]["networks"][0]["others"], json!(["model"]));
    let sha = |run: &Value| run["settings"]["checkpoints"][0]["sha256"].clone();
    assert_ne!(sha(&model), sha(&ema));
    assert_eq!(model["input"]["networks"][0]["sha256"], ema["input"]["networks"][0]["sha256"]);
}

#[test]
fn inspect_lists_what_a_file_holds() {
    let folder = tempfile::tempdir().unwrap();
    save(&folder.path().join("two.safetensors"), &[("ema.", 5), ("model.", 4)]);
    let document = json("inspect {}/two.safetensors", folder.path());
    let fits: Vec<(&Value, &Value)> =
        document["networks"].as_array().unwrap().iter().map(|fit| (&fit["key"], &fit["taken"])).collect();
    assert_eq!(fits, [(&json!("model"), &json!(true)), (&json!("ema"), &json!(false))]);
    let fit = &document["networks"][0];
    assert_eq!(
        (&fit["arch"], &fit["classes"], &fit["channels"]),
        (&json!("shufflenet_v2_x0_5"), &json!(10), &json!(1))
    );
    let first = &document["tensors"][0];
    assert!(first["name"].is_string() && first["dtype"] == "int64" || first["dtype"] == "float32", "{first}");
    let text = run("inspect {}/two.safetensors", folder.path());
    assert!(text.contains("shufflenet_v2_x0_5 under `ema`: 10 classes, 1 channels"), "{text}");
    assert!(text.contains("model.conv1.0.weight"), "{text}");

    // One that synfilter wrote, and one that holds no network.
    let own = checkpoint(ARCH, 1, 10, 1, true);
    own.save(folder.path().join("own.safetensors")).unwrap();
    let document = json("inspect {}/own.safetensors", folder.path());
    assert_eq!((&document["own"], &document["metadata"]["epoch"]), (&json!(true), &json!(1)));
    let headless = Checkpoint {
        tensors: own.tensors.into_iter().filter(|(name, _)| !name.starts_with("fc")).collect(),
        meta: Metadata::default(),
        ..Checkpoint::default()
    };
    headless.save(folder.path().join("headless.safetensors")).unwrap();
    let text = run("inspect {}/headless.safetensors", folder.path());
    assert!(text.contains("no complete network of resnet18"), "{text}");
    let mut long = checkpoint(ARCH, 1, 10, 1, false);
    let tensor = long.tensors["fc.bias"].clone();
    long.tensors.insert("x".repeat(70_000), tensor);
    long.save(folder.path().join("long.safetensors")).unwrap();
    assert!(run("inspect {}/long.safetensors", folder.path()).contains(&"x".repeat(100)));
    refused("inspect {}/none.pth", folder.path(), 3, &["none.pth: cannot read"]);
}
