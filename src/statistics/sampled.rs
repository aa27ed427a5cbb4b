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
