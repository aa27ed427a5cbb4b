//! Does the steps of a study, with the functions that the commands call.

use super::super::attack::Curves;
use super::super::device::Compute;
use super::super::eval::{chunk, searched};
use super::super::output::note;
use super::super::preparation::{Block, Choices, Preparation};
use super::super::provenance;
use super::super::retrain::{InFolder, Retraining};
use super::super::train;
use super::images::{Read, Store};
use super::words;
use serde::Serialize;
use std::cell::RefCell;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::slice;
use synfilter::atomic_file::AtomicFile;
use synfilter::attack::{self, ATTACK_PARQUET};
use synfilter::backend::Backend;
use synfilter::backend::open::OnDevice;
use synfilter::data::Images;
use synfilter::eps::Eps;
use synfilter::input::Input;
use synfilter::invariance::{self, Allowed, compare, gather};
use synfilter::model::{Model, Said, Trained};
use synfilter::report;
use synfilter::retrain::{self, RETRAIN_PARQUET};
use synfilter::score::{self, SCORES_PARQUET, score_run};
use synfilter::study::spec::{Retrain, Spec, Train};
use synfilter::study::{Done, Execute, Folders, Halving, Step, Task, Work, checkpoint_of};
use synfilter::sweep::Shard;
use synfilter::sweep::dir::RunFile;
use synfilter::sweep::export::{CELLS_JSONL, CELLS_PARQUET};
use synfilter::sweep::run::Job;
use synfilter::train::{Data, Events, Log, Session, TrainDir, TrainSettings};
use synfilter::{Error, Result};

/// What the search of ε leaves.
const EPS_JSON: &str = "eps.json";
/// What people look at.
pub const REPORT_HTML: &str = "report.html";
/// The device of what computes little.
const HOST: &str = "host";

/// Everything that steps are done with.
pub struct Executor<'s> {
    /// The study.
    pub spec: &'s Spec,
    /// The device.
    pub compute: &'s Compute,
    /// Its images.
    pub images: &'s Store<'s>,
}

impl Execute for Executor<'_> {
    fn execute(&mut self, step: &Step) -> Result<Done> {
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
}

impl Executor<'_> {
    /// The settings of a network's training.
    pub fn train_settings(&self, train: &Train, network: usize, images: &Images) -> TrainSettings {
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
    pub fn retrain_settings(&self, retrain: &Retrain, network: usize, images: &Images) -> TrainSettings {
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

    /// What sweeps are told, with an ε.
    pub fn choices(&self, eps: Eps) -> Choices {
        let sweep = &self.spec.sweep;
        Choices {
            filters: sweep.filters.clone(),
            thresholds: sweep.thresholds,
            scope: sweep.scope,
            layers: sweep.layers.clone(),
            eps,
            attack: sweep.attack,
            no_clamp: !sweep.clamp,
            bn: sweep.bn,
        }
    }

    fn train(&self, step: &Step, at: usize) -> Result<Done> {
        let Some(train) = &self.spec.train else {
            return Err(Error::Failed(format!("{}: the study trains nothing", step.name)));
        };
        let network = &self.spec.networks[at];
        let (train_images, test) = (self.images.train(network.data)?, self.images.test(network.data)?);
        let settings = self.train_settings(train, at, &train_images.images);
        let compute = self.compute.in_f32();
        let command = words::train(self.spec, train, at, &compute);
        let device = compute.run(
            true,
            Training {
                settings,
                data: Data { train: &train_images.images, test: &test.images, weights: None },
                input: Input::of_training(train_images.reading.clone(), test.reading.clone()),
                folder: &step.folder,
                tensorboard: train.tensorboard,
                command: command.clone(),
            },
        )?;
        let mut outputs: Vec<PathBuf> =
            (0..network.epochs.len()).map(|epoch| checkpoint_of(self.spec, at, epoch)).collect();
        outputs.extend([Log::NAME, TrainDir::SETTINGS].map(|name| step.folder.join(name)));
        outputs.extend(train.tensorboard.then(|| step.folder.join(Events::NAME)));
        Ok(Done { outputs, device, command, ..Done::default() })
    }

    fn eps(&self, step: &Step, at: usize) -> Result<Done> {
        let network = &self.spec.networks[at];
        let checkpoint = checkpoint_of(self.spec, at, network.epochs.len() - 1);
        let images = self.images.measured(network.data)?;
        let search = Search { executor: self, network: at, checkpoint: &checkpoint, read: &images };
        let (found, device) = self.compute.run(false, search)?;
        let path = step.folder.join(EPS_JSON);
        let text = serde_json::to_string_pretty(&found).map_err(|error| Error::write(&path)(error.into()))?;
        let mut file = AtomicFile::create(&path)?;
        file.write_all(format!("{text}\n").as_bytes()).map_err(Error::write(&path))?;
        file.commit()?;
        let command = words::eps(self.spec, at, self.compute);
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
        let command = words::sweep(self.spec, network, epoch, eps, &step.folder, self.compute);
        let images = self.images.measured(self.spec.networks[network].data)?;
        let device = self.compute.run(
            false,
            Sweep {
                executor: self,
                network,
                epoch: self.spec.networks[network].epochs[epoch].0,
                checkpoint: &checkpoint,
                read: &images,
                choices: self.choices(eps),
                folder: &step.folder,
                command: command.clone(),
            },
        )?;
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
        let compute = self.compute.in_f32();
        let command = words::retrain(spec, retrain, at, epoch, &step.folder, &compute);
        let retraining = Retraining {
            checkpoint: &checkpoint,
            labels: &labels,
            train: &train.images,
            test: &test.images,
            input: Input::of_training(train.reading.clone(), test.reading.clone()),
            swept: None,
            dataset: spec.data[network.data].kind,
            choice: &Said { arch: Some(network.arch), stem: Some(network.stem), ..Said::default() },
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
            backend: compute.backend_name(),
            command: command.clone(),
        };
        let document = compute.run(true, InFolder { retraining: &retraining, folder: &step.folder })?;
        let outputs = [retrain::Document::NAME, RETRAIN_PARQUET].map(|name| step.folder.join(name));
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
            let document = retrain::Document::read(&folder.join(retrain::Document::NAME))?;
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
        let settings = report::Settings { title: None, options: spec.score };
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
        let command = words::attack(spec, attack, at, &checkpoints, &step.folder, self.compute);
        let curves = Curves {
            checkpoints: &checkpoints,
            images: &images.images,
            reading: &images.reading,
            dataset: spec.data[network.data].kind,
            choice: &Said { arch: Some(network.arch), stem: Some(network.stem), ..Said::default() },
            methods: &attack.methods,
            eps: &attack.eps,
            cell: None,
            clamp: spec.sweep.clamp,
            bn: spec.sweep.bn,
            chunk: chunk(spec.sweep.bn, None),
            compute: self.compute,
            folder: &step.folder,
            command: command.clone(),
        };
        let document = self.compute.run(false, curves)?;
        let outputs = [attack::Document::NAME, ATTACK_PARQUET].map(|name| step.folder.join(name));
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
        let provenance = provenance::of_command(command.clone(), 0, HOST.to_owned(), &[] as &[&Path]);
        let document = compare(&gathered, spec.score, &score::Which::ALL, provenance)?;
        document.write(&step.folder)?;
        Ok(Done {
            inputs: runs.iter().map(|run| run.join(CELLS_PARQUET)).collect(),
            outputs: vec![step.folder.join(invariance::Document::NAME)],
            device: HOST.to_owned(),
            command,
            seed: 0,
        })
    }
}

/// The training, on a device.
struct Training<'a> {
    settings: TrainSettings,
    data: Data<'a>,
    input: Input,
    folder: &'a Path,
    tensorboard: bool,
    command: Vec<String>,
}

