//! `synfilter retrain`: a checkpoint trained on with its fragile layers frozen, beside controls.

use super::device::Compute;
use super::network::{Named, Normalise};
use super::output::{Output, note};
use super::score::Labelling;
use super::source::Source;
use super::terminal::{GOES_ON, TERMINAL, told_on_stop};
use super::train::{Learning, only_f32};
use serde::Serialize;
use std::path::{Path, PathBuf};
use synfilter::attack::Eps;
use synfilter::data::{Request, Split, open as open_images};
use synfilter::input::Input;
use synfilter::provenance::command;
use synfilter::retrain::document::Training;
use synfilter::retrain::labels::{Swept, swept};
use synfilter::retrain::{RETRAIN_PARQUET, Retraining, RetrainingRecord, RetrainingSettings, table};
use synfilter::score::Which;
use synfilter::text::duration;
use synfilter::{Error, Result};

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
    /// The score whose labels decide, combined over the filters of the sweep.
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
    document: &'a RetrainingRecord,
}

#[derive(Serialize)]
struct DryRun<'a> {
    settings: &'a RetrainingSettings,
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
    let device = args.compute.open()?;
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
        device: &device,
        checkpoint: &args.checkpoint,
        labels: &args.labels,
        train: &train,
        test: &test,
        input: Input::of_training(train_reading, test_reading),
        said: &args.named.choice(&args.normalise),
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
        command: command(),
        watch: &TERMINAL,
    };
    let (Some(folder), false) = (&args.out, args.dry_run) else {
        return dry_run(&retraining, output);
    };
    let document = retraining.run(folder).inspect_err(told_on_stop(GOES_ON))?;
    let (json, parquet) = (folder.join(RetrainingRecord::NAME), folder.join(RETRAIN_PARQUET));
    note(&format!("wrote {} and {}", json.display(), parquet.display()));
    output.result(&Printed { folder, document: &document }, || table(&document))
}

fn dry_run(retraining: &Retraining, output: Output) -> Result<()> {
    let plan = retraining.plan()?;
    let networks = plan.to_train();
    let seconds = retraining.seconds(&plan)?;
    note(&retraining.read(&plan).to_string());
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
