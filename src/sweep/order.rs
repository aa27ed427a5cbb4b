//! The order in which a sampled sweep visits images, and how it lays them out on a device.
//!
//! Sets are often sorted by class, or drift, so which images a network sees ([`Sample`]) must not
//! depend on where they stand in a file: they are visited in a random order, a pure function of a seed and of how many there
//! are. On a device images that are measured together lie together: groups in the order of their numbers' reversed bits, of which
//! every residue class modulo a power of two is a neighbourhood.

use crate::random::Random;
use crate::statistics::sample::{GROUPS, Sample};
use std::ops::Range;

/// The stream of the order of images, of its seed.
const STREAM: u64 = 0x5155_454e_4345;

/// A seeded order of images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Which image, in file order, stands at each position.
    files: Vec<usize>,
    /// Which position lies at each place.
    laid: Vec<usize>,
    /// Where the groups begin, in the order in which they lie; at last, where they end.
    starts: Vec<usize>,
}

impl Order {
    /// The order of so many images that a seed gives.
    pub fn new(seed: u64, images: usize) -> Order {
        let mut groups = vec![Vec::new(); GROUPS];
        for position in 0..images {
            groups[lying(Sample::group(position))].push(position);
        }
        let ends = groups.iter().scan(0, |end, group| {
            *end += group.len();
            Some(*end)
        });
        let starts = std::iter::once(0).chain(ends).collect();
        Order { files: Random::new(seed, STREAM).permutation(images), laid: groups.concat(), starts }
    }

    /// Which image, in file order, stands at each position.
    pub fn files(&self) -> &[usize] {
        &self.files
    }

    /// Which image, in file order, lies at each place.
    pub fn laid(&self) -> Vec<usize> {
        self.laid.iter().map(|&position| self.files[position]).collect()
    }

    /// The places of the groups that leave remainder `residue` modulo `thin`, a power of two up to 64.
    pub fn class(&self, thin: usize, residue: usize) -> Range<usize> {
        let first = lying(residue % thin);
        self.starts[first]..self.starts[first + GROUPS / thin]
    }
}

/// Where a group lies among the groups, and which group lies there: six bits reversed.
fn lying(group: usize) -> usize {
    const { assert!(GROUPS == 1 << 6) };
    group.reverse_bits() >> (usize::BITS - 6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::sample::Seen;

    #[test]
    fn classes_are_the_images_that_networks_see() {
        let order = Order::new(3, 64 * 64 * 2 + 100);
        for thin in [1, 2, 8, 64] {
            let sample = Sample::new(order.files().len(), thin).unwrap();
            let mut ends = Vec::new();
            for v in 0..thin {
                let places = order.class(thin, thin - v);
                let mut here: Vec<usize> = places.clone().map(|place| order.laid[place]).collect();
                here.sort_unstable();
                assert_eq!(here, sample.saw(Seen::Variant(v)).collect::<Vec<_>>(), "{v} of {thin}");
                ends.push(places);
            }
            ends.sort_by_key(|places| places.start);
            assert!(ends.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert_eq!((ends[0].start, ends[thin - 1].end), (0, order.files().len()));
        }
    }

    #[test]
    fn every_image_lies_once_and_seeds_differ() {
        let mut laid = Order::new(1, 1000).laid();
        assert_ne!(laid, Order::new(2, 1000).laid());
        laid.sort_unstable();
        assert_eq!(laid, (0..1000).collect::<Vec<_>>());
    }
}
