//! Sampled sweeps: each cell is what the full sweep has of the images that it names, however the work is cut up.

use crate::fake::*;
use std::fs;
use std::path::Path;
use synfilter::score::{Options, score_records};
use synfilter::statistics::{Sample, Seen};
use synfilter::sweep::export::{CELLS_PARQUET, read_cells};
use synfilter::sweep::*;

/// Ten slabs, of which the last is short.
const IMAGES: usize = 9 * 64 + 20;

fn thinned(thin: usize) -> SweepSettings {
    let sampling = Some(Sampling { order_seed: 5, thin });
    SweepSettings { images: [0, IMAGES], thresholds: 7, sampling, ..settings(Scope::Layer) }
}

fn swept(settings: SweepSettings, block: usize) -> tempfile::TempDir {
    let folder = scratch();
    sweep_all(folder.path(), &mut plan_with(settings, block), false);
    folder
}

fn records(folder: &Path) -> Vec<Record> {
    read_cells(&folder.join(CELLS_PARQUET)).unwrap().1
}

#[test]
fn cells_are_the_full_sweeps_on_the_images_that_they_name() {
    let full = records(swept(SweepSettings { sampling: None, ..thinned(4) }, 1000).path());
    let folder = swept(thinned(4), 1000);
    let found = records(folder.path());
    assert_eq!(found.len(), full.len());
    let sample = Sample::new(IMAGES, 4).unwrap();
    let order = Order::new(5, IMAGES);
    let mut ever_seen = vec![false; IMAGES];
    for (found, full) in found.iter().zip(&full) {
        let of = &found.cell;
        assert_eq!((of.pool, of.thin, of.order_seed), (Some(IMAGES), Some(4), Some(5)));
        assert_eq!((of.kept, of.k, &of.layer), (full.cell.kept, full.cell.k, &full.cell.layer));
        let seen: Vec<bool> = found.seen.as_ref().unwrap().iter().collect();
        let part = |bits: &Bits| {
            bits.iter().zip(&seen).filter(|(_, seen)| **seen).map(|(bit, _)| bit).collect::<Vec<_>>()
        };
        assert!(found.clean.iter().eq(part(&full.clean)) && found.adv.iter().eq(part(&full.adv)));
        assert_eq!(of.images, found.clean.len());
        if of.kept == of.total {
            assert_eq!(of.images, IMAGES);
            continue;
        }
        // The images of some threshold: its own, or that of the first cell that is the same network.
        let sees = |v: usize| {
            let mut expected = vec![false; IMAGES];
            sample.saw(Seen::Variant(v)).for_each(|position| expected[order.files()[position]] = true);
            expected == seen
        };
        assert!((0..=of.k.unwrap()).any(sees) || (0..7).any(sees), "{of:?}");
        ever_seen.iter_mut().zip(&seen).for_each(|(ever, seen)| *ever |= seen);
    }
    assert!(ever_seen.iter().all(|seen| *seen));
    // Its scores are estimates of the full sweep's.
    let scores = |records: &[Record]| score_records(records, Options::default(), folder.path()).unwrap();
    for (found, full) in scores(&found).iter().zip(&scores(&full)) {
        let (a, b, se) = (found.score_clean.unwrap(), full.score_clean.unwrap(), found.se_clean.unwrap());
        assert!((a - b).abs() <= 5.0 * se + 1e-12, "{a} ± {se}, {b}");
        assert_eq!(se > 1e-9, full.se_clean.unwrap() > 1e-9);
    }
}

#[test]
fn plans_say_what_a_sample_costs() {
    let counts = |sampling| {
        let settings = SweepSettings { sampling, thresholds: 25, ..thinned(4) };
        plan_with(settings, 1000).counts(Shard::WHOLE)
    };
    let (full, part) = (counts(None), counts(Some(Sampling { order_seed: 0, thin: 8 })));
    assert_eq!((full.cells, full.distinct), (part.cells, part.distinct));
    let networks = full.network_images - 2 * IMAGES as u64;
    let share = (part.network_images - 2 * IMAGES as u64) as f64 / networks as f64;
    assert!((share - 0.125).abs() < 0.03, "{share}");
}

