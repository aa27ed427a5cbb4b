//! Response curves: one tile per layer, a panel per filter.

use super::super::figure::{CHARACTER, Figure, Key, Section, Tile, slug};
use super::super::gather::{Material, SweptNetwork};
use super::super::scale::Scale;
use super::super::svg::{Anchor, Canvas, Frame};
use super::super::words;
use crate::score::curves::{Response, ResponseCurve};
use crate::score::{Label, Which, rankings};
use std::collections::BTreeSet;

const WIDTH: f64 = 350.0;
const LEFT: f64 = 30.0;
const GAP: f64 = 9.0;
const TOP: f64 = 36.0;
const PLOT: f64 = 66.0;
const BOTTOM: f64 = 18.0;
/// Of channels, how many from either end of the ranking are drawn.
const CHANNELS: usize = 6;

/// One figure per network.
pub fn figures(material: &Material) -> Vec<Figure> {
    material.networks.iter().filter_map(|swept| figure(material, swept)).collect()
}

fn figure(material: &Material, swept: &SweptNetwork) -> Option<Figure> {
    let of = &swept.scored.checkpoint;
    let targets = shown(swept);
    let first = targets.first()?;
    let highest =
        targets.iter().flat_map(|target| &target.curves).map(ResponseCurve::highest).fold(1.0, f64::max);
    let columns = if targets.len() < 3 { targets.len() } else { 3 };
    let what = match (first.layer.is_some(), first.channel.is_some()) {
        (_, true) => "channels at the ends of the ranking",
        (true, false) => "layers",
        (false, false) => "whole network",
    };
    let thresholds = material.sweeps[swept.sweep].run.settings.thresholds;
    Some(Figure {
        name: slug(&format!("responses {} {what}", words::network(of))),
        section: Section::Responses,
        title: match first.channel {
            None => format!("Response curves, {}", words::network(of)),
            Some(_) => format!("Response curves of channels, {}", words::network(of)),
        },
        caption: format!(
            "From left to right the threshold takes its {thresholds} values, ᾱ = k/(A − 1) from 0 to 1: from removing almost \
             nothing to removing almost everything (the pulse passes over the range instead). Accuracies are relative to \
             the unfiltered network, which classifies {} of clean and {} of adversarial images correctly (of {}; ε = {}).",
            words::percent(of.correct_clean, of.images),
            words::percent(of.correct_adv, of.images),
            of.images,
            words::eps(of.eps)
        ),
        legend: vec![
            Key::line("clean", "clean accuracy, relative"),
            Key::line("adv", "adversarial accuracy, relative"),
            Key::area("density", 1.0, "share of weights kept"),
        ],
        tiles: targets.iter().map(|target| tile(swept, target, highest)).collect(),
        open: false,
        columns,
    })
}

/// The targets that are drawn: all layers; of channels the ends of the ranking by adversarial score.
fn shown(swept: &SweptNetwork) -> Vec<&Response> {
    let ranked: BTreeSet<(String, usize)> = rankings(&swept.scored.scores, Which::Adversarial, CHANNELS)
        .into_iter()
        .flat_map(|ranking| ranking.most_fragile.into_iter().chain(ranking.most_antifragile))
        .map(|ranked| (ranked.layer, ranked.channel))
        .collect();
    let is_shown = |target: &&Response| match (&target.layer, target.channel) {
        (Some(layer), Some(channel)) => ranked.contains(&(layer.clone(), channel)),
        _ => true,
    };
    swept.responses.targets.iter().filter(is_shown).collect()
}

