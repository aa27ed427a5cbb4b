//! Selective retraining as plain text.

use super::document::{ArmComparison, ArmResult, RetrainingRecord, Summary};
use crate::attack::Eps;
use crate::score::Label;
use crate::text::aligned;

/// Accuracy of every arm, then the selective arm against every other one.
pub fn table(document: &RetrainingRecord) -> String {
    let settings = &document.settings;
    let [first, end] = settings.images;
    let frozen = settings.labels.layers.iter().filter(|layer| layer.label == Label::Fragile).count();
    let mut text = format!(
        "{} on {}, {}: {} of {} layers are fragile by the {} score and frozen in the selective arm\n\
         {} epochs, {} seeds; accuracy on test images {first} to {end}\n\n",
        settings.network(),
        settings.dataset,
        document.file,
        frozen,
        settings.labels.layers.len(),
        settings.labels.by,
        settings.training.epochs,
        settings.seeds.len(),
    );
    let mut rows = vec![words(["arm", "layers", "parameters", "clean"])];
    rows[0].extend(settings.eps.iter().map(|&eps| format!("ε {}", Eps(eps))));
    rows.extend(document.arms.iter().map(arm));
    text += &aligned(&rows, |column| column > 0);
    text += "\nselective against the others: difference in percentage points, p over images, p over seeds\n";
    let rows: Vec<Vec<String>> = document.comparisons.iter().map(comparison).collect();
    text += &aligned(&rows, |column| (2..5).contains(&column));
    for note in &document.notes {
        text += &format!("note: {note}\n");
    }
    text
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

fn arm(result: &ArmResult) -> Vec<String> {
    let first = result.networks.first();
    let number = |value: Option<usize>| value.map_or("–".to_owned(), |value| value.to_string());
    let name = match result.same_as {
        Some(other) => format!("{} (as {other})", result.arm),
        None => result.arm.to_string(),
    };
    let mut row = vec![
        name,
        number(first.map(|network| network.trained.len())),
        number(first.map(|network| network.parameters)),
    ];
    row.extend(std::iter::once(&result.clean).chain(&result.adversarial).map(accuracy));
    row
}

/// "98.53 ± 0.12 %".
fn accuracy(summary: &Summary) -> String {
    match summary.sd {
        Some(sd) => format!("{:.2} ± {:.2} %", 100.0 * summary.mean, 100.0 * sd),
        None => format!("{:.2} %", 100.0 * summary.mean),
    }
}

fn comparison(comparison: &ArmComparison) -> Vec<String> {
    let images = match comparison.eps {
        Some(eps) => format!("ε {}", Eps(eps)),
        None => "clean".to_owned(),
    };
    vec![
        comparison.against.to_string(),
        images,
        format!("{:+.2}", 100.0 * comparison.difference),
        probability(comparison.over_images.p),
        comparison.over_seeds.map_or("–".to_owned(), |test| probability(test.p)),
        if comparison.beyond_noise { "beyond noise" } else { "" }.to_owned(),
    ]
}

fn probability(p: f64) -> String {
    if p < 1e-4 { "<0.0001".to_owned() } else { format!("{p:.4}") }
}
