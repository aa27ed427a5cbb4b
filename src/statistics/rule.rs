//! What has to be known of a layer before a sweep leaves it.
//!
//! A sweep that stops early looks at its scores after each of K passes, and who looks K times at ± 1.96 se is wrong more often than 1
//! in 20 times (Armitage, McPherson, Rowe 1969). Haybittle (1971) and Peto et al. (1976) spend nearly all of the error α on
//! the last look: each earlier look gets 0.054 α, which is 3 standard errors for α = 0.05, and the last what is left:
//!
//! ```text
//! c_j = Φ⁻¹(1 − 0.027 α)  for j < K,      c_K = Φ⁻¹(1 − (α − (K−1)·0.054 α)/2),
//! ```
//!
//! 2.034 for four looks at α = 0.05. By Bonferroni's inequality the intervals S ± c_j se of a score hold at all looks together with
//! probability 1 − α at least (repeated confidence intervals; Jennison, Turnbull 1989), whatever made the sweep stop; so
//! labels that are read off them are wrong with probability α at most, per score. No correlation between looks has to be
//! known for that.
//!
//! Stopping at a given standard error needs no correction: it does not look at the score (Chow, Robbins 1965).

use super::asked::Asked;
use super::decision::{Bounds, Decision, Finding};
use super::pool::Pool;
use super::target::Estimates;
use super::which::{Baseline, Which};
use crate::error::{Error, Result};
use crate::filter::FilterKind;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};
use std::fmt;
use std::str::FromStr;

/// The share of α that each look but the last gets.
const EARLY_SHARE: f64 = 0.054;

/// The critical value of every look where the sweep stops at a standard error: that of a score of all images.
const Z: f64 = 1.96;

/// What a layer is left for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Until {
    /// Its labels are decided, all at one look.
    Decided,
    /// Its scores have at most this standard error, all at one look.
    Se(f64),
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Until::Decided => f.pad("decided"),
            Until::Se(se) => f.pad(&format!("se={se}")),
        }
    }
}

impl FromStr for Until {
    type Err = Error;

    /// "decided", or "se=" and a number.
    fn from_str(text: &str) -> Result<Self> {
        let se = |number: &str| number.parse().ok().filter(|se: &f64| se.is_finite() && *se > 0.0);
        match (text, text.strip_prefix("se=").map(se)) {
            ("decided", _) => Ok(Until::Decided),
            (_, Some(Some(se))) => Ok(Until::Se(se)),
            _ => Err(Error::usage(format!(
                "until: expected decided, or se=X with X above 0, found \"{text}\""
            ))),
        }
    }
}

impl From<Until> for String {
    fn from(until: Until) -> String {
        until.to_string()
    }
}

impl TryFrom<String> for Until {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

/// When a sweep leaves a layer. Part of the settings of a run: which images its networks see depends on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// What it is left for.
    pub until: Until,
    /// The scores that have to be known.
    pub by: Asked,
    /// What accuracy is compared with.
    pub baseline: Baseline,
    /// How far from 0 a score has to be to count, τ.
    pub tau: f64,
    /// The score of a robust layer is shown to be smaller than this, m; more than τ.
    pub margin: f64,
    /// The probability that the intervals of a score miss it at any look, α.
    pub alpha: f64,
    /// Whether that is the probability for all labels of a run together, not for each.
    pub family_wise: bool,
}

impl Default for Rule {
    fn default() -> Self {
        Rule {
            until: Until::Decided,
            by: Asked::default(),
            baseline: Baseline::Density,
            tau: 0.0,
            margin: 0.02,
            alpha: 0.05,
            family_wise: false,
        }
    }
}

