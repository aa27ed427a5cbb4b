//! Channels: the most fragile and the most antifragile ones, with the errors of their scores.

use super::super::figure::{Figure, Section, Tile, slug};
use super::super::gather::{Material, SweptNetwork};
use super::super::scale::{Scale, labelled, range};
use super::super::svg::{Anchor, Canvas};
use super::super::words;
use super::labels::{draw_label, label_keys};
use crate::score::{Label, Ranked, Ranking, Which, rankings};

/// Channels from either end of the ranking.
pub const TOP: usize = 12;
const ROW: f64 = 18.0;
const WIDTH: f64 = 350.0;
const CHARACTER: f64 = 6.1;

/// One figure per network and ranking.
pub fn figures(material: &Material) -> Vec<Figure> {
    material.networks.iter().filter(|swept| swept.is_of_channels()).flat_map(of_network).collect()
}

fn of_network(swept: &SweptNetwork) -> Vec<Figure> {
    rankings(&swept.scored.scores, Which::Adversarial, TOP)
        .iter()
        .map(|ranking| figure(swept, ranking))
        .collect()
}

fn figure(swept: &SweptNetwork, ranking: &Ranking) -> Figure {
    let of = &swept.scored.checkpoint;
    let undefined = match ranking.undefined {
        0 => String::new(),
        count => format!(" {count} further channels have no score, as the unfiltered accuracy is 0."),
    };
    let all = || ranking.most_fragile.iter().chain(&ranking.most_antifragile);
    let ends = all().flat_map(|ranked| [ranked.score - ranked.se, ranked.score + ranked.se]);
    let scores = range(ends, (0.0, 0.0));
    let tiles = [("Most fragile", &ranking.most_fragile), ("Most antifragile", &ranking.most_antifragile)];
    Figure {
        name: slug(&format!("channels {} {}", words::network(of), ranking.filter)),
        section: Section::Channels,
        title: format!("Channels of {}, {}", words::network(of), ranking.filter),
        caption: format!(
            "The ends of the ranking of {} channels by {} score ({}), with one standard error either side.{undefined}",
            ranking.channels, ranking.by, ranking.filter
        ),
        legend: label_keys(class),
        tiles: tiles.iter().map(|(name, part)| tile(name, part, scores)).collect(),
        open: true,
        columns: 2,
    }
}

fn class(label: Label) -> &'static str {
    match label {
        Label::Fragile => "fragile",
        Label::Antifragile => "antifragile",
        _ => "robust",
    }
}

fn tile(name: &str, part: &[Ranked], scores: (f64, f64)) -> Tile {
    let row_name = |ranked: &Ranked| format!("{} · {}", words::layer(&ranked.layer), ranked.channel);
    let longest = part.iter().map(|ranked| row_name(ranked).chars().count()).max().unwrap_or_default();
    let left = longest as f64 * CHARACTER + 10.0;
    let (top, base) = (24.0, 24.0 + ROW * part.len() as f64);
    let right = (left + 150.0).max(WIDTH - 10.0);
    let x = Scale::new(scores, (left + 6.0, right - 6.0));
    let mut canvas = Canvas::new();
    canvas.text("h", (left, 14.0), Anchor::Start, name);
    for (value, label) in labelled(&x, 4) {
        let place = x.place(value);
        canvas.line("grid", (place, top), (place, base));
        canvas.text("m", (place, base + 14.0), Anchor::Middle, &label.replace('-', "−"));
    }
    canvas.line("axis", (x.place(0.0), top), (x.place(0.0), base));
    for (row, ranked) in part.iter().enumerate() {
        let y = top + ROW * (row as f64 + 0.5);
        canvas.text("m", (left - 4.0, y + 3.5), Anchor::End, &row_name(ranked));
        let title = format!(
            "{}, channel {}: {} ± {:.4}, {}",
            ranked.layer,
            ranked.channel,
            words::signed(ranked.score),
            ranked.se,
            ranked.label
        );
        canvas.titled(&title, |canvas| {
            let ends = [ranked.score - ranked.se, ranked.score + ranked.se].map(|end| (x.place(end), y));
            canvas.line("error", ends[0], ends[1]);
            draw_label(canvas, class(ranked.label), ranked.label, (x.place(ranked.score), y));
        });
    }
    canvas.text("m", ((left + right) / 2.0, base + 30.0), Anchor::Middle, "adversarial score");
    Tile {
        label: format!("{name} channels by adversarial score"),
        width: right + 10.0,
        height: base + 36.0,
        body: canvas.into_body(),
    }
}
