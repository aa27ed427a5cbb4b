//! Fleiss' κ and Spearman's ρ: numbers, or the reason why there are none. Both are made from whole numbers, so that no order
//! of subjects, raters or values changes a bit of them.

use super::document::Measure;

/// Fleiss' κ (J. L. Fleiss, "Measuring nominal scale agreement among many raters", Psychological Bulletin 76, 1971): how far
/// agreement exceeds that of raters who throw labels with the frequencies that were found.
///
/// `subjects[i][j]` is how many of the n raters put subject i, of N, into category j; n is the same for all. With
///
/// ```text
/// P̄ = Σᵢⱼ nᵢⱼ(nᵢⱼ − 1) / (N n (n − 1))     P̄ₑ = Σⱼ (Σᵢ nᵢⱼ / N n)²     κ = (P̄ − P̄ₑ) / (1 − P̄ₑ)
/// ```
///
/// P̄ is the share of agreeing pairs of raters. κ is missing for fewer than two raters, for no subject, and where all
/// ratings are in one category: then P̄ₑ = 1, and κ would be 0/0.
pub fn fleiss_kappa<const K: usize>(subjects: &[[usize; K]]) -> Measure {
    let Some(raters) = subjects.first().map(|subject| subject.iter().sum::<usize>()) else {
        return Measure::Missing("there is no layer to agree on".to_owned());
    };
    debug_assert!(subjects.iter().all(|subject| subject.iter().sum::<usize>() == raters));
    if raters < 2 {
        return Measure::Missing("fewer than two checkpoints have this score".to_owned());
    }
    let ratings = subjects.len() * raters;
    let totals: [usize; K] = std::array::from_fn(|j| subjects.iter().map(|subject| subject[j]).sum());
    if totals.contains(&ratings) {
        return Measure::Missing("all labels are the same: chance would agree as well".to_owned());
    }
    let agreeing: usize = subjects.iter().flatten().map(|&n| n * n.saturating_sub(1)).sum();
    let observed = agreeing as f64 / (ratings * (raters - 1)) as f64;
    let squares: usize = totals.iter().map(|total| total * total).sum();
    let expected = squares as f64 / (ratings * ratings) as f64;
    Measure::Value((observed - expected) / (1.0 - expected))
}

/// Spearman's ρ of two lists of equally many finite numbers: Pearson's correlation of their ranks, equal numbers sharing the
/// mean of their ranks. Missing for fewer than three pairs (two are always ±1) and where all numbers of a list are equal.
pub fn spearman_rho(a: &[f64], b: &[f64]) -> Measure {
    debug_assert_eq!(a.len(), b.len());
    if a.len() < 3 {
        return Measure::Missing(format!("{} values to rank, at least 3 are needed", a.len()));
    }
    let (a, b) = (doubled_ranks(a), doubled_ranks(b));
    let sum = |ranks: &[i128]| ranks.iter().sum::<i128>();
    let product = |a: &[i128], b: &[i128]| a.iter().zip(b).map(|(a, b)| a * b).sum::<i128>();
    // n² times the covariance of the doubled ranks.
    let covariance = |x: &[i128], y: &[i128]| x.len() as i128 * product(x, y) - sum(x) * sum(y);
    let (of_a, of_b) = (covariance(&a, &a), covariance(&b, &b));
    if of_a == 0 || of_b == 0 {
        return Measure::Missing("all values are equal: they have no order".to_owned());
    }
    let rho = covariance(&a, &b) as f64 / ((of_a as f64).sqrt() * (of_b as f64).sqrt());
    Measure::Value(rho.clamp(-1.0, 1.0))
}

/// Twice the rank of each value, counted from 1: mean ranks of ties become whole numbers.
fn doubled_ranks(values: &[f64]) -> Vec<i128> {
    let below = |value: &f64| values.iter().filter(|other| *other < value).count();
    let equal = |value: &f64| values.iter().filter(|other| *other == value).count();
    values.iter().map(|value| (2 * below(value) + equal(value) + 1) as i128).collect()
}

