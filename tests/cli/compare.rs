//! `compare` on runs of the program, and the plots of `score`.

use crate::support::*;
use serde_json::Value;
use std::fs;
use std::path::Path;
use synfilter::models::Arch;
use tempfile::TempDir;

const DATA: &str = "--dataset mnist --data-dir {}/data";
const SWEEP: &str = "--layers conv1.0.weight,stage3.0.branch1.0.weight,fc.weight --thresholds 3 --eps 0.1";

/// Three epochs of a training with one seed and two of one with another, swept below `runs`; and a SqueezeNet that says
/// that it is epoch 2 of nothing known.
fn study() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    mnist_split(&folder.path().join("data/mnist"), "train", 100);
    mnist_split(&folder.path().join("data/mnist"), "t10k", 40);
    for (seed, epochs) in [(5, 3), (6, 2)] {
        let train = format!("train --arch {ARCH} {DATA} --batch-size 20 --save-every 1");
        run(&format!("{train} --seed {seed} --epochs {epochs} --out {{}}/net-{seed}"), folder.path());
        let checkpoints: Vec<String> =
            (1..=epochs).map(|epoch| format!("{{}}/net-{seed}/epoch-{epoch:04}.safetensors")).collect();
        sweep(
            &folder,
            &format!("{SWEEP} --checkpoint {}", checkpoints.join(",")),
            &format!("runs/seed-{seed}"),
        );
    }
    folder
}

fn sweep(folder: &TempDir, flags: &str, out: &str) {
    run(&format!("sweep {DATA} {flags} --out {{}}/{out}"), folder.path());
}

/// A comparison over something.
fn over<'d>(document: &'d Value, axis: &str) -> Vec<&'d Value> {
    let all = document["comparisons"].as_array().unwrap();
    all.iter().filter(|comparison| comparison["over"] == axis).collect()
}

