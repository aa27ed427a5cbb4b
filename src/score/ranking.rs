//! The most fragile and the most antifragile channels of a sweep in channel scope.

use super::{Label, Score, Which};
use crate::models::Stem;
use crate::text::of_training;
use serde::Serialize;
use std::cmp::Ordering;
use std::fmt::Write;

/// A channel at its place in a ranking.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranked {
    /// The filtered tensor.
    pub layer: String,
    /// The output channel.
    pub channel: usize,
    /// The score.
    pub score: f64,
    /// Its standard error.
    pub se: f64,
    /// Its label.
    pub label: Label,
}

/// The channels of one checkpoint in the order of one score: the ends of that order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranking {
    /// The architecture.
    pub arch: String,
    /// Its stem; left out for torchvision's.
    #[serde(skip_serializing_if = "Stem::is_imagenet")]
    pub stem: Stem,
    /// The data set.
    pub dataset: String,
    /// The epoch of the checkpoint.
    pub epoch: Option<u32>,
    /// The seed of its training.
    pub seed: Option<u64>,
    /// The filter, or "combined".
    pub filter: &'static str,
    /// The score that decides.
    pub by: Which,
    /// How many channels have that score.
    pub channels: usize,
    /// How many have none, because the unfiltered accuracy is 0.
    pub undefined: usize,
    /// The lowest scores, lowest first.
    pub most_fragile: Vec<Ranked>,
    /// The highest scores, highest first.
    pub most_antifragile: Vec<Ranked>,
}

/// Ranks the channels among `scores`, `top` from each end: by their combined score where there is one, else by that of
/// the only filter; one ranking per checkpoint. Equal scores keep network order. Empty where nothing is a channel's.
pub fn rankings(scores: &[Score], by: Which, top: usize) -> Vec<Ranking> {
    let same_network = |a: &Score, b: &Score| {
        (&a.checkpoint, &a.arch, a.stem, &a.dataset) == (&b.checkpoint, &b.arch, b.stem, &b.dataset)
    };
    let mut rankings = Vec::new();
    for network in scores.chunk_by(same_network) {
        let channels = || network.iter().filter(|score| score.channel.is_some());
        // The mean over several filters, or the only one.
        let combined = channels().find(|score| score.filter.is_none());
        if let Some(kind) = combined.or_else(|| channels().next()).map(|score| score.filter) {
            let of_kind: Vec<&Score> = channels().filter(|score| score.filter == kind).collect();
            rankings.extend(of_kind.first().map(|first| ranking(first, &of_kind, by, top)));
        }
    }
    rankings
}

fn ranking(first: &Score, scores: &[&Score], by: Which, top: usize) -> Ranking {
    let ranked = |score: &&Score| {
        let (value, se, label) = score.get(by);
        let (value, se) = value.zip(se)?;
        Some(Ranked { layer: score.layer.clone()?, channel: score.channel?, score: value, se, label })
    };
    // Sorted twice, since equal scores keep their order from either end.
    let sorted = |compare: fn(&Ranked, &Ranked) -> Ordering| {
        let mut order: Vec<Ranked> = scores.iter().filter_map(ranked).collect();
        order.sort_by(compare);
        order
    };
    let ascending = sorted(|a, b| a.score.total_cmp(&b.score));
    let descending = sorted(|a, b| b.score.total_cmp(&a.score));
    let channels = ascending.len();
    Ranking {
        arch: first.arch.clone(),
        stem: first.stem,
        dataset: first.dataset.clone(),
        epoch: first.epoch,
        seed: first.seed,
        filter: first.filter_name(),
        by,
        channels,
        undefined: scores.len() - channels,
        most_fragile: ascending.into_iter().take(top).collect(),
        most_antifragile: descending.into_iter().take(top).collect(),
    }
}

/// Rankings as text.
pub fn ranking_table(rankings: &[Ranking]) -> String {
    let mut text = String::new();
    for (at, ranking) in rankings.iter().enumerate() {
        let Ranking { arch, stem, dataset, by, channels, filter, .. } = ranking;
        let training = of_training(ranking.seed, ranking.epoch);
        let gap = if at > 0 { "\n" } else { "" };
        let network = stem.named(arch);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{gap}{network} on {dataset}{training}: {channels} channels by {by} score, {filter}"
        );
        let parts =
            [("most fragile", &ranking.most_fragile), ("most antifragile", &ranking.most_antifragile)];
        let widest = |of: fn(&Ranked) -> usize| parts.iter().flat_map(|(_, part)| *part).map(of).max();
        let layers = widest(|ranked| ranked.layer.len()).unwrap_or_default();
        let digits = widest(|ranked| ranked.channel.to_string().len()).unwrap_or_default();
        for (name, part) in parts {
            let _ = writeln!(text, "{name}");
            for (place, Ranked { layer, channel, score, se, label }) in part.iter().enumerate() {
                let place = place + 1;
                let label = label.word();
                let _ = writeln!(
                    text,
                    "{place:>4}  {layer:<layers$}  channel {channel:>digits$}  {score:+.4} ± {se:.4}  {label}"
                );
            }
        }
        if ranking.undefined > 0 {
            let _ =
                writeln!(text, "{} channels have no score: the unfiltered accuracy is 0", ranking.undefined);
        }
    }
    text
}
