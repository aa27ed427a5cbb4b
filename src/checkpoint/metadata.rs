//! What a checkpoint says about itself, and its form as text: safetensors metadata are strings.
//!
//! What this program wrote is held to its word. What stands under the same names in files of other programs are
//! their own notes: a `mean` may be an accuracy over seeds, `channels` a hyper-parameter. They count only where they
//! can be what they would be taken for.

use super::fault::{Fault, Parsed};
use std::collections::BTreeMap;

/// Least standard deviation of pixels in [0, 1] that is believed in a file of another program.
const LEAST_STD: f32 = 0.01;
/// The entries that every checkpoint of this program has.
const OWN: [&str; 6] = ["arch", "dataset", "classes", "channels", "mean", "std"];

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

/// What stands beside the weights of a file, as text; a list is separated by commas.
pub(super) type Notes = BTreeMap<String, String>;

impl Metadata {
    /// The entries of a file, each held to its word.
    ///
    /// # Errors
    /// The first entry that is not what one of this name has to be.
    pub(super) fn exact(notes: &Notes) -> Parsed<Metadata> {
        let mut meta = Metadata::default();
        for (key, text) in notes {
            meta.set(key, text).map_err(|expected| {
                let place = format!("metadata `{}`", key.escape_debug());
                Fault::new(place, expected, format!("`{}`", text.escape_debug()))
            })?;
        }
        Ok(meta)
    }

    /// The entries of a file as far as they can be meant, and a sentence for each that cannot; `channels` and `classes`
    /// are those of the network.
    ///
    /// # Errors
    /// As [`Metadata::exact`], for a file that this program wrote.
    pub(super) fn believed(
        notes: &Notes,
        own: bool,
        channels: usize,
        classes: usize,
    ) -> Parsed<(Metadata, Vec<String>)> {
        if own {
            return Ok((Metadata::exact(notes)?, Vec::new()));
        }
        let (mut meta, mut told) = (Metadata::default(), Vec::new());
        let mut pass_over = |key: &str, why: String| {
            let text: String = notes.get(key).map_or("", String::as_str).chars().take(60).collect();
            told.push(format!("`{key}` = {} beside the weights is passed over: {why}", text.escape_debug()));
        };
        let (mean, std) = (notes.get("mean"), notes.get("std"));
        if mean.or(std).is_some() {
            let of = |text: Option<&String>, valid: fn(f32) -> bool| {
                list(text?)
                    .filter(|values| values.len() == channels && values.iter().all(|&value| valid(value)))
            };
            let taken = of(mean, |mean| (0.0..=1.0).contains(&mean))
                .zip(of(std, |std| (LEAST_STD..=1.0).contains(&std)));
            match (taken, mean, std) {
                (Some((mean, std)), ..) => (meta.mean, meta.std) = (Some(mean), Some(std)),
                (None, Some(mean), Some(std)) => {
                    let key = if why_not(mean, channels).is_none() && why_not(std, channels).is_some() {
                        "std"
                    } else {
                        "mean"
                    };
                    let why = why_not(notes.get(key).unwrap_or(mean), channels).unwrap_or_else(|| {
                        format!(
                            "no normalisation of pixels in [0, 1] has such mean and std for {channels} channels"
                        )
                    });
                    pass_over(key, format!("{why} (--mean and --std say it)"));
                }
                (None, Some(_), None) => {
                    pass_over("mean", "no std beside it (--mean and --std say it)".into())
                }
                (None, None, _) => pass_over("std", "no mean beside it (--mean and --std say it)".into()),
            }
        }
        for (key, actual) in [("classes", classes), ("channels", channels)] {
            if let Some(text) = notes.get(key)
                && positive(text) != Some(actual)
            {
                pass_over(key, format!("the network has {actual}"));
            }
        }
        for key in ["epoch", "seed"] {
            if let Some(text) = notes.get(key)
                && meta.set(key, text).is_err()
            {
                pass_over(key, "no whole number from 0 on".to_owned());
            }
        }
        for (key, text) in notes {
            match key.as_str() {
                "mean" | "std" | "classes" | "channels" | "epoch" | "seed" => {}
                // Text of any kind: nothing that could be refused.
                _ => drop(meta.set(key, text)),
            }
        }
        Ok((meta, told))
    }

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

/// Whether entries are those that this program writes.
pub(super) fn is_own(notes: &Notes) -> bool {
    OWN.iter().all(|key| notes.contains_key(*key))
}

fn positive(text: &str) -> Option<usize> {
    text.trim().parse().ok().filter(|&count| count > 0)
}

fn floats(text: &str, valid: impl Fn(f32) -> bool) -> Option<Vec<f32>> {
    text.split(',').map(|part| part.trim().parse().ok().filter(|&value| valid(value))).collect()
}

/// The numbers of a text as programs write lists: with or without brackets, separated by commas or spaces.
pub(super) fn list(text: &str) -> Option<Vec<f32>> {
    let text = text.trim();
    let bare = [('[', ']'), ('(', ')')].into_iter().find_map(|(open, close)| {
        let inner = text.strip_prefix(open)?.strip_suffix(close)?.trim_end();
        // Python's tuple of one.
        Some(inner.strip_suffix(',').unwrap_or(inner))
    });
    let mut values = Vec::new();
    for part in bare.unwrap_or(text).split(',') {
        let before = values.len();
        for number in part.split_whitespace() {
            values.push(number.parse().ok()?);
        }
        if values.len() == before {
            return None;
        }
    }
    Some(values)
}

/// Why a text is not as many numbers as there are channels, if it is not.
fn why_not(text: &str, channels: usize) -> Option<String> {
    match list(text) {
        None => Some("not a list of numbers".to_owned()),
        Some(values) if values.len() != channels => {
            Some(format!("{} numbers, the network has {channels} channels", values.len()))
        }
        Some(_) => None,
    }
}

fn join(values: &[f32]) -> String {
    values.iter().map(f32::to_string).collect::<Vec<_>>().join(",")
}