fn names(comparison: &Value) -> Vec<&str> {
    comparison["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect()
}

/// A document without what tells how it was called.
fn findings(mut document: Value) -> Value {
    document["provenance"] = Value::Null;
    document
}

#[test]
fn epochs_seeds_and_architectures() {
    let folder = study();
    let document = json("compare {}/runs --out {}/out", folder.path());
    assert_eq!(
        document,
        serde_json::from_slice::<Value>(&fs::read(folder.path().join("out/compare.json")).unwrap()).unwrap()
    );
    assert_eq!(document["provenance"]["command"][1], "compare");
    assert_eq!(document["checkpoints"].as_array().unwrap().len(), 5);
    assert_eq!(
        (&document["checkpoints"][0]["seed"], &document["checkpoints"][0]["epoch"]),
        (&5.into(), &1.into())
    );
    let epochs = over(&document, "epochs");
    assert_eq!(
        epochs.iter().map(|found| names(found)).collect::<Vec<_>>(),
        [vec!["epoch 1", "epoch 2", "epoch 3"], vec!["epoch 1", "epoch 2"]]
    );
    assert_eq!(over(&document, "seeds").len(), 2);
    let agreements = epochs[0]["by_layer"]["agreements"].as_array().unwrap();
    assert_eq!(agreements.len(), 3 * 4);
    assert_eq!(
        (&agreements[3]["filter"], &agreements[3]["share"]["compared"]),
        (&"combined".into(), &9.into())
    );

    // The numbers are those of `score`.
    let scores = json("score {}/runs/seed-5", folder.path());
    let combined = |layer: &str, epoch: usize| {
        let rows = scores["runs"][0]["scores"].as_array().unwrap();
        let find =
            |row: &&Value| row["layer"] == layer && row["epoch"] == epoch && row["filter"] == "combined";
        rows.iter().find(find).unwrap().clone()
    };
    for (at, layer) in ["conv1.0.weight", "stage3.0.branch1.0.weight", "fc.weight"].iter().enumerate() {
        for epoch in [1, 2, 3] {
            let row = &agreements[3]["rows"][at];
            assert_eq!(row["scores"][epoch - 1], combined(layer, epoch)["score_clean"]);
            assert_eq!(row["labels"][epoch - 1], combined(layer, epoch)["label_clean"]);
        }
    }

    // Neither the order of the folders nor how they are found changes anything.
    let named = json("compare {}/runs/seed-5 {}/runs/seed-6", folder.path());
    assert_eq!(findings(named.clone()), findings(document));
    assert_eq!(
        findings(json("compare {}/runs/seed-6 {}/runs/seed-5", folder.path())),
        findings(named.clone())
    );
    let twice = json("compare {}/runs {}/runs/seed-5/../seed-5", folder.path());
    assert!(twice["notes"][0].as_str().unwrap().contains("named more than once"), "{}", twice["notes"]);
    assert_eq!(twice["comparisons"], named["comparisons"]);

    let text = run("compare {}/runs --by adversarial --tau 0.05 --z 1 --baseline unfiltered", folder.path());
    for line in [
        "5 checkpoints; baseline unfiltered, labels with τ = 0.05, z = 1\n",
        "over epochs: shufflenet_v2_x0_5 on mnist, seed 5 ",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("difference"), "{text}");

    // The same checkpoint in another folder counts once.
    sweep(&folder, &format!("{SWEEP} --checkpoint {{}}/net-6/epoch-0002.safetensors"), "runs/again");
    let again = json("compare {}/runs", folder.path());
    let note = again["notes"][0].as_str().unwrap();
    assert!(
        note.contains("runs/seed-6: the checkpoint")
            && note.contains("also in")
            && note.contains("runs/again"),
        "{note}"
    );
    assert_eq!(again["comparisons"], named["comparisons"]);

    // Another network with the same seed and epoch is compared by depth.
    let mut other = checkpoint(Arch::Squeezenet1_1, 1, 10, 2, true);
    other.meta.seed = Some(6);
    other.save(folder.path().join("other.safetensors")).unwrap();
    let flags = SWEEP.replace(
        "conv1.0.weight,stage3.0.branch1.0.weight,fc.weight",
        "features.0.weight,classifier.1.weight",
    );
    sweep(&folder, &format!("{flags} --checkpoint {{}}/other.safetensors"), "runs/other");
    let document = json("compare {}/runs", folder.path());
    let by_depth = over(&document, "architectures");
    assert_eq!(
        by_depth.iter().map(|found| names(found)).collect::<Vec<_>>(),
        [["shufflenet_v2_x0_5", "squeezenet1_1"]]
    );
    let pair = &by_depth[0]["by_depth"]["agreements"][3]["pairs"][0];
    assert_eq!((&pair["bins"], &pair["left_out"]), (&2.into(), &8.into()));
    assert_eq!(pair["rho"]["missing"], "2 values to rank, at least 3 are needed");
    let text = run("compare {}/runs", folder.path());
    assert!(text.contains("classifier.1.weight        1.00"), "{text}");
}

#[test]
fn what_means_nothing_together_is_refused() {
    let folder = folder_with_net();
    mnist_split(&folder.path().join("data/mnist"), "t10k", 40);
    checkpoint(ARCH, 1, 10, 2, true).save(folder.path().join("second.safetensors")).unwrap();
    let layers = "--layers conv1.0.weight,fc.weight";
    let first = "--checkpoint {}/net.safetensors";
    let second = "--checkpoint {}/second.safetensors";
    sweep(&folder, &format!("{first} {layers} --thresholds 3"), "base");
    let case = |flags: &str, needles: &[&str]| {
        sweep(&folder, &format!("{second} {flags}"), "other");
        let needles = [&["base", "other", "can't be compared"], needles].concat();
        refused("compare {}/base {}/other --out {}/out", folder.path(), 2, &needles);
        let hint = needles.iter().find_map(|needle| needle.strip_prefix("--allow "));
        if let Some(allowed) = hint {
            let found = json(&format!("compare {{}}/base {{}}/other --allow {allowed}"), folder.path());
            assert!(
                found["notes"][0].as_str().unwrap().starts_with("the sweeps differ in "),
                "{}",
                found["notes"]
            );
        }
        fs::remove_dir_all(folder.path().join("other")).unwrap();
    };
    case(&format!("{layers} --thresholds 4"), &["thresholds: expected 3, found 4"]);
    case(&format!("{layers} --thresholds 3 --filters pulse"), &["filters: expected"]);
    case(
        &format!("{layers} --thresholds 3 --attack fixed"),
        &["attack: expected \"adaptive\", found \"fixed\""],
    );
    case(&format!("{layers} --thresholds 3 --method pgd --steps 2"), &["pgd: expected null, found"]);
    case(&format!("{layers} --thresholds 3 --bn batch"), &["bn: "]);
    case(&format!("{layers} --thresholds 3 --no-clamp"), &["clamp: expected true, found false"]);
    case(
        "--layers fc.weight --thresholds 3",
        &["layers of shufflenet_v2_x0_5: conv1.0.weight was swept in", "base alone"],
    );
    case(
        &format!("{layers} --thresholds 3 --eps 0.2"),
        &["eps: expected 0.03137", "found 0.2", "--allow eps"],
    );
    case(
        &format!("{layers} --thresholds 3 --images 30"),
        &["images of mnist: expected 40, found 30", "--allow images"],
    );

    let odd = |flags: &str, needles: &[&str]| {
        sweep(&folder, &format!("{second} --thresholds 3 {flags}"), "odd");
        refused("compare {}/base {}/odd", folder.path(), 2, needles);
        fs::remove_dir_all(folder.path().join("odd")).unwrap();
    };
    odd("--scope network", &["odd: scope: expected layer, found network"]);
    odd("--scope channel --layers fc.weight", &["odd: scope: expected layer, found channel"]);

    sweep(&folder, &format!("{first} {layers} --thresholds 3 --eps 0.2"), "stronger");
    let needles = ["base", "stronger", "the same checkpoint", "another ε"];
    refused("compare {}/base {}/stronger --allow eps,images", folder.path(), 2, &needles);
    refused(
        "compare {}/base",
        folder.path(),
        2,
        &["at least two checkpoints", "shufflenet_v2_x0_5 on mnist, epoch 1"],
    );
    assert!(!crate::support::names(folder.path()).contains(&"out".to_owned()));
}

#[test]
fn runs_that_cannot_be_read() {
    let folder = folder_with_net();
    let line = "--dataset digits --images 20 --layers fc.weight --thresholds 3";
    fs::create_dir(folder.path().join("empty")).unwrap();
    let case = |line: &str, code, needles: &[&str]| refused(line, folder.path(), code, needles);
    case(
        "compare {}/empty",
        3,
        &["empty: sweeps: expected run.json, found none here or in the folders below"],
    );
    case("compare {}/nowhere", 3, &["nowhere: cannot read"]);
    case("compare {}/net.safetensors", 3, &["net.safetensors: cannot read"]);
    case("compare", 2, &["<RUN>"]);
    case(
        "compare {}/empty --by robust",
        2,
        &["unknown score \"robust\": expected clean, adversarial, difference or all"],
    );
    case(
        "compare {}/empty --allow thresholds",
        2,
        &["unknown setting \"thresholds\": expected eps or images"],
    );
    case("compare {}/empty --tau x", 2, &["--tau"]);

    run(
        &format!("sweep {line} --checkpoint {{}}/net.safetensors --shard 1/2 --out {{}}/runs/half"),
        folder.path(),
    );
    case("compare {}/runs/half", 3, &["half: finished tables: expected cells.parquet", "not finished"]);
    case("compare {}/runs", 2, &["at least one finished sweep"]);
    checkpoint(ARCH, 1, 10, 2, true).save(folder.path().join("second.safetensors")).unwrap();
    let both = "--checkpoint {}/net.safetensors,{}/second.safetensors";
    run(&format!("sweep {line} {both} --out {{}}/runs/whole"), folder.path());
    let found = json("compare {}/runs", folder.path());
    assert!(
        found["notes"][0].as_str().unwrap().contains("half: its sweep is not finished, and left out"),
        "{}",
        found["notes"]
    );
    case("compare {}/runs --tau -1", 2, &["tau: expected a number of at least 0, found -1"]);
    case("compare {}/runs --out {}/net.safetensors", 1, &["net.safetensors: cannot write"]);

    // The tables of another run.
    run(&format!("sweep {line} {both} --eps 0.3 --out {{}}/stronger"), folder.path());
    let cells = |run: &str| folder.path().join(run).join("cells.parquet");
    fs::copy(cells("stronger"), cells("runs/whole")).unwrap();
    case("compare {}/runs", 3, &["cells.parquet: synfilter.hash: expected"]);
    fs::write(folder.path().join("runs/whole/run.json"), "{").unwrap();
    case("compare {}/runs", 3, &["run.json", "content"]);
}

/// The widest line of a text that is part of a plot or an overview.
fn widest(text: &str) -> usize {
    let of_plot = |line: &&str| line.contains(['│', '└', '▁', '█']);
    text.lines().filter(of_plot).map(|line| line.chars().count()).max().unwrap_or_default()
}

#[test]
fn plots_of_scores() {
    let folder = folder_with_net();
    let net = "--dataset digits --images 30 --checkpoint {}/net.safetensors --thresholds 4 --eps 0.1";
    run(&format!("sweep {net} --layers {LAYERS} --out {{}}/run"), folder.path());
    let text = run("score {}/run --plot", folder.path());
    assert!(text.contains("shufflenet_v2_x0_5 on digits, epoch 1: response curves\n"), "{text}");
    assert!(text.contains("o clean  x adversarial  . weights left  # several\n"), "{text}");
    for layer in LAYERS.split(',') {
        assert!(text.contains(&format!("\n{layer}\n      high-pass ")), "{layer}: {text}");
    }
    assert!(!text.contains('\x1b') && (60..=80).contains(&widest(&text)), "{text}");
    let one = run("score {}/run --plot --layers fc.weight", folder.path());
    assert!(one.contains("\nfc.weight\n      high-pass") && !one.contains("\nconv1.0.weight\n"), "{one}");
    assert!(!run("score {}/run", folder.path()).contains('│'));

    let case = |flags: &str, needles: &[&str]| {
        refused(&format!("score {{}}/run {flags}"), folder.path(), 2, needles)
    };
    case("--plot --layers fc.weight,fc", &["--layers: nothing to draw of fc in", "run"]);
    case("--layers fc.weight", &["--plot"]);
    case("--plot --json", &["--plot", "--json"]);

    // Of channels those that the ranking names.
    run(&format!("sweep {net} --scope channel --layers fc.weight --out {{}}/channels"), folder.path());
    let text = run("score {}/channels --plot --top 1", folder.path());
    assert_eq!(text.matches("\nfc.weight channel ").count(), 2 + 2, "{text}");
    run(&format!("sweep {net} --scope network --out {{}}/network"), folder.path());
    assert!(run("score {}/network --plot", folder.path()).contains("\n(whole network)\n"));
}

#[test]
#[cfg(target_os = "linux")]
fn plots_on_a_terminal() {
    let folder = folder_with_net();
    let net = "--dataset digits --images 30 --checkpoint {}/net.safetensors --thresholds 4 --eps 0.1";
    run(&format!("sweep {net} --layers fc.weight --out {{}}/run"), folder.path());
    let on_terminal =
        |columns: u16, no_colour: &str| terminal("score {}/run --plot", folder.path(), columns, no_colour);
    let (Some(wide), Some(narrow), Some(plain)) =
        (on_terminal(120, ""), on_terminal(50, ""), on_terminal(120, "1"))
    else {
        return;
    };
    // Braille in colour, as wide as the terminal allows.
    assert!(wide.contains("\x1b[36m") && wide.contains('⣀'), "{wide}");
    assert!(!plain.contains('\x1b') && plain.contains('#'), "{plain}");
    assert!((100..=120).contains(&widest(&plain)), "{plain}");
    let bare: String =
        narrow.split('\x1b').map(|part| part.split_once('m').map_or(part, |(_, rest)| rest)).collect();
    assert!((30..=50).contains(&widest(&bare)), "{bare}");
}

/// What a command prints on a terminal of so many columns; `None` where there is no `script` to make one.
fn terminal(line: &str, folder: &Path, columns: u16, no_colour: &str) -> Option<String> {
    let program = env!("CARGO_BIN_EXE_synfilter");
    let command = format!("stty rows 40 cols {columns}; exec {program} {}", words(line, folder).join(" "));
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &command, "/dev/null"]).env("TERM", "xterm").env("NO_COLOR", no_colour);
    let output = script.stdin(std::process::Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    Some(text)
}

/// Random starts, each with the seed of its network, are one attack; a start at the image is another.
#[test]
fn random_starts_of_other_seeds_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    run(
        &format!("train --arch {ARCH} --dataset digits --epochs 2 --save-every 1 --out {{}}/train"),
        folder.path(),
    );
    let sweep = |net: &str, flags: &str, out: &str| {
        let settings =
            "--dataset digits --images 10 --layers fc.weight,conv1.0.weight,conv5.0.weight --thresholds 3";
        run(
            &format!(
                "sweep --checkpoint {{}}/{net} {settings} --method pgd --steps 2 {flags} --out {{}}/{out}"
            ),
            folder.path(),
        );
    };
    sweep("train/epoch-0002.safetensors", "--random-start --seed 3", "one");
    sweep("train/epoch-0001.safetensors", "--random-start --seed 4", "other");
    sweep("train/epoch-0001.safetensors", "", "image");
    let found = json("compare {}/one {}/other", folder.path());
    assert_eq!(found["notes"][0], "the sweeps differ in the seed of PGD's random starts: 3, 4");
    refused("compare {}/one {}/image", folder.path(), 2, &["pgd.seed: expected null, found 3"]);
}
