//! `synfilter study`: everything that a study file describes, step by step.

mod check;
pub mod cost;
mod execute;
mod images;
mod words;

use super::device::Compute;
use super::interrupt::INTERRUPTED;
use super::output::{Output, note};
use super::progress::duration;
use cost::{Cost, costs};
use execute::{Executor, REPORT_HTML};
use images::Store;
use serde::Serialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Instant;
use synfilter::lock::Lock;
use synfilter::study::{Event, Record, Spec, Step, Summary, finished, run as run_steps, steps};
use synfilter::{Error, Result};

/// The flags of `study`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The file that describes the study.
    #[arg(value_name = "STUDY.toml")]
    file: PathBuf,
    /// The folder of the study, in the place of the file's `out`.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Say which steps there are, which are done and what the others would cost, and stop.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    compute: Compute,
}

#[derive(Serialize)]
struct DryRun<'a> {
    study: &'a Path,
    out: &'a Path,
    steps: Vec<Planned<'a>>,
    /// Seconds of the steps that are not done, as far as they are known.
    estimated_seconds: f64,
}

#[derive(Serialize)]
struct Planned<'a> {
    step: &'a str,
    after: Vec<&'a str>,
    folder: &'a Path,
    key: &'a str,
    done: bool,
    #[serde(flatten)]
    cost: Cost,
}

#[derive(Serialize)]
struct Document<'a> {
    study: &'a Path,
    out: &'a Path,
    done: usize,
    skipped: usize,
    seconds: f64,
    runs: Vec<&'a Path>,
}

/// Runs or resumes a study, or says what there is to do.
///
/// # Errors
/// An input error with line and key for a study that cannot be; those of its steps.
pub fn run(args: &Args, output: Output) -> Result<()> {
    let mut spec = Spec::read(&args.file, args.out.as_deref())?;
    args.compute.set_threads()?;
    spec.keep_file_order()?;
    let compute = json!({ "backend": args.compute.backend_name(), "dtype": args.compute.dtype.name() });
    let steps = steps(&spec, &compute);
    let store = Store::new(&spec);
    let mut executor = Executor { spec: &spec, compute: &args.compute, images: &store };

    let done = finished(&steps)?;
    let pending: Vec<&Step> =
        steps.iter().zip(&done).filter(|(_, done)| done.is_none()).map(|(step, _)| step).collect();
    check::check(&executor, &pending)?;
    if args.dry_run {
        return dry_run(args, &executor, &steps, &done, output);
    }

    let lock = Lock::of(&spec.out, "study")?;
    let started = Instant::now();
    let interrupted = |error: &Error| {
        if matches!(error, Error::Interrupted) {
            note("what is finished is kept; the same command goes on");
        }
    };
    let summary =
        run_steps(&steps, &args.file, &mut executor, &mut told, &INTERRUPTED).inspect_err(interrupted)?;
    drop(lock);
    let seconds = started.elapsed().as_secs_f64();
    let Summary { done, skipped } = summary;
    let runs = runs(&steps);
    let document = Document { study: &args.file, out: &spec.out, done, skipped, seconds, runs };
    output.result(&document, || closing(&document))
}

/// The folders of the sweeps.
fn runs(steps: &[Step]) -> Vec<&Path> {
    steps.iter().filter(|step| step.work.kind() == "sweep").map(|step| step.folder.as_path()).collect()
}

fn told(event: Event) {
    match event {
        Event::Begins(number, steps, step) => note(&format!("step {number} of {steps}: {}", step.name)),
        Event::Ends(step, seconds) => {
            note(&format!("done in {}: {}", duration(seconds), step.folder.display()))
        }
        Event::Fails(step, error) => note(&format!("{} failed: {error}; other steps go on", step.name)),
    }
}

fn dry_run(
    args: &Args,
    executor: &Executor,
    steps: &[Step],
    done: &[Option<Record>],
    output: Output,
) -> Result<()> {
    let costs = costs(executor, steps, done)?;
    let planned = steps.iter().zip(done).zip(costs).map(|((step, done), cost)| Planned {
        step: &step.name,
        after: step.after.iter().map(|&at| &*steps[at].name).collect(),
        folder: &step.folder,
        key: &step.key,
        done: done.is_some(),
        cost,
    });
    let planned: Vec<Planned> = planned.collect();
    let pending = planned.iter().filter(|step| !step.done);
    let estimated_seconds = pending.filter_map(|step| step.cost.seconds).fold(0.0, std::ops::Add::add);
    let document = DryRun { study: &args.file, out: &executor.spec.out, steps: planned, estimated_seconds };
    output.result(&document, || plan(&document))
}

fn plan(document: &DryRun) -> String {
    let DryRun { steps, out, estimated_seconds, .. } = document;
    let width = steps.iter().map(|step| step.step.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for Planned { step, cost: Cost { seconds, how }, .. } in steps {
        let seconds = seconds.map_or("–".to_owned(), duration);
        text += &format!("{step:width$}  {seconds:>13}  {how}\n");
    }
    let pending = steps.iter().filter(|step| !step.done).count();
    text + &format!(
        "{} steps, {pending} to do: {} estimated, in {}\n",
        steps.len(),
        duration(*estimated_seconds),
        out.display()
    )
}

fn closing(document: &Document) -> String {
    let Document { out, done, skipped, seconds, runs, .. } = document;
    format!(
        "{done} steps in {}, {skipped} were done before; {} sweeps in {}, put together in {}\n",
        duration(*seconds),
        runs.len(),
        out.display(),
        out.join(REPORT_HTML).display()
    )
}
