//! A score as a number with a standard error, from one bit per image.
//!
//! With w_k the weights of the integral, x_i ∈ {0, 1} the outcome of the unfiltered network on image i and
//! y_i = Σ_k w_k b_{k,i} the integrated outcome of the filtered ones, the integral of the relative accuracy is a ratio
//! of two means over the same images,
//!
//! ```text
//! R = ∫ p̄ dᾱ = (Σ_k w_k mean_i b_{k,i}) / mean_i x_i = mean(y) / mean(x).
//! ```
//!
//! Its influence function at image i is (y_i − R x_i) / mean(x): how much the ratio moves when the image weighs
//! infinitesimally more (the delta method for a ratio of means; Hampel 1974). Sums and differences of scores have the
//! sums and differences of the influences, image by image, so every covariance (between thresholds, filters, clean
//! and adversarial accuracy and the unfiltered accuracy) is accounted for. The standard error is
//! √(Σ_i influence_i²) / n. The baselines 1 and ρ do not depend on the images and add nothing.

use crate::bits::Bits;

/// A quantity that depends on the images: its value, and its influence function at each of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// One number per image; their mean is 0.
    pub influence: Vec<f64>,
}

impl Estimate {
    /// Σ_k w_k p_k / p, w being `weights`, for the outcomes of filtered networks and of the unfiltered one on the same images;
    /// `None` if the unfiltered network is never right.
    pub fn relative<'b>(
        filtered: impl Iterator<Item = &'b Bits>,
        weights: &[f64],
        unfiltered: &Bits,
    ) -> Option<Estimate> {
        let right = unfiltered.count_ones() as f64;
        if right == 0.0 {
            return None;
        }
        let mut integrated = vec![0.0; unfiltered.len()];
        let mut value = 0.0;
        for (bits, weight) in filtered.zip(weights) {
            value += weight * bits.count_ones() as f64 / right;
            for (sum, bit) in integrated.iter_mut().zip(bits.iter()) {
                *sum += if bit { *weight } else { 0.0 };
            }
        }
        let mean = right / unfiltered.len() as f64;
        for (y, x) in integrated.iter_mut().zip(unfiltered.iter()) {
            *y = (*y - if x { value } else { 0.0 }) / mean;
        }
        Some(Estimate { value, influence: integrated })
    }

    /// The mean of several quantities (at least one) of the same images.
    pub fn mean(parts: &[&Estimate]) -> Estimate {
        let count = parts.len() as f64;
        let images = parts.first().map_or(0, |part| part.influence.len());
        let influence =
            (0..images).map(|image| parts.iter().map(|part| part.influence[image]).sum::<f64>() / count);
        Estimate {
            value: parts.iter().map(|part| part.value).sum::<f64>() / count,
            influence: influence.collect(),
        }
    }

    /// This quantity less `other`, of the same images.
    pub fn minus(&self, other: &Estimate) -> Estimate {
        let influence = self.influence.iter().zip(&other.influence).map(|(a, b)| a - b).collect();
        Estimate { value: self.value - other.value, influence }
    }

    /// This quantity less a number that does not depend on the images.
    pub fn less(mut self, baseline: f64) -> Estimate {
        self.value -= baseline;
        self
    }

    /// The standard error of the value.
    pub fn standard_error(&self) -> f64 {
        self.influence.iter().map(|influence| influence * influence).sum::<f64>().sqrt()
            / self.influence.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::simpson;

    /// SplitMix64.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ z >> 31
        }

        fn unit(&mut self) -> f64 {
            (self.next() >> 11) as f64 / (1u64 << 53) as f64
        }
    }

    /// Outcomes that hang together: an image's difficulty decides at which threshold each filter loses it.
    fn sample(images: usize, points: usize, random: &mut Random) -> (Bits, [Vec<Bits>; 3]) {
        let mut unfiltered = Bits::new();
        let mut filtered = [0; 3].map(|_| vec![Bits::new(); points]);
        for _ in 0..images {
            let ease = random.unit();
            unfiltered.push(random.unit() < 0.6 + 0.4 * ease);
            for filter in &mut filtered {
                let lost = ease * 0.7 + random.unit() * 0.4;
                for (k, bits) in filter.iter_mut().enumerate() {
                    bits.push(k as f64 / points as f64 <= lost && random.unit() < 0.95);
                }
            }
        }
        (unfiltered, filtered)
    }

    fn resample(bits: &Bits, chosen: &[usize]) -> Bits {
        let all: Vec<bool> = bits.iter().collect();
        chosen.iter().map(|&image| all[image]).collect()
    }

    /// The quantities of a layer: each filter's, the combined one, and a difference of two.
    fn quantities(unfiltered: &Bits, filtered: &[Vec<Bits>; 3]) -> Vec<Estimate> {
        let weights = simpson::weights(filtered[0].len());
        let each =
            filtered.each_ref().map(|bits| Estimate::relative(bits.iter(), &weights, unfiltered).unwrap());
        let [a, b, c] = &each;
        vec![a.clone(), b.clone().less(0.25), Estimate::mean(&[a, b, c]), c.minus(a)]
    }

    #[test]
    fn standard_errors_agree_with_the_bootstrap() {
        let mut random = Random(7);
        let (images, points, resamples) = (600, 8, 3000);
        let (unfiltered, filtered) = sample(images, points, &mut random);
        let estimates = quantities(&unfiltered, &filtered);
        let mut sums = vec![(0.0, 0.0); estimates.len()];
        for _ in 0..resamples {
            let chosen: Vec<usize> = (0..images).map(|_| (random.next() % images as u64) as usize).collect();
            let again =
                filtered.each_ref().map(|bits| bits.iter().map(|bits| resample(bits, &chosen)).collect());
            for (sum, estimate) in sums.iter_mut().zip(quantities(&resample(&unfiltered, &chosen), &again)) {
                *sum = (sum.0 + estimate.value, sum.1 + estimate.value * estimate.value);
            }
        }
        for (estimate, (sum, squares)) in estimates.iter().zip(sums) {
            let mean = sum / resamples as f64;
            let bootstrap = (squares / resamples as f64 - mean * mean).sqrt();
            let found = estimate.standard_error();
            // 3,000 resamples know a standard deviation to 1.3 %; the linearisation adds O(1/n).
            assert!((found / bootstrap - 1.0).abs() < 0.05, "{found} against the bootstrap's {bootstrap}");
            let balance = estimate.influence.iter().sum::<f64>().abs() / images as f64;
            assert!(balance < 1e-12, "influences do not sum to 0: {balance}");
        }
    }

    #[test]
    fn influences_are_derivatives() {
        // Weighing one image more by h moves the ratio by h/n times its influence.
        let mut random = Random(3);
        let (unfiltered, filtered) = sample(50, 5, &mut random);
        let weights = simpson::weights(5);
        let estimate = Estimate::relative(filtered[0].iter(), &weights, &unfiltered).unwrap();
        let ratio = |image: usize, h: f64| {
            let weighted = |bits: &Bits| {
                bits.iter()
                    .enumerate()
                    .map(|(i, bit)| if bit { 1.0 + if i == image { h } else { 0.0 } } else { 0.0 })
                    .sum::<f64>()
            };
            filtered[0].iter().zip(&weights).map(|(bits, w)| w * weighted(bits)).sum::<f64>()
                / weighted(&unfiltered)
        };
        for image in 0..50 {
            let slope = (ratio(image, 1e-5) - ratio(image, -1e-5)) / 2e-5 * 50.0;
            assert!(
                (slope - estimate.influence[image]).abs() < 1e-6,
                "{slope} {}",
                estimate.influence[image]
            );
        }
    }

    #[test]
    fn nothing_lost_is_one_without_error() {
        let mut random = Random(1);
        let (unfiltered, _) = sample(40, 4, &mut random);
        let same = vec![unfiltered.clone(); 4];
        let estimate = Estimate::relative(same.iter(), &simpson::weights(4), &unfiltered).unwrap();
        assert!((estimate.value - 1.0).abs() < 1e-15 && estimate.standard_error() < 1e-15);
        let never: Bits = (0..40).map(|_| false).collect();
        assert_eq!(Estimate::relative(same.iter(), &simpson::weights(4), &never), None);
    }
}
