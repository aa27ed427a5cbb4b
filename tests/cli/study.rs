//! Whole studies by the command line: what they leave, what they refuse, and that stopping them changes nothing.

use crate::support::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A study of seconds: 80 made-up images to learn from, 40 to measure on.
fn folder_with_study(epochs: &str, sweep: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    mnist_split(&folder.path().join("data/mnist"), "train", 80);
    mnist_split(&folder.path().join("data/mnist"), "t10k", 40);
    write_study(folder.path(), epochs, sweep);
    folder
}

fn write_study(folder: &Path, epochs: &str, sweep: &str) {
    let text = format!(
        "[networks]\narch = [\"shufflenet_v2_x0_5\"]\nseeds = [3, 5]\n\n[[data]]\ndataset = \"mnist\"\ndir = \"{}\"\n\n\
         [train]\nepochs = [{epochs}]\nbatch-size = 20\ntensorboard = true\n\n\
         [sweep]\nlayers = [\"conv1.0.weight\", \"fc.weight\"]\nthresholds = 3\nimages = 20\n{sweep}\n",
        folder.join("data").display()
    );
    fs::write(folder.join("study.toml"), text).unwrap();
}

const STUDY: &str = "study {}/study.toml --out {}/out";

/// All files below a folder, by their path in it.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => drop(
                    files.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap()),
                ),
            }
        }
    }
    files
}

/// Those whose bytes do not tell the time, the folder or how often a process was started.
fn timeless(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = files(folder);
    let timely = [
        "train.json",
        "log.jsonl",
        "run.json",
        "events.out.tfevents.synfilter",
        "compare.json",
        "report.html",
    ];
    files.retain(|path, _| {
        let name = path.file_name().unwrap().to_str().unwrap();
        !(timely.contains(&name) || name.starts_with("study-"))
    });
    files
}

