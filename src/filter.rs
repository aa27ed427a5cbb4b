//! Synaptic filters: which weights of a tensor a threshold keeps.
//!
//! Thresholds act on signed values. With A thresholds α_0 … α_{A−1} spread evenly over the range of the weights,
//! the filters of Pravin, Martino, Nicosia and Ojha (arXiv 2312.09821) are
//!
//! | filter | keeps w when | α_k runs |
//! |---|---|---|
//! | high-pass | w > α_k | from the smallest weight up to the largest |
//! | low-pass | w < α_k | from the largest weight down to the smallest |
//! | pulse | not (α_k − δ ≤ w < α_k + δ), δ = (max − min) / (2A) | from the smallest up to the largest |
//!
//! Every one of them is an interval of the weight order or its complement, so a variant is a [`Mask`]: two bounds
//! and a flag, never a second weight tensor. A [`Census`] passes over the weights once, and then knows how many of
//! them each variant keeps and which variants are the same network.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// The most thresholds that a sweep may ask for: enough for any study, and every index is exact in f32.
pub const MAX_THRESHOLDS: usize = 10_000;

/// Which side of its threshold a filter drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FilterKind {
    /// Keeps the weights above the threshold.
    HighPass,
    /// Keeps the weights below the threshold.
    LowPass,
    /// Drops the weights in a window around the threshold.
    Pulse,
}

impl FilterKind {
    /// The three filters, in the order of the paper.
    pub const ALL: [FilterKind; 3] = [FilterKind::HighPass, FilterKind::LowPass, FilterKind::Pulse];

    /// The name on the command line and in every record.
    pub fn name(self) -> &'static str {
        match self {
            FilterKind::HighPass => "high-pass",
            FilterKind::LowPass => "low-pass",
            FilterKind::Pulse => "pulse",
        }
    }
}

impl fmt::Display for FilterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for FilterKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        FilterKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            Error::usage(format!("unknown filter \"{name}\": expected high-pass, low-pass or pulse"))
        })
    }
}

/// What one variant keeps: the weights with `lo ≤ w < hi`, or all others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mask {
    /// The smallest weight of the interval.
    pub lo: f32,
    /// The first weight above the interval.
    pub hi: f32,
    /// Whether the interval is what is kept (otherwise it is what is dropped).
    pub keep_inside: bool,
}

impl Mask {
    /// Keeps every weight: nothing lies in the dropped interval.
    pub const ALL: Mask = Mask { lo: 0.0, hi: 0.0, keep_inside: false };

    /// The mask of a filter at threshold `alpha`, with the half width `delta` of the pulse window.
    pub fn new(filter: FilterKind, alpha: f32, delta: f32) -> Mask {
        match filter {
            // w > α is w ≥ the next number above α.
            FilterKind::HighPass => Mask { lo: alpha.next_up(), hi: f32::INFINITY, keep_inside: true },
            FilterKind::LowPass => Mask { lo: f32::NEG_INFINITY, hi: alpha, keep_inside: true },
            FilterKind::Pulse => Mask { lo: alpha - delta, hi: alpha + delta, keep_inside: false },
        }
    }

    /// Whether weight `w` stays; a weight that does not is exactly +0.0 in the variant.
    #[inline]
    pub fn keeps(&self, w: f32) -> bool {
        (self.lo <= w && w < self.hi) == self.keep_inside
    }
}

/// The smallest and the largest weight of what is filtered together, both finite.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeightRange {
    /// The smallest weight.
    pub min: f32,
    /// The largest weight.
    pub max: f32,
}

