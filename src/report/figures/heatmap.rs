//! Heat maps: layers in network order × epochs (and seeds), one tile per score, with the labels as shapes.

use super::super::figure::{Figure, Key, Section, Tile, slug};
use super::super::gather::{Material, SweptNetwork};
use super::super::svg::{Anchor, Canvas, Frame};
use super::super::words;
use super::labels::{draw_label, label_keys};
use crate::filter::FilterKind;
use crate::score::{Score, Which, filter_or_combined};
use std::collections::BTreeMap;

const ROW: f64 = 15.0;
const LINE: f64 = 14.0;
/// Width of a character of 10 pixels, at most.
const CHARACTER: f64 = 6.1;
const TILE: f64 = 350.0;
/// Cells are no narrower than this, and no wider than that.
const CELL: (f64, f64) = (18.0, 46.0);
/// Room for a heading, also where there are few columns.
const HEADING: f64 = 130.0;
/// Opacity of the largest score.
const STRONGEST: f64 = 0.8;

/// One figure per network and filter, that of the mean over the filters first.
pub fn figures(material: &Material) -> Vec<Figure> {
    let mut figures = Vec::new();
    for networks in of_one_training(material) {
        // Of layers: channels have a ranking.
        let of_layers = |swept: &&SweptNetwork| {
            swept.responses.targets.iter().any(|t| t.channel.is_none() && t.layer.is_some())
        };
        let networks: Vec<&SweptNetwork> = networks.into_iter().filter(of_layers).collect();
        let kinds = std::iter::once(None).chain(FilterKind::ALL.map(Some));
        figures.extend(kinds.filter_map(|filter| figure(&networks, filter)));
    }
    figures
}

fn figure(networks: &[&SweptNetwork], filter: Option<FilterKind>) -> Option<Figure> {
    let first = &networks.first()?.scored.checkpoint;
    // Layers by their place; a sweep may have left some out.
    let mut layers: BTreeMap<usize, &str> = BTreeMap::new();
    let mut cells: BTreeMap<(usize, usize), &Score> = BTreeMap::new();
    for (column, swept) in networks.iter().enumerate() {
        for score in
            swept.scored.scores.iter().filter(|score| score.filter == filter && score.channel.is_none())
        {
            if let (Some(index), Some(layer)) = (score.layer_index, score.layer.as_deref()) {
                layers.insert(index, layer);
                cells.insert((index, column), score);
            }
        }
    }
    if cells.is_empty() {
        return None;
    }
    let values = || cells.values().flat_map(|score| Which::ALL.map(|which| score.get(which).0)).flatten();
    let largest = values().fold(0.0, |largest: f64, value| largest.max(value.abs())).max(1e-9);
    let facets = words::facets(networks);
    let tiles = Which::ALL.map(|which| {
        let map = Map { layers: &layers, cells: &cells, facets: &facets, columns: networks.len(), largest };
        map.tile(which)
    });
    let name = filter_or_combined::name(filter);
    let what = match filter {
        None => "mean over the filters".to_owned(),
        Some(filter) => format!("{filter} filter"),
    };
    let mut legend = label_keys(|_| "mark");
    for (share, class) in
        [(-1.0, "fragile"), (-0.5, "fragile"), (0.0, "cell"), (0.5, "antifragile"), (1.0, "antifragile")]
    {
        let opacity = if class == "cell" { 1.0 } else { STRONGEST * f64::abs(share) };
        let text = if share == 0.0 { "0".to_owned() } else { words::signed(share * largest)[..].to_owned() };
        legend.push(Key::area(class, opacity, text));
    }
    Some(Figure {
        name: slug(&format!("scores {} {} {name}", first.network(), first.dataset)),
        section: Section::Scores,
        title: format!("Scores of {} on {}, {what}", first.network(), first.dataset),
        caption: "Layers in network order, from the input down to the logits. Colour is the score, the same scale in all \
                  three maps; the shape is the label, which takes the standard error into account."
            .to_owned(),
        legend,
        tiles: tiles.into(),
        open: filter.is_none(),
        columns: 3,
    })
}

