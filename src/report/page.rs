//! The page: all parts in one HTML file that needs nothing else.

use super::figure::{Figure, Section};
use super::figures::figures;
use super::gather::{Material, SweptNetwork};
use super::links::Links;
use super::missing::{Hint, missing};
use super::svg::escape;
use super::table::{Cell, Table};
use super::{method, palette, provenance, results, retraining, words};
use crate::score::{Options, Score, Which};

const CSS: &str = include_str!("assets/page.css");
const SCRIPT: &str = include_str!("assets/page.js");

/// A part of the page.
struct Part {
    id: &'static str,
    title: &'static str,
    html: String,
}

/// The whole page.
pub fn page(material: &Material, title: &str, options: Options, links: &Links) -> String {
    let figures = figures(material);
    let of = |section: Section| -> Vec<&Figure> { figures.iter().filter(|f| f.section == section).collect() };
    let hints = |section: Section| -> String { missing(material, section).iter().map(hint).collect() };
    let part = |id, title, html| Part { id, title, html };
    let figure_part = |id, title, section| part(id, title, hints(section) + &folded(&of(section)));
    let mut scores = figure_part("scores", "Scores and labels", Section::Scores);
    scores.html += &score_tables(material);
    let mut invariance = figure_part("invariance", "Invariance", Section::Invariance);
    invariance.html += &results::comparisons(material);
    let mut channels = figure_part("channels", "Channels", Section::Channels);
    channels.html += &results::rankings_of(material);
    let mut security = figure_part("security", "Security curves", Section::Security);
    security.html += &unfold("Table of security curves", &results::security_tables(material));
    let mut retraining = figure_part("retraining", "Selective retraining", Section::Retraining);
    retraining.html += &retraining::retraining(material);
    let parts = [
        part("networks", "Networks", networks(material)),
        figure_part("responses", "Response curves", Section::Responses),
        scores,
        invariance,
        channels,
        security,
        retraining,
        part("method", "Method and settings", method::method(material, options)),
        part("provenance", "Provenance and files", provenance::provenance(material, links)),
    ];
    let title = escape(title);
    let contents: String = parts
        .iter()
        .map(|Part { id, title, .. }| format!("<li><a href=\"#{id}\">{title}</a></li>"))
        .collect();
    let body: String = parts
        .iter()
        .map(|Part { id, title, html }| {
            format!("<section id=\"{id}\">\n<h2>{title}</h2>\n{html}</section>\n")
        })
        .collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{}{CSS}</style>\n</head>\n<body>\n\
         <header><h1>{title}</h1>\n{}<nav aria-label=\"parts\"><ul>{contents}</ul></nav></header>\n<main>\n{body}</main>\n\
         <footer>synfilter {}</footer>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        palette::of_page(),
        summary(material),
        env!("CARGO_PKG_VERSION")
    )
}

