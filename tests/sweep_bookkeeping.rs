//! The bookkeeping of sweeps, with a measure that makes its outcomes up from a hash: whatever happens to blocks,
//! shards, journals and processes, the finished tables are the same.

use std::cell::Cell as Counter;
use std::collections::HashSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use synfilter::filter::{FilterKind, Mask};
use synfilter::sweep::export::{CELLS_JSONL, CELLS_PARQUET, HASH_KEY, read_cells};
use synfilter::sweep::plan::{Unit, resolve_layers};
use synfilter::sweep::run::Job;
use synfilter::sweep::*;
use synfilter::{Error, Result};
use tempfile::TempDir;

const LAYERS: [&str; 3] = ["conv1.weight", "layer1.0.conv1.weight", "fc.weight"];

/// A network without arithmetic: every image's outcome is a hash of the checkpoint, the target, the mask and the
/// image. It insists on the order of calls that the trait promises.
struct Fake<'c> {
    checkpoint: usize,
    block: Option<Range<usize>>,
    target: Option<Target>,
    /// Networks measured so far, and after how many to fail.
    measured: &'c Counter<usize>,
    fail_after: usize,
}

impl Fake<'_> {
    fn outcome(&self, mask: &Mask) -> Result<Outcome> {
        if self.measured.get() >= self.fail_after {
            return Err(Error::Device("the device is gone".into()));
        }
        self.measured.set(self.measured.get() + 1);
        let block = self.block.clone().expect("begin_block comes first");
        Ok(block.fold(Outcome::default(), |mut outcome, image| {
            let (clean, adv) = fake_image(self.checkpoint, self.target, mask, image);
            outcome.push(clean, adv);
            outcome
        }))
    }
}

/// What the fake network does on one image: correct and loss, clean and adversarial.
fn fake_image(
    checkpoint: usize,
    target: Option<Target>,
    mask: &Mask,
    image: usize,
) -> ((bool, f32), (bool, f32)) {
    let target = match target {
        None => 1000,
        Some(Target::Network) => 1001,
        Some(Target::Layer(index)) => index as u64,
    };
    let bounds = u64::from(mask.lo.to_bits()) << 32 | u64::from(mask.hi.to_bits());
    let mut hash = 0x9e37_79b9_7f4a_7c15u64;
    for word in [checkpoint as u64, target, bounds, u64::from(mask.keep_inside), image as u64] {
        hash = (hash ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash ^= hash >> 32;
    }
    let loss = |bits: u64| (bits & 0xffff) as f32 / 4096.0;
    ((hash & 3 != 0, loss(hash >> 8)), (hash & 0x30 == 0, loss(hash >> 24)))
}

impl Measure for Fake<'_> {
    fn begin_block(&mut self, images: Range<usize>) -> Result<Outcome> {
        assert_eq!(self.target, None);
        self.block = Some(images);
        self.outcome(&Mask::ALL)
    }

    fn begin_target(&mut self, target: &Target) -> Result<()> {
        assert_eq!(self.target.replace(*target), None);
        Ok(())
    }

    fn variant(&mut self, mask: &Mask) -> Result<Outcome> {
        assert!(self.target.is_some());
        self.outcome(mask)
    }

    fn end_target(&mut self) -> Result<()> {
        assert!(self.target.take().is_some());
        Ok(())
    }
}

fn settings(scope: Scope) -> Settings {
    Settings {
        checkpoints: [10, 20]
            .map(|epoch| CheckpointId { sha256: format!("{epoch:064x}"), epoch: Some(epoch) })
            .to_vec(),
        arch: "resnet18".into(),
        graph: "graph".into(),
        dataset: "digits".into(),
        dataset_digest: "digest".into(),
        images: [3, 40],
        scope,
        layers: resolve_layers(scope, None, &LAYERS).unwrap(),
        filters: FilterKind::ALL.to_vec(),
        thresholds: 3,
        eps: 8.0 / 255.0,
        attack: AttackMode::Adaptive,
        clamp: true,
        bn: BnMode::Running,
        dtype: "f32".into(),
        backend: "cpu".into(),
        version: "0.1.0".into(),
    }
}

