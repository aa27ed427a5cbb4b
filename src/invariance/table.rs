//! Comparisons as plain text.

use super::compare::{name, words};
use super::depth::BINS;
use super::document::{
    Bin, Comparison, DepthAgreement, Findings, InvarianceRecord, Landmark, LandmarkScore, Layer,
    LayerAgreement, Measure, Pair, Role, Share,
};
use super::summary::summary;
use super::words::{percent, range, shown};
use crate::attack::Eps;
use crate::filter::FilterKind;
use crate::score::{Label, Which, filter_or_combined};
use crate::text::aligned;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Everything that a document holds, but for single scores.
pub fn table(document: &InvarianceRecord) -> String {
    let mut text = heading(document);
    if document.comparisons.len() > 1 {
        text += &format!("\n{}", summary(document));
    }
    for comparison in &document.comparisons {
        let Comparison { over, dataset, seed, epoch, names, .. } = comparison;
        let fixed = words(comparison.network().as_deref(), dataset.as_deref(), *seed, *epoch);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n── over {over}: {fixed} ──\n{}", names.join(", "));
        text += &match &comparison.findings {
            Findings::ByLayer { layers, agreements } => by_layer(names, layers, agreements),
            Findings::ByDepth { landmarks, agreements } => by_depth(names, landmarks, agreements),
        };
    }
    for note in &document.notes {
        let _ = writeln!(text, "\nnote: {note}");
    }
    text
}

fn heading(document: &InvarianceRecord) -> String {
    let InvarianceRecord { options, sweeps, checkpoints, .. } = document;
    let mut eps: Vec<f64> = checkpoints.iter().map(|checkpoint| checkpoint.eps).collect();
    eps.sort_by(f64::total_cmp);
    eps.dedup();
    let eps: Vec<String> = eps.into_iter().map(|eps| Eps(eps).to_string()).collect();
    let filters: Vec<String> = sweeps.filters.iter().map(FilterKind::to_string).collect();
    let attack = sweeps.pgd.map_or("FGSM", |_| "PGD");
    let mut text = format!(
        "{} checkpoints; baseline {}, labels with τ = {}, z = {}\n{}; {} thresholds; {} {attack}, ε {}\n",
        checkpoints.len(),
        options.baseline,
        options.tau,
        options.z,
        filters.join(", "),
        sweeps.thresholds,
        sweeps.attack,
        eps.join(", ")
    );
    // Where that is 0 there are no scores, and where it is low they mean little.
    let mut rows = vec![["checkpoint", "images", "right", "under attack", "run"].map(str::to_owned)];
    rows.extend(checkpoints.iter().map(|checkpoint| {
        let numbers = [checkpoint.images, checkpoint.correct_clean, checkpoint.correct_adv];
        let [images, clean, adv] = numbers.map(|number| number.to_string());
        [name(checkpoint), images, clean, adv, checkpoint.run.clone()]
    }));
    text += &aligned(&rows, |column| (1..4).contains(&column));
    text
}

fn by_layer(names: &[String], layers: &[Layer], agreements: &[LayerAgreement]) -> String {
    let mut rows = vec![
        ["score", "filter", "same label", "", "Fleiss' κ", "mean ρ", "lowest", "highest"].map(str::to_owned),
    ];
    for agreement in agreements {
        let LayerAgreement { by, filter, share, kappa, mean_rho, pairs, .. } = agreement;
        let [lowest, highest] = range(pairs.iter().map(|pair| &pair.rho));
        rows.push([
            by.to_string(),
            filter_or_combined::name(*filter).to_owned(),
            counted(*share),
            percent(*share),
            number(kappa),
            number(mean_rho),
            lowest,
            highest,
        ]);
    }
    let mut text = aligned(&rows, |column| column > 1);
    let each = || agreements.iter().map(|agreement| (label(agreement.by, agreement.filter), agreement));
    text += &without_score(names, each().map(|(label, agreement)| (label, &*agreement.without_score)));
    text += &reasons("κ", each().map(|(label, agreement)| (label, &agreement.kappa)));
    let shown = shown(agreements, |agreement| agreement.filter);
    if names.len() > 2 {
        for agreement in &shown {
            text += &matrix(names, agreement);
        }
    }
    text + &layer_table(layers, &shown)
}

