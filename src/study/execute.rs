//! Does the steps of a study, with the functions that the commands call.

use super::images::{Read, Store};
use super::run::Done;
use super::spec::{RetrainSpec, Spec, TrainSpec};
use super::steps::{Folders, Step, Task, Work, checkpoint_of};
use super::words;
use crate::atomic_file::AtomicFile;
use crate::attack::Eps;
use crate::backend::opened::Device;
use crate::data::Images;
use crate::error::{Error, Result};
use crate::eval::{Accuracy, Halving};
use crate::input::Input;
use crate::invariance::{self, Allowed, compare, gather};
use crate::model::{Model, Said, Trained};
use crate::provenance::Provenance;
use crate::report;
use crate::retrain::{self, RETRAIN_PARQUET, Retraining};
use crate::score::{self, SCORES_PARQUET, score_run};
use crate::security::{self, ATTACK_PARQUET, Curves};
use crate::sweep::dir::RunFile;
use crate::sweep::export::{CELLS_JSONL, CELLS_PARQUET};
use crate::sweep::{Choices, Job, Shard};
use crate::train::{self, Data, Events, Log, Session, TrainDir, TrainSettings};
use crate::watch::Watch;
use serde::Serialize;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::slice;

/// What the search of ε leaves.
const EPS_JSON: &str = "eps.json";
/// What people look at.
pub const REPORT_HTML: &str = "report.html";
/// The device of what computes little.
const HOST: &str = "host";

/// Everything that steps are done with.
pub(super) struct Executor<'s> {
    /// The study.
    pub spec: &'s Spec,
    /// The device.
    pub device: &'s Device,
    /// Its images.
    pub images: &'s Store<'s>,
    /// Who hears how it goes on.
    pub watch: &'s dyn Watch,
}

/// What the search of ε leaves: what it found, and on what.
#[derive(Serialize)]
struct Searched {
    #[serde(flatten)]
    found: Halving,
    input: Input,
}