/// A new folder, in memory where the system has such a place: the tests flush to the disk thousands of times.
fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Weights of the filterable tensors of checkpoint 0 or 1; the last tensor has one value only.
fn weights(checkpoint: usize) -> [Vec<f32>; 3] {
    let spread = |n: usize, seed: usize| {
        (0..n).map(|at| ((at * 37 + seed * 11 + checkpoint * 5) % 101) as f32 / 50.0 - 1.0).collect()
    };
    [spread(20, 1), spread(50, 2), vec![0.5; 4]]
}

fn plan_with(settings: Settings, block: usize) -> Plan {
    let checkpoints = (0..settings.checkpoints.len()).map(|checkpoint| {
        let weights = weights(checkpoint);
        let tensors: Vec<(&str, &[f32])> =
            LAYERS.iter().zip(&weights).map(|(name, weights)| (*name, weights.as_slice())).collect();
        CheckpointPlan::of(&settings, &tensors, Path::new("net.safetensors")).unwrap()
    });
    let checkpoints = checkpoints.collect();
    Plan::new(settings, block, checkpoints).unwrap()
}

fn plan(block: usize) -> Plan {
    plan_with(settings(Scope::Layer), block)
}

fn provenance() -> Provenance {
    Provenance {
        version: "0.1.0".into(),
        command: ["synfilter", "sweep"].map(String::from).to_vec(),
        ..Provenance::default()
    }
}

fn job(folder: &Path, shard: Shard, resume: bool) -> Job<'_> {
    Job { folder, shard, resume, provenance: provenance() }
}

/// Sweeps with the fake; stops it after `fail_after` networks. Returns how many it measured, too.
fn sweep_until(job: Job<'_>, plan: &mut Plan, fail_after: usize) -> (Result<Finished>, usize) {
    let measured = Counter::new(0);
    let mut open = |checkpoint| -> Result<Box<dyn Measure + '_>> {
        Ok(Box::new(Fake { checkpoint, block: None, target: None, measured: &measured, fail_after }))
    };
    let result = sweep(job, plan, &mut open, &mut |_| {}, &AtomicBool::new(false));
    (result, measured.get())
}

fn sweep_all(folder: &Path, plan: &mut Plan, resume: bool) -> Finished {
    sweep_until(job(folder, Shard::WHOLE, resume), plan, usize::MAX).0.unwrap()
}

/// Both finished tables.
fn tables(folder: &Path) -> (String, Vec<u8>) {
    (fs::read_to_string(folder.join(CELLS_JSONL)).unwrap(), fs::read(folder.join(CELLS_PARQUET)).unwrap())
}

/// The tables of an uninterrupted run in one block.
fn reference() -> (String, Vec<u8>) {
    let folder = scratch();
    sweep_all(folder.path(), &mut plan(1000), false);
    tables(folder.path())
}

fn journal(folder: &Path) -> PathBuf {
    folder.join("journal-1-of-1.jsonl")
}

fn usage(result: Result<Finished>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    error.to_string()
}

