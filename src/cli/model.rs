//! A checkpoint made ready: which network it is, whether it fits the images, how they are normalised.

use super::output::note;
use super::source::Normalise;
use std::fmt::Display;
use std::path::Path;
use synfilter::checkpoint::Checkpoint;
use synfilter::data::{DatasetKind, Images};
use synfilter::graph::{Graph, Shape};
use synfilter::models::{Arch, Stem, stem_of};
use synfilter::network::Normalisation;
use synfilter::sweep::CheckpointId;
use synfilter::weights::Weights;
use synfilter::{Error, Result};

/// A trained network.
pub struct Model {
    /// The architecture.
    pub arch: Arch,
    /// Its stem.
    pub stem: Stem,
    /// The network for the images at hand.
    pub graph: Graph,
    /// Its weights.
    pub weights: Weights,
    /// How the images are normalised.
    pub norm: Normalisation,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Epochs of training, where the file tells.
    pub epoch: Option<u32>,
    /// Seed of the training, where the file tells.
    pub seed: Option<u64>,
}

/// What is known of a checkpoint's training beside its file: much that others leave tells neither epoch nor seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trained {
    /// Epochs of training.
    pub epoch: Option<u32>,
    /// The seed.
    pub seed: Option<u64>,
}

impl Model {
    /// Loads a checkpoint for the images of a data set. `arch` may be left out where the file's metadata names it,
    /// `stem` where these or the shapes do.
    ///
    /// # Errors
    /// An input error for a file that is damaged or does not fit the images, a usage error for an architecture that
    /// is unknown or contradicts the file, for a stem likewise or that is left open, and for a normalisation that cannot be.
    pub fn load(
        path: &Path,
        arch: Option<Arch>,
        stem: Option<Stem>,
        dataset: DatasetKind,
        images: &Images,
        normalise: &Normalise,
    ) -> Result<Model> {
        let checkpoint = Checkpoint::load(path)?;
        let arch = which(&checkpoint, path, arch)?;
        let stem = stem_in(&checkpoint, path, arch, stem)?;
        let ([channels, h, w], classes) = (images.shape, images.classes.len());
        let meta = &checkpoint.meta;
        for (what, recorded, actual) in
            [("classes", meta.classes, classes), ("channels", meta.channels, channels)]
        {
            if let Some(recorded) = recorded.filter(|&recorded| recorded != actual) {
                let expected = format!("{actual} as {dataset} has");
                return Err(Error::input(path, format!("metadata `{what}`"), expected, recorded));
            }
        }
        if let Some(trained) = meta.dataset.as_deref().filter(|&trained| trained != dataset.name()) {
            note(&format!("note: {} was trained on {trained}, not on {dataset}", path.display()));
        }
        let graph = arch.build_with(Shape { c: channels, h, w }, classes, stem)?;
        check_channels(&checkpoint, &graph, path, dataset)?;
        let weights = Weights::from_checkpoint(&graph, &checkpoint, path)?;
        let (mean, std) = dataset.default_mean_std(channels);
        let own = |name: &str, recorded: &Option<Vec<f32>>, default| match recorded {
            Some(values) if values.len() == channels => Ok(values.clone()),
            Some(values) => {
                let expected = format!("{channels} values, one per channel");
                Err(Error::input(path, format!("metadata `{name}`"), expected, values.len()))
            }
            None => Ok(default),
        };
        let norm = Normalisation { mean: own("mean", &meta.mean, mean)?, std: own("std", &meta.std, std)? };
        let norm = normalise.over(norm)?;
        let Checkpoint { sha256, meta, .. } = checkpoint;
        Ok(Model { arch, stem, graph, weights, norm, sha256, epoch: meta.epoch, seed: meta.seed })
    }

    /// A network with initial weights for the images of a data set.
    ///
    /// # Errors
    /// A usage error for images that are too small for it.
    pub fn untrained(
        (arch, stem): (Arch, Stem),
        dataset: DatasetKind,
        images: &Images,
        seed: u64,
    ) -> Result<Model> {
        let [channels, h, w] = images.shape;
        let graph = arch.build_with(Shape { c: channels, h, w }, images.classes.len(), stem)?;
        let weights = Weights::init(&graph, seed);
        let (mean, std) = dataset.default_mean_std(channels);
        let norm = Normalisation { mean, std };
        Ok(Model { arch, stem, graph, weights, norm, sha256: String::new(), epoch: None, seed: None })
    }

