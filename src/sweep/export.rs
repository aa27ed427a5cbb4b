//! From complete journals to the finished tables: `cells.jsonl` and `cells.parquet`.
//!
//! Only one target's cells are in memory at a time. The order of the records is that of the plan: per checkpoint the
//! unfiltered network, then target by target, filter by filter, k ascending; it does not depend on who computed what.

use super::journal::Ledger;
use super::measure::Outcome;
use super::order::Order;
use super::plan::{SweepPlan, TargetPlan, Unit};
use super::record::{CELL_COLUMNS, Cell, Record, WHOLE_CELL_COLUMNS};
use crate::atomic_file::AtomicFile;
use crate::bits::Bits;
use crate::columnar::{Metadata, TableWriter, Value, read_table};
use crate::error::{Error, Result};
use crate::filter::Variant;
use std::collections::HashMap;
use std::io::Write;
use std::ops::Range;
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
    let columns = if plan.settings.sampling.is_some() { CELL_COLUMNS } else { WHOLE_CELL_COLUMNS };
    let laid = Laid::of(plan);
    let mut parquet = TableWriter::create(&folder.join(CELLS_PARQUET), columns, &metadata)?;
    let mut cells = 0;
    let mut write = |records: Vec<Record>| {
        for record in &records {
            serde_json::to_writer(&mut jsonl, &record.cell)
                .map_err(|error| Error::write(&jsonl_path)(error.into()))?;
            jsonl.write_all(b"\n").map_err(Error::write(&jsonl_path))?;
        }
        cells += records.len();
        let row = |record: &Record| record.to_row().into_iter().take(columns.len()).collect();
        parquet.write_rows(&records.iter().map(row).collect::<Vec<_>>())
    };
    for (checkpoint, checkpoint_plan) in plan.checkpoints.iter().enumerate() {
        let unfiltered = joined(plan, ledger, checkpoint, None)?.remove(&None).unwrap_or_default();
        let weights = checkpoint_plan.weights;
        write(vec![record(plan, checkpoint, None, (weights, weights), &unfiltered, &laid)])?;
        for (at, target) in checkpoint_plan.targets.iter().enumerate() {
            let measured = joined(plan, ledger, checkpoint, Some(at))?;
            let variants = target.variants(&plan.settings)?;
            let census = &target.census;
            let records = variants.iter().enumerate().map(|(index, variant)| {
                // A variant that drops nothing is the unfiltered network.
                let found = match census.same_as[index] {
                    None => &unfiltered,
                    Some(same) => measured.get(&Some(same)).ok_or_else(|| {
                        Error::Failed(format!(
                            "checkpoint {checkpoint}, target {at}: variant {same} was not measured"
                        ))
                    })?,
                };
                let kept = (census.kept[index], census.total);
                Ok(record(plan, checkpoint, Some((target, variant)), kept, found, &laid))
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

/// What a network did, and where its images lie, in their order.
#[derive(Default)]
struct Joined {
    outcome: Outcome,
    places: Vec<Range<usize>>,
}

/// What each network of a target did, its blocks joined in order.
fn joined(
    plan: &SweepPlan,
    ledger: &Ledger,
    checkpoint: usize,
    target: Option<usize>,
) -> Result<HashMap<Option<usize>, Joined>> {
    let mut whole: HashMap<Option<usize>, Joined> = HashMap::new();
    for images in plan.blocks() {
        let unit = Unit { checkpoint, images: images.clone(), target };
        // Of a sampled sweep's layer there may be no network that a block is for.
        if plan.networks(&unit).is_empty() {
            continue;
        }
        for (network, outcome) in ledger.load(plan, &unit)? {
            let joined = whole.entry(network).or_default();
            joined.outcome.append(&outcome);
            joined.places.push(images.clone());
        }
    }
    Ok(whole)
}

/// Which image, in file order, lies at each place of a sampled sweep; nothing where all lie in file order.
struct Laid(Option<Vec<usize>>);

impl Laid {
    fn of(plan: &SweepPlan) -> Laid {
        let sampling = plan.settings.sampling.as_ref();
        Laid(sampling.map(|sampling| Order::new(sampling.order_seed, plan.settings.images[1]).laid()))
    }

    /// Bits of correct images, clean and adversarial, in file order, and which images of all they are.
    fn in_file_order(&self, found: &Joined) -> (Bits, Bits, Option<Bits>) {
        let Joined { outcome, places } = found;
        let Some(files) = &self.0 else { return (outcome.clean.clone(), outcome.adv.clone(), None) };
        let mut all = vec![None; files.len()];
        let images = places.iter().cloned().flatten().map(|place| files[place]);
        for (image, bits) in images.zip(outcome.clean.iter().zip(outcome.adv.iter())) {
            all[image] = Some(bits);
        }
        let seen = all.iter().map(Option::is_some).collect();
        let (clean, adv): (Vec<bool>, Vec<bool>) = all.into_iter().flatten().unzip();
        (clean.into_iter().collect(), adv.into_iter().collect(), Some(seen))
    }
}

fn record(
    plan: &SweepPlan,
    checkpoint: usize,
    filtered: Option<(&TargetPlan, &Variant)>,
    (kept, total): (u64, u64),
    found: &Joined,
    laid: &Laid,
) -> Record {
    let (settings, outcome) = (&plan.settings, &found.outcome);
    let (clean, adv, seen) = laid.in_file_order(found);
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
        pool: seen.as_ref().map(Bits::len),
        thin: settings.sampling.as_ref().map(|sampling| sampling.thin),
        order_seed: settings.sampling.as_ref().map(|sampling| sampling.order_seed),
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
    Record { cell, clean, adv, seen }
}