impl WeightRange {
    /// The range of all `tensors` (name, values) together.
    ///
    /// # Errors
    /// A weight that is NaN or infinite, no weight at all, or a range that f32 cannot hold: an input error that
    /// names `file` and the tensor.
    pub fn of(tensors: &[(&str, &[f32])], file: &Path) -> Result<WeightRange> {
        let mut range = WeightRange { min: f32::INFINITY, max: f32::NEG_INFINITY };
        for (name, weights) in tensors {
            for (at, &w) in weights.iter().enumerate() {
                if !w.is_finite() {
                    let place = format!("tensor {name}, element {at}");
                    return Err(Error::input(file, place, "a finite weight", w));
                }
                range = WeightRange { min: range.min.min(w), max: range.max.max(w) };
            }
        }
        let names = || tensors.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        if range.min > range.max {
            return Err(Error::input(file, format!("tensors [{}]", names()), "weights to filter", "none"));
        }
        if !(range.max - range.min).is_finite() {
            let found = format!("{:e} to {:e}", range.min, range.max);
            return Err(Error::input(
                file,
                format!("tensors [{}]", names()),
                "a range that f32 can hold",
                found,
            ));
        }
        // The sign of a zero depends on the order of the weights and means nothing: -0.0 + 0.0 is +0.0.
        Ok(WeightRange { min: range.min + 0.0, max: range.max + 0.0 })
    }

    /// Threshold `k` of `count` (at least two): evenly spaced, both end points exact. The upper half counts from
    /// its own end, so that the spacing errors of f32 stay small on both sides.
    fn threshold(&self, filter: FilterKind, k: usize, count: usize) -> f32 {
        let (start, end) = match filter {
            FilterKind::HighPass | FilterKind::Pulse => (self.min, self.max),
            FilterKind::LowPass => (self.max, self.min),
        };
        let step = (end - start) / (count - 1) as f32;
        if k < count / 2 { start + step * k as f32 } else { end - step * (count - 1 - k) as f32 }
    }
}

/// One filtered network: a filter at one of its thresholds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Variant {
    /// The filter.
    pub filter: FilterKind,
    /// The number of the threshold, from the mildest (0) to the most severe for high-pass and low-pass.
    pub k: usize,
    /// The threshold.
    pub alpha: f32,
    /// What it keeps.
    pub mask: Mask,
}

/// All variants over one range: filter by filter in the order given, k = 0 … `thresholds` − 1 in each.
///
/// # Errors
/// A usage error for fewer than two or more than [`MAX_THRESHOLDS`] thresholds, for no filter, and for a filter
/// that is named twice.
pub fn variants(filters: &[FilterKind], thresholds: usize, range: WeightRange) -> Result<Vec<Variant>> {
    check_settings(filters, thresholds)?;
    let delta = (range.max - range.min) / (2 * thresholds) as f32;
    let variant = |filter, k| {
        let alpha = range.threshold(filter, k, thresholds);
        Variant { filter, k, alpha, mask: Mask::new(filter, alpha, delta) }
    };
    Ok(filters.iter().flat_map(|&filter| (0..thresholds).map(move |k| variant(filter, k))).collect())
}

/// Whether these filters and this number of thresholds can be swept.
///
/// # Errors
/// As [`variants`].
pub fn check_settings(filters: &[FilterKind], thresholds: usize) -> Result<()> {
    if !(2..=MAX_THRESHOLDS).contains(&thresholds) {
        return Err(Error::usage(format!("thresholds: expected 2 to {MAX_THRESHOLDS}, found {thresholds}")));
    }
    if filters.is_empty() {
        return Err(Error::usage(
            "filters: expected at least one of high-pass, low-pass and pulse, found none",
        ));
    }
    match filters.iter().enumerate().find(|(at, kind)| filters[..*at].contains(kind)) {
        Some((_, twice)) => Err(Error::usage(format!("filters: expected each once, found {twice} twice"))),
        None => Ok(()),
    }
}

/// The distinct cut values of a set of masks, in ascending order. They part the weights into *cells*: the code of
/// a weight is the number of cuts at or below it, and no mask can tell two weights of one cell apart.
#[derive(Clone, Debug)]
pub struct Cuts {
    values: Vec<f32>,
}

impl Cuts {
    /// The cuts of `variants`.
    pub fn new(variants: &[Variant]) -> Cuts {
        let bounds = variants.iter().flat_map(|variant| [variant.mask.lo, variant.mask.hi]);
        let mut values: Vec<f32> = bounds.filter(|bound| bound.is_finite()).collect();
        values.sort_by(f32::total_cmp);
        // Equality of numbers, so that -0.0 and +0.0 are one cut, as they are for the comparison in a mask.
        values.dedup_by(|a, b| a == b);
        Cuts { values }
    }

