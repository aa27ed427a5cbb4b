//! What decides the weights that a training run ends with.

use crate::backend::Optimizer;
use crate::backend::{Adam, Sgd};
use crate::data::{DatasetKind, Images};
use crate::error::{Error, Result};
use crate::graph::{Graph, ParamId, Shape};
use crate::models::{Arch, Stem};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Learning rates if none is given: PyTorch's default for Adam, a common one for SGD with momentum.
const ADAM_LR: f64 = 1e-3;
const SGD_LR: f64 = 0.01;
/// Momentum of SGD if none is given.
const MOMENTUM: f64 = 0.9;

/// A kind of optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Adam with PyTorch's defaults.
    Adam,
    /// Stochastic gradient descent with momentum.
    Sgd,
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "adam" => Ok(Method::Adam),
            "sgd" => Ok(Method::Sgd),
            _ => Err(Error::usage(format!("unknown optimizer \"{name}\": expected adam or sgd"))),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Method::Adam => "adam",
            Method::Sgd => "sgd",
        })
    }
}

/// An optimiser with what is given of its settings, and defaults for the rest; Adam has no `momentum`.
pub fn optimizer(method: Method, lr: Option<f64>, momentum: Option<f64>, weight_decay: f64) -> Optimizer {
    match method {
        Method::Adam => Optimizer::Adam(Adam { weight_decay, ..Adam::new(lr.unwrap_or(ADAM_LR)) }),
        Method::Sgd => Optimizer::Sgd(Sgd {
            lr: lr.unwrap_or(SGD_LR),
            momentum: momentum.unwrap_or(MOMENTUM),
            nesterov: false,
            weight_decay,
        }),
    }
}

/// The settings of a training run. Two runs with equal settings on the same images end with the same bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainSettings {
    /// The network.
    #[serde(with = "by_name")]
    pub arch: Arch,
    /// Its stem.
    // Left out for torchvision's: runs of versions that knew no other stay what they were.
    #[serde(default, skip_serializing_if = "Stem::is_imagenet")]
    pub stem: Stem,
    /// The name of the images in checkpoints and results.
    #[serde(with = "by_name")]
    pub dataset: DatasetKind,
    /// Classes that the network tells apart: at least as many as the images have.
    pub classes: usize,
    /// Channels of the images.
    pub channels: usize,
    /// Mean per channel, in pixel units.
    pub mean: Vec<f32>,
    /// Standard deviation per channel, in pixel units.
    pub std: Vec<f32>,
    /// How often the network sees every image. The one setting that a resumed run may change.
    pub epochs: u32,
    /// Epochs from one checkpoint to the next; there is one at the end too.
    pub save_every: u32,
    /// Decides initial weights, the order of images and dropout.
    pub seed: u64,
    /// Images per step. A last batch that is not full is left out of its epoch.
    pub batch: usize,
    /// How weights are moved.
    pub optimizer: Optimizer,
    /// Epochs after each of which the learning rate is divided by ten; the paper's protocol has none.
    #[serde(default)]
    pub lr_drops: Vec<u32>,
    /// The checkpoint that training starts from, in the place of initial weights. Epochs are counted from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// The checkpoint that a training starts from, and what of it stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// Its own epoch, where it tells.
    pub epoch: Option<u32>,
    /// The layers that are not trained, by their filterable tensors: each keeps weight and bias, and its batch norm keeps
    /// everything and goes by running statistics.
    pub frozen: Vec<String>,
}

impl TrainSettings {
    /// The protocol of the paper's networks (METHOD.md §7) for these images: Adam with a learning rate of 10⁻³,
    /// batches of 100, a checkpoint every 10 of 100 epochs.
    pub fn new(arch: Arch, dataset: DatasetKind, images: &Images) -> Self {
        let channels = images.shape[0];
        let (mean, std) = dataset.default_mean_std(channels);
        TrainSettings {
            arch,
            stem: Stem::Imagenet,
            dataset,
            classes: images.classes.len(),
            channels,
            mean,
            std,
            epochs: 100,
            save_every: 10,
            seed: 0,
            batch: 100,
            optimizer: Optimizer::Adam(Adam::new(1e-3)),
            lr_drops: Vec::new(),
            origin: None,
        }
    }

    /// The parameters that are not trained.
    ///
    /// # Errors
    /// [`Error::Usage`] naming a layer that the network does not have, and where all are frozen.
    pub fn frozen(&self, graph: &Graph) -> Result<Vec<ParamId>> {
        let layers = graph.filterable();
        let names = self.origin.iter().flat_map(|origin| &origin.frozen);
        let mut frozen = Vec::new();
        for name in names {
            let Some(&layer) = layers.iter().find(|&&layer| graph.params[layer].name == *name) else {
                return Err(Error::usage(format!(
                    "frozen layers: expected layers of {}, found {name}",
                    self.arch
                )));
            };
            frozen.extend(graph.layer(layer));
        }
        match layers.iter().any(|layer| !frozen.contains(layer)) {
            true => Ok(frozen),
            false => Err(Error::usage(format!("frozen layers: expected fewer than all {}", layers.len()))),
        }
    }

