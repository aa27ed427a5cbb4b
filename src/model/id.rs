//! What results know a checkpoint by.

use serde::{Deserialize, Serialize};

/// A checkpoint, by its content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointId {
    /// SHA-256 of the file, hexadecimal; of a file that holds several networks, that of this and the key, on two lines.
    pub sha256: String,
    /// Which network of the file it is, where there are several: what leads to it, joined by dots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The epoch that its metadata names.
    pub epoch: Option<u32>,
    /// The seed of training that its metadata names.
    // Left out where there is none: run folders of versions that did not keep it have their hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// What the images are normalised with, per channel and in pixel units: the mean.
    pub mean: Vec<f32>,
    /// And the standard deviation.
    pub std: Vec<f32>,
}