#[test]
fn nothing_depends_on_how_the_work_is_cut_up() {
    let reference = tables(swept(thinned(4), 1000).path());
    for block in [64, 100, 128] {
        assert!(tables(swept(thinned(4), block).path()) == reference, "block {block}");
    }
    let root = scratch();
    let mut parts = Vec::new();
    for shard in Shard::all(3) {
        let part = root.path().join(format!("part{}", shard.index()));
        // Every shard dies once and is taken up.
        sweep_until(job(&part, shard, false), &mut plan_with(thinned(4), 64), 9).0.unwrap_err();
        sweep_until(job(&part, shard, true), &mut plan_with(thinned(4), 64), usize::MAX).0.unwrap();
        parts.push(part);
    }
    let merged = root.path().join("merged");
    merge(&parts, &merged, provenance()).unwrap();
    assert!(tables(&merged) == reference);
    assert!(tables(swept(thinned(2), 1000).path()) != reference);
}

#[test]
fn other_samples_do_not_mix() {
    let folder = swept(thinned(4), 1000);
    let other = |change: fn(&mut Sampling)| {
        let mut settings = thinned(4);
        settings.sampling.iter_mut().for_each(change);
        usage(sweep_until(job(folder.path(), Shard::WHOLE, true), &mut plan_with(settings, 1000), 0).0)
    };
    assert!(other(|of| of.thin = 2).ends_with("sampling.thin: expected 2, found 4"));
    assert!(other(|of| of.order_seed = 0).ends_with("sampling.order_seed: expected 0, found 5"));
    let whole = SweepSettings { sampling: None, ..thinned(4) };
    let text = usage(sweep_until(job(folder.path(), Shard::WHOLE, true), &mut plan_with(whole, 1000), 0).0);
    assert!(text.contains("sampling: expected null, found {"), "{text}");

    // Cells whose bits are of other images than their sample's.
    let path = folder.path().join(CELLS_PARQUET);
    let mut damaged = records(folder.path());
    let at = damaged.iter().position(|record| record.cell.images < IMAGES).unwrap();
    damaged[at].seen = damaged[at].seen.as_ref().map(|seen| {
        let mut bits: Vec<bool> = seen.iter().collect();
        bits.rotate_left(1);
        bits.into_iter().collect()
    });
    let error = score_records(&damaged, Options::default(), &path).unwrap_err();
    assert!(
        error.to_string().contains("bits_seen: expected the images that a sample of one in 4 takes"),
        "{error}"
    );
    assert_eq!(error.exit_code(), 3);
}

#[test]
fn samples_that_cannot_be_are_refused() {
    let refused = |sampling: Sampling, bn| {
        let settings = SweepSettings { sampling: Some(sampling), bn, ..thinned(4) };
        let checkpoints = plan_with(thinned(4), 100).checkpoints;
        let error = SweepPlan::new(settings, 100, checkpoints).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    };
    let sampling = |thin| Sampling { order_seed: 0, thin };
    assert_eq!(refused(sampling(3), BnMode::Running), "thin: expected a power of two from 1 to 64, found 3");
    assert!(
        refused(sampling(1), BnMode::Running).starts_with("thin: expected 2, 4, 8, 16, 32 or 64, found 1")
    );
    assert_eq!(
        refused(sampling(16), BnMode::Running),
        "thin 16: expected at least 1024 images, 64 for every network, found 596"
    );
    assert!(refused(sampling(4), BnMode::Batch).contains("expected bn running, found batch"));
    // A sample is no part of the folders of sweeps without one.
    let plain = swept(SweepSettings { images: [0, 40], sampling: None, ..thinned(4) }, 100);
    assert!(!fs::read_to_string(plain.path().join("run.json")).unwrap().contains("sampling"));
}
