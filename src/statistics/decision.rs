//! Whether a score is known well enough to say what the layer is.
//!
//! At a look, S ± c·se is an interval for the score; c is the look's critical value ([`super::rule`]). Then
//!
//! ```text
//! fragile      S + c·se < −τ
//! antifragile  S − c·se > τ
//! robust       |S| + c·se < m,   m > τ: the score is shown to be small (equivalence; Schuirmann 1987)
//! undecided    else
//! ```
//!
//! Where two hold at once, as a score can be known to lie between τ and m, the first is the label. An interval of so many standard
//! errors means what it says where the score is a sum over many images; so a look counts for a score only if its
//! influences are spread over n_eff = (Σψ²)²/Σψ⁴ ≥ 30 images, and if the unfiltered network, by whose accuracy a score divides, is
//! right on at least 100 images of the pool.

use super::estimate::Estimate;
use super::label::Label;
use super::pool::Pool;
use super::which::Which;
use crate::filter::FilterKind;
use std::fmt;

/// Images that the influences of a score are spread over, at least, for a look to count.
pub const LEAST_EFFECTIVE: f64 = 30.0;

/// Images of the pool on which the unfiltered network is right, at least.
pub const LEAST_RIGHT: usize = 100;

/// Why a look does not count for a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guard {
    /// It rests on fewer than [`LEAST_EFFECTIVE`] images.
    FewImages,
    /// The unfiltered network is right on fewer than [`LEAST_RIGHT`].
    FewRight,
}

/// What a look says of a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// What the layer is by it: fragile, robust within the margin, or antifragile.
    Decided(Label),
    /// The interval is too wide to say.
    Undecided,
    /// The interval is not relied upon.
    Held(Guard),
    /// There is no score, and there will be none however many images are measured; the label says why.
    Undefined(Label),
}

impl Decision {
    /// In one word: fragile, robust, antifragile, undecided or undefined.
    pub fn word(self) -> &'static str {
        match self {
            Decision::Decided(label) | Decision::Undefined(label) => label.word(),
            Decision::Undecided | Decision::Held(_) => "undecided",
        }
    }
}

impl fmt::Display for Decision {
    /// The word; with the reason where it is not the interval.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decision::Decided(label) | Decision::Undefined(label) => label.fmt(f),
            Decision::Undecided => f.pad("undecided"),
            Decision::Held(Guard::FewImages) => f.pad("undecided: the score rests on fewer than 30 images"),
            Decision::Held(Guard::FewRight) => {
                f.pad("undecided: the unfiltered network is right on fewer than 100 images")
            }
        }
    }
}

/// A score at a look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// The filter; `None` for the mean over several.
    pub filter: Option<FilterKind>,
    /// Which score.
    pub which: Which,
    /// The score, and its standard error; `None` where it is undefined.
    pub score: Option<(f64, f64)>,
    /// The critical value of the look.
    pub critical: f64,
    /// What is decided.
    pub decision: Decision,
}

impl Finding {
    /// The interval S ± c·se.
    pub fn interval(&self) -> Option<[f64; 2]> {
        self.score.map(|(score, se)| [score - self.critical * se, score + self.critical * se])
    }
}

/// How far a score may be from 0, and how large it has to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// A score counts beyond this, τ.
    pub tau: f64,
    /// A layer is robust whose score is shown to be smaller than this, m.
    pub margin: f64,
}

impl Bounds {
    /// What a score with its standard error says at a critical value.
    pub fn decide(&self, score: f64, se: f64, critical: f64) -> Decision {
        let wide = critical * se;
        if score + wide < -self.tau {
            Decision::Decided(Label::Fragile)
        } else if score - wide > self.tau {
            Decision::Decided(Label::Antifragile)
        } else if score.abs() + wide < self.margin {
            Decision::Decided(Label::Robust)
        } else {
            Decision::Undecided
        }
    }

    /// What an estimate of a score says, guards included; `None` is an undefined score.
    pub fn judge(&self, estimate: Option<&Estimate>, which: Which, pool: &Pool, critical: f64) -> Decision {
        let Some(estimate) = estimate else {
            let no_clean = which != Which::Adversarial && pool.right(Which::Clean) == 0;
            return Decision::Undefined(if no_clean {
                Label::UndefinedClean
            } else {
                Label::UndefinedAdversarial
            });
        };
        if pool.right(which) < LEAST_RIGHT {
            Decision::Held(Guard::FewRight)
        } else if estimate.effective_images() < LEAST_EFFECTIVE {
            Decision::Held(Guard::FewImages)
        } else {
            self.decide(estimate.value, estimate.standard_error(), critical)
        }
    }
}

