//! `synfilter train`: a network from scratch, with checkpoints.

use super::device::Compute;
use super::network::Normalise;
use super::output::Output;
use super::source::Source;
use super::terminal::{TERMINAL, told_on_stop};
use serde::Serialize;
use std::path::{Path, PathBuf};
use synfilter::backend::Optimizer;
use synfilter::backend::format::NumberFormat;
use synfilter::data::{Split, open};
use synfilter::input::Input;
use synfilter::models::{Arch, Stem};
use synfilter::network::Normalisation;
use synfilter::provenance::command;
use synfilter::train::{self, Data, EpochRecord, Job, Method, Session, TrainSettings, Trained, optimizer};
use synfilter::{Error, Result};

/// The flags of `train`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The network.
    #[arg(long, value_name = "A")]
    arch: Arch,
    /// The stem of a ResNet: torchvision's (imagenet), a 3×3 convolution of stride 1 for small images without or with the
    /// max pool, or torchvision's without the pool.
    #[arg(long, value_name = "imagenet|3x3|3x3-pool|7x7-no-pool", default_value_t = Stem::Imagenet)]
    stem: Stem,
    #[command(flatten)]
    source: Source,
    /// Times that the network sees every image.
    #[arg(long, value_name = "N", default_value_t = 100)]
    epochs: u32,
    /// Epochs from one checkpoint to the next.
    #[arg(long, value_name = "K", default_value_t = 10)]
    save_every: u32,
    /// The folder of the run.
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    /// Go on with the run that is in the folder.
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    learning: Learning,
    /// Also write loss, accuracy, learning rate and images per second of every epoch as TensorBoard's event file into the
    /// folder.
    #[arg(long)]
    tensorboard: bool,
    #[command(flatten)]
    normalise: Normalise,
    #[command(flatten)]
    compute: Compute,
}

/// How weights are moved.
#[derive(clap::Args, Clone, Debug)]
pub struct Learning {
    /// Images per step.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub batch_size: usize,
    /// How weights are moved.
    #[arg(long, value_name = "adam|sgd", default_value_t = Method::Adam)]
    optimizer: Method,
    /// Learning rate: 0.001 for Adam, 0.01 for SGD if left out.
    #[arg(long, value_name = "LR", allow_hyphen_values = true)]
    lr: Option<f64>,
    /// Epochs after each of which the learning rate is divided by ten; none if left out.
    #[arg(long, value_name = "E,..", value_delimiter = ',')]
    pub lr_drops: Vec<u32>,
    /// Momentum of SGD: 0.9 if left out.
    #[arg(long, value_name = "M", allow_hyphen_values = true)]
    momentum: Option<f64>,
    /// Weight decay, added to the gradient.
    #[arg(long, value_name = "W", default_value_t = 0.0, allow_hyphen_values = true)]
    weight_decay: f64,
}

impl Learning {
    /// The optimiser.
    ///
    /// # Errors
    /// A usage error for a momentum of Adam.
    pub fn optimizer(&self) -> Result<Optimizer> {
        if self.optimizer == Method::Adam && self.momentum.is_some() {
            return Err(Error::usage("--momentum: belongs to --optimizer sgd; Adam has none to set"));
        }
        Ok(optimizer(self.optimizer, self.lr, self.momentum, self.weight_decay))
    }
}

#[derive(Serialize)]
struct Document<'a> {
    run: &'a Path,
    checkpoint: &'a Path,
    epochs: &'a [EpochRecord],
}

/// Trains a network.
///
/// # Errors
/// Those of the images, the settings, the device and the run's folder.
pub fn run(args: &Args, output: Output) -> Result<()> {
    let optimizer = args.learning.optimizer()?;
    only_f32(&args.compute)?;
    let device = args.compute.open()?;
    let (images, train_reading) = open(&args.source.request(Split::Train)?)?;
    let (test, test_reading) = open(&args.source.request(Split::Test)?)?;
    let own = TrainSettings::new(args.arch, args.source.dataset, &images);
    let norm =
        args.normalise.choice().over(Normalisation { mean: own.mean.clone(), std: own.std.clone() })?;
    let settings = TrainSettings {
        stem: args.stem,
        mean: norm.mean,
        std: norm.std,
        epochs: args.epochs,
        save_every: args.save_every,
        seed: args.compute.seed,
        batch: args.learning.batch_size,
        optimizer,
        lr_drops: args.learning.lr_drops.clone(),
        ..own
    };
    let session = Session { command: command(), device: device.description()? };
    let input = Some(Input::of_training(train_reading, test_reading));
    let job = Job { folder: &args.out, resume: args.resume, tensorboard: args.tensorboard, session, input };
    let data = Data { train: &images, test: &test, weights: None };
    let folder = args.out.display();
    let goes_on = format!("the same command with --resume goes on from the last checkpoint in {folder}");
    let trained = train::run(&device, &settings, data, job, &TERMINAL).inspect_err(told_on_stop(goes_on))?;
    let Trained { checkpoint, epochs } = &trained;
    output.result(&Document { run: &args.out, checkpoint, epochs }, || closing(&trained))
}

/// Refuses other number formats than that of training.
///
/// # Errors
/// A usage error.
pub fn only_f32(compute: &Compute) -> Result<()> {
    match compute.dtype {
        NumberFormat::F32 => Ok(()),
        other => {
            let dtype = other.name();
            Err(Error::usage(format!("--dtype {dtype}: expected f32, in which all training runs")))
        }
    }
}

fn closing(trained: &Trained) -> String {
    let last = trained.epochs.last().map_or(String::new(), |last| {
        format!(
            "test accuracy {:.2} %, loss {:.4} after epoch {}; ",
            100.0 * last.test_accuracy,
            last.test_loss,
            last.epoch
        )
    });
    format!("{last}{}\n", trained.checkpoint.display())
}