    /// Epochs that weights have seen after `epoch` of this training; `None` where the checkpoint before it did not tell.
    pub fn epoch_of_weights(&self, epoch: u32) -> Option<u32> {
        match &self.origin {
            None => Some(epoch),
            Some(origin) => origin.epoch.map(|before| before.saturating_add(epoch)),
        }
    }

    /// The optimiser of an epoch, counted from 1: its learning rate has been divided by ten after every drop.
    pub fn optimizer_in(&self, epoch: u32) -> Optimizer {
        let drops = self.lr_drops.iter().filter(|&&drop| drop < epoch).count();
        let factor = 10f64.powi(drops as i32);
        match self.optimizer {
            Optimizer::Adam(adam) => Optimizer::Adam(Adam { lr: adam.lr / factor, ..adam }),
            Optimizer::Sgd(sgd) => Optimizer::Sgd(Sgd { lr: sgd.lr / factor, ..sgd }),
        }
    }

    /// The learning rate of an epoch, counted from 1.
    pub fn lr_in(&self, epoch: u32) -> f64 {
        match self.optimizer_in(epoch) {
            Optimizer::Adam(adam) => adam.lr,
            Optimizer::Sgd(sgd) => sgd.lr,
        }
    }

    /// The network, if these settings can train it on `train` and measure it on `test`.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the first setting that cannot be, what it should be and what it is.
    pub fn check(&self, train: &Images, test: &Images) -> Result<Graph> {
        let fault = |what: &str, expected: String, found: String| {
            Err(Error::usage(format!("{what}: expected {expected}, found {found}")))
        };
        for (what, count) in [("--epochs", self.epochs), ("--save-every", self.save_every)] {
            if count == 0 {
                return fault(what, "at least 1".into(), "0".into());
            }
        }
        if self.batch < 2 {
            return fault("batch size", "at least 2, as batch norm needs".into(), self.batch.to_string());
        }
        if let Some(drop) = self.lr_drops.iter().find(|&&drop| drop == 0 || drop >= self.epochs) {
            let expected = format!("epochs from 1 to {}", self.epochs.saturating_sub(1));
            return fault("--lr-drops", expected, drop.to_string());
        }
        self.check_optimizer()?;
        let [channels, h, w] = train.shape;
        if self.channels != channels {
            return fault("channels", format!("{channels} as the images have"), self.channels.to_string());
        }
        if self.mean.len() != channels || self.std.len() != channels {
            let found = format!("{} and {}", self.mean.len(), self.std.len());
            return fault("mean and standard deviation", format!("{channels} values each"), found);
        }
        let sound = |(mean, std): (&f32, &f32)| mean.is_finite() && std.is_finite() && *std > 0.0;
        if !self.mean.iter().zip(&self.std).all(sound) {
            let found = format!("{:?} and {:?}", self.mean, self.std);
            return fault("mean and standard deviation", "finite, the latter positive".into(), found);
        }
        if test.shape != train.shape {
            let [c, h, w] = test.shape;
            let expected = format!("{channels}×{}×{} as for training", train.shape[1], train.shape[2]);
            return fault("size of the test images", expected, format!("{c}×{h}×{w}"));
        }
        if train.len() < self.batch {
            let expected = format!("at least one batch of {}", self.batch);
            return fault("training images", expected, train.len().to_string());
        }
        if test.is_empty() {
            return fault("test images", "at least one".into(), "none".into());
        }
        let labels = train.labels.iter().chain(&test.labels);
        if let Some(label) = labels.copied().find(|&label| usize::from(label) >= self.classes) {
            return fault("labels", format!("below the {} classes", self.classes), label.to_string());
        }
        self.arch.build_with(Shape { c: channels, h, w }, self.classes, self.stem)
    }

    fn check_optimizer(&self) -> Result<()> {
        let decay = |x: f64| (0.0..1.0).contains(&x);
        let (lr, weight_decay) = match self.optimizer {
            Optimizer::Adam(adam) => (adam.lr, adam.weight_decay),
            Optimizer::Sgd(sgd) => (sgd.lr, sgd.weight_decay),
        };
        let sound = match self.optimizer {
            Optimizer::Adam(adam) => {
                decay(adam.beta1) && decay(adam.beta2) && adam.epsilon.is_finite() && adam.epsilon > 0.0
            }
            Optimizer::Sgd(sgd) => decay(sgd.momentum),
        };
        let expected = if !(lr.is_finite() && lr > 0.0) {
            "a positive learning rate"
        } else if !(weight_decay.is_finite() && weight_decay >= 0.0) {
            "a weight decay of 0 or more"
        } else if !sound {
            "decays (momentum, betas) of at least 0 and below 1, and a positive epsilon"
        } else {
            return Ok(());
        };
        Err(Error::usage(format!("optimiser: expected {expected}, found {:?}", self.optimizer)))
    }
}

/// Values that are stored under their name.
mod by_name {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::fmt::Display;
    use std::str::FromStr;

    pub fn serialize<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
