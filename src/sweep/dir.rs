//! The folder of a run: `run.json` says what it holds, so that nothing else is ever mixed in.

use super::journal::{Journal, journals_in};
use super::plan::{CheckpointPlan, SweepPlan};
use super::record::SweepSettings;
use super::shard::Shard;
use crate::atomic_file::AtomicFile;
use crate::error::{Error, Result};
use crate::input::Input;
use crate::provenance::Provenance;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// What `run.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFile {
    /// Hash of the settings.
    pub hash: String,
    /// The settings.
    pub settings: SweepSettings,
    /// Images per block.
    pub block: usize,
    /// How the run came about.
    pub provenance: Provenance,
    /// What was read; runs of versions that did not tell have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Input>,
    /// For a merged run: how its parts came about.
    pub merged_from: Vec<Provenance>,
    /// The plan of each checkpoint.
    pub plan: Vec<CheckpointPlan>,
}

impl RunFile {
    /// The name of the file in a run's folder.
    pub const NAME: &str = "run.json";

    /// The file of a run of `plan`.
    pub fn new(
        plan: &SweepPlan,
        provenance: Provenance,
        input: Option<Input>,
        merged_from: Vec<Provenance>,
    ) -> RunFile {
        RunFile {
            hash: plan.hash.clone(),
            settings: plan.settings.clone(),
            block: plan.block,
            provenance,
            input,
            merged_from,
            plan: plan.checkpoints.clone(),
        }
    }

    /// Reads the `run.json` of a folder; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Read`], or an input error if it is not what this program wrote.
    pub fn read(folder: &Path) -> Result<Option<RunFile>> {
        let path = folder.join(RunFile::NAME);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::read(&path)(error)),
        };
        let run: RunFile = serde_json::from_slice(&text)
            .map_err(|error| Error::input(&path, "content", "the settings of a run", error))?;
        if run.hash != run.settings.hash() {
            return Err(Error::input(&path, "hash", run.settings.hash(), &run.hash));
        }
        Ok(Some(run))
    }

    /// The plan of the run.
    ///
    /// # Errors
    /// An input error naming `folder` if the file's parts contradict one another.
    pub fn into_plan(self, folder: &Path) -> Result<SweepPlan> {
        SweepPlan::new(self.settings, self.block, self.plan).map_err(|error| {
            Error::input(folder.join(RunFile::NAME), "plan", "one that fits the settings", error)
        })
    }

    /// The file's text: settings and provenance for people to read, the plan's many numbers a line per checkpoint.
    fn to_text(&self) -> serde_json::Result<String> {
        let RunFile { hash, settings, block, provenance, input, merged_from, plan } = self;
        let input = match input {
            Some(input) => format!("\"input\": {},\n", serde_json::to_string_pretty(input)?),
            None => String::new(),
        };
        let plan = plan.iter().map(serde_json::to_string).collect::<serde_json::Result<Vec<_>>>()?;
        Ok(format!(
            "{{\n\"hash\": \"{hash}\",\n\"settings\": {},\n\"block\": {block},\n\"provenance\": {},\n{input}\"merged_from\": {},\n\"plan\": [\n{}\n]\n}}\n",
            serde_json::to_string_pretty(settings)?,
            serde_json::to_string_pretty(provenance)?,
            serde_json::to_string_pretty(merged_from)?,
            plan.join(",\n")
        ))
    }

    /// Writes the file into `folder`, unless there is one; says whether it did.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write_new(&self, folder: &Path) -> Result<bool> {
        let path = folder.join(RunFile::NAME);
        let text = self.to_text().map_err(|error| Error::write(&path)(error.into()))?;
        let mut file = AtomicFile::create(&path)?;
        file.write_all(text.as_bytes()).map_err(Error::write(&path))?;
        file.commit_new()
    }
}

/// The folder of a run, open for one shard.
#[derive(Debug)]
pub struct RunDir {
    /// The folder.
    pub path: PathBuf,
    /// The shard.
    pub shard: Shard,
    /// The shard's journal.
    pub journal: Journal,
}

impl RunDir {
    /// Makes or takes up the folder `path` for `shard` of `plan`. Several shards may share a folder. If the folder
    /// has a run already, its image block becomes the plan's.
    ///
    /// # Errors
    /// A usage error if the folder holds a run with other settings, naming the first that differs, or if this
    /// shard (or one of another division) was started in it and `resume` is not given; see also [`Journal::open`].
    pub fn open(
        path: &Path,
        plan: &mut SweepPlan,
        shard: Shard,
        resume: bool,
        provenance: Provenance,
        input: Option<Input>,
    ) -> Result<RunDir> {
        fs::create_dir_all(path).map_err(Error::write(path))?;
        let ours = RunFile::new(plan, provenance, input, Vec::new());
        let found = match RunFile::read(path)? {
            Some(found) => Some(found),
            None if ours.write_new(path)? => None,
            // Another shard was quicker.
            None => RunFile::read(path)?,
        };
        if let Some(found) = found {
            let name = path.join(RunFile::NAME);
            if let Some(difference) = plan.settings.first_difference(&found.settings) {
                let what = format!("{}: holds a run with another configuration", path.display());
                return Err(Error::usage(format!("{what}: {difference}")));
            }
            if found.plan != plan.checkpoints {
                return Err(Error::input(&name, "plan", "the plan of these checkpoints", "another"));
            }
            *plan = SweepPlan::new(plan.settings.clone(), found.block, found.plan)
                .map_err(|error| Error::input(&name, "block", "a size that can be", error))?;
        }
        let other_division = journals_in(path)?.into_iter().find(|(_, found)| found.count() != shard.count());
        if let (Some((_, found)), false) = (other_division, resume) {
            return Err(Error::usage(format!(
                "{}: holds shard {found} of a run that was already started; pass --resume to go on with it",
                path.display()
            )));
        }
        let journal = Journal::open(&path.join(shard.journal_name()), plan, resume)?;
        Ok(RunDir { path: path.to_owned(), shard, journal })
    }
}