fn record(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_study_from_training_to_scores() {
    let attack = "[attack]\nmethods = [\"pgd\", \"fgsm\"]\nsteps = 2\nrandom-start = true\nseeds = [1, 2]\neps = [0.1]";
    let folder = folder_with_study("1, 15", &format!("eps = \"auto\"\n{attack}"));
    let dry = json(&format!("{STUDY} --dry-run"), folder.path());
    let steps = dry["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 2 * (1 + 1 + 2 + 2 + 1) + 2);
    for step in steps {
        let is_small = ["score", "compare", "report"]
            .contains(&step["step"].as_str().unwrap().split(' ').next().unwrap());
        assert_eq!((&step["done"], step["seconds"].is_null()), (&false.into(), is_small), "{step}");
    }
    assert_eq!(steps[2]["after"], serde_json::json!([steps[0]["step"], steps[1]["step"]]));
    assert!(dry["estimated_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(names(folder.path()), ["data", "study.toml"], "a dry run leaves nothing behind");

    let document = json(STUDY, folder.path());
    assert_eq!((&document["done"], &document["skipped"]), (&16.into(), &0.into()));
    let network = folder.path().join("out/mnist/shufflenet_v2_x0_5/seed-5");
    assert_eq!(names(&network), ["attack", "epoch-0001", "epoch-0015", "eps", "train"]);
    let sweep = network.join("epoch-0015");
    assert_eq!(
        names(&sweep),
        [
            "cells.jsonl",
            "cells.parquet",
            "journal-1-of-1.jsonl",
            "run.json",
            "scores.parquet",
            "study-score.json",
            "study-sweep.json"
        ]
    );
    assert!(names(network.join("train")).contains(&"events.out.tfevents.synfilter".to_owned()));

    // The ε that was found is the smallest of its grid that halves, and the one that was swept.
    let eps = record(&network.join("eps/eps.json"));
    let clean = eps["correct_clean"].as_u64().unwrap();
    let tries = eps["tries"].as_array().unwrap();
    let correct = |steps: i64| {
        let wanted = eps["eps"].as_f64().unwrap() + steps as f64 / 1020.0;
        let found = tries.iter().find(|t| (t["eps"].as_f64().unwrap() - wanted).abs() < 1e-9);
        found.map_or(clean, |t| t["correct"].as_u64().unwrap())
    };
    assert!(2 * correct(0) <= clean && 2 * correct(-1) > clean, "{eps}");
    let cells = fs::read_to_string(sweep.join("cells.jsonl")).unwrap();
    let first: Value = serde_json::from_str(cells.lines().next().unwrap()).unwrap();
    assert_eq!((&first["eps"], &first["correct_clean"]), (&eps["eps"], &eps["correct_clean"]));
    assert_eq!(first["correct_adv"], correct(0));

    // The commands in the records do the same by themselves.
    for (kind, at, same) in [
        ("train", "train", &["epoch-0001.safetensors", "epoch-0015.safetensors"][..]),
        ("sweep", "epoch-0015", &["cells.jsonl", "cells.parquet", "journal-1-of-1.jsonl"]),
        ("attack", "attack", &["attack.parquet"]),
    ] {
        let from = network.join(at);
        let record = record(&from.join(format!("study-{kind}.json")));
        let words: Vec<String> =
            record["command"].as_array().unwrap().iter().map(|w| w.as_str().unwrap().to_owned()).collect();
        assert_eq!(words[..2], ["synfilter", kind]);
        let again = folder.path().join(format!("again-{kind}"));
        let words: Vec<String> =
            words[1..]
                .iter()
                .map(|word| {
                    if *word == from.display().to_string() {
                        again.display().to_string()
                    } else {
                        word.clone()
                    }
                })
                .collect();
        synfilter(&words).assert().success();
        for name in same {
            assert!(
                fs::read(from.join(name)).unwrap() == fs::read(again.join(name)).unwrap(),
                "{kind} {name}"
            );
        }
        assert_eq!(record["seed"], 5);
        for content in record["outputs"].as_array().unwrap() {
            assert!(
                content["sha256"].as_str().unwrap().len() == 64 && content["bytes"].as_u64().unwrap() > 0
            );
        }
        // The run's own files name that command too.
        let own = fs::read_to_string(from.join(match kind {
            "sweep" => "run.json".to_owned(),
            kind => format!("{kind}.json"),
        }))
        .unwrap();
        assert!(own.contains(&format!("\"{}\"", words[0])) && !own.contains("\"study\""), "{own}");
    }
    let found = record(&network.join("eps/study-eps.json"));
    let words: Vec<&str> = found["command"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
    let document = json(&words[1..].join(" "), folder.path());
    let mut eps = eps;
    let input = eps.as_object_mut().unwrap().remove("input").unwrap();
    assert_eq!((&document["halving"], &document["input"]), (&eps, &input));
    let words: Vec<Value> = record(&sweep.join("study-score.json"))["command"].as_array().unwrap().clone();
    let line = words[1..].iter().map(|word| word.as_str().unwrap()).collect::<Vec<_>>().join(" ");
    let before = fs::read(sweep.join("scores.parquet")).unwrap();
    run(&line, folder.path());
    assert!(fs::read(sweep.join("scores.parquet")).unwrap() == before);

    let compared = folder.path().join("out/compare");
    let words = record(&compared.join("study-compare.json"))["command"].as_array().unwrap().clone();
    let line = words[1..].iter().map(|word| word.as_str().unwrap()).collect::<Vec<_>>().join(" ");
    let before = record(&compared.join("compare.json"));
    assert_eq!(before["comparisons"].as_array().unwrap().len(), 4, "two over epochs, two over seeds");
    run(&line, folder.path());
    assert_eq!(record(&compared.join("compare.json")), before);

    // Once more, there is nothing to do; a dry run knows what each step took.
    let again = json(STUDY, folder.path());
    assert_eq!((&again["done"], &again["skipped"]), (&0.into(), &16.into()));
    // Wherever the folder is.
    fs::rename(folder.path().join("out"), folder.path().join("moved")).unwrap();
    let moved = json("study {}/study.toml --out {}/moved", folder.path());
    assert_eq!((&moved["done"], &moved["skipped"]), (&0.into(), &16.into()));
    fs::rename(folder.path().join("moved"), folder.path().join("out")).unwrap();
    let dry = json(&format!("{STUDY} --dry-run"), folder.path());
    assert!(dry["steps"].as_array().unwrap().iter().all(|step| step["done"] == true));
    assert_eq!(dry["estimated_seconds"], 0.0);
    // A third seed costs what the others did.
    let text = fs::read_to_string(folder.path().join("study.toml")).unwrap();
    fs::write(folder.path().join("study.toml"), text.replace("[3, 5]", "[3, 5, 8]")).unwrap();
    let dry = json(&format!("{STUDY} --dry-run"), folder.path());
    let more: Vec<&Value> =
        dry["steps"].as_array().unwrap().iter().filter(|step| step["done"] == false).collect();
    // And its own sweeps are compared with the others.
    assert_eq!(more.len(), 9);
    let (together, of_network) = (&more[7..], &more[..7]);
    assert_eq!((&together[0]["step"], &together[1]["step"]), (&"compare".into(), &"report".into()));
    assert!(of_network.iter().all(|step| step["how"].as_str().unwrap().starts_with("as ")), "{more:?}");
    let text = run(&format!("{STUDY} --dry-run"), folder.path());
    assert!(text.contains("23 steps, 9 to do: "), "{text}");
}

/// Starts the study, and kills it when it says that it begins its step `number`.
fn killed_at(folder: &Path, number: usize) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_synfilter"))
        .args(words(STUDY, folder))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut told = Vec::new();
    for line in lines.map_while(Result::ok) {
        told.push(line);
        if told.last().unwrap().starts_with(&format!("step {number} of ")) {
            child.kill().unwrap();
            break;
        }
    }
    assert!(!child.wait().unwrap().success(), "the study ended by itself: {told:?}");
}

#[test]
fn a_study_that_is_killed_at_any_step_is_resumed_to_the_same_result() {
    let whole = folder_with_study("1, 2", "eps = 0.1");
    run(STUDY, whole.path());
    let reference = timeless(&whole.path().join("out"));
    let folder = folder_with_study("1, 2", "eps = 0.1");
    // Each process is killed when it begins its second step: one boundary after the other.
    for done in 0..11 {
        killed_at(folder.path(), 2);
        let records = files(&folder.path().join("out"));
        let records = records.keys().filter(|path| path.to_str().unwrap().contains("/study-")).count();
        assert_eq!(records, done + 1);
    }
    let document = json(STUDY, folder.path());
    assert_eq!((&document["done"], &document["skipped"]), (&1.into(), &11.into()));
    let resumed = timeless(&folder.path().join("out"));
    assert!(reference.keys().eq(resumed.keys()), "{:?}\n{:?}", reference.keys(), resumed.keys());
    for (path, content) in &reference {
        assert!(resumed[path] == *content, "{}", path.display());
    }
}

#[test]
fn studies_that_cannot_be() {
    let folder = folder_with_study("1, 2", "eps = 0.1");
    let case = |old: &str, new: &str, needles: &[&str]| {
        write_study(folder.path(), "1, 2", "eps = 0.1");
        let text = fs::read_to_string(folder.path().join("study.toml")).unwrap();
        assert!(text.contains(old), "{old}");
        fs::write(folder.path().join("study.toml"), text.replace(old, new)).unwrap();
        let flags = ["", " --dry-run"];
        flags.iter().for_each(|flag| refused(&format!("{STUDY}{flag}"), folder.path(), 3, needles));
    };
    case("seeds = [3, 5]", "seed = [3, 5]", &["study.toml: line 3, key networks.seed:", "arch, stem, seeds"]);
    case(
        "/data\"",
        "/none\"",
        &["line 7, key data[0].dir: expected the test images of mnist", "no such folder"],
    );
    case(
        "images = 20",
        "images = 41",
        &["line 17, key sweep.images: expected at most the 40 test images", "found 41"],
    );
    case(
        "batch-size = 20",
        "batch-size = 81",
        &["line 9, key train: expected settings", "at least one batch of 81"],
    );
    let given = "[[checkpoint]]\narch = \"shufflenet_v2_x0_5\"\nepoch = 4\nfile = \"{}/net.safetensors\"\n";
    let given = given.replace("{}", &folder.path().display().to_string());
    let text = fs::read_to_string(folder.path().join("study.toml")).unwrap();
    let (networks, rest) = text.split_once("\n\n").unwrap();
    let (train, end) = (rest.find("[train]").unwrap(), rest.find("[sweep]").unwrap());
    let trained = rest[train..end].to_owned();
    let with = |checkpoint: &str, needles: &[&str]| {
        let rest = rest.replace(&trained, "");
        fs::write(folder.path().join("study.toml"), format!("{checkpoint}\n{rest}")).unwrap();
        refused(STUDY, folder.path(), 3, needles);
    };
    assert!(networks.starts_with("[networks]"));
    let place = "line 4, key checkpoint[0].file: expected a checkpoint of";
    with(&given, &[place, "net.safetensors: cannot read"]);
    fs::write(folder.path().join("net.safetensors"), "no weights").unwrap();
    with(&given, &[place]);
    let other = synfilter::models::Arch::ShufflenetV2X1_0;
    checkpoint(other, 1, 10, 4, true).save(folder.path().join("net.safetensors")).unwrap();
    with(&given, &[place, "shufflenet_v2_x1_0"]);
    checkpoint(ARCH, 1, 10, 3, true).save(folder.path().join("net.safetensors")).unwrap();
    with(&given, &[place, "net.safetensors: metadata `epoch`: expected 4, found 3"]);
    checkpoint(ARCH, 1, 7, 4, true).save(folder.path().join("net.safetensors")).unwrap();
    with(&given, &[place, "classes"]);
    refused("study {}/none.toml", folder.path(), 3, &["none.toml: cannot read"]);
    refused("study", folder.path(), 2, &["STUDY.toml"]);
    assert_eq!(names(folder.path()), ["data", "net.safetensors", "study.toml"]);

    // A checkpoint that fits.
    checkpoint(ARCH, 1, 10, 4, true).save(folder.path().join("net.safetensors")).unwrap();
    let document = json(STUDY, folder.path());
    assert_eq!((&document["done"], document["runs"].as_array().unwrap().len()), (&3.into(), 1));
    let sweep = folder.path().join("out/mnist/shufflenet_v2_x0_5/seed-0/epoch-0004");
    assert!(sweep.join("scores.parquet").exists());

    // What the file does not tell and the study does is recorded; the command of the step tells it too.
    let checkpoints = |run: &Path| record(&run.join("run.json"))["settings"]["checkpoints"].clone();
    assert_eq!((&checkpoints(&sweep)[0]["epoch"], &checkpoints(&sweep)[0]["seed"]), (&4.into(), &0.into()));
    let words = record(&sweep.join("study-sweep.json"))["command"].as_array().unwrap().clone();
    let line = words[1..].iter().map(|word| word.as_str().unwrap()).collect::<Vec<_>>().join(" ");
    let again = folder.path().join("again");
    run(&line.replace(&sweep.display().to_string(), &again.display().to_string()), folder.path());
    assert_eq!(checkpoints(&again), checkpoints(&sweep));
    refused(
        &line.replace("--checkpoint-epoch 4", "--checkpoint-epoch 5"),
        folder.path(),
        3,
        &["metadata `epoch`: expected 5, found 4"],
    );
    refused(
        &line.replace("--checkpoint-seed 0", "--checkpoint-seed 0,1"),
        folder.path(),
        2,
        &["--checkpoint-seed: expected 1, one per checkpoint, found 2"],
    );
}
