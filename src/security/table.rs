//! Security curves as plain text: a table and a plot.

use super::document::{NetworkCurves, SecurityCurve, SecurityRecord};
use crate::attack::Eps;
use crate::text::{aligned, of_training};
use std::fmt::Write;

/// Rows of the plot, from all images right to none.
const ROWS: usize = 10;
/// Columns from one ε to the next.
const APART: usize = 8;
/// Marks of the curves, and of several in one place.
const MARKS: [char; 4] = ['o', 'x', '+', '*'];
const SEVERAL: char = '#';

/// All curves of a document: per network a table, ε by ε, and a plot.
pub fn table(document: &SecurityRecord) -> String {
    let mut text = String::new();
    for (at, network) in document.networks.iter().enumerate() {
        text += if at > 0 { "\n" } else { "" };
        text += &network_table(document, network);
    }
    text
}

fn network_table(document: &SecurityRecord, network: &NetworkCurves) -> String {
    let images = document.images;
    let percent = |correct: usize| format!("{:.2} %", 100.0 * correct as f64 / images.max(1) as f64);
    let training = of_training(network.checkpoint.seed, network.checkpoint.epoch);
    let filtered = network.filtered.as_ref().map_or(String::new(), |filtered| {
        let super::Filtered { layer, filter, k, kept, total, .. } = filtered;
        format!(", {layer} {filter} at threshold {k} ({kept} of {total} weights kept)")
    });
    let mut text = format!(
        "{} on {}, {}{training}{filtered}\n{images} test images, {} right without an attack\n",
        network.network(),
        document.dataset,
        network.file,
        percent(network.clean.correct)
    );
    let mut rows = vec![vec!["ε".to_owned()]];
    rows[0].extend(network.curves.iter().map(|curve| curve.attack.to_string()));
    for (at, eps) in all_eps(network).into_iter().enumerate() {
        let cell =
            |curve: &SecurityCurve| curve.points.get(at).map_or(String::new(), |p| percent(p.count.correct));
        rows.push(std::iter::once(Eps(eps).to_string()).chain(network.curves.iter().map(cell)).collect());
    }
    text += &aligned(&rows, |column| column > 0);
    text + &plot(document, network)
}

/// ε of the points: those of the first curve, as all curves of a network have the same.
fn all_eps(network: &NetworkCurves) -> Vec<f64> {
    network.curves.first().map_or(Vec::new(), |curve| curve.points.iter().map(|point| point.eps).collect())
}

/// Accuracy from 100 % down to 0 %, ε by ε at equal distances; at ε = 0 stands the accuracy without an attack.
fn plot(document: &SecurityRecord, network: &NetworkCurves) -> String {
    let eps = all_eps(network);
    let images = document.images.max(1);
    let row = |correct: usize| ROWS - (ROWS * correct + images / 2) / images;
    let mut grid = vec![vec![' '; APART * (eps.len() + 1)]; ROWS + 1];
    let mut mark = |row: usize, at: usize, mark: char| {
        let place = &mut grid[row.min(ROWS)][APART * at];
        *place = if *place == ' ' { mark } else { SEVERAL };
    };
    mark(row(network.clean.correct), 0, SEVERAL);
    let marks: Vec<char> = (0..network.curves.len()).map(|curve| MARKS[curve % MARKS.len()]).collect();
    for (curve, &symbol) in network.curves.iter().zip(&marks) {
        for (at, point) in curve.points.iter().enumerate() {
            mark(row(point.count.correct), at + 1, symbol);
        }
    }
    let mut text = String::from("\n");
    for (number, line) in grid.iter().enumerate() {
        let line: String = line.iter().collect();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:>4} % │{}", 100 - number * 100 / ROWS, line.trim_end());
    }
    let _ = writeln!(text, "       └{}", "─".repeat(APART * eps.len() + 1));
    let ticks = std::iter::once(0.0).chain(eps.iter().copied());
    let ticks: String = ticks.map(|eps| format!("{:<APART$}", format!("{:.4}", eps))).collect();
    let _ = writeln!(text, "     ε  {}", ticks.trim_end());
    let legend = network.curves.iter().zip(&marks).map(|(curve, mark)| format!("{mark} {}", curve.attack));
    let _ = writeln!(text, "        {}, {SEVERAL} several", legend.collect::<Vec<_>>().join(", "));
    text
}