fn label(by: Which, filter: Option<FilterKind>) -> String {
    format!("{by} {}", filter_or_combined::name(filter))
}

/// Spearman's ρ of every pair, and how many layers have the same label.
fn matrix(names: &[String], agreement: &LayerAgreement) -> String {
    let mut rows = vec![vec![String::new()]];
    rows[0].extend(names[..names.len() - 1].iter().cloned());
    for (b, name) in names.iter().enumerate().skip(1) {
        let cell = |a: usize| {
            let pair = agreement.pairs.iter().find(|pair| (pair.a, pair.b) == (a, b));
            pair.map_or("–".to_owned(), |Pair { rho, share, .. }| {
                format!("{} ({})", number(rho), counted(*share))
            })
        };
        rows.push(std::iter::once(name.clone()).chain((0..b).map(cell)).collect());
    }
    let label = label(agreement.by, agreement.filter);
    format!("\n{label}: Spearman's ρ (layers with the same label)\n{}", aligned(&rows, |column| column > 0))
}

/// The labels of every layer in every member, and which layers keep theirs.
fn layer_table(layers: &[Layer], shown: &[&LayerAgreement]) -> String {
    let Some(first) = shown.first() else { return String::new() };
    let mut rows = vec![vec![format!("layer, {}", filter_or_combined::name(first.filter))]];
    rows[0].extend(shown.iter().flat_map(|agreement| [agreement.by.to_string(), "same".to_owned()]));
    for (at, layer) in layers.iter().enumerate() {
        let mut row = vec![layer.name.clone()];
        for agreement in shown {
            let found = &agreement.rows[at];
            let keeps = found.keeps.map_or(String::new(), |label| format!("  {}", label.word()));
            row.push(found.labels.iter().map(|label| letter(*label)).collect());
            row.push(format!("{}{keeps}", counted(found.share)));
        }
        rows.push(row);
    }
    let mut last = vec!["keep their label".to_owned()];
    for agreement in shown {
        let kept = agreement.rows.iter().filter(|row| row.keeps.is_some()).count();
        last.extend([String::new(), format!("{kept}/{} layers", layers.len())]);
    }
    rows.push(last);
    format!(
        "\n{}F fragile, R robust, A antifragile, – no score; same: pairs with the same label\n",
        aligned(&rows, |_| false)
    )
}

fn by_depth(names: &[String], landmarks: &[Vec<Landmark>], agreements: &[DepthAgreement]) -> String {
    let mut rows = vec![["score", "filter", "mean ρ of bins", "lowest", "highest"].map(str::to_owned)];
    for agreement in agreements {
        let [lowest, highest] = range(agreement.pairs.iter().map(|pair| &pair.rho));
        let filter = filter_or_combined::name(agreement.filter).to_owned();
        rows.push([agreement.by.to_string(), filter, number(&agreement.mean_rho), lowest, highest]);
    }
    let mut text = aligned(&rows, |column| column > 1);
    let each = || agreements.iter().map(|agreement| (label(agreement.by, agreement.filter), agreement));
    text += &without_score(names, each().map(|(label, agreement)| (label, &*agreement.without_score)));
    text += &reasons("ρ", each().map(|(label, agreement)| (label, &agreement.mean_rho)));
    let shown = shown(agreements, |agreement| agreement.filter);
    if let Some(pairs) = shown.first().map(|agreement| &agreement.pairs) {
        for pair in pairs.iter().filter(|pair| pair.left_out > 0) {
            let (a, b) = (&names[pair.a], &names[pair.b]);
            let _ = writeln!(
                text,
                "{a} and {b}: {} of {BINS} bins are empty in one of them, and left out",
                pair.left_out
            );
        }
    }
    for agreement in &shown {
        text += &bin_table(names, agreement);
    }
    text + &landmark_table(names, landmarks, &shown)
}

