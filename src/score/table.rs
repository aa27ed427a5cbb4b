//! Scores as plain text.

use super::{Label, Score};
use crate::text::{aligned, of_training};
use std::collections::BTreeSet;
use std::fmt::Write;

const HEADINGS: [&str; 8] =
    ["layer", "filter", "clean ± se", "label", "adversarial ± se", "label", "difference ± se", "label"];

/// The scores as an aligned table, in the order given: one line each, a heading per checkpoint, data set
/// and baseline, and the reasons of undefined scores below.
pub fn table(scores: &[Score]) -> String {
    let mut text = String::new();
    let same_network = |a: &Score, b: &Score| {
        let of = |score: &Score| (score.stem, score.baseline);
        (&a.checkpoint, &a.arch, &a.dataset, of(a)) == (&b.checkpoint, &b.arch, &b.dataset, of(b))
    };
    for (at, group) in scores.chunk_by(same_network).enumerate() {
        let first = &group[0];
        let training = of_training(first.seed, first.epoch);
        let gap = if at > 0 { "\n" } else { "" };
        let network = first.stem.named(&first.arch);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{gap}{network} on {}{training}, baseline {}", first.dataset, first.baseline);
        let rows: Vec<[String; 8]> = std::iter::once(HEADINGS.map(str::to_owned))
            .chain(
                group
                    .iter()
                    .enumerate()
                    .map(|(at, score)| row(score, at.checked_sub(1).map(|at| &group[at]))),
            )
            .collect();
        text += &aligned(&rows, |_| false);
    }
    let over: BTreeSet<String> = scores.iter().filter_map(Score::over).collect();
    for over in over {
        let _ = writeln!(text, "combined: the mean over {over}");
    }
    let labels = scores.iter().flat_map(|score| [score.label_clean, score.label_adv, score.label_diff]);
    let reasons: BTreeSet<String> =
        labels.filter(|label| label.word() == "undefined").map(|label| label.to_string()).collect();
    for reason in reasons {
        let _ = writeln!(text, "{reason}");
    }
    text
}

/// A line of the table; the layer is named once, on its first line.
fn row(score: &Score, above: Option<&Score>) -> [String; 8] {
    let repeated = above.is_some_and(|above| (&above.layer, above.channel) == (&score.layer, score.channel));
    let layer = match (&score.layer, score.channel) {
        _ if repeated => String::new(),
        (Some(layer), None) => layer.clone(),
        (Some(layer), Some(channel)) => format!("{layer} channel {channel}"),
        (None, _) => "(whole network)".to_owned(),
    };
    let number = |score: Option<f64>, se: Option<f64>| match score.zip(se) {
        Some((score, se)) => format!("{score:+.4} ± {se:.4}"),
        None => "–".to_owned(),
    };
    let word = |label: Label| label.word().to_owned();
    [
        layer,
        score.filter_name().to_owned(),
        number(score.score_clean, score.se_clean),
        word(score.label_clean),
        number(score.score_adv, score.se_adv),
        word(score.label_adv),
        number(score.score_diff, score.se_diff),
        word(score.label_diff),
    ]
}
