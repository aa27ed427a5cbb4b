//! The front door of sweeps: a job says what is swept, on what, and how; it runs in a folder.

use super::dir::{RunFile, Shard};
use super::plan::Counts;
use super::prepare::{Preparation, summary};
use super::run::{Finished, Keep};
use super::{AttackMode, BnMode, Plan, Scope};
use crate::attack::Eps;
use crate::attack::Method;
use crate::backend::device::{Device, Work, on_device};
use crate::data::{DatasetKind, Images, Reading};
use crate::error::Result;
use crate::filter::FilterKind;
use crate::input::Input;
use crate::model::{Model, Said, Trained};
use crate::provenance::{Provenance, command};
use crate::score::{Options, Scores, score_run};
use crate::watch::Watch;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What a sweep measures.
#[derive(Clone, Debug, PartialEq)]
pub struct Choices {
    /// The filters.
    pub filters: Vec<FilterKind>,
    /// Thresholds per filter, evenly spread over the weights' range.
    pub thresholds: usize,
    /// What is filtered at once.
    pub scope: Scope,
    /// The layers that are filtered, by the names of their tensors; all if nothing is said.
    pub layers: Option<Vec<String>>,
    /// The most that the attack moves a pixel.
    pub eps: Eps,
    /// How adversarial images are made.
    pub method: Method,
    /// Against which network.
    pub attack: AttackMode,
    /// Whether adversarial images are clipped to [0, 1].
    pub clamp: bool,
    /// Which statistics batch norm uses.
    pub bn: BnMode,
}

impl Default for Choices {
    /// All filters, 25 thresholds, layer by layer, FGSM with ε = 8/255 against every filtered network.
    fn default() -> Self {
        Choices {
            filters: FilterKind::ALL.to_vec(),
            thresholds: 25,
            scope: Scope::Layer,
            layers: None,
            eps: Eps(8.0 / 255.0),
            method: Method::Fgsm,
            attack: AttackMode::Adaptive,
            clamp: true,
            bn: BnMode::Running,
        }
    }
}

/// How many images are held at a time. No result depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// As many as that, rounded up to whole slabs or batches.
    Images(usize),
    /// As many as fit in that many MiB.
    Mebibytes(usize),
    /// As many as fit in the device's free memory, or in 1 GiB where it does not say.
    Fitting,
}

/// The networks of a job, all of one architecture.
pub(super) enum Networks<'a> {
    /// Files, opened one after the other: one network at a time is in memory.
    Files { paths: &'a [PathBuf], said: &'a Said, trained: &'a [Trained] },
    /// Networks in memory.
    Given(Vec<Rc<Model>>),
}

impl Networks<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Networks::Files { paths, .. } => paths.len(),
            Networks::Given(models) => models.len(),
        }
    }

    /// The file of a network, by position.
    pub(super) fn path(&self, at: usize) -> PathBuf {
        match self {
            Networks::Files { paths, .. } => paths[at].clone(),
            Networks::Given(models) => PathBuf::from(&models[at].taken.file),
        }
    }

    fn paths(&self) -> Vec<PathBuf> {
        (0..self.len()).map(|at| self.path(at)).collect()
    }
}

/// A sweep in the making: what is swept, on which images and device, and how.
pub struct Job<'a> {
    pub(super) device: &'a Device,
    pub(super) images: &'a Images,
    pub(super) reading: Option<&'a Reading>,
    pub(super) dataset: DatasetKind,
    pub(super) networks: Networks<'a>,
    pub(super) choices: Choices,
    pub(super) block: Block,
    pub(super) watch: &'a dyn Watch,
    shard: Shard,
    resume: bool,
    seed: u64,
    command: Vec<String>,
}

/// A sweep that was run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The folder.
    pub folder: PathBuf,
    /// What there was to do.
    pub plan: Plan,
    /// What is done.
    pub finished: Finished,
}

impl Run {
    /// The scores of the run, which are written into its folder too.
    ///
    /// # Errors
    /// Those of [`score_run`]: also if units of other shards are missing.
    pub fn scores(&self, options: Options) -> Result<Scores> {
        score_run(&self.folder, options)
    }
}

/// What there is to do, and what it would take.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// The plan.
    pub plan: Plan,
    /// Of the shard.
    pub counts: Counts,
    /// Seconds that the shard would take, from a few measured steps.
    pub seconds: f64,
    /// What was read, where the job was told of the images' reading.
    pub input: Option<Input>,
    /// All that on one line.
    pub summary: String,
}

