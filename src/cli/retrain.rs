//! `synfilter retrain`: a checkpoint trained on with its fragile layers frozen, beside controls.

use super::device::Compute;
use super::eval::{chunk, in_chunks, mode};
use super::network::{Named, Normalise};
use super::output::{Output, note};
use super::progress::duration;
use super::provenance;
use super::score::Labelling;
use super::source::Source;
use super::study::cost::{Training as Trial, evaluation};
use super::train::{Learning, only_f32, shown};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use synfilter::attack::{Attack, Method};
use synfilter::backend::open::OnDevice;
use synfilter::backend::{Backend, Verdicts};
use synfilter::data::{DatasetKind, Images, Request, Split, open as open_images};
use synfilter::eps::Eps;
use synfilter::eval::{Evaluation, Tally};
use synfilter::graph::{Graph, ParamKind};
use synfilter::input::Input;
use synfilter::lock::Lock;
use synfilter::model::{Model, Said};
use synfilter::network::Network;
use synfilter::retrain::document::{ALPHA, ArmResult, Labels, Network as Trained, Training, VERSION};
use synfilter::retrain::labels::{Swept, labels, swept};
use synfilter::retrain::outcome::{Measured, write_table};
use synfilter::retrain::statistics::{compare, summary};
use synfilter::retrain::{Arm, Arms, Document, Outcome, RETRAIN_PARQUET, Settings, table};
use synfilter::score::{Label, Options, Which};
use synfilter::sweep::{Bits, BnMode};
use synfilter::train::{Data, Job, Origin, Session, TrainSettings};
use synfilter::{Error, Result, versioned};

/// What decides a retraining, in its folder.
const SETTINGS: &str = "settings.json";

/// The flags of `retrain`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    #[command(flatten)]
    named: Named,
    /// The checkpoint that all arms start from.
    #[arg(long, value_name = "F")]
    checkpoint: PathBuf,
    /// The folder of a finished sweep of the checkpoint, which labels its layers.
    #[arg(long, value_name = "RUN")]
    labels: PathBuf,
    #[command(flatten)]
    source: Source,
    /// The folder of the retraining; a retraining that was stopped goes on there.
    #[arg(long, value_name = "DIR", required_unless_present = "dry_run")]
    out: Option<PathBuf>,
    /// Epochs to train on for.
    #[arg(long, value_name = "N", default_value_t = 10)]
    epochs: u32,
    /// Seeds, a network of each arm for every one: the order of images, dropout, the choice of layers of the random arm.
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "0,1,2")]
    seeds: Vec<u64>,
    /// Sizes of the FGSM steps that accuracy is measured under, in pixel units; that of the sweep if left out.
    #[arg(long, value_name = "E,..", value_delimiter = ',', allow_hyphen_values = true)]
    eps: Option<Vec<Eps>>,
    /// The score whose labels decide, combined over the three filters.
    #[arg(long, value_name = "clean|adversarial|difference", default_value_t = Which::Adversarial)]
    by: Which,
    #[command(flatten)]
    labelling: Labelling,
    /// Measure accuracy on all test images, in the place of those that the sweep has not seen.
    #[arg(long)]
    all_images: bool,
    /// Leave adversarial images unclipped.
    #[arg(long)]
    no_clamp: bool,
    /// Say what there is to do and how long it would take, and stop.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    learning: Learning,
    #[command(flatten)]
    normalise: Normalise,
    #[command(flatten)]
    compute: Compute,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    folder: &'a Path,
    #[serde(flatten)]
    document: &'a Document,
}

#[derive(Serialize)]
struct DryRun<'a> {
    settings: &'a Settings,
    /// Networks to train.
    networks: usize,
    fragile: usize,
    estimated_seconds: f64,
}

