//! Sampled sweeps by the program: real kernels, on images in another order.

use crate::support::*;
use std::path::Path;
use synfilter::score::{Options, score_run};
use synfilter::sweep::Record;
use synfilter::sweep::export::{CELLS_PARQUET, read_cells};

const SWEEP: &str = "sweep --dataset digits --checkpoint {}/net.safetensors --images 300 --thresholds 5 --eps 0.1 \
                     --layers conv1.0.weight,stage3.0.branch2.3.weight,fc.weight";

fn records(run: &Path) -> Vec<Record> {
    read_cells(&run.join(CELLS_PARQUET)).unwrap().1
}

#[test]
fn what_is_measured_is_what_a_full_sweep_measures() {
    let folder = folder_with_net();
    run(&format!("{SWEEP} --out {{}}/full"), folder.path());
    run(&format!("{SWEEP} --thin 2 --order-seed 9 --out {{}}/thin"), folder.path());
    let [full, thin] = ["full", "thin"].map(|name| folder.path().join(name));
    let (mut seen_in_all, mut of_filtered) = (vec![false; 300], 0);
    for (full, thin) in records(&full).iter().zip(&records(&thin)) {
        let seen: Vec<bool> = thin.seen.as_ref().unwrap().iter().collect();
        let of_seen = |bits: &synfilter::sweep::Bits| {
            bits.iter().zip(&seen).filter(|(_, seen)| **seen).map(|(bit, _)| bit).collect::<Vec<_>>()
        };
        assert!(thin.clean.iter().eq(of_seen(&full.clean)) && thin.adv.iter().eq(of_seen(&full.adv)));
        if thin.cell.kept < thin.cell.total {
            of_filtered += thin.cell.images;
            seen_in_all.iter_mut().zip(seen).for_each(|(all, seen)| *all |= seen);
        }
    }
    assert!(seen_in_all.iter().all(|seen| *seen));
    let filtered = records(&full).iter().filter(|record| record.cell.kept < record.cell.total).count();
    let share = of_filtered as f64 / (300 * filtered) as f64;
    assert!((0.4..0.6).contains(&share), "{share}");

    let told = run("score {}/thin", folder.path());
    let sentence = "every filtered network on one in 2 of 300 images, in the order of seed 9\n";
    assert!(told.contains(sentence), "{told}");
    let document = json("score {}/thin", folder.path());
    assert_eq!(document["runs"][0]["sampling"]["thin"], 2);
    assert!(document["runs"][0]["scores"][0]["score_clean"].is_f64());
    assert!(json("score {}/full", folder.path())["runs"][0].get("sampling").is_none());
    // Estimates of the same scores.
    let [full, thin] = [full, thin].map(|run| score_run(&run, Options::default()).unwrap().scores);
    for (full, thin) in full.iter().zip(&thin) {
        let (a, b) = (full.score_adv.unwrap(), thin.score_adv.unwrap());
        assert!(
            (a - b).abs() < 5.0 * thin.se_adv.unwrap() + 1e-9,
            "{a} ± {:?}, {b} ± {:?}",
            full.se_adv,
            thin.se_adv
        );
    }
    // What else reads a sweep.
    let dry = json(&format!("{SWEEP} --thin 2 --order-seed 9 --dry-run"), folder.path());
    assert!(dry["network_images"].as_u64().unwrap() > of_filtered as u64 / 2);
    run("report {}/thin --out {}/report", folder.path());
}

#[test]
fn samples_that_cannot_be_are_refused() {
    let folder = folder_with_net();
    let refused = |flags: &str, needle: &str| {
        refused(&format!("{SWEEP} --out {{}}/run {flags}"), folder.path(), 2, &[needle]);
    };
    refused("--thin 3", "thin: expected a power of two from 1 to 64, found 3");
    refused("--thin 1", "thin: expected 2, 4, 8, 16, 32 or 64, found 1");
    refused("--thin 8", "thin 8: expected at least 512 images, 64 for every network, found 300");
    refused("--thin 2 --bn batch", "expected bn running, found batch");
    refused("--order-seed 1", "--thin");
}
