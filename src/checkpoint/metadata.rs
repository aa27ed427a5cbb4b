//! What a checkpoint says about itself, and its form as text: safetensors metadata are strings.

use std::collections::BTreeMap;

/// Where a checkpoint comes from; a field is `None` where the file does not tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// Name of the network, as on the command line.
    pub arch: Option<String>,
    /// Name of its stem, where it is not torchvision's.
    pub stem: Option<String>,
    /// Name of the data set it was trained on.
    pub dataset: Option<String>,
    /// Number of classes.
    pub classes: Option<usize>,
    /// Channels of the input: 1 or 3.
    pub channels: Option<usize>,
    /// Mean of each input channel, for pixels in [0, 1].
    pub mean: Option<Vec<f32>>,
    /// Standard deviation of each input channel, for pixels in [0, 1]; positive.
    pub std: Option<Vec<f32>>,
    /// Finished epochs of training.
    pub epoch: Option<u32>,
    /// Seed of the training run.
    pub seed: Option<u64>,
    /// Everything else, by name.
    pub extra: BTreeMap<String, String>,
}

impl Metadata {
    /// Takes over one entry of a file: into its field, or into `extra` if there is none of that name.
    ///
    /// # Errors
    /// What the text of this field should have been.
    pub(super) fn set(&mut self, key: &str, text: &str) -> Result<(), &'static str> {
        const COUNT: &str = "a positive whole number";
        match key {
            "arch" => self.arch = Some(text.to_owned()),
            "stem" => self.stem = Some(text.to_owned()),
            "dataset" => self.dataset = Some(text.to_owned()),
            "classes" => self.classes = Some(positive(text).ok_or(COUNT)?),
            "channels" => self.channels = Some(positive(text).ok_or(COUNT)?),
            "mean" => {
                self.mean = Some(floats(text, f32::is_finite).ok_or("finite numbers separated by commas")?);
            }
            "std" => {
                let positive = |value: f32| value.is_finite() && value > 0.0;
                self.std = Some(floats(text, positive).ok_or("positive numbers separated by commas")?);
            }
            "epoch" => self.epoch = Some(text.trim().parse().map_err(|_| "a whole number")?),
            "seed" => self.seed = Some(text.trim().parse().map_err(|_| "a whole number")?),
            _ => {
                self.extra.insert(key.to_owned(), text.to_owned());
            }
        }
        Ok(())
    }

    /// All entries as text, in the order of their names. Numbers read back to the same bits.
    ///
    /// # Errors
    /// Which entry would not read back equal: an `extra` entry of a field's name, an empty or non-finite
    /// list of means, …
    pub(super) fn to_text(&self) -> Result<BTreeMap<String, String>, String> {
        let mut entries = self.extra.clone();
        let fields = [
            ("arch", self.arch.clone()),
            ("stem", self.stem.clone()),
            ("dataset", self.dataset.clone()),
            ("classes", self.classes.map(|count| count.to_string())),
            ("channels", self.channels.map(|count| count.to_string())),
            ("mean", self.mean.as_deref().map(join)),
            ("std", self.std.as_deref().map(join)),
            ("epoch", self.epoch.map(|epoch| epoch.to_string())),
            ("seed", self.seed.map(|seed| seed.to_string())),
        ];
        for (key, text) in fields {
            if self.extra.contains_key(key) {
                return Err(format!("metadata `{key}` is a field of its own, not an extra entry"));
            }
            if let Some(text) = text {
                entries.insert(key.to_owned(), text);
            }
        }
        let mut readable = Metadata::default();
        for (key, text) in &entries {
            readable
                .set(key, text)
                .map_err(|expected| format!("metadata `{key}`: expected {expected}, found `{text}`"))?;
        }
        Ok(entries)
    }
}

fn positive(text: &str) -> Option<usize> {
    text.trim().parse().ok().filter(|&count| count > 0)
}

fn floats(text: &str, valid: impl Fn(f32) -> bool) -> Option<Vec<f32>> {
    text.split(',').map(|part| part.trim().parse().ok().filter(|&value| valid(value))).collect()
}

fn join(values: &[f32]) -> String {
    values.iter().map(f32::to_string).collect::<Vec<_>>().join(",")
}