/// Retrains, or says what a retraining would be.
///
/// # Errors
/// Those of the images, the checkpoint, the sweep, the device and the folder.
pub fn run(args: &Args, output: Output) -> Result<()> {
    only_f32(&args.compute)?;
    let optimizer = args.learning.optimizer()?;
    if let Some((_, twice)) =
        args.seeds.iter().enumerate().find(|(at, seed)| args.seeds[..*at].contains(seed))
    {
        return Err(Error::usage(format!("--seeds: expected each once, found {twice} twice")));
    }
    args.compute.set_threads()?;
    let Swept { choice, prepare, words } = swept(&args.labels)?;
    // Prepared as those of the sweep, unless something else is said.
    let as_swept = prepare.filter(|_| args.source.preparing.is_silent());
    let request = |split| -> Result<Request> {
        let request = args.source.request(split)?;
        Ok(Request { prepare: as_swept.unwrap_or(request.prepare), ..request })
    };
    let (train, train_reading) = open_images(&request(Split::Train)?)?;
    // The images that the sweep chose come first: what is measured on is the rest of them.
    let test = Request { choice, rest_follows: choice.is_some(), ..request(Split::Test)? };
    let (test, mut test_reading) = open_images(&test)?;
    if as_swept.is_some() {
        test_reading.notes.push("prepared as the images of the sweep, as nothing else is said".to_owned());
    }
    let retraining = Retraining {
        checkpoint: &args.checkpoint,
        labels: &args.labels,
        train: &train,
        test: &test,
        input: Input::of_training(train_reading, test_reading),
        dataset: args.source.dataset,
        choice: &args.named.choice(&args.normalise),
        by: args.by,
        options: args.labelling.options(),
        swept: words,
        training: Training {
            epochs: args.epochs,
            batch: args.learning.batch_size,
            optimizer,
            lr_drops: args.learning.lr_drops.clone(),
        },
        seeds: &args.seeds,
        eps: args.eps.as_deref(),
        all_images: args.all_images,
        clamp: !args.no_clamp,
        backend: args.compute.backend_name(),
        command: provenance::words(),
    };
    let (Some(folder), false) = (&args.out, args.dry_run) else {
        return dry_run(&retraining, &args.compute, output);
    };
    let document = args.compute.run(true, InFolder { retraining: &retraining, folder })?;
    let (json, parquet) = (folder.join(Document::NAME), folder.join(RETRAIN_PARQUET));
    note(&format!("wrote {} and {}", json.display(), parquet.display()));
    output.result(&Printed { folder, document: &document }, || table(&document))
}

fn dry_run(retraining: &Retraining, compute: &Compute, output: Output) -> Result<()> {
    let plan = retraining.plan()?;
    let networks = plan.to_train();
    let seconds = compute.run(true, Estimate { retraining, plan: &plan })?;
    note(&retraining.input.clone().with(vec![plan.model.taken.clone()]).to_string());
    let document =
        DryRun { settings: &plan.settings, networks, fragile: plan.fragile(), estimated_seconds: seconds };
    output.result(&document, || {
        format!(
            "{} of {} layers are fragile; {networks} networks of {} epochs to train, accuracy on {} images\n\
             estimated time: {} (from measured steps)\n",
            document.fragile,
            plan.settings.labels.layers.len(),
            plan.settings.training.epochs,
            plan.settings.measured(),
            duration(seconds)
        )
    })
}

/// A retraining with its controls.
pub struct Retraining<'a> {
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
    /// Their data set.
    pub dataset: DatasetKind,
    /// What the user says of the network.
    pub choice: &'a Said,
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
    /// The backend's name in results.
    pub backend: &'static str,
    /// The command that does the same, word by word.
    pub command: Vec<String>,
}

/// What there is to do.
struct Plan {
    settings: Settings,
    arms: Arms,
    model: Model,
    notes: Vec<String>,
}

impl Plan {
    fn fragile(&self) -> usize {
        self.settings.labels.layers.iter().filter(|layer| layer.label == Label::Fragile).count()
    }

    /// Networks that are trained.
    fn to_train(&self) -> usize {
        let arms = Arm::ALL.iter().filter(|&&arm| arm != Arm::Checkpoint && self.arms.same_as(arm).is_none());
        arms.count() * self.settings.seeds.len()
    }

