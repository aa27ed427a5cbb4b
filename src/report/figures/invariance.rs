//! Invariance: how far labels and scores agree, and scores by depth across architectures.

use super::super::figure::{CHARACTER, Figure, Key, Section, Tile, slug};
use super::super::gather::Material;
use super::super::palette::LINES;
use super::super::scale::{Scale, labelled, range};
use super::super::svg::{Anchor, Canvas, Frame};
use super::super::words;
use super::security::axes;
use crate::filter::FilterKind;
use crate::invariance::document::{
    Comparison, DepthAgreement, Findings, InvarianceRecord, Landmark, Measure,
};
use crate::invariance::shown;
use crate::score::Which;

const ROW: f64 = 17.0;
const WIDTH: f64 = 350.0;
const DEPTH: Frame = Frame { x: 48.0, y: 26.0, width: 290.0, height: 170.0 };

/// Per document: agreement of everything, then scores by depth for each comparison of architectures.
pub fn figures(material: &Material) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (at, found) in material.comparisons.iter().enumerate() {
        figures.extend(agreement(at, &found.document));
        let by_depth =
            found.document.comparisons.iter().filter_map(|comparison| match &comparison.findings {
                Findings::ByDepth { landmarks, agreements } => Some((comparison, landmarks, agreements)),
                Findings::ByLayer { .. } => None,
            });
        figures.extend(by_depth.map(|(comparison, landmarks, agreements)| {
            depth(&format!("depth {} {}", at + 1, heading(comparison)), comparison, landmarks, agreements)
        }));
    }
    figures
}

/// What is compared, in words.
pub fn heading(comparison: &Comparison) -> String {
    let network = match (comparison.network(), &comparison.dataset) {
        (Some(network), Some(dataset)) => Some(format!("{network} on {dataset}")),
        (network, dataset) => network.or(dataset.clone()),
    };
    let mut of: Vec<String> = network.into_iter().collect();
    of.extend(comparison.seed.map(|seed| format!("seed {seed}")));
    of.extend(comparison.epoch.map(|epoch| format!("epoch {epoch}")));
    match of.is_empty() {
        true => format!("over {}", comparison.over),
        false => format!("over {}: {}", comparison.over, of.join(", ")),
    }
}

/// One score of one comparison, as far as it agrees.
pub struct Agreement {
    /// The score.
    pub by: Which,
    /// The filter.
    pub filter: Option<FilterKind>,
    /// The share of equal labels, where networks have the same layers.
    pub share: Option<f64>,
    /// Fleiss' κ, likewise.
    pub kappa: Option<f64>,
    /// Mean of Spearman's ρ.
    pub rho: Option<f64>,
}

/// What a comparison found, score by score: of the combined scores, or of the first filter where there are none.
pub fn agreements(comparison: &Comparison) -> Vec<Agreement> {
    match &comparison.findings {
        Findings::ByLayer { agreements, .. } => shown(agreements, |one| one.filter)
            .into_iter()
            .map(|one| Agreement {
                by: one.by,
                filter: one.filter,
                share: (one.share.compared > 0)
                    .then(|| one.share.agreeing as f64 / one.share.compared as f64),
                kappa: one.kappa.value(),
                rho: one.mean_rho.value(),
            })
            .collect(),
        Findings::ByDepth { agreements, .. } => shown(agreements, |one| one.filter)
            .into_iter()
            .map(|one| Agreement {
                by: one.by,
                filter: one.filter,
                share: None,
                kappa: None,
                rho: one.mean_rho.value(),
            })
            .collect(),
    }
}

