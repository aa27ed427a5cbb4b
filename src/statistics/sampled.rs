//! A score from networks that were measured on parts of the images each.
//!
//! With strata z of M_z of the M images ([`super::pool`]), p_{k|z} the share that network k gets right among the images of z that
//! it saw, x the unfiltered network's outcomes, w_k the weights of the integral,
//!
//! ```text
//! p_k = Σ_z (M_z / M) p_{k|z},     R = Σ_k w_k p_k / mean(x).
//! ```
//!
//! Networks of one share of the pool, those whose groups leave remainder r mod g, see the same images: u_i = Σ_k w_k b_{k,i} over
//! them, n_{rz} images of stratum z, ū_{rz} their mean of u. The influence of image i, of r and z, is
//!
//! ```text
//! ψ_i = [ (M_z/n_{rz}) √(n_{rz}/(n_{rz}−1)) (u_i − ū_{rz}) + Σ_k w_k p_{k|z} − R x_i ] / mean(x):
//! ```
//!
//! the image decides, where it was seen, for the M_z/n_{rz} others that it stands for, and as a member of its stratum for the
//! share of this; the root makes the first term's squares an unbiased variance. A network that was measured on all images adds
//! w_k b_{k,i} as without thinning. The ψ have mean 0 and the standard error is √(Σ ψ²)/M, so sums, differences and
//! means of scores go by those of the influences, whatever images they rest on. The variance is
//!
//! ```text
//! var R = [V + (g − 1) D] / M,     D = Σ_k w_k² s_k² / mean(x)²,
//! ```
//!
//! V being that of all images and s_k² the variance of network k's outcomes within the strata: thinning replaces what
//! neighbouring thresholds say twice, so it costs little as long as V is much larger than D.

use super::estimate::Estimate;
use super::pool::{Pool, check_length};
use super::sample::Seen;
use crate::bits::Bits;

