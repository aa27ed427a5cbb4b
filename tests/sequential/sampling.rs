//! Scores of thinned samples: unbiased, with standard errors that are what they say.

use crate::population::{Population, Visit};
use crate::replay::moments;
use rayon::prelude::*;
use synfilter::bits::Bits;
use synfilter::random::Random;
use synfilter::score::simpson;
use synfilter::statistics::{Estimate, Sample, Which};

/// Every score of a visit, in order: value and standard error.
fn scores(visit: &Visit, sample: Sample) -> Vec<(f64, f64)> {
    let estimates = visit.estimates(sample);
    let of = |which| {
        move |part: &synfilter::statistics::Estimates| part.get(which).map(|e| (e.value, e.standard_error()))
    };
    let all = estimates.iter().flat_map(|part| Which::ALL.map(|which| of(which)(part).unwrap()));
    all.collect()
}

/// Bias in its standard errors, and the root mean squared error over the root mean square of the standard errors, of each score.
fn calibration(population: &Population, sample: Sample, count: u64) -> Vec<(f64, f64)> {
    let truth =
        scores(&population.visit((0..population.images()).collect()), Sample::whole(population.images()));
    let replicates: Vec<Vec<(f64, f64)>> = (0..count)
        .into_par_iter()
        .map(|seed| scores(&population.draw(sample.images(), seed), sample))
        .collect();
    let of = |(at, (truth, _)): (usize, &(f64, f64))| {
        let errors: Vec<f64> = replicates.iter().map(|scores| scores[at].0 - truth).collect();
        let squares =
            |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
        let (bias, spread) = moments(&errors);
        let said = squares(&mut replicates.iter().map(|scores| scores[at].1));
        (bias / (spread / (count as f64).sqrt()), squares(&mut errors.iter().copied()) / said)
    };
    truth.iter().enumerate().map(of).collect()
}

#[test]
fn scores_are_unbiased_and_their_errors_are_as_stated() {
    let population = Population::made_up(10_000, false, 5);
    for (images, thin) in [(4096, 32), (2000, 16), (1500, 4)] {
        let found = calibration(&population, Sample::new(images, thin).unwrap(), 300);
        for (at, (bias, ratio)) in found.into_iter().enumerate() {
            assert!(
                bias.abs() < 4.0,
                "{images} images, thin {thin}, score {at}: bias of {bias} standard errors"
            );
            assert!((0.9..1.1).contains(&ratio), "{images} images, thin {thin}, score {at}: {ratio}");
        }
    }
}

#[test]
fn thinning_costs_what_the_formula_says() {
    // var S = [V + (g − 1) D] / M with V/D of the order of what real sweeps have.
    let population = Population::made_up(20_000, false, 5);
    let mean_variance = |thin: usize| {
        let sample = Sample::new(4096, thin).unwrap();
        let each = (0..12).map(|seed| scores(&population.draw(4096, seed), sample));
        let mut sums = vec![0.0; 12];
        each.for_each(|scores| sums.iter_mut().zip(scores).for_each(|(sum, (_, se))| *sum += se * se));
        sums
    };
    let [one, eight, thirty_two] = [1, 8, 32].map(mean_variance);
    for (at, name) in [(9, "clean"), (10, "adversarial"), (11, "difference")] {
        let v_over_d = 7.0 / (eight[at] / one[at] - 1.0);
        let predicted = 1.0 + 31.0 / v_over_d;
        assert!((5.0..50.0).contains(&v_over_d), "combined {name}: V/D = {v_over_d}");
        assert!((thirty_two[at] / one[at] / predicted - 1.0).abs() < 0.2, "combined {name}: {v_over_d}");
    }
}

#[test]
fn strata_narrow_the_error() {
    // The same images without strata: each network's plain share of what it saw.
    let population = Population::made_up(20_000, false, 5);
    let sample = Sample::new(4096, 16).unwrap();
    let weights = simpson::weights(25);
    let [clean, adv] = [false, true].map(|attacked| {
        let plain_and_strata = |seed| {
            let visit = population.draw(4096, seed);
            let networks: Vec<_> = (0..25).map(|k| visit.bits(sample, [2, k], attacked)).collect();
            let unfiltered = if attacked { &visit.adv } else { &visit.clean };
            let share = |bits: &Bits| bits.count_ones() as f64 / bits.len() as f64;
            let plain: f64 = networks.iter().zip(&weights).map(|((_, bits), w)| w * share(bits)).sum();
            let networks = networks.iter().map(|(seen, bits)| (*seen, bits));
            let strata = Estimate::sampled(networks, &weights, unfiltered, &visit.pool(sample)).unwrap();
            (plain / share(unfiltered), strata.value)
        };
        let (plain, strata): (Vec<f64>, Vec<f64>) = (0..200).map(plain_and_strata).unzip();
        moments(&plain).1 / moments(&strata).1
    });
    // Pulse loses few images: nearly all that a network is right on is known from the unfiltered one.
    assert!(clean > 1.08 && adv > 1.3, "pulse: {clean}, {adv}");
}

#[test]
fn sorted_sets_need_the_random_order() {
    // Images class by class, easy classes last. In random order a thinned sample agrees with the whole set; in file order
    // networks see other classes than their neighbours.
    let population = Population::made_up(2560, true, 9);
    let images = population.images();
    let whole = scores(&population.visit((0..images).collect()), Sample::whole(images));
    let sample = Sample::new(images, 32).unwrap();
    let off = |order: Vec<usize>| -> f64 {
        let found = scores(&population.visit(order), sample);
        // The combined ones, in standard errors as they are stated.
        (9..12).map(|at| (found[at].0 - whole[at].0).abs() / found[at].1).fold(0.0, f64::max)
    };
    let sorted = off((0..images).collect());
    let random = (0..50).map(|seed| off(Random::new(seed, 2).permutation(images))).fold(0.0, f64::max);
    assert!(sorted > 4.5 && random < 3.5, "sorted {sorted}, random at most {random}");
    // And the first tenth of a sorted set is one class.
    let first = population.visit((0..images / 10).collect());
    let share = |bits: &Bits| bits.count_ones() as f64 / bits.len() as f64;
    let all = population.visit((0..images).collect());
    assert!(share(&first.clean) < share(&all.clean) - 0.05);
}
