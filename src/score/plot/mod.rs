//! Response curves on a terminal.

mod canvas;

use super::curves::{Response, ResponseCurve, Responses};
use crate::text::of_training;
use canvas::{Canvas, Line, SEVERAL, coloured, sampled};
use std::fmt::Write;

/// Where plots are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    /// Characters in a line.
    pub columns: usize,
    /// Whether it shows colours. With them curves are lines of braille dots, else of marks.
    pub colour: bool,
}

/// Narrower than this nothing can be read.
const NARROWEST: usize = 40;
/// Lines of a plot.
const HEIGHT: usize = 9;
/// Characters of a plot, from where it can be read to where more would not tell more.
const WIDTHS: std::ops::RangeInclusive<usize> = 16..=48;
/// Characters before a plot's axis, and between plots.
const LABEL: usize = 5;
const GAP: usize = 2;
/// Characters of a curve in the overview.
const SPARKS: std::ops::RangeInclusive<usize> = 5..=16;

/// Curves by their kind, in the order in which they are drawn, with mark and colour.
const DENSITY: (char, u8) = ('.', 90);
const ADV: (char, u8) = ('x', 31);
const CLEAN: (char, u8) = ('o', 36);

/// All targets of a checkpoint on a few lines, then plot by plot.
pub fn plots(responses: &Responses, screen: Screen) -> String {
    let screen = Screen { columns: screen.columns.max(NARROWEST), ..screen };
    let Responses { arch, stem, dataset, epoch, seed, targets } = responses;
    let training = of_training(*seed, *epoch);
    let mut text = format!("{} on {dataset}{training}: response curves\n", stem.named(arch));
    text += &overview(targets, screen);
    let _ = writeln!(text, "\n{}", legend(screen));
    for target in targets {
        let _ = writeln!(text, "\n{}", target.name());
        text += &plot(target, screen);
    }
    text
}

fn legend(screen: Screen) -> String {
    let entry = |what: &str, (mark, colour): (char, u8)| match screen.colour {
        true => coloured(&format!("━ {what}"), colour),
        false => format!("{mark} {what}"),
    };
    let mut entries = vec![entry("clean", CLEAN), entry("adversarial", ADV), entry("weights left", DENSITY)];
    if !screen.colour {
        entries.push(format!("{SEVERAL} several"));
    }
    format!("{}\nas shares of the unfiltered network's; mild to severe", entries.join("  "))
}

/// The highest value of an axis: a multiple of a quarter.
fn top<'c>(curves: impl Iterator<Item = &'c ResponseCurve>) -> f64 {
    let highest = curves.fold(1.0, |highest: f64, curve| highest.max(curve.highest()));
    (highest * 4.0).ceil() / 4.0
}

/// Per target and filter the clean and the adversarial curve, a character high.
fn overview(targets: &[Response], screen: Screen) -> String {
    let Some(first) = targets.first() else { return String::new() };
    let longest = targets.iter().map(|target| target.name().chars().count()).max().unwrap_or_default();
    let count = 2 * first.curves.len();
    let points = first.curves.iter().map(|curve| curve.density.len()).max().unwrap_or_default();
    let room = screen.columns.saturating_sub(longest) / count.max(1);
    let width =
        room.saturating_sub(GAP).clamp(*SPARKS.start(), *SPARKS.end()).min(points.max(*SPARKS.start()));
    let names = longest.min(screen.columns.saturating_sub(count * (width + GAP)));
    let top = top(targets.iter().flat_map(|target| &target.curves));

    let gap = " ".repeat(GAP);
    let mut text = " ".repeat(names);
    for curve in &first.curves {
        let _ = write!(text, "{gap}{:<1$}", curve.filter.name(), 2 * width + GAP);
    }
    let mut lines = vec![text.trim_end().to_owned(), " ".repeat(names)];
    for _ in &first.curves {
        for name in ["clean", "adv."] {
            let _ = write!(lines[1], "{gap}{name:<width$}");
        }
    }
    for target in targets {
        let mut line = format!("{:<names$}", shortened(&target.name(), names));
        for curve in &target.curves {
            for (values, (_, colour)) in [(&curve.clean, CLEAN), (&curve.adv, ADV)] {
                let sparks = values.as_ref().map_or("–".to_owned(), |values| sparkline(values, width, top));
                let padding = " ".repeat(width.saturating_sub(sparks.chars().count()));
                let sparks = if screen.colour { coloured(&sparks, colour) } else { sparks };
                let _ = write!(line, "{gap}{sparks}{padding}");
            }
        }
        lines.push(line);
    }
    lines.push(format!("▁ 0, █ {top}"));
    lines.iter().fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

/// The end of a name that is too long.
fn shortened(name: &str, width: usize) -> String {
    match name.chars().count() {
        length if length <= width => name.to_owned(),
        length => format!("…{}", name.chars().skip(length + 1 - width.max(1)).collect::<String>()),
    }
}

/// A curve as blocks of eight heights, from 0 to `top`.
fn sparkline(values: &[f64], width: usize, top: f64) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let block = |value: f64| BLOCKS[((value / top).clamp(0.0, 1.0) * 7.0).round() as usize];
    sampled(values, width).into_iter().map(block).collect()
}

/// The curves of a target, filters side by side as far as they fit.
fn plot(target: &Response, screen: Screen) -> String {
    let room = |plots: usize| {
        (screen.columns - LABEL).checked_div(plots).unwrap_or_default().saturating_sub(GAP + 1)
    };
    let beside = (1..=target.curves.len()).rev().find(|&plots| room(plots) >= *WIDTHS.start()).unwrap_or(1);
    let width = room(beside).min(*WIDTHS.end());
    let canvas = Canvas { width, height: HEIGHT, top: top(target.curves.iter()) };
    let mut text = String::new();
    for curves in target.curves.chunks(beside) {
        let drawn: Vec<Vec<String>> =
            curves.iter().map(|curve| canvas.draw(&lines(curve), screen.colour)).collect();
        let gap = " ".repeat(GAP);
        let heads: String =
            curves.iter().map(|curve| format!("{:<1$}{gap} ", curve.filter.name(), width)).collect();
        let _ = writeln!(text, "{:LABEL$} {}", "", heads.trim_end());
        for row in 0..HEIGHT {
            let label = match row {
                0 => format!("{:.2}", canvas.top),
                row if row == HEIGHT - 1 => "0.00".to_owned(),
                row if row == canvas.row_of(1.0) => "1.00".to_owned(),
                _ => String::new(),
            };
            let plots: Vec<String> = drawn.iter().map(|rows| format!("│{}", rows[row])).collect();
            let _ = writeln!(text, "{label:>4} {}", plots.join(&gap).trim_end());
        }
        let axis = vec![format!("└{}", "─".repeat(width)); curves.len()];
        let _ = writeln!(text, "{:LABEL$}{}", "", axis.join(&gap));
        for curve in curves {
            for (what, values) in [("clean", &curve.clean), ("adversarial", &curve.adv)] {
                if values.is_none() {
                    let _ = writeln!(
                        text,
                        "{}: no {what} curve, the unfiltered accuracy being 0",
                        curve.filter.name()
                    );
                }
            }
        }
    }
    text
}

fn lines(curve: &ResponseCurve) -> Vec<Line<'_>> {
    let kinds = [(Some(&curve.density), DENSITY), (curve.adv.as_ref(), ADV), (curve.clean.as_ref(), CLEAN)];
    let line = |(values, (mark, colour)): (Option<_>, (char, u8))| {
        values.map(|values: &Vec<f64>| Line { values, mark, colour })
    };
    kinds.into_iter().filter_map(line).collect()
}
