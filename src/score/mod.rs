//! Scores: how much of its accuracy a network keeps while a layer is filtered away, and whether the layer is
//! fragile, robust or antifragile.
//!
//! With p̄ and p̄ε the clean and adversarial accuracy of a filtered network relative to the unfiltered one, ρ the share
//! of kept weights and ᾱ = k/(A−1) (Pravin, Martino, Nicosia, Ojha, arXiv 2312.09821):
//!
//! ```text
//! clean S = ∫ (p̄ − ρ) dᾱ     adversarial Sε = ∫ (p̄ε − ρ) dᾱ     difference SΔ = ∫ (p̄ε − p̄) dᾱ
//! ```
//!
//! or, with the unfiltered baseline, 1 in the place of ρ. The integral is [`simpson`]'s, the standard errors are
//! [`estimate`]'s.

pub mod curves;
mod outcomes;
pub mod plot;
mod ranking;
mod table;

pub use crate::statistics::{Baseline, Label, Which, estimate, simpson};
pub use ranking::{Ranked, Ranking, ranking_table, rankings};
pub use table::table;

use crate::columnar::{Field, Kind, TableWriter, Value};
use crate::error::{Error, Result};
use crate::filter::FilterKind;
use crate::models::Stem;
use crate::statistics::{Curve, Estimate, Estimates};
use crate::sweep::export::{CELLS_PARQUET, HASH_KEY, read_cells};
use crate::sweep::record::{Record, filter_name};
use crate::sweep::{Cell, Run};
use outcomes::Outcomes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::path::Path;

/// The name of the table of scores in a run's folder.
pub const SCORES_PARQUET: &str = "scores.parquet";

/// How scores are made and labelled.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// What accuracy is compared with.
    pub baseline: Baseline,
    /// How far from 0 a score has to be to count, at least 0.
    pub tau: f64,
    /// How many standard errors it has to be away from there, at least 0.
    pub z: f64,
}

impl Default for Options {
    fn default() -> Self {
        Options { baseline: Baseline::Density, tau: 0.0, z: 1.96 }
    }
}

impl Options {
    fn check(&self) -> Result<()> {
        for (name, value) in [("tau", self.tau), ("z", self.z)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::usage(format!("{name}: expected a number of at least 0, found {value}")));
            }
        }
        Ok(())
    }

    /// Fragile if the score is below −τ, antifragile if above τ, each by z standard errors; else robust.
    pub fn label(&self, score: f64, se: f64) -> Label {
        if score + self.z * se < -self.tau {
            Label::Fragile
        } else if score - self.z * se > self.tau {
            Label::Antifragile
        } else {
            Label::Robust
        }
    }
}

/// The scores of one layer under one filter, or combined over those that it was swept with. A score that is undefined is
/// null, and so is its standard error; its label tells the reason.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    /// SHA-256 of the checkpoint.
    pub checkpoint: String,
    /// The architecture.
    pub arch: String,
    /// Its stem; left out, and null in tables, for torchvision's.
    #[serde(skip_serializing_if = "Stem::is_imagenet")]
    pub stem: Stem,
    /// The data set.
    pub dataset: String,
    /// The epoch of the checkpoint.
    pub epoch: Option<u32>,
    /// The seed of its training.
    pub seed: Option<u64>,
    /// The filtered tensor; `None` where the whole network was filtered.
    pub layer: Option<String>,
    /// Its position among the filterable tensors.
    pub layer_index: Option<usize>,
    /// The filtered output channel, in channel scope.
    pub channel: Option<usize>,
    /// The filter; `None` for the mean over several, written "combined".
    #[serde(with = "filter_or_combined")]
    pub filter: Option<FilterKind>,
    /// The filters that a mean is over; empty for one filter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub over: Vec<FilterKind>,
    /// What accuracy was compared with.
    pub baseline: Baseline,
    /// Clean score.
    pub score_clean: Option<f64>,
    /// Adversarial score.
    pub score_adv: Option<f64>,
    /// Difference score.
    pub score_diff: Option<f64>,
    /// Standard error of the clean score.
    pub se_clean: Option<f64>,
    /// Standard error of the adversarial score.
    pub se_adv: Option<f64>,
    /// Standard error of the difference score.
    pub se_diff: Option<f64>,
    /// Label by the clean score.
    pub label_clean: Label,
    /// Label by the adversarial score.
    pub label_adv: Label,
    /// Label by the difference score.
    pub label_diff: Label,
}