/// The mean of the measures that are numbers; if none is, missing for the reason of the first.
pub fn mean<'m>(measures: impl Iterator<Item = &'m Measure>) -> Measure {
    let measures: Vec<&Measure> = measures.collect();
    let first_reason = measures.first().map(|measure| (*measure).clone());
    let values: Vec<f64> = measures.into_iter().filter_map(Measure::value).collect();
    match values.len() {
        0 => first_reason
            .unwrap_or_else(|| Measure::Missing("there is no pair of checkpoints with scores".to_owned())),
        count => Measure::Value(values.iter().sum::<f64>() / count as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_close(found: &Measure, expected: f64) {
        let value = found.value().unwrap_or_else(|| panic!("{found:?}, expected {expected}"));
        assert!((value - expected).abs() < 1e-14, "{value}, expected {expected}");
    }

    #[track_caller]
    fn assert_missing(found: &Measure, reason: &str) {
        assert!(matches!(found, Measure::Missing(text) if text.contains(reason)), "{found:?}");
    }

    /// Fleiss 1971, table 1: 30 patients, 6 psychiatrists, 5 diagnoses. The article gives κ = 0.430, R's irr 0.4302445, and
    /// statsmodels 0.15.0's `fleiss_kappa` the number below.
    const DIAGNOSES: [[usize; 5]; 30] = [
        [0, 0, 0, 6, 0],
        [0, 3, 0, 0, 3],
        [0, 1, 4, 0, 1],
        [0, 0, 0, 0, 6],
        [0, 3, 0, 3, 0],
        [2, 0, 4, 0, 0],
        [0, 0, 4, 0, 2],
        [2, 0, 3, 1, 0],
        [2, 0, 0, 4, 0],
        [0, 0, 0, 0, 6],
        [1, 0, 0, 5, 0],
        [1, 1, 0, 4, 0],
        [0, 3, 3, 0, 0],
        [1, 0, 0, 5, 0],
        [0, 2, 0, 3, 1],
        [0, 0, 5, 0, 1],
        [3, 0, 0, 1, 2],
        [5, 1, 0, 0, 0],
        [0, 2, 0, 4, 0],
        [1, 0, 2, 0, 3],
        [0, 0, 0, 0, 6],
        [0, 1, 0, 5, 0],
        [0, 2, 0, 1, 3],
        [2, 0, 0, 4, 0],
        [1, 0, 0, 4, 1],
        [0, 5, 0, 1, 0],
        [4, 0, 0, 0, 2],
        [0, 2, 0, 4, 0],
        [1, 0, 5, 0, 0],
        [0, 0, 0, 0, 6],
    ];

    #[test]
    fn kappa_of_published_tables() {
        assert_close(&fleiss_kappa(&DIAGNOSES), 0.43024452006014074);
        // Wikipedia, "Fleiss' kappa": 10 subjects, 14 raters, κ = 0.210; digits of statsmodels 0.15.0.
        let table = [
            [0, 0, 0, 0, 14],
            [0, 2, 6, 4, 2],
            [0, 0, 3, 5, 6],
            [0, 3, 9, 2, 0],
            [2, 2, 8, 1, 1],
            [7, 7, 0, 0, 0],
            [3, 2, 6, 3, 0],
            [2, 5, 3, 2, 2],
            [6, 5, 2, 1, 0],
            [0, 2, 2, 3, 7],
        ];
        assert_close(&fleiss_kappa(&table), 0.20993070442195522);
    }

    #[test]
    fn kappa_of_three_categories() {
        // statsmodels 0.15.0, `statsmodels.stats.inter_rater.fleiss_kappa`.
        let three = [[3, 0, 0], [2, 1, 0], [0, 0, 3], [1, 1, 1], [0, 2, 1], [0, 3, 0], [3, 0, 0]];
        assert_close(&fleiss_kappa(&three), 0.48601398601398604);
        assert_close(&fleiss_kappa(&[[2, 0, 0], [0, 2, 0], [1, 1, 0]]), 1.0 / 3.0);
        assert_close(&fleiss_kappa(&[[1, 1, 0], [1, 0, 1], [0, 1, 1]]), -0.5);
        assert_close(&fleiss_kappa(&[[4, 0, 0], [0, 0, 4]]), 1.0);
    }

    #[test]
    fn kappa_that_is_none() {
        assert_missing(&fleiss_kappa(&[[0, 5, 0], [0, 5, 0]]), "all labels are the same");
        assert_missing(&fleiss_kappa(&[[0, 1, 0], [1, 0, 0]]), "fewer than two");
        assert_missing(&fleiss_kappa(&[[0, 0, 0]]), "fewer than two");
        assert_missing(&fleiss_kappa::<3>(&[]), "no layer");
    }

    #[test]
    fn rho_agrees_with_scipy() {
        // SciPy 1.17.1, `scipy.stats.spearmanr(a, b).statistic`.
        let cases: [(&[f64], &[f64], f64); 5] = [
            (&[1.0, 2.0, 3.0, 4.0, 5.0], &[5.0, 6.0, 7.0, 8.0, 7.0], 0.8207826816681233),
            (&[0.1, 0.1, 0.3, -0.2, 0.3, 0.3], &[1.0, 2.0, 2.0, -1.0, 0.0, 5.5], 0.5479462546995058),
            (&[3.0, 1.0, 2.0], &[1.0, 2.0, 3.0], -0.5),
            (&[1.0, 1.0, 2.0, 2.0], &[2.0, 2.0, 1.0, 1.0], -1.0),
            // 0 and −0 are equal.
            (
                &[0.5, 0.25, 0.75, 0.125, 0.0, -0.0, 1.5],
                &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
                -0.12613124477737825,
            ),
        ];
        for (a, b, expected) in cases {
            assert_close(&spearman_rho(a, b), expected);
            assert_eq!(spearman_rho(a, b), spearman_rho(b, a));
            let reversed = |list: &[f64]| list.iter().rev().copied().collect::<Vec<_>>();
            assert_eq!(spearman_rho(a, b), spearman_rho(&reversed(a), &reversed(b)));
        }
    }

    #[test]
    fn rho_that_is_none() {
        assert_missing(&spearman_rho(&[1.0, 2.0], &[2.0, 1.0]), "2 values");
        assert_missing(&spearman_rho(&[], &[]), "0 values");
        assert_missing(&spearman_rho(&[1.0, 1.0, 1.0], &[2.0, 1.0, 3.0]), "all values are equal");
        assert_missing(&spearman_rho(&[2.0, 1.0, 3.0], &[0.0, -0.0, 0.0]), "all values are equal");
    }

    #[test]
    fn ties_share_the_mean_of_their_ranks() {
        // Ranks 2.5, 1, 2.5, 4.
        assert_eq!(doubled_ranks(&[0.5, -1.0, 0.5, 9.0]), [5, 2, 5, 8]);
    }

    #[test]
    fn a_mean_is_over_what_there_is() {
        let missing = Measure::Missing("none".to_owned());
        let measures = [Measure::Value(0.5), missing.clone(), Measure::Value(0.25)];
        assert_eq!(mean(measures.iter()), Measure::Value(0.375));
        assert_eq!(mean([missing.clone(), Measure::Missing("other".to_owned())].iter()), missing);
        assert_missing(&mean([].iter()), "no pair");
    }
}
