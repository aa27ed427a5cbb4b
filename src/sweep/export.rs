//! From complete journals to the finished tables: `cells.jsonl` and `cells.parquet`.
//!
//! Only one target's cells are in memory at a time. The order of the records is that of the plan: per checkpoint the
//! unfiltered network, then target by target, filter by filter, k ascending; it does not depend on who computed what.

use super::journal::Ledger;
use super::measure::Outcome;
use super::plan::{SweepPlan, TargetPlan, Unit};
use super::record::{CELL_COLUMNS, Cell, Record};
use crate::atomic_file::AtomicFile;
use crate::columnar::{Metadata, TableWriter, Value, read_table};
use crate::error::{Error, Result};
use crate::filter::Variant;
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

/// One JSON object per cell and line, without the bits.
pub const CELLS_JSONL: &str = "cells.jsonl";
/// One row per cell, with the bits.
pub const CELLS_PARQUET: &str = "cells.parquet";
/// The key under which `cells.parquet` holds the hash of the settings.
pub const HASH_KEY: &str = "synfilter.hash";
/// The key under which `cells.parquet` holds the settings as JSON.
pub const SETTINGS_KEY: &str = "synfilter.settings";

/// Writes both tables of a complete sweep into `folder`; returns the number of cells.
///
/// # Errors
/// A failure if a unit is missing, what [`Ledger::load`] reports, [`Error::Write`].
pub fn export(folder: &Path, plan: &SweepPlan, ledger: &Ledger) -> Result<usize> {
    let jsonl_path = folder.join(CELLS_JSONL);
    let metadata = [(HASH_KEY, plan.hash.clone()), (SETTINGS_KEY, plan.settings.canonical_json())];
    let mut jsonl = AtomicFile::create(&jsonl_path)?;
    let mut parquet = TableWriter::create(&folder.join(CELLS_PARQUET), CELL_COLUMNS, &metadata)?;
    let mut cells = 0;
    let mut write = |records: Vec<Record>| {
        for record in &records {
            serde_json::to_writer(&mut jsonl, &record.cell)
                .map_err(|error| Error::write(&jsonl_path)(error.into()))?;
            jsonl.write_all(b"\n").map_err(Error::write(&jsonl_path))?;
        }
        cells += records.len();
        parquet.write_rows(&records.iter().map(Record::to_row).collect::<Vec<_>>())
    };
    for (checkpoint, checkpoint_plan) in plan.checkpoints.iter().enumerate() {
        let unfiltered = joined(plan, ledger, checkpoint, None)?.remove(&None).unwrap_or_default();
        let weights = checkpoint_plan.weights;
        write(vec![record(plan, checkpoint, None, (weights, weights), &unfiltered)])?;
        for (at, target) in checkpoint_plan.targets.iter().enumerate() {
            let outcomes = joined(plan, ledger, checkpoint, Some(at))?;
            let variants = target.variants(&plan.settings)?;
            let census = &target.census;
            let records = variants.iter().enumerate().map(|(index, variant)| {
                // A variant that drops nothing is the unfiltered network.
                let outcome = match census.same_as[index] {
                    None => &unfiltered,
                    Some(same) => outcomes.get(&Some(same)).ok_or_else(|| {
                        Error::Failed(format!(
                            "checkpoint {checkpoint}, target {at}: variant {same} was not measured"
                        ))
                    })?,
                };
                let kept = (census.kept[index], census.total);
                Ok(record(plan, checkpoint, Some((target, variant)), kept, outcome))
            });
            write(records.collect::<Result<_>>()?)?;
        }
    }
    jsonl.commit()?;
    parquet.finish()?;
    Ok(cells)
}

/// Whether the folder of a run has its tables: its sweep is finished.
pub fn is_finished(folder: &Path) -> bool {
    folder.join(CELLS_PARQUET).exists()
}

/// What a run is refused with whose sweep is not finished.
pub fn unfinished(folder: &Path) -> Error {
    let found = "none: the sweep is not finished (sweep --resume goes on, merge joins shards)";
    Error::input(folder, "finished tables", CELLS_PARQUET, found)
}

/// Reads `cells.parquet`: its key-value pairs and its records, in order.
///
/// # Errors
/// [`Error::Read`], or an input error that names the row and the column.
pub fn read_cells(path: &Path) -> Result<(Metadata, Vec<Record>)> {
    let (metadata, rows) = read_table(path, CELL_COLUMNS)?;
    let record = |(at, row): (usize, Vec<Value>)| {
        Record::from_row(row).map_err(|column| {
            Error::input(path, format!("row {at}, {column}"), "a value that fits the cell", "another")
        })
    };
    Ok((metadata, rows.into_iter().enumerate().map(record).collect::<Result<_>>()?))
}

/// What each network of a target did on all images, its blocks joined in order.
fn joined(
    plan: &SweepPlan,
    ledger: &Ledger,
    checkpoint: usize,
    target: Option<usize>,
) -> Result<HashMap<Option<usize>, Outcome>> {
    let mut whole: HashMap<Option<usize>, Outcome> = HashMap::new();
    for images in plan.blocks() {
        for (network, outcome) in ledger.load(plan, &Unit { checkpoint, images, target })? {
            whole.entry(network).or_default().append(&outcome);
        }
    }
    Ok(whole)
}

fn record(
    plan: &SweepPlan,
    checkpoint: usize,
    filtered: Option<(&TargetPlan, &Variant)>,
    (kept, total): (u64, u64),
    outcome: &Outcome,
) -> Record {
    let settings = &plan.settings;
    let (target, variant) = filtered.unzip();
    let cell = Cell {
        checkpoint: settings.checkpoints[checkpoint].sha256.clone(),
        arch: settings.arch.clone(),
        stem: settings.stem,
        dataset: settings.dataset.clone(),
        epoch: settings.checkpoints[checkpoint].epoch,
        seed: settings.checkpoints[checkpoint].seed,
        scope: settings.scope,
        layer: target.and_then(|target| target.layer.clone()),
        layer_index: target.and_then(|target| target.layer_index),
        channel: target.and_then(|target| target.channel),
        filter: variant.map(|variant| variant.filter),
        k: variant.map(|variant| variant.k),
        alpha: variant.map(|variant| variant.alpha),
        kept,
        total,
        images: outcome.images,
        correct_clean: outcome.clean.count_ones(),
        correct_adv: outcome.adv.count_ones(),
        loss_clean: outcome.loss_clean.mean(outcome.images),
        loss_adv: outcome.loss_adv.mean(outcome.images),
        eps: settings.eps,
        attack: settings.attack,
        pgd_steps: settings.pgd.map(|pgd| pgd.steps),
        pgd_step_size: settings.method().step_size(settings.eps),
        pgd_seed: settings.pgd.and_then(|pgd| pgd.seed),
        dtype: settings.dtype.clone(),
    };
    Record { cell, clean: outcome.clean.clone(), adv: outcome.adv.clone() }
}
