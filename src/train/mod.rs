//! Training a network, from scratch or from a checkpoint, reproducibly, and so that it can be stopped and resumed at any time.
//!
//! Initial weights, the order of images and dropout come from counters and the seed alone, and every operation is
//! split over threads without changing an order of summation: the same settings give the same bits, whatever the
//! number of threads, in one go or resumed. [`train`] is the run in a folder (`dir.rs` says what is in it),
//! [`Trainer`] the steps.

mod dir;
pub mod estimate;
mod events;
mod log;
mod settings;
mod trainer;
mod watched;

pub use dir::{Session, TrainDir, TrainFile};
pub use events::Events;
pub use log::{EpochRecord, Log};
pub use settings::{Method, Origin, TrainSettings, optimizer};
pub use trainer::{Start, Trainer};
pub use watched::run;
pub(crate) use watched::watched;

use crate::backend::{Backend, ImageBatch, PixelData};
use crate::checkpoint::Metadata;
use crate::data::Images;
use crate::error::{Error, Result};
use crate::eval::{Tally, evaluate};
use crate::graph::Graph;
use crate::graph::program::{Mode, Program};
use crate::input::Input;
use crate::network::{Network, Normalisation};
use crate::random::Random;
use crate::tape::Prepared;
use crate::weights::Weights;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// First random stream of the orders of images; epoch `e` takes stream `ORDER_STREAM + e`.
const ORDER_STREAM: u64 = 2 << 32;

/// The images of a run.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    /// What the network learns from.
    pub train: &'a Images,
    /// What it is measured on after every epoch.
    pub test: &'a Images,
    /// The weights that [`TrainSettings::origin`] tells of; initial ones if there are none.
    pub weights: Option<&'a Weights>,
}

/// Where a run is kept.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// The folder.
    pub folder: &'a Path,
    /// Whether to go on with a run that is there.
    pub resume: bool,
    /// Whether TensorBoard's event file is written too.
    pub tensorboard: bool,
    /// What to record about this process.
    pub session: Session,
    /// What was read.
    pub input: Option<Input>,
}

/// How far an epoch is.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingProgress {
    /// The epoch at hand, counted from 1.
    pub epoch: u32,
    /// Epochs of the run.
    pub epochs: u32,
    /// Finished batches of the epoch.
    pub batch: usize,
    /// Batches of an epoch.
    pub batches: usize,
    /// Mean loss of the epoch's images so far.
    pub loss: f64,
    /// Share of them that was recognised.
    pub accuracy: f64,
    /// Images per second of the epoch so far.
    pub images_per_s: f64,
}

/// Who hears how a run goes on.
pub trait Observer {
    /// A batch is finished.
    fn batch(&mut self, progress: &TrainingProgress);
    /// An epoch is finished; it has been logged.
    fn epoch(&mut self, record: &EpochRecord);
}

/// Nobody.
impl Observer for () {
    fn batch(&mut self, _: &TrainingProgress) {}
    fn epoch(&mut self, _: &EpochRecord) {}
}

/// What a run left behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// The last epoch's checkpoint.
    pub checkpoint: PathBuf,
    /// All epochs, those before a resumption included.
    pub epochs: Vec<EpochRecord>,
}

/// Trains a network in a folder, on the current rayon pool. A finished run that is resumed is just reported again.
///
/// # Errors
/// [`Error::Usage`] for settings that cannot be, and as [`TrainDir::open`]; [`Error::Interrupted`] soon after
/// `stop` becomes true, with everything up to the last checkpoint kept; [`Error::Failed`] where the loss is not
/// finite any more; [`Error::Write`], [`Error::Read`] and [`Error::Input`] for the files of the run.
pub fn train<B: Backend>(
    backend: &B,
    settings: &TrainSettings,
    data: Data,
    job: Job,
    stop: &dyn Fn() -> bool,
    observer: &mut dyn Observer,
) -> Result<Trained> {
    let graph = settings.check(data.train, data.test)?;
    let ours = TrainFile {
        settings: settings.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        train_digest: data.train.digest.clone(),
        test_digest: data.test.digest.clone(),
        sessions: vec![job.session],
        input: job.input,
    };
    let dir = TrainDir::open(job.folder, &ours, job.resume)?;
    let initial;
    let weights = match data.weights {
        Some(weights) => weights,
        None => {
            initial = Weights::init(&graph, settings.seed);
            &initial
        }
    };
    let TrainSettings { optimizer, seed, batch, ref mean, ref std, .. } = *settings;
    let frozen = settings.frozen(&graph)?;
    let start =
        Start { graph: graph.clone(), weights, frozen: &frozen, optimizer, seed, batch, norm: [mean, std] };
    let mut trainer = Trainer::new(backend, start);
    let mut epoch = 0;
    if let Some((state, found)) = dir.read_state()? {
        trainer.restore(&state, &dir.state())?;
        epoch = found;
    }
    if epoch > settings.epochs {
        let what = format!("{}: holds {epoch} finished epochs", job.folder.display());
        return Err(Error::usage(format!("{what}, more than --epochs {}", settings.epochs)));
    }
    let mut log = Log::open(job.folder, epoch)?;
    let mut events = job.tensorboard.then(|| Events::create(job.folder, &log.epochs)).transpose()?;
    let mut measured = Measured::new(backend, graph, settings);
    let mut run = Epochs { settings, data, stop, observer };
    while epoch < settings.epochs {
        epoch += 1;
        let started = Instant::now();
        trainer.set_optimizer(settings.optimizer_in(epoch));
        let seen = run.epoch(&mut trainer, epoch)?;
        let learning = started.elapsed().as_secs_f64();
        let test = measured.tally(&trainer, data.test)?;
        let share =
            |tally: Tally, images: usize| (tally.loss / images as f64, tally.correct as f64 / images as f64);
        let images = settings.batch * (data.train.len() / settings.batch);
        let (train_loss, train_accuracy) = share(seen, images);
        let (test_loss, test_accuracy) = share(test, data.test.len());
        let record = EpochRecord {
            epoch,
            step: trainer.steps(),
            lr: settings.lr_in(epoch),
            train_loss,
            train_accuracy,
            test_loss,
            test_accuracy,
            images_per_s: images as f64 / learning,
            seconds: started.elapsed().as_secs_f64(),
        };
        log.append(&record)?;
        if let Some(events) = &mut events {
            events.append(&record)?;
        }
        if epoch.is_multiple_of(settings.save_every) || epoch == settings.epochs {
            let state = trainer.state(metadata(settings, Some(epoch)))?;
            let meta = metadata(settings, settings.epoch_of_weights(epoch));
            trainer.weights()?.to_checkpoint(&measured.network.graph, meta).save(dir.checkpoint(epoch))?;
            log.sync()?;
            state.save(dir.state())?;
        }
        run.observer.epoch(&record);
    }
    Ok(Trained { checkpoint: dir.checkpoint(epoch), epochs: log.epochs })
}

