//! A sweep from checkpoints, images and choices: its plan, its image block, its engines.

use super::estimate;
use super::interrupt::INTERRUPTED;
use super::output::note;
use super::progress::Meter;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use synfilter::attack::{Attack, Method};
use synfilter::backend::{Backend, SLAB};
use synfilter::data::{DatasetKind, Images};
use synfilter::eps::Eps;
use synfilter::filter::{self, FilterKind};
use synfilter::graph::Graph;
use synfilter::graph::program::{Mode, Program};
use synfilter::model::{Choice, Model, Reading, Trained};
use synfilter::network::Network;
use synfilter::sweep::dir::RunFile;
use synfilter::sweep::engine::bytes_per_image;
use synfilter::sweep::plan::{BN_BATCH, resolve_layers};
use synfilter::sweep::run::Job;
use synfilter::sweep::{
    self, AttackMode, BnMode, CheckpointPlan, Engine, Finished, Measure, Plan, Scope, Settings, Shard, Target,
};
use synfilter::{Error, Result};

/// What is measured.
#[derive(clap::Args, Clone, Debug)]
pub struct Choices {
    /// The filters.
    #[arg(long, value_name = "F,..", value_delimiter = ',', default_values_t = FilterKind::ALL)]
    pub filters: Vec<FilterKind>,
    /// Thresholds per filter.
    #[arg(long, value_name = "A", default_value_t = 25)]
    pub thresholds: usize,
    /// Filter one layer at a time, or one output channel of one layer (--layers says which layers), or the whole network
    /// at once.
    #[arg(long, value_name = "layer|channel|network", default_value_t = Scope::Layer)]
    pub scope: Scope,
    /// Only these layers, by the names of their tensors (conv1.weight).
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    pub layers: Option<Vec<String>>,
    /// The most that the attack moves a pixel, in pixel units, as 8/255 or 0.03: the size of FGSM's step.
    #[arg(long, value_name = "E", default_value = "8/255", allow_hyphen_values = true)]
    pub eps: Eps,
    /// Attack every filtered network anew, or reuse the attack on the unfiltered one.
    #[arg(long, value_name = "adaptive|fixed", default_value_t = AttackMode::Adaptive)]
    pub attack: AttackMode,
    /// Leave adversarial images unclipped.
    #[arg(long)]
    pub no_clamp: bool,
    /// Batch norm by the checkpoint's running statistics, or by those of each batch of 100.
    #[arg(long, value_name = "running|batch", default_value_t = BnMode::Running)]
    pub bn: BnMode,
}

/// How many images are held at a time. No result depends on it.
#[derive(Clone, Copy, Debug)]
pub enum Block {
    /// As many as that, rounded up to whole slabs or batches.
    Images(usize),
    /// As many as fit in that many MiB.
    Mebibytes(usize),
    /// As many as fit in the device's free memory, or in [`DEFAULT_MEMORY`] where it does not say.
    Fitting,
}

/// Bytes for a block of images on a device that shares its memory with others.
const DEFAULT_MEMORY: usize = 1 << 30;

/// Everything that a sweep is made from.
pub struct Preparation<'a, B: Backend> {
    /// The device.
    pub backend: &'a B,
    /// Its name in the results.
    pub backend_name: &'static str,
    /// The number format in the results.
    pub dtype: &'static str,
    /// The images to measure on.
    pub images: &'a Images,
    /// Their data set.
    pub dataset: DatasetKind,
    /// The files.
    pub checkpoints: &'a [PathBuf],
    /// What is known of their training, of each or of none.
    pub trained: &'a [Trained],
    /// What the user says of the networks.
    pub choice: &'a Choice,
    /// What is measured.
    pub choices: &'a Choices,
    /// How adversarial images are made.
    pub method: Method,
    /// Images held at a time.
    pub block: Block,
    /// The checkpoint that was read last, by position: the first engine needs no second reading.
    pub last: RefCell<Option<(usize, Model)>>,
    /// What was taken from each checkpoint that was planned.
    pub readings: RefCell<Vec<Reading>>,
}