    /// The network with what else is known of its training.
    ///
    /// # Errors
    /// An input error if the file says something else.
    pub fn trained(mut self, known: Trained, path: &Path) -> Result<Model> {
        agrees(path, "epoch", known.epoch, self.epoch)?;
        agrees(path, "seed", known.seed, self.seed)?;
        (self.epoch, self.seed) = (self.epoch.or(known.epoch), self.seed.or(known.seed));
        Ok(self)
    }

    /// The checkpoint as a sweep records it.
    pub fn id(&self) -> CheckpointId {
        CheckpointId {
            sha256: self.sha256.clone(),
            epoch: self.epoch,
            seed: self.seed,
            mean: self.norm.mean.clone(),
            std: self.norm.std.clone(),
        }
    }
}

/// Whether a file says what is known, if it says anything.
fn agrees<T: PartialEq + Display>(path: &Path, what: &str, known: Option<T>, found: Option<T>) -> Result<()> {
    match known.zip(found) {
        Some((known, found)) if known != found => {
            Err(Error::input(path, format!("metadata `{what}`"), known, found))
        }
        _ => Ok(()),
    }
}

/// The architecture: what the file says, or what the user says; where both do, they have to agree.
fn which(checkpoint: &Checkpoint, path: &Path, wanted: Option<Arch>) -> Result<Arch> {
    let recorded = checkpoint.meta.arch.as_deref();
    match (wanted, recorded.map(|name| (name, name.parse::<Arch>().ok()))) {
        (Some(wanted), Some((_, Some(found)))) if wanted != found => Err(Error::usage(format!(
            "--arch {wanted}: {} is a checkpoint of {found}, as its metadata say",
            path.display()
        ))),
        // What another program calls its network ("ResNet") contradicts nothing.
        (Some(wanted), _) | (None, Some((_, Some(wanted)))) => Ok(wanted),
        (None, Some((name, None))) => {
            let known = Arch::ALL.map(Arch::name).join(", ");
            let found = format!("`{}`; --arch says which it is", name.escape_debug());
            Err(Error::input(path, "metadata `arch`", format!("one of {known}"), found))
        }
        (None, None) => {
            Err(Error::usage(format!("{}: its metadata name no network; expected --arch", path.display())))
        }
    }
}

/// The stem: what the user says, what the file's metadata or its shapes do.
fn stem_in(checkpoint: &Checkpoint, path: &Path, arch: Arch, said: Option<Stem>) -> Result<Stem> {
    let recorded = checkpoint.meta.stem.as_deref().and_then(|name| match name.parse() {
        Ok(stem) => Some(stem),
        Err(_) => {
            let name = name.escape_debug();
            note(&format!("note: {}: metadata `stem`: `{name}` is none, and passed over", path.display()));
            None
        }
    });
    let conv1 = checkpoint.tensors.get("conv1.weight").map_or(&[][..], |tensor| &tensor.shape);
    stem_of(arch, conv1, said, recorded, path)
}

/// Whether the first convolution takes as many channels as the images have; the shapes of all tensors are checked
/// later, but this difference has a plain name.
fn check_channels(checkpoint: &Checkpoint, graph: &Graph, path: &Path, dataset: DatasetKind) -> Result<()> {
    let Some(first) = graph.filterable().first().map(|&p| &graph.params[p]) else { return Ok(()) };
    let found = checkpoint.tensors.get(&first.name).map(|tensor| tensor.shape.as_slice());
    match (found, first.shape.as_slice()) {
        (Some([k, found, r, s]), [k1, expected, r1, s1])
            if (k, r, s) == (k1, r1, s1) && found != expected =>
        {
            let expected = format!("{expected} input channels as the images of {dataset} have");
            Err(Error::input(path, format!("tensor `{}`", first.name), expected, found))
        }
        _ => Ok(()),
    }
}
