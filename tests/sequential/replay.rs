//! Sweeps that stop early, played many times over, and what each look found.

use crate::population::Population;
use rayon::prelude::*;
use statrs::distribution::{Binomial, DiscreteCDF};
use synfilter::filter::FilterKind;
use synfilter::score::Label;
use synfilter::statistics::{Decision, Finding, Rule, Sample, Which};

/// The findings of every look of one sweep; their decisions are those of the default rule at its critical values.
pub type Sweep = Vec<Vec<Finding>>;

/// A population, and sweeps of test sets that were drawn from it.
pub struct Replays {
    /// The true scores, in the order of the findings.
    pub truth: Vec<f64>,
    /// The thinning of each look.
    pub thinnings: Vec<usize>,
    /// One for each test set.
    pub sweeps: Vec<Sweep>,
}

impl Replays {
    /// `count` test sets of `images` images, swept down to a thinning of `finest`.
    pub fn of(population: &Population, images: usize, finest: usize, count: u64) -> Replays {
        let rule = Rule::default();
        let passes = Sample::passes(images, finest).unwrap();
        let truth = population.truth();
        let scores = truth.iter().flat_map(|part| Which::ALL.map(|which| part.get(which).unwrap().value));
        let sweep = |seed| {
            let visit = population.draw(images, seed);
            let look = |(at, &sample): (usize, &Sample)| {
                let critical = rule.critical(at + 1, passes.len(), 1, &FilterKind::ALL);
                rule.findings(&visit.estimates(sample), &visit.pool(sample), critical)
            };
            passes.iter().enumerate().map(look).collect()
        };
        Replays {
            truth: scores.collect(),
            thinnings: passes.iter().map(Sample::thin).collect(),
            sweeps: (0..count).into_par_iter().map(sweep).collect(),
        }
    }

    /// The number of a score among the findings.
    pub fn at(&self, filter: Option<FilterKind>, which: Which) -> usize {
        let first = &self.sweeps[0][0];
        first.iter().position(|finding| (finding.filter, finding.which) == (filter, which)).unwrap()
    }
}

/// The findings of a look as they would be were all scores larger by these shifts, at other critical values where told.
pub fn shifted(look: &[Finding], shifts: &[f64], rule: &Rule, critical: Option<f64>) -> Vec<Finding> {
    let shift = |(finding, shift): (&Finding, &f64)| {
        let critical = critical.unwrap_or(finding.critical);
        let score = finding.score.map(|(score, se)| (score + shift, se));
        let decision = match (finding.decision, score) {
            (Decision::Decided(_) | Decision::Undecided, Some((score, se))) => {
                rule.bounds().decide(score, se, critical)
            }
            (held, _) => held,
        };
        Finding { score, critical, decision, ..*finding }
    };
    look.iter().zip(shifts).map(shift).collect()
}

/// Whether a decision contradicts the true score.
pub fn wrong(decision: Decision, truth: f64, rule: &Rule) -> bool {
    match decision {
        Decision::Decided(Label::Fragile) => truth >= -rule.tau,
        Decision::Decided(Label::Antifragile) => truth <= rule.tau,
        Decision::Decided(Label::Robust) => truth.abs() >= rule.margin,
        _ => false,
    }
}

/// Whether the interval holds the true score.
pub fn covers(finding: &Finding, truth: f64) -> bool {
    finding.interval().is_some_and(|[low, high]| (low..=high).contains(&truth))
}

/// The most events among so many that are compatible with that probability, but for one chance in ten thousand.
pub fn most(count: usize, probability: f64) -> usize {
    Binomial::new(probability, count as u64).unwrap().inverse_cdf(0.9999) as usize
}

/// Mean and standard deviation.
pub fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt())
}
