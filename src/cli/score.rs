//! `synfilter score`: scores and labels of finished sweeps.

use super::output::Output;
use serde::Serialize;
use std::path::PathBuf;
use synfilter::Result;
use synfilter::score::{
    Baseline, Options, Ranking, SCORES_PARQUET, Scores, Which, ranking_table, rankings, score_run, table,
};
use synfilter::sweep::dir::RunFile;
use synfilter::sweep::export::{is_finished, unfinished};

/// The flags of `score`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Folders of finished sweeps.
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    #[command(flatten)]
    labelling: Labelling,
    /// For sweeps of channels: how many of the most fragile and of the most antifragile channels to name.
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// For sweeps of channels: the score by which they are ranked.
    #[arg(long, value_name = "clean|adversarial|difference", default_value_t = Which::Adversarial)]
    rank_by: Which,
}

/// How scores are made and labelled.
#[derive(clap::Args, Clone, Debug)]
pub struct Labelling {
    /// What accuracy is compared with: the share of weights that are left, or the unfiltered network.
    #[arg(long, value_name = "density|unfiltered", default_value_t = Baseline::Density)]
    baseline: Baseline,
    /// How far from 0 a score has to be for a layer not to be called robust.
    #[arg(long, value_name = "T", default_value_t = Options::default().tau, allow_hyphen_values = true)]
    tau: f64,
    /// By how many standard errors it has to be beyond that.
    #[arg(long, value_name = "Z", default_value_t = Options::default().z, allow_hyphen_values = true)]
    z: f64,
}

impl Labelling {
    /// As the library takes it.
    pub fn options(&self) -> Options {
        Options { baseline: self.baseline, tau: self.tau, z: self.z }
    }
}

#[derive(Serialize)]
struct Document {
    runs: Vec<Run>,
}

#[derive(Serialize)]
struct Run {
    run: PathBuf,
    #[serde(flatten)]
    scores: Scores,
    /// Of the channels, if that is what was swept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rankings: Vec<Ranking>,
}

/// Scores every run, writes its `scores.parquet` and prints the tables, or for channels their ranking.
///
/// # Errors
/// An input error for a run that is not finished or damaged, a usage error for options that cannot be.
pub fn run(args: &Args, output: Output) -> Result<()> {
    let options = args.labelling.options();
    let mut runs = Vec::new();
    for run in &args.runs {
        if !is_finished(run) && RunFile::read(run)?.is_some() {
            return Err(unfinished(run));
        }
        let scores = score_run(run, options)?;
        let rankings = rankings(&scores.scores, args.rank_by, args.top);
        runs.push(Run { run: run.clone(), scores, rankings });
    }
    let document = Document { runs };
    output.result(&document, || {
        let mut text = String::new();
        for (at, Run { run, scores, rankings }) in document.runs.iter().enumerate() {
            let gap = if at > 0 { "\n" } else { "" };
            let run = run.display();
            // A row per channel and filter is for scores.parquet; people get the ends.
            let scores = if rankings.is_empty() { table(&scores.scores) } else { ranking_table(rankings) };
            text += &format!("{gap}{scores}\nwritten to {run}/{SCORES_PARQUET}\n");
        }
        text
    })
}
