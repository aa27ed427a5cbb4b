//! Selective retraining: accuracy of every arm, a tile for clean images and one for each ε.

use super::super::figure::{Figure, Key, Section, Tile, slug};
use super::super::gather::Material;
use super::super::scale::{Scale, labelled, range};
use super::super::svg::{Anchor, Canvas};
use super::super::words;
use crate::retrain::RetrainingRecord;
use crate::retrain::document::{ArmResult, RetrainedNetwork, Summary};
use crate::security::Count;
use crate::text::of_training;

const WIDTH: f64 = 350.0;
const LEFT: f64 = 82.0;
const TOP: f64 = 26.0;
const ROW: f64 = 26.0;

/// One figure per retraining.
pub fn figures(material: &Material) -> Vec<Figure> {
    material.retrainings.iter().map(|found| figure(&found.document)).collect()
}

fn figure(document: &RetrainingRecord) -> Figure {
    let settings = &document.settings;
    let name = network(document);
    let clean = tile(document, "clean images", |network| network.clean, |result| result.clean);
    let adversarial = settings.eps.iter().enumerate().map(|(at, &eps)| {
        let title = format!("FGSM, ε {}", words::eps(eps));
        tile(document, &title, |network| network.adversarial[at], |result| result.adversarial[at])
    });
    Figure {
        name: slug(&format!("retraining {name}")),
        section: Section::Retraining,
        title: format!("Selective retraining of {name}"),
        caption: format!(
            "Accuracy on {} held-out images after {}: of the checkpoint itself, with its fragile layers frozen \
             (selective), of all layers trained (full), and of as many layers chosen at random. Each tile has a scale of its own.",
            settings.measured(),
            match settings.training.epochs {
                1 => "one more epoch".to_owned(),
                epochs => format!("{epochs} more epochs"),
            }
        ),
        legend: vec![
            Key::drawn("mean over seeds, ± standard deviation", |canvas| {
                canvas.line("error", (1.0, 6.0), (21.0, 6.0));
                canvas.circle("p0", (11.0, 6.0), 4.0);
            }),
            Key::drawn("a network", |canvas| canvas.circle("p7", (11.0, 6.0), 2.0)),
        ],
        tiles: std::iter::once(clean).chain(adversarial).collect(),
        open: true,
        columns: 3,
    }
}

/// What was retrained, in words.
pub fn network(document: &RetrainingRecord) -> String {
    let settings = &document.settings;
    let training = of_training(settings.checkpoint.seed, settings.checkpoint.epoch);
    format!("{} on {}{training}", settings.network(), settings.dataset)
}

fn tile(
    document: &RetrainingRecord,
    title: &str,
    count: impl Fn(&RetrainedNetwork) -> Count,
    summary: impl Fn(&ArmResult) -> Summary,
) -> Tile {
    let images = document.settings.measured();
    let percent = |network: &RetrainedNetwork| 100.0 * count(network).correct as f64 / images as f64;
    let mut values: Vec<f64> = Vec::new();
    for result in &document.arms {
        let Summary { mean, sd } = summary(result);
        let sd = sd.unwrap_or(0.0);
        values.extend([100.0 * (mean - sd), 100.0 * (mean + sd)]);
        values.extend(result.networks.iter().map(percent));
    }
    let first = values.first().copied().unwrap_or_default();
    let (low, high) = range(values, (first, first));
    let room = (0.08 * (high - low)).max(0.05);
    let right = WIDTH - 16.0;
    let x = Scale::new((low - room, high + room), (LEFT, right));
    let base = TOP + ROW * document.arms.len() as f64;

    let mut canvas = Canvas::new();
    canvas.text("h", (LEFT, 14.0), Anchor::Start, title);
    for (value, label) in labelled(&x, 4) {
        canvas.line("grid", (x.place(value), TOP), (x.place(value), base));
        canvas.text("m", (x.place(value), base + 14.0), Anchor::Middle, &label);
    }
    canvas.line("axis", (LEFT, base), (right, base));
    canvas.text("m", ((LEFT + right) / 2.0, base + 30.0), Anchor::Middle, "accuracy, %");
    for (row, result) in document.arms.iter().enumerate() {
        let y = TOP + ROW * (row as f64 + 0.5);
        canvas.text("m", (LEFT - 8.0, y + 3.5), Anchor::End, result.arm.name());
        let found = summary(result);
        let told = format!("{}: {}", result.arm, accuracy(found));
        canvas.titled(&told, |canvas| {
            if let Some(sd) = found.sd {
                let end = |sign: f64| (x.place(100.0 * (found.mean + sign * sd)), y - 4.0);
                canvas.line("error", end(-1.0), end(1.0));
            }
            canvas.circle("p0", (x.place(100.0 * found.mean), y - 4.0), 4.0);
        });
        for network in &result.networks {
            let seed = network.seed.map_or(String::new(), |seed| format!(", seed {seed}"));
            let correct = count(network).correct;
            let told =
                format!("{}{seed}: {} ({correct} of {images})", result.arm, words::percent(correct, images));
            canvas.titled(&told, |canvas| canvas.circle("p7", (x.place(percent(network)), y + 6.0), 2.0));
        }
    }
    Tile {
        label: format!("Accuracy of the arms of selective retraining on {title}"),
        width: WIDTH,
        height: base + 36.0,
        body: canvas.into_body(),
    }
}

/// Mean and standard deviation in percent.
pub fn accuracy(Summary { mean, sd }: Summary) -> String {
    let sd = sd.map_or(String::new(), |sd| format!(" ± {:.2}", 100.0 * sd));
    format!("{:.2}{sd} %", 100.0 * mean)
}
