//! `attack.json`: accuracy against ε, for each network and each method.

use crate::attack::Method;
use crate::error::{Error, Result};
use crate::filter::FilterKind;
use crate::input::Input;
use crate::model::CheckpointId;
use crate::models::Stem;
use crate::network::BnMode;
use crate::provenance::Provenance;
use crate::versioned;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The version of the document that this program writes and reads.
pub const VERSION: u32 = 1;

/// What `attack.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecurityRecord {
    /// [`VERSION`].
    pub version: u32,
    /// The data set.
    pub dataset: String,
    /// SHA-256 of its test images, hexadecimal.
    pub dataset_digest: String,
    /// How many of them were attacked; [`SecurityRecord::input`] tells which, and without it they are the first, in file order.
    pub images: usize,
    /// Whether adversarial images are clipped to [0, 1].
    pub clamp: bool,
    /// Which statistics batch norm uses.
    pub bn: BnMode,
    /// The number format of the computation.
    pub dtype: String,
    /// The kind of backend that computed.
    pub backend: String,
    /// The networks, in the order in which they were asked for.
    pub networks: Vec<NetworkCurves>,
    /// How the document came about.
    pub provenance: Provenance,
    /// What was read; documents of versions that did not tell have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Input>,
}

/// The security curves of one network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkCurves {
    /// The checkpoint's file, as it was named.
    pub file: String,
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// The architecture.
    pub arch: String,
    /// Its stem; left out for torchvision's.
    #[serde(default, skip_serializing_if = "Stem::is_imagenet")]
    pub stem: Stem,
    /// What was filtered; `None` for the network as it is.
    pub filtered: Option<Filtered>,
    /// On the clean images.
    pub clean: Count,
    /// One curve per method, and per seed where it starts at random.
    pub curves: Vec<SecurityCurve>,
}

impl NetworkCurves {
    /// The network in words: "resnet18", "resnet18 (3x3 stem)".
    pub fn network(&self) -> String {
        self.stem.named(&self.arch)
    }
}

/// One cell of a sweep: a filter at one threshold on one layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Filtered {
    /// The filtered tensor.
    pub layer: String,
    /// Its position among the filterable tensors.
    pub layer_index: usize,
    /// The filter.
    pub filter: FilterKind,
    /// How many thresholds the layer's range is divided into.
    pub thresholds: usize,
    /// The number of the threshold, from 0.
    pub k: usize,
    /// The threshold.
    pub alpha: f32,
    /// How many weights of the tensor are kept.
    pub kept: u64,
    /// How many it has.
    pub total: u64,
}

/// Accuracy against ε.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecurityCurve {
    /// The attack.
    pub attack: Method,
    /// ε ascending.
    pub points: Vec<Point>,
}

/// One point of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// ε, in pixel units.
    pub eps: f64,
    /// Size of each step in pixel units, for PGD.
    pub step_size: Option<f64>,
    /// What the network makes of the adversarial images.
    #[serde(flatten)]
    pub count: Count,
}

/// How many images a network classifies correctly, of as many as the document says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Count {
    /// Images whose label is the arg-max.
    pub correct: usize,
    /// Mean cross-entropy; null where it is not finite.
    pub loss: Option<f64>,
}

impl SecurityRecord {
    /// The name of the file in its folder.
    pub const NAME: &str = "attack.json";

    /// Reads the `attack.json` at `path`.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::Input`] for another version, or content that is not what this program writes.
    pub fn read(path: &Path) -> Result<SecurityRecord> {
        let document: SecurityRecord = versioned::read(path, VERSION, "the security curves of networks")?;
        let images = document.images;
        for network in &document.networks {
            let points =
                network.curves.iter().flat_map(|curve| curve.points.iter().map(|point| &point.count));
            if let Some(count) = points.chain([&network.clean]).find(|count| count.correct > images) {
                let place = format!("correct images of {}", network.file);
                return Err(Error::input(path, place, format!("at most {images}"), count.correct));
            }
        }
        Ok(document)
    }

    /// Writes `attack.json` into `folder`.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write(&self, folder: &Path) -> Result<()> {
        versioned::write(&folder.join(SecurityRecord::NAME), self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::Pgd;
    use std::fs;

    fn document() -> SecurityRecord {
        let count = |correct, loss| Count { correct, loss };
        let points = |step_size| {
            [(0.01, 90, Some(0.3)), (0.1, 5, None)].map(|(eps, correct, loss)| Point {
                eps,
                step_size,
                count: count(correct, loss),
            })
        };
        let pgd = Pgd { steps: 10, step_size: Some(0.02), seed: Some(u64::MAX) };
        SecurityRecord {
            version: VERSION,
            dataset: "digits".into(),
            dataset_digest: "ab".into(),
            images: 100,
            clamp: true,
            bn: BnMode::Running,
            dtype: "f32".into(),
            backend: "cpu".into(),
            networks: vec![NetworkCurves {
                file: "net.safetensors".into(),
                checkpoint: CheckpointId {
                    sha256: "cd".into(),
                    key: None,
                    epoch: Some(3),
                    seed: Some(0),
                    mean: vec![0.1307],
                    std: vec![0.3081],
                },
                arch: "resnet18".into(),
                stem: Stem::SmallPool,
                filtered: Some(Filtered {
                    layer: "fc.weight".into(),
                    layer_index: 20,
                    filter: FilterKind::HighPass,
                    thresholds: 25,
                    k: 3,
                    alpha: -0.1,
                    kept: 7,
                    total: 9,
                }),
                clean: count(99, Some(0.01)),
                curves: vec![
                    SecurityCurve { attack: Method::Fgsm, points: points(None).to_vec() },
                    SecurityCurve { attack: Method::Pgd(pgd), points: points(Some(0.02)).to_vec() },
                ],
            }],
            provenance: Provenance::default(),
            input: None,
        }
    }

    #[test]
    fn a_document_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        document().write(folder.path()).unwrap();
        let path = folder.path().join(SecurityRecord::NAME);
        assert_eq!(SecurityRecord::read(&path).unwrap(), document());
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(r#""name": "fgsm""#) && text.contains(r#""name": "pgd""#), "{text}");
    }

    #[test]
    fn what_it_is_not_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SecurityRecord::NAME);
        let refusal = |change: &dyn Fn(&mut SecurityRecord)| {
            let mut document = document();
            change(&mut document);
            document.write(folder.path()).unwrap();
            let error = SecurityRecord::read(&path).unwrap_err();
            assert_eq!(error.exit_code(), 3);
            error.to_string()
        };
        let other = refusal(&|document| document.version = 2);
        assert!(other.contains("version: expected 1, found 2"), "{other}");
        let many = refusal(&|document| document.networks[0].curves[1].points[0].count.correct = 101);
        assert!(
            many.contains("correct images of net.safetensors: expected at most 100, found 101"),
            "{many}"
        );
        fs::write(&path, r#"{"version": 1, "dataset": 3}"#).unwrap();
        assert!(SecurityRecord::read(&path).unwrap_err().to_string().contains("content: expected"));
    }
}
