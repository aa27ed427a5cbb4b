//! What a retraining is, and what there is to do for it.

use super::arms::Arms;
use super::document::{Arm, Labels, RetrainingSettings, Training};
use super::labels::labels;
use crate::attack::{Attack, Eps, Method};
use crate::backend::opened::Device;
use crate::data::{DatasetKind, Images};
use crate::error::{Error, Result};
use crate::input::Input;
use crate::model::{Model, Said};
use crate::models::Arch;
use crate::score::{Label, Options, Which};
use crate::train::{Origin, TrainSettings};
use crate::watch::Watch;
use std::path::Path;

/// A retraining with its controls.
pub struct Retraining<'a> {
    /// The device, which computes in f32.
    pub device: &'a Device,
    /// The checkpoint that all arms start from.
    pub checkpoint: &'a Path,
    /// The sweep of it.
    pub labels: &'a Path,
    /// The images to train on.
    pub train: &'a Images,
    /// All test images, those that the sweep measured first.
    pub test: &'a Images,
    /// Which all these are; the test images that the sweep chose come first.
    pub input: Input,
    /// What the user says of the network.
    pub said: &'a Said,
    /// The score that decides.
    pub by: Which,
    /// How it is made.
    pub options: Options,
    /// The images of the sweep, in words.
    pub swept: Option<String>,
    /// How networks are trained.
    pub training: Training,
    /// The seeds.
    pub seeds: &'a [u64],
    /// Sizes of the attack; that of the sweep if there are none.
    pub eps: Option<&'a [Eps]>,
    /// Whether accuracy is measured on all test images, or on those that the sweep has not seen, if there are any.
    pub all_images: bool,
    /// Whether adversarial images are clipped.
    pub clamp: bool,
    /// The command that is recorded, word by word.
    pub command: Vec<String>,
    /// Who hears how it goes on.
    pub watch: &'a dyn Watch,
}

/// What there is to do.
pub struct RetrainingPlan {
    /// What decides it.
    pub settings: RetrainingSettings,
    /// What each arm trains.
    pub(super) arms: Arms,
    /// The checkpoint.
    pub(super) model: Model,
    /// Its architecture, and the data set: training is of those that the program knows.
    known: (Arch, DatasetKind),
    /// What a reader of its results should know.
    pub(super) notes: Vec<String>,
}

impl RetrainingPlan {
    /// Layers that are fragile.
    pub fn fragile(&self) -> usize {
        self.settings.labels.layers.iter().filter(|layer| layer.label == Label::Fragile).count()
    }

    /// Networks that are trained.
    pub fn to_train(&self) -> usize {
        let arms = Arm::ALL.iter().filter(|&&arm| arm != Arm::Checkpoint && self.arms.same_as(arm).is_none());
        arms.count() * self.settings.seeds.len()
    }

    /// The settings of the training of an arm under a seed.
    pub(super) fn train_settings(&self, arm: Arm, seed: u64, retraining: &Retraining) -> TrainSettings {
        let Training { epochs, batch, optimizer, ref lr_drops } = self.settings.training;
        let checkpoint = &self.settings.checkpoint;
        TrainSettings {
            stem: self.model.stem,
            mean: checkpoint.mean.clone(),
            std: checkpoint.std.clone(),
            epochs,
            save_every: epochs,
            seed,
            batch,
            optimizer,
            lr_drops: lr_drops.clone(),
            origin: Some(Origin {
                sha256: checkpoint.sha256.clone(),
                epoch: checkpoint.epoch,
                frozen: self.arms.frozen(arm, seed),
            }),
            ..TrainSettings::new(self.known.0, self.known.1, retraining.train)
        }
    }

    pub(super) fn attacks(&self) -> Vec<Attack> {
        let RetrainingSettings { eps, clamp, .. } = &self.settings;
        eps.iter().map(|&eps| Eps(eps).attack(Method::Fgsm, *clamp)).collect()
    }
}

