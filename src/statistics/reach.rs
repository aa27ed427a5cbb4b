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
//! D/V is 1/8 for one filter and 1/17 for combined scores, as on full sweeps of SqueezeNet and ShuffleNet with 25 thresholds. Found
//! were standard errors of 0.9 to 3 times that. It is an order of magnitude, so a target is called hopeless only where it asks for three
//! times less than the assumption gives.

use super::decision::LEAST_RIGHT;
use super::pool::Pool;
use super::rule::{Rule, Until};
use super::which::Which;
use crate::error::{Error, Result};
use crate::filter::FilterKind;

/// How many times smaller than the assumption a standard error may be asked for.
const HOPELESS: f64 = 3.0;

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
        let widest = reach.iter().filter_map(|reach| Some((reach.expected?, reach)));
        let Some((expected, worst)) = widest.max_by(|a, b| a.0.total_cmp(&b.0)) else { return Ok(None) };
        let rounded = format!("{expected:.2e}").parse::<f64>().unwrap_or(expected);
        match self.until {
            Until::Se(se) if expected > HOPELESS * worst.needed => Err(Error::usage(format!(
                "until se={se}: expected more images, or a standard error that these can give (about {rounded} for the {} score), found {se}",
                worst.which
            ))),
            Until::Decided if expected > worst.needed => Ok(Some(format!(
                "margin {}: few layers can be shown to be robust with these images, as the {} score will have a standard error of about \
                 {rounded} and needs less than {:.2}",
                self.margin, worst.which, worst.needed
            ))),
            _ => Ok(None),
        }
    }
}
