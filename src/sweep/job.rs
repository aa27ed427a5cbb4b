//! The front door of sweeps: a job says what is swept, on what, and how; it runs in a folder.

use super::dir::RunFile;
use super::plan::{Counts, SweepPlan};
use super::prepare::{Preparation, summary};
use super::run::{Finished, Keep};
use super::shard::Shard;
use super::task::{Block, Choices, Networks, Task};
use crate::backend::opened::{Device, Work, on_device};
use crate::data::{Images, Reading};
use crate::error::Result;
use crate::input::Input;
use crate::model::{Model, Said, Trained};
use crate::provenance::{Provenance, command};
use crate::watch::Watch;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A sweep in the making: what is swept, on which images and device, and how.
pub struct Job<'a> {
    task: Task<'a>,
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
    pub plan: SweepPlan,
    /// What is done.
    pub finished: Finished,
}

/// What there is to do, and what it would take.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// The plan.
    pub plan: SweepPlan,
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
    pub fn new(device: &'a Device, images: &'a Images, networks: impl IntoIterator<Item = Model>) -> Job<'a> {
        let networks = networks.into_iter().map(Rc::new).collect();
        Job::over(device, images, Networks::Given(networks))
    }

    /// A sweep of checkpoint files of one architecture, such as the epochs of a training. `said`: see [`Model::open`].
    pub fn of_files(device: &'a Device, images: &'a Images, paths: &'a [PathBuf], said: &'a Said) -> Job<'a> {
        Job::over(device, images, Networks::Files { paths, said, trained: &[] })
    }

    fn over(device: &'a Device, images: &'a Images, networks: Networks<'a>) -> Job<'a> {
        let task = Task {
            device,
            images,
            reading: None,
            networks,
            choices: Choices::default(),
            block: Block::Fitting,
            watch: &(),
        };
        Job { task, shard: Shard::WHOLE, resume: false, seed: 0, command: command() }
    }

    /// What is measured.
    pub fn choices(self, choices: Choices) -> Self {
        Job { task: Task { choices, ..self.task }, ..self }
    }

    /// The most that the attack moves a pixel, in pixel units, as `8/255` or `0.03`.
    ///
    /// # Errors
    /// A usage error for what is no such number from 0 to 1.
    pub fn eps(mut self, eps: &str) -> Result<Self> {
        self.task.choices.eps = eps.parse()?;
        Ok(self)
    }

    /// What was read of the images, to be recorded with the results: which of all they are, and how they were prepared.
    pub fn reading(self, reading: &'a Reading) -> Self {
        Job { task: Task { reading: Some(reading), ..self.task }, ..self }
    }

    /// What is known of the training of each checkpoint file, where the files do not tell.
    pub fn trained(mut self, known: &'a [Trained]) -> Self {
        if let Networks::Files { trained, .. } = &mut self.task.networks {
            *trained = known;
        }
        self
    }

    /// How many images are held at a time.
    pub fn block(self, block: Block) -> Self {
        Job { task: Task { block, ..self.task }, ..self }
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
        Job { task: Task { watch, ..self.task }, ..self }
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
        on_device!(self.task.device, Work::Measuring, |backend| {
            let laid = self.task.laid()?;
            let prepared = Preparation::new(&self.task, &laid, backend);
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
        on_device!(self.task.device, Work::Measuring, |backend| {
            let laid = self.task.laid()?;
            let prepared = Preparation::new(&self.task, &laid, backend);
            let mut plan = prepared.plan()?;
            let (command, paths) = (self.command.clone(), self.task.networks.paths());
            let keep = Keep {
                folder,
                shard: self.shard,
                resume: self.resume,
                provenance: Provenance::of(command, self.seed, self.task.device.description()?, &paths),
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