impl<'a, B: Backend> Preparation<'a, B> {
    /// The plan of the sweep. Every checkpoint is read and checked; one at a time is in memory.
    ///
    /// # Errors
    /// A usage error for choices that cannot be, an input error for checkpoints that do not fit.
    pub fn plan(&self) -> Result<Plan> {
        let choices = self.choices;
        filter::check_settings(&choices.filters, choices.thresholds)?;
        let mut settings: Option<Settings> = None;
        let (mut plans, mut block) = (Vec::new(), 0);
        self.readings.take();
        for (at, path) in self.checkpoints.iter().enumerate() {
            self.last.take();
            let model = self.model(at)?;
            let tensors = model.weights.filterable(&model.graph);
            let settings = match &mut settings {
                Some(settings) => {
                    if (&*settings.arch, settings.stem) != (model.arch.name(), model.stem) {
                        let (first, expected) = (self.checkpoints[0].display(), settings.network());
                        return Err(Error::usage(format!(
                            "{}: expected {expected} as {first} is, found {}; a sweep is of one architecture",
                            path.display(),
                            model.stem.named(model.arch.name())
                        )));
                    }
                    settings.checkpoints.push(model.id());
                    settings
                }
                None => {
                    let names: Vec<&str> = tensors.iter().map(|(name, _)| *name).collect();
                    let layers = resolve_layers(choices.scope, choices.layers.as_deref(), &names)?;
                    settings.insert(self.settings(&model, layers))
                }
            };
            let plan = CheckpointPlan::of(settings, &tensors, &model.graph.filterable_channels(), path)?;
            if plans.is_empty() {
                block = self.block_size(&model.graph, &plan);
            }
            plans.push(plan);
            self.readings.borrow_mut().push(model.reading.clone());
            self.last.replace(Some((at, model)));
        }
        let settings = settings.ok_or_else(|| Error::usage("--checkpoint: expected at least one"))?;
        Plan::new(settings, block, plans)
    }

    /// Seconds that the sweep of a network would take, from a few of its steps; its weights need not be trained.
    ///
    /// # Errors
    /// Those of the plan and of the engine.
    pub fn estimate(&self, model: Model) -> Result<f64> {
        let tensors = model.weights.filterable(&model.graph);
        let names: Vec<&str> = tensors.iter().map(|(name, _)| *name).collect();
        let choices = self.choices;
        let settings =
            self.settings(&model, resolve_layers(choices.scope, choices.layers.as_deref(), &names)?);
        let channels = model.graph.filterable_channels();
        let checkpoint = CheckpointPlan::of(&settings, &tensors, &channels, Path::new("network"))?;
        let block = self.block_size(&model.graph, &checkpoint);
        let plan = Plan::new(settings, block, vec![checkpoint])?;
        let mut engine = self.engine_of(model, &plan.checkpoints[0]);
        estimate::seconds(&plan, Shard::WHOLE, &mut engine)
    }

