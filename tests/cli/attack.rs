//! `synfilter attack`, and PGD in sweeps.

use crate::support::*;
use serde_json::Value;
use std::fs;
use std::path::Path;
use synfilter::attack::{Method, Pgd};
use synfilter::columnar::read_table;
use synfilter::security::outcomes::COLUMNS;
use synfilter::security::{ATTACK_PARQUET, SecurityRecord};
use synfilter::sweep::Bits;

const ATTACK: &str = "attack --dataset digits --images 130 --checkpoint {}/net.safetensors";

fn document(folder: &Path) -> SecurityRecord {
    SecurityRecord::read(&folder.join(SecurityRecord::NAME)).unwrap()
}

/// Right images of every point, method by method.
fn correct(document: &SecurityRecord, network: usize) -> Vec<Vec<usize>> {
    let curves = &document.networks[network].curves;
    curves.iter().map(|curve| curve.points.iter().map(|point| point.count.correct).collect()).collect()
}

/// A network that has learned a little, so that attacks have something to take.
fn folder_with_trained_net() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("train --arch {ARCH} --dataset digits --epochs 1 --out {{}}/train");
    run(&line, folder.path());
    fs::rename(folder.path().join("train/epoch-0001.safetensors"), folder.path().join("net.safetensors"))
        .unwrap();
    folder
}

