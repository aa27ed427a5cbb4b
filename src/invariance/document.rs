//! `compare.json`: which layers keep their label, and how far scores agree, over epochs, data sets, architectures, seeds.

use super::axis::Axis;
use crate::attack::Pgd;
use crate::error::{Error, Result};
use crate::filter::FilterKind;
use crate::models::Stem;
use crate::named_choice::named_choice;
use crate::network::BnMode;
use crate::provenance::Provenance;
use crate::score::{Label, Options, Which, filter_or_combined};
use crate::sweep::{AttackMode, Scope};
use crate::versioned;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The version of the document that this program writes and reads.
pub const VERSION: u32 = 1;

/// What `compare.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InvarianceRecord {
    /// [`VERSION`].
    pub version: u32,
    /// Baseline, τ and z of the scores and labels.
    pub options: Options,
    /// What all sweeps have in common.
    pub sweeps: Common,
    /// The checkpoints, sorted by architecture, data set, seed and epoch, whatever the order of the runs was.
    pub checkpoints: Vec<ComparedCheckpoint>,
    /// The comparisons: epochs, seeds, data sets, architectures, then checkpoints that nothing tells apart.
    pub comparisons: Vec<Comparison>,
    /// What a reader should know: duplicates, differences that were allowed, checkpoints that are in no comparison.
    pub notes: Vec<String>,
    /// How the document came about.
    pub provenance: Provenance,
}

/// The settings in which sweeps have to agree to be compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Common {
    /// What is filtered at once.
    pub scope: Scope,
    /// The filters.
    pub filters: Vec<FilterKind>,
    /// Thresholds of each.
    pub thresholds: usize,
    /// Against which network adversarial images are made.
    pub attack: AttackMode,
    /// How PGD makes them, a random start with the seed of the first sweep; `None` for FGSM.
    pub pgd: Option<Pgd>,
    /// Whether they are clipped to [0, 1].
    pub clamp: bool,
    /// Which statistics batch norm uses.
    pub bn: BnMode,
}

/// A swept checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComparedCheckpoint {
    /// The architecture.
    pub arch: String,
    /// Its stem; left out for torchvision's. An architecture with another stem is another one.
    #[serde(default, skip_serializing_if = "Stem::is_imagenet")]
    pub stem: Stem,
    /// The data set.
    pub dataset: String,
    /// The seed of its training, where it is recorded.
    pub seed: Option<u64>,
    /// The epoch, where it is recorded.
    pub epoch: Option<u32>,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// The file, as the sweep was told it; empty where that is not recorded.
    pub file: String,
    /// The run folder whose cells were scored.
    pub run: String,
    /// The hash of that run's settings.
    pub hash: String,
    /// SHA-256 of the test images, hexadecimal.
    pub dataset_digest: String,
    /// How many images were measured.
    pub images: usize,
    /// Images that the unfiltered network classifies correctly.
    pub correct_clean: usize,
    /// And under attack.
    pub correct_adv: usize,
    /// Size of the attack in pixel units.
    pub eps: f64,
    /// The number format of the computation.
    pub dtype: String,
    /// The kind of backend that computed.
    pub backend: String,
    /// The version of the program that swept.
    pub swept_by: String,
}

impl ComparedCheckpoint {
    /// The network in words: "resnet18", "resnet18 (3x3 stem)".
    pub fn network(&self) -> String {
        self.stem.named(&self.arch)
    }
}

/// Checkpoints that differ in one respect alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// In what they differ.
    pub over: Axis,
    /// The architecture of all of them; null if that is what differs, and so below.
    pub arch: Option<String>,
    /// The stem of all of them; left out for torchvision's, and if that is what differs.
    #[serde(default, skip_serializing_if = "Stem::is_imagenet")]
    pub stem: Stem,
    /// The data set of all of them.
    pub dataset: Option<String>,
    /// The seed of all of them; null also where it is not recorded.
    pub seed: Option<u64>,
    /// The epoch of all of them; null also where it is not recorded.
    pub epoch: Option<u32>,
    /// The compared ones, by position in [`InvarianceRecord::checkpoints`]; everything below lists them in this order.
    pub members: Vec<usize>,
    /// What each of them is on the axis: "epoch 3", "digits", "resnet18", "seed 1".
    pub names: Vec<String>,
    /// What was found.
    #[serde(flatten)]
    pub findings: Findings,
}

impl Comparison {
    /// The network of all of them in words.
    pub fn network(&self) -> Option<String> {
        self.arch.as_deref().map(|arch| self.stem.named(arch))
    }
}

/// What a comparison finds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Findings {
    /// Networks with the same layers, layer by layer.
    ByLayer {
        /// The layers, in network order.
        layers: Vec<Layer>,
        /// One per score and filter, and for the mean over the filters.
        agreements: Vec<LayerAgreement>,
    },
    /// Networks with different layers, by depth.
    ByDepth {
        /// The landmarks of each member, in network order.
        landmarks: Vec<Vec<Landmark>>,
        /// One per score and filter, and for the mean over the filters.
        agreements: Vec<DepthAgreement>,
    },
}

/// A layer: a filterable tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// Its position among the filterable tensors, from 0.
    pub index: usize,
}

/// A number, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The number.
    Value(f64),
    /// The reason.
    Missing(String),
}

