//! Which images of a set are taken, where not all are.
//!
//! By default the choice is stratified: every class gives as nearly its share of all images as N allows, by the method of
//! the largest remainder. Classes with equal remainders get the images that are left over in an order that the seed
//! decides, and of each class the seed decides which images are taken. The choice is a function of seed, labels and N
//! alone; whoever chooses more images of a class with the same seed has those of a smaller choice among them. The images
//! stay in file order.

use crate::error::{Error, Result};
use crate::named_choice::named_choice;
use crate::random::Random;
use crate::text::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

named_choice!(
    /// How images are chosen.
    How, "choice" {
        /// Of every class its share, at random.
        Stratified = "stratified",
        /// The first, in file order.
        First = "first"
    }
);

/// How many images of a set are taken, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// How many.
    pub images: usize,
    /// Which.
    pub how: How,
    /// Decides the choice, unless it is of the first.
    pub seed: u64,
}

/// A choice as it is recorded with results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picked {
    /// How many images were asked for.
    pub images: usize,
    /// How they were chosen.
    pub how: How,
    /// The seed.
    pub seed: u64,
    /// SHA-256 over the positions of the chosen images in the set, hexadecimal.
    pub hash: String,
}

impl Picked {
    /// The choice that was made.
    pub fn choice(&self) -> Choice {
        Choice { images: self.images, how: self.how, seed: self.seed }
    }
}

/// Which images these are, in words.
pub fn order(pick: Option<&Picked>) -> String {
    pick.map_or("in file order".to_owned(), |pick| format!("{} choice, seed {}", pick.how, pick.seed))
}

/// Why images are taken in file order although nobody asked for it.
pub const FILE_ORDER: &str = "what is in the folder is of the first images in file order, and goes on with these; --pick stratified takes \
     another folder";

/// The stream of the order of classes; streams of classes are their indices.
const CLASSES: u64 = u64::MAX;

impl Choice {
    /// The positions of the chosen images in a set with these labels, ascending.
    ///
    /// # Errors
    /// A usage error if none are asked for, or more than there are.
    pub fn of(&self, labels: &[u16]) -> Result<Vec<usize>> {
        let (n, all) = (self.images, labels.len());
        if n == 0 || n > all {
            return Err(Error::usage(format!("--images {n}: the set has {all} images; give 1 to {all}")));
        }
        if self.how == How::First || n == all {
            return Ok((0..n).collect());
        }
        let classes = labels.iter().max().map_or(0, |&last| 1 + usize::from(last));
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); classes];
        for (at, &label) in labels.iter().enumerate() {
            members[usize::from(label)].push(at);
        }
        let counts: Vec<usize> = members.iter().map(Vec::len).collect();
        let mut chosen = Vec::with_capacity(n);
        for ((class, mut members), share) in
            members.into_iter().enumerate().zip(shares(&counts, n, self.seed))
        {
            Random::new(self.seed, class as u64).shuffle(&mut members);
            chosen.extend_from_slice(&members[..share]);
        }
        chosen.sort_unstable();
        Ok(chosen)
    }

    /// The choice as it is recorded: nothing where all are taken, or the first in file order, as always was done once.
    pub fn recorded(&self, chosen: &[usize], all: usize) -> Option<Picked> {
        (self.how != How::First && chosen.len() < all).then(|| {
            let mut hash = Sha256::new();
            hash.update(b"synfilter choice 1\n");
            for &at in chosen {
                hash.update((at as u64).to_le_bytes());
            }
            Picked { images: self.images, how: self.how, seed: self.seed, hash: hex(&hash.finalize()) }
        })
    }
}