/// What all epochs of a run share.
struct Epochs<'a> {
    settings: &'a TrainSettings,
    data: Data<'a>,
    stop: &'a dyn Fn() -> bool,
    observer: &'a mut dyn Observer,
}

impl Epochs<'_> {
    /// One pass over the training images, in an order of its own.
    fn epoch<B: Backend>(&mut self, trainer: &mut Trainer<B>, epoch: u32) -> Result<Tally> {
        let Epochs { settings, data, .. } = self;
        let order = Random::new(settings.seed, ORDER_STREAM + u64::from(epoch)).permutation(data.train.len());
        let batches = order.chunks_exact(settings.batch);
        let count = batches.len();
        let (mut bytes, mut labels) = (Vec::new(), Vec::new());
        let mut tally = Tally::default();
        let started = Instant::now();
        for (i, batch) in batches.enumerate() {
            if (self.stop)() {
                return Err(Error::Interrupted);
            }
            bytes.clear();
            labels.clear();
            for &image in batch {
                bytes.extend_from_slice(data.train.image(image));
                labels.push(data.train.labels[image]);
            }
            let images = ImageBatch { pixels: PixelData::Bytes(&bytes), labels: &labels };
            let verdicts = trainer.step(images)?;
            tally.add(&verdicts);
            if !tally.loss.is_finite() {
                return Err(Error::Failed(format!(
                    "epoch {epoch}, batch {} of {count}: the loss is not finite any more; try a learning rate below {}",
                    i + 1,
                    settings.lr_in(epoch)
                )));
            }
            let images = ((i + 1) * settings.batch) as f64;
            self.observer.batch(&TrainingProgress {
                epoch,
                epochs: settings.epochs,
                batch: i + 1,
                batches: count,
                loss: tally.loss / images,
                accuracy: tally.correct as f64 / images,
                images_per_s: images / started.elapsed().as_secs_f64(),
            });
        }
        Ok(tally)
    }
}

/// The network as it is evaluated: batch norm by running statistics.
struct Measured<'b, B: Backend> {
    network: Network<'b, B>,
}

impl<'b, B: Backend> Measured<'b, B> {
    fn new(backend: &'b B, graph: Graph, settings: &TrainSettings) -> Self {
        let program = Program::lower(&graph, Mode::Inference);
        let norm = [&settings.mean[..], &settings.std];
        let prepared = Prepared::new(backend, &graph, &program, false, norm);
        let norm = Normalisation { mean: settings.mean.clone(), std: settings.std.clone() };
        Measured { network: Network { backend, graph, program, prepared, norm, to_input: Vec::new() } }
    }

    fn tally(&mut self, trainer: &Trainer<B>, images: &Images) -> Result<Tally> {
        let Network { backend, program, prepared, .. } = &mut self.network;
        prepared.load(*backend, program, trainer.params());
        Ok(Tally::from(&evaluate(&self.network, images, 0..images.len(), &[], false, |_| ())?.clean))
    }
}

fn metadata(settings: &TrainSettings, epoch: Option<u32>) -> Metadata {
    let origin = settings
        .origin
        .iter()
        .flat_map(|origin| [("retrained_from", origin.sha256.clone()), ("frozen", origin.frozen.join(","))]);
    Metadata {
        arch: Some(settings.arch.name().to_owned()),
        stem: settings.stem.told(),
        dataset: Some(settings.dataset.name().to_owned()),
        classes: Some(settings.classes),
        channels: Some(settings.channels),
        mean: Some(settings.mean.clone()),
        std: Some(settings.std.clone()),
        epoch,
        seed: Some(settings.seed),
        extra: origin.map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}
