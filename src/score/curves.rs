//! Response curves: what is left of the accuracy, threshold by threshold, beside what is left of the weights.

use super::outcomes::Outcomes;
use super::same_target;
use crate::bits::Bits;
use crate::filter::FilterKind;
use crate::models::Stem;
use crate::statistics::{Estimate, Point, Pool, Seen};
use crate::sweep::Record;

/// The response of one network to one filter on one target.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseCurve {
    /// The filter.
    pub filter: FilterKind,
    /// The share of kept weights ρ at each threshold, from the mildest to the most severe.
    pub density: Vec<f64>,
    /// Clean accuracy relative to the unfiltered network; `None` where that is 0.
    pub clean: Option<Vec<f64>>,
    /// Adversarial accuracy relative to the unfiltered network; `None` where that is 0.
    pub adv: Option<Vec<f64>>,
}

impl ResponseCurve {
    /// The largest of all values, at least 1.
    pub fn highest(&self) -> f64 {
        let relative = self.clean.iter().chain(&self.adv).flatten();
        relative.fold(1.0, |highest, &value| highest.max(value))
    }
}

/// The curves of one filtered target: a layer, a channel, or the whole network.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The filtered tensor; `None` where the whole network was filtered.
    pub layer: Option<String>,
    /// The filtered output channel, in channel scope.
    pub channel: Option<usize>,
    /// One curve per filter.
    pub curves: Vec<ResponseCurve>,
}

impl Response {
    /// The target in words.
    pub fn name(&self) -> String {
        let layer = self.layer.as_deref().unwrap_or("(whole network)");
        self.channel.map_or(layer.to_owned(), |channel| format!("{layer} channel {channel}"))
    }
}

/// The responses of one checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Responses {
    /// The architecture.
    pub arch: String,
    /// Its stem.
    pub stem: Stem,
    /// The data set.
    pub dataset: String,
    /// The epoch of the checkpoint.
    pub epoch: Option<u32>,
    /// The seed of its training.
    pub seed: Option<u64>,
    /// The targets, in network order.
    pub targets: Vec<Response>,
}

/// The accuracy of a network relative to the unfiltered one's; where it saw a part of the images, as scores estimate it.
fn relative(network: (Seen, &Bits), unfiltered: &Bits, pool: &Pool) -> Option<f64> {
    Estimate::sampled(std::iter::once(network), &[1.0], unfiltered, pool).map(|estimate| estimate.value)
}

/// The curves of the records of a sweep, checkpoint by checkpoint. Records are as [`score_records`](super::score_records) takes
/// them, and are not checked here.
pub fn curves(records: &[Record]) -> Vec<Responses> {
    let of_checkpoint = |checkpoint: &[Record]| {
        let (unfiltered, cells) = checkpoint.split_first()?;
        let outcomes = Outcomes::of(unfiltered, checkpoint).ok()?;
        let pool = outcomes.pool();
        let mut at = 0;
        let mut curve = |records: &[Record]| {
            let density: Vec<f64> =
                records.iter().map(|r| r.cell.kept as f64 / r.cell.total as f64).collect();
            let points: Vec<Point> =
                density.iter().zip(at + 1..).map(|(&kept, at)| outcomes.point(at, kept)).collect();
            at += records.len();
            Some(ResponseCurve {
                filter: records[0].cell.filter?,
                density,
                clean: points
                    .iter()
                    .map(|point| relative((point.seen, point.clean), pool.clean(), &pool))
                    .collect(),
                adv: points
                    .iter()
                    .map(|point| relative((point.seen, point.adv), pool.adv(), &pool))
                    .collect(),
            })
        };
        let targets = cells.chunk_by(same_target).map(|target| Response {
            layer: target[0].cell.layer.clone(),
            channel: target[0].cell.channel,
            curves: target.chunk_by(|a, b| a.cell.filter == b.cell.filter).filter_map(&mut curve).collect(),
        });
        let cell = &unfiltered.cell;
        Some(Responses {
            arch: cell.arch.clone(),
            stem: cell.stem,
            dataset: cell.dataset.clone(),
            epoch: cell.epoch,
            seed: cell.seed,
            targets: targets.collect(),
        })
    };
    records.chunk_by(|a, b| a.cell.checkpoint == b.cell.checkpoint).filter_map(of_checkpoint).collect()
}
