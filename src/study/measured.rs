//! Which test images the sweeps of a study measure on.

use super::spec::Spec;
use super::steps::Folders;
use crate::data::{Choice, How};
use crate::error::{Error, Result};
use crate::security::Unfinished;
use crate::sweep::dir::RunFile;
use serde_json::Value;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

impl Spec {
    /// Which of the test images of a data set, by position, sweeps measure on, if not all.
    pub fn choice(&self, data: usize) -> Option<Choice> {
        let how = match self.data[data].in_file_order {
            true => How::First,
            false => self.sweep.pick.unwrap_or(How::Stratified),
        };
        let seed = self.sweep.pick_seed.unwrap_or_default();
        self.sweep.images.as_ref().map(|images| Choice { images: images.value, how, seed })
    }

    /// Looks into the folder of the study: where measurements of a data set were begun when all were of the first images in
    /// file order, they go on with these, unless the study asks for a choice.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::Input`] for files that this program did not write.
    pub fn keep_file_order(&mut self) -> Result<()> {
        if self.sweep.images.is_none() || self.sweep.pick.is_some() || self.sweep.pick_seed.is_some() {
            return Ok(());
        }
        for data in 0..self.data.len() {
            let mut found = Vec::new();
            for network in (0..self.networks.len()).filter(|&at| self.networks[at].data == data) {
                found.extend(self.choices_of(network)?);
            }
            self.data[data].in_file_order = !found.is_empty() && !found.contains(&true);
        }
        Ok(())
    }

    /// For everything that was measured of a network, finished or not, whether its images were chosen.
    fn choices_of(&self, network: usize) -> Result<Vec<bool>> {
        let folders = Folders::of(self, network);
        let mut found = Vec::new();
        for (epoch, _) in &self.networks[network].epochs {
            let folder = folders.sweep(*epoch);
            found.extend(recorded(folder.join("study-sweep.json"))?);
            let run = if folder.is_dir() { RunFile::read(&folder)? } else { None };
            found.extend(run.map(|run| run.settings.pick.is_some()));
        }
        found.extend(recorded(folders.eps().join("study-eps.json"))?);
        found.extend(recorded(folders.attack().join("study-attack.json"))?);
        if Unfinished::in_file_order(&folders.attack())? {
            found.push(false);
        }
        Ok(found)
    }
}

/// Whether images were chosen in a step with this record, if there is one and it was of a part of the images.
fn recorded(path: PathBuf) -> Result<Option<bool>> {
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::read(&path)(error)),
    };
    let record: Value = serde_json::from_slice(&text)
        .map_err(|error| Error::input(&path, "content", "the record of a study's step", error))?;
    let settings = &record["settings"];
    Ok((!settings["images"].is_null()).then(|| !settings["pick"].is_null()))
}