    /// The code of weight `w`: the number of cuts that are at most `w`.
    #[inline]
    pub fn code(&self, w: f32) -> usize {
        self.values.partition_point(|&cut| cut <= w)
    }

    /// The number of cells, one more than cuts.
    pub fn cells(&self) -> usize {
        self.values.len() + 1
    }

    /// The codes inside a mask's interval: `[first, end)`.
    fn codes(&self, mask: &Mask) -> (usize, usize) {
        // A bound that is infinite is below or above every cut, so its code is the first or the last boundary.
        let first = if mask.lo == f32::NEG_INFINITY { 0 } else { self.boundary(mask.lo) };
        let end = self.boundary(mask.hi);
        (first, end.max(first))
    }

    /// The first code of the weights that are at least `bound`.
    fn boundary(&self, bound: f32) -> usize {
        match self.values.partition_point(|&cut| cut < bound) {
            // Above every cut (an infinite bound): behind the last cell.
            at if at == self.values.len() => self.cells(),
            at => at + 1,
        }
    }
}

/// What a set of variants does to a set of weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// The number of weights.
    pub total: u64,
    /// For each variant, how many weights it keeps.
    pub kept: Vec<u64>,
    /// For each variant, who computes its network: itself (its own index), an earlier variant with the same kept
    /// set, or the unfiltered network (`None`) where nothing is dropped.
    pub same_as: Vec<Option<usize>>,
}

/// A kept set, named by ranks of occupied cells, so that equal sets have equal names.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum KeptSet {
    Inside(usize, usize),
    Outside(usize, usize),
}

impl Census {
    /// Counts `tensors` (all filtered together) against `variants`.
    pub fn of(variants: &[Variant], tensors: &[&[f32]]) -> Census {
        let cuts = Cuts::new(variants);
        let mut histogram = vec![0u64; cuts.cells()];
        for &w in tensors.iter().copied().flatten() {
            histogram[cuts.code(w)] += 1;
        }
        // Sums before each cell: of weights, and of cells that hold any.
        let mut below = vec![(0u64, 0usize); cuts.cells() + 1];
        for (at, &count) in histogram.iter().enumerate() {
            below[at + 1] = (below[at].0 + count, below[at].1 + usize::from(count > 0));
        }
        let (total, occupied) = below[cuts.cells()];

        let mut first_with = HashMap::from([(KeptSet::Inside(0, occupied), None)]);
        let mut census = Census { total, kept: Vec::new(), same_as: Vec::new() };
        for (index, Variant { mask, .. }) in variants.iter().enumerate() {
            let (first, end) = cuts.codes(mask);
            let inside = below[end].0 - below[first].0;
            census.kept.push(if mask.keep_inside { inside } else { total - inside });
            let set = kept_set(below[first].1, below[end].1, mask.keep_inside, occupied);
            census.same_as.push(*first_with.entry(set).or_insert(Some(index)));
        }
        census
    }

    /// The variants that have to be computed, in order: those that stand for themselves.
    pub fn distinct(&self) -> Vec<usize> {
        (0..self.same_as.len()).filter(|&index| self.same_as[index] == Some(index)).collect()
    }
}