/// How many images each class gives: n·count/all, rounded down, and one more for those with the largest remainders.
fn shares(counts: &[usize], n: usize, seed: u64) -> Vec<usize> {
    let all = counts.iter().sum::<usize>() as u128;
    let exact = |count: usize| count as u128 * n as u128;
    let mut shares: Vec<usize> = counts.iter().map(|&count| (exact(count) / all) as usize).collect();
    let left = n - shares.iter().sum::<usize>();
    let mut order = Random::new(seed, CLASSES).permutation(counts.len());
    // Stable: equal remainders stay in the order of the seed.
    order.sort_by_key(|&class| std::cmp::Reverse(exact(counts[class]) % all));
    for &class in &order[..left] {
        shares[class] += 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(images: usize, seed: u64) -> Choice {
        Choice { images, how: How::Stratified, seed }
    }

    /// How many of each class are chosen.
    fn of_classes(labels: &[u16], chosen: &[usize]) -> Vec<usize> {
        let classes = usize::from(*labels.iter().max().unwrap()) + 1;
        let mut counts = vec![0; classes];
        chosen.iter().for_each(|&at| counts[usize::from(labels[at])] += 1);
        counts
    }

    #[test]
    fn every_class_gives_its_share_whatever_the_order_of_files() {
        let by_class: Vec<u16> = (0..10).flat_map(|class| [class; 20]).collect();
        let mixed: Vec<u16> = (0..200).map(|at| at % 10).collect();
        for labels in [by_class, mixed] {
            let chosen = choice(20, 0).of(&labels).unwrap();
            assert_eq!(of_classes(&labels, &chosen), [2; 10]);
            assert!(chosen.is_sorted() && chosen.windows(2).all(|pair| pair[0] != pair[1]));
        }
    }

    #[test]
    fn shares_follow_the_classes_and_what_is_left_goes_to_the_largest_remainders() {
        // 10 of 6 + 3 + 1 + 90: 0.6, 0.3, 0.1, 9.
        let labels: Vec<u16> =
            [(0, 6), (1, 3), (2, 1), (3, 90)].iter().flat_map(|&(class, n)| vec![class; n]).collect();
        for seed in 0..5 {
            assert_eq!(of_classes(&labels, &choice(10, seed).of(&labels).unwrap()), [1, 0, 0, 9]);
        }
        // Equal remainders: the seed decides.
        let labels: Vec<u16> = (0..10).flat_map(|class| [class; 20]).collect();
        let odd = |seed| of_classes(&labels, &choice(13, seed).of(&labels).unwrap());
        assert!(odd(0).iter().all(|share| (1..=2).contains(share)));
        assert!((1..5).any(|seed| odd(seed) != odd(0)));
    }

    #[test]
    fn a_choice_is_a_function_of_seed_labels_and_number() {
        let labels: Vec<u16> = (0..300u32).map(|at| (at * at % 7) as u16).collect();
        let chosen = choice(40, 3).of(&labels).unwrap();
        assert_eq!(chosen, choice(40, 3).of(&labels).unwrap());
        assert_ne!(chosen, choice(40, 4).of(&labels).unwrap());
        let picked = choice(40, 3).recorded(&chosen, 300).unwrap();
        assert_eq!((picked.how, picked.seed, picked.hash.len()), (How::Stratified, 3, 64));
        assert_eq!(choice(300, 3).recorded(&choice(300, 3).of(&labels).unwrap(), 300), None);
    }

    /// Results are recorded against it: it must never change.
    #[test]
    fn the_choice_of_a_seed_stays_what_it_is() {
        let labels: Vec<u16> = (0..50).map(|at| at % 5).collect();
        assert_eq!(choice(7, 1).of(&labels).unwrap(), [10, 12, 17, 31, 33, 44, 46]);
    }

    #[test]
    fn first_takes_file_order_and_none_and_too_many_are_refused() {
        let first = Choice { images: 3, how: How::First, seed: 9 };
        let chosen = first.of(&[4, 4, 4, 4, 1]).unwrap();
        assert_eq!((chosen.as_slice(), first.recorded(&chosen, 5)), (&[0, 1, 2][..], None));
        for images in [0, 6] {
            let error = choice(images, 0).of(&[0; 5]).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert_eq!(error.to_string(), format!("--images {images}: the set has 5 images; give 1 to 5"));
        }
    }
}
