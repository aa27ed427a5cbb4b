//! `synfilter demo`: the whole path on the embedded digits, small enough to watch.

use super::device::Compute;
use super::output::{Output, note, percent};
use super::terminal::TERMINAL;
use serde::Serialize;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::slice;
use std::time::Instant;
use synfilter::attack::Eps;
use synfilter::backend::Optimizer;
use synfilter::backend::Sgd;
use synfilter::data::{Choice, DatasetKind, How, Images, Request, Split, load, open};
use synfilter::filter::FilterKind;
use synfilter::model::Said;
use synfilter::models::Arch;
use synfilter::provenance::command;
use synfilter::report::{self, write_html};
use synfilter::score::{Options, Score, Scores, score_run, table};
use synfilter::sweep::export::{CELLS_PARQUET, read_cells};
use synfilter::sweep::{Choices, Job};
use synfilter::text::duration;
use synfilter::train::{self, Data, Session, TrainSettings, Trained};
use synfilter::{Device, Error, Result};

const ARCH: Arch = Arch::Resnet18;
const EPOCHS: u32 = 5;
/// The learning rate of all but the last epoch, which takes a tenth: five epochs then end well above 97 %.
const LR: f64 = 0.02;
/// Test accuracy that the network has to reach for the rest to mean anything.
const ENOUGH: f64 = 0.97;
/// Thresholds per filter, and test images: a study takes 25 and all.
const THRESHOLDS: usize = 9;
const IMAGES: usize = 256;
/// Size of the FGSM step: digits take more than the usual 8/255 before a network errs.
const EPS: Eps = Eps(32.0 / 255.0);
/// Where demos go if nothing is said.
const FOLDER: &str = "runs/demo";

/// The flags of `demo`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// A new folder for the demo's files; runs/demo, or the first free of runs/demo-2, … if left out.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    compute: Compute,
}

#[derive(Serialize)]
struct Document<'a> {
    folder: &'a Path,
    checkpoint: &'a Path,
    run: &'a Path,
    report: &'a Path,
    test_accuracy: f64,
    seconds: f64,
    #[serde(flatten)]
    scores: &'a Scores,
}

/// Trains, sweeps, scores, reports and says where everything is.
///
/// # Errors
/// A usage error for a folder that holds something; [`Error::Failed`] if training does not get far enough; those of
/// training and sweep.
pub fn run(args: &Args, output: Output) -> Result<()> {
    let started = Instant::now();
    let folder = new_folder(args.out.as_deref())?;
    let test = load(DatasetKind::Digits, None, Split::Test, None)?;

    let device = args.compute.open()?;
    let Trained { checkpoint, epochs } = trained(args, &device, &folder, &test)?;
    let accuracy = epochs.last().map_or(0.0, |last| last.test_accuracy);
    if accuracy < ENOUGH {
        return Err(Error::Failed(format!(
            "demo: expected a test accuracy of at least {:.0} %, found {:.2} %; try another --seed",
            100.0 * ENOUGH,
            100.0 * accuracy
        )));
    }

    note(&format!(
        "2 of 4: sweep all layers with {} filters × {THRESHOLDS} thresholds on {IMAGES} images, FGSM ε {EPS} (a study \
         takes 25 thresholds and all images)",
        FilterKind::ALL.len()
    ));
    let run = folder.join("sweep");
    swept(args, &device, &checkpoint, &run)?;

    note("3 of 4: score");
    let scores = score_run(&run, Options::default())?;

    note("4 of 4: report");
    let report = folder.join("report.html");
    let title = Some(format!("synfilter demo: {ARCH} on 8,000 of MNIST's digits"));
    write_html(
        slice::from_ref(&run),
        &report,
        &report::ReportSettings { title, options: Options::default() },
    )?;
    let document = Document {
        folder: &folder,
        checkpoint: &checkpoint,
        run: &run,
        report: &report,
        test_accuracy: accuracy,
        seconds: started.elapsed().as_secs_f64(),
        scores: &scores,
    };
    let unfiltered = unfiltered(&run)?;
    output.result(&document, || closing(&document, &unfiltered))
}

