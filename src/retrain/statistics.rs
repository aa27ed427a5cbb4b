//! Whether one arm is better than another, on the same images: paired tests.

use super::document::{ALPHA, Arm, ArmComparison, McNemar, OverImages, OverSeeds, Summary};
use crate::sweep::Bits;
use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, Normal, StudentsT};

/// Mean and standard deviation of the sample.
pub fn summary(values: &[f64]) -> Summary {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    Summary { mean, sd: (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt()) }
}

/// McNemar's exact test: the probability that of so many images on which two networks differ, each as likely in favour of
/// one as of the other, so few or fewer, or as many or more on the other side, are in favour of one.
pub fn mcnemar(one: usize, other: usize) -> f64 {
    match Binomial::new(0.5, (one + other) as u64) {
        Ok(binomial) if one != other => (2.0 * binomial.cdf(one.min(other) as u64)).min(1.0),
        _ => 1.0,
    }
}

/// Two-sided probability of a normal deviate of that size.
fn normal(z: f64) -> f64 {
    2.0 * Normal::standard().sf(z.abs())
}

/// Two-sided probability of a value of Student's distribution of that size.
fn student(t: f64, freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(1.0, |student| 2.0 * student.sf(t.abs()))
}

/// Durkalski's test (Durkalski, Palesch, Lipsitz and Rust 2003, "Analysis of clustered matched-pair data"), an image being a
/// cluster of as many pairs as there are seeds: with dᵢ the sum over the seeds of (arm right) − (other right),
/// z = Σdᵢ / √Σdᵢ². The standard error of the mean difference is √Σdᵢ² / (images·seeds).
fn over_images(differences: &[i64], seeds: usize) -> OverImages {
    let sum = differences.iter().sum::<i64>() as f64;
    let squares = (differences.iter().map(|d| d * d).sum::<i64>() as f64).sqrt();
    let p = if squares > 0.0 { normal(sum / squares) } else { 1.0 };
    OverImages { se: squares / (differences.len() * seeds) as f64, p }
}

/// Student's paired test on the differences of the seeds; without any spread it tells nothing but where all are 0.
fn over_seeds(differences: &[f64]) -> Option<OverSeeds> {
    let Summary { mean, sd } = summary(differences);
    let (sd, n) = (sd?, differences.len() as f64);
    let p = match (sd > 0.0, mean == 0.0) {
        (true, _) => student(mean / (sd / n.sqrt()), n - 1.0),
        (false, true) => 1.0,
        (false, false) => 0.0,
    };
    Some(OverSeeds { sd, p })
}

/// Compares two arms by what became of every image, seed by seed, with ε where the images are adversarial.
pub fn compare(
    [arm, against]: [Arm; 2],
    eps: Option<f64>,
    seeds: &[u64],
    right: [&[&Bits]; 2],
) -> ArmComparison {
    let images = right[0].first().map_or(0, |bits| bits.len());
    let mut differences = vec![0i64; images];
    let (mut tests, mut of_seeds) = (Vec::new(), Vec::new());
    for ((&seed, ours), theirs) in seeds.iter().zip(right[0]).zip(right[1]) {
        let (mut only_arm, mut only_against) = (0, 0);
        for (difference, pair) in differences.iter_mut().zip(ours.iter().zip(theirs.iter())) {
            match pair {
                (true, false) => (only_arm, *difference) = (only_arm + 1, *difference + 1),
                (false, true) => (only_against, *difference) = (only_against + 1, *difference - 1),
                _ => {}
            }
        }
        tests.push(McNemar { seed, only_arm, only_against, p: mcnemar(only_arm, only_against) });
        of_seeds.push((only_arm as f64 - only_against as f64) / images as f64);
    }
    let (over_images, over_seeds) = (over_images(&differences, seeds.len()), over_seeds(&of_seeds));
    let beyond_noise = over_images.p < ALPHA && over_seeds.is_none_or(|test| test.p < ALPHA);
    let difference = summary(&of_seeds).mean;
    ArmComparison { arm, against, eps, difference, seeds: tests, over_images, over_seeds, beyond_noise }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9 * expected.abs().max(1e-3), "{found}, expected {expected}");
    }

    /// Values of SciPy 1.17: `binomtest(b, b + c).pvalue`, `2 * norm.sf(z)`, `2 * t.sf(t, n)`.
    #[test]
    fn probabilities_are_scipys() {
        close(mcnemar(3, 1), 0.625);
        close(mcnemar(1, 9), 0.021484375);
        close(mcnemar(40, 61), 0.046044066929342785);
        close(mcnemar(1200, 1000), 2.1817026407914194e-5);
        close(mcnemar(0, 0), 1.0);
        close(mcnemar(5, 5), 1.0);
        close(normal(1.0), 0.31731050786291415);
        close(normal(-2.5), 0.012419330651552265);
        close(student(2.0, 2.0), 0.18350341907227397);
        close(student(-4.5, 4.0), 0.010822550462608249);
    }

    #[test]
    fn two_arms_image_by_image() {
        let bits = |text: &str| text.chars().map(|c| c == '1').collect::<Bits>();
        let (a, b) = ([bits("11110000"), bits("11111000")], [bits("11000001"), bits("11100000")]);
        let right: [Vec<&Bits>; 2] = [a.iter().collect(), b.iter().collect()];
        let found = compare([Arm::Selective, Arm::Full], Some(0.1), &[4, 9], [&right[0], &right[1]]);
        for (seed, (only_arm, only_against, p)) in found.seeds.iter().zip([(2, 1, 1.0), (2, 0, 0.5)]) {
            assert_eq!((seed.only_arm, seed.only_against), (only_arm, only_against));
            close(seed.p, p);
        }
        close(found.difference, (1.0 / 8.0 + 2.0 / 8.0) / 2.0);
        // dᵢ = 0 0 1 2 1 0 0 −1: z = 3 / √7.
        close(found.over_images.p, normal(3.0 / 7f64.sqrt()));
        close(found.over_images.se, 7f64.sqrt() / 16.0);
        // Differences 1/8 and 2/8: t = 3 with one degree of freedom.
        close(found.over_seeds.unwrap().p, student(3.0, 1.0));
        assert!(!found.beyond_noise);
    }

    #[test]
    fn the_same_networks_do_not_differ_and_one_seed_has_no_spread() {
        let bits: Bits = [true, false, true].into_iter().collect();
        let same = compare([Arm::Selective, Arm::Full], None, &[1, 2], [&[&bits, &bits], &[&bits, &bits]]);
        assert_eq!((same.difference, same.over_images.p, same.beyond_noise), (0.0, 1.0, false));
        assert_eq!(same.over_seeds.unwrap().p, 1.0);
        let all: Bits = std::iter::repeat_n(true, 100).collect();
        let none: Bits = std::iter::repeat_n(false, 100).collect();
        let one = compare([Arm::Selective, Arm::Full], None, &[1], [&[&all], &[&none]]);
        assert!(one.over_seeds.is_none() && one.beyond_noise);
        let fewer = compare([Arm::Selective, Arm::Full], None, &[1, 2], [&[&all, &all], &[&none, &all]]);
        assert!(fewer.over_images.p < ALPHA && !fewer.beyond_noise, "two seeds that disagree decide nothing");
    }
}