fn agreement(at: usize, document: &InvarianceRecord) -> Option<Figure> {
    let rows: Vec<(String, Vec<Agreement>)> =
        document.comparisons.iter().map(|comparison| (heading(comparison), agreements(comparison))).collect();
    if rows.is_empty() {
        return None;
    }
    type Pick = fn(&Agreement) -> Option<f64>;
    let measures: [(&str, (f64, f64), Pick); 3] = [
        ("share of same labels", (0.0, 1.0), |one| one.share),
        ("Fleiss’ κ of the labels", (-1.0, 1.0), |one| one.kappa),
        ("mean Spearman ρ of the scores", (-1.0, 1.0), |one| one.rho),
    ];
    Some(Figure {
        name: slug(&format!("agreement {}", at + 1)),
        section: Section::Invariance,
        title: "Agreement of labels and scores".to_owned(),
        caption: "Each line compares networks that differ in one respect alone; over seeds is what chance alone changes. \
                  Networks with different layers have a ρ (by depth), and no share and no κ; a κ is also undefined where \
                  all labels are the same."
            .to_owned(),
        legend: Which::ALL.iter().map(|&which| Key::drawn(format!("{which} score"), |c| mark(c, which, (11.0, 6.0)))).collect(),
        tiles: measures.iter().map(|(name, scale, pick)| dots(name, &rows, *scale, *pick)).collect(),
        open: true,
        columns: 3,
    })
}

/// A shape for each score.
fn mark(canvas: &mut Canvas, which: Which, (x, y): (f64, f64)) {
    match which {
        Which::Clean => canvas.circle("p2", (x, y), 3.6),
        Which::Adversarial => canvas.polygon("p3", &[(x, y - 4.6), (x + 4.6, y), (x, y + 4.6), (x - 4.6, y)]),
        Which::Difference => {
            canvas.rect("p4", Frame { x: x - 3.2, y: y - 3.2, width: 6.4, height: 6.4 });
        }
    }
}

fn dots(
    name: &str,
    rows: &[(String, Vec<Agreement>)],
    scale: (f64, f64),
    pick: fn(&Agreement) -> Option<f64>,
) -> Tile {
    // The names of rows have lines of their own, so that long ones fit on a phone.
    let (left, right, top) = (14.0, WIDTH - 14.0, 26.0);
    let base = top + 2.0 * ROW * rows.len() as f64;
    let x = Scale::new(scale, (left, right));
    let mut canvas = Canvas::new();
    canvas.text("h", (left, 14.0), Anchor::Start, name);
    let ticks = labelled(&x, 5);
    for (value, label) in &ticks {
        canvas.text("m", (x.place(*value), base + 14.0), Anchor::Middle, &label.replace('-', "−"));
    }
    for (row, (heading, agreements)) in rows.iter().enumerate() {
        let y = top + 2.0 * ROW * row as f64;
        let most = ((right - left) / (CHARACTER * 0.92)) as usize;
        canvas.text("m", (left, y + 13.0), Anchor::Start, &shortened(heading, most));
        let y = y + 1.5 * ROW;
        canvas.line("grid", (left, y), (right, y));
        for (value, _) in &ticks {
            let class = if *value == 0.0 { "axis" } else { "grid" };
            canvas.line(class, (x.place(*value), y - 5.0), (x.place(*value), y + 5.0));
        }
        let mut any = false;
        for one in agreements {
            if let Some(value) = pick(one) {
                let title = format!("{heading}\n{} score: {name} {value:.3}", one.by);
                canvas.titled(&title, |canvas| mark(canvas, one.by, (x.place(value), y)));
                any = true;
            }
        }
        if !any {
            canvas.text("m", (right, y - 8.0), Anchor::End, "none");
        }
    }
    Tile {
        label: format!("{name} of {} comparisons", rows.len()),
        width: WIDTH,
        height: base + 22.0,
        body: canvas.into_body(),
    }
}

