//! `retrain.json`: what selective retraining did to accuracy, beside its controls.

use crate::backend::Optimizer;
use crate::data::Picked;
use crate::error::{Error, Result};
use crate::filter::FilterKind;
use crate::input::Input;
use crate::model::CheckpointId;
use crate::models::Stem;
use crate::provenance::Provenance;
use crate::score::{Baseline, Label, Which};
use crate::security::Count;
use crate::versioned;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// The version of the document that this program writes and reads.
pub const VERSION: u32 = 1;

/// Probability of error at which a difference counts as beyond noise.
pub const ALPHA: f64 = 0.05;

/// What `retrain.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetrainingRecord {
    /// [`VERSION`].
    pub version: u32,
    /// What decides the results.
    pub settings: RetrainingSettings,
    /// The checkpoint that all arms start from, as it was named.
    pub file: String,
    /// The arms, in the order of [`Arm::ALL`].
    pub arms: Vec<ArmResult>,
    /// The selective arm against every other one: on clean images, then for each ε.
    pub comparisons: Vec<ArmComparison>,
    /// [`ALPHA`].
    pub alpha: f64,
    /// What a reader should know about these results, a sentence each.
    pub notes: Vec<String>,
    /// How the document came about.
    pub provenance: Provenance,
    /// What was read; documents of versions that did not tell have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Input>,
}

/// Everything that the results depend on: equal settings, equal results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetrainingSettings {
    /// The architecture.
    pub arch: String,
    /// Its stem; left out for torchvision's.
    #[serde(default, skip_serializing_if = "Stem::is_imagenet")]
    pub stem: Stem,
    /// The data set.
    pub dataset: String,
    /// SHA-256 of the training images.
    pub train_digest: String,
    /// SHA-256 of all test images.
    pub test_digest: String,
    /// On which of the test images accuracy is measured: the first, and one past the last. Where the sweep chose its images,
    /// these come first, then all others, both in file order; else all are in file order.
    pub images: [usize; 2],
    /// The checkpoint that all arms start from, by its content.
    pub checkpoint: CheckpointId,
    /// Where the labels of its layers come from.
    pub labels: Labels,
    /// How networks are trained.
    pub training: Training,
    /// The seeds, each of which decides an order of images, dropout and a random choice of layers.
    pub seeds: Vec<u64>,
    /// Sizes of the FGSM steps in pixel units, ascending.
    pub eps: Vec<f64>,
    /// Whether adversarial images are clipped to [0, 1].
    pub clamp: bool,
    /// The number format in which accuracy is measured; training is in f32.
    pub dtype: String,
    /// The kind of backend that computes.
    pub backend: String,
    /// Version of the program.
    pub program: String,
}

impl RetrainingSettings {
    /// The network in words: "resnet18", "resnet18 (3x3 stem)".
    pub fn network(&self) -> String {
        self.stem.named(&self.arch)
    }

    /// Number of images that accuracy is measured on.
    pub fn measured(&self) -> usize {
        self.images[1].saturating_sub(self.images[0])
    }
}

/// The labels of all layers, from a finished sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Labels {
    /// The folder of the sweep, as it was named.
    pub run: String,
    /// The hash of its settings.
    pub hash: String,
    /// Which of the test images it measured: the first, and one past the last, in the order of [`RetrainingSettings::images`].
    pub images: [usize; 2],
    /// How it chose them; `None` for all and for the first in file order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pick: Option<Picked>,
    /// Size of its FGSM step in pixel units.
    pub eps: f64,
    /// The score that decides; combined over the filters that were swept.
    pub by: Which,
    /// What accuracy was compared with.
    pub baseline: Baseline,
    /// How far from 0 a score has to be to count.
    pub tau: f64,
    /// By how many standard errors it has to be beyond that.
    pub z: f64,
    /// The filters that it is combined over; empty for all that the method knows.
    // Left out for these, as in retrainings before there was a choice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub over: Vec<FilterKind>,
    /// All filterable layers, in network order.
    pub layers: Vec<Layer>,
}

/// A layer and its label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Its weight tensor.
    pub name: String,
    /// The score, if it is defined.
    pub score: Option<f64>,
    /// Its standard error.
    pub se: Option<f64>,
    /// The label: a fragile layer is what selective retraining freezes.
    pub label: Label,
}

/// How networks were trained, all arms alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Epochs after the checkpoint.
    pub epochs: u32,
    /// Images per step.
    pub batch: usize,
    /// How weights are moved; its state starts anew.
    pub optimizer: Optimizer,
    /// Epochs, counted from the checkpoint, after each of which the learning rate is divided by ten.
    pub lr_drops: Vec<u32>,
}

/// What is done to the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arm {
    /// Nothing.
    Checkpoint,
    /// Robust and antifragile layers are trained, fragile ones are frozen.
    Selective,
    /// All layers are trained.
    Full,
    /// As many layers as in the selective arm are trained, chosen at random for each seed.
    Random,
}