fn bin_table(names: &[String], agreement: &DepthAgreement) -> String {
    let mut rows = vec![vec!["depth".to_owned()]];
    rows[0].extend(names.iter().cloned());
    for at in 0..BINS {
        let mut row = vec![format!("{:.1}–{:.1}", at as f64 / BINS as f64, (at + 1) as f64 / BINS as f64)];
        row.extend(agreement.bins.iter().map(|bins| match bins[at] {
            Bin { layers: 0, .. } => "–".to_owned(),
            Bin { layers, mean } => format!("{} ({layers})", score(mean)),
        }));
        rows.push(row);
    }
    let label = label(agreement.by, agreement.filter);
    format!("\n{label}: mean score (layers) by depth\n{}", aligned(&rows, |column| column > 0))
}

fn landmark_table(names: &[String], landmarks: &[Vec<Landmark>], shown: &[&DepthAgreement]) -> String {
    let Some(first) = shown.first() else { return String::new() };
    let mut rows = vec![vec![format!("landmark, {}", filter_or_combined::name(first.filter))]];
    rows[0].extend(["network", "layer", "depth"].map(str::to_owned));
    rows[0].extend(shown.iter().flat_map(|agreement| [agreement.by.to_string(), String::new()]));
    for role in [Role::First, Role::Branch, Role::Last] {
        for (member, name) in names.iter().enumerate() {
            let of_role = landmarks[member].iter().enumerate().filter(|(_, landmark)| landmark.role == role);
            for (at, Landmark { layer, depth, .. }) in of_role {
                let mut row = vec![role.to_string(), name.clone(), layer.name.clone(), format!("{depth:.2}")];
                for agreement in shown {
                    let LandmarkScore { score: value, label, .. } = agreement.landmarks[member][at];
                    row.extend([score(value), label.map_or("not swept", Label::word).to_owned()]);
                }
                rows.push(row);
            }
        }
    }
    format!("\n{}", aligned(&rows, |_| false))
}

fn letter(label: Label) -> char {
    match label {
        Label::Fragile => 'F',
        Label::Robust => 'R',
        Label::Antifragile => 'A',
        Label::UndefinedClean | Label::UndefinedAdversarial => '–',
    }
}

fn counted(share: Share) -> String {
    format!("{}/{}", share.agreeing, share.compared)
}

fn score(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:+.4}"))
}

fn number(measure: &Measure) -> String {
    measure.value().map_or("–".to_owned(), |value| format!("{value:+.3}"))
}

/// Lines on the measures that are missing: each reason once.
fn reasons<'m>(what: &str, measures: impl Iterator<Item = (String, &'m Measure)>) -> String {
    let missing = measures.filter_map(|(label, measure)| match measure {
        Measure::Value(_) => None,
        Measure::Missing(reason) => Some((reason.clone(), label)),
    });
    grouped(missing, |reason| format!("no {what}: {reason}"))
}

/// Lines on members that have no score.
fn without_score<'m>(names: &[String], each: impl Iterator<Item = (String, &'m [usize])>) -> String {
    let without = each.filter(|(_, members)| !members.is_empty()).map(|(label, members)| {
        let members: Vec<&str> = members.iter().map(|&member| &*names[member]).collect();
        (
            format!(
                "{} of {}, the unfiltered accuracy being 0: {}",
                members.len(),
                names.len(),
                members.join(", ")
            ),
            label,
        )
    });
    grouped(without, |members| format!("no score in {members}"))
}

/// A line per fact, with all that it is true of.
fn grouped(facts: impl Iterator<Item = (String, String)>, line: impl Fn(&str) -> String) -> String {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (fact, of) in facts {
        all.entry(fact).or_default().push(of);
    }
    all.iter().map(|(fact, of)| format!("{} ({})\n", line(fact), of.join("; "))).collect()
}
