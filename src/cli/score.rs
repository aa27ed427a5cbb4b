//! `synfilter score`: scores and labels of finished sweeps.

use super::output::{Output, screen};
use serde::Serialize;
use std::path::{Path, PathBuf};
use synfilter::score::curves::{Responses, curves};
use synfilter::score::plot::plots;
use synfilter::score::{
    Baseline, Options, Ranked, Ranking, SCORES_PARQUET, Scores, Which, ranking_table, rankings, score_run,
    table,
};
use synfilter::sweep::dir::RunFile;
use synfilter::sweep::export::{CELLS_PARQUET, is_finished, read_cells, unfinished};
use synfilter::{Error, Result};

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
    /// Draw response curves: clean and adversarial accuracy and the share of weights that are left. Of channels those that are
    /// named.
    #[arg(long)]
    plot: bool,
    /// Draw these layers only, by the names of their tensors (conv1.weight).
    #[arg(long, value_name = "NAME,..", value_delimiter = ',', requires = "plot")]
    layers: Option<Vec<String>>,
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
    /// What is drawn; empty if nothing is.
    #[serde(skip)]
    responses: Vec<Responses>,
}

/// Scores every run, writes its `scores.parquet` and prints the tables, or for channels their ranking.
///
/// # Errors
/// An input error for a run that is not finished or damaged, a usage error for options that cannot be.
pub fn run(args: &Args, output: Output) -> Result<()> {
    let options = args.labelling.options();
    if args.plot && output.json {
        return Err(Error::usage("--plot: draws for people, --json is for programs; expected one of them"));
    }
    let mut runs = Vec::new();
    for run in &args.runs {
        if !is_finished(run) && RunFile::read(run)?.is_some() {
            return Err(unfinished(run));
        }
        let scores = score_run(run, options)?;
        let rankings = rankings(&scores.scores, args.rank_by, args.top);
        let responses = if args.plot { drawn(run, &rankings, args.layers.as_deref())? } else { Vec::new() };
        runs.push(Run { run: run.clone(), scores, rankings, responses });
    }
    if let Some(unknown) = args.layers.iter().flatten().find(|layer| {
        let targets = || runs.iter().flat_map(|run| &run.responses).flat_map(|responses| &responses.targets);
        !targets().any(|target| target.layer.as_ref() == Some(layer))
    }) {
        let runs: Vec<String> = args.runs.iter().map(|run| run.display().to_string()).collect();
        return Err(Error::usage(format!("--layers: nothing to draw of {unknown} in {}", runs.join(", "))));
    }
    let document = Document { runs };
    output.result(&document, || {
        let mut text = String::new();
        for (at, Run { run, scores, rankings, responses }) in document.runs.iter().enumerate() {
            let gap = if at > 0 { "\n" } else { "" };
            let run = run.display();
            // A row per channel and filter is for scores.parquet; people get the ends.
            let table = if rankings.is_empty() { table(&scores.scores) } else { ranking_table(rankings) };
            text += &format!("{gap}{table}\n");
            if let Some(sampling) = &scores.sampling {
                text += &format!("{sampling}\n");
            }
            for responses in responses {
                text += &format!("{}\n", plots(responses, screen()));
            }
            text += &format!("written to {run}/{SCORES_PARQUET}\n");
        }
        text
    })
}

/// The response curves of a run: of its layers, or of the channels that are named in the rankings, those of `layers` only.
fn drawn(run: &Path, rankings: &[Ranking], layers: Option<&[String]>) -> Result<Vec<Responses>> {
    let (_, records) = read_cells(&run.join(CELLS_PARQUET))?;
    let mut responses = curves(&records);
    for Responses { targets, .. } in &mut responses {
        targets.retain(|target| {
            let chosen =
                layers.is_none_or(|layers| target.layer.as_ref().is_some_and(|layer| layers.contains(layer)));
            let mut ends = rankings
                .iter()
                .flat_map(|ranking| ranking.most_fragile.iter().chain(&ranking.most_antifragile));
            let named = |ranked: &Ranked| {
                (Some(&ranked.layer), Some(ranked.channel)) == (target.layer.as_ref(), target.channel)
            };
            chosen && (target.channel.is_none() || ends.any(named))
        });
    }
    Ok(responses)
}
