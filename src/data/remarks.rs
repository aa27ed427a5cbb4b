//! What is odd about files that were decoded all the same: told among the notes of what was read.

use super::decode::Remark;
use std::path::Path;

/// How many damaged files are named.
const NAMED: usize = 3;

/// What was said of the files of a set.
#[derive(Debug, Default)]
pub(super) struct Remarks {
    damaged: usize,
    /// The first of them, with what is wrong.
    first: Vec<String>,
    deep_grey: usize,
    misnamed: usize,
    /// One of them, with its format.
    misnamed_first: Option<String>,
}

impl Remarks {
    /// Adds what is said of a file.
    pub fn add(&mut self, path: &Path, remark: Remark) {
        match remark {
            Remark::Oddity(what) => {
                tracing::info!("{}: a damaged image ({what}); decoded all the same", path.display());
                self.damaged += 1;
                if self.first.len() < NAMED {
                    self.first.push(format!("{} ({what})", path.display()));
                }
            }
            Remark::DeepGrey => self.deep_grey += 1,
            Remark::OtherFormat(format) => {
                self.misnamed += 1;
                self.misnamed_first.get_or_insert_with(|| format!("{} ({format})", path.display()));
            }
        }
    }

    /// A sentence for each kind.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let images = |count| format!("{count} {}", if count == 1 { "image is" } else { "images are" });
        if self.damaged > 0 {
            let more = if self.damaged > self.first.len() { ", …" } else { "" };
            notes.push(format!(
                "{} damaged, and decoded as PyTorch's default loader decodes such: {}{more}",
                images(self.damaged),
                self.first.join(", ")
            ));
        }
        if self.deep_grey > 0 {
            notes.push(format!(
                "{} 16-bit grey: values above 255 are white, as in PyTorch's default loader",
                images(self.deep_grey)
            ));
        }
        if let Some(first) = &self.misnamed_first {
            let more = if self.misnamed > 1 { ", …" } else { "" };
            notes.push(format!(
                "{} of another format than the name says: {first}{more}",
                images(self.misnamed)
            ));
        }
        notes
    }
}
