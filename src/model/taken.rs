//! What was taken from a checkpoint: told to the user, recorded with the results.

use crate::models::Stem;
use crate::named_choice::named_choice;
use crate::network::Normalisation;
use serde::{Deserialize, Serialize};

named_choice!(
    /// Who says something about a network.
    Origin, "origin" {
        /// The user.
        Flag = "flag",
        /// The checkpoint's metadata.
        Metadata = "metadata",
        /// The names and shapes of the checkpoint's tensors.
        Tensors = "tensors",
        /// What the data set's images are normalised with if nobody says anything.
        Dataset = "dataset"
    }
);

/// What was taken from a checkpoint and could have been meant otherwise: it is told and recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    /// The file.
    pub file: String,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
    /// The architecture.
    pub arch: String,
    /// Who says so.
    pub arch_from: Origin,
    /// The stem of a ResNet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stem: Option<Stem>,
    /// Who says so; [`Origin::Tensors`] where torchvision's is taken because nobody says anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stem_from: Option<Origin>,
    /// What leads to the network in the file, keys and prefixes joined by dots; empty if nothing does.
    pub key: String,
    /// The keys of other complete networks in the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
    /// Modules that have another name in the file: the network's, the file's; the first few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renamed: Vec<(String, String)>,
    /// Modules of another name in all.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub renamed_count: usize,
    /// Weights that were multiplied with a pruning mask.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub masked: usize,
    /// Tensors of the file that are not the network's: the first few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<String>,
    /// How many there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub passed_over_count: usize,
    /// Python objects beside the network, none of which was made.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub objects: usize,
    /// Mean that the images are normalised with, per channel and in pixel units.
    pub mean: Vec<f32>,
    /// And the standard deviation.
    pub std: Vec<f32>,
    /// Who says so.
    pub normalised_by: Origin,
    /// Whatever else a reader should know, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Taken {
    /// A network of no file, with the stem of a ResNet and its normalisation: each with who says so.
    pub(super) fn network(
        (arch, arch_from): (&str, Origin),
        stem: Option<(Stem, Origin)>,
        norm: &Normalisation,
        normalised_by: Origin,
    ) -> Self {
        let (stem, stem_from) = stem.unzip();
        Taken {
            file: String::new(),
            sha256: String::new(),
            arch: arch.to_owned(),
            arch_from,
            stem,
            stem_from,
            key: String::new(),
            others: Vec::new(),
            renamed: Vec::new(),
            renamed_count: 0,
            masked: 0,
            passed_over: Vec::new(),
            passed_over_count: 0,
            objects: 0,
            mean: norm.mean.clone(),
            std: norm.std.clone(),
            normalised_by,
            notes: Vec::new(),
        }
    }

    /// What was taken, for people: a few lines without line ends.
    pub fn lines(&self) -> Vec<String> {
        let from = match self.arch_from {
            Origin::Flag => String::new(),
            origin => format!(" (as its {origin} say)"),
        };
        let mut lines = vec![format!("network: {}{from} from {}", self.arch, self.file)];
        match (self.key.as_str(), self.others.as_slice()) {
            ("", []) => {}
            (key, []) => lines.push(format!("  under `{}`", key.escape_debug())),
            (key, others) => {
                let shown = |key: &String| match key.as_str() {
                    "" => "\"\" (the outermost names)".to_owned(),
                    key => format!("`{}`", key.escape_debug()),
                };
                let others: Vec<String> = others.iter().map(shown).collect();
                let named = if key.is_empty() {
                    "its outermost names".to_owned()
                } else {
                    format!("`{}`", key.escape_debug())
                };
                lines.push(format!(
                    "  {} complete networks in the file: that under {named} is taken; --key takes another: {}",
                    others.len() + 1,
                    others.join(", ")
                ));
            }
        }
        if let Some((stem, from)) = self.stem.zip(self.stem_from) {
            let by = match from {
                Origin::Flag => "as said",
                Origin::Metadata => "as the checkpoint says",
                Origin::Tensors | Origin::Dataset => {
                    "torchvision's; no file tells a max pool, --stem 7x7-no-pool is without"
                }
            };
            lines.push(format!("  stem: {stem} ({by})"));
        }
        if self.renamed_count > 0 {
            let pairs = self.renamed.iter();
            let pairs: Vec<String> =
                pairs.map(|(own, file)| format!("`{}` as {own}", file.escape_debug())).collect();
            lines.push(format!("  other names: {}", some_of(&pairs, self.renamed_count)));
        }
        if self.masked > 0 {
            lines.push(format!("  {} weights are multiplied with their pruning masks", self.masked));
        }
        if self.passed_over_count > 0 {
            let names: Vec<String> =
                self.passed_over.iter().map(|name| format!("`{}`", name.escape_debug())).collect();
            let names = some_of(&names, self.passed_over_count);
            lines.push(format!("  passed over: {} other tensors ({names})", self.passed_over_count));
        }
        if self.objects > 0 {
            lines.push(format!("  passed over: {} Python objects", self.objects));
        }
        let list = |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join(", ");
        let by = match self.normalised_by {
            Origin::Flag => "as said",
            Origin::Metadata => "as the checkpoint says",
            Origin::Tensors | Origin::Dataset => "the data set's default; --mean, --std",
        };
        lines.push(format!("  normalisation: mean {}, std {} ({by})", list(&self.mean), list(&self.std)));
        lines.extend(self.notes.iter().map(|note| format!("  note: {note}")));
        lines
    }
}

/// Names on one line, and that there are more.
fn some_of(names: &[String], count: usize) -> String {
    let more = if count > names.len() { ", …" } else { "" };
    names.join(", ") + more
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}
