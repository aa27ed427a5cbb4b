//! Tables of comparisons, channels and security curves.

use super::figures::{channels, invariance, security};
use super::gather::{Found, Material};
use super::svg::escape;
use super::table::{Cell, Table};
use super::words;
use crate::invariance::InvarianceRecord;
use crate::invariance::document::{Findings, LayerAgreement};
use crate::score::{Label, Ranking, Which, filter_or_combined, rankings};
use crate::security::{Count, SecurityRecord as Security};

/// Comparisons at a glance, then layer by layer, then landmarks.
pub fn comparisons(material: &Material) -> String {
    let mut html = String::new();
    for Found { folder, document } in &material.comparisons {
        html += &agreement_table(&folder.display().to_string(), document).html();
        for note in &document.notes {
            html += &format!("<p class=\"note\">{}</p>\n", escape(note));
        }
        for comparison in &document.comparisons {
            let tables: String = match &comparison.findings {
                Findings::ByLayer { layers, agreements } => {
                    let names: Vec<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
                    let shown = crate::invariance::shown(agreements, |one| one.filter);
                    shown.iter().map(|one| layer_table(&names, &comparison.names, one).html()).collect()
                }
                Findings::ByDepth { landmarks, agreements } => {
                    let mut table = Table::new(
                        "Landmarks",
                        &["network", "role", "layer", "depth", "by", "score ± se", "label"],
                    );
                    for one in crate::invariance::shown(agreements, |one| one.filter) {
                        for ((name, landmarks), scores) in
                            comparison.names.iter().zip(landmarks).zip(&one.landmarks)
                        {
                            for (landmark, found) in landmarks.iter().zip(scores) {
                                let shown = found.score.zip(found.se);
                                let shown = shown.map_or("–".to_owned(), |(s, se)| {
                                    format!("{} ± {se:.4}", words::signed(s))
                                });
                                table.row(vec![
                                    Cell::text(name),
                                    Cell::text(landmark.role.to_string()),
                                    Cell::text(&landmark.layer.name),
                                    Cell::number(format!("{:.3}", landmark.depth), Some(landmark.depth)),
                                    Cell::text(one.by.to_string()),
                                    Cell::number(shown, found.score),
                                    found.label.map_or_else(|| Cell::text("not swept"), Cell::label),
                                ]);
                            }
                        }
                    }
                    table.html()
                }
            };
            let heading = escape(&invariance::heading(comparison));
            html += &format!("<details><summary>Layers, {heading}</summary>\n{tables}</details>\n");
        }
    }
    html
}

fn agreement_table(folder: &str, document: &InvarianceRecord) -> Table {
    let heads = ["over", "of", "networks", "score", "filter", "same label", "Fleiss’ κ", "mean ρ"];
    let mut table = Table::new(format!("Agreement ({folder})"), &heads);
    let number =
        |value: Option<f64>| Cell::number(value.map_or("–".to_owned(), |v| format!("{v:.3}")), value);
    for comparison in &document.comparisons {
        for one in invariance::agreements(comparison) {
            let heading = invariance::heading(comparison);
            let of = heading.split_once(": ").map_or(String::new(), |(_, of)| of.to_owned());
            table.row(vec![
                Cell::text(comparison.over.to_string()),
                Cell::text(of),
                Cell::text(comparison.names.join(", ")),
                Cell::text(one.by.to_string()),
                Cell::text(filter_or_combined::name(one.filter)),
                Cell::number(
                    one.share.map_or("–".to_owned(), |share| format!("{:.1} %", 100.0 * share)),
                    one.share,
                ),
                number(one.kappa),
                number(one.rho),
            ]);
        }
    }
    table
}

fn layer_table(layers: &[&str], names: &[String], one: &LayerAgreement) -> Table {
    let mut heads = vec!["#", "layer"];
    heads.extend(names.iter().map(String::as_str));
    heads.extend(["same", "keeps"]);
    let caption =
        format!("{} score, {}: label in each network", one.by, filter_or_combined::name(one.filter));
    let mut table = Table::new(caption, &heads);
    for (at, (layer, row)) in layers.iter().zip(&one.rows).enumerate() {
        let mut cells = vec![Cell::count(at), Cell::text(*layer)];
        cells.extend(row.labels.iter().map(|&label| Cell::label(label)));
        let share = row.share;
        let value = (share.compared > 0).then(|| share.agreeing as f64 / share.compared as f64);
        cells.push(Cell::number(format!("{}/{}", share.agreeing, share.compared), value));
        cells.push(row.keeps.map_or_else(|| Cell::text("changes"), Cell::label));
        table.row(cells);
    }
    table
}

/// The ends of the rankings of channels.
pub fn rankings_of(material: &Material) -> String {
    let mut html = String::new();
    for swept in material.networks.iter().filter(|swept| swept.is_of_channels()) {
        for Ranking { filter, most_fragile, most_antifragile, .. } in
            rankings(&swept.scored.scores, Which::Adversarial, channels::TOP)
        {
            let name = words::network(&swept.scored.checkpoint);
            let heads = ["end", "place", "layer", "channel", "adversarial ± se", "label"];
            let mut table = Table::new(format!("{name}, {filter}"), &heads);
            for (end, part) in [(Label::Fragile, most_fragile), (Label::Antifragile, most_antifragile)] {
                for (place, ranked) in part.into_iter().enumerate() {
                    table.row(vec![
                        Cell::text(format!("most {}", end.word())),
                        Cell::count(place + 1),
                        Cell::text(ranked.layer),
                        Cell::count(ranked.channel),
                        Cell::number(
                            format!("{} ± {:.4}", words::signed(ranked.score), ranked.se),
                            Some(ranked.score),
                        ),
                        Cell::label(ranked.label),
                    ]);
                }
            }
            html += &table.html();
        }
    }
    html
}

/// Every point of the security curves.
pub fn security_tables(material: &Material) -> String {
    material.attacks.iter().map(|found| security_table(&found.document).html()).collect()
}

fn security_table(document: &Security) -> Table {
    let heads = ["network", "attack", "ε", "step", "correct", "accuracy", "mean loss"];
    let mut table = Table::new(format!("{} images of {}", document.images, document.dataset), &heads);
    let images = document.images;
    let mut row = |network: &str, method: String, eps: f64, step: Option<f64>, count: Count| {
        table.row(vec![
            Cell::text(network),
            Cell::text(method),
            Cell::number(words::eps(eps), Some(eps)),
            Cell::number(step.map_or("–".to_owned(), words::eps), step),
            Cell::count(count.correct),
            Cell::number(words::percent(count.correct, images), Some(count.correct as f64)),
            Cell::number(count.loss.map_or("–".to_owned(), |loss| format!("{loss:.4}")), count.loss),
        ]);
    };
    for network in &document.networks {
        let name = security::name(network);
        row(&name, "none".to_owned(), 0.0, None, network.clean);
        for curve in &network.curves {
            for point in &curve.points {
                row(&name, curve.attack.to_string(), point.eps, point.step_size, point.count);
            }
        }
    }
    table
}