impl Score {
    /// The filter's name, or "combined".
    pub fn filter_name(&self) -> &'static str {
        filter_or_combined::name(self.filter)
    }

    /// The filters that a combined score is the mean of, in words.
    pub fn over(&self) -> Option<String> {
        let names: Vec<&str> = self.over.iter().map(|filter| filter.name()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// One of the scores, its standard error and its label.
    pub fn get(&self, which: Which) -> (Option<f64>, Option<f64>, Label) {
        match which {
            Which::Clean => (self.score_clean, self.se_clean, self.label_clean),
            Which::Adversarial => (self.score_adv, self.se_adv, self.label_adv),
            Which::Difference => (self.score_diff, self.se_diff, self.label_diff),
        }
    }

    fn to_row(&self) -> Vec<Value> {
        vec![
            self.checkpoint.as_str().into(),
            self.arch.as_str().into(),
            self.stem.told().into(),
            self.dataset.as_str().into(),
            self.epoch.into(),
            self.seed.map(|seed| seed as i64).into(),
            self.layer.as_deref().into(),
            self.layer_index.map(|index| index as i64).into(),
            self.channel.map(|channel| channel as i64).into(),
            self.filter_name().into(),
            self.baseline.to_string().into(),
            self.score_clean.into(),
            self.score_adv.into(),
            self.score_diff.into(),
            self.se_clean.into(),
            self.se_adv.into(),
            self.se_diff.into(),
            self.label_clean.to_string().into(),
            self.label_adv.to_string().into(),
            self.label_diff.to_string().into(),
        ]
    }
}

/// A filter, or `None` for the mean over several, as text.
pub mod filter_or_combined {
    use super::{Deserialize, Deserializer, FilterKind, Serializer};

    /// The name that stands for the mean over several filters.
    const COMBINED: &str = "combined";

    /// The filter's name, or "combined".
    pub fn name(filter: Option<FilterKind>) -> &'static str {
        filter.map_or(COMBINED, FilterKind::name)
    }

    /// Writes the name.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(filter: &Option<FilterKind>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(name(*filter))
    }

    /// Reads a name.
    ///
    /// # Errors
    /// Those of the deserializer, and for a name that is none of a filter.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<FilterKind>, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            COMBINED => Ok(None),
            name => name.parse().map(Some).map_err(serde::de::Error::custom),
        }
    }
}

/// The columns of `scores.parquet`. A seed is u64 in the bits of a signed number; τ, z and the hash of the sweep's settings are
/// key-value pairs of the file.
pub const SCORE_COLUMNS: &[Field] = &[
    Field { name: "checkpoint", kind: Kind::Text, optional: false },
    Field { name: "arch", kind: Kind::Text, optional: false },
    Field { name: "stem", kind: Kind::Text, optional: true },
    Field { name: "dataset", kind: Kind::Text, optional: false },
    Field { name: "epoch", kind: Kind::Int, optional: true },
    Field { name: "seed", kind: Kind::Int, optional: true },
    Field { name: "layer", kind: Kind::Text, optional: true },
    Field { name: "layer_index", kind: Kind::Int, optional: true },
    Field { name: "channel", kind: Kind::Int, optional: true },
    Field { name: "filter", kind: Kind::Text, optional: false },
    Field { name: "baseline", kind: Kind::Text, optional: false },
    Field { name: "score_clean", kind: Kind::Double, optional: true },
    Field { name: "score_adv", kind: Kind::Double, optional: true },
    Field { name: "score_diff", kind: Kind::Double, optional: true },
    Field { name: "se_clean", kind: Kind::Double, optional: true },
    Field { name: "se_adv", kind: Kind::Double, optional: true },
    Field { name: "se_diff", kind: Kind::Double, optional: true },
    Field { name: "label_clean", kind: Kind::Text, optional: false },
    Field { name: "label_adv", kind: Kind::Text, optional: false },
    Field { name: "label_diff", kind: Kind::Text, optional: false },
];

/// The scores of one run, with what they were made with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// Hash of the settings of the sweep.
    pub hash: String,
    /// Baseline, τ and z.
    #[serde(flatten)]
    pub options: Options,
    /// How the sweep was sampled; left out where every network was measured on all images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampled>,
    /// Checkpoint by checkpoint, layers in network order, filter by filter, then combined.
    pub scores: Vec<Score>,
}

/// How the networks of a sweep were sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sampled {
    /// All images, on which the unfiltered network was measured.
    pub pool: usize,
    /// One in how many of them each filtered network was.
    pub thin: usize,
    /// The seed of the order in which they were visited.
    pub order_seed: u64,
}

impl Sampled {
    /// That of the sweep with a cell.
    fn of(cell: &Cell) -> Option<Sampled> {
        Some(Sampled { pool: cell.pool?, thin: cell.thin?, order_seed: cell.order_seed? })
    }
}

impl fmt::Display for Sampled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sampled { pool, thin, order_seed } = self;
        write!(
            f,
            "every filtered network on one in {thin} of {pool} images, in the order of seed {order_seed}"
        )
    }
}

/// Scores the finished sweep in `folder`: reads its `cells.parquet`, writes its `scores.parquet`.
///
/// # Errors
/// A usage error for options that cannot be; [`Error::Read`] if there is no finished sweep; an input error for a
/// damaged one; [`Error::Write`].
pub fn score_run(folder: &Path, options: Options) -> Result<Scores> {
    let path = folder.join(CELLS_PARQUET);
    let (mut metadata, records) = read_cells(&path)?;
    let hash = metadata.remove(HASH_KEY).unwrap_or_default();
    let sampling = records.first().and_then(|record| Sampled::of(&record.cell));
    let scores = Scores { hash, options, sampling, scores: score_records(&records, options, &path)? };

    let metadata = [
        (HASH_KEY, scores.hash.clone()),
        ("synfilter.tau", options.tau.to_string()),
        ("synfilter.z", options.z.to_string()),
    ];
    let mut table = TableWriter::create(&folder.join(SCORES_PARQUET), SCORE_COLUMNS, &metadata)?;
    table.write_rows(&scores.scores.iter().map(Score::to_row).collect::<Vec<_>>())?;
    table.finish()?;
    Ok(scores)
}

