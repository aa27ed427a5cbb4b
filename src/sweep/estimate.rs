//! How long a sweep would take: a few of its steps are run, the others are put between them.

use super::plan::{BN_BATCH, TargetPlan};
use super::{BnMode, Engine, Measure, Shard, SweepPlan};
use crate::backend::{Backend, SLAB};
use crate::error::Result;
use std::ops::Range;
use std::time::Instant;

/// Targets that are measured.
const SAMPLES: usize = 5;

/// Seconds that the shard would take, from variants of a few layers (spread over the network: deep layers leave
/// less to compute again) on one group of images per thread, or on a block where a device takes it whole. `engine` is
/// that of the first checkpoint.
///
/// # Errors
/// Those of the engine.
pub(super) fn seconds<B: Backend>(plan: &SweepPlan, shard: Shard, engine: &mut Engine<B>) -> Result<f64> {
    let targets = &plan.checkpoints[0].targets;
    let [first, end] = plan.settings.images;
    let group = if plan.settings.bn == BnMode::Batch { BN_BATCH } else { SLAB };
    // What one variant computes at a time, so that it fills the device.
    let most = if B::CONCURRENT { group * rayon::current_num_threads() } else { plan.block };
    let images = first..end.min(first + most);
    let base = time_base(engine, &images)?;

    // Channels of one layer take equally long: the layers are what is sampled.
    let layers: Vec<&[TargetPlan]> = targets.chunk_by(|a, b| a.layer == b.layer).collect();
    let last = layers.len() - 1;
    let mut sampled: Vec<usize> = (0..SAMPLES).map(|i| i * last / (SAMPLES - 1)).collect();
    sampled.dedup();
    let mut measured = Vec::new();
    for at in sampled {
        measured.push((at, time_variant(plan, &layers[at][0], engine)?));
    }
    let per_variant: Vec<f64> = layers
        .iter()
        .enumerate()
        .flat_map(|(at, layer)| std::iter::repeat_n(between(&measured, at), layer.len()))
        .collect();

    let units = plan.shard_units(shard);
    let total: f64 = units
        .iter()
        .map(|unit| {
            let time = unit.target.map_or(base, |at| per_variant[at]);
            time * plan.networks(unit).len() as f64 * unit.images.len() as f64
        })
        .sum();
    Ok(total / images.len() as f64)
}

/// Seconds of the unfiltered network on `images`, which become the current block.
fn time_base<B: Backend>(engine: &mut Engine<B>, images: &Range<usize>) -> Result<f64> {
    // The first run also pays for memory that later ones find.
    engine.begin_block(images.clone())?;
    let started = Instant::now();
    engine.begin_block(images.clone())?;
    Ok(started.elapsed().as_secs_f64())
}

/// Seconds of one variant on the current block: the middle one of the distinct.
fn time_variant<B: Backend>(plan: &SweepPlan, target: &TargetPlan, engine: &mut Engine<B>) -> Result<f64> {
    let variants = target.variants(&plan.settings)?;
    let distinct = target.census.distinct();
    let Some(&middle) = distinct.get(distinct.len() / 2) else { return Ok(0.0) };
    engine.begin_target(&target.target())?;
    engine.variant(&variants[middle].mask)?;
    // One on each lane; the first one on a lane also pays for what later ones find.
    let masks = vec![variants[middle].mask; engine.lanes()];
    if masks.len() > 1 {
        engine.variants(&masks, &mut || Ok(()))?;
    }
    let started = Instant::now();
    engine.variants(&masks, &mut || Ok(()))?;
    let seconds = started.elapsed().as_secs_f64() / masks.len() as f64;
    engine.end_target()?;
    Ok(seconds)
}

/// The value at `at` on the line through the measured neighbours; `measured` holds the first and the last place.
fn between(measured: &[(usize, f64)], at: usize) -> f64 {
    let right = measured.partition_point(|(place, _)| *place < at).min(measured.len() - 1);
    let (b, value) = measured[right];
    match right.checked_sub(1).map(|left| measured[left]) {
        Some((a, before)) if at < b => before + (value - before) * (at - a) as f64 / (b - a) as f64,
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::between;

    #[test]
    fn values_lie_on_lines_between_the_measured() {
        let measured = [(0, 4.0), (2, 2.0), (6, 0.0)];
        let values: Vec<f64> = (0..=6).map(|at| between(&measured, at)).collect();
        assert_eq!(values, [4.0, 3.0, 2.0, 1.5, 1.0, 0.5, 0.0]);
        assert_eq!(between(&[(0, 7.0)], 0), 7.0);
    }
}
