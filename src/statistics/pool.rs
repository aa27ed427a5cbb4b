//! The unfiltered network's outcomes on all images of a sample, and the strata that they make.
//!
//! The unfiltered network is measured on every image, a filtered one on some. Whether an image is right or wrong without a filter,
//! clean and attacked, tells much of what it will be with one, so the images fall into four strata by these two outcomes, and a
//! filtered network's accuracy is put together from those within the strata in the shares that these have of all images
//! (post-stratification; Särndal, Swensson, Wretman 1992, "Model assisted survey sampling").

use super::sample::{Sample, Seen};
use super::which::Which;
use crate::bits::Bits;

/// A stratum has this many images per network's share of the pool on average, or is merged with another.
const LEAST_ON_AVERAGE: usize = 8;

/// And this many in every network's: a spread can be told from two.
const LEAST: usize = 2;

/// All images of a sample, with what the unfiltered network makes of them.
#[derive(Clone, Debug)]
pub struct Pool<'b> {
    sample: Sample,
    clean: &'b Bits,
    adv: &'b Bits,
    strata: Strata,
}

impl<'b> Pool<'b> {
    /// The pool of `sample` with the unfiltered network's outcomes, clean and attacked, in the order of the positions.
    ///
    /// # Panics
    /// Unless both have one bit per image of the sample.
    pub fn new(sample: Sample, clean: &'b Bits, adv: &'b Bits) -> Pool<'b> {
        assert_eq!(
            [clean.len(), adv.len()],
            [sample.images(); 2],
            "outcomes of other images than the sample's"
        );
        Pool { sample, clean, adv, strata: Strata::new(sample, clean, adv) }
    }

    /// The layout.
    pub fn sample(&self) -> Sample {
        self.sample
    }

    /// The unfiltered network's outcomes on clean images.
    pub fn clean(&self) -> &'b Bits {
        self.clean
    }

    /// Its outcomes on attacked images.
    pub fn adv(&self) -> &'b Bits {
        self.adv
    }

    /// On how many images it is right where a score divides by that: the fewer of clean and attacked for the difference.
    pub fn right(&self, which: Which) -> usize {
        let (clean, adv) = (self.clean.count_ones(), self.adv.count_ones());
        match which {
            Which::Clean => clean,
            Which::Adversarial => adv,
            Which::Difference => clean.min(adv),
        }
    }

    pub(super) fn strata(&self) -> &Strata {
        &self.strata
    }
}

/// Which stratum each image belongs to, and how many images of it each network's share of the pool holds.
#[derive(Clone, Debug)]
pub(super) struct Strata {
    /// The stratum of the image at each position; empty without thinning, where no strata are needed.
    pub of: Vec<u8>,
    /// The images of each stratum.
    pub sizes: Vec<usize>,
    /// The same among the images whose group leaves remainder r mod g, for each r.
    pub within: Vec<Vec<usize>>,
}

impl Strata {
    fn new(sample: Sample, clean: &Bits, adv: &Bits) -> Strata {
        let thin = sample.thin();
        if thin == 1 {
            return Strata { of: Vec::new(), sizes: Vec::new(), within: Vec::new() };
        }
        let outcome = |(clean, adv): (bool, bool)| usize::from(clean) << 1 | usize::from(adv);
        let outcomes: Vec<usize> = clean.iter().zip(adv.iter()).map(outcome).collect();
        let mut counts = vec![[0; 4]; thin];
        for (position, &outcome) in outcomes.iter().enumerate() {
            counts[Sample::group(position) % thin][outcome] += 1;
        }
        let strata = merged(&counts);
        let of_outcome =
            |outcome: usize| strata.iter().position(|stratum| stratum.contains(&outcome)).unwrap_or(0);
        let number = [0, 1, 2, 3].map(|outcome| of_outcome(outcome) as u8);
        let count =
            |stratum: &Vec<usize>, row: &[usize; 4]| stratum.iter().map(|&outcome| row[outcome]).sum();
        let within: Vec<Vec<usize>> =
            counts.iter().map(|row| strata.iter().map(|stratum| count(stratum, row)).collect()).collect();
        let sizes = (0..strata.len()).map(|z| within.iter().map(|row| row[z]).sum()).collect();
        Strata { of: outcomes.into_iter().map(|outcome| number[outcome]).collect(), sizes, within }
    }
}

