//! What a run folder refuses, and in which words.

use crate::fake::*;
use std::fs;
use synfilter::sweep::plan::{TargetPlan, resolve_layers};
use synfilter::sweep::*;

#[test]
fn merge_refuses_what_does_not_belong_together() {
    let root = scratch();
    let [a, b, c] = ["a", "b", "c"].map(|name| root.path().join(name));
    let half = |index: usize| Shard::all(2).nth(index).unwrap();
    sweep_until(job(&a, half(0), false), &mut plan(15), usize::MAX).0.unwrap();
    sweep_until(job(&b, half(1), false), &mut plan(16), usize::MAX).0.unwrap();
    let mut other = settings(Scope::Layer);
    other.eps = 0.25;
    sweep_until(job(&c, half(1), false), &mut plan_with(other, 15), usize::MAX).0.unwrap();

    let out = root.path().join("out");
    for (part, expected) in
        [(&b, "image block: expected 15, found 16"), (&c, "eps: expected 0.03137254901960784, found 0.25")]
    {
        let error = merge(&[a.clone(), part.clone()], &out, provenance()).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(&format!("{}: another configuration than {}", part.display(), a.display())));
        assert!(text.ends_with(expected), "{text}");
        assert_eq!((error.exit_code(), out.exists()), (2, false));
    }
}

#[test]
fn a_folder_holds_one_configuration() {
    let folder = scratch();
    sweep_all(folder.path(), &mut plan(20), false);
    let before = fs::read(journal(folder.path())).unwrap();

    let mut other = settings(Scope::Layer);
    other.thresholds = 4;
    for resume in [false, true] {
        let mut plan = plan_with(other.clone(), 20);
        let text = usage(sweep_until(job(folder.path(), Shard::WHOLE, resume), &mut plan, 0).0);
        assert!(
            text.ends_with("holds a run with another configuration: thresholds: expected 4, found 3"),
            "{text}"
        );
    }
    let text = usage(sweep_until(job(folder.path(), Shard::WHOLE, false), &mut plan(20), 0).0);
    assert!(text.contains("journal-1-of-1.jsonl") && text.contains("pass --resume"), "{text}");
    let half = Shard::all(2).next().unwrap();
    let text = usage(sweep_until(job(folder.path(), half, false), &mut plan(20), 0).0);
    assert!(text.contains("holds shard 1/1") && text.contains("pass --resume"), "{text}");
    assert_eq!(fs::read(journal(folder.path())).unwrap(), before);

    // Another block size is no other configuration: the stored one is used.
    let mut plan = plan(5);
    sweep_all(folder.path(), &mut plan, true);
    assert_eq!(plan.block, 20);
    assert_eq!(fs::read(journal(folder.path())).unwrap(), before);
}

#[test]
fn damaged_runs_are_named() {
    let folder = scratch();
    sweep_all(folder.path(), &mut plan(20), false);
    let text = fs::read_to_string(journal(folder.path())).unwrap();
    let hash = plan(20).hash;
    let lines: Vec<&str> = text.lines().collect();
    let with_line_3 = |line: &str| [&lines[..2], &[line], &lines[3..]].concat().join("\n") + "\n";
    let zeros = "0".repeat(64);
    for (damaged, expected) in [
        (
            text.replacen(&hash, &zeros, 1),
            format!("line 1: expected configuration {hash}, found configuration {zeros}"),
        ),
        (with_line_3("{"), "line 3: expected a finished unit, found EOF while parsing".to_owned()),
        (
            with_line_3(&lines[2].replace("[3,23]", "[3,22]")),
            "line 3: expected a unit of this plan".to_owned(),
        ),
        (
            with_line_3(&lines[2].replace("\"variant\":1,", "\"variant\":9,")),
            "line 3: expected variants [".to_owned(),
        ),
        (
            with_line_3(&lines[2].replacen("\"clean\":\"", "\"clean\":\"00", 1)),
            "line 3: expected 20 bits".to_owned(),
        ),
    ] {
        fs::write(journal(folder.path()), &damaged).unwrap();
        let (result, measured) = sweep_until(job(folder.path(), Shard::WHOLE, true), &mut plan(20), 0);
        let error = result.unwrap_err();
        assert!(error.to_string().contains(&expected), "{error}\n{expected}");
        assert_eq!((error.exit_code(), measured), (3, 0));
        assert_eq!(fs::read_to_string(journal(folder.path())).unwrap(), damaged);
    }

    // Two journals that contradict one another.
    fs::write(journal(folder.path()), &text).unwrap();
    let flipped = lines[0].replacen("\"loss_clean\":", "\"loss_clean\":1", 1) + "\n";
    fs::write(folder.path().join("journal-1-of-2.jsonl"), flipped).unwrap();
    let error = sweep_until(job(folder.path(), Shard::WHOLE, true), &mut plan(20), 0).0.unwrap_err();
    assert!(error.to_string().contains("journal-1-of-2.jsonl: byte 0: expected the result that"), "{error}");

    let run = fs::read_to_string(folder.path().join("run.json")).unwrap();
    fs::write(folder.path().join("run.json"), run.replace("\"thresholds\": 3", "\"thresholds\": 4")).unwrap();
    let error = sweep_until(job(folder.path(), Shard::WHOLE, true), &mut plan(20), 0).0.unwrap_err();
    assert!(error.to_string().contains("run.json: hash: expected"), "{error}");
    fs::write(folder.path().join("run.json"), &run[..run.len() / 2]).unwrap();
    let error = sweep_until(job(folder.path(), Shard::WHOLE, true), &mut plan(20), 0).0.unwrap_err();
    assert!(error.to_string().contains("run.json: content: expected the settings of a run"), "{error}");
}