/// What the three maps of a figure share.
struct Map<'m> {
    layers: &'m BTreeMap<usize, &'m str>,
    cells: &'m BTreeMap<(usize, usize), &'m Score>,
    facets: &'m [(&'static str, Vec<String>)],
    columns: usize,
    largest: f64,
}

impl Map<'_> {
    fn tile(&self, which: Which) -> Tile {
        let widest = |texts: &mut dyn Iterator<Item = &str>| texts.map(|text| text.chars().count()).max();
        let names = widest(&mut self.layers.values().map(|layer| words::layer(layer))).unwrap_or_default();
        let left = names as f64 * CHARACTER + 8.0;
        let heads = self.facets.iter().flat_map(|(_, values)| values).map(String::as_str);
        let head = widest(&mut heads.into_iter()).unwrap_or_default() as f64 * CHARACTER + 4.0;
        let width = ((TILE - left) / self.columns as f64).clamp(CELL.0.max(head), CELL.1.max(head));
        let top = 20.0 + LINE * self.facets.len() as f64 + 4.0;

        let mut canvas = Canvas::new();
        canvas.text("h", (left, 13.0), Anchor::Start, &format!("{which} score"));
        for (line, (name, values)) in self.facets.iter().enumerate() {
            let y = 20.0 + LINE * (line as f64 + 0.8);
            canvas.text("m", (left - 6.0, y), Anchor::End, name);
            for (column, value) in values.iter().enumerate() {
                canvas.text("m", (left + width * (column as f64 + 0.5), y), Anchor::Middle, value);
            }
        }
        for (row, (index, layer)) in self.layers.iter().enumerate() {
            let y = top + ROW * row as f64;
            canvas.text("m", (left - 6.0, y + 11.0), Anchor::End, words::layer(layer));
            for column in 0..self.columns {
                let frame =
                    Frame { x: left + width * column as f64, y, width: width - 1.0, height: ROW - 1.0 };
                self.cell(&mut canvas, which, (*index, column), frame);
            }
        }
        Tile {
            label: format!("{which} scores of {} layers, {} networks", self.layers.len(), self.columns),
            width: (left + width * self.columns as f64 + 2.0).max(left + HEADING),
            height: top + ROW * self.layers.len() as f64 + 4.0,
            body: canvas.into_body(),
        }
    }

    fn cell(&self, canvas: &mut Canvas, which: Which, at: (usize, usize), frame: Frame) {
        let network: Vec<String> =
            self.facets.iter().map(|(name, values)| format!("{name} {}", values[at.1])).collect();
        let network = network.join(", ");
        let Some(score) = self.cells.get(&at) else {
            canvas.titled(&format!("{network}: not swept"), |canvas| canvas.rect("hole", frame));
            return;
        };
        let (value, _, label) = score.get(which);
        let layer = score.layer.as_deref().unwrap_or_default();
        let title = format!("{layer}, {network}: {}, {label}", words::score(score, which));
        canvas.titled(&title, |canvas| {
            canvas.rect("cell", frame);
            if let Some(value) = value {
                let class = if value < 0.0 { "fragile" } else { "antifragile" };
                let opacity = STRONGEST * (value.abs() / self.largest).min(1.0);
                canvas.faint_rect(class, frame, opacity.min(0.99));
            }
            let middle = (frame.x + frame.width / 2.0, frame.y + frame.height / 2.0);
            draw_label(canvas, "mark", label, middle);
        });
    }
}

/// Swept networks that differ in seed and epoch alone, in the order of the material.
fn of_one_training(material: &Material) -> impl Iterator<Item = Vec<&SweptNetwork>> {
    let chunks = material.networks.chunk_by(|a, b| {
        let (a, b) = (&a.scored.checkpoint, &b.scored.checkpoint);
        (&a.arch, a.stem, &a.dataset) == (&b.arch, b.stem, &b.dataset)
    });
    chunks.map(|chunk| chunk.iter().collect())
}
