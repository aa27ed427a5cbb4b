//! `synfilter study`: everything that a study file describes, step by step.

use super::device::Compute;
use super::output::{Output, note};
use super::terminal::{GOES_ON, TERMINAL, told_on_stop};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;
use synfilter::Result;
use synfilter::study::{Cost, Event, REPORT_HTML, Step, Study, StudySummary};
use synfilter::text::duration;

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
    let device = args.compute.open()?;
    let study = Study::open(&args.file, args.out.as_deref(), &device, &TERMINAL)?;
    if args.dry_run {
        return dry_run(args, &study, output);
    }
    let started = Instant::now();
    let StudySummary { done, skipped } = study.run(&mut told).inspect_err(told_on_stop(GOES_ON))?;
    let (seconds, runs, out) = (started.elapsed().as_secs_f64(), runs(&study.steps), &study.spec.out);
    let document = Document { study: &args.file, out, done, skipped, seconds, runs };
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

fn dry_run(args: &Args, study: &Study, output: Output) -> Result<()> {
    let Study { steps, spec, .. } = study;
    let planned = steps.iter().zip(study.outlook()?).map(|(step, (done, cost))| Planned {
        step: &step.name,
        after: step.after.iter().map(|&at| &*steps[at].name).collect(),
        folder: &step.folder,
        key: &step.key,
        done,
        cost,
    });
    let planned: Vec<Planned> = planned.collect();
    let pending = planned.iter().filter(|step| !step.done);
    let estimated_seconds = pending.filter_map(|step| step.cost.seconds).fold(0.0, std::ops::Add::add);
    let document = DryRun { study: &args.file, out: &spec.out, steps: planned, estimated_seconds };
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
