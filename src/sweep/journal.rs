//! The journal: every finished unit, one line of JSON each, on the disk before the next unit starts.
//!
//! ```json
//! {"config":"<hash>","checkpoint":0,"images":[0,512],"target":3,"outcomes":[
//!   {"variant":7,"clean":"<bits, hexadecimal>","adv":"...","loss_clean":<units of 2^-24>,"loss_adv":...},...]}
//! ```
//!
//! A process that dies while it appends leaves a last line without its line end. That line never counted: readers
//! pass over it, and whoever resumes the journal cuts it off first.

use super::measure::Outcome;
use super::plan::{SweepPlan, Unit};
use super::shard::Shard;
use crate::bits::{Bits, FixedSum};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What the networks of one unit did, by their index in the census; `None` is the unfiltered network.
pub type UnitOutcomes = Vec<(Option<usize>, Outcome)>;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    config: String,
    checkpoint: usize,
    images: [usize; 2],
    target: Option<usize>,
    outcomes: Vec<LineOutcome>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LineOutcome {
    variant: Option<usize>,
    clean: String,
    adv: String,
    loss_clean: i64,
    loss_adv: i64,
}

/// The journal that this process appends to. It is locked as long as it is open.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Where the last whole line ends.
    end: u64,
}

impl Journal {
    /// Creates the journal `path`, or with `resume` goes on with it, a torn last line cut off.
    ///
    /// # Errors
    /// A usage error if it exists and `resume` is not given, a failure if another process has it open, an input
    /// error for lines that are not of this plan, [`Error::Write`].
    pub fn open(path: &Path, plan: &SweepPlan, resume: bool) -> Result<Journal> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let opened =
            if resume { options.create(true).open(path) } else { options.create_new(true).open(path) };
        let mut file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let what = "is the journal of a run that was already started; pass --resume to go on with it";
                return Err(Error::usage(format!("{}: {what}", path.display())));
            }
            Err(error) => return Err(Error::write(path)(error)),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Failed(format!(
                    "{}: another process is writing this shard",
                    path.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(Error::write(path)(error)),
        }
        let end = scan(path, plan, &mut |_, _| Ok(()))?;
        file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end))).map_err(Error::write(path))?;
        file.sync_all().map_err(Error::write(path))?;
        crate::atomic_file::sync_folder_of(path)?;
        Ok(Journal { path: path.to_owned(), file, end })
    }

    /// Appends a finished unit; when this returns, it is on the disk.
    ///
    /// # Errors
    /// [`Error::Write`]; the journal still ends with its last whole line.
    pub fn append(&mut self, plan: &SweepPlan, unit: &Unit, outcomes: &UnitOutcomes) -> Result<()> {
        let line = line(plan, unit, outcomes);
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Best effort: a torn line that stays is cut off by whoever resumes.
            let _ = self.file.set_len(self.end);
            return Err(Error::write(&self.path)(error));
        }
        self.end += line.len() as u64;
        Ok(())
    }
}

/// The line of a unit, with its line end.
pub fn line(plan: &SweepPlan, unit: &Unit, outcomes: &UnitOutcomes) -> String {
    let outcomes = outcomes.iter().map(|(variant, outcome)| LineOutcome {
        variant: *variant,
        clean: outcome.clean.to_hex(),
        adv: outcome.adv.to_hex(),
        loss_clean: outcome.loss_clean.units(),
        loss_adv: outcome.loss_adv.units(),
    });
    let line = Line {
        config: plan.hash.clone(),
        checkpoint: unit.checkpoint,
        images: [unit.images.start, unit.images.end],
        target: unit.target,
        outcomes: outcomes.collect(),
    };
    // Text keys and whole numbers: there is nothing that serde_json could refuse.
    serde_json::to_string(&line).unwrap_or_default() + "\n"
}

/// Which units are finished, over all journals of some run folders, and where their lines are.
#[derive(Debug)]
pub struct Ledger {
    files: Vec<PathBuf>,
    lines: HashMap<Unit, (usize, Range<u64>)>,
}

impl Ledger {
    /// Reads all journals in `folders`. Torn last lines (another process may be writing) are passed over.
    ///
    /// # Errors
    /// [`Error::Read`]; an input error for a line that is not of this plan, and for two lines that tell different
    /// things about one unit.
    pub fn read(folders: &[&Path], plan: &SweepPlan) -> Result<Ledger> {
        let mut ledger = Ledger { files: Vec::new(), lines: HashMap::new() };
        for folder in folders {
            for (path, _) in journals_in(folder)? {
                let at = ledger.files.len();
                ledger.files.push(path);
                let path = ledger.files[at].clone();
                scan(&path, plan, &mut |unit, place| ledger.insert(unit, at, place))?;
            }
        }
        Ok(ledger)
    }