impl<'a> Job<'a> {
    /// A sweep of networks in memory, with the choices of [`Choices::default`].
    pub fn new(
        device: &'a Device,
        (dataset, images): (DatasetKind, &'a Images),
        networks: impl IntoIterator<Item = Model>,
    ) -> Job<'a> {
        let networks = networks.into_iter().map(Rc::new).collect();
        Job::over(device, (dataset, images), Networks::Given(networks))
    }

    /// A sweep of checkpoint files of one architecture, such as the epochs of a training. `said`: see [`Model::open`].
    pub fn of_files(
        device: &'a Device,
        (dataset, images): (DatasetKind, &'a Images),
        paths: &'a [PathBuf],
        said: &'a Said,
    ) -> Job<'a> {
        Job::over(device, (dataset, images), Networks::Files { paths, said, trained: &[] })
    }

    fn over(
        device: &'a Device,
        (dataset, images): (DatasetKind, &'a Images),
        networks: Networks<'a>,
    ) -> Job<'a> {
        Job {
            device,
            images,
            reading: None,
            dataset,
            networks,
            choices: Choices::default(),
            block: Block::Fitting,
            watch: &(),
            shard: Shard::WHOLE,
            resume: false,
            seed: 0,
            command: command(),
        }
    }

    /// What is measured.
    pub fn choices(self, choices: Choices) -> Self {
        Job { choices, ..self }
    }

    /// The most that the attack moves a pixel, in pixel units, as `8/255` or `0.03`.
    ///
    /// # Errors
    /// A usage error for what is no such number from 0 to 1.
    pub fn eps(mut self, eps: &str) -> Result<Self> {
        self.choices.eps = eps.parse()?;
        Ok(self)
    }

    /// What was read of the images, to be recorded with the results: which of all they are, and how they were prepared.
    pub fn reading(self, reading: &'a Reading) -> Self {
        Job { reading: Some(reading), ..self }
    }

    /// What is known of the training of each checkpoint file, where the files do not tell.
    pub fn trained(mut self, known: &'a [Trained]) -> Self {
        if let Networks::Files { trained, .. } = &mut self.networks {
            *trained = known;
        }
        self
    }

    /// How many images are held at a time.
    pub fn block(self, block: Block) -> Self {
        Job { block, ..self }
    }

    /// A share of the work; the whole if nothing is said.
    pub fn shard(self, shard: Shard) -> Self {
        Job { shard, ..self }
    }

    /// Whether to go on with a run that is in the folder.
    pub fn resume(self, resume: bool) -> Self {
        Job { resume, ..self }
    }

    /// Who hears how it goes on, and may stop it.
    pub fn watch(self, watch: &'a dyn Watch) -> Self {
        Job { watch, ..self }
    }

    /// The command and the seed that are recorded; those of this process and 0 if nothing is said.
    pub fn recorded(self, command: Vec<String>, seed: u64) -> Self {
        Job { command, seed, ..self }
    }

    /// What there is to do, and how long it would take on this device.
    ///
    /// # Errors
    /// A usage error for choices that cannot be, an input error for checkpoints that do not fit; those of the device.
    pub fn outlook(&self) -> Result<Outlook> {
        on_device!(self.device, Work::Measuring, |backend| {
            let prepared = Preparation::new(self, backend);
            let plan = prepared.plan()?;
            let seconds = prepared.seconds(&plan, self.shard)?;
            let (counts, summary) = (plan.counts(self.shard), summary(&plan, self.shard));
            Ok(Outlook { counts, seconds, input: prepared.input(), summary, plan })
        })
    }

    /// Sweeps in a folder: new, or with a run of the same settings to go on with.
    ///
    /// # Errors
    /// As [`Job::outlook`]; those of the folder's files; [`Error::Interrupted`](crate::Error::Interrupted) where the watcher
    /// stops it, with every finished unit kept.
    pub fn run(&self, folder: impl AsRef<Path>) -> Result<Run> {
        let folder = folder.as_ref();
        on_device!(self.device, Work::Measuring, |backend| {
            let prepared = Preparation::new(self, backend);
            let mut plan = prepared.plan()?;
            let (command, paths) = (self.command.clone(), self.networks.paths());
            let keep = Keep {
                folder,
                shard: self.shard,
                resume: self.resume,
                provenance: Provenance::of(command, self.seed, self.device.description()?, &paths),
                input: prepared.input(),
            };
            let finished = prepared.run(&mut plan, keep)?;
            Ok(Run { folder: folder.to_owned(), plan, finished })
        })
    }
}

/// Whether a sweep was begun in a folder that took its images in file order, as all did before there was a choice.
///
/// # Errors
/// Those of [`RunFile::read`].
pub fn began_in_file_order(folder: &Path) -> Result<bool> {
    let begun = if folder.is_dir() { RunFile::read(folder)? } else { None };
    Ok(begun.is_some_and(|run| run.settings.pick.is_none()))
}