impl Rule {
    /// Whether the settings go together.
    ///
    /// # Errors
    /// A usage error that names the values.
    pub fn check(&self) -> Result<()> {
        if let Until::Se(se) = self.until
            && !(se.is_finite() && se > 0.0)
        {
            return Err(Error::usage(format!("until: expected a standard error above 0, found {se}")));
        }
        if !(self.tau.is_finite() && self.tau >= 0.0) {
            return Err(Error::usage(format!("tau: expected a number of at least 0, found {}", self.tau)));
        }
        if !(self.margin.is_finite() && self.margin > self.tau) {
            return Err(Error::usage(format!(
                "margin: expected more than tau, which is {}, found {}",
                self.tau, self.margin
            )));
        }
        if !(self.alpha > 0.0 && self.alpha < 1.0) {
            return Err(Error::usage(format!(
                "alpha: expected a number between 0 and 1, found {}",
                self.alpha
            )));
        }
        Ok(())
    }

    /// The critical value of look number `look` (from 1) of `looks`, in a sweep of `targets` layers (channels) with these filters.
    /// With one look it is the two-sided normal quantile of α. Where the sweep stops at a standard error it is 1.96.
    pub fn critical(&self, look: usize, looks: usize, targets: usize, filters: &[FilterKind]) -> f64 {
        if matches!(self.until, Until::Se(_)) {
            return Z;
        }
        let labels = if self.family_wise { targets * self.by.of(filters).len() } else { 1 };
        let alpha = self.alpha / labels.max(1) as f64;
        let share = match look < looks {
            true => EARLY_SHARE * alpha,
            false => alpha - (looks.saturating_sub(1)) as f64 * EARLY_SHARE * alpha,
        };
        -Normal::standard().inverse_cdf(share / 2.0)
    }

    /// τ and m.
    pub fn bounds(&self) -> Bounds {
        Bounds { tau: self.tau, margin: self.margin }
    }

    /// All scores of a target at a look with this critical value, also those that are not asked for: the intervals of those hold
    /// at all looks too.
    pub fn findings(&self, estimates: &[Estimates], pool: &Pool, critical: f64) -> Vec<Finding> {
        let finding = |part: &Estimates, which| {
            let estimate = part.get(which);
            Finding {
                filter: part.filter,
                which,
                score: estimate.map(|estimate| (estimate.value, estimate.standard_error())),
                critical,
                decision: self.bounds().judge(estimate, which, pool, critical),
            }
        };
        estimates.iter().flat_map(|part| Which::ALL.map(|which| finding(part, which))).collect()
    }