/// What the page is about, in a sentence.
fn summary(material: &Material) -> String {
    let count = |count: usize, one: &str, more: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        _ => Some(format!("{count} {more}")),
    };
    let parts = [
        count(material.networks.len(), "swept network", "swept networks"),
        count(material.comparisons.len(), "comparison", "comparisons"),
        count(material.attacks.len(), "set of security curves", "sets of security curves"),
        count(material.retrainings.len(), "selective retraining", "selective retrainings"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!(
        "<p>Which weights are fragile, robust or antifragile: {}. Values appear under the pointer; headings of tables sort.</p>\n",
        parts.join(", ")
    )
}

fn hint(Hint { text, command }: &Hint) -> String {
    let command = command
        .as_ref()
        .map_or(String::new(), |command| format!("<pre><code>{}</code></pre>", escape(command)));
    format!("<div class=\"missing\"><p>{}</p>{command}</div>\n", escape(text))
}

/// Figures to unfold, the first one and the main ones unfolded.
fn folded(figures: &[&Figure]) -> String {
    let fold = |(at, figure): (usize, &&Figure)| {
        let open = if at == 0 || figure.open { " open" } else { "" };
        format!(
            "<details{open}><summary>{}</summary>\n<p class=\"note\">{}</p>\n{}</details>\n",
            escape(&figure.title),
            escape(&figure.caption),
            figure.inline()
        )
    };
    figures.iter().enumerate().map(fold).collect()
}

/// Something to unfold, if there is something.
fn unfold(summary: &str, html: &str) -> String {
    match html {
        "" => String::new(),
        html => format!("<details><summary>{}</summary>\n{html}</details>\n", escape(summary)),
    }
}

fn networks(material: &Material) -> String {
    if material.networks.is_empty() {
        return "<p class=\"note\">No network was swept; what follows is of attacks, comparisons and retrainings alone.</p>\n".to_owned();
    }
    let heads = [
        "architecture",
        "data set",
        "seed",
        "epoch",
        "scope",
        "ε",
        "images",
        "clean",
        "adversarial",
        "fragile",
        "robust",
        "antifragile",
        "folder",
    ];
    let caption = "Swept networks: accuracy without a filter, and layers or channels by their label (adversarial score, \
                   mean over the filters)";
    let mut table = Table::new(caption, &heads);
    for SweptNetwork { scored, sweep, .. } in &material.networks {
        let of = &scored.checkpoint;
        let labelled = |label: &str| {
            let scores = scored.scores.iter().filter(|score| score.filter.is_none());
            scores.filter(|score| score.label_adv.word() == label).count()
        };
        let optional = |number: Option<u64>| {
            Cell::number(number.map_or("–".to_owned(), |n| n.to_string()), number.map(|n| n as f64))
        };
        let share = |correct: usize| Cell::number(words::percent(correct, of.images), Some(correct as f64));
        table.row(vec![
            Cell::text(of.network()),
            Cell::text(&of.dataset),
            optional(of.seed),
            optional(of.epoch.map(u64::from)),
            Cell::text(material.sweeps[*sweep].run.settings.scope.to_string()),
            Cell::number(words::eps(of.eps), Some(of.eps)),
            Cell::count(of.images),
            share(of.correct_clean),
            share(of.correct_adv),
            Cell::count(labelled("fragile")),
            Cell::count(labelled("robust")),
            Cell::count(labelled("antifragile")),
            Cell::code(&of.run),
        ]);
    }
    table.html()
}

/// A table of scores per network: of layers, combined where there is a combined score.
fn score_tables(material: &Material) -> String {
    let mut html = String::new();
    for swept in &material.networks {
        let layers = || swept.scored.scores.iter().filter(|score| score.channel.is_none());
        if layers().next().is_none() {
            continue;
        }
        let combined = layers().any(|score| score.filter.is_none());
        let name = words::network(&swept.scored.checkpoint);
        let what = if combined { "mean over the filters" } else { "each filter" };
        let heads = [
            "#",
            "layer",
            "filter",
            "clean ± se",
            "label",
            "adversarial ± se",
            "label",
            "difference ± se",
            "label",
        ];
        let mut table = Table::new(format!("{name}: {what}"), &heads);
        for score in layers().filter(|score| score.filter.is_none() == combined) {
            table.row(score_row(score));
        }
        html += &format!(
            "<details><summary>Table of scores, {}</summary>\n{}</details>\n",
            escape(&name),
            table.html()
        );
    }
    html
}

fn score_row(score: &Score) -> Vec<Cell> {
    let mut row = vec![
        score.layer_index.map_or_else(|| Cell::number("–", None), Cell::count),
        Cell::text(score.layer.as_deref().unwrap_or("whole network")),
        Cell::text(score.filter_name()),
    ];
    for which in Which::ALL {
        let (value, _, label) = score.get(which);
        row.push(Cell::number(words::score(score, which), value));
        row.push(Cell::label(label));
    }
    row
}