/// A folder that is new or empty: the one that was asked for, or the first free one of the default names.
fn new_folder(wanted: Option<&Path>) -> Result<PathBuf> {
    if let Some(folder) = wanted {
        return match is_free(folder)? {
            true => Ok(folder.to_owned()),
            false => Err(Error::usage(format!(
                "{}: expected a new or empty folder for the demo, found one with files; give another --out",
                folder.display()
            ))),
        };
    }
    let mut folder = PathBuf::from(FOLDER);
    for number in 2.. {
        if is_free(&folder)? {
            break;
        }
        folder = PathBuf::from(format!("{FOLDER}-{number}"));
    }
    Ok(folder)
}

/// Whether a folder does not exist or is empty.
fn is_free(folder: &Path) -> Result<bool> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(Error::write(folder)(error)),
    }
}

fn trained(args: &Args, device: &Device, folder: &Path, test: &Images) -> Result<Trained> {
    note(&format!(
        "1 of 4: train {ARCH} on 8,000 of MNIST's digits, {EPOCHS} epochs (a study takes up to 100)"
    ));
    let images = load(DatasetKind::Digits, None, Split::Train, None)?;
    let settings = TrainSettings {
        epochs: EPOCHS,
        save_every: EPOCHS,
        seed: args.compute.seed,
        optimizer: Optimizer::Sgd(Sgd { lr: LR, momentum: 0.9, nesterov: false, weight_decay: 0.0 }),
        lr_drops: vec![EPOCHS - 1],
        ..TrainSettings::new(ARCH, DatasetKind::Digits, &images)
    };
    let session = Session { command: command(), device: device.description()? };
    let job =
        train::Job { folder: &folder.join("train"), resume: false, tensorboard: false, session, input: None };
    let data = Data { train: &images, test, weights: None };
    train::run(device, &settings, data, job, &TERMINAL)
}

fn swept(args: &Args, device: &Device, checkpoint: &PathBuf, run: &Path) -> Result<()> {
    let choice = Choice { images: IMAGES, how: How::First, seed: 0 };
    let request = Request::new(DatasetKind::Digits, None, Split::Test);
    let (images, reading) = open(&Request { choice: Some(choice), ..request })?;
    let said = Said { arch: Some(ARCH), ..Said::default() };
    let choices = Choices { thresholds: THRESHOLDS, eps: EPS, ..Choices::default() };
    Job::of_files(device, &images, slice::from_ref(checkpoint), &said)
        .choices(choices)
        .reading(&reading)
        .recorded(command(), args.compute.seed)
        .watch(&TERMINAL)
        .run(run)
        .map(|_| ())
}

/// What the unfiltered network does, in words.
fn unfiltered(run: &Path) -> Result<String> {
    let (_, records) = read_cells(&run.join(CELLS_PARQUET))?;
    let cell = records.iter().map(|record| &record.cell).find(|cell| cell.filter.is_none());
    Ok(cell.map_or(String::new(), |cell| {
        let (clean, adv) = (percent(cell.correct_clean, cell.images), percent(cell.correct_adv, cell.images));
        format!("unfiltered: {clean} of {} clean images right, {adv} under FGSM with ε {EPS}", cell.images)
    }))
}

fn closing(document: &Document, unfiltered: &str) -> String {
    let combined: Vec<Score> =
        document.scores.scores.iter().filter(|score| score.filter.is_none()).cloned().collect();
    let (checkpoint, run, report) =
        (document.checkpoint.display(), document.run.display(), document.report.display());
    format!(
        "{}\n{unfiltered}\n\n\
         This was a demo in {}: {THRESHOLDS} thresholds and {IMAGES} images instead of 25 and all, so errors are wide.\n\
         checkpoint  {checkpoint}\n\
         cells       {run}/{CELLS_PARQUET}\n\
         scores      {run}/scores.parquet, each filter by itself: synfilter score {run}\n\
         report      {report}, to be opened in a browser: curves, heat maps, method and provenance\n",
        table(&combined),
        duration(document.seconds),
    )
}
