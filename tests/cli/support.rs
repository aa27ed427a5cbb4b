//! What the tests of the command line share: the program, small checkpoints and small data sets.

use assert_cmd::Command;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use synfilter::backend::open::cuda_build;
use synfilter::checkpoint::{Checkpoint, Metadata};
use synfilter::data::DatasetKind;
use synfilter::graph::Shape;
use synfilter::models::Arch;
use synfilter::weights::Weights;
use tempfile::TempDir;

/// The smallest network, and its first, a middle and its last layer.
pub const ARCH: Arch = Arch::ShufflenetV2X0_5;
pub const LAYERS: &str = "conv1.0.weight,stage3.0.branch1.0.weight,fc.weight";

/// The program with its arguments. It sees no GPU, so that a machine with one gives the same answers.
pub fn synfilter<S: AsRef<str>>(args: &[S]) -> Command {
    let mut command = Command::cargo_bin("synfilter").unwrap();
    command.env("CUDA_VISIBLE_DEVICES", "");
    command.args(args.iter().map(AsRef::as_ref));
    command
}

/// What is said where CUDA is asked for: that the program has none, or the machine.
pub fn no_cuda() -> &'static str {
    if cuda_build().is_some() { "CUDA" } else { "without CUDA" }
}

/// Words of a command line: those of `line`, split at spaces, with `{}` for a folder.
pub fn words(line: &str, folder: &Path) -> Vec<String> {
    let folder = folder.display().to_string();
    line.split_whitespace().map(|word| word.replace("{}", &folder)).collect()
}

/// Runs a command that has to succeed; its stdout.
#[track_caller]
pub fn run(line: &str, folder: &Path) -> String {
    let output = synfilter(&words(line, folder)).output().unwrap();
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{line}\n{stdout}{stderr}");
    stdout
}

/// The stderr of a command that has to succeed.
#[track_caller]
pub fn told(line: &str, folder: &Path) -> String {
    let output = synfilter(&words(line, folder)).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{line}\n{stderr}");
    stderr
}

/// Runs a command with `--json`; the document.
#[track_caller]
pub fn json(line: &str, folder: &Path) -> Value {
    let stdout = run(&format!("{line} --json"), folder);
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{line}: {error} in {stdout}"))
}

/// Asserts that a command is refused: its exit code, nothing on stdout, and one line on stderr that holds all of
/// `needles`.
#[track_caller]
pub fn refused(line: &str, folder: &Path, code: i32, needles: &[&str]) {
    let output = synfilter(&words(line, folder)).output().unwrap();
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(code), "{line}\n{stdout}{stderr}");
    assert_eq!(stdout, "", "{line}");
    assert_eq!(stderr.lines().count(), 1, "{line}\n{stderr}");
    assert!(stderr.starts_with("synfilter: "), "{line}\n{stderr}");
    for needle in needles {
        assert!(stderr.contains(needle), "{line}\n{needle:?} is not in {stderr}");
    }
}

/// The names in a folder, sorted.
pub fn names(folder: impl AsRef<Path>) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A network with initial weights: the checkpoint, with the metadata that training records, or none.
pub fn checkpoint(arch: Arch, channels: usize, classes: usize, seed: u64, told: bool) -> Checkpoint {
    let graph = arch.build(Shape { c: channels, h: 32, w: 32 }, classes).unwrap();
    let (mean, std) = DatasetKind::Digits.default_mean_std(channels);
    let meta = Metadata {
        arch: Some(arch.name().to_owned()),
        dataset: Some("digits".to_owned()),
        classes: Some(classes),
        channels: Some(channels),
        mean: Some(mean),
        std: Some(std),
        epoch: Some(seed as u32),
        ..Metadata::default()
    };
    Weights::init(&graph, seed).to_checkpoint(&graph, if told { meta } else { Metadata::default() })
}

/// A folder with `net.safetensors`, a network for digits.
pub fn folder_with_net() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    checkpoint(ARCH, 1, 10, 1, true).save(folder.path().join("net.safetensors")).unwrap();
    folder
}

/// An IDX file of bytes.
pub fn idx(sizes: &[u32], items: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
    bytes.extend(items);
    bytes
}

/// MNIST files of `count` made-up images of one split ("train" or "t10k") in a folder. A class is a bright row, so
/// that there is something to learn.
pub fn mnist_split(folder: &Path, stem: &str, count: usize) -> (PathBuf, PathBuf) {
    let labels: Vec<u8> = (0..count).map(|image| (image % 10) as u8).collect();
    let pixel = |image: usize, at: usize| {
        let bright = at / 28 / 2 == usize::from(labels[image]) + 2;
        (at * 7 + image * 13) as u8 % 60 + if bright { 180 } else { 0 }
    };
    let pixels: Vec<u8> = (0..count)
        .flat_map(|image| (0..784).map(move |at| (image, at)))
        .map(|(i, at)| pixel(i, at))
        .collect();
    let (images, label_file) =
        (folder.join(format!("{stem}-images-idx3-ubyte")), folder.join(format!("{stem}-labels-idx1-ubyte")));
    fs::create_dir_all(folder).unwrap();
    fs::write(&images, idx(&[count as u32, 28, 28], &pixels)).unwrap();
    fs::write(&label_file, idx(&[count as u32], &labels)).unwrap();
    (images, label_file)
}