impl Retraining<'_> {
    /// Reads checkpoint and labels, and looks whether they fit the images and one another.
    ///
    /// # Errors
    /// An input error for files that are damaged or do not fit, a usage error for settings that cannot be.
    pub fn plan(&self) -> Result<RetrainingPlan> {
        let model = Model::open(self.checkpoint, self.said, self.test)?;
        let Some(known) = model.arch.zip(self.train.dataset) else {
            let found = format!("{} on {}", model.name, self.train.name());
            return Err(Error::usage(format!(
                "retraining: expected a known network and data set, found {found}"
            )));
        };
        let layers: Vec<&str> =
            model.graph.filterable().into_iter().map(|layer| &*model.graph.params[layer].name).collect();
        let of = (&*model.sha256, model.stem);
        let (labels, digest) = labels(self.labels, of, &layers, self.by, self.options)?;
        let mut notes = Vec::new();
        let images = self.images(&labels, &digest, &mut notes)?;
        let undefined = labels.layers.iter().filter(|layer| layer.score.is_none()).count();
        if undefined > 0 {
            notes.push(format!(
                "the {} score of {undefined} layers is undefined; they are trained, as they are not known to be fragile",
                labels.by
            ));
        }
        if self.seeds.is_empty() {
            return Err(Error::usage("seeds: expected at least one, found none"));
        }
        if self.seeds.len() < 2 {
            notes.push("one seed shows nothing of the spread over trainings".to_owned());
        }
        let mut eps: Vec<f64> =
            self.eps.map_or(vec![labels.eps], |eps| eps.iter().map(|eps| eps.0).collect());
        eps.sort_by(f64::total_cmp);
        if let Some(pair) = eps.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::usage(format!("--eps: expected each once, found {} twice", Eps(pair[0]))));
        }
        let settings = RetrainingSettings {
            arch: model.name.clone(),
            stem: model.stem,
            dataset: known.1.name().to_owned(),
            train_digest: self.train.digest.clone(),
            test_digest: self.test.digest.clone(),
            images,
            checkpoint: model.id(),
            labels,
            training: self.training.clone(),
            seeds: self.seeds.to_vec(),
            eps,
            clamp: self.clamp,
            dtype: "f32".to_owned(),
            backend: self.device.name().to_owned(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let arms = Arms::of(&settings.labels);
        for (arm, other) in Arm::ALL.iter().filter_map(|&arm| Some((arm, arms.same_as(arm)?))) {
            notes.push(format!(
                "the {arm} arm is the same as the {other} arm: {} layers are trained",
                arms.count()
            ));
        }
        let plan = RetrainingPlan { settings, arms, model, known, notes };
        // Settings that cannot be are known before anything is trained.
        plan.train_settings(Arm::Full, 0, self).check(self.train, self.test)?;
        Ok(plan)
    }

    /// The test images that accuracy is measured on.
    fn images(&self, labels: &Labels, digest: &str, notes: &mut Vec<String>) -> Result<[usize; 2]> {
        let [first, seen] = labels.images;
        let all = self.test.len();
        let same = first == 0
            && seen <= all
            && if seen == all {
                self.test.digest == digest
            } else {
                self.test.clone().first(seen)?.digest == digest
            };
        if !same {
            let swept = self.swept.as_ref().map(|words| format!(" ({words})")).unwrap_or_default();
            let images = &self.input.images;
            return Err(Error::usage(format!(
                "{}: images: expected the test images that it measured{swept}, found {} {} images of {}, {}",
                self.labels.display(),
                images.of,
                images.split,
                images.dataset,
                images.preparation
            )));
        }
        if !self.all_images && seen < all {
            return Ok([seen, all]);
        }
        notes.push(format!(
            "labels come from {seen} of the {all} images that accuracy is measured on: that of the selective arm may be too good \
             by what the choice of layers owes to them"
        ));
        Ok([0, all])
    }
}