    /// The settings of the training of an arm under a seed.
    fn train_settings(&self, arm: Arm, seed: u64, retraining: &Retraining) -> TrainSettings {
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
            ..TrainSettings::new(self.model.arch, retraining.dataset, retraining.train)
        }
    }

    fn attacks(&self) -> Vec<Attack> {
        let Settings { eps, clamp, .. } = &self.settings;
        eps.iter().map(|&eps| Eps(eps).attack(Method::Fgsm, *clamp)).collect()
    }
}

impl Retraining<'_> {
    /// Reads checkpoint and labels, and looks whether they fit the images and one another.
    fn plan(&self) -> Result<Plan> {
        let model = Model::open(self.checkpoint, self.choice, self.dataset, self.test)?;
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
        if self.seeds.len() < 2 {
            notes.push("one seed shows nothing of the spread over trainings".to_owned());
        }
        let mut eps: Vec<f64> =
            self.eps.map_or(vec![labels.eps], |eps| eps.iter().map(|eps| eps.0).collect());
        eps.sort_by(f64::total_cmp);
        if let Some(pair) = eps.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::usage(format!("--eps: expected each once, found {} twice", Eps(pair[0]))));
        }
        let settings = Settings {
            arch: model.arch.name().to_owned(),
            stem: model.stem,
            dataset: self.dataset.name().to_owned(),
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
            backend: self.backend.to_owned(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let arms = Arms::of(&settings.labels);
        for (arm, other) in Arm::ALL.iter().filter_map(|&arm| Some((arm, arms.same_as(arm)?))) {
            notes.push(format!(
                "the {arm} arm is the same as the {other} arm: {} layers are trained",
                arms.count()
            ));
        }
        let plan = Plan { settings, arms, model, notes };
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

/// How long it takes, on a device.
struct Estimate<'a> {
    retraining: &'a Retraining<'a>,
    plan: &'a Plan,
}

impl OnDevice for Estimate<'_> {
    type Output = f64;

    fn run<B: Backend>(self, backend: &B, device: String) -> Result<f64> {
        let Estimate { retraining, plan } = self;
        let (images, test) = (retraining.train, retraining.test);
        let per_image = evaluation(backend, &plan.model, test, &plan.attacks())?;
        let measured = per_image * plan.settings.measured() as f64;
        let settings = plan.train_settings(Arm::Full, 0, retraining);
        let trained = Trial { settings, images, test }.run(backend, device)?.seconds.unwrap_or_default();
        let networks = plan.to_train() as f64;
        Ok(networks * trained + (networks + 1.0) * measured)
    }
}

/// A retraining that is kept in a folder.
pub struct InFolder<'a> {
    /// The retraining.
    pub retraining: &'a Retraining<'a>,
    /// The folder.
    pub folder: &'a Path,
}

impl OnDevice for InFolder<'_> {
    type Output = Document;

    fn run<B: Backend>(self, backend: &B, device: String) -> Result<Document> {
        let InFolder { retraining, folder } = self;
        let mut plan = retraining.plan()?;
        let _lock = open(folder, &plan.settings)?;
        let input = retraining.input.clone().with(vec![plan.model.taken.clone()]);
        note(&input.to_string());
        let mut found: Vec<(Arm, Vec<Outcome>)> = Vec::new();
        let mut arms = Vec::new();
        for arm in Arm::ALL {
            let (result, outcomes) = arm_of(backend, retraining, &plan, folder, arm, &device)?;
            arms.push(result);
            found.push((arm, outcomes));
        }
        let comparisons = comparisons(&plan.settings, &found);
        let Retraining { checkpoint, ref command, .. } = *retraining;
        let document = Document {
            version: VERSION,
            file: checkpoint.display().to_string(),
            arms,
            comparisons,
            alpha: ALPHA,
            notes: std::mem::take(&mut plan.notes),
            provenance: provenance::of_command(
                command.clone(),
                plan.settings.seeds[0],
                device,
                &[checkpoint],
            ),
            settings: plan.settings,
            input: Some(input),
        };
        write_table(folder, &document, &found)?;
        document.write(folder)?;
        Ok(document)
    }
}

