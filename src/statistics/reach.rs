//! Whether a target can be reached at all with the images there are: asked before any filtered network is measured.
//!
//! The unfiltered network's outcomes give the number of images M and its accuracy p. What a filtered network will do is not
//! known; assumed is a layer of the steadier kind: each of its images that the unfiltered network gets right is lost at
//! a threshold of its own, spread evenly over the grid, by high-pass and by low-pass alike, and images that are wrong stay wrong.
//! Then the integrated outcome has the variance 1/12 among these images and
//!
//! ```text
//! se² = (V + (g − 1) D) / M,    V = 1/(12 p) for one filter,  (4/9)/(12 p) for the mean over three with pulse, which loses little;
//! ```
//!
//! D/V is 1/8 for one filter and 1/17 for combined scores, as on full sweeps of SqueezeNet and ShuffleNet with 25 thresholds. Standard
//! errors of a quarter of that (clean scores of layers that lose nothing until all is gone) to three times that (few adversarial
//! images right) were found. It is an order of magnitude, so a target is refused only where it asks for ten times less than the
//! assumption gives; for less than it gives the user is told.

use super::decision::LEAST_RIGHT;
use super::pool::Pool;
use super::rule::{Rule, Until};
use super::which::Which;
use crate::error::{Error, Result};
use crate::filter::FilterKind;

/// How many times smaller than the assumption a standard error may be asked for.
const HOPELESS: f64 = 10.0;

/// What a score needs, and what can be expected of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reach {
    /// The filter; `None` for the mean over several.
    pub filter: Option<FilterKind>,
    /// Which score.
    pub which: Which,
    /// On how many images the unfiltered network is right.
    pub right: usize,
    /// The standard error at which the target is reached: that asked for, or that at which a score of 0 is shown to lie within the
    /// margin.
    pub needed: f64,
    /// The standard error after the last pass, under the assumption; `None` for pulse, of which too little can be said.
    pub expected: Option<f64>,
}

impl Rule {
    /// What each score that is asked for needs. `pool` is thinned as in the last pass, `critical` that pass's critical value. Scores that
    /// are undefined are left out.
    pub fn reach(&self, pool: &Pool, filters: &[FilterKind], critical: f64) -> Vec<Reach> {
        let (images, thin) = (pool.sample().images() as f64, pool.sample().thin() as f64);
        let needed = match self.until {
            Until::Se(se) => se,
            Until::Decided => self.margin / critical,
        };
        let reach = |(filter, which)| {
            let right = pool.right(which);
            let accuracy = right as f64 / images;
            let (shape, one_in) = match filter {
                Some(FilterKind::Pulse) => (0.0, 1.0),
                Some(_) => (1.0 / 12.0, 8.0),
                None => (4.0 / 9.0 / 12.0, 17.0),
            };
            let se = (shape / accuracy * (1.0 + (thin - 1.0) / one_in) / images).sqrt();
            Reach { filter, which, right, needed, expected: (shape > 0.0).then_some(se) }
        };
        self.by.of(filters).into_iter().map(reach).filter(|reach| reach.right > 0).collect()
    }