impl Arm {
    /// All of them, in the order of tables.
    pub const ALL: [Arm; 4] = [Arm::Checkpoint, Arm::Selective, Arm::Full, Arm::Random];

    /// Its name in files and folders.
    pub fn name(self) -> &'static str {
        match self {
            Arm::Checkpoint => "checkpoint",
            Arm::Selective => "selective",
            Arm::Full => "full",
            Arm::Random => "random",
        }
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What became of the checkpoint in one arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmResult {
    /// The arm.
    pub arm: Arm,
    /// The arm whose networks these are, where this one would do just the same; then nothing was computed twice.
    pub same_as: Option<Arm>,
    /// One network per seed, in their order; but one of the checkpoint itself.
    pub networks: Vec<RetrainedNetwork>,
    /// Accuracy on clean images.
    pub clean: Summary,
    /// Accuracy on adversarial images, for each ε.
    pub adversarial: Vec<Summary>,
}

/// One network of an arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetrainedNetwork {
    /// The seed; `None` where nothing depends on one.
    pub seed: Option<u64>,
    /// Its file, below the folder of this document; for the checkpoint itself as it was named.
    pub file: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// The layers that were trained, by their weight tensors, in network order.
    pub trained: Vec<String>,
    /// How many parameters were trained: weights, biases, γ and β.
    pub parameters: usize,
    /// On the clean images.
    pub clean: Count,
    /// On the adversarial images, for each ε.
    pub adversarial: Vec<Count>,
}

/// Accuracy over seeds, as a share of the images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Mean.
    pub mean: f64,
    /// Standard deviation of the sample; `None` for fewer than two networks.
    pub sd: Option<f64>,
}

/// An arm against another one, on the same images: paired tests on what became of every image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmComparison {
    /// The arm.
    pub arm: Arm,
    /// The arm that it is compared with.
    pub against: Arm,
    /// ε of the adversarial images; `None` for the clean ones.
    pub eps: Option<f64>,
    /// Mean over seeds of the difference in accuracy, positive where `arm` is better.
    pub difference: f64,
    /// McNemar's exact test for each seed.
    pub seeds: Vec<McNemar>,
    /// Over the images, all seeds together.
    pub over_images: OverImages,
    /// Over the seeds; `None` where there is but one.
    pub over_seeds: Option<OverSeeds>,
    /// Whether the difference is larger than both other images and other seeds would explain: each of the two tests
    /// that there are has p below [`ALPHA`].
    pub beyond_noise: bool,
}

/// McNemar's exact test of two networks on the same images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// The seed of both.
    pub seed: u64,
    /// Images that the first alone classified correctly.
    pub only_arm: usize,
    /// Images that the second alone classified correctly.
    pub only_against: usize,
    /// Two-sided probability of so unequal numbers, or more so, if both networks were equally good.
    pub p: f64,
}

/// Durkalski's test: McNemar's for images that are seen once by every pair of networks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverImages {
    /// Standard error of the difference over the choice of images, these networks given.
    pub se: f64,
    /// Two-sided probability of so large a difference.
    pub p: f64,
}

/// Student's paired test on the differences of the seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverSeeds {
    /// Standard deviation of the difference in accuracy over the seeds.
    pub sd: f64,
    /// Two-sided probability of so large a mean difference.
    pub p: f64,
}

impl RetrainingRecord {
    /// The name of the file in its folder.
    pub const NAME: &str = "retrain.json";

    /// Reads the `retrain.json` at `path`.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::Input`] for another version, or content that is not what this program writes.
    pub fn read(path: &Path) -> Result<RetrainingRecord> {
        let document: RetrainingRecord =
            versioned::read(path, VERSION, "the results of selective retraining")?;
        let RetrainingSettings { images: [first, end], ref seeds, ref eps, .. } = document.settings;
        let images = end.checked_sub(first).filter(|&images| images > 0);
        let images = images.ok_or_else(|| {
            Error::input(path, "images", "a first and a later end", format!("{first} and {end}"))
        })?;
        if !document.arms.iter().map(|result| result.arm).eq(Arm::ALL) {
            let found: Vec<&str> = document.arms.iter().map(|result| result.arm.name()).collect();
            return Err(Error::input(path, "arms", Arm::ALL.map(Arm::name).join(", "), found.join(", ")));
        }
        for result in &document.arms {
            let networks = if result.arm == Arm::Checkpoint { 1 } else { seeds.len() };
            let counts =
                [("networks", networks, result.networks.len()), ("ε", eps.len(), result.adversarial.len())];
            let of_networks = result.networks.iter().map(|n| ("ε", eps.len(), n.adversarial.len()));
            if let Some((what, expected, found)) =
                counts.into_iter().chain(of_networks).find(|(_, expected, found)| expected != found)
            {
                return Err(Error::input(path, format!("{what} of arm {}", result.arm), expected, found));
            }
            let all = result.networks.iter().flat_map(|n| n.adversarial.iter().chain([&n.clean]));
            if let Some(count) = all.into_iter().find(|count| count.correct > images) {
                let place = format!("correct images of arm {}", result.arm);
                return Err(Error::input(path, place, format!("at most {images}"), count.correct));
            }
        }
        Ok(document)
    }