#[test]
fn curves_are_those_of_eval_and_each_image_is_kept() {
    let folder = folder_with_trained_net();
    let line = format!("{ATTACK} --eps 0.1,8/255 --steps 3 --random-start --seeds 5,6");
    let text = run(&format!("{line} --out {{}}/a"), folder.path());
    assert!(text.contains("130 test images"), "{text}");
    for word in
        ["FGSM", "PGD-3 seed 5", "PGD-3 seed 6", "0.0314 (8/255)", "0.1 (25.5/255)", "100 % │", "o FGSM"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
    let found = document(&folder.path().join("a"));
    assert_eq!(names(folder.path().join("a")), [SecurityRecord::NAME, ATTACK_PARQUET]);
    assert_eq!(found.provenance.command[..2], ["synfilter", "attack"]);
    let network = &found.networks[0];
    let methods: Vec<Method> = network.curves.iter().map(|curve| curve.attack).collect();
    let pgd = |seed| Method::Pgd(Pgd { steps: 3, step_size: None, seed: Some(seed) });
    assert_eq!(methods, [Method::Fgsm, pgd(5), pgd(6)]);
    assert_eq!(network.curves[1].points[1].step_size, Some(2.5 * 0.1 / 3.0));

    let eval = json(
        "eval --dataset digits --images 130 --checkpoint {}/net.safetensors --eps 8/255,0.1",
        folder.path(),
    );
    assert_eq!(eval["correct_clean"], network.clean.correct);
    for (point, expected) in network.curves[0].points.iter().zip(eval["adversarial"].as_array().unwrap()) {
        assert_eq!(Value::from(point.count.correct), expected["correct"]);
        assert_eq!(Value::from(point.count.loss.unwrap()), expected["loss"]);
    }

    let (_, rows) = read_table(&folder.path().join("a").join(ATTACK_PARQUET), COLUMNS).unwrap();
    assert_eq!(rows.len(), 1 + 3 * 2);
    let column = |name: &str| COLUMNS.iter().position(|field| field.name == name).unwrap();
    let counts = [vec![network.clean.correct]].into_iter().chain(correct(&found, 0)).flatten();
    for (row, correct) in rows.into_iter().zip(counts) {
        assert_eq!(row[column("correct")].int::<usize>(), Some(correct));
        let bytes = row[column("bits")].clone().bytes().unwrap();
        assert_eq!(Bits::from_bytes(130, bytes).unwrap().count_ones(), correct);
    }

    // Nothing depends on chunks or threads; seeds start elsewhere.
    let printed = json(&format!("{line} --batch-size 64 --threads 1 --out {{}}/b"), folder.path());
    assert_eq!(printed["version"], 1);
    assert_eq!(document(&folder.path().join("b")).networks, found.networks);
    let losses = |curve: usize| network.curves[curve].points[1].count.loss.unwrap();
    assert_ne!(losses(1), losses(2));
}

#[test]
fn pgd_of_one_step_is_fgsm_and_of_many_is_worse() {
    let folder = folder_with_trained_net();
    let line = format!("{ATTACK} --eps 0.1,0.2");
    run(&format!("{line} --steps 1 --step-size 1 --out {{}}/one"), folder.path());
    let one = document(&folder.path().join("one"));
    let [fgsm, pgd] = &one.networks[0].curves[..] else { panic!("two curves") };
    for (fgsm, pgd) in fgsm.points.iter().zip(&pgd.points) {
        assert_eq!(fgsm.count, pgd.count);
    }
    run(&format!("{line} --method pgd --steps 7 --out {{}}/seven"), folder.path());
    let seven = document(&folder.path().join("seven"));
    let sum = |counts: &[usize]| counts.iter().sum::<usize>();
    assert!(sum(&correct(&seven, 0)[0]) < sum(&correct(&one, 0)[0]));
}

/// A filtered network is that of the sweep's cell, under FGSM and under PGD.
#[test]
fn filtered_networks_are_the_cells_of_sweeps() {
    let folder = folder_with_trained_net();
    let filter = "--filter low-pass --layer stage3.0.branch1.0.weight --thresholds 5";
    let layer = "--filters low-pass --layers stage3.0.branch1.0.weight --thresholds 5";
    for (name, flags) in
        [("fgsm", "--method fgsm"), ("pgd", "--method pgd --steps 2 --random-start --seed 3")]
    {
        let sweep = "sweep --dataset digits --images 130 --checkpoint {}/net.safetensors --eps 0.1";
        run(&format!("{sweep} {layer} {flags} --out {{}}/sweep-{name}"), folder.path());
        let text = fs::read_to_string(folder.path().join(format!("sweep-{name}/cells.jsonl"))).unwrap();
        let cells: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for k in [0, 2, 4] {
            let out = format!("attack-{name}-{k}");
            run(
                &format!("{ATTACK} --eps 0.1 {flags} {filter} --threshold {k} --out {{}}/{out}"),
                folder.path(),
            );
            let network = &document(&folder.path().join(out)).networks[0];
            let cell = cells.iter().find(|cell| cell["k"] == k).unwrap();
            let point = &network.curves[0].points[0];
            assert_eq!(cell["correct_clean"], network.clean.correct, "{name} {k}");
            assert_eq!(cell["correct_adv"], point.count.correct, "{name} {k}");
            assert_eq!(cell["pgd_steps"], if name == "pgd" { Value::from(2) } else { Value::Null });
            assert_eq!(cell["pgd_step_size"], Value::from(point.step_size));
            let filtered = network.filtered.as_ref().unwrap();
            assert_eq!(
                (cell["kept"].as_u64(), cell["total"].as_u64()),
                (Some(filtered.kept), Some(filtered.total))
            );
        }
    }
}

/// Settings of PGD are settings of the run: folders are not mixed, and a run goes on with the same alone.
#[test]
fn sweeps_with_other_steps_are_other_runs() {
    let folder = folder_with_net();
    let sweep = "sweep --dataset digits --images 20 --checkpoint {}/net.safetensors --layers fc.weight --thresholds 3";
    let pgd = "--method pgd --steps 2";
    run(&format!("{sweep} {pgd} --out {{}}/run"), folder.path());
    run(&format!("{sweep} {pgd} --out {{}}/run --resume"), folder.path());
    let case = |flags: &str, needles: &[&str]| {
        refused(&format!("{sweep} {flags} --out {{}}/run --resume"), folder.path(), 2, needles);
    };
    case("", &["another configuration: pgd: expected null, found {"]);
    case("--method pgd --steps 3", &["pgd.steps: expected 3, found 2"]);
    case("--method pgd --steps 2 --step-size 0.01", &["pgd.step_size: expected 0.01, found null"]);
    case("--method pgd --steps 2 --random-start --seed 4", &["pgd.seed: expected 4, found null"]);
    run(&format!("{sweep} --shard 1/2 --out {{}}/half"), folder.path());
    run(&format!("{sweep} {pgd} --shard 2/2 --out {{}}/other"), folder.path());
    refused(
        "merge {}/half {}/other --out {}/whole",
        folder.path(),
        2,
        &["another configuration", "pgd: expected"],
    );
    assert!(run("score {}/run", folder.path()).contains("fc.weight"));
}

#[test]
fn settings_that_cannot_be() {
    let folder = folder_with_net();
    let case = |rest: &str, code, needles: &[&str]| {
        refused(&format!("{ATTACK} --out {{}}/out {rest}"), folder.path(), code, needles);
    };
    case("--steps 0", 2, &["steps: expected 1 to 10000, found 0"]);
    case("--steps -3", 2, &["--steps", "-3"]);
    case("--steps 10001", 2, &["found 10001"]);
    case("--steps ten", 2, &["--steps", "ten"]);
    case("--step-size -0.1", 2, &["step size: expected more than 0", "-0.1"]);
    case("--step-size 0", 2, &["step size: expected more than 0", "found 0"]);
    case("--step-size NaN", 2, &["step size: expected more than 0", "NaN"]);
    case("--step-size 1/0", 2, &["step size: expected a number", "1/0"]);
    case("--eps 0.1,2", 2, &["eps: expected 0 to 1", "2"]);
    case("--eps 0.1,0.2,0.1", 2, &["--eps: expected each once"]);
    case("--method bim", 2, &["unknown method \"bim\"", "fgsm or pgd"]);
    case("--method fgsm,fgsm", 2, &["--method: expected each once"]);
    case("--method fgsm --steps 3", 2, &["--steps: expected --method pgd"]);
    case("--method fgsm --random-start", 2, &["--random-start: expected --method pgd"]);
    case("--seeds 1,2", 2, &["--seeds: expected --random-start"]);
    case("--random-start --seeds 1,1", 2, &["--seeds: expected each once"]);
    case("--random-start --seeds -1", 2, &["-1"]);
    case("--filter high-pass", 2, &["--layer", "--threshold"]);
    case("--layer fc.weight", 2, &["--filter"]);
    case("--thresholds 5", 2, &["--filter"]);
    let cell = "--filter high-pass --layer";
    case(&format!("{cell} conv9.weight --threshold 1"), 2, &["unknown layer \"conv9.weight\"", "fc.weight"]);
    case(&format!("{cell} fc.weight --threshold 25"), 2, &["--threshold: expected 0 to 24, found 25"]);
    case(&format!("{cell} fc.weight --threshold 0 --thresholds 1"), 2, &["thresholds: expected 2 to"]);
    case("--filter bandstop --layer fc.weight --threshold 1", 2, &["unknown filter \"bandstop\""]);
    case("--device cuda", 4, &[no_cuda()]);
    refused("attack --dataset digits --checkpoint {}/net.safetensors", folder.path(), 2, &["--out"]);
    let other = "attack --dataset digits --checkpoint {}/net.safetensors,{}/none.safetensors --out {}/out";
    refused(other, folder.path(), 3, &["none.safetensors", "cannot read"]);
    let sweep = "sweep --dataset digits --images 10 --checkpoint {}/net.safetensors --out {}/run";
    refused(&format!("{sweep} --steps 3"), folder.path(), 2, &["--steps: expected --method pgd"]);
    refused(
        &format!("{sweep} --method pgd --steps 0"),
        folder.path(),
        2,
        &["steps: expected 1 to 10000, found 0"],
    );
    assert_eq!(names(folder.path()), ["net.safetensors"]);

    fs::create_dir(folder.path().join("out")).unwrap();
    fs::write(folder.path().join("out").join(SecurityRecord::NAME), "{}").unwrap();
    case("", 2, &["attack.json", "expected a folder without one"]);
}
