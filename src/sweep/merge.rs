//! Joins the run folders of shards into one finished run.

use super::dir::RunFile;
use super::export::export;
use super::journal::{Ledger, journals_in, line};
use super::plan::{SweepPlan, Unit};
use super::shard::Shard;
use crate::atomic_file::AtomicFile;
use crate::error::{Error, Result};
use crate::provenance::Provenance;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// How many missing units an error names one by one.
const NAMED: usize = 3;

/// Joins the runs in the folders `parts` into the folder `out`: the same files as one uninterrupted run of the whole
/// sweep. Returns the number of cells.
///
/// # Errors
/// A usage error if there is no part, a part is no run, parts differ in their settings (naming the first) or image
/// block, or `out` has a run already; a failure that counts and names the missing units and the shards that owe
/// them; an input error for damaged parts; [`Error::Write`].
pub fn merge(parts: &[PathBuf], out: &Path, provenance: Provenance) -> Result<usize> {
    let Some(first) = parts.first() else {
        return Err(Error::usage("merge: expected at least one run folder, found none"));
    };
    let mut runs = Vec::new();
    for part in parts {
        let run = RunFile::read(part)?.ok_or_else(|| {
            Error::usage(format!(
                "{}: expected the folder of a run, found no {}",
                part.display(),
                RunFile::NAME
            ))
        })?;
        runs.push(run);
    }
    for (part, run) in parts.iter().zip(&runs) {
        let difference = runs[0].settings.first_difference(&run.settings).or_else(|| {
            (run.block != runs[0].block)
                .then(|| format!("image block: expected {}, found {}", runs[0].block, run.block))
        });
        if let Some(difference) = difference {
            let (a, b) = (first.display(), part.display());
            return Err(Error::usage(format!("{b}: another configuration than {a}: {difference}")));
        }
        if run.plan != runs[0].plan {
            let expected = format!("the plan of {}", first.display());
            return Err(Error::input(part.join(RunFile::NAME), "plan", expected, "another"));
        }
    }
    let input = runs[0].input.clone();
    let merged_from = runs.iter().map(|run| run.provenance.clone()).collect();
    let plan = runs.swap_remove(0).into_plan(first)?;

    let folders: Vec<&Path> = parts.iter().map(PathBuf::as_path).collect();
    let ledger = Ledger::read(&folders, &plan)?;
    let units = plan.units();
    let missing: Vec<&Unit> = units.iter().filter(|unit| !ledger.has(unit)).collect();
    if !missing.is_empty() {
        return Err(Error::Failed(describe_missing(&plan, &folders, &ledger, &missing, units.len())?));
    }

    fs::create_dir_all(out).map_err(Error::write(out))?;
    if RunFile::read(out)?.is_some() || !journals_in(out)?.is_empty() {
        return Err(Error::usage(format!("{}: expected a folder without a run, found one", out.display())));
    }
    // The journal first and run.json last: what is not finished is not taken for a run.
    let path = out.join(Shard::WHOLE.journal_name());
    let mut journal = AtomicFile::create(&path)?;
    for unit in &units {
        let line = line(&plan, unit, &ledger.load(&plan, unit)?);
        journal.write_all(line.as_bytes()).map_err(Error::write(&path))?;
    }
    let cells = export(out, &plan, &ledger)?;
    journal.commit()?;
    RunFile::new(&plan, provenance, input, merged_from).write_new(out)?;
    Ok(cells)
}

/// "12 of 40 units are missing: …; shards that are not finished: 2/3 (no journal)".
fn describe_missing(
    plan: &SweepPlan,
    folders: &[&Path],
    ledger: &Ledger,
    missing: &[&Unit],
    units: usize,
) -> Result<String> {
    let mut journals = BTreeSet::new();
    for folder in folders {
        journals.extend(journals_in(folder)?.into_iter().map(|(_, shard)| (shard.count(), shard.index())));
    }
    let divisions: BTreeSet<usize> = journals.iter().map(|(count, _)| *count).collect();
    let shards = divisions.into_iter().flat_map(Shard::all).filter_map(|shard| {
        let units = plan.shard_units(shard);
        let found = units.iter().filter(|unit| ledger.has(unit)).count();
        let started = journals.contains(&(shard.count(), shard.index()));
        match (found == units.len(), started) {
            (true, _) => None,
            (false, true) => Some(format!("{shard} ({found} of {} units)", units.len())),
            (false, false) => Some(format!("{shard} (no journal)")),
        }
    });
    let shards: Vec<String> = shards.collect();
    let mut named: Vec<String> = missing.iter().take(NAMED).map(|unit| plan.describe(unit)).collect();
    if missing.len() > NAMED {
        named.push(format!("and {} more", missing.len() - NAMED));
    }
    let mut text = format!("{} of {units} units are missing: {}", missing.len(), named.join("; "));
    if !shards.is_empty() {
        text += &format!("; unfinished shards: {}", shards.join(", "));
    }
    Ok(text)
}