#[test]
fn one_process_writes_a_shard() {
    let folder = scratch();
    let first = RunDir::open(folder.path(), &mut plan(20), Shard::WHOLE, false, provenance(), None).unwrap();
    let error = sweep_until(job(folder.path(), Shard::WHOLE, true), &mut plan(20), 0).0.unwrap_err();
    assert!(
        error.to_string().ends_with("journal-1-of-1.jsonl: another process is writing this shard"),
        "{error}"
    );
    drop(first);
    sweep_all(folder.path(), &mut plan(20), true);
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let folder = scratch();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = sweep_until(job(&file.join("run"), Shard::WHOLE, false), &mut plan(20), 0).0.unwrap_err();
    assert!(error.to_string().contains("file/run: cannot write"), "{error}");
    assert_eq!(error.exit_code(), 1);
}

#[test]
fn settings_that_cannot_be_are_refused() {
    type Change = fn(&mut SweepSettings, &mut usize);
    let changes: [(Change, &str); 8] = [
        (
            |s, _| s.checkpoints[1] = s.checkpoints[0].clone(),
            "plan: expected each checkpoint once, found 0000",
        ),
        (|s, _| s.images = [5, 5], "images: expected at least one, found 5 to 5"),
        (|s, _| s.eps = -0.1, "eps: expected 0 to 1, found -0.1"),
        (|s, _| s.eps = f64::NAN, "eps: expected 0 to 1, found NaN"),
        (|_, block| *block = 0, "image block: expected at least one image, found 0"),
        (|s, _| s.bn = BnMode::Batch, "image block: expected a multiple of 100"),
        (|s, _| s.layers.truncate(1), "plan: checkpoint 0: expected layers"),
        (|s, _| s.checkpoints.truncate(1), "plan: expected 1 checkpoints (at least one), found 2"),
    ];
    for (change, expected) in changes {
        let (mut settings, mut block) = (settings(Scope::Layer), 20);
        change(&mut settings, &mut block);
        let error = SweepPlan::new(settings, block, plan(20).checkpoints).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
    let wanted = |layers: &[&str]| layers.iter().map(|layer| layer.to_string()).collect::<Vec<_>>();
    let resolve = |scope, layers: &[&str]| {
        resolve_layers(scope, Some(&wanted(layers)), &LAYERS).map_err(|error| error.to_string())
    };
    assert_eq!(
        resolve(Scope::Layer, &["fc.weight", "conv1.weight"]),
        Ok(wanted(&["conv1.weight", "fc.weight"]))
    );
    for (scope, layers, expected) in [
        (
            Scope::Layer,
            &["fc"][..],
            "unknown layer \"fc\": expected one of conv1.weight, layer1.0.conv1.weight, fc",
        ),
        (Scope::Layer, &["fc.weight", "fc.weight"], "layers: expected each once, found fc.weight twice"),
        (Scope::Layer, &[], "layers: expected at least one, found none"),
        (Scope::Network, &["fc.weight"], "layers: network scope filters all layers at once"),
        (Scope::Channel, &["fc"], "unknown layer \"fc\""),
    ] {
        let error = resolve(scope, layers).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    let error = resolve_layers(Scope::Channel, None, &LAYERS).unwrap_err();
    assert!(error.to_string().starts_with("layers: channel scope filters one output channel"), "{error}");

    // Channels that are missing, repeated or in another order are no plan of these settings.
    let sound = plan_with(settings(Scope::Channel), 20).checkpoints;
    let damages: [fn(&mut Vec<TargetPlan>); 4] = [
        |targets| drop(targets.remove(0)),
        |targets| drop(targets.remove(2)),
        |targets| targets.insert(3, targets[3].clone()),
        |targets| targets[6].channel = None,
    ];
    for damage in damages {
        let mut plans = sound.clone();
        damage(&mut plans[0].targets);
        let error = SweepPlan::new(settings(Scope::Channel), 20, plans).unwrap_err().to_string();
        assert!(error.starts_with("plan: checkpoint 0: expected layers"), "{error}");
    }
    for shard in ["0/3", "4/3", "1/0", "1", "a/b", "", "-1/2", "1/2/3"] {
        assert_eq!(shard.parse::<Shard>().unwrap_err().exit_code(), 2, "{shard}");
    }
    assert_eq!("2/3".parse::<Shard>().unwrap().to_string(), "2/3");
}
