//! All comparisons at a glance.

use super::axis::Axis;
use super::document::{Comparison, Findings, InvarianceRecord, Measure, Share};
use super::words::{percent, range, shown};
use crate::filter::FilterKind;
use crate::score::{Which, filter_or_combined};
use crate::text::aligned;

/// What comparisons over one axis found by one score.
struct Found<'d> {
    by: Which,
    filter: Option<FilterKind>,
    share: Share,
    kappas: Vec<&'d Measure>,
    rhos: Vec<&'d Measure>,
}

/// Axis by axis and score by score, what the comparisons found: of the combined scores, or of the first filter where there
/// are none. What is over seeds is what chance alone changes.
pub fn summary(document: &InvarianceRecord) -> String {
    let headings = [
        "over",
        "comparisons",
        "score",
        "filter",
        "same label",
        "κ lowest",
        "highest",
        "ρ lowest",
        "highest",
    ];
    let mut rows = vec![headings.map(str::to_owned)];
    for axis in Axis::ALL {
        let of_axis: Vec<&Comparison> = document.comparisons.iter().filter(|one| one.over == axis).collect();
        let mut joined: Vec<Found> = Vec::new();
        for found in of_axis.iter().flat_map(|comparison| each(&comparison.findings)) {
            match joined.iter_mut().find(|other| (other.by, other.filter) == (found.by, found.filter)) {
                None => joined.push(found),
                Some(other) => {
                    other.share = other.share + found.share;
                    other.kappas.extend(found.kappas);
                    other.rhos.extend(found.rhos);
                }
            }
        }
        for Found { by, filter, share, kappas, rhos } in joined {
            let [lowest_kappa, highest_kappa] = range(kappas.into_iter());
            let [lowest_rho, highest_rho] = range(rhos.into_iter());
            rows.push([
                axis.to_string(),
                of_axis.len().to_string(),
                by.to_string(),
                filter_or_combined::name(filter).to_owned(),
                percent(share),
                lowest_kappa,
                highest_kappa,
                lowest_rho,
                highest_rho,
            ]);
        }
    }
    aligned(&rows, |column| column == 1 || column > 3)
}

/// What a comparison found, score by score.
fn each(findings: &Findings) -> Vec<Found<'_>> {
    match findings {
        Findings::ByLayer { agreements, .. } => {
            let found = shown(agreements, |one| one.filter).into_iter().map(|one| Found {
                by: one.by,
                filter: one.filter,
                share: one.share,
                kappas: vec![&one.kappa],
                rhos: one.pairs.iter().map(|pair| &pair.rho).collect(),
            });
            found.collect()
        }
        Findings::ByDepth { agreements, .. } => {
            let found = shown(agreements, |one| one.filter).into_iter().map(|one| Found {
                by: one.by,
                filter: one.filter,
                share: Share::default(),
                kappas: Vec::new(),
                rhos: one.pairs.iter().map(|pair| &pair.rho).collect(),
            });
            found.collect()
        }
    }
}
