//! Studies: what files say, the graph of steps, and runs that stop anywhere.

mod graph;
mod refusals;
mod stops;

use std::fs;
use std::path::Path;
use synfilter::study::{Spec, Step, steps};

/// Two architectures, two seeds, three epochs, ε searched.
const STUDY: &str = r#"
out = "runs/x"

[networks]
arch = ["resnet18", "shufflenet_v2_x1_0"]
seeds = [0, 7]

[[data]]
dataset = "digits"

[train]
epochs = [2, 4, 5]

[sweep]
eps = "auto"
"#;

/// The study that a text describes, in a folder.
fn read(folder: &Path, text: &str) -> synfilter::Result<Spec> {
    let file = folder.join("study.toml");
    fs::write(&file, text).unwrap();
    Spec::read(&file, Some(&folder.join("out")))
}

/// Its steps.
fn graph(folder: &Path, text: &str) -> Vec<Step> {
    steps(&read(folder, text).unwrap(), &serde_json::json!({ "backend": "cpu", "dtype": "f32" }))
}