#[test]
fn cells_are_what_the_networks_did() {
    for scope in [Scope::Layer, Scope::Network] {
        let folder = scratch();
        let mut plan = plan_with(settings(scope), 10);
        let (result, measured) = sweep_until(job(folder.path(), Shard::WHOLE, false), &mut plan, usize::MAX);
        let finished = result.unwrap();
        let counts = plan.counts(Shard::WHOLE);
        assert_eq!((finished.units, finished.missing), (counts.units, 0));
        // Every distinct network once per block, no other.
        assert_eq!(measured, counts.distinct * plan.blocks().count());
        assert_eq!(counts.network_images, counts.distinct as u64 * 37);

        let (metadata, records) = read_cells(&folder.path().join(CELLS_PARQUET)).unwrap();
        assert_eq!(metadata[HASH_KEY], plan.hash);
        assert_eq!((finished.cells, counts.cells), (Some(records.len()), records.len()));
        let targets = if scope == Scope::Layer { 3 } else { 1 };
        assert_eq!(records.len(), 2 * (1 + targets * 9));
        let lines = tables(folder.path()).0;
        assert!(records.iter().map(|record| serde_json::to_string(&record.cell).unwrap()).eq(lines.lines()));

        for (at, record) in records.iter().enumerate() {
            let cell = &record.cell;
            let checkpoint = at / (1 + targets * 9);
            assert_eq!(cell.epoch, Some(10 * (checkpoint as u32 + 1)));
            let weights = weights(checkpoint);
            let (tensors, target) = match cell.layer_index {
                Some(index) => {
                    assert_eq!(cell.layer.as_deref(), Some(LAYERS[index]));
                    (&weights[index..=index], Target::Layer(index))
                }
                None => (&weights[..], Target::Network),
            };
            let all = tensors.iter().flatten().copied().collect::<Vec<f32>>();
            let Some(filter) = cell.filter else {
                assert_eq!(
                    (cell.k, cell.alpha, &cell.layer, cell.kept, cell.total),
                    (None, None, &None, 74, 74)
                );
                let expected = (3..40).map(|image| fake_image(checkpoint, None, &Mask::ALL, image).0.0);
                assert!(record.clean.iter().eq(expected));
                continue;
            };
            let min = all.iter().copied().fold(f32::INFINITY, f32::min);
            let max = all.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let mask = Mask::new(filter, cell.alpha.unwrap(), (max - min) / 6.0);
            let kept = |mask: &Mask| all.iter().map(|w| mask.keeps(*w)).collect::<Vec<bool>>();
            assert_eq!(
                (cell.total, cell.kept),
                (all.len() as u64, kept(&mask).iter().filter(|&&kept| kept).count() as u64)
            );
            // The network that stands for this cell: the first one that keeps the same weights.
            let of_target = records[..=at].iter().filter(|other| {
                other.cell.checkpoint == cell.checkpoint
                    && other.cell.filter.is_some()
                    && other.cell.layer == cell.layer
            });
            let stands = of_target
                .map(|other| {
                    Mask::new(other.cell.filter.unwrap(), other.cell.alpha.unwrap(), (max - min) / 6.0)
                })
                .find(|other| kept(other) == kept(&mask))
                .unwrap();
            let (target, mask) =
                if kept(&mask).contains(&false) { (Some(target), stands) } else { (None, Mask::ALL) };
            let images: Vec<_> = (3..40).map(|image| fake_image(checkpoint, target, &mask, image)).collect();
            assert!(record.clean.iter().eq(images.iter().map(|image| image.0.0)));
            assert!(record.adv.iter().eq(images.iter().map(|image| image.1.0)));
            assert_eq!(cell.correct_adv, images.iter().filter(|image| image.1.0).count());
            // Losses that are multiples of 2^-12 are summed without rounding.
            let loss = images.iter().map(|image| f64::from(image.1.1)).sum::<f64>() / 37.0;
            assert!((cell.loss_adv.unwrap() - loss).abs() < 1e-12);
        }
    }
}

#[test]
fn equal_networks_are_measured_once() {
    let plan = plan(10);
    // fc.weight has one value only: high-pass and low-pass drop all of it, pulse nothing.
    let fc = &plan.checkpoints[0].targets[2].census;
    assert_eq!(fc.distinct(), [0]);
    assert_eq!(fc.same_as[6..], [None; 3]);
    let counts = plan.counts(Shard::WHOLE);
    assert_eq!(counts.cells, 2 * 28);
    assert!(counts.distinct < counts.cells);
}

#[test]
fn block_size_does_not_change_a_byte() {
    let reference = reference();
    for block in [1, 7, 8, 36, 37, 38] {
        let folder = scratch();
        sweep_all(folder.path(), &mut plan(block), false);
        assert!(tables(folder.path()) == reference, "block {block}");
    }
}