impl Executor<'_> {
    /// Does a step, or goes on with one that was stopped. The steps before it are done.
    ///
    /// # Errors
    /// Whatever keeps it from being done; [`Error::Failed`] is about this step alone, and the steps that do not need it
    /// go on.
    pub fn execute(&self, step: &Step) -> Result<Done> {
        fs::create_dir_all(&step.folder).map_err(Error::write(&step.folder))?;
        let (network, task) = match step.work {
            Work::Compare => return self.compare(step),
            Work::Report => return self.report(step),
            Work::Of(network, task) => (network, task),
        };
        let mut done = match task {
            Task::Train => self.train(step, network)?,
            Task::Eps => self.eps(step, network)?,
            Task::Sweep(epoch) => self.sweep(step, network, epoch)?,
            Task::Score(_) => self.score(step)?,
            Task::Retrain(epoch) => self.retrain(step, network, epoch)?,
            Task::Attack => self.attack(step, network)?,
        };
        done.seed = self.spec.networks[network].seed;
        Ok(done)
    }

    /// The settings of a network's training.
    pub fn train_settings(&self, train: &TrainSpec, network: usize, images: &Images) -> TrainSettings {
        let of = &self.spec.networks[network];
        TrainSettings {
            epochs: of.epochs.last().map_or(0, |(epoch, _)| *epoch),
            save_every: train.save_every,
            seed: of.seed,
            batch: train.batch,
            optimizer: train.optimizer,
            lr_drops: train.lr_drops.clone(),
            stem: of.stem,
            ..TrainSettings::new(of.arch, self.spec.data[of.data].kind, images)
        }
    }

    /// Settings as those of a network's retraining, but from initial weights: what it takes and whether it can be done.
    pub fn retrain_settings(&self, retrain: &RetrainSpec, network: usize, images: &Images) -> TrainSettings {
        let of = &self.spec.networks[network];
        TrainSettings {
            epochs: retrain.epochs,
            save_every: retrain.epochs,
            batch: retrain.batch,
            optimizer: retrain.optimizer,
            stem: of.stem,
            ..TrainSettings::new(of.arch, self.spec.data[of.data].kind, images)
        }
    }

    /// What sweeps of a network measure, with an ε.
    pub fn choices(&self, network: usize, eps: Eps) -> Choices {
        let sweep = &self.spec.sweep;
        Choices {
            filters: sweep.filters.clone(),
            thresholds: sweep.thresholds,
            scope: sweep.scope,
            layers: sweep.layers.clone(),
            eps,
            method: sweep.method(self.spec.networks[network].seed),
            attack: sweep.attack,
            clamp: sweep.clamp,
            bn: sweep.bn,
            sampling: sweep.sampling.clone(),
        }
    }

    /// What is known of the file of a network.
    pub fn said(&self, network: usize) -> Said {
        let of = &self.spec.networks[network];
        Said { arch: Some(of.arch), stem: Some(of.stem), ..Said::default() }
    }

    fn train(&self, step: &Step, at: usize) -> Result<Done> {
        let Some(train) = &self.spec.train else {
            return Err(Error::Failed(format!("{}: the study trains nothing", step.name)));
        };
        let network = &self.spec.networks[at];
        let (train_images, test) = (self.images.train(network.data)?, self.images.test(network.data)?);
        let settings = self.train_settings(train, at, &train_images.images);
        let device = self.device.in_f32()?;
        let command = words::train(self.spec, train, at, &device);
        let session = Session { command: command.clone(), device: device.description()? };
        let described = session.device.clone();
        let job = train::Job {
            folder: &step.folder,
            resume: true,
            tensorboard: train.tensorboard,
            session,
            input: Some(Input::of_training(train_images.reading.clone(), test.reading.clone())),
        };
        let data = Data { train: &train_images.images, test: &test.images, weights: None };
        train::run(&device, &settings, data, job, self.watch)?;
        let mut outputs: Vec<PathBuf> =
            (0..network.epochs.len()).map(|epoch| checkpoint_of(self.spec, at, epoch)).collect();
        outputs.extend([Log::NAME, TrainDir::SETTINGS].map(|name| step.folder.join(name)));
        outputs.extend(train.tensorboard.then(|| step.folder.join(Events::NAME)));
        Ok(Done { outputs, device: described, command, ..Done::default() })
    }

    fn eps(&self, step: &Step, at: usize) -> Result<Done> {
        let network = &self.spec.networks[at];
        let checkpoint = checkpoint_of(self.spec, at, network.epochs.len() - 1);
        let read = self.images.measured(network.data)?;
        let Read { images, reading } = &*read;
        let model = Model::open(&checkpoint, &self.said(at), images)?;
        let input = Input::of(reading.clone()).with(vec![model.taken.clone()]);
        self.watch.taken(&input);
        let sweep = &self.spec.sweep;
        let accuracy = Accuracy::new(self.device, images, &model).bn(sweep.bn).watch(self.watch);
        let found = Searched { found: accuracy.halving(None, sweep.clamp)?, input };
        let device = self.device.description()?;
        let path = step.folder.join(EPS_JSON);
        let text = serde_json::to_string_pretty(&found).map_err(|error| Error::write(&path)(error.into()))?;
        let mut file = AtomicFile::create(&path)?;
        file.write_all(format!("{text}\n").as_bytes()).map_err(Error::write(&path))?;
        file.commit()?;
        let command = words::eps(self.spec, at, self.device);
        Ok(Done { inputs: vec![checkpoint], outputs: vec![path], device, command, seed: 0 })
    }

    /// The ε of a network and the file that it is from, if it was searched.
    fn eps_of(&self, network: usize) -> Result<(Eps, Option<PathBuf>)> {
        if let Some(eps) = self.spec.sweep.eps {
            return Ok((eps, None));
        }
        let path = Folders::of(self.spec, network).eps().join(EPS_JSON);
        let text = fs::read(&path).map_err(Error::read(&path))?;
        let found: Halving = serde_json::from_slice(&text)
            .map_err(|error| Error::input(&path, "content", "what the search of ε found", error))?;
        Ok((Eps(found.eps), Some(path)))
    }

    fn sweep(&self, step: &Step, network: usize, epoch: usize) -> Result<Done> {
        let (eps, searched) = self.eps_of(network)?;
        let checkpoint = checkpoint_of(self.spec, network, epoch);
        let command = words::sweep(self.spec, network, epoch, eps, &step.folder, self.device);
        let of = &self.spec.networks[network];
        let read = self.images.measured(of.data)?;
        let trained = Trained { epoch: Some(of.epochs[epoch].0), seed: Some(of.seed) };
        Job::of_files(self.device, &read.images, slice::from_ref(&checkpoint), &self.said(network))
            .choices(self.choices(network, eps))
            .reading(&read.reading)
            .trained(&[trained])
            .resume(true)
            .recorded(command.clone(), of.seed)
            .watch(self.watch)
            .run(&step.folder)?;
        let device = self.device.description()?;
        let mut outputs =
            vec![step.folder.join(RunFile::NAME), step.folder.join(Shard::WHOLE.journal_name())];
        outputs.extend([CELLS_JSONL, CELLS_PARQUET].map(|name| step.folder.join(name)));
        let inputs = std::iter::once(checkpoint).chain(searched).collect();
        Ok(Done { inputs, outputs, device, command, seed: 0 })
    }

    fn score(&self, step: &Step) -> Result<Done> {
        score_run(&step.folder, self.spec.score)?;
        Ok(Done {
            inputs: vec![step.folder.join(CELLS_PARQUET)],
            outputs: vec![step.folder.join(SCORES_PARQUET)],
            device: HOST.to_owned(),
            command: words::score(self.spec, &step.folder),
            seed: 0,
        })
    }

    fn retrain(&self, step: &Step, at: usize, epoch: usize) -> Result<Done> {
        let (spec, network) = (self.spec, &self.spec.networks[at]);
        let Some(retrain) = &spec.retrain else {
            return Err(Error::Failed(format!("{}: the study retrains nothing", step.name)));
        };
        let checkpoint = checkpoint_of(spec, at, epoch);
        let labels = Folders::of(spec, at).sweep(network.epochs[epoch].0);
        let (train, test) = (self.images.train(network.data)?, self.images.measured_first(network.data)?);
        let device = self.device.in_f32()?;
        let command = words::retrain(spec, retrain, at, epoch, &step.folder, &device);
        let retraining = Retraining {
            device: &device,
            checkpoint: &checkpoint,
            labels: &labels,
            train: &train.images,
            test: &test.images,
            input: Input::of_training(train.reading.clone(), test.reading.clone()),
            swept: None,
            said: &self.said(at),
            by: retrain.by,
            options: spec.score,
            training: retrain::document::Training {
                epochs: retrain.epochs,
                batch: retrain.batch,
                optimizer: retrain.optimizer,
                lr_drops: Vec::new(),
            },
            seeds: &retrain.seeds,
            eps: retrain.eps.as_deref(),
            all_images: false,
            clamp: spec.sweep.clamp,
            command: command.clone(),
            watch: self.watch,
        };
        let document = retraining.run(&step.folder)?;
        let outputs = [retrain::RetrainingRecord::NAME, RETRAIN_PARQUET].map(|name| step.folder.join(name));
        Ok(Done {
            inputs: vec![checkpoint, labels.join(CELLS_PARQUET)],
            outputs: outputs.to_vec(),
            device: document.provenance.device,
            command,
            seed: 0,
        })
    }

    /// The last epoch of a network, and of each of its retrainings the networks of the selective and of the full arm, one of
    /// each.
    fn attacked(&self, at: usize) -> Result<Vec<PathBuf>> {
        let (spec, network) = (self.spec, &self.spec.networks[at]);
        let mut checkpoints = vec![checkpoint_of(spec, at, network.epochs.len() - 1)];
        let from = spec.retrain.iter().flat_map(|retrain| &retrain.from);
        for epoch in from.filter(|epoch| network.epochs.iter().any(|(other, _)| other == *epoch)) {
            let folder = Folders::of(spec, at).retrain(*epoch);
            let document = retrain::RetrainingRecord::read(&folder.join(retrain::RetrainingRecord::NAME))?;
            let arms = document.arms.iter().filter(|result| {
                matches!(result.arm, retrain::Arm::Selective | retrain::Arm::Full) && result.same_as.is_none()
            });
            checkpoints.extend(arms.filter_map(|result| Some(folder.join(&result.networks.first()?.file))));
        }
        Ok(checkpoints)
    }

    fn report(&self, step: &Step) -> Result<Done> {
        let spec = self.spec;
        let path = step.folder.join(REPORT_HTML);
        let settings = report::ReportSettings { title: None, options: spec.score };
        let written = report::write_html(slice::from_ref(&spec.out), &path, &settings)?;
        Ok(Done {
            inputs: written.read.into_iter().map(|content| content.path).collect(),
            outputs: written.files,
            device: HOST.to_owned(),
            command: words::report(spec, &path),
            seed: 0,
        })
    }

    fn attack(&self, step: &Step, at: usize) -> Result<Done> {
        let (spec, network) = (self.spec, &self.spec.networks[at]);
        let Some(attack) = &spec.attack else {
            return Err(Error::Failed(format!("{}: the study attacks nothing", step.name)));
        };
        let checkpoints = self.attacked(at)?;
        let images = self.images.measured(network.data)?;
        let command = words::attack(spec, attack, at, &checkpoints, &step.folder, self.device);
        let curves = Curves {
            device: self.device,
            checkpoints: &checkpoints,
            images: &images.images,
            reading: &images.reading,
            said: &self.said(at),
            methods: &attack.methods,
            eps: &attack.eps,
            cell: None,
            clamp: spec.sweep.clamp,
            bn: spec.sweep.bn,
            batch: None,
            command: command.clone(),
            seed: network.seed,
            watch: self.watch,
        };
        let document = curves.run(&step.folder)?;
        let outputs = [security::SecurityRecord::NAME, ATTACK_PARQUET].map(|name| step.folder.join(name));
        let device = document.provenance.device;
        Ok(Done { inputs: checkpoints, outputs: outputs.to_vec(), device, command, seed: 0 })
    }

    fn compare(&self, step: &Step) -> Result<Done> {
        let spec = self.spec;
        let runs: Vec<PathBuf> = (0..spec.networks.len())
            .flat_map(|at| {
                let folders = Folders::of(spec, at);
                spec.networks[at].epochs.iter().map(move |(epoch, _)| folders.sweep(*epoch))
            })
            .collect();
        let mut allowed = Vec::new();
        if spec.sweep.eps.is_none() {
            allowed.push(Allowed::Eps);
        }
        let kinds = || spec.data.iter().map(|data| data.kind);
        if kinds().enumerate().any(|(at, kind)| kinds().take(at).any(|earlier| earlier == kind)) {
            allowed.push(Allowed::Images);
        }
        let gathered = gather(&runs, spec.score, &allowed)?;
        let command = words::compare(spec, &allowed, &step.folder);
        let provenance = Provenance::of(command.clone(), 0, HOST.to_owned(), &[] as &[&Path]);
        let document = compare(&gathered, spec.score, &score::Which::ALL, provenance)?;
        document.write(&step.folder)?;
        Ok(Done {
            inputs: runs.iter().map(|run| run.join(CELLS_PARQUET)).collect(),
            outputs: vec![step.folder.join(invariance::InvarianceRecord::NAME)],
            device: HOST.to_owned(),
            command,
            seed: 0,
        })
    }
}
