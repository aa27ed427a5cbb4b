//! Folders that a version left which always took the first images in file order (`tests/fixtures/old_run/make.py`): they
//! are gone on with as they were begun, and read as they are.

use crate::support::*;
use common::formula;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use synfilter::graph::Shape;
use tempfile::TempDir;

const DATA: &str = "--dataset digits --images 100 --batch-size 64 --checkpoint {}/net.safetensors";
const SWEEP: &str = "--thresholds 3 --layers conv1.0.weight,stage3.0.branch1.0.weight,fc.weight";
const JOURNAL: &str = "journal-1-of-1.jsonl";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/old_run").join(name)
}

fn read_json(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The network of the fixtures, byte by byte: safetensors of the golden files' formula.
fn net() -> Vec<u8> {
    let graph = ARCH.build(Shape { c: 1, h: 28, w: 28 }, 10).unwrap();
    let mut params: Vec<_> =
        graph.params.iter().map(|param| (param.name.to_string(), param.shape.to_vec())).collect();
    params.sort();
    let mut header = format!("{{\"__metadata__\":{{\"arch\":\"{ARCH}\"}}");
    let mut data = Vec::new();
    for (name, shape) in &params {
        let start = data.len();
        data.extend(formula::parameter(name, shape, 1.1).into_iter().flat_map(f32::to_le_bytes));
        let shape = json!(shape);
        header += &format!(
            ",\"{name}\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[{start},{}]}}",
            data.len()
        );
    }
    header.push('}');
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
}

/// A folder with the network and a copy of a fixture; `None` in a version of another number, which goes on with no folder
/// of this one.
fn folder_with(name: &str) -> Option<TempDir> {
    let run = read_json(fixture("killed/run.json"));
    if run["settings"]["version"] != env!("CARGO_PKG_VERSION") {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let net = net();
    let sha256: String = Sha256::digest(&net).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(run["settings"]["checkpoints"][0]["sha256"], sha256.as_str());
    fs::write(folder.path().join("net.safetensors"), net).unwrap();
    let below = if name == "attacked" { "attacked/unfinished" } else { name };
    fs::create_dir_all(folder.path().join(below)).unwrap();
    for file in names(fixture(below)) {
        fs::copy(fixture(below).join(&file), folder.path().join(below).join(&file)).unwrap();
    }
    Some(folder)
}

#[test]
fn a_killed_sweep_goes_on_with_the_first_images() {
    let Some(folder) = folder_with("killed") else { return };
    let line = format!("sweep {DATA} {SWEEP}");
    let stderr = told(&format!("{line} --out {{}}/killed --resume"), folder.path());
    assert!(
        stderr.contains("choice: first, in file order") && stderr.contains("goes on with these"),
        "{stderr}"
    );
    let read = |path: &str| fs::read(folder.path().join(path)).unwrap();
    // The settings and what was finished are as they were; the folder is that of one run in file order.
    assert_eq!(read("killed/run.json"), fs::read(fixture("killed/run.json")).unwrap());
    assert!(
        read(&format!("killed/{JOURNAL}")).starts_with(&fs::read(fixture("killed").join(JOURNAL)).unwrap())
    );
    run(&format!("{line} --pick first --out {{}}/whole"), folder.path());
    let hash = |run: &str| read_json(folder.path().join(run).join("run.json"))["hash"].clone();
    assert_eq!(hash("killed"), hash("whole"));
    let cells = |path: PathBuf| {
        let text = fs::read_to_string(path.join("cells.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    };
    let (resumed, whole, old) =
        (cells(folder.path().join("killed")), cells(folder.path().join("whole")), cells(fixture("finished")));
    assert_eq!(resumed.len(), old.len());
    for ((resumed, whole), old) in resumed.iter().zip(&whole).zip(&old) {
        for key in ["layer", "filter", "k", "alpha", "kept", "images", "correct_clean", "correct_adv"] {
            assert_eq!((&resumed[key], &whole[key]), (&old[key], &old[key]), "{key} of {old}");
        }
        // Another processor may round otherwise.
        let (found, expected) =
            (resumed["loss_clean"].as_f64().unwrap(), old["loss_clean"].as_f64().unwrap());
        assert!((found - expected).abs() < 1e-4 * expected, "{found} {expected}");
    }
}

#[test]
fn whoever_asks_for_a_choice_is_told_that_the_folder_has_none() {
    let Some(folder) = folder_with("killed") else { return };
    for flags in ["--pick stratified", "--pick-seed 3"] {
        let line = format!("sweep {DATA} {SWEEP} --out {{}}/killed --resume {flags}");
        refused(
            &line,
            folder.path(),
            2,
            &["killed: holds a run with another configuration", "dataset_digest"],
        );
    }
}

#[test]
fn a_finished_sweep_is_scored_as_it_is() {
    let Some(folder) = folder_with("finished") else { return };
    let scores = json("score {}/finished", folder.path());
    assert_eq!(scores["runs"][0]["scores"].as_array().unwrap().len(), 12);
}

#[test]
fn a_killed_attack_goes_on_with_the_first_images() {
    let Some(folder) = folder_with("attacked") else { return };
    let line = format!("attack {DATA} --eps 1/255,0.1 --steps 3");
    let stderr = told(&format!("{line} --out {{}}/attacked"), folder.path());
    assert!(
        stderr.contains("choice: first, in file order") && stderr.contains("goes on with these"),
        "{stderr}"
    );
    run(&format!("{line} --pick first --out {{}}/whole"), folder.path());
    let found = |name: &str| read_json(folder.path().join(name).join("attack.json"));
    let (attacked, whole) = (found("attacked"), found("whole"));
    assert_eq!(
        attacked["dataset_digest"],
        read_json(fixture("killed/run.json"))["settings"]["dataset_digest"]
    );
    assert_eq!(attacked["networks"][0]["clean"]["correct"], whole["networks"][0]["clean"]["correct"]);
    assert!(attacked["input"]["images"].get("pick").is_none());
}
