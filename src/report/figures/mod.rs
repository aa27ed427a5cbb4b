//! The figures of a report, each from the data that it shows.

pub(super) mod channels;
mod heatmap;
pub(super) mod invariance;
mod responses;
pub(super) mod retraining;
pub(super) mod security;

use super::figure::{Figure, Key};
use super::gather::{Material, Swept};
use super::svg::Canvas;
use crate::score::Label;
use std::collections::BTreeSet;

/// All figures of a report, in its order.
pub fn figures(material: &Material) -> Vec<Figure> {
    let mut figures = responses::figures(material);
    figures.extend(heatmap::figures(material));
    figures.extend(invariance::figures(material));
    figures.extend(channels::figures(material));
    figures.extend(security::figures(material));
    figures.extend(retraining::figures(material));
    // Two runs may have swept the same network.
    let mut taken = BTreeSet::new();
    for figure in &mut figures {
        let name =
            if figure.name.is_empty() { "figure".to_owned() } else { std::mem::take(&mut figure.name) };
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name));
        figure.name = free.unwrap_or(name);
        taken.insert(figure.name.clone());
    }
    figures
}

/// Swept networks that differ in seed and epoch alone, in the order of the material.
fn of_one_training(material: &Material) -> impl Iterator<Item = Vec<&Swept>> {
    let chunks = material.networks.chunk_by(|a, b| {
        let (a, b) = (&a.scored.checkpoint, &b.scored.checkpoint);
        (&a.arch, a.stem, &a.dataset) == (&b.arch, b.stem, &b.dataset)
    });
    chunks.map(|chunk| chunk.iter().collect())
}

/// The shape of a label around a point: ▼ fragile, • robust, ▲ antifragile; a dash where there is no score.
fn draw_label(canvas: &mut Canvas, class: &str, label: Label, (x, y): (f64, f64)) {
    const R: f64 = 4.0;
    let triangle = |up: f64| [(x - R, y + up * 3.0), (x + R, y + up * 3.0), (x, y - up * R)];
    match label {
        Label::Fragile => canvas.polygon(class, &triangle(-1.0)),
        Label::Antifragile => canvas.polygon(class, &triangle(1.0)),
        Label::Robust => canvas.circle(class, (x, y), 2.2),
        Label::UndefinedClean | Label::UndefinedAdversarial => {
            canvas.line("axis", (x - R, y), (x + R, y));
        }
    }
}

/// The legend of the shapes.
fn label_keys(class: impl Fn(Label) -> &'static str) -> Vec<Key> {
    let shown = [Label::Fragile, Label::Robust, Label::Antifragile];
    let key = |label: Label| {
        Key::drawn(label.word(), |canvas| draw_label(canvas, class(label), label, (11.0, 6.0)))
    };
    shown.map(key).into()
}