fn tile(swept: &SweptNetwork, target: &Response, highest: f64) -> Tile {
    let name = match target.channel {
        Some(channel) => {
            format!("{}, channel {channel}", words::layer(target.layer.as_deref().unwrap_or_default()))
        }
        None => target.layer.as_deref().map_or("whole network", words::layer).to_owned(),
    };
    let mut canvas = Canvas::new();
    canvas.text("h", (LEFT, 13.0), Anchor::Start, &name);
    let combined = swept.scored.scores.iter().find(|score| {
        score.filter.is_none() && (&score.layer, score.channel) == (&target.layer, target.channel)
    });
    if let Some((Some(value), _, label)) = combined.map(|score| score.get(Which::Adversarial)) {
        // Only where the name leaves room.
        let text = format!("Sε {} {}", words::signed(value), label.word());
        let needs = (name.chars().count() as f64 * 1.15 + text.chars().count() as f64 + 2.0) * CHARACTER;
        let class = match label {
            Label::Fragile => "m fragile",
            Label::Antifragile => "m antifragile",
            _ => "m",
        };
        if LEFT + needs < WIDTH {
            canvas.text(class, (WIDTH - 4.0, 13.0), Anchor::End, &text);
        }
    }
    let count = target.curves.len().max(1) as f64;
    let width = (WIDTH - LEFT - 4.0 - GAP * (count - 1.0)) / count;
    let y = Scale::new((0.0, highest), (TOP + PLOT, TOP));
    for value in [0.0, 1.0] {
        canvas.text("m", (LEFT - 5.0, y.place(value) + 3.5), Anchor::End, &format!("{value}"));
    }
    for (at, curve) in target.curves.iter().enumerate() {
        let x = LEFT + at as f64 * (width + GAP);
        let frame = Frame { x, y: TOP, width, height: PLOT };
        canvas.group(("data-v", &values(curve)), |canvas| panel(canvas, curve, frame, &y));
    }
    Tile {
        label: format!("{name}: accuracy against threshold under {} filters", target.curves.len()),
        width: WIDTH,
        height: TOP + PLOT + BOTTOM,
        body: canvas.into_body(),
    }
}

fn panel(canvas: &mut Canvas, curve: &ResponseCurve, frame: Frame, y: &Scale) {
    let Frame { x: left, width, .. } = frame;
    let (right, base) = (left + width, y.place(0.0));
    canvas.text("m", (left, TOP - 6.0), Anchor::Start, curve.filter.name());
    // Its frame makes the whole panel sensitive to the pointer.
    canvas.rect("cell", frame);
    let x = Scale::new((0.0, curve.density.len().saturating_sub(1) as f64), (left, right));
    let points = |values: &[f64]| -> Vec<(f64, f64)> {
        values.iter().enumerate().map(|(k, &value)| (x.place(k as f64), y.place(value))).collect()
    };
    canvas.area("density", &points(&curve.density), base);
    canvas.line("grid", (left, y.place(1.0)), (right, y.place(1.0)));
    canvas.line("axis", (left, base), (right, base));
    for (class, values) in [("clean", &curve.clean), ("adv", &curve.adv)] {
        if let Some(values) = values {
            canvas.polyline(class, &points(values));
        }
    }
    for (text, at, anchor) in
        [("0", left, Anchor::Start), ("ᾱ", left + width / 2.0, Anchor::Middle), ("1", right, Anchor::End)]
    {
        canvas.text("m", (at, base + 13.0), anchor, text);
    }
    let missing = match (&curve.clean, &curve.adv) {
        (None, _) => "unfiltered accuracy is 0",
        (_, None) => "unfiltered under attack: 0",
        _ => return,
    };
    canvas.text("m", (left + width / 2.0, TOP + PLOT / 2.0), Anchor::Middle, missing);
}

/// All values in ten-thousandths, for the page's script: clean; adversarial; density.
fn values(curve: &ResponseCurve) -> String {
    let list = |values: &[f64]| {
        values.iter().map(|value| format!("{:.0}", value * 1e4)).collect::<Vec<_>>().join(" ")
    };
    let relative = |values: &Option<Vec<f64>>| values.as_deref().map_or(String::new(), list);
    format!("{};{};{}", relative(&curve.clean), relative(&curve.adv), list(&curve.density))
}
