//! What is in a checkpoint file: its tensors, the networks that they make up, what stands beside them, and what would be
//! taken.

use crate::checkpoint::{File, Listed};
use crate::error::Result;
use crate::graph::Shape;
use crate::models::{Arch, Stem};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Images of this size pass through every architecture.
const SIDE: usize = 224;
/// As many classes as no network has: so none fits better than another.
const CLASSES: usize = 65_521;
/// Characters of a tensor's name that are shown to people.
const NAME: usize = 100;
/// How many of the renamed modules are shown of a network.
const SHOWN: usize = 3;

/// What is in a file.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The file.
    pub file: String,
    /// SHA-256 of it, hexadecimal.
    pub sha256: String,
    /// Whether this program wrote it.
    pub own: bool,
    /// The complete networks in it; the first of an architecture is the one that is taken if nothing is said.
    pub networks: Vec<Fit>,
    /// Plain values beside the weights, as text. Which of them count depends on the network (see `metadata`).
    pub notes: BTreeMap<String, String>,
    /// What has been done to the weights, where no network is complete and names tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewritten: Option<String>,
    /// What the network that is taken makes of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Believed>,
    /// Python objects beside the weights, by key: their class. None is ever made.
    pub objects: BTreeMap<String, String>,
    /// All tensors, in the order of the file.
    pub tensors: Vec<Listed>,
}

/// A complete network in a file.
#[derive(Clone, Debug, Serialize)]
pub struct Fit {
    /// The architecture.
    pub arch: &'static str,
    /// What leads to it, joined by dots: what `--key` takes.
    pub key: String,
    /// Its classes.
    pub classes: usize,
    /// Channels of the images it takes.
    pub channels: usize,
    /// Height and width of its first convolution.
    pub kernel: [usize; 2],
    /// Of a ResNet the stems that its first convolution fits: where torchvision's is not among them, `--stem` or the
    /// metadata have to say which it is.
    #[serde(skip_serializing_if = "<[Stem]>::is_empty")]
    pub stems: &'static [Stem],
    /// Modules that have another name in the file: the network's, the file's.
    pub renamed: Vec<(String, String)>,
    /// Weights that are an original times a pruning mask.
    pub masked: usize,
    /// Why it is only taken if its key is said, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
    /// Whether it is taken if no key is said: the first of its architecture for images of as many classes and channels, where
    /// the file has networks of no other architecture or its metadata name this one.
    pub taken: bool,
}

/// What stands beside the weights and can be meant.
#[derive(Clone, Debug, Serialize)]
pub struct Believed {
    /// Mean of each channel, in pixel units.
    pub mean: Option<Vec<f32>>,
    /// Standard deviation of each channel.
    pub std: Option<Vec<f32>>,
    /// Finished epochs of training.
    pub epoch: Option<u32>,
    /// Seed of the training run.
    pub seed: Option<u64>,
    /// A sentence for each value that is passed over.
    pub passed_over: Vec<String>,
}

impl Inspection {
    /// Looks into a file.
    ///
    /// # Errors
    /// Those of [`File::open`]; an input error for metadata of a file of this program that cannot be.
    pub fn of(path: &Path) -> Result<Inspection> {
        let file = File::open(path)?;
        let networks = networks(&file);
        let metadata = match networks.iter().find(|fit| fit.taken) {
            Some(fit) => {
                let (meta, passed_over) = file.metadata(fit.channels, fit.classes)?;
                let (mean, std, epoch, seed) = (meta.mean, meta.std, meta.epoch, meta.seed);
                Some(Believed { mean, std, epoch, seed, passed_over })
            }
            None => None,
        };
        Ok(Inspection {
            file: path.display().to_string(),
            sha256: file.sha256().to_owned(),
            own: file.is_own(),
            rewritten: file.rewritten().filter(|_| networks.is_empty()),
            networks,
            notes: file.notes().clone(),
            metadata,
            objects: file.objects().iter().cloned().collect(),
            tensors: file.tensors().collect(),
        })
    }

