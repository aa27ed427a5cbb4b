//! `synfilter train`: a network from scratch, with checkpoints.

use super::device::Compute;
use super::interrupt::INTERRUPTED;
use super::network::Normalise;
use super::output::{Output, note};
use super::progress::{Meter, duration};
use super::provenance;
use super::source::Source;
use serde::Serialize;
use std::path::{Path, PathBuf};
use synfilter::backend::format::NumberFormat;
use synfilter::backend::open::OnDevice;
use synfilter::backend::{Backend, Optimizer};
use synfilter::data::{Split, open};
use synfilter::input::Input;
use synfilter::models::{Arch, Stem};
use synfilter::network::Normalisation;
use synfilter::train::{
    Data, EpochRecord, Job, Method, Observer, Progress, Session, TrainSettings, Trained, optimizer, train,
};
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
    args.compute.run(true, Training { args, optimizer, output })
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

/// The training, on a device.
struct Training<'a> {
    args: &'a Args,
    optimizer: Optimizer,
    output: Output,
}

impl OnDevice for Training<'_> {
    type Output = ();

    fn run<B: Backend>(self, backend: &B, description: String) -> Result<()> {
        let Training { args, optimizer, output } = self;
        trained(backend, args, optimizer, description, output)
    }
}

fn trained<B: Backend>(
    backend: &B,
    args: &Args,
    optimizer: Optimizer,
    description: String,
    output: Output,
) -> Result<()> {
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
    let session = session(description);
    let input = Some(Input::of_training(train_reading, test_reading));
    let job = Job { folder: &args.out, resume: args.resume, tensorboard: args.tensorboard, session, input };
    let data = Data { train: &images, test: &test, weights: None };
    let trained = shown(backend, &settings, data, job).inspect_err(|error| {
        if matches!(error, Error::Interrupted) {
            note(&format!(
                "the same command with --resume goes on from the last checkpoint in {}",
                args.out.display()
            ));
        }
    })?;
    let Trained { checkpoint, epochs } = &trained;
    output.result(&Document { run: &args.out, checkpoint, epochs }, || closing(&trained))
}

/// Trains with progress on stderr.
///
/// # Errors
/// Those of [`train`].
pub fn shown<B: Backend>(backend: &B, settings: &TrainSettings, data: Data, job: Job) -> Result<Trained> {
    let mut shown = Shown { input: job.input.clone(), meter: None, epochs: settings.epochs };
    train(backend, settings, data, job, &INTERRUPTED, &mut shown)
}

/// This process, for the record of a training run.
pub fn session(device: String) -> Session {
    let provenance = provenance::of_this_command(0, device, &[] as &[&Path]);
    Session { command: provenance.command, device: provenance.device }
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

/// Shows a training run on stderr.
struct Shown {
    /// What was read, until it is told.
    input: Option<Input>,
    meter: Option<Meter>,
    epochs: u32,
}

impl Observer for Shown {
    fn batch(&mut self, progress: &Progress) {
        // There is something to do, and nothing that could still be refused.
        if let Some(input) = self.input.take() {
            note(&input.to_string());
        }
        let batches = progress.batches as u64;
        let done = u64::from(progress.epoch - 1) * batches + progress.batch as u64;
        let meter = self.meter.get_or_insert_with(|| {
            let meter = Meter::new("train", u64::from(progress.epochs) * batches, "batches");
            meter.begin_at(done - 1);
            meter
        });
        meter.set(done, || {
            format!(
                "epoch {}/{}, loss {:.4}, accuracy {:.2} %, {:.0} images/s",
                progress.epoch,
                progress.epochs,
                progress.loss,
                100.0 * progress.accuracy,
                progress.images_per_s
            )
        });
    }

    fn epoch(&mut self, record: &EpochRecord) {
        let line = format!(
            "epoch {}/{}: loss {:.4}, test accuracy {:.2} %, {:.0} images/s, {}",
            record.epoch,
            self.epochs,
            record.train_loss,
            100.0 * record.test_accuracy,
            record.images_per_s,
            duration(record.seconds)
        );
        match &self.meter {
            Some(meter) => meter.note(&line),
            None => note(&line),
        }
    }
}