impl OnDevice for Training<'_> {
    type Output = String;

    fn run<B: Backend>(self, backend: &B, device: String) -> Result<String> {
        let Training { settings, data, input, folder, tensorboard, command } = self;
        let session = Session { command, device: device.clone() };
        let job = synfilter::train::Job { folder, resume: true, tensorboard, session, input: Some(input) };
        train::shown(backend, &settings, data, job)?;
        Ok(device)
    }
}

/// The search of ε, on a device.
struct Search<'a> {
    executor: &'a Executor<'a>,
    network: usize,
    checkpoint: &'a Path,
    read: &'a Read,
}

/// What the search of ε leaves: what it found, and on what.
#[derive(Serialize)]
struct Searched {
    #[serde(flatten)]
    found: Halving,
    input: Input,
}

impl OnDevice for Search<'_> {
    type Output = (Searched, String);

    fn run<B: Backend>(self, backend: &B, device: String) -> Result<(Searched, String)> {
        let spec = self.executor.spec;
        let network = &spec.networks[self.network];
        let kind = spec.data[network.data].kind;
        let choice = Said { arch: Some(network.arch), stem: Some(network.stem), ..Said::default() };
        let Read { images, reading, .. } = self.read;
        let model = Model::open(self.checkpoint, &choice, kind, images)?;
        let input = Input::of(reading.clone()).with(vec![model.taken.clone()]);
        note(&input.to_string());
        let found = searched(backend, model, images, spec.sweep.bn, spec.sweep.clamp)?;
        Ok((Searched { found, input }, device))
    }
}

/// The sweep, on a device.
struct Sweep<'a> {
    executor: &'a Executor<'a>,
    network: usize,
    epoch: u32,
    checkpoint: &'a PathBuf,
    read: &'a Read,
    choices: Choices,
    folder: &'a Path,
    command: Vec<String>,
}

impl OnDevice for Sweep<'_> {
    type Output = String;

    fn run<B: Backend>(self, backend: &B, device: String) -> Result<String> {
        let Sweep { executor: Executor { spec, compute, .. }, read, folder, .. } = self;
        let network = &spec.networks[self.network];
        let trained = Trained { epoch: Some(self.epoch), seed: Some(network.seed) };
        let prepared = Preparation {
            backend,
            backend_name: compute.backend_name(),
            dtype: compute.dtype.name(),
            images: &read.images,
            reading: Some(&read.reading),
            dataset: spec.data[network.data].kind,
            checkpoints: slice::from_ref(self.checkpoint),
            trained: &[trained],
            choice: &Said { arch: Some(network.arch), stem: Some(network.stem), ..Said::default() },
            choices: &self.choices,
            method: spec.sweep.method(network.seed),
            block: Block::Fitting,
            last: RefCell::default(),
            taken: RefCell::default(),
        };
        let mut plan = prepared.plan()?;
        let provenance =
            provenance::of_command(self.command, network.seed, device.clone(), prepared.checkpoints);
        let input = prepared.input();
        let job = Job { folder, shard: Shard::WHOLE, resume: true, provenance, input };
        prepared.run(&mut plan, job)?;
        Ok(device)
    }
}