    /// The engine of checkpoint `at` of the plan.
    ///
    /// # Errors
    /// An input error if the file is no longer the one that was planned.
    pub fn engine(&self, plan: &Plan, at: usize) -> Result<Engine<'a, B>> {
        let path = &self.checkpoints[at];
        let model = match self.last.take() {
            Some((last, model)) if last == at => model,
            _ => self.model(at)?,
        };
        let planned = &plan.settings.checkpoints[at].sha256;
        if model.sha256 != *planned {
            let expected = format!("{planned} as when the sweep was planned");
            return Err(Error::input(path, "SHA-256", expected, model.sha256));
        }
        Ok(self.engine_of(model, &plan.checkpoints[at]))
    }

    /// Runs a shard of the plan in the job's folder.
    ///
    /// # Errors
    /// Those of [`sweep::sweep`].
    pub fn run(&self, plan: &mut Plan, job: Job) -> Result<Finished> {
        if job.folder.is_dir()
            && let Some(found) = RunFile::read(job.folder)?
        {
            plan.block = found.block;
        }
        let (planned, shard) = (plan.clone(), job.shard);
        let mut told = false;
        let mut open = |at| {
            // The folder is open by now: nothing has to be taken back.
            if !std::mem::replace(&mut told, true) {
                note(&summary(&planned, shard));
            }
            Ok(Box::new(self.engine(&planned, at)?) as Box<dyn Measure + 'a>)
        };
        let mut meter: Option<Meter> = None;
        let mut progress = |progress: &sweep::Progress| {
            let meter =
                meter.get_or_insert_with(|| Meter::new("sweep", progress.network_images, "network-images"));
            meter.set(progress.network_images_done, || {
                let (done, units) = (progress.units_done, progress.units);
                format!("unit {} of {units}, {}", (done + 1).min(units), progress.target)
            });
        };
        sweep::sweep(job, plan, &mut open, &mut progress, &INTERRUPTED)
    }

    /// The network of a checkpoint, by position.
    fn model(&self, at: usize) -> Result<Model> {
        let path = &self.checkpoints[at];
        let trained = self.trained.get(at).copied().unwrap_or_default();
        Model::open(path, self.choice, self.dataset, self.images)?.trained(trained, path)
    }

    fn engine_of(&self, model: Model, plan: &CheckpointPlan) -> Engine<'a, B> {
        let choices = self.choices;
        let network = Network::new(self.backend, model.graph, &model.weights, model.norm, self.mode());
        let targets = targets(plan);
        Engine::new(network, self.images, choices.attack, self.attack(), &targets)
    }

    fn attack(&self) -> Attack {
        self.choices.eps.attack(self.method, !self.choices.no_clamp)
    }

    fn mode(&self) -> Mode {
        match self.choices.bn {
            BnMode::Running => Mode::Inference,
            BnMode::Batch => Mode::BatchStatistics,
        }
    }

    /// Images per block: as many as were asked for or fit, in whole slabs (batches), spread evenly.
    fn block_size(&self, graph: &Graph, plan: &CheckpointPlan) -> usize {
        let whole = if self.choices.bn == BnMode::Batch { BN_BATCH } else { SLAB };
        let fitting = |memory: usize| {
            let program = Program::lower(graph, self.mode());
            let (mode, attack) = (self.choices.attack, self.attack());
            let bytes = bytes_per_image::<B>(graph, &program, mode, &attack, &targets(plan)).max(1);
            memory / bytes / whole
        };
        let most = match self.block {
            Block::Images(images) => images.div_ceil(whole),
            Block::Mebibytes(mebibytes) => fitting(mebibytes.saturating_mul(1 << 20)),
            Block::Fitting => fitting(self.backend.memory().unwrap_or(DEFAULT_MEMORY)),
        };
        let all = self.images.len().div_ceil(whole);
        let blocks = all.div_ceil(most.max(1));
        all.div_ceil(blocks) * whole
    }

    fn settings(&self, model: &Model, layers: Vec<String>) -> Settings {
        let choices = self.choices;
        Settings {
            checkpoints: vec![model.id()],
            arch: model.arch.name().to_owned(),
            stem: model.stem,
            graph: model.graph.digest(),
            dataset: self.dataset.name().to_owned(),
            dataset_digest: self.images.digest.clone(),
            images: [0, self.images.len()],
            scope: choices.scope,
            layers,
            filters: choices.filters.clone(),
            thresholds: choices.thresholds,
            eps: choices.eps.0,
            attack: choices.attack,
            pgd: match self.method {
                Method::Fgsm => None,
                Method::Pgd(pgd) => Some(pgd),
            },
            clamp: !choices.no_clamp,
            bn: choices.bn,
            dtype: self.dtype.to_owned(),
            backend: self.backend_name.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// What a plan filters.
fn targets(plan: &CheckpointPlan) -> Vec<Target> {
    plan.targets.iter().map(|target| target.target()).collect()
}

/// What a sweep has to do, on one line.
pub fn summary(plan: &Plan, shard: Shard) -> String {
    let (settings, counts) = (&plan.settings, plan.counts(shard));
    let share = if shard == Shard::WHOLE { String::new() } else { format!("shard {shard}: ") };
    format!(
        "{share}{} on {}, {} images in blocks of {}, {} ε {}, {} attack: {} units, {} cells, {} distinct networks",
        settings.network(),
        settings.dataset,
        settings.images[1] - settings.images[0],
        plan.block,
        settings.method(),
        Eps(settings.eps),
        settings.attack,
        counts.units,
        counts.cells,
        counts.distinct
    )
}