/// The scores of the records of a sweep, in their order; `path` is where they come from. Where a layer was swept
/// with several filters, the mean over these follows as its combined score.
///
/// # Errors
/// A usage error for options that cannot be; an input error if the unfiltered network's record does not come first,
/// a threshold is missing, or the cells of a checkpoint are not of the same images.
pub fn score_records(records: &[Record], options: Options, path: &Path) -> Result<Vec<Score>> {
    options.check()?;
    let mut scores = Vec::new();
    for checkpoint in records.chunk_by(|a, b| a.cell.checkpoint == b.cell.checkpoint) {
        let place = |what: &str| format!("checkpoint {}, {what}", checkpoint[0].cell.checkpoint);
        let (unfiltered, cells) = match checkpoint {
            [first, cells @ ..] if first.cell.filter.is_none() => (first, cells),
            _ => return Err(Error::input(path, place("first record"), "the unfiltered network", "another")),
        };
        let outcomes = Outcomes::of(unfiltered, checkpoint)
            .map_err(|(what, expected, found)| Error::input(path, place(what), expected, found))?;
        let pool = outcomes.pool();
        let mut at = 0;
        for layer in cells.chunk_by(same_target) {
            let mut curves = Vec::new();
            for curve in layer.chunk_by(|a, b| a.cell.filter == b.cell.filter) {
                let found: Vec<Option<usize>> = curve.iter().map(|record| record.cell.k).collect();
                let sound = curve.len() >= 2 && found.iter().copied().eq((0..curve.len()).map(Some));
                let Some(filter) = curve[0].cell.filter.filter(|_| sound) else {
                    let filter = filter_name(curve[0].cell.filter);
                    let name = layer[0].cell.layer.as_deref().unwrap_or("network");
                    let channel = layer[0].cell.channel.map_or(String::new(), |at| format!(" channel {at}"));
                    let found = format!("{found:?}");
                    return Err(Error::input(
                        path,
                        place(&format!("{name}{channel}, {filter}")),
                        "k = 0, 1, 2, …",
                        found,
                    ));
                };
                let points = curve.iter().map(|record| {
                    at += 1;
                    outcomes.point(at, record.cell.kept as f64 / record.cell.total as f64)
                });
                curves.push(Curve { filter, points: points.collect() });
            }
            let over: Vec<FilterKind> = curves.iter().map(|curve| curve.filter).collect();
            let estimates = Estimates::of(&curves, &pool, options.baseline);
            scores.extend(estimates.iter().map(|part| score(part, &over, &layer[0], options)));
        }
    }
    Ok(scores)
}

/// Whether two cells are of the same filtered weights.
fn same_target(a: &Record, b: &Record) -> bool {
    (&a.cell.layer, a.cell.channel) == (&b.cell.layer, b.cell.channel)
}

/// The scores of the target of a record from their estimates.
fn score(estimates: &Estimates, over: &[FilterKind], of: &Record, options: Options) -> Score {
    let cell = &of.cell;
    let undefined =
        if estimates.clean.is_none() { Label::UndefinedClean } else { Label::UndefinedAdversarial };
    let summary = |estimate: Option<&Estimate>, undefined| match estimate {
        None => (None, None, undefined),
        Some(estimate) => {
            let se = estimate.standard_error();
            (Some(estimate.value), Some(se), options.label(estimate.value, se))
        }
    };
    let (score_clean, se_clean, label_clean) = summary(estimates.clean.as_ref(), Label::UndefinedClean);
    let (score_adv, se_adv, label_adv) = summary(estimates.adv.as_ref(), Label::UndefinedAdversarial);
    let (score_diff, se_diff, label_diff) = summary(estimates.diff.as_ref(), undefined);
    Score {
        checkpoint: cell.checkpoint.clone(),
        arch: cell.arch.clone(),
        stem: cell.stem,
        dataset: cell.dataset.clone(),
        epoch: cell.epoch,
        seed: cell.seed,
        layer: cell.layer.clone(),
        layer_index: cell.layer_index,
        channel: cell.channel,
        filter: estimates.filter,
        over: if estimates.filter.is_none() { over.to_vec() } else { Vec::new() },
        baseline: options.baseline,
        score_clean,
        score_adv,
        score_diff,
        se_clean,
        se_adv,
        se_diff,
        label_clean,
        label_adv,
        label_diff,
    }
}

impl Run {
    /// The scores of the run, which are written into its folder too.
    ///
    /// # Errors
    /// Those of [`score_run`]: also if units of other shards are missing.
    pub fn scores(&self, options: Options) -> Result<Scores> {
        score_run(&self.folder, options)
    }
}