/// Makes the folder ready: new, or one in which the same retraining was begun.
fn open(folder: &Path, settings: &Settings) -> Result<Lock> {
    let lock = Lock::of(folder, "retraining")?;
    // Where the labels lie does not matter: their hash does.
    versioned::settle(&folder.join(SETTINGS), settings, "a retraining", &["/labels/run"])?;
    Ok(lock)
}

/// The networks of an arm, trained and measured as far as that is not done.
fn arm_of<B: Backend>(
    backend: &B,
    retraining: &Retraining,
    plan: &Plan,
    folder: &Path,
    arm: Arm,
    device: &str,
) -> Result<(ArmResult, Vec<Outcome>)> {
    let same_as = plan.arms.same_as(arm);
    let source = same_as.unwrap_or(arm);
    let seeds: Vec<Option<u64>> = match arm {
        Arm::Checkpoint => vec![None],
        _ => plan.settings.seeds.iter().copied().map(Some).collect(),
    };
    let (mut networks, mut outcomes) = (Vec::new(), Vec::new());
    for seed in seeds {
        let (relative, path) = match (source, seed) {
            (Arm::Checkpoint, _) | (_, None) => (None, retraining.checkpoint.to_owned()),
            (source, Some(seed)) => {
                let below = format!("{source}/seed-{seed}");
                if source == arm {
                    note(&format!("retrain: {source}, seed {seed}"));
                }
                let path = trained(backend, retraining, plan, (source, seed), &folder.join(&below), device)?;
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
                (Some(format!("{below}/{}", name.unwrap_or_default())), path)
            }
        };
        let keep = match (source, seed) {
            (Arm::Checkpoint, _) | (_, None) => folder.join(Arm::Checkpoint.name()),
            (source, Some(seed)) => folder.join(format!("{source}/seed-{seed}")),
        };
        let outcome = measured(backend, retraining, plan, &path, &keep)?;
        let layers = plan.arms.trained(arm, seed.unwrap_or_default());
        networks.push(Trained {
            seed,
            file: relative.unwrap_or_else(|| path.display().to_string()),
            sha256: outcome.sha256.clone(),
            parameters: parameters(&plan.model.graph, &layers),
            trained: layers,
            clean: outcome.clean.count(),
            adversarial: outcome.adversarial.iter().map(Measured::count).collect(),
        });
        outcomes.push(outcome);
    }
    let images = plan.settings.measured() as f64;
    let accuracy = |correct: &dyn Fn(&Trained) -> usize| {
        summary(&networks.iter().map(|network| correct(network) as f64 / images).collect::<Vec<_>>())
    };
    let clean = accuracy(&|network| network.clean.correct);
    let adversarial =
        (0..plan.settings.eps.len()).map(|at| accuracy(&|network| network.adversarial[at].correct)).collect();
    Ok((ArmResult { arm, same_as, networks, clean, adversarial }, outcomes))
}

/// Trains the network of an arm, or goes on with it; its checkpoint.
fn trained<B: Backend>(
    backend: &B,
    retraining: &Retraining,
    plan: &Plan,
    (arm, seed): (Arm, u64),
    folder: &Path,
    device: &str,
) -> Result<PathBuf> {
    let settings = plan.train_settings(arm, seed, retraining);
    let Retraining { train, test, ref command, .. } = *retraining;
    let data = Data { train, test, weights: Some(&plan.model.weights) };
    let session = Session { command: command.clone(), device: device.to_owned() };
    let job = Job { folder, resume: true, tensorboard: false, session, input: None };
    let trained = shown(backend, &settings, data, job).inspect_err(|error| {
        if matches!(error, Error::Interrupted) {
            note("what is finished is kept; the same command goes on");
        }
    })?;
    Ok(trained.checkpoint)
}