    /// Refuses a target that no layer can be expected to reach, and says where robust layers cannot be told from undecided ones.
    ///
    /// # Errors
    /// A usage error that names what was asked and what there is.
    pub fn check_reach(&self, reach: &[Reach]) -> Result<Option<String>> {
        if let Some(few) = reach.iter().find(|reach| reach.right < LEAST_RIGHT) {
            return Err(Error::usage(format!(
                "until {}: expected a network that is right on at least {LEAST_RIGHT} images for the {} score, found {}",
                self.until, few.which, few.right
            )));
        }
        let expected = reach.iter().filter_map(|reach| Some((reach.expected?, reach)));
        let Some((expected, worst)) = expected.reduce(|most, next| if next.0 > most.0 { next } else { most })
        else {
            return Ok(None);
        };
        let rounded = format!("{expected:.2e}").parse::<f64>().unwrap_or(expected);
        match self.until {
            Until::Se(se) if expected > HOPELESS * worst.needed => Err(Error::usage(format!(
                "until se={se}: expected more images, or a standard error that these can give (about {rounded} for the {} score), found {se}",
                worst.which
            ))),
            _ if expected <= worst.needed => Ok(None),
            Until::Se(se) => Ok(Some(format!(
                "until se={se}: few layers can be left early with these images, as the {} score will have a standard error of about \
                 {rounded} after the last pass",
                worst.which
            ))),
            Until::Decided => Ok(Some(format!(
                "margin {}: few layers can be shown to be robust with these images, as the {} score will have a standard error of about \
                 {rounded} and needs less than {:.4}",
                self.margin, worst.which, worst.needed
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bits::Bits;
    use crate::statistics::Sample;

    /// A pool of so many images at a thinning, of which one in `one_in` is right under attack and all are right without.
    fn reached(
        rule: &Rule,
        images: usize,
        thin: usize,
        one_in: usize,
    ) -> (Vec<Reach>, Result<Option<String>>) {
        let (clean, adv): (Bits, Bits) =
            ((0..images).map(|_| true).collect(), (0..images).map(|image| image % one_in == 0).collect());
        let pool = Pool::new(Sample::new(images, thin).unwrap(), &clean, &adv);
        let reach = rule.reach(&pool, &FilterKind::ALL, 2.03);
        let told = rule.check_reach(&reach);
        (reach, told)
    }

    #[test]
    fn what_the_images_can_give() {
        // 10,000 images, half of them right under attack; 2,000, of which one in twenty is.
        let (reach, told) = reached(&Rule::default(), 10_000, 8, 2);
        assert_eq!((reach.len(), told.unwrap()), (3, None));
        let expected = (4.0f64 / 9.0 / 12.0 / 0.5 * (1.0 + 7.0 / 17.0) / 10_000.0).sqrt();
        assert!((reach[1].expected.unwrap() - expected).abs() < 1e-12, "{reach:?}");
        assert!((reach[1].needed - 0.02 / 2.03).abs() < 1e-12);
        let (_, told) = reached(&Rule::default(), 2000, 8, 20);
        assert_eq!(
            told.unwrap().unwrap(),
            "margin 0.02: few layers can be shown to be robust with these images, as the adversarial score will have a standard error \
             of about 0.0229 and needs less than 0.0099"
        );

        let until = |se| Rule { until: Until::Se(se), ..Rule::default() };
        assert_eq!(reached(&until(0.005), 10_000, 8, 2).1.unwrap(), None);
        assert_eq!(
            reached(&until(0.001), 10_000, 8, 2).1.unwrap().unwrap(),
            "until se=0.001: few layers can be left early with these images, as the adversarial score will have a standard error of \
             about 0.00323 after the last pass"
        );
        let error = reached(&until(0.0003), 10_000, 8, 2).1.unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.exit_code()),
            (
                "until se=0.0003: expected more images, or a standard error that these can give (about 0.00323 for the adversarial \
                 score), found 0.0003",
                2
            )
        );
        let error = reached(&Rule::default(), 2000, 8, 25).1.unwrap_err();
        assert_eq!(
            error.to_string(),
            "until decided: expected a network that is right on at least 100 images for the adversarial score, found 80"
        );
    }

    #[test]
    fn undefined_scores_and_pulse_ask_for_nothing() {
        let rule = Rule { until: Until::Se(1e-9), by: "clean,filters".parse().unwrap(), ..Rule::default() };
        let bits: Bits = (0..200).map(|_| false).collect();
        let pool = Pool::new(Sample::whole(200), &bits, &bits);
        assert_eq!(rule.reach(&pool, &FilterKind::ALL, 1.96), []);
        let right: Bits = (0..200).map(|_| true).collect();
        let pool = Pool::new(Sample::whole(200), &right, &bits);
        let reach = rule.reach(&pool, &[FilterKind::Pulse], 1.96);
        assert_eq!((reach.len(), reach[0].expected), (1, None));
        assert_eq!(rule.check_reach(&reach).unwrap(), None);
    }
}