    /// For people, line by line.
    pub fn text(&self) -> String {
        let mut text = format!("{}: {} tensors", self.file, self.tensors.len());
        text += if self.own { ", written by synfilter" } else { "" };
        text += " (names and shapes; values are not read)\n";
        if self.networks.is_empty() {
            let known = Arch::ALL.map(Arch::name).join(", ");
            text += &format!("no complete network of {known}\n");
            text += &self.rewritten.as_ref().map_or(String::new(), |found| format!("    {found}\n"));
        }
        for fit in &self.networks {
            text += &fit.line();
            text += &fit.doubt.as_ref().map_or(String::new(), |doubt| format!("    {doubt}\n"));
            if !fit.renamed.is_empty() {
                let pairs = fit.renamed.iter().take(SHOWN);
                let pairs: Vec<String> = pairs.map(|(own, file)| format!("{file} as {own}")).collect();
                let more = if fit.renamed.len() > SHOWN { ", …" } else { "" };
                text += &format!("    other names: {}{more}\n", pairs.join(", "));
            }
        }
        if let Some(metadata) = &self.metadata {
            text += &metadata.text();
        }
        for (key, class) in &self.objects {
            text += &format!("beside it {key}: {class}, passed over\n");
        }
        for (key, value) in &self.notes {
            text += &format!("beside it {}: {}\n", key.escape_debug(), value.escape_debug());
        }
        let name = |tensor: &Listed| {
            let short: String = tensor.name.chars().take(NAME).collect();
            short.escape_debug().to_string()
        };
        let names: Vec<String> = self.tensors.iter().map(name).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
        for (tensor, name) in self.tensors.iter().zip(&names) {
            text += &format!("  {name:width$}  {:8} {:?}\n", tensor.dtype, tensor.shape);
        }
        text
    }
}

impl Fit {
    fn line(&self) -> String {
        let under = match self.key.as_str() {
            "" => String::new(),
            key => format!(" under `{}`", key.escape_debug()),
        };
        let [r, s] = self.kernel;
        let stems: Vec<String> = self.stems.iter().map(|stem| format!("--stem {stem}")).collect();
        let stems = if stems.is_empty() { String::new() } else { format!(" ({})", stems.join(" or ")) };
        let masked = if self.masked > 0 {
            format!(", {} weights with pruning masks", self.masked)
        } else {
            String::new()
        };
        let taken = if self.taken { "" } else { "; not taken without --key" };
        format!(
            "{}{under}: {} classes, {} channels, first convolution {r}x{s}{stems}{masked}{taken}\n",
            self.arch, self.classes, self.channels
        )
    }
}

impl Believed {
    fn text(&self) -> String {
        let mut text = String::new();
        if let (Some(mean), Some(std)) = (&self.mean, &self.std) {
            text += &format!("normalisation: mean {mean:?}, std {std:?}\n");
        }
        let told = [("epoch", self.epoch.map(u64::from)), ("seed", self.seed)];
        for (what, value) in told {
            text += &value.map_or(String::new(), |value| format!("{what}: {value}\n"));
        }
        for note in &self.passed_over {
            text += &format!("note: {note}\n");
        }
        text
    }
}

/// The complete networks of every architecture in a file.
fn networks(file: &File) -> Vec<Fit> {
    let mut fits = Vec::new();
    for arch in Arch::ALL {
        // Classes, channels and the first kernel are left open by the search; these are but an example.
        let Ok(graph) = arch.build(Shape { c: 3, h: SIDE, w: SIDE }, CLASSES) else { continue };
        let expected = graph.expected_tensors();
        let kernel = expected.first().map_or(&[][..], |(_, shape)| shape.get(2..).unwrap_or_default());
        for found in file.networks(&expected) {
            let extent = |at: usize, dim: usize| found.shape(file, at).get(dim).copied().unwrap_or_default();
            let stems = if arch.has_stems() { Stem::fitting(found.shape(file, 0)) } else { &[] };
            let begins =
                !stems.is_empty() || !arch.has_stems() && found.shape(file, 0).get(2..) == Some(kernel);
            let other_kernel = (!begins).then(|| {
                let (r, s) = (extent(0, 2), extent(0, 3));
                format!("not read: its first convolution is {r}x{s}, that of {} is not", arch.name())
            });
            let (classes, channels) = (extent(expected.len() - 1, 0), extent(0, 1));
            let doubt = other_kernel.or_else(|| found.doubt.clone());
            let first = |fit: &Fit| {
                fit.taken && (fit.arch, fit.classes, fit.channels) == (arch.name(), classes, channels)
            };
            let taken = doubt.is_none() && !fits.iter().any(first);
            fits.push(Fit {
                arch: arch.name(),
                classes,
                channels,
                kernel: [extent(0, 2), extent(0, 3)],
                stems,
                key: found.key.clone(),
                masked: found.masked,
                taken,
                renamed: found.renamed,
                doubt,
            });
        }
    }
    one_architecture(file, &mut fits);
    fits
}

/// Of several architectures none is taken without `--arch` or `--key`, unless the file names it.
fn one_architecture(file: &File, fits: &mut [Fit]) {
    let mut archs: Vec<&str> = fits.iter().filter(|fit| fit.taken).map(|fit| fit.arch).collect();
    archs.dedup();
    let recorded = file.notes().get("arch").and_then(|name| name.parse::<Arch>().ok()).map(Arch::name);
    if archs.len() < 2 {
        return;
    }
    let named = recorded.filter(|recorded| archs.contains(recorded));
    for fit in fits.iter_mut().filter(|fit| fit.taken && Some(fit.arch) != named) {
        fit.taken = false;
        fit.doubt = Some(format!("expected --arch or --key, found networks of {}", archs.join(" and of ")));
    }
}