/// What a network makes of the images, measured unless `keep` has it.
fn measured<B: Backend>(
    backend: &B,
    retraining: &Retraining,
    plan: &Plan,
    path: &Path,
    keep: &Path,
) -> Result<Outcome> {
    let test = retraining.test;
    // The retrained networks are checkpoints of this program: what was said of the first one's file is not of theirs.
    let (arch, stem) = (Some(plan.model.arch), Some(plan.model.stem));
    let choice = Said { arch, stem, key: None, ..retraining.choice.clone() };
    let choice = if path == retraining.checkpoint { retraining.choice } else { &choice };
    let model = Model::open(path, choice, retraining.dataset, test)?;
    let [first, end] = plan.settings.images;
    if let Some(outcome) = Outcome::read(keep, &model.sha256, end - first, plan.settings.eps.len())? {
        return Ok(outcome);
    }
    let network = Network::new(backend, model.graph, &model.weights, model.norm, mode(BnMode::Running));
    let (what, chunk) = (format!("eval {}", path.display()), chunk(BnMode::Running, None));
    let Evaluation { clean, adversarial, .. } =
        in_chunks(&what, &network, test, first..end, &plan.attacks(), false, chunk)?;
    let of = |verdicts: &Verdicts| {
        let loss = Tally::from(verdicts).loss / verdicts.correct.len() as f64;
        Measured {
            right: verdicts.correct.iter().copied().collect(),
            loss: Some(loss).filter(|loss| loss.is_finite()),
        }
    };
    let outcome = Outcome {
        sha256: model.sha256,
        clean: of(&clean),
        adversarial: adversarial.iter().map(of).collect(),
    };
    fs::create_dir_all(keep).map_err(Error::write(keep))?;
    outcome.write(keep)?;
    Ok(outcome)
}

/// Parameters of layers that training moves.
fn parameters(graph: &Graph, layers: &[String]) -> usize {
    let of = graph.filterable().into_iter().filter(|&layer| layers.contains(&graph.params[layer].name));
    let params = of.flat_map(|layer| graph.layer(layer)).map(|param| &graph.params[param]);
    params.filter(|param| param.kind != ParamKind::Statistic).map(|param| param.len()).sum()
}

/// The selective arm against every other, on the clean images and under every attack.
fn comparisons(
    settings: &Settings,
    found: &[(Arm, Vec<Outcome>)],
) -> Vec<synfilter::retrain::document::Comparison> {
    let of = |arm: Arm| {
        let outcomes = found.iter().find(|(other, _)| *other == arm).map_or(&[][..], |(_, found)| found);
        // The checkpoint itself is paired with the network of every seed.
        let each = (0..settings.seeds.len()).map(|seed| &outcomes[seed.min(outcomes.len() - 1)]);
        each.collect::<Vec<&Outcome>>()
    };
    let ours = of(Arm::Selective);
    let mut comparisons = Vec::new();
    for against in [Arm::Checkpoint, Arm::Full, Arm::Random] {
        let theirs = of(against);
        let mut add = |eps: Option<f64>, right: &dyn for<'o> Fn(&'o Outcome) -> &'o Bits| {
            let bits = |outcomes: &[&'_ Outcome]| -> Vec<Bits> {
                outcomes.iter().map(|outcome| right(outcome).clone()).collect()
            };
            let (ours, theirs) = (bits(&ours), bits(&theirs));
            let (ours, theirs): (Vec<&Bits>, Vec<&Bits>) = (ours.iter().collect(), theirs.iter().collect());
            comparisons.push(compare([Arm::Selective, against], eps, &settings.seeds, [&ours, &theirs]));
        };
        add(None, &|outcome| &outcome.clean.right);
        for (at, &eps) in settings.eps.iter().enumerate() {
            add(Some(eps), &|outcome| &outcome.adversarial[at].right);
        }
    }
    comparisons
}