impl Estimate {
    /// Over how many images the influences are spread: (Σψ²)²/Σψ⁴, the number of images if all are of one size; 0 if all are 0.
    pub fn effective_images(&self) -> f64 {
        let squared = self.influence.iter().map(|influence| influence * influence);
        let (squares, fourths) =
            squared.fold((0.0, 0.0), |(sum, fourths), square| (sum + square, fourths + square * square));
        if fourths > 0.0 { squares * squares / fourths } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bits::Bits;
    use crate::statistics::Sample;

    #[test]
    fn intervals_decide() {
        let bounds = Bounds { tau: 0.01, margin: 0.03 };
        for (score, se, expected) in [
            (-0.051, 0.02, Decision::Decided(Label::Fragile)),
            (-0.049, 0.02, Decision::Undecided),
            (0.051, 0.02, Decision::Decided(Label::Antifragile)),
            (0.0, 0.014, Decision::Decided(Label::Robust)),
            (0.0, 0.015, Decision::Undecided),
            (-0.009, 0.01, Decision::Decided(Label::Robust)),
            // Known to lie between τ and m: small, and yet it counts.
            (0.02, 0.001, Decision::Decided(Label::Antifragile)),
            (0.01, 0.0, Decision::Decided(Label::Robust)),
        ] {
            assert_eq!(bounds.decide(score, se, 2.0), expected, "{score} ± {se}");
        }
    }

    #[test]
    fn guards_hold_labels_back_and_say_why() {
        let bounds = Bounds { tau: 0.0, margin: 0.02 };
        let right = |count: usize| -> Bits { (0..400).map(|image| image < count).collect() };
        // A score of so many images of equal influence, known well.
        let of = |images: usize| {
            let influence = |i: usize| if i < images { [0.1, -0.1][i % 2] } else { 0.0 };
            Estimate { value: 0.5, influence: (0..400).map(influence).collect() }
        };
        let judge = |estimate: Option<&Estimate>, which, clean, adv| {
            let (clean, adv) = (right(clean), right(adv));
            bounds.judge(estimate, which, &Pool::new(Sample::whole(400), &clean, &adv), 3.0)
        };
        let antifragile = Decision::Decided(Label::Antifragile);
        assert_eq!(judge(Some(&of(30)), Which::Clean, 100, 0), antifragile);
        assert_eq!(judge(Some(&of(28)), Which::Clean, 100, 0), Decision::Held(Guard::FewImages));
        assert_eq!(judge(Some(&of(0)), Which::Clean, 100, 0), Decision::Held(Guard::FewImages));
        assert_eq!(judge(Some(&of(30)), Which::Clean, 99, 200), Decision::Held(Guard::FewRight));
        assert_eq!(judge(Some(&of(30)), Which::Adversarial, 99, 200), antifragile);
        assert_eq!(judge(Some(&of(30)), Which::Difference, 200, 99), Decision::Held(Guard::FewRight));
        for (which, clean, adv, expected) in [
            (Which::Clean, 0, 9, Label::UndefinedClean),
            (Which::Adversarial, 0, 0, Label::UndefinedAdversarial),
            (Which::Difference, 0, 9, Label::UndefinedClean),
            (Which::Difference, 9, 0, Label::UndefinedAdversarial),
        ] {
            assert_eq!(judge(None, which, clean, adv), Decision::Undefined(expected));
        }
        let held = Decision::Held(Guard::FewImages);
        assert_eq!((held.word(), antifragile.word()), ("undecided", "antifragile"));
        assert_eq!(held.to_string(), "undecided: the score rests on fewer than 30 images");
        assert_eq!(
            Decision::Undefined(Label::UndefinedClean).to_string(),
            "undefined: the unfiltered clean accuracy is 0"
        );
        let skewed = Estimate { value: 0.0, influence: vec![3.0, 1.0, 1.0, 1.0] };
        assert!((skewed.effective_images() - 144.0 / 84.0).abs() < 1e-12);
    }
}