/// Joins outcomes (2·clean + attacked) into strata that are large enough: the smallest that is not is joined to the one that
/// is most like it, and among such ones to the smaller. It depends on the unfiltered network and the layout alone, so
/// it does not bias what filtered networks are found to do.
fn merged(counts: &[[usize; 4]]) -> Vec<Vec<usize>> {
    let size = |stratum: &[usize]| -> usize {
        stratum.iter().map(|&outcome| counts.iter().map(|row| row[outcome]).sum::<usize>()).sum()
    };
    let large_enough = |stratum: &[usize]| {
        let in_each = |row: &[usize; 4]| stratum.iter().map(|&outcome| row[outcome]).sum::<usize>() >= LEAST;
        size(stratum) >= LEAST_ON_AVERAGE * counts.len() && counts.iter().all(in_each)
    };
    let mut strata: Vec<Vec<usize>> =
        (0..4).map(|outcome| vec![outcome]).filter(|one| size(one) > 0).collect();
    while strata.len() > 1 {
        let small = (0..strata.len()).filter(|&at| !large_enough(&strata[at]));
        let Some(small) = small.min_by_key(|&at| size(&strata[at])) else { break };
        let small = strata.remove(small);
        // The most outcomes, of the two, in which an image of one can differ from one of the other.
        let unlike = |other: &[usize]| {
            let pairs = small.iter().flat_map(|a| other.iter().map(move |b| (a ^ b).count_ones()));
            pairs.max().unwrap_or(0)
        };
        let nearest = strata.iter_mut().min_by_key(|other| (unlike(other), size(other)));
        nearest.into_iter().for_each(|other| other.extend(&small));
    }
    strata
}

/// How many bits a network has to have in a pool of that layout.
pub(super) fn check_length(sample: Sample, seen: Seen, bits: &Bits) {
    assert_eq!(bits.len(), sample.count(seen), "outcomes of other images than the sample's ({seen:?})");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_strata_join_the_most_similar() {
        // Wrong on both, right only attacked, right only clean, right on both; 8 groups, so 64 at least.
        let sizes = |counts: [usize; 4]| {
            let mut strata = merged(&[counts.map(|count| count / 8); 8]);
            strata.iter_mut().for_each(|stratum| stratum.sort_unstable());
            strata.sort();
            strata
        };
        assert_eq!(sizes([800, 80, 800, 800]), [vec![0], vec![1], vec![2], vec![3]]);
        assert_eq!(sizes([800, 8, 800, 1600]), [vec![0, 1], vec![2], vec![3]]);
        assert_eq!(sizes([56, 0, 800, 1600]), [vec![0, 2], vec![3]]);
        assert_eq!(sizes([800, 0, 800, 56]), [vec![0], vec![2, 3]]);
        assert_eq!(sizes([0, 0, 16, 16]), [vec![2, 3]]);
        assert_eq!(sizes([0, 0, 0, 8000]), [vec![3]]);
        // Enough in all, too few in one group.
        let mut counts = [[50, 0, 50, 50]; 8];
        counts[3][0] = 1;
        let strata = merged(&counts);
        assert_eq!((strata.len(), strata.iter().map(Vec::len).max()), (2, Some(2)));
    }

    #[test]
    fn strata_count_every_image_once() {
        let sample = Sample::new(1000, 8).unwrap();
        let clean: Bits = (0..1000).map(|i| i % 10 != 0).collect();
        let adv: Bits = (0..1000).map(|i| i % 5 == 1).collect();
        let pool = Pool::new(sample, &clean, &adv);
        let strata = pool.strata();
        assert_eq!(strata.sizes.iter().sum::<usize>(), 1000);
        assert_eq!(strata.sizes.len(), 3);
        for (z, &size) in strata.sizes.iter().enumerate() {
            assert_eq!(strata.of.iter().filter(|&&of| usize::from(of) == z).count(), size);
            assert_eq!(strata.within.iter().map(|row| row[z]).sum::<usize>(), size);
        }
        let right = [Which::Clean, Which::Adversarial, Which::Difference].map(|which| pool.right(which));
        assert_eq!(right, [900, 200, 200]);
    }
}