    /// Whether a target with these findings at one look can be left: all scores that are asked for are decided, or known to the
    /// standard error; a score that a guard holds back is neither. A score that is undefined stays so with all filtered
    /// networks' images and is not waited for.
    pub fn finished(&self, findings: &[Finding], filters: &[FilterKind]) -> bool {
        let asked = self.by.of(filters);
        let known = |finding: &Finding| match (finding.decision, self.until, finding.score) {
            (Decision::Undefined(_), ..) => true,
            (Decision::Held(_), ..) => false,
            (decision, Until::Decided, _) => matches!(decision, Decision::Decided(_)),
            (_, Until::Se(target), score) => score.is_some_and(|(_, se)| se <= target),
        };
        findings.iter().filter(|finding| asked.contains(&(finding.filter, finding.which))).all(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::{Guard, Label};

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
    }

    #[test]
    fn critical_values_spend_alpha() {
        // Quantiles by Python's statistics.NormalDist.
        let rule = Rule::default();
        let at = |look, looks| rule.critical(look, looks, 26, &FilterKind::ALL);
        close(at(1, 4), 2.999977);
        close(at(3, 4), 2.999977);
        close(at(4, 4), 2.034512);
        close(at(1, 1), 1.959964);
        let family = Rule { family_wise: true, ..Rule::default() };
        close(family.critical(4, 4, 26, &FilterKind::ALL), 3.461497);
        let strict = Rule { alpha: 0.01, ..Rule::default() };
        close(strict.critical(1, 2, 26, &FilterKind::ALL), 3.460087);
        let precise = Rule { until: Until::Se(0.005), family_wise: true, ..Rule::default() };
        assert_eq!(precise.critical(1, 4, 26, &FilterKind::ALL), 1.96);
        // All looks together, by Bonferroni.
        let normal = Normal::standard();
        let spent: f64 = (1..=7).map(|look| 2.0 * normal.sf(at(look, 7))).sum();
        assert!((spent - 0.05).abs() < 1e-9, "{spent}");
    }

    #[test]
    fn a_rule_reads_back_and_is_checked() {
        let rule = Rule { until: Until::Se(0.005), by: "adversarial".parse().unwrap(), ..Rule::default() };
        let json = serde_json::to_string(&rule).unwrap();
        assert_eq!(
            json,
            "{\"until\":\"se=0.005\",\"by\":\"adversarial\",\"baseline\":\"density\",\"tau\":0.0,\"margin\":0.02,\
             \"alpha\":0.05,\"family_wise\":false}"
        );
        assert_eq!(serde_json::from_str::<Rule>(&json).unwrap(), rule);
        assert!(rule.check().is_ok() && Rule::default().check().is_ok());
        for (rule, expected) in [
            (
                Rule { tau: 0.02, ..Rule::default() },
                "margin: expected more than tau, which is 0.02, found 0.02",
            ),
            (Rule { tau: -1.0, ..Rule::default() }, "tau: expected a number of at least 0, found -1"),
            (Rule { alpha: 1.0, ..Rule::default() }, "alpha: expected a number between 0 and 1, found 1"),
            (
                Rule { margin: f64::NAN, ..Rule::default() },
                "margin: expected more than tau, which is 0, found NaN",
            ),
            (
                Rule { until: Until::Se(0.0), ..Rule::default() },
                "until: expected a standard error above 0, found 0",
            ),
        ] {
            let error = rule.check().unwrap_err();
            assert_eq!((error.to_string().as_str(), error.exit_code()), (expected, 2));
        }
        for text in ["", "se=", "se=0", "se=-1", "se=nan", "se=inf", "se", "precise"] {
            let error = text.parse::<Until>().unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("until: expected decided, or se=X with X above 0, found \"{text}\"")
            );
        }
        assert_eq!("decided".parse::<Until>().unwrap(), Until::Decided);
    }

    #[test]
    fn a_layer_is_left_when_all_that_is_asked_is_known_at_once() {
        let finding = |filter, which, se, decision| Finding {
            filter,
            which,
            score: Some((0.1, se)),
            critical: 3.0,
            decision,
        };
        let [high, low] = [FilterKind::HighPass, FilterKind::LowPass];
        let decided = Decision::Decided(Label::Robust);
        let mut findings = vec![
            finding(Some(high), Which::Clean, 0.1, Decision::Undecided),
            finding(None, Which::Clean, 0.01, decided),
            finding(None, Which::Adversarial, 0.02, Decision::Undecided),
            Finding {
                score: None,
                ..finding(None, Which::Difference, 0.0, Decision::Undefined(Label::UndefinedClean))
            },
        ];
        let finished = |findings: &[Finding], by: &str, until| {
            Rule { by: by.parse().unwrap(), until, ..Rule::default() }.finished(findings, &[high, low])
        };
        assert!(!finished(&findings, "combined", Until::Decided));
        assert!(
            finished(&findings, "clean", Until::Decided) && finished(&findings, "difference", Until::Decided)
        );
        assert!(!finished(&findings, "clean,all", Until::Decided));
        assert!(finished(&findings, "combined", Until::Se(0.02)));
        assert!(!finished(&findings, "combined", Until::Se(0.019)));
        findings[2].decision = Decision::Held(Guard::FewImages);
        assert!(!finished(&findings, "combined", Until::Se(0.02)));
        findings[2].decision = decided;
        assert!(finished(&findings, "combined", Until::Decided));
    }
}