#[test]
fn shards_of_one_folder_finish_together() {
    let reference = reference();
    for count in [2, 3, 7, 50] {
        let folder = scratch();
        let shards: Vec<Shard> = Shard::all(count).collect();
        let mut seen = HashSet::new();
        for (at, shard) in shards.iter().rev().enumerate() {
            let mut plan = plan(15);
            for unit in plan.shard_units(*shard) {
                assert!(seen.insert(unit));
            }
            let (finished, _) = sweep_until(job(folder.path(), *shard, false), &mut plan, usize::MAX);
            let finished = finished.unwrap();
            assert_eq!(finished.cells.is_some(), finished.missing == 0);
            assert_eq!(finished.missing, plan.units().len() - seen.len(), "{at}");
        }
        assert!(tables(folder.path()) == reference, "{count} shards");
    }
}

#[test]
fn merged_shards_are_one_run() {
    let reference = reference();
    let root = scratch();
    let mut parts = Vec::new();
    for shard in Shard::all(3) {
        let part = root.path().join(format!("part{}", shard.index()));
        let (finished, _) = sweep_until(job(&part, shard, false), &mut plan(15), usize::MAX);
        assert_eq!(finished.unwrap().cells, None);
        assert!(!part.join(CELLS_JSONL).exists());
        parts.push(part);
    }
    let out = root.path().join("merged");

    // Without the second shard: named, counted, nothing written.
    let error = merge(&[parts[0].clone(), parts[2].clone()], &out, provenance()).unwrap_err();
    let text = error.to_string();
    let owed: Vec<Unit> = plan(15).shard_units("2/3".parse().unwrap());
    assert!(text.starts_with(&format!("{} of 24 units are missing: ", owed.len())), "{text}");
    assert!(text.contains(&plan(15).describe(&owed[0])), "{text}");
    assert!(text.ends_with("unfinished shards: 2/3 (no journal)"), "{text}");
    assert_eq!((error.exit_code(), out.exists()), (1, false));

    parts.reverse();
    assert_eq!(merge(&parts, &out, provenance()).unwrap(), 56);
    assert!(tables(&out) == reference);
    // What merge wrote is a run: it can be taken up, and there is nothing left to do.
    let (finished, measured) = sweep_until(job(&out, Shard::WHOLE, true), &mut plan(15), 0);
    assert_eq!((finished.unwrap().cells, measured), (Some(56), 0));
    let run = fs::read_to_string(out.join("run.json")).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&run).unwrap()["merged_from"][2]["command"][1],
        "sweep"
    );

    let text = merge(&parts, &out, provenance()).unwrap_err().to_string();
    assert!(text.ends_with("merged: expected a folder without a run, found one"), "{text}");
    let text = merge(&[], &out, provenance()).unwrap_err().to_string();
    assert_eq!(text, "merge: expected at least one run folder, found none");
    let text = merge(&[root.path().join("nowhere")], &out, provenance()).unwrap_err().to_string();
    assert!(text.ends_with("nowhere: expected the folder of a run, found no run.json"), "{text}");
}

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
fn a_journal_cut_anywhere_is_taken_up() {
    let small = || {
        let mut settings = settings(Scope::Layer);
        (settings.images, settings.thresholds) = ([0, 9], 2);
        plan_with(settings, 5)
    };
    let whole = scratch();
    sweep_all(whole.path(), &mut small(), false);
    let reference = tables(whole.path());
    let bytes = fs::read(journal(whole.path())).unwrap();
    let line_ends: Vec<usize> =
        bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
    let third_last = line_ends[line_ends.len() - 3];

    let folder = scratch();
    fs::copy(whole.path().join("run.json"), folder.path().join("run.json")).unwrap();
    for cut in third_last..=bytes.len() {
        fs::write(journal(folder.path()), &bytes[..cut]).unwrap();
        sweep_all(folder.path(), &mut small(), true);
        assert!(fs::read(journal(folder.path())).unwrap() == bytes, "cut at {cut}");
        assert!(tables(folder.path()) == reference, "cut at {cut}");
    }
    // Cut everywhere else: at line ends, and one byte to either side of them.
    for cut in
        line_ends.iter().flat_map(|end| [end - 1, *end, end + 1]).chain([0]).filter(|cut| *cut <= bytes.len())
    {
        fs::write(journal(folder.path()), &bytes[..cut]).unwrap();
        sweep_all(folder.path(), &mut small(), true);
        assert!(tables(folder.path()) == reference, "cut at {cut}");
    }
}