impl Estimate {
    /// Σ_k w_k p_k / p, w being `weights`, for filtered networks that were measured on the images of `pool` that they saw;
    /// `unfiltered` are the pool's outcomes of the same kind, clean or attacked. `None` if the unfiltered network is never right. Where
    /// all networks saw all images this is [`Estimate::relative`], bit for bit.
    ///
    /// # Panics
    /// Unless every network has a bit for each image that it saw.
    pub fn sampled<'b>(
        filtered: impl Iterator<Item = (Seen, &'b Bits)>,
        weights: &[f64],
        unfiltered: &Bits,
        pool: &Pool,
    ) -> Option<Estimate> {
        let sample = pool.sample();
        let filtered: Vec<(Seen, &Bits)> = filtered.collect();
        filtered.iter().for_each(|&(seen, bits)| check_length(sample, seen, bits));
        if filtered.iter().all(|&(seen, _)| sample.sees_all(seen)) {
            return Estimate::relative(filtered.iter().map(|&(_, bits)| bits), weights, unfiltered);
        }
        let right = unfiltered.count_ones() as f64;
        if right == 0.0 {
            return None;
        }
        let (strata, images) = (pool.strata(), sample.images());
        let mut value = 0.0;
        // Of each image: Σ w b over the networks that saw a part of the pool, this image among it, and over those that saw all.
        let (mut part, mut whole) = (vec![0.0; images], vec![0.0; images]);
        // Of each stratum: Σ w p over the former.
        let mut shares = vec![0.0; strata.sizes.len()];
        for (&(seen, bits), weight) in filtered.iter().zip(weights) {
            if seen == Seen::All {
                value += weight * bits.count_ones() as f64 / right;
                for (sum, bit) in whole.iter_mut().zip(bits.iter()) {
                    *sum += if bit { *weight } else { 0.0 };
                }
                continue;
            }
            let mut correct = vec![0usize; strata.sizes.len()];
            for (position, bit) in sample.saw(seen).zip(bits.iter()) {
                if bit {
                    part[position] += weight;
                    correct[usize::from(strata.of[position])] += 1;
                }
            }
            let seen = &strata.within[sample.residue(seen)];
            for (z, share) in shares.iter_mut().enumerate() {
                let accuracy = correct[z] as f64 / seen[z] as f64;
                *share += weight * accuracy;
                value += weight * accuracy * strata.sizes[z] as f64 / right;
            }
        }

        let thin = sample.thin();
        let cell =
            |position: usize| (super::Sample::group(position) % thin, usize::from(strata.of[position]));
        let mut means = vec![vec![0.0; strata.sizes.len()]; thin];
        for (position, u) in part.iter().enumerate() {
            let (r, z) = cell(position);
            means[r][z] += u / strata.within[r][z] as f64;
        }
        let stands_for: Vec<Vec<f64>> = strata
            .within
            .iter()
            .map(|row| {
                let factor = |(&n, &size): (&usize, &usize)| {
                    let n = n as f64;
                    size as f64 / n * (n / (n - 1.0)).sqrt()
                };
                row.iter().zip(&strata.sizes).map(factor).collect()
            })
            .collect();
        let mean = right / images as f64;
        let influence = unfiltered.iter().enumerate().map(|(position, x)| {
            let (r, z) = cell(position);
            let own = stands_for[r][z] * (part[position] - means[r][z]);
            (own + shares[z] + whole[position] - if x { value } else { 0.0 }) / mean
        });
        Some(Estimate { value, influence: influence.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::statistics::{Sample, simpson};

    /// Outcomes of the unfiltered network, clean and attacked, and of `points` networks on all images.
    fn outcomes(images: usize, points: usize) -> (Bits, Bits, Vec<Bits>) {
        let mut random = Random::new(11, 0);
        let ease: Vec<f32> = (0..images).map(|_| random.uniform()).collect();
        let clean = ease.iter().map(|&ease| ease > 0.2).collect();
        let adv = ease.iter().map(|&ease| ease > 0.6).collect();
        let networks = (0..points).map(|k| {
            let lost = k as f32 / points as f32;
            ease.iter().map(|&ease| ease + 0.4 * random.uniform() > 0.5 + lost).collect()
        });
        (clean, adv, networks.collect())
    }

    fn seen_of(bits: &Bits, sample: Sample, seen: Seen) -> Bits {
        let all: Vec<bool> = bits.iter().collect();
        sample.saw(seen).map(|position| all[position]).collect()
    }

    fn thinned(networks: &[Bits], sample: Sample) -> Vec<(Seen, Bits)> {
        let of = |(k, bits)| (Seen::Variant(k), seen_of(bits, sample, Seen::Variant(k)));
        networks.iter().enumerate().map(of).collect()
    }

    fn estimate(networks: &[(Seen, Bits)], weights: &[f64], unfiltered: &Bits, pool: &Pool) -> Estimate {
        let networks = networks.iter().map(|(seen, bits)| (*seen, bits));
        Estimate::sampled(networks, weights, unfiltered, pool).unwrap()
    }

    #[test]
    fn without_thinning_nothing_changes() {
        let (clean, adv, networks) = outcomes(333, 9);
        let weights = simpson::weights(9);
        let pool = Pool::new(Sample::whole(333), &clean, &adv);
        let found = estimate(&thinned(&networks, pool.sample()), &weights, &adv, &pool);
        let today = Estimate::relative(networks.iter(), &weights, &adv).unwrap();
        let bits = |estimate: &Estimate| -> Vec<u64> {
            let numbers = [estimate.value, estimate.standard_error()];
            numbers.iter().chain(&estimate.influence).map(|number| number.to_bits()).collect()
        };
        assert_eq!(bits(&found), bits(&today));
        // Nor where every network keeps all weights.
        let pool = Pool::new(Sample::new(333, 4).unwrap(), &clean, &adv);
        let all: Vec<(Seen, Bits)> = networks.iter().map(|bits| (Seen::All, bits.clone())).collect();
        assert_eq!(bits(&estimate(&all, &weights, &adv, &pool)), bits(&today));
        let never: Bits = (0..333).map(|_| false).collect();
        let none = Estimate::sampled(
            thinned(&networks, pool.sample()).iter().map(|(s, b)| (*s, b)),
            &weights,
            &never,
            &pool,
        );
        assert_eq!(none, None);
    }

    #[test]
    fn influences_are_derivatives() {
        // Weighing one image more by h, in its stratum, among those that were seen and in the unfiltered accuracy, moves the
        // ratio by h/M times its influence; the root of n/(n−1) widens that within the images of a stratum that were seen.
        let (clean, adv, networks) = outcomes(8 * 64 + 30, 11);
        let sample = Sample::new(clean.len(), 4).unwrap();
        let (weights, images) = (simpson::weights(11), clean.len());
        let pool = Pool::new(sample, &clean, &adv);
        assert_eq!(pool.strata().sizes.len(), 3);
        let x: Vec<bool> = adv.iter().collect();
        let stratum = |i: usize| usize::from(pool.strata().of[i]);
        let all: Vec<Vec<bool>> = networks.iter().map(|bits| bits.iter().collect()).collect();
        let ratio = |image: usize, h: f64| {
            let weight = |i: usize| if i == image { 1.0 + h } else { 1.0 };
            let sum =
                |keep: &dyn Fn(usize) -> bool| (0..images).filter(|&i| keep(i)).map(weight).sum::<f64>();
            let accuracy = |k: usize| -> f64 {
                let saw: Vec<bool> = (0..images).map(|i| (i / 64 + k).is_multiple_of(4)).collect();
                let within = |z| {
                    sum(&|i| stratum(i) == z) * sum(&|i| saw[i] && stratum(i) == z && all[k][i])
                        / sum(&|i| saw[i] && stratum(i) == z)
                };
                (0..3).map(within).sum()
            };
            weights.iter().enumerate().map(|(k, w)| w * accuracy(k)).sum::<f64>() / sum(&|i| x[i])
        };
        let found = estimate(&thinned(&networks, sample), &weights, &adv, &pool);
        assert!((found.value - ratio(0, 0.0)).abs() < 1e-12);
        let slopes: Vec<f64> =
            (0..images).map(|i| (ratio(i, 1e-4) - ratio(i, -1e-4)) / 2e-4 * images as f64).collect();
        for image in 0..images {
            let alike = (0..images).filter(|&i| (i / 64 % 4, stratum(i)) == (image / 64 % 4, stratum(image)));
            let alike: Vec<f64> = alike.map(|i| slopes[i]).collect();
            let n = alike.len() as f64;
            let mean = alike.iter().sum::<f64>() / n;
            let expected = mean + (slopes[image] - mean) * (n / (n - 1.0)).sqrt();
            assert!((found.influence[image] - expected).abs() < 1e-5, "{image}: {expected} {found:?}");
        }
        assert!(found.influence.iter().sum::<f64>().abs() < 1e-9);
    }

    #[test]
    fn networks_of_all_images_add_as_they_did() {
        let (clean, adv, networks) = outcomes(600, 7);
        let sample = Sample::new(600, 8).unwrap();
        let pool = Pool::new(sample, &clean, &adv);
        let weights = simpson::weights(7);
        let mut mixed = thinned(&networks, sample);
        (mixed[0], mixed[4]) = ((Seen::All, clean.clone()), (Seen::All, networks[4].clone()));
        let found = estimate(&mixed, &weights, &clean, &pool);
        let (whole, part): (Vec<_>, Vec<_>) =
            mixed.into_iter().zip(&weights).partition(|((seen, _), _)| *seen == Seen::All);
        let alone = |some: Vec<((Seen, Bits), &f64)>| {
            let (networks, weights): (Vec<_>, Vec<&f64>) = some.into_iter().unzip();
            let weights: Vec<f64> = weights.into_iter().copied().collect();
            estimate(&networks, &weights, &clean, &pool)
        };
        let (whole, part) = (alone(whole), alone(part));
        assert!((found.value - whole.value - part.value).abs() < 1e-12);
        for (image, influence) in found.influence.iter().enumerate() {
            assert!((influence - whole.influence[image] - part.influence[image]).abs() < 1e-12);
        }
    }
}
