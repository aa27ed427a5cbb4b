//! However a sweep is cut up, stopped and taken up again, its results are the same.

use crate::fake::*;
use std::cell::Cell as Counter;
use std::collections::HashSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use synfilter::Result;
use synfilter::filter::Mask;
use synfilter::sweep::export::{CELLS_JSONL, CELLS_PARQUET, HASH_KEY, read_cells};
use synfilter::sweep::plan::Unit;
use synfilter::sweep::*;

#[test]
fn cells_are_what_the_networks_did() {
    for (scope, targets) in [(Scope::Layer, 3), (Scope::Network, 1), (Scope::Channel, 7)] {
        let folder = scratch();
        let mut plan = plan_with(settings(scope), 10);
        let (result, measured) = sweep_until(job(folder.path(), Shard::WHOLE, false), &mut plan, usize::MAX);
        let finished = result.unwrap();
        let counts = plan.counts(Shard::WHOLE);
        assert_eq!((finished.units, finished.missing), (counts.units, 0));
        // Every distinct network once per block, no other.
        assert_eq!(measured, counts.distinct * plan.blocks().len());
        assert_eq!(counts.network_images, counts.distinct as u64 * 37);

        let (metadata, records) = read_cells(&folder.path().join(CELLS_PARQUET)).unwrap();
        assert_eq!(metadata[HASH_KEY], plan.hash);
        assert_eq!((finished.cells, counts.cells), (Some(records.len()), records.len()));
        assert_eq!(records.len(), 2 * (1 + targets * 9));
        let lines = tables(folder.path()).0;
        assert!(records.iter().map(|record| serde_json::to_string(&record.cell).unwrap()).eq(lines.lines()));

        for (at, record) in records.iter().enumerate() {
            let cell = &record.cell;
            let checkpoint = at / (1 + targets * 9);
            assert_eq!(cell.epoch, Some(10 * (checkpoint as u32 + 1)));
            let weights = weights(checkpoint);
            assert_eq!(cell.layer.as_deref(), cell.layer_index.map(|index| LAYERS[index]));
            assert_eq!(cell.channel.is_some(), scope == Scope::Channel && cell.filter.is_some());
            let (all, target) = match (cell.layer_index, cell.channel) {
                (Some(index), None) => (weights[index].clone(), Target::Layer(index)),
                (Some(layer), Some(channel)) => {
                    let size = weights[layer].len() / OUTPUTS[layer];
                    let own = weights[layer][channel * size..][..size].to_vec();
                    (own, Target::Channel { layer, channel })
                }
                _ => (weights.iter().flatten().copied().collect::<Vec<f32>>(), Target::Network),
            };
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
                    && (&other.cell.layer, other.cell.channel) == (&cell.layer, cell.channel)
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
fn channels_are_cut_up_like_layers() {
    let plan = |block| plan_with(settings(Scope::Channel), block);
    let root = scratch();
    let whole = root.path().join("whole");
    let finished = sweep_all(&whole, &mut plan(1000), false);
    // Two checkpoints; the channels of the two layers that were named, and the unfiltered network.
    assert_eq!(finished.units, 2 * (5 + 2 + 1));
    let names: Vec<String> = plan(20).checkpoints[1].targets.iter().map(|target| target.name()).collect();
    assert_eq!((&*names[4], &*names[5]), ("layer1.0.conv1.weight channel 4", "fc.weight channel 0"));
    let first = plan(20).units()[1].clone();
    let described = plan(20).describe(&first);
    assert_eq!(described, "checkpoint 0, images 3..23, layer layer1.0.conv1.weight channel 0");

    let mut parts = Vec::new();
    for shard in Shard::all(3) {
        let part = root.path().join(format!("part{}", shard.index()));
        // Every shard dies once and is taken up.
        sweep_until(job(&part, shard, false), &mut plan(15), 20).0.unwrap_err();
        sweep_until(job(&part, shard, true), &mut plan(15), usize::MAX).0.unwrap();
        parts.push(part);
    }
    let merged = root.path().join("merged");
    assert_eq!(merge(&parts, &merged, provenance()).unwrap(), 2 * (1 + 7 * 9));
    assert!(tables(&merged) == tables(&whole));
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
        Ok(Box::new(Fake {
            checkpoint,
            laid: None,
            block: None,
            target: None,
            measured: &measured,
            fail_after,
        }))
    };
    let mut last = (0, 0);
    let mut progress = |progress: &SweepProgress| {
        assert!(last <= (progress.units_done, progress.network_images_done));
        last = (progress.units_done, progress.network_images_done);
        // In the middle of the third unit.
        if progress.units_done == 2 && progress.unit.target == Some(1) {
            interrupted.store(true, Ordering::Relaxed);
        }
    };
    let mut plan = plan(20);
    let result = sweep(job(folder.path(), Shard::WHOLE, false), &mut plan, &mut open, &mut progress, &|| {
        interrupted.load(Ordering::Relaxed)
    });
    assert_eq!(result.unwrap_err().exit_code(), 130);
    assert_eq!(last.0, 2);
    assert_eq!(fs::read_to_string(journal(folder.path())).unwrap().lines().count(), 2);

    let (mut first, mut last) = (None, None);
    let mut progress = |progress: &SweepProgress| {
        first.get_or_insert(progress.units_done);
        last = Some((
            progress.units_done,
            progress.units,
            progress.network_images_done,
            progress.network_images,
        ));
    };
    sweep(job(folder.path(), Shard::WHOLE, true), &mut plan, &mut open, &mut progress, &|| false).unwrap();
    let (units_done, units, done, all) = last.unwrap();
    assert_eq!((first, units_done, done), (Some(2), units, all));
    assert!(tables(folder.path()) == reference);
}