#[test]
fn a_failing_device_costs_one_unit() {
    let reference = reference();
    let folder = scratch();
    let (mut measured, mut attempts) = (0, 0);
    // Every attempt dies after 30 networks.
    loop {
        let (result, networks) =
            sweep_until(job(folder.path(), Shard::WHOLE, attempts > 0), &mut plan(20), 30);
        (measured, attempts) = (measured + networks, attempts + 1);
        match result {
            Ok(finished) => break assert_eq!(finished.cells, Some(56)),
            Err(error) => assert_eq!(error.exit_code(), 4),
        }
        assert!(!folder.path().join(CELLS_JSONL).exists());
    }
    assert!(attempts > 2);
    let once = plan(20).counts(Shard::WHOLE).distinct * 2;
    // A base run and at most the nine networks of one unit are measured again after each failure.
    assert!((once..=once + 10 * attempts).contains(&measured), "{measured} of {once} in {attempts} attempts");
    assert!(tables(folder.path()) == reference);
}

#[test]
fn an_interruption_keeps_what_is_finished() {
    let reference = reference();
    let folder = scratch();
    let measured = Counter::new(0);
    let interrupted = AtomicBool::new(false);
    let mut open = |checkpoint| -> Result<Box<dyn Measure + '_>> {
        let fail_after = usize::MAX;
        Ok(Box::new(Fake { checkpoint, block: None, target: None, measured: &measured, fail_after }))
    };
    let mut last = (0, 0);
    let mut progress = |progress: &Progress| {
        assert!(last <= (progress.units_done, progress.network_images_done));
        last = (progress.units_done, progress.network_images_done);
        // In the middle of the third unit.
        if progress.units_done == 2 && progress.unit.target == Some(1) {
            interrupted.store(true, Ordering::Relaxed);
        }
    };
    let mut plan = plan(20);
    let result =
        sweep(job(folder.path(), Shard::WHOLE, false), &mut plan, &mut open, &mut progress, &interrupted);
    assert_eq!(result.unwrap_err().exit_code(), 130);
    assert_eq!(last.0, 2);
    assert_eq!(fs::read_to_string(journal(folder.path())).unwrap().lines().count(), 2);

    let (mut first, mut last) = (None, None);
    let interrupted = AtomicBool::new(false);
    let mut progress = |progress: &Progress| {
        first.get_or_insert(progress.units_done);
        last = Some((
            progress.units_done,
            progress.units,
            progress.network_images_done,
            progress.network_images,
        ));
    };
    sweep(job(folder.path(), Shard::WHOLE, true), &mut plan, &mut open, &mut progress, &interrupted).unwrap();
    let (units_done, units, done, all) = last.unwrap();
    assert_eq!((first, units_done, done), (Some(2), units, all));
    assert!(tables(folder.path()) == reference);
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
    let first = RunDir::open(folder.path(), &mut plan(20), Shard::WHOLE, false, provenance()).unwrap();
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
    type Change = fn(&mut Settings, &mut usize);
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
        let error = Plan::new(settings, block, plan(20).checkpoints).unwrap_err();
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
    ] {
        let error = resolve(scope, layers).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    for shard in ["0/3", "4/3", "1/0", "1", "a/b", "", "-1/2", "1/2/3"] {
        assert_eq!(shard.parse::<Shard>().unwrap_err().exit_code(), 2, "{shard}");
    }
    assert_eq!("2/3".parse::<Shard>().unwrap().to_string(), "2/3");
}
