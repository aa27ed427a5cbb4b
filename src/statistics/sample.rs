//! Which images a sampled sweep measures which network on.
//!
//! The images of the pool have positions 0, 1, … in the order in which they are visited. 64 neighbours are a *slab*, and slab
//! number s belongs to *group* s mod 64. With a thinning of g, a power of two, the network with the threshold number v of its
//! filter is measured on the groups s with
//!
//! ```text
//! (s + v) mod g = 0,
//! ```
//!
//! that is on one g-th of the images, another one for each of g consecutive thresholds; the unfiltered network is measured on all. A
//! network's images at a thinning of g are among its images at g/2, so a sweep can go from coarse to fine and keep what it
//! has; at g = 1 every network has all. The number of the threshold decides, not the rank among distinct networks: so
//! epochs, seeds and filters meet on the same images. (Multiple matrix sampling: Lord 1962; Shoemaker 1971.)

use crate::error::{Error, Result};
use std::ops::Range;

/// Images per slab. Which images a network sees depends on it.
pub const SLAB: usize = 64;

/// The number of groups, and the coarsest thinning.
pub const GROUPS: usize = 64;

/// The thinning at which a sweep that stops early ends if nothing else is said.
pub const FINEST: usize = 8;

/// Which images of the pool a network has been measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Seen {
    /// All of them: the unfiltered network, and whatever keeps all weights.
    All,
    /// Those of this number of a threshold. A cell whose network another cell computes has that cell's.
    Variant(usize),
}

/// A pool of images, and how far it is thinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    images: usize,
    thin: usize,
}

impl Sample {
    /// `images` images of which every filtered network sees one in `thin`.
    ///
    /// # Errors
    /// A usage error unless `thin` is a power of two from 1 to 64, and unless there is a whole slab for every network, which is
    /// 64·`thin` images; without thinning any number will do.
    pub fn new(images: usize, thin: usize) -> Result<Sample> {
        if !(thin.is_power_of_two() && thin <= GROUPS) {
            return Err(Error::usage(format!(
                "thin: expected a power of two from 1 to {GROUPS}, found {thin}"
            )));
        }
        if thin > 1 && images / SLAB < thin {
            let expected = SLAB * thin;
            return Err(Error::usage(format!(
                "thin {thin}: expected at least {expected} images, {SLAB} for every network, found {images}"
            )));
        }
        Ok(Sample { images, thin })
    }

    /// `images` images, all of which every network sees.
    pub fn whole(images: usize) -> Sample {
        Sample { images, thin: 1 }
    }

    /// The thinnings of the passes of a sweep that stops early, from coarse to fine: from the coarsest that leaves two
    /// slabs, about 128 images, to every network (the last of the slabs may be short), halved down to `finest`, or that alone
    /// where it leaves no more.
    ///
    /// # Errors
    /// As [`Sample::new`] for `finest`.
    pub fn passes(images: usize, finest: usize) -> Result<Vec<Sample>> {
        let last = Sample::new(images, finest)?;
        let thinnings =
            std::iter::successors(Some(GROUPS), |thin| Some(thin / 2)).take_while(|&thin| thin > finest);
        let coarser = thinnings.filter(|thin| images.div_ceil(SLAB) / thin >= 2);
        Ok(coarser.map(|thin| Sample { images, thin }).chain([last]).collect())
    }

    /// The thinning at which a sweep of so many images ends if nothing else is said: [`FINEST`], less where that would leave
    /// a network less than two slabs.
    pub fn finest(images: usize) -> usize {
        let fits = |thin: &usize| *thin == 1 || images.div_ceil(SLAB) / thin >= 2;
        [FINEST, 4, 2, 1].into_iter().find(fits).unwrap_or(1)
    }

    /// The number of images of the pool.
    pub fn images(&self) -> usize {
        self.images
    }

    /// One in how many of them a filtered network sees.
    pub fn thin(&self) -> usize {
        self.thin
    }

    /// The group of the image at a position.
    pub fn group(position: usize) -> usize {
        position / SLAB % GROUPS
    }

    /// Whether a network sees the images of a group.
    pub fn sees(&self, seen: Seen, group: usize) -> bool {
        match seen {
            Seen::All => true,
            Seen::Variant(v) => (group + v % self.thin).is_multiple_of(self.thin),
        }
    }

    /// Whether a network sees all images.
    pub fn sees_all(&self, seen: Seen) -> bool {
        self.thin == 1 || seen == Seen::All
    }

    /// The groups that a network sees, ascending; some may be empty in a small pool.
    pub fn groups(&self, seen: Seen) -> impl Iterator<Item = usize> + use<> {
        let sample = *self;
        (0..GROUPS).filter(move |&group| sample.sees(seen, group))
    }

    /// The images of a group: the positions of its slabs, ascending.
    pub fn slabs(&self, group: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let images = self.images;
        (group * SLAB..images).step_by(GROUPS * SLAB).map(move |start| start..images.min(start + SLAB))
    }

