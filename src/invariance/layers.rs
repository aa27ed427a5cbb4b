//! Networks with the same layers, layer by layer.

use super::document::{Layer, LayerAgreement, Measure, Pair, Row, Share};
use super::gather::Scored;
use super::statistics::{fleiss_kappa, mean, spearman_rho};
use crate::filter::FilterKind;
use crate::score::{Label, Which};

/// The scores of a network by one score under one filter, in the order of its swept layers.
pub struct Column {
    /// The scores; `None` where the unfiltered accuracy is 0.
    pub scores: Vec<Option<f64>>,
    /// Their standard errors.
    pub ses: Vec<Option<f64>>,
    /// The labels.
    pub labels: Vec<Label>,
}

impl Column {
    /// That of a checkpoint.
    pub fn of(scored: &Scored, by: Which, filter: Option<FilterKind>) -> Column {
        let mut column = Column { scores: Vec::new(), ses: Vec::new(), labels: Vec::new() };
        for score in scored.scores.iter().filter(|score| score.filter == filter) {
            let (score, se, label) = score.get(by);
            column.scores.push(score);
            column.ses.push(se);
            column.labels.push(label);
        }
        column
    }

    /// All scores, if there are; what makes one undefined makes all of them so.
    pub fn complete(&self) -> Option<Vec<f64>> {
        self.scores.iter().copied().collect()
    }
}

/// How far `members`, which have the same `layers`, agree.
pub fn agreement(
    members: &[&Scored],
    layers: &[Layer],
    by: Which,
    filter: Option<FilterKind>,
) -> LayerAgreement {
    let columns: Vec<Column> = members.iter().map(|member| Column::of(member, by, filter)).collect();
    let complete: Vec<Option<Vec<f64>>> = columns.iter().map(Column::complete).collect();
    let (with_score, without_score): (Vec<usize>, Vec<usize>) =
        (0..members.len()).partition(|&member| complete[member].is_some());

    let rows: Vec<Row> = (0..layers.len()).map(|layer| row(&columns, &with_score, layer)).collect();
    let subjects: Vec<[usize; 3]> = rows.iter().map(|row| counts(row, &with_score)).collect();
    let scored: Vec<(usize, &[f64], &[Label])> = with_score
        .iter()
        .filter_map(|&member| Some((member, complete[member].as_deref()?, &*columns[member].labels)))
        .collect();
    let mut pairs = Vec::new();
    for (at, (a, scores_a, labels_a)) in scored.iter().enumerate() {
        for (b, scores_b, labels_b) in &scored[at + 1..] {
            let agreeing = labels_a.iter().zip(*labels_b).filter(|(a, b)| a == b).count();
            let share = Share { agreeing, compared: layers.len() };
            pairs.push(Pair { a: *a, b: *b, share, rho: spearman_rho(scores_a, scores_b) });
        }
    }
    let share = rows.iter().fold(Share::default(), |sum, row| sum + row.share);
    let kappa = match with_score.len() {
        0 => Measure::Missing("no checkpoint has this score".to_owned()),
        _ => fleiss_kappa(&subjects),
    };
    let mean_rho = mean(pairs.iter().map(|pair| &pair.rho));
    LayerAgreement { by, filter, without_score, share, kappa, mean_rho, pairs, rows }
}

/// How many of the members that have the score give a layer each label.
fn counts(row: &Row, with_score: &[usize]) -> [usize; 3] {
    [Label::Fragile, Label::Robust, Label::Antifragile]
        .map(|label| with_score.iter().filter(|&&member| row.labels[member] == label).count())
}

fn row(columns: &[Column], with_score: &[usize], layer: usize) -> Row {
    let labels: Vec<Label> = columns.iter().map(|column| column.labels[layer]).collect();
    let raters = with_score.len();
    let mut agreeing = 0;
    for (at, &a) in with_score.iter().enumerate() {
        agreeing += with_score[at + 1..].iter().filter(|&&b| labels[a] == labels[b]).count();
    }
    let share = Share { agreeing, compared: raters * raters.saturating_sub(1) / 2 };
    let keeps =
        with_score.first().map(|&first| labels[first]).filter(|_| raters > 1 && agreeing == share.compared);
    Row {
        labels,
        scores: columns.iter().map(|column| column.scores[layer]).collect(),
        ses: columns.iter().map(|column| column.ses[layer]).collect(),
        share,
        keeps,
    }
}