    fn insert(&mut self, unit: Unit, file: usize, place: Range<u64>) -> Result<()> {
        if let Some((earlier, at)) = self.lines.get(&unit) {
            let (a, b) = (self.bytes(*earlier, at)?, self.bytes(file, &place)?);
            if a != b {
                let expected =
                    format!("the result that {} has for the same unit", self.files[*earlier].display());
                let place = format!("byte {}", place.start);
                return Err(Error::input(&self.files[file], place, expected, "another"));
            }
        }
        self.lines.entry(unit).or_insert((file, place));
        Ok(())
    }

    fn bytes(&self, file: usize, place: &Range<u64>) -> Result<Vec<u8>> {
        let path = &self.files[file];
        let read = || {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(place.start))?;
            let mut bytes = vec![0; (place.end - place.start) as usize];
            file.read_exact(&mut bytes).map(|()| bytes)
        };
        read().map_err(Error::read(path))
    }

    /// Whether the unit is finished.
    pub fn has(&self, unit: &Unit) -> bool {
        self.lines.contains_key(unit)
    }

    /// What the networks of a finished unit did.
    ///
    /// # Errors
    /// A failure if the unit is not finished; [`Error::Read`] or an input error if its line is no longer there.
    pub fn load(&self, plan: &SweepPlan, unit: &Unit) -> Result<UnitOutcomes> {
        let (file, place) = self
            .lines
            .get(unit)
            .ok_or_else(|| Error::Failed(format!("not finished: {}", plan.describe(unit))))?;
        let place_name = format!("byte {}", place.start);
        parse(&self.bytes(*file, place)?, plan, &self.files[*file], &place_name).map(|(_, outcomes)| outcomes)
    }
}

/// The journals in a folder with their shards, in order.
///
/// # Errors
/// [`Error::Read`].
pub fn journals_in(folder: &Path) -> Result<Vec<(PathBuf, Shard)>> {
    let mut journals = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::read(folder))? {
        let name = entry.map_err(Error::read(folder))?.file_name();
        if let Some(shard) = name.to_str().and_then(Shard::of_journal) {
            journals.push((folder.join(&name), shard));
        }
    }
    journals.sort_by_key(|(_, shard)| (shard.count(), shard.index()));
    Ok(journals)
}

/// Reads and checks every whole line of a journal; `each` gets its unit and its bytes' place. Returns where the last
/// whole line ends.
fn scan(path: &Path, plan: &SweepPlan, each: &mut dyn FnMut(Unit, Range<u64>) -> Result<()>) -> Result<u64> {
    let mut reader = BufReader::new(File::open(path).map_err(Error::read(path))?);
    let (mut bytes, mut end) = (Vec::new(), 0);
    for number in 1.. {
        bytes.clear();
        reader.read_until(b'\n', &mut bytes).map_err(Error::read(path))?;
        if bytes.last() != Some(&b'\n') {
            break;
        }
        let (unit, _) = parse(&bytes, plan, path, &format!("line {number}"))?;
        let start = end;
        end += bytes.len() as u64;
        each(unit, start..end)?;
    }
    Ok(end)
}

/// A line of the journal, checked against the plan: its configuration, its unit, its networks and their images.
fn parse(bytes: &[u8], plan: &SweepPlan, path: &Path, place: &str) -> Result<(Unit, UnitOutcomes)> {
    let bad = |expected: &dyn std::fmt::Display, found: &dyn std::fmt::Display| {
        Error::input(path, place, expected, found)
    };
    let line: Line = serde_json::from_slice(bytes).map_err(|error| bad(&"a finished unit", &error))?;
    if line.config != plan.hash {
        return Err(bad(&format!("configuration {}", plan.hash), &format!("configuration {}", line.config)));
    }
    let [start, end] = line.images;
    let unit = Unit { checkpoint: line.checkpoint, images: start..end, target: line.target };
    if !plan.has(&unit) {
        let expected = format!("a unit of this plan, in blocks of {} images", plan.block);
        let found =
            format!("checkpoint {}, images {start}..{end}, target {:?}", unit.checkpoint, unit.target);
        return Err(bad(&expected, &found));
    }
    let found: Vec<Option<usize>> = line.outcomes.iter().map(|outcome| outcome.variant).collect();
    let expected = plan.networks(&unit);
    if found != expected {
        return Err(bad(&format!("variants {expected:?}"), &format!("{found:?}")));
    }
    let images = unit.images.len();
    let outcome = |stored: &LineOutcome| {
        Some(Outcome {
            images,
            clean: Bits::from_hex(images, &stored.clean)?,
            adv: Bits::from_hex(images, &stored.adv)?,
            loss_clean: FixedSum::from_units(stored.loss_clean)?,
            loss_adv: FixedSum::from_units(stored.loss_adv)?,
        })
    };
    let outcomes = line.outcomes.iter().map(|stored| {
        let what = format!("{images} bits twice and two sums for variant {:?}", stored.variant);
        Ok((stored.variant, outcome(stored).ok_or_else(|| bad(&what, &"others"))?))
    });
    let outcomes = outcomes.collect::<Result<UnitOutcomes>>()?;
    Ok((unit, outcomes))
}
