//! Settings that cannot be. None of them may leave anything behind.

use crate::support::*;

#[test]
fn sweep_and_eval_settings() {
    let folder = folder_with_net();
    let sweep = "sweep --dataset digits --images 10 --checkpoint {}/net.safetensors --out {}/run";
    let case = |rest: &str, code, needles: &[&str]| {
        refused(&format!("{sweep} {rest}"), folder.path(), code, needles)
    };
    case("--arch resnet19", 2, &["unknown architecture 'resnet19'", "resnet18"]);
    case("--layers conv9.weight", 2, &["unknown layer \"conv9.weight\"", "fc.weight"]);
    case("--layers fc.weight,fc.weight", 2, &["fc.weight twice"]);
    case("--layers fc.weight --scope network", 2, &["network scope"]);
    case("--scope channel", 2, &["channel scope", "expected the layers"]);
    case("--scope channel --layers conv9.weight", 2, &["unknown layer \"conv9.weight\""]);
    case("--scope house", 2, &["unknown scope \"house\"", "layer or channel or network"]);
    case("--filters high-pass,bandstop", 2, &["unknown filter \"bandstop\"", "pulse"]);
    case("--filters pulse,pulse", 2, &["pulse twice"]);
    case("--thresholds 1", 2, &["thresholds: expected 2 to", "found 1"]);
    case("--thresholds 0", 2, &["found 0"]);
    case("--thresholds many", 2, &["--thresholds", "many"]);
    case("--eps -0.1", 2, &["eps: expected 0 to 1", "-0.1"]);
    case("--eps -8/255", 2, &["eps: expected 0 to 1"]);
    case("--eps 1.5", 2, &["eps: expected 0 to 1", "1.5"]);
    case("--eps 8/0", 2, &["eps: expected a number", "8/0"]);
    case("--eps nan", 2, &["eps: expected", "nan"]);
    case("--attack never", 2, &["unknown attack \"never\""]);
    case("--bn sometimes", 2, &["unknown batch-norm mode \"sometimes\""]);
    case("--shard 3/2", 2, &["shard: expected I/N", "3/2"]);
    case("--shard 0/2", 2, &["shard: expected I/N", "0/2"]);
    case("--shard half", 2, &["shard: expected I/N", "half"]);
    case("--mean 127.5", 2, &["--mean: expected 1 numbers from 0 to 1", "divide by 255"]);
    case("--std 0", 2, &["--std: expected 1 positive numbers"]);
    case("--mean 0.1,0.2,0.3", 2, &["--mean: expected 1 numbers from 0 to 1"]);
    case("--checkpoint {}/net.safetensors", 2, &["expected each checkpoint once"]);
    case("--batch-size 0", 2, &["--batch-size"]);
    case("--block-mib 0", 2, &["--block-mib"]);
    case("--threads 0", 2, &["--threads"]);
    case("--device cuda", 4, &["cuda:0", no_cuda()]);
    case("--device cuda:1", 4, &["cuda:1", no_cuda()]);
    case("--device tpu", 2, &["unknown device \"tpu\""]);
    case("--dtype f16", 2, &["--dtype f16", "f32"]);
    case("--dtype bf16", 2, &["--dtype bf16"]);
    case("--colour red", 2, &["--colour"]);
    refused("sweep --dataset digits --checkpoint {}/net.safetensors", folder.path(), 2, &["--out"]);
    refused("sweep --out {}/run", folder.path(), 2, &["--dataset", "--checkpoint"]);
    refused(
        "eval --dataset digits --checkpoint {}/net.safetensors --eps 0.1,2",
        folder.path(),
        2,
        &["eps", "2"],
    );
    refused("fly", folder.path(), 2, &["fly"]);
    assert_eq!(names(folder.path()), ["net.safetensors"]);
}

#[test]
fn checkpoints_of_different_networks() {
    let folder = folder_with_net();
    let other = synfilter::models::Arch::ShufflenetV2X1_0;
    checkpoint(other, 1, 10, 2, true).save(folder.path().join("other.safetensors")).unwrap();
    let line = "sweep --dataset digits --images 10 --out {}/run --checkpoint {}/net.safetensors,{}/other.safetensors";
    refused(
        line,
        folder.path(),
        2,
        &["other.safetensors", "expected shufflenet_v2_x0_5", "found shufflenet_v2_x1_0"],
    );
    assert_eq!(names(folder.path()), ["net.safetensors", "other.safetensors"]);
}

#[test]
fn training_settings() {
    let folder = tempfile::tempdir().unwrap();
    let line = "train --arch shufflenet_v2_x0_5 --dataset digits --out {}/run";
    let case =
        |rest: &str, code, needles: &[&str]| refused(&format!("{line} {rest}"), folder.path(), code, needles);
    case("--epochs 0", 2, &["--epochs", "at least 1"]);
    case("--save-every 0", 2, &["--save-every", "at least 1"]);
    case("--batch-size 1", 2, &["batch size", "at least 2"]);
    case("--batch-size 9000", 2, &["batch of 9000", "8000"]);
    case("--lr -1", 2, &["positive learning rate", "-1"]);
    case("--lr nan", 2, &["positive learning rate"]);
    case("--momentum 0.5", 2, &["--momentum", "--optimizer sgd"]);
    case("--optimizer sgd --momentum 1.5", 2, &["momentum"]);
    case("--optimizer lion", 2, &["lion", "adam"]);
    case("--weight-decay -2", 2, &["weight decay"]);
    case("--seed -1", 2, &["-1"]);
    refused("train --dataset digits --out {}/run", folder.path(), 2, &["--arch"]);
    assert!(names(folder.path()).is_empty());
}

#[test]
fn other_commands() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("something"), "here").unwrap();
    refused("demo --out {}", folder.path(), 2, &["new or empty folder", "--out"]);
    refused("demo --out {}/something", folder.path(), 1, &["something: cannot write"]);
    refused("demo --device cuda", folder.path(), 4, &["cuda:0", no_cuda()]);
    refused("data fetch digits --data-dir {}", folder.path(), 2, &["digits are part of the program"]);
    refused("data fetch folder --data-dir {}", folder.path(), 2, &["your own data"]);
    refused("data fetch imagenet --data-dir {}", folder.path(), 2, &["unknown data set \"imagenet\""]);
    refused("merge --out {}/whole", folder.path(), 2, &["RUN"]);
    refused("merge {}/none --out {}/whole", folder.path(), 2, &["none", "run.json"]);
    refused("score {}/none", folder.path(), 3, &["none", "cells.parquet", "cannot read"]);
    refused("score {}/none --baseline half", folder.path(), 2, &["unknown baseline \"half\""]);
    refused("score {}/none --rank-by size", folder.path(), 2, &["unknown score \"size\"", "clean"]);
    refused("score {}/none --top=-1", folder.path(), 2, &["--top", "-1"]);
    refused("score", folder.path(), 2, &["RUN"]);
    assert_eq!(names(folder.path()), ["something"]);
}
