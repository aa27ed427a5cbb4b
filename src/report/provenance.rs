//! Where everything comes from: commands, versions, seeds, hashes, and links to the tables.

use super::gather::Material;
use super::links::Links;
use super::svg::escape;
use super::table::{Cell, Table};
use super::words;
use crate::provenance::Provenance;
use crate::retrain::RETRAIN_PARQUET;
use crate::score::SCORES_PARQUET;
use crate::security::ATTACK_PARQUET;
use crate::sweep::export::CELLS_PARQUET;
use std::path::Path;

/// Commands, tables of data, files.
pub fn provenance(material: &Material, links: &Links) -> String {
    let mut html = format!("<p>Made by synfilter {}.</p>\n", env!("CARGO_PKG_VERSION"));
    html += &tables(material, links).html();
    html += "<h3>Commands that repeat it</h3>\n";
    for sweep in &material.sweeps {
        let of = &sweep.run;
        html += &command(&sweep.folder, "sweep", &of.provenance, Some(&of.hash));
        for part in &of.merged_from {
            html += &command(&sweep.folder, "part of the merged sweep", part, None);
        }
    }
    for found in &material.attacks {
        html += &command(&found.folder, "security curves", &found.document.provenance, None);
    }
    for found in &material.comparisons {
        html += &command(&found.folder, "comparison", &found.document.provenance, None);
    }
    for found in &material.retrainings {
        html += &command(&found.folder, "selective retraining", &found.document.provenance, None);
    }
    html += &checkpoints(material).html();
    html + &files(material, links).html()
}

fn command(folder: &Path, what: &str, of: &Provenance, hash: Option<&str>) -> String {
    let hash = hash.map_or(String::new(), |hash| format!(", settings {}", escape(hash)));
    format!(
        "<p class=\"note\">{}: {what}, synfilter {}, seed {}, {}{hash}</p>\n<pre><code>{}</code></pre>\n",
        escape(&folder.display().to_string()),
        escape(&of.version),
        of.seed,
        escape(&of.device),
        escape(&words::command(&of.command))
    )
}

/// The Parquet tables that there are.
fn tables(material: &Material, links: &Links) -> Table {
    let mut table = Table::new("Tables of the data, as Parquet files", &["file", "what it holds"]);
    let mut row = |folder: &Path, name: &str, what: &str| {
        let path = folder.join(name);
        if let Some(link) = links.to(&path) {
            table.row(vec![Cell::code(path.display().to_string()).linked(Some(link)), Cell::text(what)]);
        }
    };
    for sweep in &material.sweeps {
        row(&sweep.folder, CELLS_PARQUET, "every filtered network: counts, losses, one bit per image");
        row(&sweep.folder, SCORES_PARQUET, "scores, standard errors and labels");
    }
    for found in &material.attacks {
        row(&found.folder, ATTACK_PARQUET, "security curves: counts, losses, one bit per image");
    }
    for found in &material.retrainings {
        row(&found.folder, RETRAIN_PARQUET, "selective retraining: counts, one bit per image");
    }
    table
}

/// All checkpoints by content.
fn checkpoints(material: &Material) -> Table {
    let mut table = Table::new("Checkpoints", &["network", "file", "SHA-256", "test images, SHA-256"]);
    let mut row = |name: String, file: &str, sha256: &str, images: &str| {
        table.row(vec![Cell::text(name), Cell::code(file), Cell::code(sha256), Cell::code(images)]);
    };
    for swept in &material.networks {
        let of = &swept.scored.checkpoint;
        row(words::network(of), &of.file, &of.sha256, &of.dataset_digest);
    }
    for found in &material.attacks {
        for network in &found.document.networks {
            let name = format!("{} on {}", network.network(), found.document.dataset);
            row(name, &network.file, &network.checkpoint.sha256, &found.document.dataset_digest);
        }
    }
    for found in &material.retrainings {
        let of = &found.document.settings;
        for result in &found.document.arms {
            for network in &result.networks {
                let seed = network.seed.map_or(String::new(), |seed| format!(", seed {seed}"));
                let name = format!("{} on {}, {}{seed}", of.network(), of.dataset, result.arm);
                row(name, &network.file, &network.sha256, &of.test_digest);
            }
        }
    }
    table
}

/// What was read for this report.
fn files(material: &Material, links: &Links) -> Table {
    let mut table = Table::new("Files that this report was made from", &["file", "bytes", "SHA-256"]);
    for content in &material.read {
        table.row(vec![
            Cell::code(content.path.display().to_string()).linked(links.to(&content.path)),
            Cell::number(content.bytes.to_string(), Some(content.bytes as f64)),
            Cell::code(&content.sha256),
        ]);
    }
    table
}