    /// The positions of the images that a network sees, ascending: the order of its bits.
    pub fn saw(&self, seen: Seen) -> impl Iterator<Item = usize> + use<> {
        let (images, step) = (self.images, if seen == Seen::All { 1 } else { self.thin });
        let first = self.residue(seen);
        (first * SLAB..images).step_by(step * SLAB).flat_map(move |start| start..images.min(start + SLAB))
    }

    /// How many images a network sees: the number of its bits.
    pub fn count(&self, seen: Seen) -> usize {
        if self.sees_all(seen) {
            return self.images;
        }
        let (slabs, first) = (self.images.div_ceil(SLAB), self.residue(seen));
        let own = slabs.saturating_sub(first).div_ceil(self.thin);
        // The last slab of the pool may be short.
        let short = slabs * SLAB - self.images;
        let has_last = own > 0 && (slabs - 1) % self.thin == first;
        own * SLAB - if has_last { short } else { 0 }
    }

    /// The remainder mod g of the groups that a network sees; 0 for one that sees all.
    pub(super) fn residue(&self, seen: Seen) -> usize {
        match seen {
            Seen::All => 0,
            Seen::Variant(v) => (self.thin - v % self.thin) % self.thin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn neighbouring_thresholds_see_other_slabs() {
        let sample = Sample::new(640, 4).unwrap();
        let slabs = |v| {
            let mut slabs: Vec<usize> =
                sample.saw(Seen::Variant(v)).map(|position| position / SLAB).collect();
            slabs.dedup();
            slabs
        };
        assert_eq!(
            [slabs(0), slabs(1), slabs(2), slabs(3)],
            [vec![0, 4, 8], vec![3, 7], vec![2, 6], vec![1, 5, 9]]
        );
        assert_eq!(slabs(7), slabs(3));
        assert_eq!((sample.images(), sample.thin(), sample.count(Seen::All)), (640, 4, 640));
        assert_eq!((Sample::group(63), Sample::group(64), Sample::group(64 * 64 + 1)), (0, 1, 0));
        assert_eq!(sample.groups(Seen::Variant(3)).take(3).collect::<Vec<_>>(), [1, 5, 9]);
        assert_eq!(Sample::whole(4200).slabs(1).collect::<Vec<_>>(), [64..128, 4160..4200]);
    }

    #[test]
    fn a_thinning_leaves_every_network_a_slab() {
        for (images, thin, expected) in [
            (1000, 3, "thin: expected a power of two from 1 to 64, found 3"),
            (100_000, 128, "thin: expected a power of two from 1 to 64, found 128"),
            (1000, 0, "thin: expected a power of two from 1 to 64, found 0"),
            (1023, 16, "thin 16: expected at least 1024 images, 64 for every network, found 1023"),
        ] {
            let error = Sample::new(images, thin).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.exit_code()), (expected, 2));
        }
        assert_eq!(Sample::new(1024, 16).unwrap().count(Seen::Variant(5)), 64);
        assert_eq!(Sample::new(3, 1).unwrap(), Sample::whole(3));
    }

    #[test]
    fn passes_go_from_coarse_to_fine() {
        let passes = |images, finest| -> Vec<usize> {
            Sample::passes(images, finest).unwrap().iter().map(Sample::thin).collect()
        };
        assert_eq!(passes(10_000, 8), [64, 32, 16, 8]);
        assert_eq!(passes(4096, 8), [32, 16, 8]);
        assert_eq!(passes(2000, 1), [16, 8, 4, 2, 1]);
        assert_eq!(passes(600, 8), [8]);
        assert_eq!(passes(50, 1), [1]);
        assert!(Sample::passes(500, 8).is_err());
        assert_eq!([50, 100, 600, 1000, 10_000].map(Sample::finest), [1, 1, 4, 8, 8]);
        for images in 1..3000 {
            assert!(Sample::passes(images, Sample::finest(images)).is_ok(), "{images}");
        }
    }

    proptest! {
        #[test]
        fn every_view_of_the_layout_is_the_definition(
            images in 1usize..9000, log in 0u32..7, v in 0usize..200,
        ) {
            let thin = 1 << log;
            prop_assume!(thin == 1 || images >= SLAB * thin);
            let sample = Sample::new(images, thin).unwrap();
            for seen in [Seen::Variant(v), Seen::All] {
                let expected: Vec<usize> = (0..images)
                    .filter(|position| seen == Seen::All || (position / 64 % 64 + v) % thin == 0)
                    .collect();
                prop_assert_eq!(&sample.saw(seen).collect::<Vec<_>>(), &expected);
                prop_assert_eq!(sample.count(seen), expected.len());
                let mut by_group: Vec<usize> =
                    sample.groups(seen).flat_map(|group| sample.slabs(group)).flatten().collect();
                by_group.sort_unstable();
                prop_assert_eq!(&by_group, &expected);
                prop_assert!(expected.len() >= SLAB.min(images));
            }
            // What it saw at a coarser thinning is still there.
            if let Ok(coarser) = Sample::new(images, 2 * thin) {
                prop_assert!(coarser.groups(Seen::Variant(v)).all(|group| sample.sees(Seen::Variant(v), group)));
            }
        }
    }
}