/// The one name of the set "occupied cells `first..end`" (or its complement) among `occupied` cells.
fn kept_set(first: usize, end: usize, keep_inside: bool, occupied: usize) -> KeptSet {
    match (first == end, keep_inside) {
        (true, true) => KeptSet::Inside(0, 0),
        (true, false) => KeptSet::Inside(0, occupied),
        (false, true) => KeptSet::Inside(first, end),
        // What lies outside an interval that touches an end is an interval itself.
        (false, false) if first == 0 && end == occupied => KeptSet::Inside(0, 0),
        (false, false) if first == 0 => KeptSet::Inside(end, occupied),
        (false, false) if end == occupied => KeptSet::Inside(0, first),
        (false, false) => KeptSet::Outside(first, end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(weights: &[f32]) -> WeightRange {
        WeightRange::of(&[("w", weights)], Path::new("weights")).unwrap()
    }

    /// The filter's rule as it is written, straight from α and δ.
    fn keeps_by_definition(variant: &Variant, w: f32, delta: f32) -> bool {
        match variant.filter {
            FilterKind::HighPass => w > variant.alpha,
            FilterKind::LowPass => w < variant.alpha,
            FilterKind::Pulse => !(variant.alpha - delta <= w && w < variant.alpha + delta),
        }
    }

    /// Counts, kept sets and representatives of a census against the definition, weight by weight.
    fn check(weights: &[f32], thresholds: usize) {
        let range = range(weights);
        let variants = variants(&FilterKind::ALL, thresholds, range).unwrap();
        let delta = (range.max - range.min) / (2.0 * thresholds as f32);
        let sets: Vec<Vec<bool>> = variants
            .iter()
            .map(|variant| weights.iter().map(|&w| keeps_by_definition(variant, w, delta)).collect())
            .collect();
        // Two tensors with a common range count as one.
        let (a, b) = weights.split_at(weights.len() / 2);
        let census = Census::of(&variants, &[a, b]);
        assert_eq!(census.total, weights.len() as u64);
        for (index, variant) in variants.iter().enumerate() {
            let by_mask: Vec<bool> = weights.iter().map(|&w| variant.mask.keeps(w)).collect();
            assert_eq!(by_mask, sets[index], "{variant:?}");
            assert_eq!(census.kept[index], sets[index].iter().filter(|&&kept| kept).count() as u64);
            let expected = if sets[index].iter().all(|&kept| kept) {
                None
            } else {
                sets.iter().position(|set| *set == sets[index])
            };
            assert_eq!(census.same_as[index], expected, "{variant:?}");
        }
        let distinct: Vec<usize> = (0..sets.len())
            .filter(|&i| !sets[i].iter().all(|&kept| kept) && !sets[..i].contains(&sets[i]))
            .collect();
        assert_eq!(census.distinct(), distinct);
    }

    #[test]
    fn first_and_last_thresholds_are_the_exact_ends() {
        let weights = [-0.3f32, 0.1, 0.7];
        for thresholds in [2, 3, 24, 25] {
            let all = variants(&FilterKind::ALL, thresholds, range(&weights)).unwrap();
            let alpha = |filter: usize, k: usize| all[filter * thresholds + k].alpha;
            assert_eq!((alpha(0, 0), alpha(0, thresholds - 1)), (-0.3, 0.7));
            assert_eq!((alpha(1, 0), alpha(1, thresholds - 1)), (0.7, -0.3));
            let census = Census::of(&all, &[&weights]);
            // The mildest drops the extreme value alone, the most severe everything.
            assert_eq!((census.kept[0], census.kept[thresholds]), (2, 2));
            assert_eq!((census.kept[thresholds - 1], census.kept[2 * thresholds - 1]), (0, 0));
        }
    }

    #[test]
    fn thresholds_follow_the_two_sided_formula() {
        let range = WeightRange { min: -1.0, max: 2.0 };
        let alphas: Vec<f32> =
            variants(&[FilterKind::LowPass], 4, range).unwrap().iter().map(|variant| variant.alpha).collect();
        assert_eq!(alphas, [2.0, 1.0, 0.0, -1.0]);
        let step = (0.7f32 - 0.1) / 4.0;
        let odd = variants(&[FilterKind::Pulse], 5, WeightRange { min: 0.1, max: 0.7 }).unwrap();
        let expected = [0.1, 0.1 + step, 0.7 - step * 2.0, 0.7 - step, 0.7];
        assert!(odd.iter().map(|variant| variant.alpha).eq(expected));
        assert_eq!(
            odd[2].mask,
            Mask {
                lo: expected[2] - 0.6f32 / 10.0,
                hi: expected[2] + (0.7f32 - 0.1) / 10.0,
                keep_inside: false
            }
        );
    }

    #[test]
    fn zeros_of_both_signs_are_one_value() {
        check(&[-0.0, 0.0, 1.0, -1.0], 3);
        check(&[-0.0, 0.0], 2);
        check(&[0.0, -0.0, 2.0], 5);
        let high = Mask::new(FilterKind::HighPass, -0.0, 0.0);
        assert!(!high.keeps(0.0) && !high.keeps(-0.0) && high.keeps(f32::from_bits(1)));
        assert_eq!(range(&[-0.0, -0.0]).min.to_bits(), 0);
    }

    #[test]
    fn equal_weights_leave_two_networks() {
        let weights = [0.25f32; 7];
        check(&weights, 4);
        let census = Census::of(&variants(&FilterKind::ALL, 4, range(&weights)).unwrap(), &[&weights]);
        // High-pass and low-pass drop everything; the pulse window is empty.
        assert_eq!(census.distinct(), [0]);
        assert_eq!(census.kept, [0, 0, 0, 0, 0, 0, 0, 0, 7, 7, 7, 7]);
        assert_eq!(census.same_as[8..], [None; 4]);
    }

    #[test]
    fn extreme_ranges_keep_their_order() {
        check(&[f32::from_bits(1), -f32::from_bits(1), 0.0], 7);
        check(&[f32::MAX, 1.0, 0.5 * f32::MAX], 6);
    }

    #[test]
    fn mask_all_keeps_everything() {
        assert!([0.0, -0.0, 1.0, f32::MIN, f32::MAX].into_iter().all(|w| Mask::ALL.keeps(w)));
    }

    #[test]
    fn what_cannot_be_filtered_is_named() {
        let message = |weights: &[f32]| {
            let error = WeightRange::of(&[("fc.weight", weights)], Path::new("net.pth")).unwrap_err();
            assert_eq!(error.exit_code(), 3);
            error.to_string()
        };
        assert_eq!(
            message(&[1.0, f32::NAN]),
            "net.pth: tensor fc.weight, element 1: expected a finite weight, found NaN"
        );
        assert!(message(&[f32::NEG_INFINITY]).ends_with("found -inf"));
        assert!(message(&[]).ends_with("expected weights to filter, found none"));
        assert!(message(&[f32::MAX, f32::MIN]).contains("a range that f32 can hold"));

        let range = WeightRange { min: 0.0, max: 1.0 };
        for (filters, thresholds, expected) in [
            (&FilterKind::ALL[..], 1, "thresholds: expected 2 to 10000, found 1"),
            (&FilterKind::ALL[..], 10_001, "thresholds: expected 2 to 10000, found 10001"),
            (&[], 3, "filters: expected at least one of high-pass, low-pass and pulse, found none"),
            (&[FilterKind::Pulse, FilterKind::Pulse], 3, "filters: expected each once, found pulse twice"),
        ] {
            let error = variants(filters, thresholds, range).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.exit_code()), (expected, 2));
        }
    }

    #[test]
    fn names_read_back() {
        for kind in FilterKind::ALL {
            assert_eq!(kind.to_string().parse::<FilterKind>().unwrap(), kind);
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
        assert_eq!("band".parse::<FilterKind>().unwrap_err().exit_code(), 2);
    }

    proptest! {
        #[test]
        fn census_agrees_with_the_definition(
            mut weights in prop::collection::vec(
                prop_oneof![-1.0f32..1.0, (-8i8..8).prop_map(|v| f32::from(v) / 8.0), Just(-0.0f32)], 1..60),
            thresholds in 2usize..12,
            hits in prop::collection::vec((0usize..3, 0usize..12, -1i32..=1), 0..20),
        ) {
            // Weights that sit on a threshold or on a window's edge, or one step of f32 beside it.
            let range = range(&weights);
            let all = variants(&FilterKind::ALL, thresholds, range).unwrap();
            for (filter, k, beside) in hits {
                let variant = &all[filter * thresholds + k % thresholds];
                let on = [variant.alpha, variant.mask.lo, variant.mask.hi][k % 3];
                let w = match beside { -1 => on.next_down(), 0 => on, _ => on.next_up() };
                if range.min <= w && w <= range.max {
                    weights.push(w);
                }
            }
            check(&weights, thresholds);
        }
    }
}
