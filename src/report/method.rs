//! The method box: formulae, and every setting of what is shown.

use super::gather::{FinishedSweep, Material};
use super::table::{Cell, Table};
use super::words;
use crate::data::order;
use crate::score::Options;
use crate::sweep::Sampling;

const FORMULAE: &str = include_str!("assets/method.html");

/// The method in formulae, and tables of settings.
pub fn method(material: &Material, options: Options) -> String {
    let mut html = FORMULAE.to_owned();
    if !material.sweeps.is_empty() {
        html += &settings(material, options).html();
    }
    if !material.attacks.is_empty() {
        html += &attack_settings(material).html();
    }
    html
}

/// One row per setting; where sweeps differ in it, each value once.
fn settings(material: &Material, options: Options) -> Table {
    let mut table = Table::new("Settings of the sweeps and their scores", &["setting", "value"]);
    let mut row = |name: &str, value: &dyn Fn(&FinishedSweep) -> String| {
        let mut values: Vec<String> = Vec::new();
        for sweep in &material.sweeps {
            let value = value(sweep);
            if !values.contains(&value) {
                values.push(value);
            }
        }
        table.row(vec![Cell::text(name), Cell::code(values.join("; "))]);
    };
    row("architecture", &|sweep| sweep.run.settings.network());
    row("data set", &|sweep| sweep.run.settings.dataset.clone());
    row("test images", &|sweep| {
        let [first, end] = sweep.run.settings.images;
        let order = order(sweep.run.settings.pick.as_ref());
        format!("{} (from {first} up to {end}, {order})", end - first)
    });
    row("of which a filtered network sees", &|sweep| match &sweep.run.settings.sampling {
        None => "all".to_owned(),
        Some(Sampling { thin, order_seed }) => format!("one in {thin}, order of seed {order_seed}"),
    });
    row("normalisation, per channel", &|sweep| {
        let of = sweep.run.settings.checkpoints.first();
        of.map_or(String::new(), |of| format!("mean {:?}, standard deviation {:?}", of.mean, of.std))
    });
    row("filtered at once (scope)", &|sweep| sweep.run.settings.scope.to_string());
    row("filters", &|sweep| {
        sweep.run.settings.filters.iter().map(|filter| filter.name()).collect::<Vec<_>>().join(", ")
    });
    row("thresholds A", &|sweep| sweep.run.settings.thresholds.to_string());
    row("attack", &|sweep| format!("{}, {}", sweep.run.settings.method(), sweep.run.settings.attack));
    row("ε in pixel units", &|sweep| words::eps(sweep.run.settings.eps));
    row("adversarial images clipped to [0, 1]", &|sweep| yes(sweep.run.settings.clamp));
    row("batch-norm statistics", &|sweep| sweep.run.settings.bn.to_string());
    row("computed in", &|sweep| {
        format!(
            "{} on {} ({})",
            sweep.run.settings.dtype, sweep.run.settings.backend, sweep.run.provenance.device
        )
    });
    row("images per block", &|sweep| sweep.run.block.to_string());
    row("baseline b", &|_| options.baseline.to_string());
    row("τ", &|_| options.tau.to_string());
    row("z", &|_| options.z.to_string());
    table
}

fn attack_settings(material: &Material) -> Table {
    let heads = ["folder", "data set", "images", "clipped", "batch norm", "computed in", "seed"];
    let mut table = Table::new("Settings of the security curves", &heads);
    for found in &material.attacks {
        let of = &found.document;
        table.row(vec![
            Cell::code(found.folder.display().to_string()),
            Cell::text(&of.dataset),
            Cell::count(of.images),
            Cell::text(yes(of.clamp)),
            Cell::text(of.bn.to_string()),
            Cell::text(format!("{} on {}", of.dtype, of.backend)),
            Cell::number(of.provenance.seed.to_string(), Some(of.provenance.seed as f64)),
        ]);
    }
    table
}

fn yes(is_so: bool) -> String {
    if is_so { "yes" } else { "no" }.to_owned()
}
