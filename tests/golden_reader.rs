//! The formula on both sides is one formula, and the golden files are whole and say what they must.

use common::compare::{Tolerance, compare};
use common::formula::{self, FORMULA_VERSION};
use common::golden::{Case, Check, Slack, manifest, networks};
use std::collections::BTreeSet;
use synfilter::models::Arch;

/// Filterable tensors, as the paper's tables count them.
const FILTERABLE: [(&str, usize); 7] = [
    ("resnet18", 21),
    ("resnet50", 54),
    ("squeezenet1_1", 26),
    ("shufflenet_v2_x1_0", 57),
    ("shufflenet_v2_x0_5", 57),
    ("mobilenet_v2", 53),
    ("densenet121", 121),
];

#[test]
fn the_formula_is_the_generators() {
    let manifest = manifest();
    assert_eq!(manifest.formula_version, FORMULA_VERSION);
    assert!(manifest.formula_samples.len() >= 5);
    for sample in &manifest.formula_samples {
        let hash = format!("{:016x}", formula::hash(&sample.name, sample.index));
        assert_eq!(hash, sample.hash, "hash of {:?} {}", sample.name, sample.index);
        assert_eq!(formula::uniform(&sample.name, sample.index).to_bits(), sample.u.to_bits());
    }
}

#[test]
fn tensors_of_the_formula_are_the_generators() {
    for sample in &manifest().tensor_samples {
        let tensor = match sample.kind.as_str() {
            "images" => formula::images(sample.salt, sample.shape[0], sample.shape[1], sample.shape[2]),
            _ => formula::parameter(&sample.name, &sample.shape, sample.bn_gain),
        };
        assert_eq!(tensor.len(), sample.shape.iter().product::<usize>());
        // Sums of f32 values in f64: exact but for the order, which both sides share.
        let check = Check::of(&tensor);
        for (j, (actual, expected)) in check.sums.iter().zip(sample.sums).enumerate() {
            let difference = (actual - expected).abs();
            assert!(difference <= 1e-10, "{} {}: sum {j}: {actual} and {expected}", sample.kind, sample.name);
        }
    }
}

#[test]
fn every_network_has_its_tensors() {
    let networks = networks();
    let known: BTreeSet<&str> = Arch::ALL.into_iter().map(Arch::name).collect();
    assert_eq!(networks.keys().map(String::as_str).collect::<BTreeSet<_>>(), known);
    for (arch, count) in FILTERABLE {
        assert_eq!(networks[arch].filterable_count, count, "{arch}");
    }
    for (arch, network) in &networks {
        let weights = network.parameters.iter().filter(|entry| entry.shape.len() > 1).count();
        assert_eq!([network.filterable_count, network.filterable.len()], [weights; 2], "{arch}");
        for name in &network.filterable {
            let entry = network.parameters.iter().find(|entry| entry.name == *name);
            let dimensions = entry.unwrap_or_else(|| panic!("{arch}: {name} is no parameter")).shape.len();
            assert!(dimensions == 4 || dimensions == 2, "{arch}: {name} has {dimensions} dimensions");
        }
    }
}

#[test]
fn every_case_is_complete_and_sensible() {
    let (manifest, networks) = (manifest(), networks());
    // Every network has a case, the five that stand for their families one at each data set's shape, and there is one of
    // another stem.
    let sides = |arch: &str| {
        let own = manifest.cases.iter().filter(|case| case.arch == arch && case.stem.is_none());
        own.map(|case| case.side).collect::<Vec<_>>()
    };
    assert!(networks.keys().all(|arch| !sides(arch).is_empty()));
    assert!(networks.keys().filter(|arch| sides(arch) == [28, 32, 64]).count() >= 5);
    assert_eq!(manifest.cases.iter().filter(|case| case.stem.is_some()).count(), 1);
    // tests/golden.rs is tight only where no ReLU input is within rounding of 0.
    let safe = |margin: &dyn Fn(&Case) -> f64| manifest.cases.iter().filter(|c| margin(c) >= 2.0).count();
    assert!(safe(&|c| c.margin) >= 8 && safe(&|c| c.train_margin) >= 6);
    for case in &manifest.cases {
        let what = format!("{} at {}", case.network(), case.side);
        assert_eq!(case.refused, None, "{what}");
        let (results, network) = (case.results(), &networks[&case.arch]);
        assert_eq!(results.eval_logits.data.len(), case.batch * case.classes);
        assert_eq!(results.train_logits.data.len(), case.train_batch * case.classes);
        let (images, labels) = case.images();
        let pixels = images.len();
        assert_eq!(results.input_grad_sample.data.len(), pixels.div_ceil(manifest.input_grad_stride));
        assert_eq!(results.input_grad.len(), case.batch);
        for rows in [&results.train_grads, &results.adam_change] {
            assert_eq!(rows.len(), network.parameters.len(), "{what}");
        }
        assert_eq!(results.running.len(), network.statistics().count(), "{what}");
        assert!(labels.iter().chain(&case.train_images().1).all(|&label| usize::from(label) < case.classes));

        // Logits that vanish or explode, or losses that are none, would make weak tests.
        let largest = results.eval_logits.data.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
        assert!((0.1..100.0).contains(&largest), "{what}: largest logit {largest}");
        assert!(results.eval_loss.data[0] > 0.0 && results.train_loss.data[0] > 0.0);
        assert!(results.eval_logits.error < 1e-4 * largest, "{what}: {}", results.eval_logits.error);
        for (entry, row) in network.parameters.iter().zip(&results.train_grads) {
            // Where the truth is 0, what is left are the roundings of large sums. In a hundred layers some ReLU input falls on the other side in PyTorch's own float32 run.
            let most = if case.train_margin < 0.01 { 0.15 } else { 0.05 };
            assert!(row.error <= most * row.norm + 5e-5, "{what}: {}: float32 error {row:?}", entry.name);
        }
    }
}

#[test]
fn a_check_sees_one_changed_element() {
    let mut tensor = formula::uniform_tensor("tensor", 1000);
    let check = Check::of(&tensor);
    let slack = Slack { errors: 4.0, relative: 1e-6, absolute: 0.0 };
    assert_eq!(check.verify(&tensor, slack), Ok(()));
    tensor[500] += 0.01;
    let why = check.verify(&tensor, slack).expect_err("one element changed");
    assert!(why.contains("limit"), "{why}");
    tensor[500] = f32::NAN;
    assert!(check.verify(&tensor, slack).is_err());
}

#[test]
fn a_comparison_names_the_worst_element() {
    let tolerance = Tolerance::new(0.1, 0.01);
    assert_eq!(compare(&[1.0, 10.0], &[1.05, 10.15], tolerance), Ok(()));
    let mismatch = compare(&[1.0, 3.0, 9.0], &[1.0, 2.0, 1.0], tolerance).expect_err("two are off");
    assert_eq!((mismatch.index, mismatch.count, mismatch.total), (2, 2, 3));
    assert!(mismatch.to_string().contains("at 2: 9e0, expected 1e0, difference 8e0, limit"));
    let nan = compare(&[0.0, f32::NAN], &[5.0, 0.0], tolerance).expect_err("NaN");
    assert_eq!(nan.index, 1);
    let one = Tolerance::f32_roundings(2.0, 8.0);
    assert!(compare(&[1.0], &[1.0 + 16.0 * f64::from(f32::EPSILON)], one).is_ok());
    assert!(compare(&[1.0], &[1.0 + 17.0 * f64::from(f32::EPSILON)], one).is_err());
}
