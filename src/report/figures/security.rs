//! Security curves: accuracy against ε, a tile per attack, a line per network.

use super::super::figure::{Figure, Key, Section, Tile, slug};
use super::super::gather::Material;
use super::super::palette::LINES;
use super::super::scale::{Scale, labelled};
use super::super::svg::{Anchor, Canvas, Frame};
use super::super::words;
use crate::attack::Method;
use crate::security::{NetworkCurves, SecurityCurve, SecurityRecord};
use crate::text::of_training;

const TILE: (f64, f64) = (350.0, 250.0);
const PLOT: Frame = Frame { x: 44.0, y: 26.0, width: 294.0, height: 178.0 };

/// One figure per data set and number of images, with all networks of all documents.
pub fn figures(material: &Material) -> Vec<Figure> {
    let mut groups: Vec<Vec<&SecurityRecord>> = Vec::new();
    for found in &material.attacks {
        let document = &found.document;
        let same = |group: &&mut Vec<&SecurityRecord>| images(group[0]) == images(document);
        match groups.iter_mut().find(same) {
            Some(group) => group.push(document),
            None => groups.push(vec![document]),
        }
    }
    groups.iter().enumerate().map(|(at, group)| figure(at, group)).collect()
}

/// What decides whether accuracies mean the same.
fn images(document: &SecurityRecord) -> (&str, usize, bool) {
    (&document.dataset_digest, document.images, document.clamp)
}

fn figure(at: usize, group: &[&SecurityRecord]) -> Figure {
    let networks: Vec<&NetworkCurves> = group.iter().flat_map(|document| &document.networks).collect();
    let mut kinds: Vec<String> = Vec::new();
    for curve in networks.iter().flat_map(|network| &network.curves) {
        let kind = kind(&curve.attack);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let points = networks.iter().flat_map(|network| &network.curves).flat_map(|curve| &curve.points);
    let largest = points.map(|point| point.eps).fold(0.0, f64::max);
    let SecurityRecord { dataset, images, .. } = group[0];
    let clip = if group[0].clamp { "clipped to [0, 1]" } else { "not clipped" };
    Figure {
        name: slug(&format!("security {dataset} {}", at + 1)),
        section: Section::Security,
        title: format!("Security curves on {dataset}"),
        caption: format!(
            "Accuracy on {images} test images against the size of the attack; at ε = 0 that without an attack. Adversarial \
             images are {clip}. Of an attack that starts at random, every seed has a line."
        ),
        legend: networks
            .iter()
            .enumerate()
            .map(|(at, network)| Key::line(&format!("l{}", at % LINES), name(network)))
            .collect(),
        tiles: kinds.iter().map(|kind| tile(kind, &networks, *images, largest)).collect(),
        open: true,
        columns: 3,
    }
}

/// The attack without its seed.
fn kind(attack: &Method) -> String {
    match attack {
        Method::Fgsm => "FGSM".to_owned(),
        Method::Pgd(pgd) => {
            let start = if pgd.seed.is_some() { ", random start" } else { "" };
            let size = pgd.step_size.map_or(String::new(), |size| format!(", step {}", words::eps(size)));
            format!("PGD-{}{start}{size}", pgd.steps)
        }
    }
}

/// The network in a few words: the end of its file's name tells checkpoints apart.
pub fn name(network: &NetworkCurves) -> String {
    let parts: Vec<&str> = network.file.split(['/', '\\']).filter(|part| !part.is_empty()).collect();
    let file = parts[parts.len().saturating_sub(3)..].join("/");
    let training = of_training(network.checkpoint.seed, network.checkpoint.epoch);
    let filtered = network.filtered.as_ref().map_or(String::new(), |of| {
        format!(", {} {} at threshold {}", words::layer(&of.layer), of.filter, of.k)
    });
    format!("{}{training}{filtered} ({file})", network.network())
}

fn tile(kind: &str, networks: &[&NetworkCurves], images: usize, largest: f64) -> Tile {
    let x = Scale::new((0.0, largest), (PLOT.x, PLOT.x + PLOT.width));
    let y = Scale::new((0.0, 100.0), (PLOT.y + PLOT.height, PLOT.y));
    let mut canvas = Canvas::new();
    canvas.text("h", (PLOT.x, 14.0), Anchor::Start, kind);
    axes(&mut canvas, PLOT, (&x, 4), (&y, 5));
    canvas.text(
        "m",
        (PLOT.x + PLOT.width / 2.0, PLOT.y + PLOT.height + 32.0),
        Anchor::Middle,
        "ε in pixel units",
    );
    canvas.text("m", (PLOT.x - 8.0, 14.0), Anchor::End, "%");
    let share = |correct: usize| 100.0 * correct as f64 / images.max(1) as f64;
    for (at, network) in networks.iter().enumerate() {
        let class = at % LINES;
        for curve in network.curves.iter().filter(|curve| self::kind(&curve.attack) == kind) {
            let line = points(network, curve);
            let places: Vec<(f64, f64)> =
                line.iter().map(|&(eps, correct)| (x.place(eps), y.place(share(correct)))).collect();
            canvas.polyline(&format!("l{class}"), &places);
            for (&place, &(eps, correct)) in places.iter().zip(&line) {
                let title = format!(
                    "{}\n{}, ε {}: {} ({correct} of {images})",
                    name(network),
                    curve.attack,
                    words::eps(eps),
                    words::percent(correct, images)
                );
                canvas.titled(&title, |canvas| canvas.circle(&format!("p{class}"), place, 3.0));
            }
        }
    }
    Tile {
        label: format!("Accuracy of {} networks against ε under {kind}", networks.len()),
        width: TILE.0,
        height: TILE.1,
        body: canvas.into_body(),
    }
}

/// ε and correct images, from no attack on.
fn points(network: &NetworkCurves, curve: &SecurityCurve) -> Vec<(f64, usize)> {
    let clean = (0.0, network.clean.correct);
    std::iter::once(clean).chain(curve.points.iter().map(|point| (point.eps, point.count.correct))).collect()
}

/// Axes with ticks and a grid, each scale with the number of its ticks.
pub fn axes(canvas: &mut Canvas, plot: Frame, (x, across): (&Scale, usize), (y, up): (&Scale, usize)) {
    let (left, right, base) = (plot.x, plot.x + plot.width, plot.y + plot.height);
    canvas.rect("cell", plot);
    for (value, label) in labelled(y, up) {
        let place = y.place(value);
        canvas.line("grid", (left, place), (right, place));
        canvas.text("m", (left - 6.0, place + 3.5), Anchor::End, &label.replace('-', "−"));
    }
    for (value, label) in labelled(x, across) {
        let place = x.place(value);
        canvas.line("axis", (place, base), (place, base + 4.0));
        canvas.text("m", (place, base + 16.0), Anchor::Middle, &label.replace('-', "−"));
    }
    canvas.line("axis", (left, base), (right, base));
}
