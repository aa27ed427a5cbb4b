//! Processes that are killed or interrupted in the middle of a sweep or of an attack.

use crate::support::*;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Eight layers and the unfiltered network in two blocks of images: 18 units.
const SWEEP: &str = "sweep --dataset digits --images 128 --batch-size 64 --checkpoint {}/net.safetensors --thresholds 5 \
    --layers conv1.0.weight,stage2.0.branch1.0.weight,stage2.0.branch1.2.weight,stage2.0.branch2.0.weight,\
    stage2.0.branch2.3.weight,stage2.0.branch2.5.weight,stage2.1.branch2.0.weight,stage2.1.branch2.3.weight";

/// Starts the sweep and waits until its journal has three lines.
fn started(folder: &Path) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_synfilter"))
        .args(words(&format!("{SWEEP} --out {{}}/run"), folder))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let journal = folder.join("run/journal-1-of-1.jsonl");
    let lines = || fs::read_to_string(&journal).unwrap_or_default().matches('\n').count();
    let begun = Instant::now();
    while lines() < 3 {
        assert!(child.try_wait().unwrap().is_none(), "the sweep ended before three units were done");
        assert!(begun.elapsed() < Duration::from_secs(120), "no three units in two minutes");
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

/// Finishes the stopped run; it has to become the same as one that was left alone.
fn finish_and_compare(folder: &Path) {
    let stopped = fs::read(folder.join("run/journal-1-of-1.jsonl")).unwrap();
    assert!(!folder.join("run/cells.parquet").exists());
    run(&format!("{SWEEP} --out {{}}/run --resume"), folder);
    run(&format!("{SWEEP} --out {{}}/whole"), folder);
    for name in ["cells.jsonl", "cells.parquet", "journal-1-of-1.jsonl"] {
        let read = |run: &str| fs::read(folder.join(run).join(name)).unwrap();
        assert!(read("run") == read("whole"), "{name}");
    }
    // What was in the journal was not computed again.
    let whole_lines = stopped.iter().rposition(|&byte| byte == b'\n').unwrap();
    assert_eq!(
        stopped[..=whole_lines],
        fs::read(folder.join("whole/journal-1-of-1.jsonl")).unwrap()[..=whole_lines]
    );
    assert_eq!(names(folder.join("run")), names(folder.join("whole")));
}

#[test]
fn a_sweep_that_was_killed_is_resumed_to_the_same_result() {
    let folder = folder_with_net();
    let mut child = started(folder.path());
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), None, "the sweep ended by itself: {status}");
    finish_and_compare(folder.path());
}

#[test]
#[cfg(unix)]
fn ctrl_c_leaves_an_intact_journal() {
    let folder = folder_with_net();
    let child = started(folder.path());
    let pid = child.id().to_string();
    assert!(Command::new("sh").args(["-c", "kill -INT $0", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(
        stderr.contains("--resume") && stderr.ends_with("interrupted; finished work is kept\n"),
        "{stderr}"
    );
    let journal = fs::read_to_string(folder.path().join("run/journal-1-of-1.jsonl")).unwrap();
    assert!(journal.ends_with('\n'));
    for line in journal.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    finish_and_compare(folder.path());
}

/// Two networks in three blocks of images.
#[test]
fn an_attack_that_was_killed_goes_on_to_the_same_result() {
    let folder = folder_with_net();
    fs::copy(folder.path().join("net.safetensors"), folder.path().join("same.safetensors")).unwrap();
    let line = "attack --dataset digits --images 190 --batch-size 64 --checkpoint {}/net.safetensors,{}/same.safetensors \
                --eps 0.02,0.1 --steps 20 --random-start --out {}/";
    let unfinished = folder.path().join("run/unfinished");
    let blocks = || {
        let entries = fs::read_dir(&unfinished).into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("network-") && name.ends_with(".json")).collect::<Vec<_>>()
    };
    let mut child = Command::new(env!("CARGO_BIN_EXE_synfilter"))
        .args(words(&format!("{line}run"), folder.path()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while blocks().len() < 2 {
        assert!(child.try_wait().unwrap().is_none(), "the attack ended before two blocks were done");
        assert!(begun.elapsed() < Duration::from_secs(120), "no two blocks in two minutes");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None);
    assert!(!folder.path().join("run/attack.json").exists());

    let other = format!("{line}run").replace("0.02,0.1", "0.02,0.2");
    refused(&other, folder.path(), 2, &["unfinished", "an unfinished attack with other settings: eps"]);

    run(&format!("{line}whole"), folder.path());
    run(&format!("{line}run"), folder.path());
    let read = |run: &str, name: &str| fs::read(folder.path().join(run).join(name)).unwrap();
    assert!(read("run", "attack.parquet") == read("whole", "attack.parquet"));
    let networks = |run: &str| {
        let document: serde_json::Value = serde_json::from_slice(&read(run, "attack.json")).unwrap();
        document["networks"].clone()
    };
    assert_eq!(networks("run"), networks("whole"));
    assert_eq!(names(folder.path().join("run")), ["attack.json", "attack.parquet"]);
}
