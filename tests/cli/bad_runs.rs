//! Run folders that cannot be used, disks that are full.

use crate::support::*;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const SWEEP: &str =
    "sweep --dataset digits --checkpoint {}/net.safetensors --layers fc.weight --thresholds 3";

#[test]
fn run_folders() {
    let folder = folder_with_net();
    let line = format!("{SWEEP} --images 10 --out {{}}/run");
    let case =
        |rest: &str, code, needles: &[&str]| refused(&format!("{line} {rest}"), folder.path(), code, needles);
    fs::write(folder.path().join("run"), "a file").unwrap();
    case("", 1, &["run: cannot write"]);
    fs::remove_file(folder.path().join("run")).unwrap();

    run(&line, folder.path());
    let before = names(folder.path().join("run"));
    case("", 2, &["already started", "--resume"]);
    case("--eps 0.5", 2, &["another configuration", "eps: expected 0.5"]);
    case("--eps 0.5 --resume", 2, &["another configuration", "eps"]);
    let finer = line.replace("--thresholds 3", "--thresholds 4") + " --resume";
    let needles = ["another configuration", "thresholds: expected 4, found 3"];
    refused(&finer, folder.path(), 2, &needles);
    case("--mean 0.5 --resume", 2, &["another configuration", "mean"]);
    case("--conv direct --resume", 2, &["another configuration", "backend"]);
    case("--no-clamp --resume", 2, &["clamp: expected false, found true"]);
    checkpoint(ARCH, 1, 10, 9, true).save(folder.path().join("net.safetensors")).unwrap();
    case("--resume", 2, &["another configuration", "checkpoints[0]"]);
    checkpoint(ARCH, 1, 10, 1, true).save(folder.path().join("net.safetensors")).unwrap();
    run(&format!("{line} --resume"), folder.path());

    refused("score {}/run --tau -1", folder.path(), 2, &["tau", "-1"]);
    refused("score {}/run --z -1", folder.path(), 2, &["z", "-1"]);
    refused("score {}/run --z nan", folder.path(), 2, &["z"]);
    refused("merge {}/run --out {}/run", folder.path(), 2, &["without a run"]);
    refused("merge {}/run --out {}/net.safetensors", folder.path(), 1, &["net.safetensors: cannot write"]);
    assert_eq!(names(folder.path().join("run")), before);

    let journal = folder.path().join("run/journal-1-of-1.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, text.replacen("\"images\":[0,10]", "\"images\":[0,11]", 1)).unwrap();
    case("--resume", 3, &["journal-1-of-1.jsonl", "line 1", "images 0..11"]);
    let cells = folder.path().join("run/cells.parquet");
    fs::write(&cells, &fs::read(&cells).unwrap()[..100]).unwrap();
    refused("score {}/run", folder.path(), 3, &["cells.parquet"]);
}

#[test]
fn shards_that_are_missing() {
    let folder = folder_with_net();
    run(&format!("{SWEEP} --images 10 --shard 1/2 --out {{}}/half"), folder.path());
    refused("score {}/half", folder.path(), 3, &["half", "not finished"]);
    refused("merge {}/half --out {}/whole", folder.path(), 1, &["units are missing", "2/2 (no journal)"]);
    run(&format!("{SWEEP} --images 11 --shard 2/2 --out {{}}/other"), folder.path());
    let needles = ["another configuration", "dataset_digest"];
    refused("merge {}/half {}/other --out {}/whole", folder.path(), 2, &needles);
    assert_eq!(names(folder.path()), ["half", "net.safetensors", "other"]);
}

#[test]
fn training_folders() {
    let folder = tempfile::tempdir().unwrap();
    mnist_split(&folder.path().join("mnist"), "train", 20);
    mnist_split(&folder.path().join("mnist"), "t10k", 10);
    let line = "train --arch shufflenet_v2_x0_5 --dataset mnist --data-dir {} --batch-size 10 --epochs 1 --out {}/run";
    let case =
        |rest: &str, code, needles: &[&str]| refused(&format!("{line} {rest}"), folder.path(), code, needles);
    fs::write(folder.path().join("run"), "a file").unwrap();
    case("", 1, &["run: cannot write"]);
    fs::remove_file(folder.path().join("run")).unwrap();
    run(line, folder.path());
    case("", 2, &["already started", "--resume"]);
    case("--resume --seed 3", 2, &["other settings", "seed: expected 0, found 3"]);
    run(&format!("{line} --resume"), folder.path());
}

/// Runs the program where no file may grow beyond `kib` KiB: a disk that is full.
fn with_full_disk(kib: usize, line: &str, folder: &Path) -> Output {
    let limited = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", 2 * kib);
    // Plain sh counts in blocks of 512 bytes.
    Command::new("sh")
        .args(["-c", &limited, env!("CARGO_BIN_EXE_synfilter")])
        .args(words(line, folder))
        .output()
        .unwrap()
}

#[track_caller]
fn assert_full(output: &Output, needle: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let last = stderr.lines().last().unwrap_or_default();
    assert!(last.contains(needle) && last.contains("cannot write"), "{stderr}");
}

#[test]
fn full_disks() {
    let folder = folder_with_net();
    let line = format!("{SWEEP} --images 320 --batch-size 64 --out {{}}/run");
    // Not even run.json fits.
    assert_full(&with_full_disk(1, &line, folder.path()), "run.json");
    assert!(names(folder.path().join("run")).is_empty());
    // run.json and a part of the journal fit. What is in the journal counts.
    assert_full(&with_full_disk(4, &line, folder.path()), "journal-1-of-1.jsonl");
    assert_eq!(names(folder.path().join("run")), ["journal-1-of-1.jsonl", "run.json"]);
    let journal = fs::read_to_string(folder.path().join("run/journal-1-of-1.jsonl")).unwrap();
    assert!(!journal.is_empty() && journal.ends_with('\n'), "{journal}");
    run(&format!("{line} --resume"), folder.path());
    run(&line.replace("/run", "/whole"), folder.path());
    for name in ["cells.jsonl", "cells.parquet", "journal-1-of-1.jsonl"] {
        let read = |run: &str| fs::read(folder.path().join(run).join(name)).unwrap();
        assert!(read("run") == read("whole"), "{name}");
    }

    let eval =
        "eval --dataset digits --images 64 --checkpoint {}/net.safetensors --save-outputs {}/out.safetensors";
    assert_full(&with_full_disk(4, eval, folder.path()), "out.safetensors");
    refused(&eval.replace("/out", "/no/out"), folder.path(), 1, &["no/out.safetensors: cannot write"]);
    assert_eq!(names(folder.path()), ["net.safetensors", "run", "whole"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_stdout_is_an_error_and_a_closed_one_is_not() {
    let folder = folder_with_net();
    let line = "eval --dataset digits --images 10 --checkpoint {}/net.safetensors";
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let program = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_synfilter"));
        command.args(words(line, folder.path()));
        command
    };
    assert_full(&program().stdout(full).output().unwrap(), "<stdout>");
    // A full stderr keeps nothing from being computed.
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = program().args(["--save-outputs", "/dev/null/x"]).stderr(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    assert!(program().stderr(full).output().unwrap().status.success());
    // The reader is gone before anything is printed.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert!(program().stdout(writer).output().unwrap().status.success());
}