impl Measure {
    /// The number, if there is one.
    pub fn value(&self) -> Option<f64> {
        match self {
            Measure::Value(value) => Some(*value),
            Measure::Missing(_) => None,
        }
    }
}

/// Something that was counted, of as many as there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// How many agree.
    pub agreeing: usize,
    /// How many were compared.
    pub compared: usize,
}

impl std::ops::Add for Share {
    type Output = Share;

    fn add(self, other: Share) -> Share {
        Share { agreeing: self.agreeing + other.agreeing, compared: self.compared + other.compared }
    }
}

/// How far networks with the same layers agree, by one score under one filter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerAgreement {
    /// The score.
    pub by: Which,
    /// The filter; `None`, written "combined", for the mean over those that were swept.
    #[serde(with = "filter_or_combined")]
    pub filter: Option<FilterKind>,
    /// Members without this score because the unfiltered accuracy is 0, by position in [`Comparison::members`]. They are
    /// counted here and in nothing below.
    pub without_score: Vec<usize>,
    /// Labels that agree, over all layers and all pairs of members.
    pub share: Share,
    /// Fleiss' κ: the members are the raters, the layers the subjects, the three labels the categories.
    pub kappa: Measure,
    /// The mean of Spearman's ρ over the pairs that have one.
    pub mean_rho: Measure,
    /// All pairs of members that have the score.
    pub pairs: Vec<Pair>,
    /// One per layer, in the order of the layers.
    pub rows: Vec<Row>,
}

/// Two members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// One, by position in [`Comparison::members`].
    pub a: usize,
    /// The other; larger.
    pub b: usize,
    /// Layers with the same label in both.
    pub share: Share,
    /// Spearman's ρ of the scores of the layers.
    pub rho: Measure,
}

/// One layer in all members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its label in each member.
    pub labels: Vec<Label>,
    /// Its score in each member.
    pub scores: Vec<Option<f64>>,
    /// Its standard error in each member.
    pub ses: Vec<Option<f64>>,
    /// Pairs of members in which it has the same label, of those that have the score.
    pub share: Share,
    /// Its label, if all members that have the score (two at least) agree on it.
    pub keeps: Option<Label>,
}

/// How far networks with different layers agree, by one score under one filter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DepthAgreement {
    /// The score.
    pub by: Which,
    /// The filter; `None`, written "combined", for the mean over those that were swept.
    #[serde(with = "filter_or_combined")]
    pub filter: Option<FilterKind>,
    /// Members without this score because the unfiltered accuracy is 0, by position in [`Comparison::members`].
    pub without_score: Vec<usize>,
    /// The ten bins of each member, from the input to the logits.
    pub bins: Vec<Vec<Bin>>,
    /// All pairs of members that have the score.
    pub pairs: Vec<DepthPair>,
    /// The mean of Spearman's ρ over the pairs that have one.
    pub mean_rho: Measure,
    /// The score of each landmark of each member, in the order of the landmarks.
    pub landmarks: Vec<Vec<LandmarkScore>>,
}

/// A tenth of a network's depth: layers with `10·position/(count − 1)` from its number up to the next, the last layer in the
/// last bin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// How many swept layers are in it.
    pub layers: usize,
    /// Their mean score; null for an empty bin, and where there is no score.
    pub mean: Option<f64>,
}

/// Two members, by depth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DepthPair {
    /// One, by position in [`Comparison::members`].
    pub a: usize,
    /// The other; larger.
    pub b: usize,
    /// Bins with layers in both.
    pub bins: usize,
    /// Bins that are empty in one of them or in both, and left out.
    pub left_out: usize,
    /// Spearman's ρ of the means of the bins.
    pub rho: Measure,
}

named_choice!(
    /// What a layer is in its network.
    Role, "role" {
        /// The convolution that reads the images.
        First = "first",
        /// A convolution on the shorter of two ways that part and join again: a ResNet's downsample, a ShuffleNet's branch 1.
        Branch = "branch",
        /// The layer that makes the logits.
        Last = "last"
    }
);

/// A layer with a role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Landmark {
    /// Its role.
    pub role: Role,
    /// The layer.
    #[serde(flatten)]
    pub layer: Layer,
    /// `position/(count − 1)`.
    pub depth: f64,
    /// Whether it was swept; if not, it has no score.
    pub swept: bool,
}

/// The score of a landmark.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LandmarkScore {
    /// The score.
    pub score: Option<f64>,
    /// Its standard error.
    pub se: Option<f64>,
    /// Its label; null if the layer was not swept.
    pub label: Option<Label>,
}

impl InvarianceRecord {
    /// The name of the file in its folder.
    pub const NAME: &str = "compare.json";

    /// Reads the `compare.json` at `path`.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::Input`] for another version, or content that is not what this program writes.
    pub fn read(path: &Path) -> Result<InvarianceRecord> {
        let document: InvarianceRecord = versioned::read(path, VERSION, "a comparison of sweeps")?;
        let count = document.checkpoints.len();
        for comparison in &document.comparisons {
            if let Some(member) = comparison.members.iter().find(|&&member| member >= count) {
                let place = format!("members over {}", comparison.over);
                return Err(Error::input(path, place, format!("less than {count}"), member));
            }
        }
        Ok(document)
    }

    /// Writes `compare.json` into `folder`.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write(&self, folder: &Path) -> Result<()> {
        versioned::write(&folder.join(InvarianceRecord::NAME), self)
    }
}
