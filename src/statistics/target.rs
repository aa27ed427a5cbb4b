//! The three scores of a target (a layer, a channel, or the whole network) from its curves: filter by filter, and combined.

use super::estimate::Estimate;
use super::pool::Pool;
use super::sample::Seen;
use super::simpson;
use super::which::{Baseline, Which};
use crate::bits::Bits;
use crate::filter::FilterKind;

/// A filtered network: one threshold of a curve.
#[derive(Clone, Copy, Debug)]
pub struct Point<'b> {
    /// Which images it was measured on.
    pub seen: Seen,
    /// The share of the target's weights that it keeps, ρ.
    pub kept: f64,
    /// One bit for each of these images in the order of their positions: right on the clean one.
    pub clean: &'b Bits,
    /// And on the attacked one.
    pub adv: &'b Bits,
}

/// A filter at all its thresholds.
#[derive(Clone, Debug)]
pub struct Curve<'b> {
    /// The filter.
    pub filter: FilterKind,
    /// At least two, k ascending.
    pub points: Vec<Point<'b>>,
}

/// The scores of a target under one filter, or their means over several. A score is `None` where it is undefined, as the unfiltered
/// accuracy is 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimates {
    /// The filter; `None` for the mean over several.
    pub filter: Option<FilterKind>,
    /// The clean score.
    pub clean: Option<Estimate>,
    /// The adversarial score.
    pub adv: Option<Estimate>,
    /// The difference score. The baseline cancels in it.
    pub diff: Option<Estimate>,
}

impl Estimates {
    /// All scores of a target: those of each curve in their order, then, where these are several, the means over them.
    ///
    /// # Panics
    /// As [`Estimate::sampled`].
    pub fn of(curves: &[Curve], pool: &Pool, baseline: Baseline) -> Vec<Estimates> {
        let mut all: Vec<Estimates> =
            curves.iter().map(|curve| Estimates::of_curve(curve, pool, baseline)).collect();
        if all.len() > 1 {
            all.push(Estimates::mean(&all));
        }
        all
    }

    fn of_curve(curve: &Curve, pool: &Pool, baseline: Baseline) -> Estimates {
        let points = &curve.points;
        let weights = simpson::weights(points.len());
        let expected = |point: &Point| match baseline {
            Baseline::Density => point.kept,
            Baseline::Unfiltered => 1.0,
        };
        let below: f64 = points.iter().zip(&weights).map(|(point, weight)| weight * expected(point)).sum();
        let clean = points.iter().map(|point| (point.seen, point.clean));
        let adv = points.iter().map(|point| (point.seen, point.adv));
        let clean = Estimate::sampled(clean, &weights, pool.clean(), pool).map(|clean| clean.less(below));
        let adv = Estimate::sampled(adv, &weights, pool.adv(), pool).map(|adv| adv.less(below));
        Estimates::with_difference(Some(curve.filter), clean, adv)
    }

    /// The means of the scores of several filters.
    fn mean(parts: &[Estimates]) -> Estimates {
        let mean = |which| {
            let each: Option<Vec<&Estimate>> = parts.iter().map(|part| part.get(which)).collect();
            each.map(|each| Estimate::mean(&each))
        };
        Estimates::with_difference(None, mean(Which::Clean), mean(Which::Adversarial))
    }

    fn with_difference(
        filter: Option<FilterKind>,
        clean: Option<Estimate>,
        adv: Option<Estimate>,
    ) -> Estimates {
        let diff = clean.as_ref().zip(adv.as_ref()).map(|(clean, adv)| adv.minus(clean));
        Estimates { filter, clean, adv, diff }
    }

    /// One of the scores.
    pub fn get(&self, which: Which) -> Option<&Estimate> {
        match which {
            Which::Clean => self.clean.as_ref(),
            Which::Adversarial => self.adv.as_ref(),
            Which::Difference => self.diff.as_ref(),
        }
    }
}