/// At most so many characters.
fn shortened(text: &str, most: usize) -> String {
    match text.chars().count() > most {
        true => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

/// Scores by depth: a tile per score, a line per network, landmarks as open circles.
fn depth(
    name: &str,
    comparison: &Comparison,
    landmarks: &[Vec<Landmark>],
    agreements: &[DepthAgreement],
) -> Figure {
    let shown = shown(agreements, |one| one.filter);
    let bins = shown.iter().flat_map(|one| &one.bins).flatten().filter_map(|bin| bin.mean);
    let marks = shown.iter().flat_map(|one| &one.landmarks).flatten().filter_map(|mark| mark.score);
    let (low, high) = range(bins.chain(marks), (0.0, 0.0));
    let room = 0.05 * (high - low);
    let y = Scale::new((low - room, high + room), (DEPTH.y + DEPTH.height, DEPTH.y));
    let mut legend: Vec<Key> = comparison
        .names
        .iter()
        .enumerate()
        .map(|(at, name)| Key::line(&format!("l{}", at % LINES), name))
        .collect();
    legend.push(Key::drawn("landmark: first convolution, branches, last layer", |canvas| {
        canvas.circle("mark", (11.0, 6.0), 2.0);
    }));
    Figure {
        name: slug(name),
        section: Section::Invariance,
        title: format!("Scores by depth, {}", heading(comparison)),
        caption: "Mean score of the layers in each tenth of the depth, position/(count − 1), from the input (0) to the logits \
                  (1); points are single layers with a role."
            .to_owned(),
        legend,
        tiles: shown.iter().map(|one| depth_tile(comparison, landmarks, one, &y)).collect(),
        open: false,
        columns: 3,
    }
}

fn depth_tile(comparison: &Comparison, landmarks: &[Vec<Landmark>], one: &DepthAgreement, y: &Scale) -> Tile {
    let x = Scale::new((0.0, 1.0), (DEPTH.x, DEPTH.x + DEPTH.width));
    let mut canvas = Canvas::new();
    canvas.text("h", (DEPTH.x, 14.0), Anchor::Start, &format!("{} score", one.by));
    let rho = match &one.mean_rho {
        Measure::Value(rho) => format!("mean ρ {}", words::signed(*rho)),
        Measure::Missing(_) => "no ρ".to_owned(),
    };
    canvas.text("m", (DEPTH.x + DEPTH.width, 14.0), Anchor::End, &rho);
    axes(&mut canvas, DEPTH, (&x, 5), (y, 5));
    canvas.line("axis", (DEPTH.x, y.place(0.0)), (DEPTH.x + DEPTH.width, y.place(0.0)));
    canvas.text(
        "m",
        (DEPTH.x + DEPTH.width / 2.0, DEPTH.y + DEPTH.height + 32.0),
        Anchor::Middle,
        "normalised depth",
    );
    for (member, bins) in one.bins.iter().enumerate() {
        let class = member % LINES;
        let count = bins.len().max(1) as f64;
        let filled: Vec<(usize, f64)> =
            bins.iter().enumerate().filter_map(|(bin, of)| of.mean.map(|mean| (bin, mean))).collect();
        let place = |&(bin, mean): &(usize, f64)| (x.place((bin as f64 + 0.5) / count), y.place(mean));
        canvas.polyline(&format!("l{class}"), &filled.iter().map(place).collect::<Vec<_>>());
        let name = comparison.names.get(member).map_or("", String::as_str);
        let marks =
            landmarks.get(member).into_iter().flatten().zip(one.landmarks.get(member).into_iter().flatten());
        for (landmark, found) in marks {
            if let Some(score) = found.score {
                let label = found.label.map_or("", crate::score::Label::word);
                let title = format!(
                    "{name}, {} ({}): {}, {label}",
                    landmark.layer.name,
                    landmark.role,
                    words::signed(score)
                );
                let at = (x.place(landmark.depth), y.place(score));
                canvas.titled(&title, |canvas| canvas.circle(&format!("p{class}"), at, 2.6));
            }
        }
    }
    Tile {
        label: format!("{} score by depth of {} networks", one.by, comparison.names.len()),
        width: WIDTH,
        height: DEPTH.y + DEPTH.height + 40.0,
        body: canvas.into_body(),
    }
}