    /// Writes `retrain.json` into `folder`.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write(&self, folder: &Path) -> Result<()> {
        versioned::write(&folder.join(RetrainingRecord::NAME), self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Adam;
    use std::fs;

    fn document() -> RetrainingRecord {
        let count = |correct| Count { correct, loss: Some(0.25) };
        let network = |seed| RetrainedNetwork {
            seed,
            file: "selective/seed-7/epoch-0002.safetensors".into(),
            sha256: "ab".into(),
            trained: vec!["fc.weight".into()],
            parameters: 90,
            clean: count(9),
            adversarial: vec![count(5), count(10)],
        };
        let arm = |arm: Arm| {
            let networks = if arm == Arm::Checkpoint { 1 } else { 2 };
            ArmResult {
                arm,
                same_as: (arm == Arm::Random).then_some(Arm::Full),
                networks: (0..networks).map(|seed| network((networks > 1).then_some(seed))).collect(),
                clean: Summary { mean: 0.9, sd: (networks > 1).then_some(0.0) },
                adversarial: vec![Summary { mean: 0.1, sd: None }; 2],
            }
        };
        let layer = |label| Layer { name: "fc.weight".into(), score: Some(-0.1), se: Some(0.01), label };
        let settings = RetrainingSettings {
            arch: "resnet18".into(),
            stem: Stem::Small,
            dataset: "digits".into(),
            train_digest: "cd".into(),
            test_digest: "ef".into(),
            images: [10, 20],
            checkpoint: CheckpointId {
                sha256: "01".into(),
                key: None,
                epoch: None,
                seed: Some(4),
                mean: vec![0.1307],
                std: vec![0.3081],
            },
            labels: Labels {
                run: "runs/net".into(),
                hash: "23".into(),
                images: [0, 10],
                pick: None,
                eps: 8.0 / 255.0,
                by: Which::Adversarial,
                baseline: Baseline::Unfiltered,
                tau: 0.0,
                z: 1.96,
                over: Vec::new(),
                layers: [Label::Fragile, Label::Robust, Label::Antifragile].map(layer).to_vec(),
            },
            training: Training {
                epochs: 2,
                batch: 100,
                optimizer: Optimizer::Adam(Adam::new(1e-3)),
                lr_drops: vec![1],
            },
            seeds: vec![7, u64::MAX],
            eps: vec![0.01, 0.1],
            clamp: true,
            dtype: "f32".into(),
            backend: "cpu".into(),
            program: "1.2.3".into(),
        };
        RetrainingRecord {
            version: VERSION,
            settings,
            file: "net.safetensors".into(),
            arms: Arm::ALL.map(arm).to_vec(),
            comparisons: vec![ArmComparison {
                arm: Arm::Selective,
                against: Arm::Full,
                eps: Some(0.1),
                difference: 0.1,
                seeds: vec![McNemar { seed: 7, only_arm: 3, only_against: 1, p: 0.625 }],
                over_images: OverImages { se: 0.05, p: 0.04 },
                over_seeds: Some(OverSeeds { sd: 0.1, p: 0.4 }),
                beyond_noise: false,
            }],
            alpha: ALPHA,
            notes: vec!["a note".into()],
            provenance: Provenance::default(),
            input: None,
        }
    }

    #[test]
    fn a_document_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        document().write(folder.path()).unwrap();
        assert_eq!(RetrainingRecord::read(&folder.path().join(RetrainingRecord::NAME)).unwrap(), document());
    }

    #[test]
    fn what_it_is_not_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(RetrainingRecord::NAME);
        let refused = |change: &dyn Fn(&mut RetrainingRecord), expected: &str| {
            let mut document = document();
            change(&mut document);
            document.write(folder.path()).unwrap();
            let error = RetrainingRecord::read(&path).unwrap_err();
            assert_eq!(error.exit_code(), 3);
            assert!(error.to_string().contains(expected), "{error}\n{expected}");
        };
        refused(&|document| document.version = 2, "version: expected 1, found 2");
        refused(&|document| document.settings.images = [20, 20], "images: expected a first and a later end");
        refused(
            &|document| document.settings.seeds.push(0),
            "networks of arm selective: expected 3, found 2",
        );
        refused(&|document| drop(document.arms.pop()), "expected checkpoint, selective, full, random, found");
        let more = "correct images of arm full: expected at most 10, found 11";
        refused(&|document| document.arms[2].networks[1].adversarial[0].correct = 11, more);
        let less = "ε of arm checkpoint: expected 2, found 1";
        refused(&|document| document.arms[0].networks[0].adversarial.truncate(1), less);
        fs::write(&path, r#"{"version": 1, "arch": 3}"#).unwrap();
        assert!(
            RetrainingRecord::read(&path).unwrap_err().to_string().contains("content: expected the results")
        );
    }
}
