//! Runs the units of a shard, one after the other, and keeps each as soon as it is finished.

use super::dir::RunDir;
use super::export::export;
use super::journal::{Ledger, UnitOutcomes};
use super::measure::{Measure, Outcome};
use super::plan::{SweepPlan, Unit};
use super::shard::Shard;
use crate::error::{Error, Result};
use crate::filter::Mask;
use crate::input::Input;
use crate::provenance::Provenance;
use std::ops::Range;
use std::path::Path;

/// How far a run is.
#[derive(Clone, Debug)]
pub struct SweepProgress<'p> {
    /// The unit at hand.
    pub unit: &'p Unit,
    /// What it filters, in words.
    pub target: &'p str,
    /// Finished units of this shard, those found in journals included.
    pub units_done: usize,
    /// Units of this shard.
    pub units: usize,
    /// Images times networks measured by this process.
    pub network_images_done: u64,
    /// Images times networks that this process has to measure.
    pub network_images: u64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Units of this shard, all finished.
    pub units: usize,
    /// Units of the whole sweep that no journal in the folder has; other shards owe them.
    pub missing: usize,
    /// Cells written, if no unit is missing.
    pub cells: Option<usize>,
}

/// Where a sweep is kept, and how it came about.
#[derive(Clone, Debug)]
pub struct Keep<'j> {
    /// The folder of the run.
    pub folder: &'j Path,
    /// The share of the units.
    pub shard: Shard,
    /// Whether to go on with what is there.
    pub resume: bool,
    /// How the run came about.
    pub provenance: Provenance,
    /// What was read.
    pub input: Option<Input>,
}

/// Sweeps one shard of `plan` in a run folder. `open` makes the [`Measure`] of a checkpoint (by position) when its
/// first unit is due; the one before it is dropped first. When the folder has all units of all shards, the finished
/// tables are written. The image block of an existing run replaces the plan's.
///
/// # Errors
/// [`Error::Interrupted`] soon after `stop` becomes true, with every finished unit kept; whatever
/// [`RunDir::open`], the measure or the journal report.
pub fn sweep<'m>(
    keep: Keep<'_>,
    plan: &mut SweepPlan,
    open: &mut dyn FnMut(usize) -> Result<Box<dyn Measure + 'm>>,
    progress: &mut dyn FnMut(&SweepProgress),
    stop: &dyn Fn() -> bool,
) -> Result<Finished> {
    let mut dir = RunDir::open(keep.folder, plan, keep.shard, keep.resume, keep.provenance, keep.input)?;
    run(plan, &mut dir, open, progress, stop)?;

    let ledger = Ledger::read(&[keep.folder], plan)?;
    let missing = plan.units().iter().filter(|unit| !ledger.has(unit)).count();
    let cells = if missing == 0 { Some(export(keep.folder, plan, &ledger)?) } else { None };
    Ok(Finished { units: plan.shard_units(keep.shard).len(), missing, cells })
}

/// Computes the shard's units that no journal in its folder has.
fn run<'m>(
    plan: &SweepPlan,
    dir: &mut RunDir,
    open: &mut dyn FnMut(usize) -> Result<Box<dyn Measure + 'm>>,
    progress: &mut dyn FnMut(&SweepProgress),
    stop: &dyn Fn() -> bool,
) -> Result<()> {
    let ledger = Ledger::read(&[&dir.path], plan)?;
    let units = plan.shard_units(dir.shard);
    let pending: Vec<&Unit> = units.iter().filter(|unit| !ledger.has(unit)).collect();
    let work = |unit: &Unit| (plan.networks(unit).len() * unit.images.len()) as u64;
    let network_images = pending.iter().map(|unit| work(unit)).sum();
    let (mut done, mut units_done) = (0, units.len() - pending.len());

    let mut current: Option<Loaded<'m>> = None;
    for unit in pending {
        let target = unit.target.map(|at| plan.checkpoints[unit.checkpoint].targets[at].name());
        let target = target.as_deref().unwrap_or("unfiltered network");
        let mut report = |units_done, network_images_done| {
            let units = units.len();
            progress(&SweepProgress { unit, target, units_done, units, network_images_done, network_images });
        };
        if stop() {
            return Err(Error::Interrupted);
        }
        if current.as_ref().is_none_or(|loaded| loaded.checkpoint != unit.checkpoint) {
            // Drop the old network before the new one takes memory.
            drop(current.take());
            current =
                Some(Loaded { checkpoint: unit.checkpoint, measure: open(unit.checkpoint)?, block: None });
        }
        let Some(loaded) = current.as_mut() else { continue };
        let base = loaded.begin_block(&unit.images)?;
        let outcomes = match unit.target {
            None => vec![(None, base)],
            Some(target) => {
                let mut after_each = || {
                    done += unit.images.len() as u64;
                    report(units_done, done);
                };
                measure_target(plan, unit, target, loaded.measure.as_mut(), &mut after_each, stop)?
            }
        };
        dir.journal.append(plan, unit, &outcomes)?;
        units_done += 1;
        if unit.target.is_none() {
            done += unit.images.len() as u64;
        }
        report(units_done, done);
    }
    Ok(())
}

/// A checkpoint's network with its current block of images and what the unfiltered network did on it.
struct Loaded<'m> {
    checkpoint: usize,
    measure: Box<dyn Measure + 'm>,
    block: Option<(Range<usize>, Outcome)>,
}

impl Loaded<'_> {
    /// Makes `images` the current block unless it is; returns what the unfiltered network did on it.
    fn begin_block(&mut self, images: &Range<usize>) -> Result<Outcome> {
        match &self.block {
            Some((block, base)) if block == images => Ok(base.clone()),
            _ => {
                let base = checked(self.measure.begin_block(images.clone())?, images)?;
                self.block = Some((images.clone(), base.clone()));
                Ok(base)
            }
        }
    }
}

/// Measures the distinct variants of one target on the current block.
fn measure_target(
    plan: &SweepPlan,
    unit: &Unit,
    target: usize,
    measure: &mut dyn Measure,
    after_each: &mut dyn FnMut(),
    stop: &dyn Fn() -> bool,
) -> Result<UnitOutcomes> {
    let target = &plan.checkpoints[unit.checkpoint].targets[target];
    let variants = target.variants(&plan.settings)?;
    let indices: Vec<usize> = plan.networks(unit).into_iter().flatten().collect();
    let masks: Vec<Mask> = indices.iter().map(|&index| variants[index].mask).collect();
    measure.begin_target(&target.target())?;
    let measured = measure.variants(&masks, &mut || {
        after_each();
        if stop() { Err(Error::Interrupted) } else { Ok(()) }
    });
    measure.end_target()?;
    let mut outcomes = UnitOutcomes::new();
    for (index, outcome) in indices.into_iter().zip(measured?) {
        outcomes.push((Some(index), checked(outcome, &unit.images)?));
    }
    Ok(outcomes)
}

/// The outcome, if it is one of as many images as the block has.
fn checked(outcome: Outcome, images: &Range<usize>) -> Result<Outcome> {
    if outcome.images == images.len() && outcome.is_consistent() {
        return Ok(outcome);
    }
    Err(Error::Failed(format!(
        "measure: expected an outcome of {} images, found {} ({} clean bits, {} adversarial)",
        images.len(),
        outcome.images,
        outcome.clean.len(),
        outcome.adv.len()
    )))
}
