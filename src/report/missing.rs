//! What a report does not have, and the command that makes it.

use super::figure::Section;
use super::gather::{Material, SweptNetwork};
use super::words;
use crate::invariance::document::ComparedCheckpoint;
use std::path::Path;

/// Something that is missing.
#[derive(Clone, Debug, PartialEq)]
pub struct Hint {
    /// What, in a sentence.
    pub text: String,
    /// The command that makes it.
    pub command: Option<String>,
}

/// What is missing of one part.
pub fn missing(material: &Material, section: Section) -> Vec<Hint> {
    let hint = |text: &str, command: String| Hint { text: text.to_owned(), command: Some(command) };
    let mut hints = Vec::new();
    match section {
        Section::Responses => {
            hints.extend(material.unfinished.iter().map(|folder| unfinished(folder)));
            if material.networks.is_empty() {
                hints.push(hint(
                    "There are no response curves and no scores: no finished sweep is in these folders. This command sweeps a checkpoint:",
                    "synfilter sweep --checkpoint FILE --dataset NAME --out RUN".to_owned(),
                ));
            }
        }
        Section::Scores if material.networks.is_empty() => hints.push(Hint {
            text: "There are no scores, as there is no finished sweep.".to_owned(),
            command: None,
        }),
        Section::Invariance if material.comparisons.is_empty() => {
            let runs: Vec<String> =
                material.sweeps.iter().map(|sweep| sweep.folder.display().to_string()).collect();
            let runs = if runs.is_empty() { "RUN..".to_owned() } else { words::command(&runs) };
            hints.push(hint(
                "There is no comparison of epochs, seeds, data sets or architectures. Given at least two swept networks, this \
                 command makes one:",
                format!("synfilter compare {runs} --out DIR"),
            ));
        }
        Section::Channels if !material.networks.iter().any(|swept| swept.is_of_channels()) => {
            hints.push(hint(
                "No sweep is of single channels. This command makes one, for the layers that are named:",
                "synfilter sweep --checkpoint FILE --dataset NAME --scope channel --layers NAME,.. --out RUN"
                    .to_owned(),
            ))
        }
        Section::Security if material.attacks.is_empty() => {
            let (files, dataset) = checkpoints(material);
            hints.push(hint(
                "There are no security curves (accuracy against ε). This command makes them:",
                format!("synfilter attack --checkpoint {files} --dataset {dataset} --out DIR"),
            ));
        }
        Section::Retraining if material.retrainings.is_empty() => {
            let layers = |swept: &&SweptNetwork| !swept.is_of_channels() && !swept.scored.layers.is_empty();
            let of = material.networks.iter().find(layers).map(|swept| &swept.scored.checkpoint);
            let (file, run, dataset) = match of {
                Some(of) if !of.file.is_empty() => (of.file.as_str(), of.run.as_str(), of.dataset.as_str()),
                _ => ("FILE", "RUN", "NAME"),
            };
            let [file, run] = [file, run].map(|word| words::command(&[word.to_owned()]));
            hints.push(hint(
                "No network was retrained selectively. This command does so for a checkpoint whose layers have labels:",
                format!("synfilter retrain --checkpoint {file} --labels {run} --dataset {dataset} --out DIR"),
            ));
        }
        _ => {}
    }
    hints
}

fn unfinished(folder: &Path) -> Hint {
    let folder = folder.display();
    Hint {
        text: format!(
            "The sweep in {folder} is not finished, and left out. Its own command with --resume goes on; parts of a \
             sweep are joined by merge:"
        ),
        command: Some("synfilter sweep … --resume".to_owned()),
    }
}

/// The checkpoints of the first data set, as `attack` takes them.
fn checkpoints(material: &Material) -> (String, String) {
    let Some(first) = material.networks.first().map(|swept| &swept.scored.checkpoint) else {
        return ("FILE,..".to_owned(), "NAME".to_owned());
    };
    let same = material.networks.iter().map(|swept| &swept.scored.checkpoint);
    let place = |of: &ComparedCheckpoint| (of.network(), of.dataset.clone());
    let files = same.filter(|of| place(of) == place(first) && !of.file.is_empty());
    let mut files: Vec<String> = files.map(|of| of.file.clone()).collect();
    files.dedup();
    let files = if files.is_empty() { "FILE,..".to_owned() } else { words::command(&[files.join(",")]) };
    (files, first.dataset.clone())
}
