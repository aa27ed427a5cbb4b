//! Tables of selective retraining: accuracy of the arms, paired tests, labels and settings.

use super::figures::retraining::{accuracy, network};
use super::gather::{Found, Material};
use super::svg::escape;
use super::table::{Cell, Table};
use super::words;
use crate::data::order;
use crate::retrain::RetrainingRecord;
use crate::retrain::document::{ArmComparison, ArmResult};

/// All tables of all retrainings.
pub fn retraining(material: &Material) -> String {
    let mut html = String::new();
    for Found { document, .. } in &material.retrainings {
        html += &arms(document).html();
        html += &tests(document).html();
        html += &format!(
            "<p class=\"note\">A difference is beyond noise where every test that there is has p &lt; {}: over the images \
             (Durkalski’s, McNemar’s for several pairs of networks) and, with several seeds, over the seeds (Student’s paired \
             test). The p of single seeds is McNemar’s exact one.</p>\n",
            document.alpha
        );
        for note in &document.notes {
            html += &format!("<p class=\"note\">{}</p>\n", escape(note));
        }
        let name = escape(&network(document));
        html += &format!(
            "<details><summary>Layers that were frozen, and settings, {name}</summary>\n{}{}</details>\n",
            layers(document).html(),
            settings(document).html()
        );
    }
    html
}

fn arms(document: &RetrainingRecord) -> Table {
    let eps = &document.settings.eps;
    let mut heads =
        vec!["arm".to_owned(), "networks".to_owned(), "layers trained".to_owned(), "clean".to_owned()];
    heads.extend(eps.iter().map(|&eps| format!("ε {}", words::eps(eps))));
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let caption = format!(
        "{}: accuracy on {} held-out images, mean ± standard deviation over seeds",
        network(document),
        document.settings.measured()
    );
    let mut table = Table::new(caption, &heads);
    for result in &document.arms {
        let ArmResult { arm, same_as, networks, clean, adversarial } = result;
        let same = same_as.map_or(String::new(), |other| format!(" (the same networks as {other})"));
        let trained = networks.first().map_or(0, |network| network.trained.len());
        let mut row =
            vec![Cell::text(format!("{arm}{same}")), Cell::count(networks.len()), Cell::count(trained)];
        let summaries = std::iter::once(clean).chain(adversarial);
        row.extend(summaries.map(|&summary| Cell::number(accuracy(summary), Some(summary.mean))));
        table.row(row);
    }
    table
}

fn tests(document: &RetrainingRecord) -> Table {
    let heads = [
        "arm",
        "against",
        "images",
        "difference ± se",
        "p over images",
        "p over seeds",
        "p of each seed",
        "beyond noise",
    ];
    let mut table = Table::new("Paired tests on the same images; differences in percentage points", &heads);
    for of in &document.comparisons {
        let ArmComparison { arm, against, eps, difference, seeds, over_images, over_seeds, beyond_noise } =
            of;
        let images = eps.map_or("clean".to_owned(), |eps| format!("ε {}", words::eps(eps)));
        let sign = if *difference < 0.0 { "−" } else { "+" };
        let difference_text =
            format!("{sign}{:.2} ± {:.2}", 100.0 * difference.abs(), 100.0 * over_images.se);
        let over_seeds = over_seeds.map(|test| test.p);
        table.row(vec![
            Cell::text(arm.name()),
            Cell::text(against.name()),
            Cell::text(images),
            Cell::number(difference_text, Some(*difference)),
            Cell::number(p_value(over_images.p), Some(over_images.p)),
            Cell::number(over_seeds.map_or("–".to_owned(), p_value), over_seeds),
            Cell::text(seeds.iter().map(|test| p_value(test.p)).collect::<Vec<_>>().join(", ")),
            Cell::text(if *beyond_noise { "yes" } else { "no" }),
        ]);
    }
    table
}

fn p_value(p: f64) -> String {
    if p < 1e-4 { "<0.0001".to_owned() } else { format!("{p:.4}") }
}

fn layers(document: &RetrainingRecord) -> Table {
    let labels = &document.settings.labels;
    let heads = ["#", "layer", "score ± se", "label", "selective arm"];
    let mut table = Table::new(format!("Labels by the {} score, mean over the filters", labels.by), &heads);
    let selective = document.arms.iter().find(|result| result.arm == crate::retrain::Arm::Selective);
    let trained = selective.and_then(|result| result.networks.first()).map(|network| &network.trained);
    for (at, layer) in labels.layers.iter().enumerate() {
        let score = layer.score.zip(layer.se);
        let score =
            score.map_or("–".to_owned(), |(score, se)| format!("{} ± {se:.4}", words::signed(score)));
        let is_trained = trained.is_some_and(|trained| trained.contains(&layer.name));
        table.row(vec![
            Cell::count(at),
            Cell::text(&layer.name),
            Cell::number(score, layer.score),
            Cell::label(layer.label),
            Cell::text(if is_trained { "trained" } else { "frozen" }),
        ]);
    }
    table
}

fn settings(document: &RetrainingRecord) -> Table {
    let of = &document.settings;
    let training = &of.training;
    let [first, end] = of.images;
    let [label_first, label_end] = of.labels.images;
    let list = |items: Vec<String>| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    let optimizer = serde_json::to_string(&training.optimizer).unwrap_or_default();
    let rows = [
        ("checkpoint", format!("{} (SHA-256 {})", document.file, of.checkpoint.sha256)),
        (
            "labels",
            format!(
                "{} (settings {}), test images {label_first} up to {label_end}, {}",
                of.labels.run,
                of.labels.hash,
                order(of.labels.pick.as_ref())
            ),
        ),
        ("labels: ε, baseline, τ, z", {
            let labels = &of.labels;
            format!("{}; {}; {}; {}", words::eps(labels.eps), labels.baseline, labels.tau, labels.z)
        }),
        (
            "measured on",
            match of.labels.pick {
                None => format!("test images {first} up to {end}, in file order"),
                Some(_) => format!("test images {first} up to {end}, those of the sweep being the first"),
            },
        ),
        ("further epochs", training.epochs.to_string()),
        ("images per step", training.batch.to_string()),
        ("optimizer", optimizer),
        ("learning rate divided by 10 after", list(training.lr_drops.iter().map(u32::to_string).collect())),
        ("seeds", list(of.seeds.iter().map(u64::to_string).collect())),
        ("ε in pixel units", list(of.eps.iter().map(|&eps| words::eps(eps)).collect())),
        ("adversarial images clipped to [0, 1]", if of.clamp { "yes" } else { "no" }.to_owned()),
        ("measured in", format!("{} on {}", of.dtype, of.backend)),
    ];
    let mut table = Table::new("Settings of the retraining", &["setting", "value"]);
    for (name, value) in rows {
        table.row(vec![Cell::text(name), Cell::code(value)]);
    }
    table
}
